//! Whom a user follows, blocks and mutes, and what that is to the other.
//!
//! Each side is decided where its user is, and hears of the other by the outbox, in order. Whoever follows
//! decides that they do; whoever is followed may answer that they have blocked, which undoes it.

use super::{
    FOLLOWING_MAX, Refusal, Reply, TIES_MAX, Tie,
    copies::{self, Item},
    spread,
    subject::Subject,
    tables::{Audience, Blockers, Follow, Followers, Follows, Listeners, Since, Tied, Ties},
};
use crate::{Domains, route::user_partition};
use evenkeel_engine::{Stop, Time};
use evenkeel_state::{Read, StateError};

type Decided = Result<Reply, Stop<Refusal>>;

/// Whether one of the two has blocked the other.
pub(super) fn are_apart(read: &impl Read, user: u64, other: &str) -> Result<bool, StateError> {
    let key = (user, other.to_owned());
    let has_blocked = read.get::<Ties>(&key)?.is_some_and(|tied| tied.blocked_at.is_some());
    Ok(has_blocked || read.contains::<Blockers>(&key)?)
}

/// Follows `author`, or does not any more.
pub(super) fn follow(
    subject: &mut Subject<'_, '_, '_>,
    domains: &Domains,
    author: &str,
    on: bool,
) -> Decided {
    if subject.key.1 == author {
        return Err(Stop::Refused(Refusal::Oneself));
    }
    let key = (subject.row.id, author.to_owned());
    if !on {
        return Ok(Reply::Set(unfollow(subject, domains, author)?));
    }
    if subject.ctx.tx.contains::<Follows>(&key)? {
        return Ok(Reply::Set(false));
    }
    if are_apart(&*subject.ctx.tx, subject.row.id, author)? {
        return Err(Stop::Refused(Refusal::Blocked));
    }
    if subject.row.following >= FOLLOWING_MAX {
        return Err(Stop::Refused(Refusal::TooManyFollowed));
    }
    let at = subject.ctx.now();
    let id = copies::one_more(subject.ctx, &(subject.key.0, author.to_owned()))?;
    let tied = tied_to(subject, author)?;
    let follow = Follow { at, author: id, is_muted: tied.muted_at.is_some() };
    subject.ctx.tx.put::<Follows>(&key, &follow);
    subject.row.following += 1;
    subject.changed = true;
    let follower = subject.key.1.clone();
    let item = Item::Follow { author: author.to_owned(), follower, since: at };
    send(subject, domains, author, item)?;
    Ok(Reply::Set(true))
}

/// Ends following `author`, if that is so. Answers whether it was.
fn unfollow(
    subject: &mut Subject<'_, '_, '_>,
    domains: &Domains,
    author: &str,
) -> Result<bool, StateError> {
    let key = (subject.row.id, author.to_owned());
    if !subject.ctx.tx.contains::<Follows>(&key)? {
        return Ok(false);
    }
    subject.ctx.tx.delete::<Follows>(&key);
    copies::one_less(subject.ctx, &(subject.key.0, author.to_owned()))?;
    subject.row.following -= 1;
    subject.changed = true;
    let follower = subject.key.1.clone();
    send(subject, domains, author, Item::Unfollow { author: author.to_owned(), follower })?;
    Ok(true)
}

/// Blocks or mutes `other`, or does not any more.
pub(super) fn tie(
    subject: &mut Subject<'_, '_, '_>,
    domains: &Domains,
    other: &str,
    tie: Tie,
    on: bool,
) -> Decided {
    if subject.key.1 == other {
        return Err(Stop::Refused(Refusal::Oneself));
    }
    let now = subject.ctx.now();
    let mut tied = tied_to(subject, other)?;
    let was = tied;
    let since = match tie {
        Tie::Block => &mut tied.blocked_at,
        Tie::Mute => &mut tied.muted_at,
    };
    if since.is_some() == on {
        return Ok(Reply::Set(false));
    }
    *since = on.then_some(now);
    let (none, is_first) = (Tied::default(), was == Tied::default());
    if is_first && subject.row.ties >= TIES_MAX {
        return Err(Stop::Refused(Refusal::TooManyTies));
    }
    subject.row.ties = subject.row.ties + u64::from(is_first) - u64::from(tied == none);
    put_tied(subject, other, &tied);
    match tie {
        Tie::Mute => {
            let key = (subject.row.id, other.to_owned());
            if let Some(mut follow) = subject.ctx.tx.get::<Follows>(&key)? {
                follow.is_muted = on;
                subject.ctx.tx.put::<Follows>(&key, &follow);
            }
        }
        Tie::Block => {
            let was_last = on && {
                unfollow(subject, domains, other)?;
                lose_follower(subject, domains, other)?
            };
            tell_blocked(subject, domains, other, on)?;
            if was_last {
                let author = subject.key.1.clone();
                send(subject, domains, other, Item::Ended { author, since: now })?;
            }
        }
    }
    Ok(Reply::Set(true))
}

fn tied_to(subject: &Subject<'_, '_, '_>, other: &str) -> Result<Tied, StateError> {
    let key = (subject.row.id, other.to_owned());
    Ok(subject.ctx.tx.get::<Ties>(&key)?.unwrap_or_default())
}

fn put_tied(subject: &mut Subject<'_, '_, '_>, other: &str, tied: &Tied) {
    let key = (subject.row.id, other.to_owned());
    if *tied == Tied::default() {
        subject.ctx.tx.delete::<Ties>(&key);
    } else {
        subject.ctx.tx.put::<Ties>(&key, tied);
    }
    subject.changed = true;
}

fn tell_blocked(
    subject: &mut Subject<'_, '_, '_>,
    domains: &Domains,
    user: &str,
    is_blocked: bool,
) -> Result<(), StateError> {
    let by = subject.key.1.clone();
    send(subject, domains, user, Item::Blocked { user: user.to_owned(), by, is_blocked })
}

/// Sends to where `user` is.
fn send(
    subject: &mut Subject<'_, '_, '_>,
    domains: &Domains,
    user: &str,
    item: Item,
) -> Result<(), StateError> {
    let tenant = subject.key.0;
    let place = user_partition(tenant, user, domains.partitions);
    subject.ctx.send(place, tenant, &crate::Item::Feed(item))
}

/// Somebody says, where they are, that they follow this user since then.
pub(super) fn gain_follower(
    subject: &mut Subject<'_, '_, '_>,
    domains: &Domains,
    follower: &str,
    since: Time,
) -> Result<(), StateError> {
    if tied_to(subject, follower)?.blocked_at.is_some() {
        return tell_blocked(subject, domains, follower, true);
    }
    let key = (subject.row.id, follower.to_owned());
    if subject.ctx.tx.contains::<Followers>(&key)? {
        return Ok(());
    }
    subject.ctx.tx.put::<Followers>(&key, &Since(since));
    subject.row.followers += 1;
    subject.changed = true;
    let place = user_partition(subject.key.0, follower, domains.partitions);
    let there = (subject.row.id, place.0);
    let listeners = match subject.ctx.tx.get::<Audience>(&there)? {
        Some(listeners) => Listeners { count: listeners.count + 1, ..listeners },
        None => Listeners { count: 1, since, refill: spread::begin_refill(subject, place, since)? },
    };
    subject.ctx.tx.put::<Audience>(&there, &listeners);
    Ok(())
}

/// `follower` follows this user no more, if they did. Answers whether they were the last of their partition of whom it knew.
pub(super) fn lose_follower(
    subject: &mut Subject<'_, '_, '_>,
    domains: &Domains,
    follower: &str,
) -> Result<bool, StateError> {
    let key = (subject.row.id, follower.to_owned());
    if !subject.ctx.tx.contains::<Followers>(&key)? {
        return Ok(false);
    }
    subject.ctx.tx.delete::<Followers>(&key);
    subject.row.followers -= 1;
    subject.changed = true;
    let there = (subject.row.id, user_partition(subject.key.0, follower, domains.partitions).0);
    match subject.ctx.tx.get::<Audience>(&there)? {
        Some(listeners) if listeners.count > 1 => {
            let listeners = Listeners { count: listeners.count - 1, ..listeners };
            subject.ctx.tx.put::<Audience>(&there, &listeners);
            Ok(false)
        }
        _ => {
            subject.ctx.tx.delete::<Audience>(&there);
            Ok(true)
        }
    }
}

/// `by` has blocked this user, or does not any more.
pub(super) fn be_blocked(
    subject: &mut Subject<'_, '_, '_>,
    domains: &Domains,
    by: &str,
    is_blocked: bool,
) -> Result<(), StateError> {
    let key = (subject.row.id, by.to_owned());
    if subject.ctx.tx.contains::<Blockers>(&key)? != is_blocked {
        if is_blocked {
            subject.ctx.tx.put::<Blockers>(&key, &());
            subject.row.blockers += 1;
        } else {
            subject.ctx.tx.delete::<Blockers>(&key);
            subject.row.blockers -= 1;
        }
        subject.changed = true;
    }
    if is_blocked {
        unfollow(subject, domains, by)?;
    }
    Ok(())
}
