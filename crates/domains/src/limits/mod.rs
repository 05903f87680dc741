//! Limits: how much of what in which time, admitted all or nothing.
//!
//! A limit never admits more than its policy says (`gcra`, `sliding_window` and `concurrency` each say
//! what exactly that is and how they may err, which is towards refusing). The scope of that invariant
//! is the subject, limit and key, and so is the partition key; a *scoped* limit is partitioned by its
//! scope alone, so that the limits of a tenant, say, are decided together in one append.
//!
//! A command carries the policies that it is decided by: whoever routes it reads them from the copy of
//! `meta`. `leased` is what an edge does by itself; answers before the sync are the engine's.

mod commands;
mod concurrency;
pub mod contract;
mod decide;
mod gcra;
mod leased;
mod policy;
mod queries;
mod sliding_window;
mod sweep;
mod tables;

pub use commands::{
    Action, CHECKS_MAX, Check, CheckError, CheckResult, Command, KEY_BYTES_MAX, LeaseId, Refusal,
    Reply, Subject,
};
pub use concurrency::EXPIRE_MAX;
pub use contract::PATHS;
pub use decide::{decide, expire, timer};
pub use gcra::{Level, Rate};
pub use leased::{LEASES_MIN, Local, REFUSED_MS_MAX, Tokens};
pub use policy::{
    Algorithm, Durability, Mode, OnUnavailable, PERIOD_MS_MAX, Policy, PolicyError, QUANTITY_MAX,
    REFILL_MS_MAX, SLOTS_MAX, TAKEN_OVER_MS,
};
pub use queries::{Found, Query, query};
pub use sliding_window::{SUB_WINDOWS, Window};
pub use sweep::{SWEEP_EVERY_MS, SWEEP_ROWS_MAX};
pub(crate) use tables::table_name;

/// The number by which the engine knows this domain. Never reused.
pub const DOMAIN: u8 = 2;
