//! `cycle`, `separate` and `ordered`: one job a request, and the requests of its life.

use super::super::driver::{Done, Outcome, Workload, WorkloadError};
use super::super::scatter::Scatter;
use super::caller::Caller;
use super::queue::{Queue, QueueSettings};

/// A lease that comes back empty after this long counts as refused: another connection has what
/// this one enqueued, and every connection enqueues before it leases.
pub(super) const WAIT_MS: u64 = 1_000;

/// Each connection enqueues one and completes one, which need not be the same, and is given the next with
/// that answer; or leases it by a request of its own.
pub(super) struct Cycle {
    queue: Queue,
    settings: QueueSettings,
    keys: Option<Scatter>,
    separate: bool,
}

impl Cycle {
    /// With ordering keys, so many in turn, or without.
    pub(super) fn new(queue: Queue, settings: QueueSettings, keys: Option<u32>) -> Self {
        let keys = keys.map(|keys| Scatter::new(keys, 0));
        Self { queue, settings, keys, separate: false }
    }

    /// The same with a request for each lease.
    pub(super) fn separate(self) -> Self {
        Self { separate: true, ..self }
    }
}

impl Workload for Cycle {
    type Conn = Caller;

    fn name(&self) -> String {
        let name = match (&self.keys, self.separate) {
            (Some(_), _) => "ordered",
            (None, true) => "separate",
            (None, false) => "cycle",
        };
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
        let next = usize::from(!self.separate);
        let outcome = cycle(caller, call, key, next).await.err().unwrap_or(Outcome::Ok);
        Done { kind: 0, outcome }
    }
}

async fn cycle(
    caller: &mut Caller,
    number: u64,
    key: Option<u32>,
    next: usize,
) -> Result<(), Outcome> {
    caller.enqueue(number, 1, key, 0).await?;
    if caller.leased.is_empty() {
        if next > 0 {
            // Or all would be leased, and there would be none to be given next.
            caller.enqueue(number, 1, key, 0).await?;
        }
        if caller.lease(1, WAIT_MS).await? == 0 {
            return Err(Outcome::Refused);
        }
    }
    caller.complete_one(next).await
}

/// Leases one job and completes it.
pub(super) async fn take(caller: &mut Caller) -> Result<(), Outcome> {
    if caller.lease(1, WAIT_MS).await? == 0 {
        return Err(Outcome::Refused);
    }
    caller.complete_one(0).await
}
