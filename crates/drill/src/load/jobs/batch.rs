//! `batch`: a hundred jobs a request.

use super::super::driver::{Done, Outcome, Workload, WorkloadError};
use super::caller::Caller;
use super::cycle::WAIT_MS;
use super::queue::{Queue, QueueSettings};

/// Jobs a request: as many as the API takes.
pub(super) const JOBS: u64 = 100;

/// Each connection enqueues a hundred, and completes as many in one request, which gives it as many
/// others next.
pub(super) struct Batch {
    queue: Queue,
    settings: QueueSettings,
}

impl Batch {
    pub(super) fn new(queue: Queue, settings: QueueSettings) -> Self {
        Self { queue, settings }
    }
}

impl Workload for Batch {
    type Conn = Caller;

    fn name(&self) -> String {
        format!("jobs in batches of {JOBS}")
    }

    fn kinds(&self) -> &'static [&'static str] {
        &["batch"]
    }

    fn operations_per_call(&self) -> u64 {
        JOBS
    }

    async fn prepare(&self, _: u32) -> Result<(), WorkloadError> {
        self.settings.create(&self.queue.endpoint).await
    }

    async fn connect(&self, connection: usize) -> Result<Caller, WorkloadError> {
        self.queue.connect(connection).await
    }

    async fn call(&self, caller: &mut Caller, call: u64) -> Done {
        let outcome = cycle(caller, call).await.err().unwrap_or(Outcome::Ok);
        Done { kind: 0, outcome }
    }
}

async fn cycle(caller: &mut Caller, call: u64) -> Result<(), Outcome> {
    caller.enqueue(call * JOBS, JOBS, None, 0).await?;
    let wanted = JOBS as usize;
    if caller.leased.is_empty() {
        // Or all would be leased, and there would be none to be given next.
        caller.enqueue(call * JOBS, JOBS, None, 0).await?;
    }
    while caller.leased.len() < wanted {
        if caller.lease(wanted - caller.leased.len(), WAIT_MS).await? == 0 {
            // What came is completed all the same, or its leases would run out later.
            caller.complete_all(0).await?;
            return Err(Outcome::Refused);
        }
    }
    caller.complete_all(wanted).await
}
