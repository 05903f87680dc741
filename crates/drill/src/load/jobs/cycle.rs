//! `cycle` and `ordered`: one job a request, and the three requests of its life.

use super::super::driver::{Done, Outcome, Workload, WorkloadError};
use super::super::scatter::Scatter;
use super::caller::Caller;
use super::queue::{Queue, QueueSettings};

/// A lease that comes back empty after this long counts as refused: another connection has what
/// this one enqueued, and every connection enqueues before it leases.
pub(super) const WAIT_MS: u64 = 1_000;

/// Each connection enqueues one, leases one, which need not be the same, and completes it.
pub(super) struct Cycle {
    queue: Queue,
    settings: QueueSettings,
    keys: Option<Scatter>,
}

impl Cycle {
    /// With ordering keys, so many in turn, or without.
    pub(super) fn new(queue: Queue, settings: QueueSettings, keys: Option<u32>) -> Self {
        Self { queue, settings, keys: keys.map(|keys| Scatter::new(keys, 0)) }
    }
}

impl Workload for Cycle {
    type Conn = Caller;

    fn name(&self) -> String {
        let name = if self.keys.is_some() { "ordered" } else { "cycle" };
        format!("jobs {name}")
    }

    fn kinds(&self) -> &'static [&'static str] {
        &["job"]
    }

    async fn prepare(&self, _: u32) -> Result<(), WorkloadError> {
        self.settings.create(&self.queue.endpoint).await
    }

    async fn connect(&self, connection: usize) -> Result<Caller, WorkloadError> {
        self.queue.connect(connection).await
    }

    async fn call(&self, caller: &mut Caller, call: u64) -> Done {
        let key = self.keys.map(|keys| keys.place(call));
        let outcome = cycle(caller, call, key).await.err().unwrap_or(Outcome::Ok);
        Done { kind: 0, outcome }
    }
}

async fn cycle(caller: &mut Caller, number: u64, key: Option<u32>) -> Result<(), Outcome> {
    caller.enqueue(number, 1, key, 0).await?;
    take(caller).await
}

/// Leases one job and completes it.
pub(super) async fn take(caller: &mut Caller) -> Result<(), Outcome> {
    if caller.lease(1, WAIT_MS).await? == 0 {
        return Err(Outcome::Refused);
    }
    caller.complete_one().await
}
