//! What the paths of jobs promise, and why: the prose. What the code knows is in `facts`.
//!
//! The paths of whoever has work done are in `asking`, those of workers in `working`, those of
//! whoever looks, or brings dead letters back, in `seeing`, those of what queues say in `queues`.

mod asking;
mod facts;
mod queues;
mod seeing;
mod working;

use evenkeel_contract::{Access, BlastRadius, Level, Path, Settings, metric};

/// Every path of this domain.
pub static PATHS: [&Path; 22] = [
    &asking::ENQUEUE,
    &working::LEASE,
    &working::COMPLETE,
    &working::COMPLETE_MANY,
    &working::FAIL,
    &working::EXTEND,
    &working::SNOOZE,
    &working::PROGRESS,
    &asking::CANCEL,
    &seeing::GET,
    &seeing::LIST,
    &seeing::QUEUE,
    &seeing::EVENTS,
    &seeing::DEAD,
    &seeing::REPLAY,
    &seeing::RETRY,
    &queues::PUT,
    &queues::PAUSE,
    &queues::RESUME,
    &queues::DRAIN,
    &queues::DELETE,
    &queues::LIST,
];

/// What the writes about one job have in common. Not a path of its own.
const WRITE: Path = Path {
    name: "",
    route: "",
    access: Access::Write,
    user_action: "",
    promise: "",
    hot_read: "The queue's row and the job's, in the partition that the job names.",
    hot_write: "The job's row, its place in the index, the counts of its kind and of its queue.",
    data: "The job with its state, its attempts and its lease; its payload once, apart from what \
           changes.",
    moves: "From HTTP into the bounded mailbox of the job's partition; decided there with the rest \
            of its batch; one conditional append for the batch; one sync, shared with the other \
            partitions; then into the state and back to the caller.",
    first_failure: "The disk. Full: unavailable, nothing happened, and leases go on ending by \
                    time once there is space. A sync that fails stops the process: what a failed \
                    sync leaves behind cannot be known, so it is read again from the log.",
    first_bottleneck: "The disk's syncs, which larger batches make cheaper for each request. \
                       Then one partition's thread: a queue uses several.",
    kept: "Each change of a job is a compare-and-set on job, attempt and lease.",
    given_up: "An order between jobs of different ordering keys.",
    blast_radius: BlastRadius {
        what: "Counts and lists that somebody looks at.",
        who: "People who are looking. Nothing is decided from such a view.",
    },
    during_partition: "One machine has none inside. A caller who is cut off asks again and arrives \
                       at the same state.",
    inline: "The decision, the append, the sync.",
    later: "Nothing.",
    recovery: "Replayed from the log like every row; a lease that ended meanwhile ends then.",
    replay: "Every record, to the same rows. Records hold effects, not commands: nothing is \
             decided a second time.",
    watch: &[metric::LOG_SYNC, metric::MAILBOX_DEPTH, metric::TIMERS_DUE],
    curl: "",
    defaults: Settings::natural_write(),
    facts: facts::WRITE,
};

/// What the reads have in common. Not a path of its own.
const READ: Path = Path {
    access: Access::Read,
    hot_write: "None.",
    data: "Nothing of its own: it reads jobs.",
    moves: "From the partition's committed state to the caller; no record is written.",
    first_failure: "A state file that cannot be read: unavailable, until it is opened again or \
                    rebuilt.",
    during_partition: "One machine has none inside. A caller who is cut off asks again.",
    inline: "Reading and answering.",
    recovery: "Nothing to recover: it reads what is.",
    replay: "Nothing: a read leaves no trace.",
    watch: &[],
    defaults: Settings::read(Level::Session),
    facts: facts::READ,
    ..WRITE
};
