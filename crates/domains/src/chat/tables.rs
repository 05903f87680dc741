//! The tables of chat: key layouts and row types, nowhere else.
//!
//! In the partition of a conversation:
//!
//! | id | table | key | row |
//! |---|---|---|---|
//! | 0x60 | `Conversations` | tenant, name | `Conversation` |
//! | 0x61 | `ConversationNames` | conversation id | `ConversationName` |
//! | 0x62 | `ConversationCounter` | — | the last conversation id |
//! | 0x63 | `Messages` | conversation id, segment, sequence | `Message` |
//! | 0x64 | `Happenings` | conversation id, segment, sequence | `Happening`: what is no message |
//! | 0x65 | `Amendments` | conversation id, segment, sequence of the message | `Amendment` |
//! | 0x66 | `Reactions` | conversation id, segment, sequence of the message, kind, user | — |
//! | 0x67 | `ClientIds` | conversation id, generation, hash of sender and client id | `ClientId` |
//! | 0x68 | `Members` | conversation id, user | `Member` |
//! | 0x69 | `Deletions` | conversation id, number of the deletion | `Deletion` |
//! | 0x6a | `Rounds` | due, conversation id | —: inboxes are to be told |
//! | 0x6b | `RoundTimer` | — | `RoundDue` |
//! | 0x6e | `Folds` | conversation id | —: deletions are to be taken into counts |
//!
//! In the partition of a user:
//!
//! | id | table | key | row |
//! |---|---|---|---|
//! | 0x6c | `Inbox` | tenant, user, conversation | `InboxEntry` |
//! | 0x6d | `InboxOrder` | tenant, user, newest first, conversation | —; those that do not tell when they were active come before all others |
//!
//! A sequence is dense over `Messages` and `Happenings` together. A segment is what a span of time
//! brought; retention drops all rows of one by their prefix.

use super::Role;
use crate::tables::tables;
use evenkeel_engine::{TenantId, Time};
use evenkeel_state::row;
use serde::{Deserialize, Serialize};

/// The key of what has a place in a conversation: its id, the segment, the sequence.
pub(super) type Place = (u64, u32, u64);
/// The key of a reaction: that of its message, the kind, the user.
pub(super) type ReactionKey = (u64, u32, u64, String, String);

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Conversation {
    pub(super) id: u64,
    pub(super) created_at: Time,
    pub(super) retention_ms: u64,
    /// The sequence of whatever happens next.
    pub(super) next: u64,
    /// What is kept, oldest first; empty if nothing is.
    pub(super) segments: Vec<Segment>,
    /// When the oldest of them is looked at.
    pub(super) timer: Option<Time>,
    pub(super) last_at: Time,
    /// Messages that were ever sent; the last one's sequence and time.
    pub(super) sent: u64,
    pub(super) last_message: u64,
    pub(super) last_message_at: Time,
    pub(super) members: u64,
    /// Messages that were ever deleted; how many of those every member's count has taken in; and of how
    /// many of those nothing is kept.
    pub(super) deletions: u64,
    pub(super) folded: u64,
    pub(super) forgotten: u64,
    /// What is being taken in.
    pub(super) fold: Option<Fold>,
    /// Client ids are kept in this generation and the one before, each for the retention's length.
    pub(super) generation: u32,
    pub(super) generation_since: Time,
    pub(super) round: Round,
}
row!(Conversation, version = 1);

/// What came in a span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Segment {
    pub(super) number: u32,
    /// The first sequence in it, and when that was.
    pub(super) first: u64,
    pub(super) at: Time,
}

/// How far inboxes were told of what happened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Round {
    /// When the round begins, or goes on; none if all inboxes know all.
    pub(super) due: Option<Time>,
    /// The last member that was told in it; empty before it begins.
    pub(super) after: String,
    /// When something happened first since it began: another one follows.
    pub(super) again: Option<Time>,
    /// When the last one ended.
    pub(super) ended_at: Time,
}

/// Deletions on their way into the counts of all members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fold {
    /// Those up to this one.
    pub(super) through: u64,
    /// The last member that was looked at; empty before the first.
    pub(super) after: String,
}

/// Whose a conversation is and what it is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ConversationName {
    pub(super) tenant: TenantId,
    pub(super) name: String,
}
row!(ConversationName, version = 1);

/// A number that only grows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Count(pub(super) u64);
row!(Count, version = 1);

/// A message as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// When it was decided.
    pub at: Time,
    /// Who said it.
    pub sender: String,
    /// How the sender names it.
    pub client_id: String,
    /// The message that it answers.
    pub reply_to: Option<u64>,
    /// JSON; empty once it is deleted.
    pub body: String,
    /// The number of its deletion; 0 if it is not deleted.
    pub(super) deletion: u64,
}
row!(Message, version = 1);

impl Message {
    /// Whether it was taken back.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.deletion > 0
    }
}

/// Something that happened in a conversation beside messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happening {
    /// When it was decided.
    pub at: Time,
    /// The user who did it; `None` if the back end did.
    pub by: Option<String>,
    /// What it is.
    pub what: What,
}
row!(Happening, version = 1);

/// What happened. Stored: variants are added at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// The conversation is new.
    Created {
        /// Who is in it.
        members: Vec<(String, Role)>,
    },
    /// It says something else.
    Edited {
        /// The message.
        message: u64,
        /// JSON; empty once the message is deleted.
        body: String,
    },
    /// It was taken back.
    Deleted {
        /// The message.
        message: u64,
    },
    /// Somebody reacted.
    Reacted {
        /// To this message.
        message: u64,
        /// How.
        kind: String,
        /// Who.
        user: String,
    },
    /// Somebody took a reaction back.
    Unreacted {
        /// Of this message.
        message: u64,
        /// Which.
        kind: String,
        /// Whose.
        user: String,
    },
    /// Somebody has read.
    Read {
        /// Who.
        user: String,
        /// Up to here.
        message: u64,
    },
    /// Somebody is a member now.
    MemberAdded {
        /// Who.
        user: String,
        /// As what.
        role: Role,
    },
    /// A member has another role.
    MemberChanged {
        /// Who.
        user: String,
        /// Which.
        role: Role,
    },
    /// Somebody is no member any more.
    MemberRemoved {
        /// Who.
        user: String,
    },
    /// Messages are kept for so long from now on.
    RetentionChanged {
        /// For how long.
        retention_ms: u64,
    },
}

/// What became of a message since it was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Amendment {
    /// The sequences of its edits, oldest first.
    pub(super) edits: Vec<u64>,
    pub(super) edited_at: Option<Time>,
    pub(super) deleted_at: Option<Time>,
    /// How many reactions of each kind it has, by kind.
    pub(super) reactions: Vec<(String, u64)>,
}
row!(Amendment, version = 1);

/// What was sent under a client id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ClientId {
    pub(super) seq: u64,
    pub(super) at: Time,
    /// A hash of what was said: a repeat is told from something else by it, whatever became of it.
    pub(super) fingerprint: u64,
}
row!(ClientId, version = 1);

/// Somebody in a conversation.
///
/// Unread is `sent` of the conversation, less `passed`, less the deletions after `folded` of others'
/// messages beyond the marker: no message has to touch every member's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Member {
    pub(super) role: Role,
    pub(super) joined_at: Time,
    /// How far they have read.
    pub(super) marker: u64,
    /// Messages that do not count as unread: up to the marker, their own, or deleted by a deletion up
    /// to `folded`.
    pub(super) passed: u64,
    pub(super) folded: u64,
}
row!(Member, version = 1);

/// A message that was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Deletion {
    pub(super) message: u64,
    pub(super) sender: String,
}
row!(Deletion, version = 1);

/// How the partition's rounds stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RoundDue {
    /// When the timer is set for.
    pub(super) timer: Option<Time>,
    /// No round is due before: a scan that began before would look through all rows that are gone.
    pub(super) from: Time,
    /// When the last step was.
    pub(super) stepped_at: Time,
}
row!(RoundDue, version = 1);

/// A conversation in a user's inbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct InboxEntry {
    pub(super) role: Role,
    /// What the conversation told last; none if it has too many members to tell them.
    pub(super) told: Option<Told>,
}
row!(InboxEntry, version = 1);

/// What a conversation tells a member's inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Messages after the marker, not their own, not deleted.
    pub unread: u64,
    /// How far they have read.
    pub read: u64,
    /// The last sequence.
    pub last: u64,
    /// When the last message was sent, or they joined, if that was later.
    pub active_at: Time,
}

tables! {
    Conversations, 0x60, "conversations", (TenantId, String), Conversation;
    ConversationNames, 0x61, "conversation_names", u64, ConversationName;
    ConversationCounter, 0x62, "conversation_counter", (), Count;
    Messages, 0x63, "messages", Place, Message;
    Happenings, 0x64, "happenings", Place, Happening;
    Amendments, 0x65, "amendments", Place, Amendment;
    Reactions, 0x66, "reactions", ReactionKey, ();
    ClientIds, 0x67, "client_ids", (u64, u32, [u8; 16]), ClientId;
    Members, 0x68, "members", (u64, String), Member;
    Deletions, 0x69, "deletions", (u64, u64), Deletion;
    Rounds, 0x6a, "rounds", (u64, u64), ();
    RoundTimer, 0x6b, "round_timer", (), RoundDue;
    Folds, 0x6e, "folds", u64, ();
    Inbox, 0x6c, "inbox_entries", (TenantId, String, String), InboxEntry;
    InboxOrder, 0x6d, "inbox_order", (TenantId, String, u64, String), ();
}
