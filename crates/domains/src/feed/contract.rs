//! What the paths of feeds promise, and why: the prose. What the code knows is in `facts`.

mod facts;
mod people;
mod posting;
mod seeing;

use evenkeel_contract::{Access, BlastRadius, Level, Path, Settings, metric};

/// Every path of this domain.
pub static PATHS: [&Path; 20] = [
    &posting::POST,
    &posting::DELETE,
    &posting::REACT,
    &posting::UNREACT,
    &people::FOLLOW,
    &people::UNFOLLOW,
    &people::BLOCK,
    &people::UNBLOCK,
    &people::MUTE,
    &people::UNMUTE,
    &seeing::TIMELINE,
    &seeing::STREAM,
    &seeing::USER,
    &seeing::POSTS,
    &seeing::GET_POST,
    &seeing::REACTIONS,
    &people::FOLLOWERS,
    &people::FOLLOWING,
    &people::BLOCKS,
    &people::MUTES,
];

/// What the changes have in common. Not a path of its own.
const WRITE: Path = Path {
    name: "",
    route: "",
    access: Access::Write,
    user_action: "",
    promise: "",
    hot_read: "The user's row.",
    hot_write: "",
    data: "",
    moves: "Into the bounded mailbox of the user's partition; decided there with the rest of its batch; \
            one conditional append for the batch; one sync, shared with the other partitions; then into \
            the state, back to the caller, and by the outbox to other partitions.",
    first_failure: "The disk. Full: unavailable, nothing happened, and timelines can still be read. A \
                    sync that fails stops the process: what a failed sync leaves behind cannot be \
                    known, so it is read again from the log.",
    first_bottleneck: "One author to whom everybody reacts, or whom everybody begins to follow at once: \
                       one thread decides for them. Their followers' reading is spread over all \
                       partitions.",
    kept: "",
    given_up: "Order between authors beyond that of time. Nobody can tell who was first within a \
               millisecond, and to agree on it would make each post wait for all others.",
    blast_radius: BlastRadius {
        what: "Timelines of others: what was posted, taken back or counted shows there as late as \
               their answers say.",
        who: "Whoever follows. The user who did it sees it at once.",
    },
    during_partition: "One machine has none inside. A caller who is cut off cannot know the outcome: \
                       the same request again arrives at the same state.",
    inline: "The decision, the append, the sync.",
    later: "The copies in other partitions, moving the rows into the state file.",
    recovery: "On a restart the state file is opened and the log after it is replayed; what was still to \
               be carried to other partitions goes on. A torn last group was never acknowledged and is \
               cut off.",
    replay: "Every record, to the same rows. Records hold effects, not commands: nothing is decided a \
             second time. What is delivered again to another partition has its effect once.",
    watch: &[metric::MAILBOX_DEPTH, metric::BATCH_SIZE, metric::LOG_SYNC, metric::OUTBOX_AGE],
    curl: "",
    defaults: Settings::natural_write(),
    facts: facts::FOLLOW,
};

/// What the reads have in common. Not a path of its own.
const READ: Path = Path {
    name: "",
    route: "",
    access: Access::Read,
    user_action: "",
    promise: "",
    hot_read: "",
    hot_write: "None.",
    data: "Nothing of its own: it reads the rows that the writes leave.",
    moves: "From the committed state of the user's partition to the caller; no record is written.",
    first_failure: "A state file that cannot be read: unavailable, until it is opened again or rebuilt \
                    from the snapshot and the log.",
    first_bottleneck: "Rows that are not in memory: old posts are a search in a file.",
    kept: "Reading what was decided, where it was decided.",
    given_up: "Seeing at once what others did, on a replica that lags.",
    blast_radius: BlastRadius {
        what: "The answer itself. On one machine it is the newest committed state, 0 ms old.",
        who: "Whoever looks at somebody's page.",
    },
    during_partition: "One machine has none inside. A caller who is cut off asks again; nothing can \
                       have happened.",
    inline: "Reading and answering.",
    later: "Nothing.",
    recovery: "Reads are served again once the log after the state file has been replayed.",
    replay: "Nothing: a read leaves no trace.",
    watch: &[metric::MEMTABLE],
    curl: "",
    defaults: Settings::read(Level::Session),
    facts: facts::READ,
};
