//! Jobs as answered to whoever looks.

use super::{JobId, Note, State};
use evenkeel_engine::Time;

/// Why a job is not running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitingFor {
    /// These of its `after` are not done; the first of them.
    Jobs {
        /// So many.
        count: u8,
        /// One of them.
        first: Option<JobId>,
    },
    /// Its ordering key, which this job holds.
    OrderingKey {
        /// The job.
        job: u64,
        /// What that is doing.
        state: State,
    },
    /// Its time.
    Due(Time),
    /// The queue, which is paused.
    Paused,
    /// A slot: as many jobs run here as may.
    Limit {
        /// So many.
        limit: u64,
    },
    /// A worker. None has got a job of this queue here since.
    Worker {
        /// Then; none ever has if it is none.
        since: Option<Time>,
    },
}

/// A job as answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobView {
    /// Its number.
    pub job: u64,
    /// Where it is in its life.
    pub state: State,
    /// What sort of work it is.
    pub kind: String,
    /// Its priority.
    pub priority: u8,
    /// Leases so far.
    pub attempt: u32,
    /// Attempts that failed.
    pub failures: u32,
    /// Leases that ended without a word.
    pub crashes: u32,
    /// When it was taken in.
    pub created_at: Time,
    /// When it is due, is ready since, when its lease ends, when it was over.
    pub at: Time,
    /// Of a job that a worker has: its fence, and whose it is.
    pub lease: Option<(u64, String)>,
    /// Its worker is to stop.
    pub cancel: bool,
    /// The last thing that went wrong.
    pub error: Option<Note>,
}

/// A job with all that is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobDetail {
    /// As in a list.
    pub job: JobView,
    /// What the worker is given.
    pub payload: String,
    /// Its unique key.
    pub unique_key: Option<String>,
    /// Its ordering key.
    pub ordering_key: Option<String>,
    /// Jobs that must be done before.
    pub after: Vec<JobId>,
    /// The `traceparent` of whoever enqueued it.
    pub trace: Option<String>,
    /// What came of it.
    pub result: Option<Note>,
    /// How far it is.
    pub progress: Option<Note>,
    /// Why it is not running, if it is not and could.
    pub waiting_for: Option<WaitingFor>,
}
