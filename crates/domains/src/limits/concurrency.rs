//! Concurrency: slots that are live leases. A slot is free again when its lease is released or its
//! time is over; a lease that is over cannot be brought back, and is given back once.
//!
//! A lease that is due does not count, whether or not its turn to be forgotten has come: that is
//! before the next decision about its subject, a bounded number at once, or by the sweep.

use super::{
    Check, CheckResult, LeaseId, Refusal, Reply,
    policy::NS_A_MS,
    tables::{Due, Key, Keys, Lease, Leases, LeasesDue, RowKey, Slots},
};
use evenkeel_engine::{Context, Stop, TenantId, Time};
use evenkeel_state::{Order, Read, StateError};

/// Leases that end in one turn, and that an answer looks through.
pub const EXPIRE_MAX: usize = 256;

impl Slots {
    pub(super) fn none() -> Self {
        Self { used: 0, first_due: Time(u64::MAX) }
    }

    /// With what [`assess`] allowed.
    pub(super) fn with(self, check: &Check, now: Time) -> Self {
        let due = now.plus_ms(check.policy().period_ms);
        Self { used: self.used.saturating_add(check.cost()), first_due: self.first_due.min(due) }
    }
}

/// Forgets leases that are due, at most `count_max`, and puts what is left. Answers how many.
pub(super) fn expire(
    ctx: &mut Context<'_, '_>,
    key: RowKey,
    mut slots: Slots,
    count_max: usize,
) -> Result<(Slots, usize), StateError> {
    let now = ctx.now();
    if slots.first_due > now {
        return Ok((slots, 0));
    }
    let rows = due(&*ctx.tx, key, slots.first_due, count_max + 1)?;
    let count = rows.iter().take(count_max).take_while(|row| row.at <= now).count();
    for row in &rows[..count] {
        slots.used = slots.used.saturating_sub(row.slots);
        forget(ctx, key, row.at, row.number);
    }
    slots.first_due = rows.get(count).map_or(Time(u64::MAX), |row| row.at);
    save(ctx, key, &slots);
    Ok((slots, count))
}

/// A lease, by its end.
struct End {
    at: Time,
    number: u64,
    slots: u64,
}

/// The leases that end first, not before `from`, in their order, at most `count_max`.
fn due(
    read: &impl Read,
    (tenant, key): RowKey,
    from: Time,
    count_max: usize,
) -> Result<Vec<End>, StateError> {
    let range = (tenant, key, from.0, 0)..=(tenant, key, u64::MAX, u64::MAX);
    let rows = read.scan::<LeasesDue>(range, Order::Ascending, count_max)?;
    let end = |((_, _, at, number), Due { slots })| End { at: Time(at), number, slots };
    Ok(rows.into_iter().map(end).collect())
}

/// When the last lease ends: now, if there is none.
fn last_due(read: &impl Read, (tenant, key): RowKey, now: Time) -> Result<Time, StateError> {
    let range = (tenant, key, now.0, 0)..=(tenant, key, u64::MAX, u64::MAX);
    let rows = read.scan::<LeasesDue>(range, Order::Descending, 1)?;
    Ok(rows.first().map_or(now, |((_, _, at, _), _)| Time(*at)))
}

/// When `needed` slots are free that are taken now, if nobody releases or renews: as each lease has at
/// least one, by as many leases. Beyond [`EXPIRE_MAX`] of them, a moment before which it is in vain.
fn free_at(read: &impl Read, key: RowKey, now: Time, needed: u64) -> Result<Time, StateError> {
    let count_max = usize::try_from(needed).map_or(EXPIRE_MAX, |needed| needed.min(EXPIRE_MAX));
    let mut free: u64 = 0;
    let mut at = now;
    for end in due(read, key, now.plus_ms(1), count_max)? {
        at = end.at;
        free = free.saturating_add(end.slots);
        if free >= needed {
            break;
        }
    }
    Ok(at)
}

/// Deletes a lease.
fn forget(ctx: &mut Context<'_, '_>, (tenant, key): RowKey, at: Time, number: u64) {
    ctx.tx.delete::<LeasesDue>(&(tenant, key, at.0, number));
    ctx.tx.delete::<Leases>(&(tenant, key, number));
}

fn save(ctx: &mut Context<'_, '_>, key: RowKey, slots: &Slots) {
    if slots.used == 0 {
        ctx.tx.delete::<Keys>(&key);
    } else {
        ctx.tx.put::<Keys>(&key, &Key::Concurrency(*slots));
    }
}

/// Decides about `cost` slots. Takes none: see [`take`].
pub(super) fn assess(
    read: &impl Read,
    now: Time,
    key: RowKey,
    slots: Slots,
    check: &Check,
    cost: u64,
) -> Result<CheckResult, StateError> {
    let mut used = slots.used;
    if slots.first_due <= now {
        // More than so many that are over and still there make the answer a stricter one.
        let rows = due(read, key, slots.first_due, EXPIRE_MAX)?;
        let over = rows.iter().take_while(|row| row.at <= now);
        used = over.fold(used, |used, row| used.saturating_sub(row.slots));
    }
    let quantity = check.policy().quantity;
    // What costs nothing fits, also where another policy had more slots than there are now.
    let after = used.checked_add(cost).filter(|after| cost == 0 || *after <= quantity);
    let retry_at = if after.is_none() && cost <= quantity {
        Some(free_at(read, key, now, used.saturating_sub(quantity - cost))?)
    } else {
        None
    };
    let mut last_due = if used == 0 { now } else { last_due(read, key, now)? };
    if after.is_some() && cost > 0 {
        last_due = last_due.max(now.plus_ms(check.policy().period_ms));
    }
    let until = |at: Time| at.0.saturating_sub(now.0).saturating_mul(NS_A_MS);
    Ok(CheckResult {
        allowed: after.is_some(),
        quantity,
        remaining: quantity.saturating_sub(after.unwrap_or(used)),
        retry_after_ns: retry_at.map(until),
        reset_after_ns: until(last_due),
        lease: None,
        shadow_refused: false,
    })
}

/// Takes `check`'s slots, which [`assess`] allowed and its subject's row has, as one lease; answers its
/// number: `number`, or the next that is not in use.
pub(super) fn take(
    ctx: &mut Context<'_, '_>,
    key: RowKey,
    check: &Check,
    mut number: u64,
) -> Result<u64, StateError> {
    while ctx.tx.contains::<Leases>(&(key.0, key.1, number))? {
        number = number.wrapping_add(1);
    }
    let expires_at = ctx.now().plus_ms(check.policy().period_ms);
    put_lease(ctx, key, number, &Lease { expires_at, slots: check.cost() });
    Ok(number)
}

fn put_lease(ctx: &mut Context<'_, '_>, key: RowKey, number: u64, lease: &Lease) {
    let Lease { expires_at, slots } = *lease;
    ctx.tx.put::<Leases>(&(key.0, key.1, number), lease);
    ctx.tx.put::<LeasesDue>(&(key.0, key.1, expires_at.0, number), &Due { slots });
}

/// The slots of a live lease, and the lease.
fn find(
    ctx: &Context<'_, '_>,
    tenant: TenantId,
    id: &LeaseId,
) -> Result<(Slots, Lease), Stop<Refusal>> {
    let lease = ctx.tx.get::<Leases>(&(tenant, id.key, id.number))?;
    let live = lease.filter(|lease| ctx.now() < lease.expires_at);
    let lease = live.ok_or(Stop::Refused(Refusal::NoLease))?;
    let row = ctx.tx.get::<Keys>(&(tenant, id.key))?;
    let Some(Key::Concurrency(slots)) = row else {
        return Err(Stop::State(StateError::Row { table: "limit_keys" }));
    };
    Ok((slots, lease))
}

/// Gives a slot back.
pub(super) fn release(
    ctx: &mut Context<'_, '_>,
    tenant: TenantId,
    id: &LeaseId,
) -> Result<Reply, Stop<Refusal>> {
    let (mut slots, lease) = find(ctx, tenant, id)?;
    let key = (tenant, id.key);
    slots.used = slots.used.saturating_sub(lease.slots);
    forget(ctx, key, lease.expires_at, id.number);
    save(ctx, key, &slots);
    Ok(Reply::Released)
}

/// Moves the end of a slot.
pub(super) fn renew(
    ctx: &mut Context<'_, '_>,
    tenant: TenantId,
    id: &LeaseId,
    ttl_ms: u64,
) -> Result<Reply, Stop<Refusal>> {
    let (mut slots, mut lease) = find(ctx, tenant, id)?;
    let key = (tenant, id.key);
    ctx.tx.delete::<LeasesDue>(&(tenant, id.key, lease.expires_at.0, id.number));
    lease.expires_at = ctx.now().plus_ms(ttl_ms);
    put_lease(ctx, key, id.number, &lease);
    slots.first_due = slots.first_due.min(lease.expires_at);
    save(ctx, key, &slots);
    Ok(Reply::Renewed { expires_at: lease.expires_at })
}
