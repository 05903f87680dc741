//! What the paths of chat promise, and why: the prose. What the code knows is in `facts`.

mod facts;
mod messages;
mod people;
mod seeing;

use evenkeel_contract::{Access, BlastRadius, Level, Path, Settings, metric};

/// Every path of this domain.
pub static PATHS: [&Path; 17] = [
    &people::PUT,
    &people::PUT_MEMBER,
    &people::REMOVE_MEMBER,
    &messages::SEND,
    &messages::EDIT,
    &messages::DELETE,
    &messages::REACT,
    &messages::UNREACT,
    &messages::READ,
    &seeing::CONVERSATION,
    &people::MEMBERS,
    &seeing::MESSAGES,
    &seeing::MESSAGE,
    &seeing::REACTIONS,
    &seeing::INBOX,
    &seeing::STREAM,
    &seeing::REALTIME,
];

/// What the changes have in common. Not a path of its own.
const WRITE: Path = Path {
    name: "",
    route: "",
    access: Access::Write,
    user_action: "",
    promise: "",
    hot_read: "The rows of the conversation and of the member who asks.",
    hot_write: "",
    data: "",
    moves: "Into the bounded mailbox of the conversation's partition; decided there with the rest of \
            its batch; one conditional append for the batch; one sync, shared with the other \
            partitions; then into the state, back to the caller, and to whoever is connected.",
    first_failure: "The disk. Full: unavailable, nothing happened, and history can still be read. A \
                    sync that fails stops the process: what a failed sync leaves behind cannot be \
                    known, so it is read again from the log.",
    first_bottleneck: "One conversation that everybody is in: one thread decides for it, which is what \
                       gives it one order. Many conversations are in many partitions.",
    kept: "",
    given_up: "Order between conversations. Nobody reads two of them as one, and an order over all \
               would make each wait for the slowest.",
    blast_radius: BlastRadius {
        what: "Inboxes: the order of conversations and what is unread in them. They are told by the \
               outbox, and every answer says how late they are.",
        who: "Whoever looks at a list of conversations. The conversation itself is read from its own \
              partition.",
    },
    during_partition: "One machine has none inside. A caller who is cut off cannot know the outcome: \
                       the same request again arrives at the same state.",
    inline: "The decision, the append, the sync.",
    later: "The event to whoever is connected, the round that tells inboxes, moving the rows into the \
            state file.",
    recovery: "On a restart the state file is opened and the log after it is replayed; rounds that were \
               under way go on. A torn last group was never acknowledged and is cut off.",
    replay: "Every record, to the same rows and the same sequence. Records hold effects, not commands: \
             nothing is decided a second time. Subscribers replay from any position that is kept.",
    watch: &[metric::MAILBOX_DEPTH, metric::BATCH_SIZE, metric::LOG_SYNC],
    curl: "",
    defaults: Settings::natural_write(),
    facts: facts::READ_MARKER,
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
    moves: "From the committed state of the conversation's partition to the caller; no record is \
            written.",
    first_failure: "A state file that cannot be read: unavailable, until it is opened again or rebuilt \
                    from the snapshot and the log.",
    first_bottleneck: "Rows that are not in memory: old history is a search in a file.",
    kept: "Reading one's own writes, because whoever has just sent something looks for it.",
    given_up: "Seeing at once what others did, on a replica that lags.",
    blast_radius: BlastRadius {
        what: "The answer itself. On one machine it is the newest committed state, 0 ms old.",
        who: "Whoever reads history. What is connected is sent everything in order.",
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
