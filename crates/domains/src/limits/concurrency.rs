//! Concurrency: slots that are live leases. A slot is free again when its lease is released or its
//! time is over; a lease that is over cannot be brought back, and is given back once.
//!
//! A lease that is due does not count, whether or not its turn to be forgotten has come: that is
//! before the next decision about its subject, a bounded number at once, or by the sweep.

use super::{
    Check, CheckResult, LeaseId, Refusal, Reply,
    policy::NS_A_MS,
    sweep,
    tables::{Key, Keys, Lease, Leases, LeasesDue, RowKey, Slots},
};
use evenkeel_engine::{Context, Stop, TenantId, Time};
use evenkeel_state::{Order, Read, StateError};

/// Leases that end in one turn.
pub const EXPIRE_MAX: usize = 256;

impl Slots {
    fn none() -> Self {
        Self { used: 0, first_due: Time(u64::MAX), last_due: Time(0) }
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
    let rows = due(&*ctx.tx, key, slots.first_due, count_max)?;
    let count = rows.iter().take(count_max).take_while(|row| row.0 <= now).count();
    for (at, number) in &rows[..count] {
        slots.used -= forget(ctx, key, *at, *number)?;
    }
    slots.first_due = rows.get(count).map_or(Time(u64::MAX), |row| row.0);
    save(ctx, key, &slots);
    Ok((slots, count))
}

/// The leases that end first, in their order: one more than `count_max`.
fn due(
    read: &impl Read,
    (tenant, key): RowKey,
    from: Time,
    count_max: usize,
) -> Result<Vec<(Time, u64)>, StateError> {
    let range = (tenant, key, from.0, 0)..=(tenant, key, u64::MAX, u64::MAX);
    let rows = read.scan::<LeasesDue>(range, Order::Ascending, count_max + 1)?;
    Ok(rows.into_iter().map(|((_, _, at, number), ())| (Time(at), number)).collect())
}

/// Deletes a lease; answers its slots.
fn forget(
    ctx: &mut Context<'_, '_>,
    (tenant, key): RowKey,
    at: Time,
    number: u64,
) -> Result<u64, StateError> {
    let lease = ctx.tx.get::<Leases>(&(tenant, key, number))?;
    ctx.tx.delete::<LeasesDue>(&(tenant, key, at.0, number));
    ctx.tx.delete::<Leases>(&(tenant, key, number));
    Ok(lease.expect("a lease and its due time are put and deleted together").slots)
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
    slots: Option<Slots>,
    check: &Check,
    cost: u64,
) -> Result<CheckResult, StateError> {
    let slots = slots.unwrap_or_else(Slots::none);
    let (mut used, mut first_due) = (slots.used, slots.first_due);
    if first_due <= now {
        // More than so many that are over and still there make the answer a stricter one.
        let rows = due(read, key, first_due, EXPIRE_MAX)?;
        let over = rows.iter().take(EXPIRE_MAX).take_while(|row| row.0 <= now);
        for (_, number) in over {
            let lease = read.get::<Leases>(&(key.0, key.1, *number))?;
            used -= lease.map_or(0, |lease| lease.slots);
        }
        first_due = rows.iter().find(|row| row.0 > now).map_or(Time(u64::MAX), |row| row.0);
    }
    let quantity = check.policy().quantity;
    let after = used.checked_add(cost).filter(|after| *after <= quantity);
    let until = |at: Time| at.0.saturating_sub(now.0).saturating_mul(NS_A_MS);
    let mut last_due = if used == 0 { now } else { slots.last_due };
    if after.is_some() && cost > 0 {
        last_due = last_due.max(now.plus_ms(check.policy().period_ms));
    }
    Ok(CheckResult {
        allowed: after.is_some(),
        quantity,
        remaining: quantity.saturating_sub(after.unwrap_or(used)),
        retry_after_ns: (after.is_none() && cost <= quantity).then(|| until(first_due)),
        reset_after_ns: until(last_due),
        lease: None,
        shadow_refused: false,
    })
}

/// Takes `check`'s slots, which [`assess`] allowed, as one lease; answers its number: `number`, or
/// the next that is not in use.
pub(super) fn take(
    ctx: &mut Context<'_, '_>,
    key: RowKey,
    slots: Option<Slots>,
    check: &Check,
    mut number: u64,
) -> Result<u64, StateError> {
    if slots.is_none() {
        sweep::arm(ctx)?;
    }
    let mut slots = slots.unwrap_or_else(Slots::none);
    while ctx.tx.contains::<Leases>(&(key.0, key.1, number))? {
        number = number.wrapping_add(1);
    }
    let lease =
        Lease { expires_at: ctx.now().plus_ms(check.policy().period_ms), slots: check.cost() };
    slots.used += lease.slots;
    put_lease(ctx, key, &mut slots, number, &lease);
    Ok(number)
}

fn put_lease(
    ctx: &mut Context<'_, '_>,
    key: RowKey,
    slots: &mut Slots,
    number: u64,
    lease: &Lease,
) {
    slots.first_due = slots.first_due.min(lease.expires_at);
    slots.last_due = slots.last_due.max(lease.expires_at);
    ctx.tx.put::<Leases>(&(key.0, key.1, number), lease);
    ctx.tx.put::<LeasesDue>(&(key.0, key.1, lease.expires_at.0, number), &());
    save(ctx, key, slots);
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
    slots.used -= forget(ctx, key, lease.expires_at, id.number)?;
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
    ctx.tx.delete::<LeasesDue>(&(tenant, id.key, lease.expires_at.0, id.number));
    lease.expires_at = ctx.now().plus_ms(ttl_ms);
    put_lease(ctx, (tenant, id.key), &mut slots, id.number, &lease);
    Ok(Reply::Renewed { expires_at: lease.expires_at })
}
