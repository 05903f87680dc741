//! What other partitions send to jobs, and what that does here. Nobody waits for an answer, so nothing is
//! refused: what cannot be is noted where somebody looks for it.

use super::{JobId, NewJob, Settings};
use serde::{Deserialize, Serialize};

/// Work that another partition sent. Stored on its way: variants are added at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Item {
    /// Take jobs in, however many wait already. One whose unique key is taken is there already.
    Enqueue {
        /// The queue's name.
        queue: String,
        /// The partition that this is sent to.
        partition: u16,
        /// Its [share](Settings::share) of the queue's settings.
        settings: Box<Settings>,
        /// The jobs.
        jobs: Vec<NewJob>,
    },
    /// A job elsewhere waits for one that is here: it is told when that is over.
    Await {
        /// The number of the job that is here.
        job: u64,
        /// The job that waits.
        waiter: JobId,
    },
    /// A job elsewhere that one here waits for is over, or is unknown there.
    Told {
        /// The number of the job that waits here.
        waiter: u64,
        /// The job that is over.
        of: JobId,
        /// Whether it is done: otherwise it never will be.
        done: bool,
    },
}
