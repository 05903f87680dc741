//! What can be asked of jobs, and what is answered.

use super::Settings;
use evenkeel_engine::Time;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Jobs of one command that enqueues.
pub const ENQUEUE_JOBS_MAX: usize = 100;
/// Bytes of the payloads of one such command.
pub const ENQUEUE_BYTES_MAX: usize = 128 * 1_024;
/// Jobs that one job may wait for.
pub const AFTER_MAX: usize = 16;
/// Jobs that all jobs of one command that enqueues may wait for.
pub const ENQUEUE_AFTER_MAX: usize = 100;
/// Bytes of one payload.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1_024;
/// Jobs of one command that leases.
pub const LEASE_JOBS_MAX: usize = 100;
/// Payloads after which such a command takes no further job.
pub const LEASE_BYTES_MAX: usize = 1 << 20;
/// Bytes of an error that a worker reports.
pub const ERROR_BYTES_MAX: usize = 4 * 1_024;
/// Bytes of a job's progress.
pub const PROGRESS_BYTES_MAX: usize = 4 * 1_024;
/// Bytes of the results that one command completes jobs with, if they are more than one.
pub const COMPLETE_BYTES_MAX: usize = 128 * 1_024;
/// Jobs that one command completes.
pub const COMPLETE_JOBS_MAX: usize = 50;
/// Dead letters that one command brings back.
pub const REPLAY_JOBS_MAX: usize = 50;

/// Something about jobs of one queue that are in one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// The queue's name.
    pub queue: String,
    /// The partition: [`place`](super::place) says which.
    pub partition: u16,
    /// Its [share](Settings::share) of the queue's settings. In a box, so that the commands of other
    /// domains are no larger for it.
    pub settings: Box<Settings>,
    /// What to do.
    pub action: Action,
}

/// What to do. The edge has checked names and bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Take jobs in, all or none.
    Enqueue(Vec<NewJob>),
    /// Give a worker jobs, as many as there are.
    Lease {
        /// Who asks.
        worker: String,
        /// At most so many.
        max: u32,
        /// For how long; the queue says unless this does.
        lease_ms: Option<u64>,
    },
    /// A job is done.
    Complete {
        /// Which.
        job: u64,
        /// By whom.
        lease: LeaseId,
        /// What came of it.
        result: Option<String>,
    },
    /// Jobs are done, each for itself.
    CompleteMany(Vec<Done>),
    /// Do this about a job and, if it is taken, give its worker others in the same step.
    AndNext(Box<Action>, Take),
    /// An attempt has failed.
    Fail {
        /// Which job.
        job: u64,
        /// By whom.
        lease: LeaseId,
        /// Why.
        error: String,
        /// Whether it is worth another attempt.
        retry: bool,
    },
    /// Have a lease end `lease_ms` from now.
    Extend {
        /// Which job.
        job: u64,
        /// By whom.
        lease: LeaseId,
        /// From now.
        lease_ms: u64,
    },
    /// Put a job off without counting a failure.
    Snooze {
        /// Which.
        job: u64,
        /// By whom.
        lease: LeaseId,
        /// From now.
        delay_ms: u64,
    },
    /// Say how far a job is.
    Progress {
        /// Which.
        job: u64,
        /// By whom.
        lease: LeaseId,
        /// In the worker's words.
        progress: String,
    },
    /// Have a job not run, or stop.
    Cancel {
        /// Which.
        job: u64,
    },
    /// Bring one dead letter back.
    Retry {
        /// Which.
        job: u64,
        /// Who asks.
        by: String,
    },
    /// Bring dead letters back, oldest first.
    Replay {
        /// Which.
        filter: DeadFilter,
        /// After this one.
        after: Option<Cursor>,
        /// At most so many.
        max: u32,
        /// Only say which they would be.
        dry_run: bool,
        /// When the first of them is due and how much later each next one; at once without it.
        pace: Option<Pace>,
        /// Who asks.
        by: String,
    },
}

/// What a worker wants next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Take {
    /// Who asks.
    pub worker: String,
    /// At most so many.
    pub max: u32,
    /// For how long; the queue says unless this does.
    pub lease_ms: Option<u64>,
}

/// A job that is done, beside others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Which.
    pub job: u64,
    /// By whom.
    pub lease: LeaseId,
    /// What came of it.
    pub result: Option<String>,
}

/// A job to be taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewJob {
    /// What sort of work it is.
    pub kind: String,
    /// What the worker is given: JSON, which nobody here reads.
    pub payload: String,
    /// While a job with this key is not over, another with it is not taken in.
    pub unique_key: Option<String>,
    /// Jobs with this key run one after the other, in the order in which they were taken in.
    pub ordering_key: Option<String>,
    /// 0 to 9: higher runs first.
    pub priority: u8,
    /// When it may start.
    pub when: When,
    /// Jobs that must be done before.
    pub after: Vec<JobId>,
    /// The `traceparent` of whoever enqueued it.
    pub trace: Option<String>,
}

/// When a job may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum When {
    /// Now.
    Now,
    /// So much later.
    DelayMs(u64),
    /// Then.
    At(Time),
}

/// A job as callers name it: printed as `partition.number`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobId {
    /// Where it is.
    pub partition: u16,
    /// Its number there, made as a fence is: never used again, not even after a restore.
    pub number: u64,
}

/// A lease as its holder names it: printed as `attempt.fence`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LeaseId {
    /// Which attempt at the job it is, from 1.
    pub attempt: u32,
    /// Grows with every lease of the queue in this partition: for what the worker writes elsewhere.
    pub fence: u64,
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.partition, self.number)
    }
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.attempt, self.fence)
    }
}

impl FromStr for JobId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (partition, number) = two_numbers(text)?;
        Ok(Self { partition: partition.parse().map_err(|_| ())?, number })
    }
}

impl FromStr for LeaseId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (attempt, fence) = two_numbers(text)?;
        Ok(Self { attempt: attempt.parse().map_err(|_| ())?, fence })
    }
}

/// Digits, a point, digits.
fn two_numbers(text: &str) -> Result<(&str, u64), ()> {
    let (first, second) = text.split_once('.').ok_or(())?;
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(first) || !digits(second) {
        return Err(());
    }
    Ok((first, second.parse().map_err(|_| ())?))
}

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum State {
    /// For other jobs: those named in `after`, or those before it of its ordering key.
    Waiting,
    /// For its time.
    Scheduled,
    /// For another attempt.
    Retry,
    /// For a worker.
    Ready,
    /// A worker has it.
    Leased,
    /// Over, as it should be.
    Done,
    /// Over: a dead letter, which can be replayed.
    Dead,
    /// Over, because somebody said so.
    Cancelled,
}

impl State {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Waiting,
        Self::Scheduled,
        Self::Retry,
        Self::Ready,
        Self::Leased,
        Self::Done,
        Self::Dead,
        Self::Cancelled,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Scheduled => "scheduled",
            Self::Retry => "retry",
            Self::Ready => "ready",
            Self::Leased => "leased",
            Self::Done => "done",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more happens by itself.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Dead | Self::Cancelled)
    }
}

/// Which dead letters: those that all of this is true of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadFilter {
    /// Of this kind.
    pub kind: Option<String>,
    /// Whose error has this in it.
    pub error: Option<String>,
    /// That died at this time or later.
    pub from: Option<Time>,
    /// That died before.
    pub until: Option<Time>,
}

/// How jobs that come back are spread over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// When the first is due: so much from now.
    pub first_ms: u64,
    /// Microseconds between one and the next.
    pub every_us: u64,
}

impl Pace {
    /// How much from now the job is due that comes back after `before` others.
    #[must_use]
    pub fn delay_ms(&self, before: u64) -> u64 {
        self.first_ms.saturating_add(before.saturating_mul(self.every_us) / 1_000)
    }
}

/// A place in a list of jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Which part of the list.
    pub slot: u8,
    /// The time by which it is ordered.
    pub at: u64,
    /// The job.
    pub number: u64,
}

/// A job that was asked to be taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enqueued {
    /// Its number.
    pub job: u64,
    /// Where it is in its life.
    pub state: State,
    /// Whether it was there before: nothing was taken in.
    pub duplicate: bool,
}

/// A job that a worker was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leased {
    /// Its number.
    pub job: u64,
    /// By what the worker names its lease.
    pub lease: LeaseId,
    /// When that ends.
    pub expires_at: Time,
    /// What sort of work it is.
    pub kind: String,
    /// What the worker is given.
    pub payload: String,
    /// Its priority.
    pub priority: u8,
    /// Its ordering key.
    pub ordering_key: Option<String>,
    /// The `traceparent` of whoever enqueued it.
    pub trace: Option<String>,
    /// When it was taken in.
    pub created_at: Time,
    /// Attempts that failed before.
    pub failures: u32,
    /// Leases that ended without a word before.
    pub crashes: u32,
    /// What an earlier attempt said about how far it was.
    pub progress: Option<String>,
}

/// What there is to lease: for whoever leads workers to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// Jobs that would be leased now.
    pub leasable: u64,
    /// When the next job that waits for a time is due, at the earliest.
    pub due: Option<Time>,
}

/// What became of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Its number.
    pub job: u64,
    /// Where it is in its life.
    pub state: State,
    /// When it is due, is ready since, when its lease ends, when it was over.
    pub at: Time,
    /// Its worker is to stop.
    pub cancel: bool,
}

/// Dead letters that were brought back, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replayed {
    /// Their numbers.
    pub jobs: Vec<u64>,
    /// So many stay, as another job has their unique key.
    pub skipped: u64,
    /// Where to go on, if there may be more.
    pub next: Option<Cursor>,
}

/// A yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The jobs, in the order in which they were named.
    Enqueued(Vec<Enqueued>),
    /// The jobs, first those that are to be done first; and what there is beside them.
    Leased(Vec<Leased>, Next),
    /// What became of it.
    Job(Standing),
    /// What became of it, and what its worker was given next.
    Said(Standing, Vec<Leased>),
    /// What became of each, in the order in which they were named.
    Each(Vec<Result<Standing, Refusal>>),
    /// What was brought back.
    Replayed(Replayed),
}

/// A no: the command had no effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// There is no such job, or it was over longer ago than jobs are kept.
    NoJob,
    /// The job is not, or not any more, that lease's: another may have it.
    StaleLease(Standing),
    /// A lease is never so long.
    LeaseTooLong {
        /// The longest.
        max_ms: u64,
    },
    /// A result is never so large.
    ResultTooLarge {
        /// The largest.
        max_bytes: u32,
    },
    /// The queue takes nothing in.
    Draining,
    /// As many jobs wait as may, of this priority.
    BacklogFull {
        /// So many wait.
        backlog: u64,
        /// So many may.
        max: u64,
    },
    /// That a job was to wait for this one is impossible: there is no such job, or it was cancelled. Of
    /// a job in another partition that comes out later, and makes the one that waits a dead letter.
    NoAfter(JobId),
    /// It is over already.
    Over(State),
    /// Only a dead letter can be brought back.
    NotDead(State),
    /// Another job has its unique key.
    UniqueKeyTaken {
        /// This one.
        job: u64,
    },
}

impl Refusal {
    /// The code under which it is answered and counted.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoJob => "not_found",
            Self::StaleLease(_) => "stale_lease",
            Self::LeaseTooLong { .. } => "lease_too_long",
            Self::ResultTooLarge { .. } => "result_too_large",
            Self::Draining => "queue_draining",
            Self::BacklogFull { .. } => "backlog_full",
            Self::NoAfter(_) => "no_after",
            Self::Over(_) => "job_over",
            Self::NotDead(_) => "not_dead",
            Self::UniqueKeyTaken { .. } => "unique_key_taken",
        }
    }
}
