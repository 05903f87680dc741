//! A queue to be measured: how it is put there, its paths, and the bodies of its requests.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::super::driver::WorkloadError;
use super::super::endpoint::Endpoint;
use super::caller::Caller;

/// What a measured queue is put there with; what is none keeps the server's default.
#[derive(Debug, Clone, Default)]
pub struct QueueSettings {
    /// Its name.
    pub name: String,
    /// Over how many partitions.
    pub spread: Option<u32>,
    /// How many jobs may be leased at once.
    pub concurrency_limit: Option<u32>,
    /// How many jobs it takes in.
    pub max_backlog: Option<u64>,
    /// How long a job that is done is kept.
    pub retention_ms: Option<u64>,
}

impl QueueSettings {
    fn body(&self) -> Value {
        let mut body = Map::new();
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        };
        set("spread", self.spread.map(Value::from));
        set("concurrency_limit", self.concurrency_limit.map(Value::from));
        set("max_backlog", self.max_backlog.map(Value::from));
        set("retention_ms", self.retention_ms.map(Value::from));
        Value::Object(body)
    }

    /// Puts it there, or changes what is there.
    pub(super) async fn create(&self, endpoint: &Endpoint) -> Result<(), WorkloadError> {
        let failed = |error: &dyn std::fmt::Display| {
            WorkloadError(format!("cannot put the queue `{}`: {error}", self.name))
        };
        let mut client = endpoint.connect().await.map_err(|error| failed(&error))?;
        let mut writer = endpoint.writer();
        let path = format!("/v1/queues/{}", self.name);
        let request = writer.put(&path, self.body().to_string().as_bytes());
        let reply = client.call(request).await.map_err(|error| failed(&error))?;
        if reply.is_success() {
            return Ok(());
        }
        let body = String::from_utf8_lossy(reply.body);
        Err(failed(&format!("status {}: {body}", reply.status)))
    }
}

/// Where a queue's requests go.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    pub(super) endpoint: Endpoint,
    pub(super) name: String,
}

impl Queue {
    pub(super) fn new(endpoint: Endpoint, settings: &QueueSettings) -> Self {
        Self { endpoint, name: settings.name.clone() }
    }

    /// A connection that works for it under this name.
    pub(super) async fn connect(&self, worker: usize) -> Result<Caller, WorkloadError> {
        let caller = Caller::connect(self, worker).await;
        caller.map_err(|error| WorkloadError(error.to_string()))
    }
}

/// One job as the body of an enqueue has it, behind what `body` holds already.
pub(super) fn push_job(body: &mut String, number: u64, key: Option<u32>, sent_us: u64) {
    body.push_str(if body.is_empty() { r#"{"jobs":["# } else { "," });
    let _ = write!(
        body,
        r#"{{"kind":"bench","payload":{{"order":"o-{number}","amount_cents":4200,"sent_us":{sent_us}}}"#
    );
    if let Some(key) = key {
        let _ = write!(body, r#","ordering_key":"key-{key}""#);
    }
    body.push('}');
}

/// The body of a lease.
pub(super) fn lease_body(worker: usize, jobs_max: usize, wait_ms: u64) -> String {
    json!({"worker": format!("bench-{worker}"), "max": jobs_max, "wait_ms": wait_ms}).to_string()
}
