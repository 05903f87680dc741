//! What arrives from other partitions' outboxes, and is done once.
//!
//! An item is done if it is the next of its source, is passed over if it was done before, and waits
//! if anything before it is missing. How far that is, is in a row that changes with what the item
//! changes. The source hears of it once all that is durable. What cannot be done becomes a dead
//! delivery: those behind it are not held up.

use crate::{
    App, Context, Delivery, Mark, Options, Parcel, Partition, Role, TenantId, Time, idempotency,
    tables::{DeadCount, DeadDeliveries, Inbox},
};
use evenkeel_log::{Incarnation, PartitionId};
use evenkeel_state::{Order, Read, StateError};
use serde::{Deserialize, Serialize};
use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Dead deliveries are kept this long: 7 days.
pub const DEAD_RETENTION_MS: u64 = 7 * 24 * 3_600_000;
/// Sources whose deliveries wait, one of each.
const ARRIVALS_MAX: usize = 256;
/// Dead deliveries that are kept at once; the oldest make way.
const DEAD_MAX: u64 = 10_000;
/// Dead deliveries that are forgotten in one step.
const FORGET_MAX: usize = 128;
/// The entity of the engine's timer that forgets them. No path and tenant of idempotency's has it.
pub(crate) const DEAD_TIMER: u64 = u64::MAX;

/// An item that could not be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Dead {
    tenant: u32,
    why: String,
    item: Vec<u8>,
}
evenkeel_state::row!(Dead, version = 1);

/// How many of them are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct DeadTotals {
    count: u64,
    /// None of them died before.
    from: u64,
    /// How many there ever were.
    ever: u64,
}
evenkeel_state::row!(DeadTotals, version = 1);

/// An item that arrived and could not be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadDelivery {
    /// When it was tried.
    pub at: Time,
    /// Whose it is.
    pub from: PartitionId,
    /// Which.
    pub mark: Mark,
    /// On whose behalf.
    pub tenant: TenantId,
    /// What was wrong.
    pub why: String,
    /// The [`App::Item`], encoded.
    pub item: Vec<u8>,
}

/// Up to `limit` dead deliveries, the oldest first.
pub fn dead_deliveries(read: &impl Read, limit: usize) -> Result<Vec<DeadDelivery>, StateError> {
    let totals = read.get::<DeadCount>(&())?.unwrap_or_default();
    let rows = read.scan::<DeadDeliveries>((totals.from, 0, 0, 0).., Order::Ascending, limit)?;
    let rows = rows.into_iter().map(|((at, from, incarnation, sequence), dead)| DeadDelivery {
        at: Time(at),
        from: PartitionId(from),
        mark: Mark { incarnation: Incarnation(incarnation), sequence },
        tenant: TenantId(dead.tenant),
        why: dead.why,
        item: dead.item,
    });
    Ok(rows.collect())
}

/// Deliveries that wait to be done; at most one of each source.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    waiting: VecDeque<Delivery>,
    /// The last batch had no room for commands beside them: the next one begins with those.
    pub(crate) crowded: bool,
}

impl Arrivals {
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// A newer delivery holds whatever an older one had that still matters.
    fn push(&mut self, delivery: Delivery) {
        let same = self.waiting.iter().position(|waiting| waiting.from == delivery.from);
        match same {
            Some(at) if self.waiting[at].last() < delivery.last() => self.waiting[at] = delivery,
            None if self.waiting.len() < ARRIVALS_MAX => self.waiting.push_back(delivery),
            _ => {}
        }
    }
}

impl<A: App, T, R> Partition<A, T, R> {
    /// Work of another partition has arrived. It may come late, twice, and out of order. It is not taken
    /// if this node does not lead or has no room for it: then it will come again.
    pub fn deliver(&mut self, delivery: Delivery) {
        let full = self.state.memtable_bytes() > self.options.memtable_bytes_max;
        if self.role == Role::Owner && !full {
            self.arrivals.push(delivery);
        }
    }

    /// How many dead deliveries are kept.
    pub(crate) fn count_dead(&self) -> Result<u64, StateError> {
        Ok(self.view().get::<DeadCount>(&())?.unwrap_or_default().count)
    }
}

/// Does what has arrived, as far as there is room in the batch.
pub(crate) fn do_arrivals<A: App>(
    app: &A,
    ctx: &mut Context<'_, '_>,
    options: &Options,
    arrivals: &mut Arrivals,
) -> Result<(), StateError> {
    let mut left = options.batch_items_max;
    while left > 0
        && ctx.tx.bytes() < options.batch_bytes_max / 2
        && let Some(delivery) = arrivals.waiting.pop_front()
    {
        if let Some(rest) = do_delivery(app, ctx, options, delivery, &mut left)? {
            arrivals.waiting.push_back(rest);
        }
    }
    Ok(())
}

/// Does a delivery's items that were not done before. Answers those for which there was no room.
fn do_delivery<A: App>(
    app: &A,
    ctx: &mut Context<'_, '_>,
    options: &Options,
    delivery: Delivery,
    left: &mut usize,
) -> Result<Option<Delivery>, StateError> {
    let Delivery { from, after, parcels } = delivery;
    let known = ctx.tx.get::<Inbox>(&from.0)?.unwrap_or_default();
    // Something before it has not been done yet, and will be sent again.
    if known < after {
        return Ok(None);
    }
    let mut parcels = VecDeque::from(parcels);
    let (mut last, mut seen) = (known, after);
    let mut outcome = Ok(());
    while let Some(parcel) = parcels.front() {
        let mark = Mark { incarnation: parcel.incarnation, sequence: seen.sequence + 1 };
        if mark > known || options.switches.no_outbox_dedup {
            if *left == 0 || ctx.tx.bytes() >= options.batch_bytes_max / 2 {
                break;
            }
            *left -= 1;
            outcome = do_item(app, ctx, options, (from, mark), parcel);
            if outcome.is_err() {
                break;
            }
            last = last.max(mark);
        }
        seen = mark;
        parcels.pop_front();
    }
    if last > known {
        ctx.tx.put::<Inbox>(&from.0, &last);
    }
    if seen > after {
        ctx.mail.done.push((from, seen));
    }
    outcome?;
    let parcels = Vec::from(parcels);
    Ok((!parcels.is_empty()).then_some(Delivery { from, after: seen, parcels }))
}

/// Does one item, or notes why it cannot be done. Only a store that cannot be read leaves it for later.
fn do_item<A: App>(
    app: &A,
    ctx: &mut Context<'_, '_>,
    options: &Options,
    (from, mark): (PartitionId, Mark),
    parcel: &Parcel,
) -> Result<(), StateError> {
    let before = ctx.tx.savepoint();
    let done = catch_unwind(AssertUnwindSafe(|| {
        let Ok(item) = postcard::from_bytes::<A::Item>(&parcel.item) else { return Ok(false) };
        app.deliver(ctx, parcel.tenant, &item).map(|()| true)
    }));
    let why = match done {
        Ok(Ok(true))
            if ctx.tx.rows_since(&before) <= options.item_rows_max
                && ctx.tx.bytes_since(&before) <= options.item_bytes_max =>
        {
            return Ok(());
        }
        Ok(Ok(true)) => "it would change more rows or bytes than one item may".to_owned(),
        Ok(Ok(false)) => "this version cannot read it".to_owned(),
        Ok(Err(error)) if error.is_store_failure() => {
            ctx.tx.rollback(before);
            return Err(error);
        }
        Ok(Err(error)) => format!("it came upon a row that cannot be read: {error}"),
        Err(_) => "an internal error".to_owned(),
    };
    ctx.tx.rollback(before);
    bury(ctx, (from, mark), parcel, why)
}

impl Context<'_, '_> {
    /// Notes an [`App::Item`] that there is nowhere to send to, beside the deliveries that could not be
    /// done: it is counted and kept like those, and its mark is none that was ever sent.
    pub fn undeliverable(
        &mut self,
        tenant: TenantId,
        item: &impl Serialize,
        why: String,
    ) -> Result<(), StateError> {
        let item = postcard::to_stdvec(item).expect("an item is plain data: it encodes");
        let sequence = self.tx.get::<DeadCount>(&())?.unwrap_or_default().ever;
        // Nothing is sent in the life before the first. Something sent here to here may die now too.
        let mark = Mark { incarnation: Incarnation(0), sequence };
        let parcel = Parcel { incarnation: self.incarnation, tenant, at: self.now, item };
        bury(self, (self.partition, mark), &parcel, why)
    }
}

/// Notes a dead delivery. At the limit, the oldest makes way.
fn bury(
    ctx: &mut Context<'_, '_>,
    (from, mark): (PartitionId, Mark),
    parcel: &Parcel,
    why: String,
) -> Result<(), StateError> {
    let mut totals = ctx.tx.get::<DeadCount>(&())?.unwrap_or_default();
    if totals.count == 0 {
        totals.from = ctx.now.0;
        ctx.set_timer(ctx.now.plus_ms(DEAD_RETENTION_MS), idempotency::ENGINE_DOMAIN, DEAD_TIMER);
    }
    if totals.count >= DEAD_MAX {
        forget(ctx, &mut totals, Time(u64::MAX), 1)?;
    }
    totals.count += 1;
    totals.ever += 1;
    let key = (ctx.now.0, from.0, mark.incarnation.0, mark.sequence);
    let dead = Dead { tenant: parcel.tenant.0, why, item: parcel.item.clone() };
    ctx.tx.put::<DeadDeliveries>(&key, &dead);
    ctx.tx.put::<DeadCount>(&(), &totals);
    ctx.mail.dead = true;
    Ok(())
}

/// Forgets at most `max` of those that died at or before `until`. Answers when the oldest left died.
fn forget(
    ctx: &mut Context<'_, '_>,
    totals: &mut DeadTotals,
    until: Time,
    max: usize,
) -> Result<Option<Time>, StateError> {
    let rows = (totals.from, 0, 0, 0)..;
    let rows = ctx.tx.scan::<DeadDeliveries>(rows, Order::Ascending, max + 1)?;
    let old = rows.iter().take(max).take_while(|(key, _)| key.0 <= until.0).count();
    for (key, _) in &rows[..old] {
        ctx.tx.delete::<DeadDeliveries>(key);
        totals.count = totals.count.saturating_sub(1);
    }
    let next = rows.get(old).map(|(key, _)| Time(key.0));
    totals.from = next.map_or(totals.from, |next| next.0);
    Ok(next)
}

/// Some dead deliveries were kept long enough.
pub(crate) fn forget_old(ctx: &mut Context<'_, '_>) -> Result<(), StateError> {
    let mut totals = ctx.tx.get::<DeadCount>(&())?.unwrap_or_default();
    let until = ctx.now.minus_ms(DEAD_RETENTION_MS);
    if let Some(next) = forget(ctx, &mut totals, until, FORGET_MAX)? {
        let due = next.plus_ms(DEAD_RETENTION_MS).max(ctx.now);
        ctx.set_timer(due, idempotency::ENGINE_DOMAIN, DEAD_TIMER);
    }
    ctx.tx.put::<DeadCount>(&(), &totals);
    ctx.mail.dead = true;
    Ok(())
}
