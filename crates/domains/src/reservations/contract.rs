//! What the paths of reservations promise, and why: the prose. Numbers, keys, orders, levels and
//! bounds are not here but in `facts`, derived from the code, so that they are never typed twice.
//!
//! The paths of what can be reserved are in `inventory`, those of who has it in `holds`.

mod facts;
mod holds;
mod inventory;

use evenkeel_contract::{Access, BlastRadius, Level, Path, Settings, metric};

/// Every path of this domain.
pub static PATHS: [&Path; 13] = [
    &inventory::CREATE,
    &inventory::ADD_SEATS,
    &inventory::RESOURCE,
    &inventory::RESOURCES,
    &inventory::SEATS,
    &inventory::EVENTS,
    &holds::HOLD,
    &holds::GET_HOLD,
    &holds::HOLDS,
    &holds::CONFIRM,
    &holds::RELEASE,
    &holds::EXTEND,
    &holds::CANCEL,
];

/// What the writes of one resource have in common. Not a path of its own.
const WRITE: Path = Path {
    name: "",
    route: "",
    access: Access::Write,
    user_action: "",
    promise: "",
    hot_read: "The rows that the request touches, read in the partition that decides about them.",
    hot_write: "",
    data: "",
    moves: "From HTTP into the bounded mailbox of the resource's partition; decided there with \
            the rest of its batch; one conditional append for the batch; one sync, shared with \
            the other partitions; then into the state, back to the caller, and on to whoever \
            watches the resource.",
    first_failure: "The disk. Full: unavailable, nothing happened, reads go on, and writes come \
                    back with the space. A sync that fails stops the process: what a failed sync \
                    leaves behind cannot be known, so it is read again from the log.",
    first_bottleneck: "One resource that everybody wants: one thread decides for it. Then the \
                       disk's syncs, which larger batches make cheaper for each request.",
    kept: "",
    given_up: "Deciding about one resource in two places at once: it goes no faster than one \
               thread, and nowhere while the process is down.",
    blast_radius: BlastRadius {
        what: "Availability, seat maps and lists that somebody has on the screen.",
        who: "People who are looking. Nothing is decided from such a view: every write is decided \
              on the newest state.",
    },
    during_partition: "One machine has none inside. A caller who is cut off cannot know the \
                       outcome: it sends the same request again under the same Idempotency-Key \
                       and gets the first answer.",
    inline: "Expiries that are due on the touched rows, the decision, the append, the sync.",
    later: "The event to its subscribers, and moving the rows from memory into the state file.",
    recovery: "On a restart the state file is opened and the log after it is replayed. A torn \
               last group was never acknowledged and is cut off.",
    replay: "Every record, to the same rows and the same events in the same order. Records hold \
             effects, not commands: nothing is decided a second time.",
    watch: &[metric::MAILBOX_DEPTH, metric::BATCH_SIZE, metric::LOG_SYNC],
    curl: "",
    defaults: Settings::keyed_write(),
    facts: facts::WRITE,
};

/// What the reads have in common. Not a path of its own.
const READ: Path = Path {
    name: "",
    route: "",
    access: Access::Read,
    user_action: "",
    promise: "",
    hot_read: "",
    hot_write: "None; what it shows is written by holds and what becomes of them.",
    data: "Nothing of its own: it reads the rows that the writes leave.",
    moves: "From HTTP to the partition's committed state and back; no record is written.",
    first_failure: "A state file that cannot be read: unavailable, until it is opened again or \
                    rebuilt from the snapshot and the log.",
    first_bottleneck: "",
    kept: "",
    given_up: "",
    blast_radius: BlastRadius {
        what: "The answer itself. On one machine it is the newest committed state, 0 ms old.",
        who: "",
    },
    during_partition: "One machine has none inside. A caller who is cut off asks again; nothing \
                       can have happened.",
    inline: "Waiting for the caller's session tokens to be applied, reading, answering.",
    later: "Nothing.",
    recovery: "Reads are served again once the log after the state file has been replayed.",
    replay: "Nothing: a read leaves no trace.",
    watch: &[metric::MEMTABLE],
    curl: "",
    defaults: Settings::read(Level::Bounded),
    facts: facts::READ,
};
