//! Checks of one limit over HTTP, of many keys in turn, and the bench that runs them.

use super::{
    ClientError, Done, DriveError, Endpoint, EndpointError, Outcome, Plan, Report, RequestWriter,
    Scatter, Workload, WorkloadError, client::Client, drive,
};
use serde_json::json;
use std::{sync::Arc, time::Duration};

/// Keys that may be asked for: each has its request ready.
pub const KEYS_MAX: u32 = 1_000_000;

const QUOTE_BYTES_MAX: usize = 300;

/// A limit to be measured.
#[derive(Debug, Clone)]
pub struct Limit {
    /// Its name.
    pub name: String,
    /// How it counts.
    pub algorithm: &'static str,
    /// How much of each key.
    pub quantity: u64,
    /// In this time.
    pub period_ms: u64,
    /// `exact` or `leased`.
    pub mode: &'static str,
    /// `synced` or `buffered`.
    pub durability: &'static str,
}

/// Why a limit cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum LimitsBenchError {
    /// The options contradict themselves.
    #[error("keys must be 1 to {KEYS_MAX}")]
    Keys,
    /// The target names no server.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The connection failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The server does not take the limit.
    #[error("status {status}: {body}")]
    Refused {
        /// Of HTTP.
        status: u16,
        /// What it says.
        body: String,
    },
    /// The run could not begin or broke.
    #[error(transparent)]
    Drive(#[from] DriveError),
}

/// A run against a server that is up.
#[derive(Debug, Clone)]
pub struct LimitsBench {
    /// `host:port` or `http://host:port`.
    pub target: String,
    /// Sent as a bearer token.
    pub api_key: Option<String>,
    /// Bounds a connect and each request.
    pub timeout: Duration,
    /// How to measure.
    pub plan: Plan,
    /// What is asked about; put there first.
    pub limit: Limit,
    /// How many keys.
    pub keys: u32,
}

impl LimitsBench {
    /// Puts the limit, and asks about its keys in a scattered order.
    ///
    /// # Errors
    /// [`LimitsBenchError`]; requests that fail are counted in the report.
    pub async fn run(self) -> Result<Report, LimitsBenchError> {
        if !(1..=KEYS_MAX).contains(&self.keys) {
            return Err(LimitsBenchError::Keys);
        }
        let endpoint =
            Endpoint::resolve(&self.target, self.api_key.as_deref(), self.timeout).await?;
        self.limit.create(&endpoint).await?;
        let name = format!("limits {} {}", self.limit.mode, self.limit.durability);
        let checks = Checks::new(endpoint, name, &self.limit, self.keys);
        Ok(drive(Arc::new(checks), self.plan).await?)
    }
}

impl Limit {
    /// Puts it there, or changes what is there.
    pub(crate) async fn create(&self, endpoint: &Endpoint) -> Result<(), LimitsBenchError> {
        let policy = json!({
            "algorithm": self.algorithm, "quantity": self.quantity, "period_ms": self.period_ms,
            "mode": self.mode, "durability": self.durability,
        });
        let path = format!("/v1/limits/{}", self.name);
        let mut client = endpoint.connect().await?;
        let mut writer = endpoint.writer();
        let reply = client.call(writer.put(&path, policy.to_string().as_bytes())).await?;
        if reply.is_success() {
            return Ok(());
        }
        let body = String::from_utf8_lossy(reply.body).into_owned();
        Err(LimitsBenchError::Refused { status: reply.status, body })
    }

    /// The request to count one unit of a key.
    pub(crate) fn check(&self, key: u32) -> Vec<u8> {
        let check = json!({"limit": self.name, "key": format!("key-{key}")});
        json!({"checks": [check]}).to_string().into_bytes()
    }
}

/// Checks under one of the limits.
pub(crate) struct Checks {
    endpoint: Endpoint,
    name: String,
    bodies: Vec<Vec<u8>>,
    order: Scatter,
}

impl Checks {
    pub(crate) fn new(endpoint: Endpoint, name: String, limit: &Limit, keys: u32) -> Self {
        let bodies = (0..keys).map(|key| limit.check(key)).collect();
        Self { endpoint, name, bodies, order: Scatter::new(keys, 0) }
    }
}

/// One connection.
pub(crate) struct Caller {
    client: Client,
    writer: RequestWriter,
}

impl Workload for Checks {
    type Conn = Caller;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn kinds(&self) -> &'static [&'static str] {
        &["check"]
    }

    async fn connect(&self, _: usize) -> Result<Caller, WorkloadError> {
        let client = self.endpoint.connect().await;
        let client = client.map_err(|error| WorkloadError(error.to_string()))?;
        Ok(Caller { client, writer: self.endpoint.writer() })
    }

    async fn call(&self, caller: &mut Caller, call: u64) -> Done {
        let body = &self.bodies[self.order.place(call) as usize];
        let request = caller.writer.post("/v1/limits/check", None, body);
        let outcome = match caller.client.call(request).await {
            // The first field of the answer.
            Ok(reply) if reply.is_success() => {
                match reply.body.starts_with(br#"{"allowed":true"#) {
                    true => Outcome::Ok,
                    false => Outcome::Refused,
                }
            }
            Ok(reply) if reply.status == 429 => Outcome::Shed,
            Ok(reply) => {
                let body = &reply.body[..reply.body.len().min(QUOTE_BYTES_MAX)];
                let body = String::from_utf8_lossy(body);
                Outcome::Error(format!("status {}: {body}", reply.status).into())
            }
            Err(error) => Outcome::Error(error.to_string().into()),
        };
        Done { kind: 0, outcome }
    }
}
