//! The paths of reading and following.

use evenkeel_contract::{BlastRadius, Level, Path, Settings, metric};

use super::{READ, facts};

pub(super) static CONVERSATION: Path = Path {
    name: "chat.conversation",
    route: "GET /v1/conversations/{c}",
    user_action: "An app opens a conversation.",
    promise: "How many members and messages it has and where its sequence begins and ends, as of one \
              moment.",
    hot_read: "One row; or what was read a moment ago, for whoever accepts that.",
    moves: "From the committed state of the conversation's partition; kept for a moment where it was asked for, until \
            something happens in the conversation.",
    blast_radius: BlastRadius {
        what: "The counts and the end of the sequence, by as much as the answer says.",
        who: "A back end that looks. End users, and whoever follows from there, ask the partition itself.",
    },
    curl: "curl http://127.0.0.1:7480/v1/conversations/general",
    defaults: Settings::read(Level::Bounded),
    facts: facts::READ,
    ..READ
};

pub(super) static MESSAGES: Path = Path {
    name: "chat.messages",
    route: "GET /v1/conversations/{c}/messages",
    user_action: "Someone scrolls, up or down.",
    promise: "Messages in the order of their sequence, either way from any of them, each as it is now: \
              edited, deleted, with its reactions. A page that is not the last says where the next \
              begins, and no message is passed over.",
    hot_read: "A page of messages, and what became of them: two scans, however many segments of time \
               they lie in.",
    curl: "curl 'http://127.0.0.1:7480/v1/conversations/general/messages?limit=50'",
    defaults: Settings::read(Level::Bounded).with_slo(99.95, 20),
    facts: facts::MESSAGES,
    ..READ
};

pub(super) static MESSAGE: Path = Path {
    name: "chat.message",
    route: "GET /v1/conversations/{c}/messages/{seq}",
    user_action: "Someone follows a link to a message, or to what it answers.",
    promise: "The message as it is now.",
    hot_read: "One message and what became of it.",
    curl: "curl http://127.0.0.1:7480/v1/conversations/general/messages/2",
    facts: facts::MESSAGE,
    ..READ
};

pub(super) static REACTIONS: Path = Path {
    name: "chat.reactions",
    route: "GET /v1/conversations/{c}/messages/{seq}/reactions",
    user_action: "Someone looks who put the thumbs up.",
    promise: "Everybody who reacted, by kind and name, once.",
    hot_read: "A page of reactions of one message.",
    curl: "curl http://127.0.0.1:7480/v1/conversations/general/messages/2/reactions",
    facts: facts::REACTIONS,
    ..READ
};

pub(super) static INBOX: Path = Path {
    name: "chat.inbox",
    route: "GET /v1/users/{u}/inbox",
    user_action: "Someone opens their app: which conversations have something new?",
    promise: "The user's conversations, the last active first, each with how many messages are unread: \
              exact as of when it was told, and the answer says how long ago that may be. Of \
              conversations with more than 1,000 members it is counted while it is asked.",
    hot_read: "A page of the user's inbox, in the user's partition; of large conversations one row \
               each, in theirs.",
    hot_write: "None by reading. A round of a conversation writes up to three rows for each of its \
                members, at most five times a second, however many messages it had meanwhile.",
    data: "A row for each conversation of a user, and its place in the order.",
    moves: "From a conversation to the partitions of its members by the outbox, as how things stand.",
    first_bottleneck: "Rounds: when more conversations have something new than can be told, each waits \
                       for its turn, and inboxes are later. Nothing is lost: the next round tells \
                       everything.",
    kept: "A list in the right order at the cost of reading one page, and sends that do not wait for \
           anybody's inbox.",
    given_up: "A list that is of this very moment.",
    blast_radius: BlastRadius {
        what: "The order of the list and what is unread, by as much as the answer says.",
        who: "Whoever looks at their own list. Opening a conversation reads it itself.",
    },
    watch: &[metric::OUTBOX_ROWS, metric::OUTBOX_AGE, metric::TIMERS_DUE],
    curl: "curl http://127.0.0.1:7480/v1/users/bob/inbox",
    defaults: Settings::read(Level::Bounded),
    facts: facts::INBOX,
    ..READ
};

pub(super) static STREAM: Path = Path {
    name: "chat.stream",
    route: "GET /v1/conversations/{c}/stream",
    user_action: "A page or a service follows one conversation.",
    promise: "Every event after the position it comes with, once and in order, across reconnects and \
              restarts; or it is told that history is gone, and how to go on.",
    hot_read: "What is new since the last event, when something is.",
    moves: "Read from the partition's committed state when it has grown, as fast as the reader takes \
            it.",
    first_bottleneck: "Readers: each is a connection.",
    kept: "Resuming from any position that is kept: what a reader missed is read from history, not from \
           a buffer.",
    given_up: "Sending on the same connection: that is what the WebSocket is for.",
    watch: &[metric::STREAMS_OPEN, metric::STREAMS_RESET],
    curl: "curl -N 'http://127.0.0.1:7480/v1/conversations/general/stream?since=start'",
    facts: facts::STREAM,
    ..READ
};

pub(super) static REALTIME: Path = Path {
    name: "chat.realtime",
    route: "GET /v1/realtime",
    user_action: "An app is open: what is said appears, and what is typed is sent.",
    promise: "On one connection, for each of many subscriptions: every event after the position it began \
              with, once and in order, or word that history is gone. What is sent is acknowledged once \
              it is durable. Who is there and who types is told while it is so, and no longer.",
    hot_read: "Nothing while one keeps up: an event is read once, when it is decided, and shared by all \
               who are connected. Whoever comes back reads what they missed.",
    moves: "From the partition's commit to each connection's bounded buffer, and out of that as fast as \
            the reader takes it.",
    first_failure: "A reader that does not take what it asked for: it is closed, with the position of the \
                    last event it got, and comes back with that. Nobody waits for it.",
    first_bottleneck: "Sockets: each event is written once for each connection that follows it.",
    kept: "Every event to everybody who follows, from any position, without one slow reader holding up \
           the others.",
    given_up: "A buffer for readers who are slow, and any record of who was there or typed.",
    blast_radius: BlastRadius {
        what: "Who is there: somebody whose connection died silently is shown until their lease ends.",
        who: "Whoever looks at the list of those who are there. Nothing is decided by it.",
    },
    watch: &[metric::REALTIME_OPEN, metric::REALTIME_CLOSED, metric::REALTIME_BAD_FRAMES],
    curl: "curl -N -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' \\\n  \
           -H 'Sec-WebSocket-Key: ZXZlbmtlZWwgYXQgc2VhIQ==' http://127.0.0.1:7480/v1/realtime",
    facts: facts::REALTIME,
    ..READ
};
