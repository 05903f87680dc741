//! The tables of schedules: key layouts and row types, nowhere else.
//!
//! | id | table | key | row |
//! |---|---|---|---|
//! | 0x50 | `Schedules` | tenant, name | `Schedule`: what changes as it fires |
//! | 0x51 | `ScheduleNames` | schedule id | `ScheduleName` |
//! | 0x52 | `ScheduleSpecs` | schedule id | `Spec`: what it says |
//! | 0x53 | `ScheduleCounter` | — | the next schedule id |
//! | 0x54 | `ScheduleCounts` | tenant | how many schedules there are |

use super::Spec;
use crate::tables::tables;
use evenkeel_engine::{TenantId, Time};
use evenkeel_state::row;
use serde::{Deserialize, Serialize};

/// How far a schedule has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Schedule {
    pub(super) id: u64,
    pub(super) created_at: Time,
    /// What an interval is counted from: when its timing was last changed.
    pub(super) since: Time,
    pub(super) paused: bool,
    /// The tick that comes next, for which its timer is set. None if it is paused, or if there is none
    /// any more.
    pub(super) next: Option<Time>,
    /// Late ticks that have fired since one was last in time.
    pub(super) caught_up: u64,
    pub(super) totals: Totals,
    pub(super) last_run_at: Option<Time>,
    pub(super) last_error: Option<(Time, String)>,
}
row!(Schedule, version = 1);

/// What became of a schedule's ticks since it is there. Those while it was paused are in none of
/// these.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Ticks that enqueued a job.
    pub fired: u64,
    /// Ticks that were late and did not fire, or fired as one with another.
    pub missed: u64,
    /// Ticks for whose job there was no queue.
    pub failed: u64,
}

/// Whose a schedule is and what it is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ScheduleName {
    pub(super) tenant: TenantId,
    pub(super) name: String,
}
row!(ScheduleName, version = 1);

row!(Spec, version = 1);

/// A number that only grows, or how many there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Count(pub(super) u64);
row!(Count, version = 1);

tables! {
    Schedules, 0x50, "schedules", (TenantId, String), Schedule;
    ScheduleNames, 0x51, "schedule_names", u64, ScheduleName;
    ScheduleSpecs, 0x52, "schedule_specs", u64, Spec;
    ScheduleCounter, 0x53, "schedule_counter", (), Count;
    ScheduleCounts, 0x54, "schedule_counts", TenantId, Count;
}
