//! The work: whole lives of jobs (enqueued, leased, completed), in a queue that is spread over the
//! partitions and in one in which every job waits for the one before it.

use super::{PriceError, check_answer};
use crate::load::{
    Client, ClientError, Done, Endpoint, Outcome, RequestWriter, Workload, WorkloadError,
};
use serde_json::{Value, json};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// The sides: with the guarantee, and without. They also name the queues.
pub(super) const SIDES: [&str; 2] = ["fifo", "spread"];
/// Partitions that the queue without it uses.
pub(super) const SPREAD: u16 = 16;
/// How long one slow worker sits on a job.
pub(super) const SLOW: Duration = Duration::from_millis(1_000);
/// A lease waits so long for a job; then it is asked again.
const WAIT_MS: u64 = 200;
/// So often: longer than a slow worker takes.
const LEASES_MAX: u32 = 50;

/// Lives of jobs in the queue of one side.
pub(super) struct Lives {
    endpoint: Endpoint,
    queue: &'static str,
    enqueue: Vec<u8>,
    done: AtomicU64,
}

/// A job in hand.
struct InHand {
    job: String,
    lease: String,
}

impl Lives {
    pub(super) fn new(endpoint: Endpoint, side: usize) -> Self {
        let mut job = json!({"kind": "work"});
        if side == 0 {
            job["ordering_key"] = json!("all");
        }
        let enqueue = json!({"jobs": [job]}).to_string().into_bytes();
        Self { endpoint, queue: SIDES[side], enqueue, done: AtomicU64::new(0) }
    }

    /// Puts the queue.
    pub(super) async fn create(&self) -> Result<(), PriceError> {
        let spread = if self.queue == SIDES[0] { 1 } else { SPREAD };
        let (mut client, mut writer) = (self.endpoint.connect().await?, self.endpoint.writer());
        let path = format!("/v1/queues/{}", self.queue);
        let body = json!({"spread": spread}).to_string();
        check_answer(client.call(writer.put(&path, body.as_bytes())).await?).map(|_| ())
    }

    /// Jobs that were done so far.
    pub(super) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Takes a job and does nothing about it for [`SLOW`]. Answers how many others were done meanwhile.
    pub(super) async fn sit_on_one(&self) -> Result<u64, PriceError> {
        let (mut client, mut writer) = (self.endpoint.connect().await?, self.endpoint.writer());
        self.enqueue(&mut client, &mut writer).await?;
        let job = self.lease(&mut client, &mut writer).await?;
        let before = self.done();
        tokio::time::sleep(SLOW).await;
        let meanwhile = self.done() - before;
        self.complete(&mut client, &mut writer, &job).await?;
        Ok(meanwhile)
    }

    async fn enqueue(
        &self,
        client: &mut Client,
        writer: &mut RequestWriter,
    ) -> Result<(), PriceError> {
        let path = format!("/v1/queues/{}/jobs", self.queue);
        check_answer(client.call(writer.post(&path, None, &self.enqueue)).await?).map(|_| ())
    }

    /// Some job: in a queue that others share, perhaps not the one that was enqueued.
    async fn lease(
        &self,
        client: &mut Client,
        writer: &mut RequestWriter,
    ) -> Result<InHand, PriceError> {
        let path = format!("/v1/queues/{}/lease", self.queue);
        let body = json!({"worker": "w", "max": 1, "wait_ms": WAIT_MS}).to_string();
        for _ in 0..LEASES_MAX {
            let reply = client.call(writer.post(&path, None, body.as_bytes())).await?;
            let answer: Value = serde_json::from_slice(&check_answer(reply)?).unwrap_or_default();
            let text = |name: &str| answer["jobs"][0][name].as_str().map(str::to_owned);
            if let (Some(job), Some(lease)) = (text("job"), text("lease")) {
                return Ok(InHand { job, lease });
            }
        }
        Err(PriceError::Answer("no job could be had".into()))
    }

    async fn complete(
        &self,
        client: &mut Client,
        writer: &mut RequestWriter,
        InHand { job, lease }: &InHand,
    ) -> Result<(), PriceError> {
        let path = format!("/v1/queues/{}/jobs/{job}/complete", self.queue);
        let body = json!({"lease": lease}).to_string();
        check_answer(client.call(writer.post(&path, None, body.as_bytes())).await?)?;
        self.done.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn live(&self, caller: &mut Caller) -> Result<(), PriceError> {
        let Caller { client, writer } = caller;
        self.enqueue(client, writer).await?;
        let job = self.lease(client, writer).await?;
        self.complete(client, writer, &job).await
    }
}

/// One connection: a client and a worker.
pub(super) struct Caller {
    client: Client,
    writer: RequestWriter,
}

impl Workload for Lives {
    type Conn = Caller;

    fn name(&self) -> String {
        self.queue.to_owned()
    }

    fn kinds(&self) -> &'static [&'static str] {
        &["job"]
    }

    async fn connect(&self, _: usize) -> Result<Caller, WorkloadError> {
        let client = self.endpoint.connect().await;
        let client = client.map_err(|error: ClientError| WorkloadError(error.to_string()))?;
        Ok(Caller { client, writer: self.endpoint.writer() })
    }

    async fn call(&self, caller: &mut Caller, _: u64) -> Done {
        let outcome = match self.live(caller).await {
            Ok(()) => Outcome::Ok,
            Err(error) => Outcome::Error(error.to_string().into()),
        };
        Done { kind: 0, outcome }
    }
}
