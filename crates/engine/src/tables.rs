//! The engine's own tables. A domain's table ids begin at 0x10.

use crate::{TenantId, idempotency, streams};
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
/// Reserved for work on its way to other partitions.
pub const OUTBOX_ID: u8 = 0x06;
/// Reserved for what was delivered from other partitions.
pub const INBOX_ID: u8 = 0x07;

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

/// The name of the engine's table `id`, for whoever shows what a record changes.
#[must_use]
pub fn table_name(id: u8) -> Option<&'static str> {
    let tables = [
        (Remembered::ID, Remembered::NAME),
        (Usage::ID, Usage::NAME),
        (Timers::ID, Timers::NAME),
        (Parked::ID, Parked::NAME),
        (Events::ID, Events::NAME),
    ];
    tables.into_iter().find(|table| table.0 == id).map(|table| table.1)
}
