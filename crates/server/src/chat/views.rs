//! The bodies that callers get.

use crate::{json::Verbatim, time::Rfc3339};
use evenkeel_domains::chat::{ConversationView, InboxView, MemberView, MessageView, SentView};
use evenkeel_engine::Position;
use evenkeel_log::Incarnation;
use serde::{Serialize, Serializer, ser::SerializeMap};
use utoipa::ToSchema;

/// A conversation.
#[derive(Serialize, ToSchema)]
#[schema(as = Conversation)]
pub(crate) struct ConversationBody<'c> {
    /// Its name.
    conversation: &'c str,
    #[schema(value_type = String, format = DateTime)]
    created_at: Rfc3339,
    /// How many members it has.
    members: u64,
    /// How many messages it ever had.
    messages: u64,
    /// When the last was sent; null if none was.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_message_at: Option<Rfc3339>,
    /// How long messages are kept.
    retention_ms: u64,
    /// The first sequence that is kept.
    first_seq: u64,
    /// The last sequence.
    last_seq: u64,
    /// Where its stream is: follow it from here.
    position: String,
}

impl<'c> ConversationBody<'c> {
    pub(crate) fn new(view: &'c ConversationView, incarnation: Incarnation) -> Self {
        Self {
            conversation: &view.conversation,
            created_at: Rfc3339(view.created_at),
            members: view.members,
            messages: view.messages,
            last_message_at: view.last_message_at.map(Rfc3339),
            retention_ms: view.retention_ms,
            first_seq: view.first,
            last_seq: view.last,
            position: Position { incarnation, sequence: view.last }.to_string(),
        }
    }
}

/// A member.
#[derive(Serialize, ToSchema)]
#[schema(as = Member)]
pub(crate) struct MemberBody<'m> {
    user: &'m str,
    /// reader, writer or moderator.
    #[schema(value_type = String)]
    role: &'static str,
    #[schema(value_type = String, format = DateTime)]
    joined_at: Rfc3339,
    /// How far they have read.
    read_seq: u64,
    /// Messages after that, not their own, not deleted.
    unread: u64,
}

impl<'m> MemberBody<'m> {
    pub(crate) fn new(view: &'m MemberView) -> Self {
        Self {
            user: &view.user,
            role: view.role.name(),
            joined_at: Rfc3339(view.joined_at),
            read_seq: view.read,
            unread: view.unread,
        }
    }
}

/// A page of members.
#[derive(Serialize, ToSchema)]
pub(crate) struct MemberList<'m> {
    pub(crate) items: Vec<MemberBody<'m>>,
    /// Where the list goes on; null only at its end.
    pub(crate) cursor: Option<String>,
}

/// Where a message is.
#[derive(Serialize, ToSchema)]
#[schema(as = Sent)]
pub(crate) struct SentBody {
    /// Its place in the conversation.
    seq: u64,
    #[schema(value_type = String, format = DateTime)]
    at: Rfc3339,
    /// Whether it was there already.
    duplicate: bool,
}

impl SentBody {
    pub(crate) fn new(view: &SentView) -> Self {
        Self { seq: view.seq, at: Rfc3339(view.at), duplicate: view.duplicate }
    }
}

/// What became of a change.
#[derive(Serialize, ToSchema)]
#[schema(as = Changed)]
pub(crate) struct ChangedBody {
    /// The message.
    pub(crate) message: u64,
    /// The change's own place in the conversation; null if nothing had to change.
    pub(crate) seq: Option<u64>,
}

/// How far somebody has read.
#[derive(Serialize, ToSchema)]
#[schema(as = ReadMarker)]
pub(crate) struct ReadBody {
    /// The marker: it never goes back.
    pub(crate) seq: u64,
    /// What is unread after it.
    pub(crate) unread: u64,
}

/// A message as it is now.
#[derive(Serialize, ToSchema)]
#[schema(as = Message)]
pub(crate) struct MessageBody<'m> {
    /// Its place in the conversation.
    seq: u64,
    #[schema(value_type = String, format = DateTime)]
    at: Rfc3339,
    sender: &'m str,
    client_id: &'m str,
    /// The message that it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<u64>,
    /// What it says; null once it is deleted.
    #[schema(value_type = Option<Object>)]
    body: Option<Verbatim<'m>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    edited_at: Option<Rfc3339>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    deleted_at: Option<Rfc3339>,
    /// How many reactions of each kind it has.
    #[schema(value_type = Object)]
    reactions: Counts<'m>,
}

/// A number for each name.
pub(crate) struct Counts<'c>(pub(crate) &'c [(String, u64)]);

impl Serialize for Counts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (kind, count) in self.0 {
            map.serialize_entry(kind, count)?;
        }
        map.end()
    }
}

impl<'m> MessageBody<'m> {
    pub(crate) fn new(view: &'m MessageView) -> Self {
        let message = &view.message;
        Self {
            seq: view.seq,
            at: Rfc3339(message.at),
            sender: &message.sender,
            client_id: &message.client_id,
            reply_to: message.reply_to,
            body: (!message.is_deleted()).then(|| Verbatim(&message.body)),
            edited_at: view.edited_at.map(Rfc3339),
            deleted_at: view.deleted_at.map(Rfc3339),
            reactions: Counts(&view.reactions),
        }
    }
}

/// A page of messages.
#[derive(Serialize, ToSchema)]
pub(crate) struct MessageList<'m> {
    pub(crate) items: Vec<MessageBody<'m>>,
    /// Where the list goes on; null only at its end.
    pub(crate) cursor: Option<String>,
}

/// Somebody's reaction.
#[derive(Serialize, ToSchema)]
#[schema(as = Reaction)]
pub(crate) struct ReactionBody<'r> {
    pub(crate) kind: &'r str,
    pub(crate) user: &'r str,
}

/// A page of reactions.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReactionList<'r> {
    pub(crate) items: Vec<ReactionBody<'r>>,
    /// Where the list goes on; null only at its end.
    pub(crate) cursor: Option<String>,
}

/// A conversation in an inbox.
#[derive(Serialize, ToSchema)]
pub(crate) struct InboxItem<'i> {
    conversation: &'i str,
    /// reader, writer or moderator.
    #[schema(value_type = String)]
    role: &'static str,
    /// Messages after the user's marker, not their own, not deleted.
    unread: u64,
    /// How far the user has read.
    read_seq: u64,
    /// The last sequence.
    last_seq: u64,
    /// When the last message was sent, or the user joined, if that was later.
    #[schema(value_type = String, format = DateTime)]
    active_at: Rfc3339,
}

impl<'i> InboxItem<'i> {
    pub(crate) fn new(view: &'i InboxView) -> Self {
        Self {
            conversation: &view.conversation,
            role: view.role.name(),
            unread: view.told.unread,
            read_seq: view.told.read,
            last_seq: view.told.last,
            active_at: Rfc3339(view.told.active_at),
        }
    }
}

/// A page of an inbox.
#[derive(Serialize, ToSchema)]
pub(crate) struct InboxList<'i> {
    pub(crate) items: Vec<InboxItem<'i>>,
    /// Where the list goes on; null only at its end.
    pub(crate) cursor: Option<String>,
}
