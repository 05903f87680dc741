//! What members of conversations asked and were told, and what readers were sent, for
//! [`check_chat`](crate::checker::check_chat).
//!
//! Times are milliseconds of one clock, the recorder's. An event's own time is record time.

use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Something in a conversation's sequence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Where.
    pub seq: u64,
    /// When it was decided.
    pub at_ms: u64,
    /// What.
    pub happened: Happened,
}

/// What is in a conversation's sequence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Happened {
    /// It is new.
    Created {
        /// Who is in it.
        members: BTreeSet<String>,
    },
    /// Somebody said something.
    Message {
        /// Who.
        sender: String,
        /// How they name it.
        client_id: String,
        /// Empty once it is deleted.
        body: String,
    },
    /// A message says something else.
    Edited {
        /// Which.
        message: u64,
        /// Empty once that is deleted.
        body: String,
    },
    /// A message was taken back.
    Deleted {
        /// Which.
        message: u64,
    },
    /// Somebody has read.
    Read {
        /// Who.
        user: String,
        /// Up to here.
        message: u64,
    },
    /// Somebody is a member now.
    Joined {
        /// Who.
        user: String,
    },
    /// Somebody is no member any more.
    Left {
        /// Who.
        user: String,
    },
    /// Something that no check is about, by its name.
    Other(String),
}

/// What was asked of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Say something.
    Send {
        /// The sender's name for it.
        client_id: String,
        /// What.
        body: String,
    },
    /// Have a message say something else.
    Edit {
        /// Which.
        message: u64,
        /// What.
        body: String,
    },
    /// Take a message back.
    Delete {
        /// Which.
        message: u64,
    },
    /// Have read.
    Read {
        /// Up to here.
        message: u64,
    },
    /// Be a member.
    Join,
    /// Be none.
    Leave,
}

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The message is there.
    Sent {
        /// Where.
        seq: u64,
        /// It was there already.
        duplicate: bool,
    },
    /// What was asked is so.
    Done {
        /// By the event of this sequence, if it says; a repeat is by none.
        seq: Option<u64>,
    },
    /// They have read.
    Read {
        /// Up to here: their marker.
        seq: u64,
        /// What is unread to them after it.
        unread: u64,
    },
    /// No, and no effect.
    Refused(String),
    /// No effect.
    TurnedAway(String),
    /// It may or may not have happened.
    Unknown,
}

/// One attempt of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Operation {
    /// Who.
    pub user: String,
    /// Of which conversation.
    pub conversation: String,
    /// What.
    pub request: Request,
    /// When it was sent.
    pub called_ms: u64,
    /// When an answer came, and which. None: it was still awaited in the end.
    pub returned: Option<(u64, Outcome)>,
}

impl Operation {
    /// Whether it may have had an effect.
    #[must_use]
    pub fn may_have_happened(&self) -> bool {
        !matches!(self.returned, Some((_, Outcome::Refused(_) | Outcome::TurnedAway(_))))
    }
}

/// Whoever follows one conversation, over as many connections as that takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Reader {
    /// As people call them.
    pub name: String,
    /// What they follow.
    pub conversation: String,
    /// As which user; `None`: as the back end.
    pub user: Option<String>,
    /// Events that may wait for them on the server, and the most that did; none if nobody knows.
    pub waited: Option<Waited>,
    /// Whether they read to the end, once nothing happened any more, of what they may read.
    pub is_at_end: bool,
}

/// Events that waited for a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Waited {
    /// At most.
    pub max: usize,
    /// May.
    pub room: usize,
}

/// Something that a reader was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// The reader, by number.
    pub reader: usize,
    /// When, at the latest: no event is of a later time that they can have been sent by then.
    pub at_ms: u64,
    /// What.
    pub what: Delivery,
}

/// What a reader can be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// They asked for what follows this sequence; 0 for everything.
    Began {
        /// What they have dealt with.
        after: u64,
    },
    /// An event.
    Event(Event),
    /// What follows their position is not kept: they are to go on after this one.
    Reset {
        /// This.
        seq: u64,
    },
    /// Nothing comes any more until they ask again.
    Ended,
}

/// A conversation in a user's inbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InboxEntry {
    /// Whose.
    pub user: String,
    /// Which.
    pub conversation: String,
    /// Messages after the marker, not their own, not deleted.
    pub unread: u64,
    /// The marker.
    pub read: u64,
    /// The last sequence that the inbox knows of.
    pub last: u64,
}

/// Who is there, as a reader was told, and who is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Presence {
    /// The reader, by number.
    pub reader: usize,
    /// As they were told.
    pub told: BTreeSet<String>,
    /// Whoever is connected.
    pub there: BTreeSet<String>,
}

/// What there is once nothing happens any more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct End {
    /// Every event of each conversation, as the back end reads them and in that order. No history is so
    /// old that it may go.
    pub conversations: BTreeMap<String, Vec<Event>>,
    /// Every user's inbox.
    pub inboxes: Vec<InboxEntry>,
    /// For whoever is shown who is there.
    pub presence: Vec<Presence>,
}

/// What all were asked, told and sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ChatHistory {
    /// In the order of calls.
    pub operations: Vec<Operation>,
    /// Who reads.
    pub readers: Vec<Reader>,
    /// What they were sent, in the order in which it came.
    pub seen: Vec<Seen>,
    /// None if the end was never reached, which is a violation.
    pub end: Option<End>,
    /// What is asked is answered within this, or its connection is gone; none if nobody looks at that.
    pub answers_within_ms: Option<u64>,
}

impl ChatHistory {
    /// Somebody asks; answers the operation's index.
    pub fn call(&mut self, operation: Operation) -> usize {
        self.operations.push(operation);
        self.operations.len() - 1
    }

    /// It is answered.
    pub fn returns(&mut self, operation: usize, at_ms: u64, outcome: Outcome) {
        self.operations[operation].returned = Some((at_ms, outcome));
    }
}
