//! The paths of what limits count.

use evenkeel_contract::{Access, BlastRadius, Level, Path, Priority, Settings, metric};

use super::facts;

pub(super) static CHECK: Path = Path {
    name: "limits.check",
    route: "POST /v1/limits/check",
    access: Access::Write,
    user_action: "A service asks, before it does something, whether that is still within the \
                  limits: of the user, of their tenant, of everybody.",
    promise: "Never more is admitted than each policy says, also across a crash; of a limit in mode leased, \
              than the policy and over_admission_max a node, which every answer says; of a buffered one, \
              than the policy and what was in flight at the crash. All checks of a request that share a \
              partition are counted together, or none is.",
    hot_read: "One row for each check.",
    hot_write: "One row for each check: some fifty bytes (gcra), up to 65 pairs of an age and a count \
                (sliding_window), or three small rows (concurrency). Many checks of one key in a \
                batch are one row.",
    data: "For each key that is not full: when it will be (gcra), its units by time (sliding_window), \
           or its leases (concurrency). A key that is full has no row.",
    moves: "The policy from the node's copy of the limits, with the check, into the bounded mailbox \
            of the key's partition; decided there with the rest of its batch; one conditional append \
            for the batch; one sync, shared with the other partitions; then into the state and back \
            to the caller.",
    first_failure: "The disk. Full: unavailable, nothing was counted, and the limit's on_unavailable \
                    says whether the caller goes ahead. A sync that fails stops the process: what a \
                    failed sync leaves behind cannot be known, so it is read again from the log.",
    first_bottleneck: "Decoding requests; then one thread for each partition. A hot key costs no \
                       more than many cold ones, but all of it is in one partition.",
    kept: "Exactness: a limit that a restart resets admits most when everything comes back at once.",
    given_up: "A decision without the disk. And by each algorithm a little: a sliding window may \
               still count what is one 64th of its period too old.",
    blast_radius: BlastRadius {
        what: "What remains, as an earlier answer said it.",
        who: "Callers who plan by it. Every check is decided on the newest state.",
    },
    during_partition: "One machine has none inside. A caller who is cut off cannot know whether it \
                       was counted: with an Idempotency-Key it asks again and is counted once; \
                       without, it may be counted twice, which is never too much admitted. Slots \
                       take no key: one that nobody knows of is free when its time is over.",
    inline: "Leases that are due on the checked keys, keys taken over by a policy that changed, the \
             decision, the append, the sync.",
    later: "Keys that have become full are forgotten by a sweep, and rows move from memory into the \
            state file.",
    recovery: "On a restart the state file is opened and the log after it is replayed. A torn last \
               group was never acknowledged and is cut off.",
    replay: "Every record, to the same rows. Records hold effects, not commands: nothing is decided \
             a second time.",
    watch: &[metric::MAILBOX_DEPTH, metric::BATCH_SIZE, metric::LOG_SYNC, metric::TIMERS_DUE],
    curl: "curl http://127.0.0.1:7480/v1/limits/check \\\n  \
           --json '{\"checks\":[{\"limit\":\"logins\",\"key\":\"ada\",\"cost\":1}]}'",
    defaults: Settings::keyed_write().with_priority(Priority::Critical).with_slo(99.95, 20),
    facts: facts::CHECK,
};

pub(super) static PEEK: Path = Path {
    name: "limits.peek",
    route: "GET /v1/limits/{limit}/peek",
    access: Access::Read,
    user_action: "Someone looks at how much of a limit is left, without using any of it.",
    promise: "It is what a check would have been answered at that moment by what was counted and \
              committed; nothing is counted.",
    hot_write: "None.",
    data: "Nothing of its own: it reads the rows that checks leave.",
    moves: "From HTTP to the partition's committed state and back; no record is written.",
    first_failure: "A state file that cannot be read: the limit's on_unavailable is answered, as to a \
                    check, until the file is opened again or rebuilt from the snapshot and the log.",
    first_bottleneck: "Decoding requests: the row is in memory.",
    kept: "A look that costs the limit nothing and the log no record.",
    given_up: "Certainty that the same is admitted a moment later.",
    blast_radius: BlastRadius {
        what: "The answer itself. On one machine it is the newest committed state, 0 ms old.",
        who: "People and dashboards. Who acts on it must check: a peek reserves nothing.",
    },
    during_partition: "One machine has none inside. A caller who is cut off asks again; nothing can \
                       have happened.",
    inline: "Waiting for the caller's session tokens to be applied, reading, answering.",
    later: "Nothing.",
    recovery: "Reads are served again once the log after the state file has been replayed.",
    replay: "Nothing: a read leaves no trace.",
    watch: &[metric::MEMTABLE],
    curl: "curl 'http://127.0.0.1:7480/v1/limits/logins/peek?key=ada'",
    defaults: Settings::read(Level::Bounded),
    facts: facts::PEEK,
    ..CHECK
};

pub(super) static REFUND: Path = Path {
    name: "limits.refund",
    route: "POST /v1/limits/refund",
    user_action: "A service gives back what a check had counted, because the work was not done \
                  after all.",
    promise: "What is given back can be used again, once for each Idempotency-Key, and never more \
              than the key still holds of it. What was counted before the limit's policy changed is \
              not given back.",
    hot_write: "The keys' rows.",
    first_failure: "The disk. Full: unavailable, nothing is changed, and nobody answers instead: \
                    on_unavailable decides about checks and peeks only. A sync that fails stops the \
                    process: what a failed sync leaves behind cannot be known, so it is read again \
                    from the log.",
    kept: "Never more admitted than the policy says, however late a refund comes: what has come back \
           by itself since the check is not given back a second time.",
    given_up: "The whole amount: a refund that comes late, or after a change of the policy, gives back \
               less, or nothing.",
    during_partition: "One machine has none inside. A caller who is cut off sends the same refund \
                       under the same Idempotency-Key; it is done once.",
    inline: "The decision, the append, the sync.",
    curl: "curl http://127.0.0.1:7480/v1/limits/refund -H 'Idempotency-Key: refund-1' \\\n  \
           --json \"{\\\"checks\\\":[{\\\"limit\\\":\\\"logins\\\",\\\"key\\\":\\\"ada\\\",\\\"cost\\\":1}],\
           \\\"counted_at\\\":\\\"$COUNTED_AT\\\"}\"",
    defaults: Settings::keyed_write(),
    facts: facts::REFUND,
    ..CHECK
};

pub(super) static RELEASE: Path = Path {
    name: "limits.release",
    route: "POST /v1/limits/release",
    user_action: "A worker is done and gives back the slot that it had taken of a concurrency limit.",
    promise: "The slot is free for the next one as soon as this is answered, and is given back once: \
              a second release changes nothing and says no_lease.",
    hot_read: "The lease and its subject's row.",
    hot_write: "The lease, which is deleted, and its subject's row.",
    data: "The lease with its end, and the count of slots.",
    first_failure: "The disk. Full: unavailable, nothing is changed, and nobody answers instead: \
                    on_unavailable decides about checks and peeks only. A sync that fails stops the \
                    process: what a failed sync leaves behind cannot be known, so it is read again \
                    from the log.",
    kept: "Slots that are live leases: one whose holder dies is free again when its time is over, \
           and nobody has to find out.",
    given_up: "A slot for as long as it is needed without a word: long work renews its lease.",
    during_partition: "One machine has none inside. A caller who is cut off releases again; no_lease \
                       then means that the slot is free.",
    inline: "The decision, the append, the sync.",
    later: "If a release never comes, the lease's end does the same.",
    curl: "curl http://127.0.0.1:7480/v1/limits/release --json \"{\\\"lease\\\":\\\"$LEASE\\\"}\"",
    defaults: Settings::natural_write().with_priority(Priority::Critical),
    facts: facts::RELEASE,
    ..CHECK
};

pub(super) static RENEW: Path = Path {
    name: "limits.renew",
    route: "POST /v1/limits/renew",
    user_action: "A worker that is not done keeps its slot.",
    promise: "If it is answered with a new expires_at, the slot is its own until then. A lease that \
              is over cannot be brought back by it.",
    hot_write: "The lease with its new end, and its subject's row.",
    kept: "A slot without an end that nobody chose: each renewal is a decision in the same order as \
           the end.",
    given_up: "Renewing by a clock that believes it is in time: only the partition's own time counts.",
    during_partition: "One machine has none inside. A caller who is cut off renews again; no_lease \
                       means that it must stop, for another may have the slot.",
    later: "Nothing.",
    curl: "curl http://127.0.0.1:7480/v1/limits/renew \\\n  \
           --json \"{\\\"lease\\\":\\\"$LEASE\\\",\\\"ttl_ms\\\":60000}\"",
    facts: facts::RENEW,
    ..RELEASE
};

pub(super) static RESET: Path = Path {
    name: "limits.reset",
    route: "POST /v1/limits/reset",
    user_action: "Support lets somebody in again who was locked out.",
    promise: "The keys are full as soon as this is answered.",
    hot_read: "Whether there is a row.",
    hot_write: "The keys' rows, which are deleted.",
    first_failure: "The disk. Full: unavailable, nothing is changed, and nobody answers instead: \
                    on_unavailable decides about checks and peeks only. A sync that fails stops the \
                    process: what a failed sync leaves behind cannot be known, so it is read again \
                    from the log.",
    kept: "A way out that an operator chose, in one order with the checks.",
    given_up: "The limit, for once: what was admitted before the reset and after it may be twice the \
               policy.",
    during_partition: "One machine has none inside. A caller who is cut off resets again.",
    inline: "The decision, the append, the sync.",
    later: "Nothing.",
    curl: "curl http://127.0.0.1:7480/v1/limits/reset \\\n  \
           --json '{\"checks\":[{\"limit\":\"logins\",\"key\":\"ada\"}]}'",
    defaults: Settings::natural_write(),
    facts: facts::RESET,
    ..CHECK
};
