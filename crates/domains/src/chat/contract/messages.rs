//! The paths of what is said and what becomes of it.

use evenkeel_contract::{BlastRadius, Path, Priority, Settings, metric};

use super::{WRITE, facts};

pub(super) static SEND: Path = Path {
    name: "chat.send",
    route: "PUT /v1/conversations/{c}/messages/by-client-id/{client_id}",
    user_action: "Someone says something, perhaps on a train, and their app sends it until it hears \
                  that it arrived.",
    promise: "Once answered, the message has its place in the conversation, the same for every reader, \
              and stays there through crashes. Sent again under the same client id it is the same \
              message, as long as messages are kept.",
    hot_read: "The rows of the conversation and of the sender, and a look for the client id.",
    hot_write: "The message, its client id, the sender's and the conversation's rows; and now and then \
                a mark that inboxes are to be told.",
    data: "The message once, whoever reads it; its client id as a hash; counts that give each member's \
           unread.",
    kept: "One order, and one message for each client id: a message that appears twice, or in another \
           place for somebody else, makes people answer the wrong thing.",
    blast_radius: BlastRadius {
        what: "Inboxes: a conversation's place and what is unread in it, up to a round behind.",
        who: "Whoever looks at their list of conversations. Those who are connected get the message \
              itself as soon as it is durable.",
    },
    watch: &[metric::MAILBOX_DEPTH, metric::BATCH_SIZE, metric::LOG_SYNC, metric::OUTBOX_AGE],
    curl: "curl -X PUT \
           http://127.0.0.1:7480/v1/conversations/general/messages/by-client-id/m1 \\\n  \
           --json '{\"sender\":\"ada\",\"body\":{\"text\":\"hello\"}}'",
    defaults: Settings::natural_write().with_priority(Priority::Critical).with_slo(99.95, 20),
    facts: facts::SEND,
    ..WRITE
};

pub(super) static EDIT: Path = Path {
    name: "chat.edit",
    route: "PATCH /v1/conversations/{c}/messages/{seq}",
    user_action: "Someone mends what they said.",
    promise: "Once answered, history shows the new text, and everybody who is connected, or comes back \
              later, gets the edit in its place in the order.",
    hot_read: "The message and what became of it.",
    hot_write: "The edit, and the row that says which edits a message has.",
    data: "Each edit as an event of its own; the message as it was first said, until it is deleted.",
    kept: "Edits in the order of everything else: whoever was away learns of an edit as of a message.",
    given_up: "More than a hundred edits of a message.",
    curl: "curl -X PATCH http://127.0.0.1:7480/v1/conversations/general/messages/2 \\\n  \
           --json '{\"by\":\"ada\",\"body\":{\"text\":\"hello, all\"}}'",
    facts: facts::EDIT,
    ..WRITE
};

pub(super) static DELETE: Path = Path {
    name: "chat.delete",
    route: "DELETE /v1/conversations/{c}/messages/{seq}",
    user_action: "Someone takes back what they said, or a moderator does.",
    promise: "Once answered, nobody reads what the message said, in history, in its edits or by \
              resuming; that it was there, and is deleted, everybody learns in order. It is unread for \
              nobody any more.",
    hot_read: "The message and its edits.",
    hot_write: "The message and its edits, emptied; the event; a mark for the counts of unread.",
    data: "Who said it, when, and that it is gone.",
    kept: "Taking it back for good. Snapshots and the log have it until they are trimmed.",
    given_up: "Undoing a deletion.",
    curl: "curl -X DELETE 'http://127.0.0.1:7480/v1/conversations/general/messages/2?by=ada'",
    facts: facts::DELETE,
    ..WRITE
};

pub(super) static REACT: Path = Path {
    name: "chat.react",
    route: "PUT /v1/conversations/{c}/messages/{seq}/reactions/{kind}/{user}",
    user_action: "Someone puts a thumb up.",
    promise: "Once answered, this reaction of this member is there, once, however often it was asked \
              for; counts and who reacted are exact.",
    hot_read: "The message, and whether the reaction is there.",
    hot_write: "The reaction, the counts of its message, the event.",
    data: "A row a reaction; a count for each kind of a message.",
    kept: "Exact counts: a conversation is decided by one thread anyway, so that they cost nothing more.",
    given_up: "More than 32 kinds of reactions to one message.",
    curl: "curl -X PUT \
           http://127.0.0.1:7480/v1/conversations/general/messages/2/reactions/heart/bob",
    facts: facts::REACT,
    ..WRITE
};

pub(super) static UNREACT: Path = Path {
    name: "chat.unreact",
    route: "DELETE /v1/conversations/{c}/messages/{seq}/reactions/{kind}/{user}",
    user_action: "Someone takes their thumb back.",
    promise: "Once answered, this reaction of this member is not there.",
    curl: "curl -X DELETE \
           http://127.0.0.1:7480/v1/conversations/general/messages/2/reactions/heart/bob",
    facts: facts::UNREACT,
    ..REACT
};

pub(super) static READ: Path = Path {
    name: "chat.read",
    route: "PUT /v1/conversations/{c}/read/{u}",
    user_action: "Someone has read a conversation down to a message.",
    promise: "Once answered, the member's marker is there or beyond, and what is unread after it is \
              counted exactly. It never goes back, whichever of their devices comes last.",
    hot_read: "The member's row; and the messages between, if the marker does not go to the newest.",
    hot_write: "The member's row, the event, and word to their inbox.",
    data: "A marker and a count a member, and an event for each move.",
    kept: "An exact count without a row for each message and member: the conversation counts what was \
           sent, the member what does not count for them.",
    given_up: "Marking something unread again, and moving past more than 2,000 messages into the \
               middle of a long backlog at once.",
    curl: "curl -X PUT http://127.0.0.1:7480/v1/conversations/general/read/bob --json '{\"seq\":2}'",
    facts: facts::READ_MARKER,
    ..WRITE
};
