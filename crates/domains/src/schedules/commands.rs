//! What can be asked of schedules, and what is answered.

use super::{ScheduleView, TimingError};
use serde::{Deserialize, Serialize};

/// Schedules that a tenant may have in one partition.
pub const SCHEDULES_MAX: u64 = 10_000;

/// Something about one schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Its name.
    pub schedule: String,
    /// What to do.
    pub action: Action,
}

/// What to do. The edge has checked names and bounds of the job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Have the schedule be so. In a box, so that the commands of other domains are no larger for it.
    Put(Box<Spec>),
    /// Have it not fire until it is resumed.
    Pause,
    /// Have it fire again, from now on.
    Resume,
    /// Forget it. What it has fired stays.
    Delete,
}

/// What a schedule says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// When it is due.
    pub timing: Timing,
    /// Where its jobs go.
    pub queue: String,
    /// What each of them is.
    pub job: JobSpec,
    /// What becomes of ticks that could not fire in time.
    pub missed: Missed,
}

/// When a schedule is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Timing {
    /// At the times that an expression names.
    Cron {
        /// The expression.
        cron: String,
        /// The zone whose clocks show those times.
        timezone: String,
    },
    /// Again and again, counted from when this was put.
    Every {
        /// How far one tick is from the next.
        every_ms: u64,
    },
}

/// The job that each tick enqueues: the same each time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// What sort of work it is.
    pub kind: String,
    /// What the worker is given: JSON, which nobody here reads.
    pub payload: String,
    /// While a job with this key is not over, another with it is not taken in: one that takes longer
    /// than until the next tick is not piled up.
    pub unique_key: Option<String>,
    /// Jobs with this key run one after the other.
    pub ordering_key: Option<String>,
    /// 0 to 9: higher runs first.
    pub priority: u8,
}

/// What becomes of ticks that could not fire within [`GRACE_MS`](super::GRACE_MS).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Missed {
    /// They do not fire.
    Skip,
    /// They fire once, together with what is due by then.
    Once,
    /// They fire, up to [`CATCH_UP_MAX`](super::CATCH_UP_MAX) of them, oldest first.
    All,
}

/// A yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The schedule as it is now; and whether it is new.
    Schedule(Box<ScheduleView>, bool),
    /// It is gone.
    Deleted,
}

/// A no: the command had no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such schedule.
    NoSchedule,
    /// It can never be due.
    BadTiming(TimingError),
    /// There is no queue of that name.
    NoQueue {
        /// The name.
        queue: String,
    },
    /// There are as many schedules as there may be.
    TooManySchedules,
}

impl Refusal {
    /// The code under which it is answered and counted.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoSchedule => "not_found",
            Self::BadTiming(_) => "invalid_schedule",
            Self::NoQueue { .. } => "no_queue",
            Self::TooManySchedules => "too_many_schedules",
        }
    }
}
