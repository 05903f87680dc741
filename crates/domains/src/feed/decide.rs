//! Decisions: what a command does to a feed, or why it does nothing.

use super::{
    Action, Command, Refusal, Reply, posts, reactions, spread, subject::Subject, tables::Users,
    ties,
};
use crate::Domains;
use evenkeel_engine::{Context, Stop, TenantId};
use evenkeel_state::{Read, StateError};

/// A timer is due: of what is to be carried to partitions, or of counts that they are to be told.
pub(crate) fn timer(ctx: &mut Context<'_, '_>, entity: u64) -> Result<(), StateError> {
    match entity {
        spread::COUNTS_TIMER => spread::tell_counts(ctx),
        _ => spread::step(ctx),
    }
}

/// Decides `command`.
pub(crate) fn decide(
    ctx: &mut Context<'_, '_>,
    domains: &Domains,
    tenant: TenantId,
    command: &Command,
) -> Result<Reply, Stop<Refusal>> {
    let Command { user, by, action } = command;
    let actor = match action {
        Action::React { reactor, .. } => reactor,
        _ => user,
    };
    if by.as_ref().is_some_and(|by| by != actor) {
        return Err(Stop::Refused(Refusal::NotYours));
    }
    let key = (tenant, user.clone());
    // Whoever was never heard of is not made up to have nothing with somebody.
    let is_ended = match action {
        Action::Follow { author: other, on: false } | Action::Tie { other, on: false, .. } => {
            user != other
        }
        _ => false,
    };
    if is_ended && !ctx.tx.contains::<Users>(&key)? {
        return Ok(Reply::Set(false));
    }
    let mut subject = Subject::of_name(ctx, key)?;
    let reply = match action {
        Action::Post { client_id, body } => posts::post(&mut subject, client_id, body)?,
        Action::Delete { post } => posts::delete(&mut subject, *post)?,
        Action::Follow { author, on } => ties::follow(&mut subject, domains, author, *on)?,
        Action::Tie { other, tie, on } => ties::tie(&mut subject, domains, other, *tie, *on)?,
        Action::React { post, kind, reactor, on } => {
            reactions::react(&mut subject, *post, (kind, reactor), *on)?
        }
    };
    subject.save();
    Ok(reply)
}
