//! Enqueuing alone and taking alone: what `backlog` compares.

use super::super::driver::{Done, Outcome, Workload, WorkloadError};
use super::caller::Caller;
use super::cycle::take;
use super::queue::Queue;

/// One half of a cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    /// Enqueue one.
    Enqueue,
    /// Lease one and complete it.
    Take,
}

/// All connections do one half, on a queue that is there.
pub(super) struct Single {
    queue: Queue,
    half: Half,
}

impl Single {
    pub(super) fn new(queue: Queue, half: Half) -> Self {
        Self { queue, half }
    }
}

impl Workload for Single {
    type Conn = Caller;

    fn name(&self) -> String {
        match self.half {
            Half::Enqueue => "jobs enqueued".to_owned(),
            Half::Take => "jobs leased and completed".to_owned(),
        }
    }

    fn kinds(&self) -> &'static [&'static str] {
        &["job"]
    }

    async fn connect(&self, connection: usize) -> Result<Caller, WorkloadError> {
        self.queue.connect(connection).await
    }

    async fn call(&self, caller: &mut Caller, call: u64) -> Done {
        let result = match self.half {
            Half::Enqueue => caller.enqueue(call, 1, None, 0).await,
            Half::Take => take(caller).await,
        };
        Done { kind: 0, outcome: result.err().unwrap_or(Outcome::Ok) }
    }
}
