//! Decisions: what a command does to a conversation, or why it does nothing.

use super::{
    Action, Command, RETENTION_MS, Refusal, Reply, Role, What,
    commands::ConversationView,
    conversation::{Subject, begin},
    members, messages, rounds,
    tables::{Conversation, ConversationCounter, ConversationName, ConversationNames, Count},
};
use crate::Domains;
use evenkeel_engine::{Context, Stop, TenantId};
use evenkeel_state::{Read, StateError};
use std::collections::BTreeMap;

type Decided = Result<Reply, Stop<Refusal>>;

/// A timer is due: of the partition's rounds, or of a conversation's oldest segment.
pub(crate) fn timer(
    ctx: &mut Context<'_, '_>,
    domains: &Domains,
    entity: u64,
) -> Result<(), StateError> {
    if entity == rounds::TIMER {
        return rounds::step(ctx, domains);
    }
    if let Some(mut subject) = Subject::of_id(ctx, entity)? {
        subject.settle();
        subject.save();
    }
    Ok(())
}

/// Decides `command`.
pub(crate) fn decide(
    ctx: &mut Context<'_, '_>,
    domains: &Domains,
    tenant: TenantId,
    command: &Command,
) -> Decided {
    let Command { conversation, by, action } = command;
    let by = by.as_deref();
    let key = (tenant, conversation.clone());
    if let Action::Put { members, retention_ms } = action {
        return put(ctx, domains, (key, by), members, *retention_ms);
    }
    let subject = Subject::find(ctx, key)?;
    let mut subject = subject.ok_or(Stop::Refused(Refusal::NoConversation))?;
    let reply = match action {
        Action::Put { .. } => unreachable!("it is decided above"),
        Action::PutMember { user, role } => members::put(&mut subject, domains, by, (user, *role))?,
        Action::RemoveMember { user } => members::remove(&mut subject, domains, by, user)?,
        Action::Send(outgoing) => messages::send(&mut subject, domains, by, outgoing)?,
        Action::Edit { seq, body } => messages::edit(&mut subject, by, *seq, body)?,
        Action::Delete { seq } => messages::delete(&mut subject, by, *seq)?,
        Action::React(reaction) => messages::react(&mut subject, by, reaction)?,
        Action::Unreact(reaction) => messages::unreact(&mut subject, by, reaction)?,
        Action::Read { user, seq } => messages::read(&mut subject, domains, by, (user, *seq))?,
    };
    subject.save();
    Ok(reply)
}

fn put(
    ctx: &mut Context<'_, '_>,
    domains: &Domains,
    (key, by): ((TenantId, String), Option<&str>),
    members: &BTreeMap<String, Role>,
    retention_ms: Option<u64>,
) -> Decided {
    let found = ctx.tx.get::<super::tables::Conversations>(&key)?;
    let is_new = found.is_none();
    let row = match found {
        Some(row) => row,
        None => create(ctx, &key, retention_ms.unwrap_or(RETENTION_MS))?,
    };
    let mut subject = Subject { ctx, key, row, changed: is_new };
    if is_new {
        for (user, role) in members {
            members::enter(&mut subject, user, *role)?;
        }
        subject.happen(by, What::Created { members: members.clone().into_iter().collect() });
        members::tell_new(&mut subject, domains, members.keys().map(String::as_str))?;
    } else {
        members::check(&subject, by, Role::Moderator)?;
        if let Some(retention_ms) = retention_ms.filter(|ms| *ms != subject.row.retention_ms) {
            subject.row.retention_ms = retention_ms;
            subject.aim();
            subject.happen(by, What::RetentionChanged { retention_ms });
        }
        members::add_missing(&mut subject, domains, by, members)?;
    }
    let view = describe(&subject.key.1, &subject.row);
    subject.save();
    Ok(Reply::Conversation(view, is_new))
}

fn create(
    ctx: &mut Context<'_, '_>,
    key: &(TenantId, String),
    retention_ms: u64,
) -> Result<Conversation, StateError> {
    let Count(last) = ctx.tx.get::<ConversationCounter>(&())?.unwrap_or_default();
    let id = last + 1;
    ctx.tx.put::<ConversationCounter>(&(), &Count(id));
    let name = ConversationName { tenant: key.0, name: key.1.clone() };
    ctx.tx.put::<ConversationNames>(&id, &name);
    Ok(begin(id, ctx.now(), retention_ms))
}

/// A conversation as answered.
pub(super) fn describe(name: &str, row: &Conversation) -> ConversationView {
    ConversationView {
        conversation: name.to_owned(),
        created_at: row.created_at,
        members: row.members,
        messages: row.sent,
        last_message_at: (row.sent > 0).then_some(row.last_message_at),
        retention_ms: row.retention_ms,
        first: row.first(),
        last: row.next - 1,
    }
}
