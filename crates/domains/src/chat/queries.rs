//! Reads of committed state.

use super::{
    MemberView, Message, Refusal, Role, Told,
    commands::ConversationView,
    conversation::Unfolded,
    decide::describe,
    events::{EventsPage, events},
    inbox::{NEWEST, order_key},
    members,
    tables::{
        Amendment, Amendments, Conversation, Conversations, Happenings, Inbox, InboxOrder, Members,
        Messages, Place, Reactions, What,
    },
};
use crate::reservations::{PAGE_BYTES_MAX, PAGE_ROWS_MAX};
use evenkeel_engine::{Position, Stop, TenantId, Time};
use evenkeel_log::Incarnation;
use evenkeel_state::{Order, Read, StateError};
use std::ops::Bound;

/// What an item takes beside its body: field names, names, numbers, times.
pub(super) const ITEM_BYTES: usize = 1_024;

/// What can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// One conversation.
    Conversation {
        /// Its name.
        conversation: String,
        /// The user who asks; `None` if the back end does.
        by: Option<String>,
    },
    /// Its members, by name.
    Members {
        /// The conversation.
        conversation: String,
        /// The user who asks.
        by: Option<String>,
        /// After this name.
        after: Option<String>,
        /// At most so many.
        limit: usize,
    },
    /// Its messages.
    Messages {
        /// The conversation.
        conversation: String,
        /// The user who asks.
        by: Option<String>,
        /// From where, and which way.
        from: From,
        /// At most so many.
        limit: usize,
    },
    /// One message.
    Message {
        /// The conversation.
        conversation: String,
        /// The user who asks.
        by: Option<String>,
        /// Which.
        seq: u64,
    },
    /// Who reacted to a message, by kind and name.
    Reactions {
        /// The conversation.
        conversation: String,
        /// The user who asks.
        by: Option<String>,
        /// The message.
        seq: u64,
        /// After this kind and name.
        after: Option<(String, String)>,
        /// At most so many.
        limit: usize,
    },
    /// What happened, oldest first.
    Events {
        /// The conversation.
        conversation: String,
        /// The user who asks.
        by: Option<String>,
        /// Where to begin.
        after: Start,
        /// At most so many.
        limit: usize,
    },
    /// A user's conversations that tell their inbox what is unread, the last active first.
    Inbox {
        /// Whose.
        user: String,
        /// After this one.
        after: Option<(Time, String)>,
        /// At most so many.
        limit: usize,
    },
    /// A user's conversations that have too many members to tell their inboxes, by name.
    Uncounted {
        /// Whose.
        user: String,
        /// At most so many.
        limit: usize,
    },
    /// How conversations of one partition stand for a user: of those that there are and that the user
    /// is a member of.
    Summaries {
        /// The partition of all of them.
        partition: u16,
        /// Whose.
        user: String,
        /// Which.
        conversations: Vec<String>,
    },
}

/// From where messages are read, and which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// Those after this sequence, oldest first.
    After(u64),
    /// Those before this sequence, newest first.
    Before(u64),
}

/// Where events begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With what happens from now on.
    Now,
    /// With the oldest that is kept.
    Oldest,
    /// After this one.
    After(Position),
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// One conversation.
    Conversation(ConversationView),
    /// Members, and the last name looked at if there may be more.
    Members(Vec<MemberView>, Option<String>),
    /// Messages, and the last sequence if there may be more.
    Messages(Vec<MessageView>, Option<u64>),
    /// One message.
    Message(Box<MessageView>),
    /// Reactions, kind and user; and the last if there may be more.
    Reactions(Vec<(String, String)>, Option<(String, String)>),
    /// Events.
    Events(EventsPage),
    /// Conversations of an inbox, and the last if there may be more.
    Inbox(Vec<InboxView>, Option<(Time, String)>),
    /// Names.
    Uncounted(Vec<String>),
    /// Conversations of an inbox, as they stand at this moment.
    Summaries(Vec<InboxView>),
}

/// A message as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageView {
    /// Its sequence.
    pub seq: u64,
    /// The message, saying what it says now.
    pub message: Message,
    /// When it was last edited.
    pub edited_at: Option<Time>,
    /// When it was deleted.
    pub deleted_at: Option<Time>,
    /// How many reactions of each kind it has.
    pub reactions: Vec<(String, u64)>,
}

/// A conversation in an inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxView {
    /// Its name.
    pub conversation: String,
    /// What the user is in it.
    pub role: Role,
    /// How it stands for them.
    pub told: Told,
}

/// Answers `query`.
pub(crate) fn query(
    read: &impl Read,
    incarnation: Incarnation,
    tenant: TenantId,
    query: &Query,
) -> Result<Found, Stop<Refusal>> {
    let let_in =
        |conversation: &str, by: &Option<String>| find(read, tenant, conversation, by.as_deref());
    match query {
        Query::Conversation { conversation, by } => {
            let row = let_in(conversation, by)?;
            Ok(Found::Conversation(describe(conversation, &row)))
        }
        Query::Members { conversation, by, after, limit } => {
            let row = let_in(conversation, by)?;
            Ok(members_page(read, &row, after.as_deref(), *limit)?)
        }
        Query::Messages { conversation, by, from, limit } => {
            let row = let_in(conversation, by)?;
            Ok(messages(read, &row, *from, *limit)?)
        }
        Query::Message { conversation, by, seq } => {
            let row = let_in(conversation, by)?;
            message(read, &row, *seq)
        }
        Query::Reactions { conversation, by, seq, after, limit } => {
            let row = let_in(conversation, by)?;
            reactions(read, &row, *seq, after.clone(), *limit)
        }
        Query::Events { conversation, by, after, limit } => {
            let row = let_in(conversation, by)?;
            Ok(Found::Events(events(read, &row, incarnation, *after, *limit)?))
        }
        Query::Inbox { user, after, limit } => Ok(inbox(read, tenant, user, after, *limit)?),
        Query::Uncounted { user, limit } => Ok(uncounted(read, tenant, user, *limit)?),
        Query::Summaries { partition: _, user, conversations } => {
            Ok(summaries(read, tenant, user, conversations)?)
        }
    }
}

/// The conversation, if `by` may read it.
fn find(
    read: &impl Read,
    tenant: TenantId,
    conversation: &str,
    by: Option<&str>,
) -> Result<Conversation, Stop<Refusal>> {
    let row = read.get::<Conversations>(&(tenant, conversation.to_owned()))?;
    let row = row.ok_or(Stop::Refused(Refusal::NoConversation))?;
    if let Some(user) = by
        && !read.contains::<Members>(&(row.id, user.to_owned()))?
    {
        return Err(Stop::Refused(Refusal::NotAMember { user: user.to_owned() }));
    }
    Ok(row)
}

fn members_page(
    read: &impl Read,
    row: &Conversation,
    after: Option<&str>,
    limit: usize,
) -> Result<Found, StateError> {
    let limit = limit.min(PAGE_ROWS_MAX);
    let after = Bound::Excluded((row.id, after.unwrap_or_default().to_owned()));
    let end = Bound::Excluded((row.id + 1, String::new()));
    let rows = read.scan::<Members>((after, end), Order::Ascending, limit)?;
    let next = rows.last().filter(|_| rows.len() == limit).map(|((_, user), _)| user.clone());
    let unfolded = Unfolded::of(read, row)?;
    let mut views = Vec::with_capacity(rows.len());
    for ((_, user), member) in &rows {
        let unread = unfolded.unread(row, user, member);
        views.push(members::describe(user, member, unread));
    }
    Ok(Found::Members(views, next))
}

/// A page of messages: both ways, and over segments, one scan.
fn messages(
    read: &impl Read,
    row: &Conversation,
    from: From,
    limit: usize,
) -> Result<Found, StateError> {
    let limit = limit.min(PAGE_ROWS_MAX);
    let id = row.id;
    let (first, order) = match from {
        From::After(seq) => (seq.saturating_add(1).max(row.first()), Order::Ascending),
        From::Before(seq) => (seq.min(row.next).saturating_sub(1), Order::Descending),
    };
    let Some(segment) = row.segment_of(first) else { return Ok(Found::Messages(Vec::new(), None)) };
    let from = (id, segment, first);
    let range = match order {
        Order::Ascending => (Bound::Included(from), Bound::Excluded((id + 1, 0, 0))),
        Order::Descending => (Bound::Included((id, 0, 0)), Bound::Included(from)),
    };
    let rows = read.scan::<Messages>(range, order, limit)?;
    let (mut bytes, mut views) = (0, Vec::with_capacity(rows.len()));
    let mut more = rows.len() == limit;
    let amended = amendments(read, &rows)?;
    for ((_, _, seq), message) in rows {
        bytes += ITEM_BYTES + message.body.len();
        if bytes > PAGE_BYTES_MAX && !views.is_empty() {
            more = true;
            break;
        }
        let amendment = amended.iter().find(|(key, _)| key.2 == seq).map(|(_, found)| found);
        views.push(view(read, row, seq, message, amendment)?);
    }
    let next = views.last().filter(|_| more).map(|view| view.seq);
    Ok(Found::Messages(views, next))
}

/// What became of the messages of a page.
fn amendments(
    read: &impl Read,
    rows: &[(Place, Message)],
) -> Result<Vec<(Place, Amendment)>, StateError> {
    let (Some((one, _)), Some((other, _))) = (rows.first(), rows.last()) else {
        return Ok(Vec::new());
    };
    let range = *one.min(other)..=*one.max(other);
    read.scan::<Amendments>(range, Order::Ascending, rows.len())
}

fn message(read: &impl Read, row: &Conversation, seq: u64) -> Result<Found, Stop<Refusal>> {
    let none = Stop::Refused(Refusal::NoMessage);
    let Some(segment) = row.segment_of(seq) else { return Err(none) };
    let key = (row.id, segment, seq);
    let Some(message) = read.get::<Messages>(&key)? else { return Err(none) };
    let amendment = read.get::<Amendments>(&key)?;
    Ok(Found::Message(Box::new(view(read, row, seq, message, amendment.as_ref())?)))
}

/// A message, saying what its last edit says.
fn view(
    read: &impl Read,
    row: &Conversation,
    seq: u64,
    mut message: Message,
    amendment: Option<&Amendment>,
) -> Result<MessageView, StateError> {
    let Some(Amendment { edits, edited_at, deleted_at, reactions }) = amendment else {
        let (edited_at, deleted_at, reactions) = (None, None, Vec::new());
        return Ok(MessageView { seq, message, edited_at, deleted_at, reactions });
    };
    if let Some(last) = edits.last()
        && let Some(segment) = row.segment_of(*last)
        && let Some(edit) = read.get::<Happenings>(&(row.id, segment, *last))?
        && let What::Edited { body, .. } = edit.what
    {
        message.body = body;
    }
    let (edited_at, deleted_at, reactions) = (*edited_at, *deleted_at, reactions.clone());
    Ok(MessageView { seq, message, edited_at, deleted_at, reactions })
}

fn reactions(
    read: &impl Read,
    row: &Conversation,
    seq: u64,
    after: Option<(String, String)>,
    limit: usize,
) -> Result<Found, Stop<Refusal>> {
    let limit = limit.min(PAGE_ROWS_MAX);
    let segment = row.segment_of(seq).ok_or(Stop::Refused(Refusal::NoMessage))?;
    if !read.contains::<Messages>(&(row.id, segment, seq))? {
        return Err(Stop::Refused(Refusal::NoMessage));
    }
    let (kind, user) = after.unwrap_or_default();
    let after = Bound::Excluded((row.id, segment, seq, kind, user));
    let end = Bound::Excluded((row.id, segment, seq + 1, String::new(), String::new()));
    let rows = read.scan::<Reactions>((after, end), Order::Ascending, limit)?;
    let more = rows.len() == limit;
    let pairs = rows.into_iter().map(|((_, _, _, kind, user), ())| (kind, user));
    let pairs: Vec<_> = pairs.collect();
    let next = pairs.last().filter(|_| more).cloned();
    Ok(Found::Reactions(pairs, next))
}

fn inbox(
    read: &impl Read,
    tenant: TenantId,
    user: &str,
    after: &Option<(Time, String)>,
    limit: usize,
) -> Result<Found, StateError> {
    let limit = limit.min(PAGE_ROWS_MAX);
    let from = match after {
        Some((at, conversation)) => {
            Bound::Excluded(order_key(tenant, user, Some(*at), conversation))
        }
        None => Bound::Included((tenant, user.to_owned(), NEWEST, String::new())),
    };
    let end = Bound::Excluded((tenant, user.to_owned(), u64::MAX, String::new()));
    let rows = read.scan::<InboxOrder>((from, end), Order::Ascending, limit)?;
    let next = rows.last().filter(|_| rows.len() == limit);
    let next =
        next.map(|((_, _, at, conversation), ())| (Time(u64::MAX - at), conversation.clone()));
    let mut views = Vec::with_capacity(rows.len());
    for ((_, user, _, conversation), ()) in rows {
        let entry = read.get::<Inbox>(&(tenant, user, conversation.clone()))?;
        if let Some(entry) = entry
            && let Some(told) = entry.told
        {
            views.push(InboxView { conversation, role: entry.role, told });
        }
    }
    Ok(Found::Inbox(views, next))
}

/// The names of a user's conversations that do not tell their inbox what is unread.
fn uncounted(
    read: &impl Read,
    tenant: TenantId,
    user: &str,
    limit: usize,
) -> Result<Found, StateError> {
    let limit = limit.min(PAGE_ROWS_MAX);
    let range = order_key(tenant, user, None, "")..(tenant, user.to_owned(), NEWEST, String::new());
    let rows = read.scan::<InboxOrder>(range, Order::Ascending, limit)?;
    let mut names = Vec::with_capacity(rows.len());
    for ((_, _, _, conversation), ()) in rows {
        names.push(conversation);
    }
    Ok(Found::Uncounted(names))
}

fn summaries(
    read: &impl Read,
    tenant: TenantId,
    user: &str,
    conversations: &[String],
) -> Result<Found, StateError> {
    let mut views = Vec::with_capacity(conversations.len());
    for conversation in conversations {
        let Some(row) = read.get::<Conversations>(&(tenant, conversation.clone()))? else {
            continue;
        };
        if let Some(member) = read.get::<Members>(&(row.id, user.to_owned()))? {
            let told = Unfolded::of(read, &row)?.summary(&row, user, &member);
            let conversation = conversation.clone();
            views.push(InboxView { conversation, role: member.role, told });
        }
    }
    Ok(Found::Summaries(views))
}
