//! Schedules: jobs that are enqueued again and again, by cron expression or interval.
//!
//! Each tick of a schedule fires once or is counted as missed, whatever stops in between: the job's
//! way to its queue and the next tick are in one record. A schedule is in the partition of its own
//! name; its jobs go to their queue's partitions through the outbox.
//!
//! `timetable` says when ticks are, `cron` what an expression names; both are pure functions of a time
//! and of the rules of zones that are built in. `firing` is the one place where ticks fire or are
//! missed.
//!
//! A tick that has fired is a job like any other, and nothing of it is known here any more.

mod commands;
pub mod contract;
mod cron;
mod decide;
mod firing;
mod queries;
mod tables;
mod timetable;

pub use commands::{Action, Command, JobSpec, Missed, Refusal, Reply, SCHEDULES_MAX, Spec, Timing};
pub use contract::PATHS;
pub use cron::CRON_BYTES_MAX;
pub(crate) use decide::{decide, expire, timer};
pub(crate) use firing::Surroundings;
pub use firing::{CATCH_UP_MAX, COUNTED_MAX, GRACE_MS, STEP_BYTES_MAX, STEP_TICKS_MAX};
pub use queries::{Found, NEXT_RUNS, Query, ScheduleView, query};
pub use tables::Totals;
pub(crate) use tables::table_name;
pub use timetable::{
    EVERY_MS_MAX, EVERY_MS_MIN, HORIZON_YEARS, Timetable, TimingError, nearest_zone,
};

/// The number by which the engine knows this domain. Never reused.
pub const DOMAIN: u8 = 4;
