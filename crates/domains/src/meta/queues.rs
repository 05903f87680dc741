//! What is decided about queues: their settings, whether they give out and take in, their end.

use super::{
    ALL_QUEUES_MAX, QUEUES_MAX, QueueMode, Refusal, Reply,
    tables::{ALL_TENANTS, Count, Queue, QueueCounts, QueuePush, QueuePushes, Queues},
};
use crate::jobs::{Push, PushRequest, Settings};
use evenkeel_engine::{Context, Stop, TenantId};
use evenkeel_state::{Read, StateError};

/// Changes of one queue in one millisecond, as far as their versions are those of that time.
const CHANGES_A_MS: u64 = 1_024;

type Decided = Result<Reply, Stop<Refusal>>;
/// Whose a queue is, and its name.
type Key = (TenantId, String);

pub(super) fn put(
    ctx: &mut Context<'_, '_>,
    key: &Key,
    settings: &Settings,
    push: Option<&PushRequest>,
    partitions: u16,
) -> Decided {
    let before = ctx.tx.get::<Queues>(key)?.map(|queue| queue.0);
    let has = before.unwrap_or(Settings::of(partitions));
    let spread = if settings.spread == 0 { has.spread } else { settings.spread };
    let Settings { version, paused, draining, .. } = has;
    let settings = Settings { version, paused, draining, spread, ..*settings };
    settings.check(partitions).map_err(|error| Stop::Refused(Refusal::BadSettings(error)))?;
    put_push(ctx, key, push)?;
    match before {
        Some(before) if before == settings => {
            return Ok(Reply::Queue(Box::new(settings), false));
        }
        Some(before) if before.spread != settings.spread => {
            return Err(Stop::Refused(Refusal::QueueFixed));
        }
        Some(_) => {}
        None => {
            for (scope, most) in [(key.0, QUEUES_MAX), (ALL_TENANTS, ALL_QUEUES_MAX)] {
                let count = count(ctx, scope)?;
                if count >= most {
                    return Err(Stop::Refused(Refusal::TooManyQueues));
                }
                ctx.tx.put::<QueueCounts>(&scope, &Count(count + 1));
            }
        }
    }
    Ok(write(ctx, key, settings, before.is_none()))
}

/// Where its jobs are sent from now on, or that they are not.
fn put_push(
    ctx: &mut Context<'_, '_>,
    key: &Key,
    push: Option<&PushRequest>,
) -> Result<(), Stop<Refusal>> {
    let before = ctx.tx.get::<QueuePushes>(key)?.map(|push| push.0);
    let Some(request) = push else {
        if before.is_some() {
            ctx.tx.delete::<QueuePushes>(key);
        }
        return Ok(());
    };
    let push = Push::put(request.clone(), before.as_ref(), ctx.now())
        .map_err(|error| Stop::Refused(Refusal::BadPush(error)))?;
    if before.as_ref() != Some(&push) {
        ctx.tx.put::<QueuePushes>(key, &QueuePush(push));
    }
    Ok(())
}

/// Nothing happens if it is not sent so any more.
pub(super) fn disable_push(
    ctx: &mut Context<'_, '_>,
    key: &Key,
    version: u64,
    reason: &str,
) -> Decided {
    let Some(QueuePush(mut push)) = ctx.tx.get::<QueuePushes>(key)? else {
        return Ok(Reply::Done);
    };
    if push.version == version {
        push.disable(reason, ctx.now());
        ctx.tx.put::<QueuePushes>(key, &QueuePush(push));
    }
    Ok(Reply::Done)
}

pub(super) fn set_mode(ctx: &mut Context<'_, '_>, key: &Key, mode: QueueMode) -> Decided {
    let Some(Queue(before)) = ctx.tx.get::<Queues>(key)? else {
        return Err(Stop::Refused(Refusal::NoQueue));
    };
    let settings = match mode {
        QueueMode::Open => Settings { paused: false, draining: false, ..before },
        QueueMode::Paused => Settings { paused: true, ..before },
        QueueMode::Draining => Settings { draining: true, ..before },
    };
    if settings == before {
        return Ok(Reply::Queue(Box::new(settings), false));
    }
    Ok(write(ctx, key, settings, false))
}

pub(super) fn delete(ctx: &mut Context<'_, '_>, key: &Key) -> Decided {
    let Some(Queue(settings)) = ctx.tx.get::<Queues>(key)? else {
        return Err(Stop::Refused(Refusal::NoQueue));
    };
    if !settings.draining {
        return Err(Stop::Refused(Refusal::QueueNotDraining));
    }
    ctx.tx.delete::<Queues>(key);
    put_push(ctx, key, None)?;
    for scope in [key.0, ALL_TENANTS] {
        let count = count(ctx, scope)?;
        ctx.tx.put::<QueueCounts>(&scope, &Count(count.saturating_sub(1)));
    }
    Ok(Reply::Done)
}

/// Versions are times, so that a queue that is put again after it was deleted has a later one than
/// partitions still know; finer ones than those of records, or some changes within a millisecond would
/// leave them ahead.
fn write(ctx: &mut Context<'_, '_>, key: &Key, settings: Settings, new: bool) -> Reply {
    let version = ctx.now().0.saturating_mul(CHANGES_A_MS).max(settings.version + 1);
    let settings = Settings { version, ..settings };
    ctx.tx.put::<Queues>(key, &Queue(settings));
    Reply::Queue(Box::new(settings), new)
}

/// How many queues a tenant has, or all have.
fn count(ctx: &Context<'_, '_>, scope: TenantId) -> Result<u64, StateError> {
    Ok(ctx.tx.get::<QueueCounts>(&scope)?.unwrap_or_default().0)
}
