//! What other partitions send to jobs, and what that does here. Nobody waits for an answer, so nothing is
//! refused: what cannot be is noted where somebody looks for it.

use super::{
    JobId, NewJob, Settings,
    after::{told_from_elsewhere, watch_for},
    enqueue::take_in_delivered,
};
use evenkeel_engine::{Context, TenantId};
use evenkeel_state::StateError;
use serde::{Deserialize, Serialize};

/// Jobs of one [`Item::Enqueue`]: with all the keys that a job can have, and each waiting for another
/// one in vain, they are within the rows that one item may change.
pub const ITEM_JOBS_MAX: usize = 12;

/// Work that another partition sent. Stored on its way, perhaps by an older version: variants are added
/// at the end, and what one has never changes.
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
        /// The jobs, at most [`ITEM_JOBS_MAX`].
        jobs: Vec<NewJob>,
    },
    /// A job elsewhere waits for one that is here: it is told when that is over.
    Await {
        /// The job, which is here.
        of: JobId,
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

/// Does what another partition sent.
pub fn deliver(
    ctx: &mut Context<'_, '_>,
    partitions: u16,
    tenant: TenantId,
    item: &Item,
) -> Result<(), StateError> {
    match item {
        Item::Enqueue { queue, partition, settings, jobs } => {
            let key = (tenant, queue.clone());
            take_in_delivered(ctx, key, (*partition, partitions), settings, jobs)
        }
        Item::Await { of, waiter } => watch_for(ctx, tenant, *of, *waiter),
        Item::Told { waiter, of, done } => told_from_elsewhere(ctx, *waiter, *of, *done),
    }
}
