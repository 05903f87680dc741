//! What pushing asks of whoever has the jobs: the node, or in tests a fake in memory. A pusher is a
//! worker like any other: it leases, and it says what came of it.

use evenkeel_domains::jobs::{Action, JobId, Leased, Push, Settings, Standing};
use evenkeel_engine::Time;
use evenkeel_node::Tenant;
use std::{future::Future, sync::Arc, time::Duration};
use tokio::sync::watch;

/// A queue whose jobs are pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pushed {
    pub(super) id: QueueId,
    pub(super) settings: Settings,
    pub(super) push: Push,
}

/// Which queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct QueueId {
    pub(super) tenant: Tenant,
    pub(super) queue: Arc<str>,
}

/// How jobs are asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) worker: &'a str,
    pub(super) max: u32,
    /// How long to wait for the first.
    pub(super) wait: Duration,
    pub(super) lease_ms: u64,
}

/// Why something did not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SourceError {
    /// The lease is not the job's any more.
    #[error("the lease is over")]
    Stale,
    /// It will not be done, however often it is asked for.
    #[error("refused: {0}")]
    Refused(&'static str),
    /// It may be done the next time.
    #[error("{0}")]
    Unavailable(String),
}

/// Whoever has the jobs.
pub(super) trait Source: Send + Sync + 'static {
    /// All queues that have a push which is not disabled, as far as is known here.
    fn pushed(&self) -> Vec<Pushed>;

    /// Completes when they may be others than were last answered.
    fn changed(&self) -> impl Future<Output = ()> + Send;

    /// Leases jobs of a queue; none after the wait, or once `ended` is true. It is always awaited to its
    /// end: what it leases would otherwise be nobody's until the lease is over.
    fn lease(
        &self,
        queue: &QueueId,
        ask: Ask<'_>,
        ended: watch::Receiver<bool>,
    ) -> impl Future<Output = Result<Vec<(JobId, Leased)>, SourceError>> + Send;

    /// Says something about a job that is leased.
    fn job(
        &self,
        queue: &QueueId,
        job: JobId,
        action: Action,
    ) -> impl Future<Output = Result<Standing, SourceError>> + Send;

    /// Disables the push of a queue, unless it is not of this version any more.
    fn disable(
        &self,
        queue: &QueueId,
        version: u64,
        reason: &str,
    ) -> impl Future<Output = Result<(), SourceError>> + Send;

    /// Record time.
    fn now(&self) -> Time;
}
