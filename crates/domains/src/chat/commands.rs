//! What can be asked of conversations, and what is answered.

use evenkeel_engine::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Members that one call may name.
pub const MEMBERS_A_CALL_MAX: usize = 200;
/// Members of one conversation.
pub const MEMBERS_MAX: u64 = 1_000_000;
/// Bytes of a message's body, which is JSON.
pub const MESSAGE_BYTES_MAX: usize = 32 * 1_024;
/// Times that one message can be edited.
pub const EDITS_MAX: usize = 100;
/// Kinds of reactions that one message can have at once.
pub const REACTION_KINDS_MAX: usize = 32;
/// Messages that a read marker passes in one step, counted from where it was or from the newest,
/// whichever is nearer.
pub const READ_STEP_MAX: usize = 2_000;
/// How long messages are kept, unless a conversation says otherwise: 365 days.
pub const RETENTION_MS: u64 = 365 * 24 * 3_600_000;
/// The shortest retention: an hour.
pub const RETENTION_MS_MIN: u64 = 3_600_000;
/// The longest: about ten years.
pub const RETENTION_MS_MAX: u64 = 3_660 * 24 * 3_600_000;

/// Something about one conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Its name.
    pub conversation: String,
    /// The user who asks. `None`: the product's own back end, which may do everything.
    pub by: Option<String>,
    /// What to do.
    pub action: Action,
}

/// What to do. The edge has checked names and bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Have the conversation be there, with these among its members: nobody is removed by it.
    Put {
        /// At most [`MEMBERS_A_CALL_MAX`].
        members: BTreeMap<String, Role>,
        /// How long messages are kept. Of an existing conversation, `None` leaves it as it is.
        retention_ms: Option<u64>,
    },
    /// Have a user be a member, in this role.
    PutMember {
        /// Who.
        user: String,
        /// As what.
        role: Role,
    },
    /// Have a user be no member. Members may leave by themselves.
    RemoveMember {
        /// Who.
        user: String,
    },
    /// Say something, once for each `client_id` of a sender.
    Send(Outgoing),
    /// Say something else instead.
    Edit {
        /// The message.
        seq: u64,
        /// JSON, at most [`MESSAGE_BYTES_MAX`] bytes.
        body: String,
    },
    /// Take a message back. What it said is kept nowhere.
    Delete {
        /// The message.
        seq: u64,
    },
    /// Have somebody's reaction be there.
    React(Reaction),
    /// Have it not be there.
    Unreact(Reaction),
    /// Move a member's read marker: forwards, or not at all.
    Read {
        /// Whose.
        user: String,
        /// Everything up to here is read.
        seq: u64,
    },
}

/// A message on its way in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outgoing {
    /// Names it among all that its sender ever sends here: a repeat is told from a new message by it.
    pub client_id: String,
    /// Who says it.
    pub sender: String,
    /// JSON, at most [`MESSAGE_BYTES_MAX`] bytes; nobody here reads it.
    pub body: String,
    /// The message that it answers.
    pub reply_to: Option<u64>,
}

/// One kind of reaction of one member to one message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reaction {
    /// The message.
    pub seq: u64,
    /// Which.
    pub kind: String,
    /// Whose.
    pub by: String,
}

/// What a member may do. Later ones may do all that earlier ones may.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum Role {
    /// Read, and move their own marker.
    Reader,
    /// Send and react, edit and delete what they sent.
    #[default]
    Writer,
    /// Delete what others sent, and say who is a member.
    Moderator,
}

impl Role {
    /// As callers write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Writer => "writer",
            Self::Moderator => "moderator",
        }
    }
}

/// A yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The conversation as it is now, and whether it is new.
    Conversation(ConversationView, bool),
    /// A member as they are now, and whether they are new.
    Member(MemberView, bool),
    /// They are no member.
    Removed,
    /// Where the message is.
    Sent(SentView),
    /// Where what changed a message is.
    Changed {
        /// The message.
        message: u64,
        /// The change, in the same sequence. A repeat that changed nothing has none.
        seq: Option<u64>,
    },
    /// How far somebody has read.
    Read {
        /// The marker.
        seq: u64,
        /// What is unread after it.
        unread: u64,
    },
}

/// A message's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentView {
    /// Its sequence.
    pub seq: u64,
    /// When it was decided.
    pub at: Time,
    /// Whether it was there already.
    pub duplicate: bool,
}

/// A conversation as answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationView {
    /// Its name.
    pub conversation: String,
    /// When it was created.
    pub created_at: Time,
    /// How many members it has.
    pub members: u64,
    /// How many messages it ever had.
    pub messages: u64,
    /// When the last of them was sent.
    pub last_message_at: Option<Time>,
    /// How long messages are kept.
    pub retention_ms: u64,
    /// The first sequence that is kept.
    pub first: u64,
    /// The last sequence; 0 if nothing has happened.
    pub last: u64,
}

/// A member as answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberView {
    /// Who.
    pub user: String,
    /// What they may do.
    pub role: Role,
    /// Since when.
    pub joined_at: Time,
    /// How far they have read.
    pub read: u64,
    /// Messages after that, not their own, not deleted.
    pub unread: u64,
}

/// A no: the command had no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such conversation.
    NoConversation,
    /// There is no such message, or it is not kept any more.
    NoMessage,
    /// Only members may.
    NotAMember {
        /// Who is none.
        user: String,
    },
    /// A member may, in another role.
    RoleTooLow {
        /// The role that it takes.
        needs: Role,
    },
    /// Nobody may speak for somebody else.
    NotYours,
    /// The sender has sent something else under the same client id.
    ClientIdTaken {
        /// What has it.
        seq: u64,
    },
    /// A message that was deleted is not edited, nor reacted to.
    MessageDeleted,
    /// It was edited as often as may be.
    TooManyEdits,
    /// It has as many kinds of reactions as may be.
    TooManyReactions,
    /// The conversation has as many members as may be.
    TooManyMembers,
    /// Too much lies between the marker and there, and between there and the newest.
    ReadTooFar,
}

impl Refusal {
    /// The code under which it is answered and counted.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoConversation | Self::NoMessage => "not_found",
            Self::NotAMember { .. } => "not_a_member",
            Self::RoleTooLow { .. } | Self::NotYours => "forbidden",
            Self::ClientIdTaken { .. } => "idempotency_conflict",
            Self::MessageDeleted => "message_deleted",
            Self::TooManyEdits => "too_many_edits",
            Self::TooManyReactions => "too_many_reactions",
            Self::TooManyMembers => "too_many_members",
            Self::ReadTooFar => "read_too_far",
        }
    }
}
