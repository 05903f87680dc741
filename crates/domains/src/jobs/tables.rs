//! The tables of jobs: key layouts and row types, nowhere else.
//!
//! | id | table | key | row |
//! |---|---|---|---|
//! | 0x40 | `Queues` | tenant, name | `Queue` |
//! | 0x41 | `QueueNames` | queue id | `QueueName` |
//! | 0x42 | `JobCounters` | — | the next queue id and job number |
//! | 0x43 | `Jobs` | job number | `Job` |
//! | 0x44 | `JobBodies` | job number | `Body`, which never changes |
//! | 0x45 | `JobIndex` | queue id, slot, time, job number | — |
//! | 0x46 | `UniqueJobs` | queue id, hash of the keys | the job that has it |
//! | 0x47 | `OrderKeys` | queue id, hash of the ordering key | `OrderKey`, while it has jobs |
//! | 0x48 | `OrderLines` | queue id, hash of the ordering key, job number | — |
//! | 0x49 | `JobWaiters` | job number, partition and number of the job that waits for it | — |
//! | 0x4a | `JobsOver` | queue id, job number | what is to be told to those that waited |
//! | 0x4b | `JobNotes` | job number, what | `Note` |
//! | 0x4c | `JobKinds` | queue id, kind | `Kind`, while it has jobs |
//!
//! A job is in `JobIndex` once, in the slot of its state, so that whatever is done next (lease, wake,
//! expire, forget) is at the front of a range. A slot is the state's number; a job that is ready is in
//! that of its priority instead ([`lane_slot`]).

use super::{JobId, PRIORITY_MAX, Settings, State};
use crate::tables::tables;
use evenkeel_engine::{Entity, StreamHead, TenantId, Time};
use evenkeel_state::row;
use serde::{Deserialize, Serialize};

/// Events of a queue are kept this long: 7 days.
pub const EVENT_RETENTION_MS: u64 = 7 * 24 * 3_600_000;
/// Priorities, each with a lane of the jobs that are ready.
pub(super) const LANES: usize = PRIORITY_MAX as usize + 1;
/// The slot of the lane of the highest priority; those below follow.
pub(super) const LANE_SLOTS: u8 = 0x10;

/// How many of something are in each state, by its number.
pub type ByState = [u64; State::ALL.len()];
/// Names an ordering key, or a unique one within it.
pub(super) type KeyHash = [u8; 16];

/// What a partition knows of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Queue {
    pub(super) id: u32,
    /// This one, as those know it that name its jobs.
    pub(super) partition: u16,
    /// The latest seen.
    pub(super) settings: Settings,
    /// The sequence of the next lease's fence.
    pub(super) next_fence: u64,
    pub(super) counts: ByState,
    /// Of the jobs that are ready, by priority.
    pub(super) lanes: [Lane; LANES],
    /// By state: no job of it is before this in the index. None while there is no job of it.
    pub(super) first: [Option<Time>; State::ALL.len()],
    /// Jobs that are over and have yet to tell those that wait for them.
    pub(super) over: u64,
    /// The number of none of them is less.
    pub(super) over_from: u64,
    /// When its timer is set; never later than the first thing due.
    pub(super) timer: Option<Time>,
    pub(super) events: StreamHead,
    pub(super) totals: Totals,
    /// When a worker last got a job.
    pub(super) leased_at: Option<Time>,
}
row!(Queue, version = 1);

impl Queue {
    pub(super) fn entity(&self) -> Entity {
        Entity { domain: super::DOMAIN, id: u64::from(self.id) }
    }

    pub(super) fn count(&self, state: State) -> u64 {
        self.counts[state as usize]
    }

    /// Jobs that wait, for whatever.
    pub(super) fn backlog(&self) -> u64 {
        let waiting = [State::Waiting, State::Scheduled, State::Retry, State::Ready];
        waiting.into_iter().map(|state| self.count(state)).sum()
    }

    /// Leases that may be given out now, were there jobs.
    pub(super) fn slots(&self) -> u64 {
        if self.settings.paused {
            return 0;
        }
        let limit = self.settings.concurrency_limit.unwrap_or(u64::MAX);
        limit.saturating_sub(self.count(State::Leased))
    }

    /// Jobs that would be leased now.
    pub(super) fn leasable(&self) -> u64 {
        self.count(State::Ready).min(self.slots())
    }

    /// Since when the oldest job is ready that is, at the earliest.
    pub(super) fn oldest_lane(&self) -> Option<Time> {
        self.lanes.iter().filter(|lane| lane.count > 0).map(|lane| lane.first.0).min()
    }

    /// When the next job that waits for a time is due, at the earliest.
    pub(super) fn next_due(&self) -> Option<Time> {
        let waits = [State::Scheduled, State::Retry];
        waits.into_iter().filter_map(|state| self.first[state as usize]).min()
    }
}

/// The jobs of one priority that are ready.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lane {
    pub(super) count: u64,
    /// None of them is before this time and number: what was is leased, and not worth passing over.
    pub(super) first: (Time, u64),
}

/// What has happened in this partition since the queue is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Jobs that were taken in.
    pub enqueued: u64,
    /// Jobs that are done.
    pub completed: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Leases that ended without a word.
    pub crashed: u64,
    /// Jobs that became dead letters.
    pub died: u64,
}

/// Whose a queue is and what it is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct QueueName {
    pub(super) tenant: TenantId,
    pub(super) name: String,
}
row!(QueueName, version = 1);

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counters {
    pub(super) queue: u32,
    pub(super) job: u64,
}
row!(Counters, version = 1);

/// What changes of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) queue: u32,
    pub(super) kind: String,
    pub(super) priority: u8,
    pub(super) state: State,
    /// Its time in the index: when it is due, is ready since, when its lease ends, when it was over.
    pub(super) at: Time,
    pub(super) created_at: Time,
    /// Not to be started before.
    pub(super) run_at: Time,
    /// Leases so far.
    pub(super) attempt: u32,
    pub(super) failures: u32,
    pub(super) crashes: u32,
    /// Of the last lease.
    pub(super) fence: u64,
    /// How the last lease ended.
    pub(super) ended: Ended,
    /// When the last lease began.
    pub(super) leased_at: Time,
    /// Who has the lease.
    pub(super) worker: Option<String>,
    /// Jobs that it waits for.
    pub(super) pending: u8,
    /// Whether any job waits for it.
    pub(super) waited_for: bool,
    /// Its ordering key.
    pub(super) ordering: Option<KeyHash>,
    /// Whether it has a place in the line of that.
    pub(super) in_line: bool,
    /// Its unique key.
    pub(super) unique: Option<KeyHash>,
    /// It is to stop as soon as its worker asks.
    pub(super) cancel: bool,
    /// Which notes there are, a bit for each.
    pub(super) notes: u8,
}
row!(Job, version = 1);

impl Job {
    /// Where it is in the index.
    pub(super) fn slot(&self) -> u8 {
        match self.state {
            State::Ready => lane_slot(self.priority),
            state => state as u8,
        }
    }

    /// Whether somebody has it at `now`. A lease that is due but not yet ended is over.
    pub(super) fn is_live(&self, now: Time) -> bool {
        self.state == State::Leased && now < self.at
    }
}

/// The slot of the jobs of `priority` that are ready.
pub(super) fn lane_slot(priority: u8) -> u8 {
    LANE_SLOTS + (PRIORITY_MAX - priority.min(PRIORITY_MAX))
}

/// How a lease ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Ended {
    /// It has not, or there was none.
    Not,
    /// The job was done.
    Completed,
    /// The attempt failed.
    Failed,
    /// The job was put off.
    Snoozed,
    /// Its time was over.
    Crashed,
}

/// What never changes of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Body {
    pub(super) payload: String,
    pub(super) ordering_key: Option<String>,
    pub(super) unique_key: Option<String>,
    pub(super) after: Vec<JobId>,
    pub(super) trace: Option<String>,
}
row!(Body, version = 1);

/// The job that has a unique key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Unique(pub(super) u64);
row!(Unique, version = 1);

/// An ordering key and its line of jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OrderKey {
    /// The job whose turn it is.
    pub(super) head: u64,
    /// None of the line is before: what was is over, and not worth passing over.
    pub(super) from: u64,
    /// Jobs of the line, the head among them.
    pub(super) count: u64,
    /// Those up to this number become dead letters when their turn comes.
    pub(super) condemned: u64,
}
row!(OrderKey, version = 1);

/// How a job that others wait for was over; or that its line goes on after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Over {
    /// Done.
    Done,
    /// It will never be.
    Cancelled,
    /// It is not: its turn to become a dead letter has come, and its line goes on after it.
    Passed,
}
row!(Over, version = 1);

/// Something said about a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// When.
    pub at: Time,
    /// What.
    pub text: String,
}
row!(Note, version = 1);

/// What a note is: its number is its key, and its bit in [`Job::notes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoteKind {
    Error,
    Result,
    Progress,
}

impl NoteKind {
    pub(super) const ALL: [Self; 3] = [Self::Error, Self::Result, Self::Progress];

    pub(super) fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The jobs of a kind that are kept, and what has happened to those and to earlier ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kind {
    /// How many are in each state, in the order of [`State::ALL`].
    pub counts: ByState,
    /// What has happened.
    pub totals: Totals,
    /// Leases that were given out.
    pub leases: u64,
    /// How long jobs were ready before those, in all.
    pub wait_ms: u64,
    /// How long those were held that have ended, in all.
    pub run_ms: u64,
}
row!(Kind, version = 1);

impl Kind {
    /// Adds another's numbers: those of another partition, or a difference, which may be below zero
    /// (modulo 2⁶⁴).
    pub fn join(&mut self, difference: &Self) {
        let Self { counts, totals, leases, wait_ms, run_ms } = difference;
        let Totals { enqueued, completed, failed, crashed, died } = totals;
        for (count, difference) in self.counts.iter_mut().zip(counts) {
            *count = count.wrapping_add(*difference);
        }
        for (total, difference) in [
            (&mut self.totals.enqueued, enqueued),
            (&mut self.totals.completed, completed),
            (&mut self.totals.failed, failed),
            (&mut self.totals.crashed, crashed),
            (&mut self.totals.died, died),
            (&mut self.leases, leases),
            (&mut self.wait_ms, wait_ms),
            (&mut self.run_ms, run_ms),
        ] {
            *total = total.wrapping_add(*difference);
        }
    }
}

/// What happened to a queue that somebody may ask about later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum QueueEvent {
    /// A job became a dead letter.
    Died {
        /// Which.
        job: u64,
        /// Its kind.
        kind: String,
        /// The last thing that went wrong.
        error: String,
    },
    /// Dead letters were brought back.
    Replayed {
        /// By whom.
        by: String,
        /// So many.
        count: u64,
        /// The first and the last of them.
        jobs: (u64, u64),
    },
}

impl QueueEvent {
    /// The event's type, as subscribers see it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Died { .. } => "jobs.died",
            Self::Replayed { .. } => "jobs.replayed",
        }
    }
}

tables! {
    Queues, 0x40, "queues", (TenantId, String), Queue;
    QueueNames, 0x41, "queue_names", u32, QueueName;
    JobCounters, 0x42, "job_counters", (), Counters;
    Jobs, 0x43, "jobs", u64, Job;
    JobBodies, 0x44, "job_bodies", u64, Body;
    JobIndex, 0x45, "job_index", (u32, u8, u64, u64), ();
    UniqueJobs, 0x46, "unique_jobs", (u32, KeyHash), Unique;
    OrderKeys, 0x47, "order_keys", (u32, KeyHash), OrderKey;
    OrderLines, 0x48, "order_lines", (u32, KeyHash, u64), ();
    JobWaiters, 0x49, "job_waiters", (u64, u16, u64), ();
    JobsOver, 0x4a, "jobs_over", (u32, u64), Over;
    JobNotes, 0x4b, "job_notes", (u64, u8), Note;
    JobKinds, 0x4c, "job_kinds", (u32, String), Kind;
}
