//! Reservations: seats, counted places and locks, under one invariant.
//!
//! Never more held + confirmed than capacity; a seat has one owner; a hold resolves once. A
//! resource is the scope of that invariant and so the partition key; nothing wider is
//! coordinated. A hold on several resources is a loop of holds, each with its own key, released
//! when a later one is refused.
//!
//! Waiting lists and calendars are not here.

mod commands;
pub mod contract;
mod decide;
mod lifecycle;
mod queries;
mod tables;

pub use commands::{
    Action, CAPACITY_MAX, Command, EventView, HOLD_SEATS_MAX, HoldState, HoldView, Late, Places,
    QUANTITY_MAX, Refusal, Reply, ResourceView, SEATS_A_CALL_MAX, SeatState, SeatView, Spec,
    TTL_MS_MAX, TTL_MS_MIN,
};
pub use contract::PATHS;
pub use decide::{decide, expire, timer};
pub use queries::{EventsPage, Found, PAGE_BYTES_MAX, PAGE_ROWS_MAX, Query, query};
pub(crate) use tables::table_name;
pub use tables::{Hold, HoldChange, Kind, RETENTION_MS, ReservationEvent, Resource};

/// The number by which the engine knows this domain. Never reused.
pub const DOMAIN: u8 = 1;
