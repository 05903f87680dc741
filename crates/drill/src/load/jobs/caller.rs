//! One connection that enqueues, leases and completes.

use std::fmt::Write as _;

use serde::Deserialize;

use super::super::client::{Client, ClientError, Reply};
use super::super::driver::Outcome;
use super::super::endpoint::Endpoint;
use super::super::request::RequestWriter;
use super::queue::{Queue, lease_body, push_job};

const QUOTE_BYTES_MAX: usize = 300;
/// What an answer about many jobs has in it if one of them was refused.
const ERROR: &[u8] = br#""error":"#;

/// A connection to one queue, with what it has leased and not completed.
pub(super) struct Caller {
    endpoint: Endpoint,
    client: Client,
    writer: RequestWriter,
    worker: usize,
    queue: String,
    enqueue_path: String,
    lease_path: String,
    complete_path: String,
    body: String,
    pub(super) leased: Vec<Leased>,
}

/// A job that this connection has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Leased {
    pub(super) job: String,
    pub(super) lease: String,
    /// What its producer's clock said.
    pub(super) sent_us: u64,
}

#[derive(Deserialize)]
struct LeaseReply {
    jobs: Vec<LeasedJob>,
}

#[derive(Deserialize)]
struct NextReply {
    next: LeaseReply,
}

#[derive(Deserialize)]
struct LeasedJob {
    job: String,
    lease: String,
    payload: Payload,
}

#[derive(Deserialize)]
struct Payload {
    sent_us: u64,
}

impl Caller {
    pub(super) async fn connect(queue: &Queue, worker: usize) -> Result<Self, ClientError> {
        let root = format!("/v1/queues/{}", queue.name);
        Ok(Self {
            client: queue.endpoint.connect().await?,
            writer: queue.endpoint.writer(),
            endpoint: queue.endpoint.clone(),
            worker,
            enqueue_path: format!("{root}/jobs"),
            lease_path: format!("{root}/lease"),
            complete_path: format!("{root}/complete"),
            queue: root,
            body: String::new(),
            leased: Vec::new(),
        })
    }

    /// Enqueues `count` jobs in one request.
    pub(super) async fn enqueue(
        &mut self,
        first: u64,
        count: u64,
        key: Option<u32>,
        sent_us: u64,
    ) -> Result<(), Outcome> {
        self.body.clear();
        for number in first..first + count {
            push_job(&mut self.body, number, key, sent_us);
        }
        self.body.push_str("]}");
        self.reconnect_if_closed().await?;
        let request = self.writer.post(&self.enqueue_path, None, self.body.as_bytes());
        success(self.client.call(request).await)?;
        Ok(())
    }

    /// Leases up to so many jobs; answers how many came, none after the wait.
    pub(super) async fn lease(&mut self, jobs_max: usize, wait_ms: u64) -> Result<usize, Outcome> {
        let body = lease_body(self.worker, jobs_max, wait_ms);
        self.reconnect_if_closed().await?;
        let request = self.writer.post(&self.lease_path, None, body.as_bytes());
        let reply = success(self.client.call(request).await)?;
        let reply: LeaseReply = understood(reply.body)?;
        Ok(self.take(reply))
    }

    fn take(&mut self, reply: LeaseReply) -> usize {
        let count = reply.jobs.len();
        self.leased.extend(reply.jobs.into_iter().map(|job| Leased {
            job: job.job,
            lease: job.lease,
            sent_us: job.payload.sent_us,
        }));
        count
    }

    /// Completes the job that was leased last; with up to `next` others in the answer, if it is not 0.
    pub(super) async fn complete_one(&mut self, next: usize) -> Result<(), Outcome> {
        let Some(leased) = self.leased.pop() else { return Ok(()) };
        let path = format!("{}/jobs/{}/complete", self.queue, leased.job);
        self.body.clear();
        let _ = write!(self.body, r#"{{"lease":"{}""#, leased.lease);
        self.ask_next(next);
        self.reconnect_if_closed().await?;
        let request = self.writer.post(&path, None, self.body.as_bytes());
        let reply = success(self.client.call(request).await)?;
        if next > 0 {
            let reply: NextReply = understood(reply.body)?;
            self.take(reply.next);
        }
        Ok(())
    }

    /// Ends the body of a completion.
    fn ask_next(&mut self, next: usize) {
        if next > 0 {
            self.body.push_str(r#","next":"#);
            self.body.push_str(&lease_body(self.worker, next, 0));
        }
        self.body.push('}');
    }

    /// Completes all that is leased, in one request; with up to `next` others in the answer, if it is
    /// not 0.
    pub(super) async fn complete_all(&mut self, next: usize) -> Result<(), Outcome> {
        self.body.clear();
        for leased in self.leased.drain(..) {
            self.body.push_str(if self.body.is_empty() { r#"{"jobs":["# } else { "," });
            let (job, lease) = (&leased.job, &leased.lease);
            let _ = write!(self.body, r#"{{"job":"{job}","lease":"{lease}"}}"#);
        }
        self.body.push(']');
        self.ask_next(next);
        self.reconnect_if_closed().await?;
        let request = self.writer.post(&self.complete_path, None, self.body.as_bytes());
        let reply = success(self.client.call(request).await)?;
        let refused = reply.body.windows(ERROR.len()).any(|text| text == ERROR);
        if next > 0 {
            let reply: NextReply = understood(reply.body)?;
            self.take(reply.next);
        }
        if refused { Err(Outcome::Refused) } else { Ok(()) }
    }

    /// A server may end a connection after any reply.
    async fn reconnect_if_closed(&mut self) -> Result<(), Outcome> {
        if !self.client.is_usable() {
            self.client = self.endpoint.connect().await.map_err(failed)?;
        }
        Ok(())
    }
}

fn understood<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Outcome> {
    serde_json::from_slice(body)
        .map_err(|error| Outcome::Error(format!("an answer is not understood: {error}").into()))
}

/// The reply if it is one of success, else what it counts as.
fn success(reply: Result<Reply<'_>, ClientError>) -> Result<Reply<'_>, Outcome> {
    match reply {
        Ok(reply) if reply.is_success() => Ok(reply),
        Ok(reply) if reply.status == 409 => Err(Outcome::Refused),
        // Turned away, and nothing was done: too much waits, or is not flushed.
        Ok(reply) if [429, 503].contains(&reply.status) => Err(Outcome::Shed),
        Ok(reply) => {
            let body = &reply.body[..reply.body.len().min(QUOTE_BYTES_MAX)];
            let body = String::from_utf8_lossy(body);
            Err(Outcome::Error(format!("status {}: {body}", reply.status).into()))
        }
        Err(error) => Err(failed(error)),
    }
}

#[allow(clippy::needless_pass_by_value, reason = "the shape that map_err asks for")]
fn failed(error: ClientError) -> Outcome {
    Outcome::Error(error.to_string().into())
}
