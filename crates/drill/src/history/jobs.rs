//! What clients had done by jobs, what workers did and what both were told, for
//! [`check_jobs`](crate::checker::check_jobs). The workers' effects downstream are operations too.
//!
//! Times are milliseconds of one clock. Record times that answers carry must be of a clock that shows
//! the same; who cannot be sure of that writes calls down a little earlier, and what was heard later.

use serde::Serialize;
use std::{collections::BTreeMap, fmt};

/// What a queue says, as its users read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rules {
    /// Jobs that may wait before one is refused, by its priority.
    pub backlog_max: Vec<u64>,
    /// Live leases at most.
    pub concurrency_limit: Option<u64>,
    /// Attempts that may fail.
    pub max_attempts: u32,
    /// Leases that may end without a word.
    pub max_crashes: u32,
    /// First retries of jobs that fail at once are due within a stretch of this length, evenly.
    pub retries_within_ms: u64,
    /// What a head that has failed for good does to its ordering key.
    pub head: Head,
}

/// What happens to an ordering key whose head is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Head {
    /// It waits.
    Block,
    /// It goes on.
    Skip,
    /// Those behind it are dead too.
    DeadLetter,
}

/// What a worker does with a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It overwrites a row: that of its ordering key, or its own.
    Put,
    /// It charges somebody, which is to happen once.
    Charge,
}

/// A job as its client describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Work {
    /// What is done.
    pub kind: Kind,
    /// Whether it kills every worker that gets it.
    pub poison: bool,
    /// Its unique key.
    pub unique_key: Option<String>,
    /// Its ordering key.
    pub ordering_key: Option<String>,
    /// Its priority.
    pub priority: u8,
    /// Not to be started sooner.
    pub delay_ms: u64,
    /// Jobs that must be done before.
    pub after: Vec<String>,
}

/// The queue of a job: its id begins with the partition.
pub(crate) fn place_of(job: &str) -> u16 {
    job.split('.').next().and_then(|place| place.parse().ok()).unwrap_or_default()
}

/// By what a worker names its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Lease {
    /// Which attempt at the job.
    pub attempt: u32,
    /// Its fence.
    pub fence: u64,
}

/// What was asked, or done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Take jobs in, all or none.
    Enqueue(Vec<Work>),
    /// Have a job not run, or stop.
    Cancel {
        /// Which.
        job: String,
    },
    /// Give jobs.
    Lease {
        /// At most so many.
        max: u32,
        /// If there are none, wait for so long.
        wait_ms: u64,
    },
    /// Say something of a job that one has.
    Word {
        /// Which.
        job: String,
        /// By what lease.
        lease: Lease,
        /// What.
        word: Word,
    },
    /// Do what the job is for, downstream.
    Effect {
        /// The job.
        job: String,
        /// By what lease.
        lease: Lease,
        /// What is done.
        kind: Kind,
        /// To which row.
        row: String,
    },
    /// The worker is killed, with all it has in hand.
    Dies,
}

/// What a worker says of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// It is done.
    Complete,
    /// It failed.
    Fail {
        /// Whether it is worth another attempt.
        retry: bool,
    },
    /// Put it off.
    Snooze {
        /// By so much.
        delay_ms: u64,
    },
    /// Have the lease end so much later than now.
    Extend {
        /// From then.
        lease_ms: u64,
    },
    /// So far it is.
    Progress,
}

impl Word {
    /// Whether the lease is over with it.
    #[must_use]
    pub const fn ends(self) -> bool {
        matches!(self, Self::Complete | Self::Fail { .. } | Self::Snooze { .. })
    }
}

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// For others.
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
    /// Over: a dead letter.
    Dead,
    /// Over: somebody said so.
    Cancelled,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting => "waiting",
            Self::Scheduled => "scheduled",
            Self::Retry => "waiting for a retry",
            Self::Ready => "ready",
            Self::Leased => "leased",
            Self::Done => "done",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        })
    }
}

/// A job that was asked to be taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// Its id.
    pub job: String,
    /// Whether it was there before.
    pub duplicate: bool,
}

/// A job that a worker was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Given {
    /// Its id.
    pub job: String,
    /// By what its worker names it.
    pub lease: Lease,
    /// Since when it has that, in record time.
    pub at_ms: u64,
    /// When that ends.
    pub expires_at_ms: u64,
    /// Its ordering key.
    pub ordering_key: Option<String>,
    /// Attempts that failed before.
    pub failures: u32,
    /// Leases that ended without a word before.
    pub crashes: u32,
    /// What is to be done.
    pub kind: Kind,
    /// Whether it kills its worker.
    pub poison: bool,
}

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// They are taken in.
    Enqueued {
        /// In the order in which they were named.
        jobs: Vec<Taken>,
        /// When, in record time; not told by a stored answer.
        at_ms: Option<u64>,
    },
    /// These, perhaps none.
    Leased {
        /// The jobs.
        jobs: Vec<Given>,
    },
    /// What became of the job.
    Stands {
        /// Where it is.
        state: State,
        /// When it is due, or its lease ends, or it was over.
        until_ms: u64,
        /// Its worker is to stop.
        cancel: bool,
        /// When that was decided, in record time, if it says.
        at_ms: Option<u64>,
    },
    /// The lease is not live.
    Stale {
        /// When that was decided, in record time; or the latest that it can have been.
        at_ms: u64,
    },
    /// As many jobs wait as may.
    BacklogFull,
    /// No, for another reason. It had no effect.
    Refused(String),
    /// Downstream: it is done.
    Applied,
    /// Downstream: it was done before.
    Already,
    /// Downstream: somebody with a higher fence was there before.
    Fenced,
    /// No effect.
    TurnedAway(String),
    /// It may or may not have happened.
    Unknown,
}

/// One attempt of a client or worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Operation {
    /// Who.
    pub client: u64,
    /// Of which queue: it is named after the partition that has it, and so are its jobs.
    pub place: u16,
    /// The idempotency key.
    pub retry_key: Option<String>,
    /// What.
    pub request: Request,
    /// When it was sent.
    pub called_ms: u64,
    /// When an answer came, and which. None: nobody heard it, and it may still have its effect.
    pub returned: Option<(u64, Outcome)>,
}

impl Operation {
    /// What was heard.
    #[must_use]
    pub fn outcome(&self) -> Option<&Outcome> {
        self.returned.as_ref().map(|(_, outcome)| outcome)
    }

    /// Whether it may have had an effect.
    #[must_use]
    pub fn may_have_happened(&self) -> bool {
        !matches!(
            self.outcome(),
            Some(
                Outcome::TurnedAway(_)
                    | Outcome::Refused(_)
                    | Outcome::Stale { .. }
                    | Outcome::BacklogFull
                    | Outcome::Fenced
            )
        )
    }

    /// Whether nobody knows if it had one.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self.outcome(), None | Some(Outcome::Unknown))
    }
}

/// A job as it was in the end, by a query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Last {
    /// Where it is in its life.
    pub state: State,
    /// Leases that it had.
    pub attempt: u32,
    /// Attempts that failed.
    pub failures: u32,
    /// Leases that ended without a word.
    pub crashes: u32,
    /// Its ordering key.
    pub ordering_key: Option<String>,
    /// When it was taken in, in record time.
    pub created_ms: u64,
    /// Jobs that must be done before.
    pub after: Vec<String>,
}

/// What was there in the end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct End {
    /// By id.
    pub jobs: BTreeMap<String, Last>,
    /// Whether workers went on asking until there was nothing more to be had for long.
    pub drained: bool,
}

/// What all asked, did and were told, of queues that say the same. Each is in one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobHistory {
    /// What each queue says.
    pub rules: Rules,
    /// In the order of calls.
    pub operations: Vec<Operation>,
    /// What was there in the end, if anybody looked.
    pub end: Option<End>,
}

impl JobHistory {
    /// Nothing yet.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self { rules, operations: Vec::new(), end: None }
    }

    /// Somebody asks; answers the operation's index.
    pub fn call(&mut self, operation: Operation) -> usize {
        self.operations.push(operation);
        self.operations.len() - 1
    }

    /// It is answered.
    pub fn returns(&mut self, operation: usize, at_ms: u64, outcome: Outcome) {
        self.operations[operation].returned = Some((at_ms, outcome));
    }
}
