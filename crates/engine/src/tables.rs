//! The engine's own tables. A domain's table ids begin at 0x10.

use crate::{TenantId, idempotency, inbox, outbox, streams};
use evenkeel_state::Table;

/// `Idempotency`: keys and replies.
pub const IDEMPOTENCY_ID: u8 = 0x01;
/// `Usage`: what remembered keys take, a path and tenant.
pub const USAGE_ID: u8 = 0x02;
/// `Timers`: by due time.
pub const TIMERS_ID: u8 = 0x03;
/// `Parked`: timers whose handler panicked.
pub const PARKED_ID: u8 = 0x04;
/// `Events`: what watched entities emitted.
pub const EVENTS_ID: u8 = 0x05;
/// `Outbox`: work on its way to other partitions.
pub const OUTBOX_ID: u8 = 0x06;
/// `Inbox`: how far the work of each other partition was done.
pub const INBOX_ID: u8 = 0x07;
/// `OutboxHeads`: where the outbox of each destination begins and ends.
pub const OUTBOX_HEADS_ID: u8 = 0x08;
/// `DeadDeliveries`: work that arrived and could not be done.
pub const DEAD_DELIVERIES_ID: u8 = 0x09;
/// `DeadCount`: how many of those there are.
pub const DEAD_COUNT_ID: u8 = 0x0a;

/// (path, tenant, generation, hash of the key) → what was asked and answered.
pub(crate) struct Remembered;

impl Table for Remembered {
    const ID: u8 = IDEMPOTENCY_ID;
    const NAME: &'static str = "idempotency";
    type Key = (u8, TenantId, u32, [u8; 16]);
    type Row = idempotency::Remembered;
}

/// (path, tenant) → the generations that are kept.
pub(crate) struct Usage;

impl Table for Usage {
    const ID: u8 = USAGE_ID;
    const NAME: &'static str = "idempotency_usage";
    type Key = (u8, TenantId);
    type Row = idempotency::Usage;
}

/// (due, domain, entity): a timer.
pub(crate) struct Timers;

impl Table for Timers {
    const ID: u8 = TIMERS_ID;
    const NAME: &'static str = "timers";
    type Key = (u64, u8, u64);
    type Row = ();
}

/// The same key as the timer's: one that is not tried again.
pub(crate) struct Parked;

impl Table for Parked {
    const ID: u8 = PARKED_ID;
    const NAME: &'static str = "parked_timers";
    type Key = (u64, u8, u64);
    type Row = ();
}

/// (domain, entity, sequence) → an event.
pub(crate) struct Events;

impl Table for Events {
    const ID: u8 = EVENTS_ID;
    const NAME: &'static str = "events";
    type Key = (u8, u64, u64);
    type Row = streams::Event;
}

/// (destination, sequence) → an item for it, until it is acknowledged.
pub(crate) struct Outbox;

impl Table for Outbox {
    const ID: u8 = OUTBOX_ID;
    const NAME: &'static str = "outbox";
    type Key = (u16, u64);
    type Row = outbox::Parcel;
}

/// source → the last of its items that was done.
pub(crate) struct Inbox;

impl Table for Inbox {
    const ID: u8 = INBOX_ID;
    const NAME: &'static str = "inbox";
    type Key = u16;
    type Row = outbox::Mark;
}

/// destination → the bounds of its rows in the outbox.
pub(crate) struct OutboxHeads;

impl Table for OutboxHeads {
    const ID: u8 = OUTBOX_HEADS_ID;
    const NAME: &'static str = "outbox_heads";
    type Key = u16;
    type Row = outbox::Head;
}

/// (when it died, source, incarnation, sequence) → an item and why it was not done.
pub(crate) struct DeadDeliveries;

impl Table for DeadDeliveries {
    const ID: u8 = DEAD_DELIVERIES_ID;
    const NAME: &'static str = "dead_deliveries";
    type Key = (u64, u16, u32, u64);
    type Row = inbox::Dead;
}

/// () → how many dead deliveries are kept.
pub(crate) struct DeadCount;

impl Table for DeadCount {
    const ID: u8 = DEAD_COUNT_ID;
    const NAME: &'static str = "dead_count";
    type Key = ();
    type Row = inbox::DeadTotals;
}

/// The name of the engine's table `id`, for whoever shows what a record changes.
#[must_use]
pub fn table_name(id: u8) -> Option<&'static str> {
    let tables = [
        (Remembered::ID, Remembered::NAME),
        (Usage::ID, Usage::NAME),
        (Timers::ID, Timers::NAME),
        (Parked::ID, Parked::NAME),
        (Events::ID, Events::NAME),
        (Outbox::ID, Outbox::NAME),
        (Inbox::ID, Inbox::NAME),
        (OutboxHeads::ID, OutboxHeads::NAME),
        (DeadDeliveries::ID, DeadDeliveries::NAME),
        (DeadCount::ID, DeadCount::NAME),
    ];
    tables.into_iter().find(|table| table.0 == id).map(|table| table.1)
}
