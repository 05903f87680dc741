//! Meta: tenants, API keys, contract settings, the policies of limits and the settings of queues. One
//! partition of its own, followed by every node; it changes rarely and is read, as a copy, by every
//! request.

mod commands;
pub mod contract;
mod decide;
mod queries;
mod queues;
mod tables;

pub use commands::{
    ALL_LIMITS_MAX, ALL_QUEUES_MAX, Action, Command, KEYS_MAX, LIMITS_MAX, QUEUES_MAX, QueueMode,
    Refusal, Reply, TENANTS_MAX,
};
pub use contract::PATHS;
pub use decide::decide;
pub use queries::{Change, KeyView, Meta, changes, load};
pub(crate) use tables::table_name;

/// The number by which the engine knows this domain. Never reused.
pub const DOMAIN: u8 = 0x10;
