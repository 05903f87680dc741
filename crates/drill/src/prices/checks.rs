//! The work: checks of one unit, of many keys in turn, under two limits that differ in their mode.

use super::PriceError;
use crate::load::{Client, Done, Endpoint, Outcome, RequestWriter, Workload, WorkloadError};
use serde_json::{Value, json};

/// Keys of each limit.
pub(super) const KEYS: u64 = 100;
/// More than one key is asked for, so that what is measured are yeses.
pub(super) const QUANTITY: u64 = 10_000;
/// The limits' period.
pub(super) const PERIOD_MS: u64 = 1_000;

const QUOTE_BYTES_MAX: usize = 300;

/// A limit in one mode.
pub(super) struct Mode {
    /// What the report calls it.
    pub(super) name: &'static str,
    /// The mode, which also names the limit.
    mode: &'static str,
}

/// With the guarantee, and without.
pub(super) const SIDES: [Mode; 2] =
    [Mode { name: "exact", mode: "exact" }, Mode { name: "leased", mode: "leased" }];

/// Puts the limit; answers by how much a key may exceed it, as its answers state.
pub(super) async fn create(endpoint: &Endpoint, side: &Mode) -> Result<u64, PriceError> {
    let mut client = endpoint.connect().await?;
    let mut writer = endpoint.writer();
    let policy = json!({
        "algorithm": "sliding_window", "quantity": QUANTITY, "period_ms": PERIOD_MS,
        "mode": side.mode,
    });
    let path = format!("/v1/limits/{}", side.mode);
    succeed(&mut client, writer.put(&path, policy.to_string().as_bytes())).await?;
    let check = writer.post("/v1/limits/check", None, &body(side, 0));
    let checked = succeed(&mut client, check).await?;
    let checked: Value = serde_json::from_slice(&checked).unwrap_or_default();
    Ok(checked["results"][0]["over_admission_max"].as_u64().unwrap_or(0))
}

async fn succeed(client: &mut Client, request: &[u8]) -> Result<Vec<u8>, PriceError> {
    let reply = client.call(request).await?;
    let body = reply.body.to_vec();
    if reply.is_success() {
        return Ok(body);
    }
    let body = String::from_utf8_lossy(&body);
    Err(PriceError::Answer(format!("status {}: {body}", reply.status)))
}

/// Appends that checks have taken since the server started.
pub(super) async fn appends(endpoint: &Endpoint) -> Result<u64, PriceError> {
    let mut client = endpoint.connect().await?;
    let metrics = succeed(&mut client, endpoint.writer().get("/metrics")).await?;
    let metrics = String::from_utf8_lossy(&metrics);
    let line = r#"evenkeel_path_appends_total{path="limits.check"} "#;
    let found = metrics.lines().find_map(|text| text.strip_prefix(line)?.trim().parse().ok());
    found.ok_or_else(|| PriceError::Answer("its metrics do not say what checks appended".into()))
}

fn body(side: &Mode, key: u64) -> Vec<u8> {
    let check = json!({"limit": side.mode, "key": format!("key-{key}")});
    json!({"checks": [check]}).to_string().into_bytes()
}

/// Checks under one of the limits.
pub(super) struct Checks {
    endpoint: Endpoint,
    name: &'static str,
    bodies: Vec<Vec<u8>>,
}

impl Checks {
    pub(super) fn new(endpoint: Endpoint, side: &Mode) -> Self {
        let bodies = (0..KEYS).map(|key| body(side, key)).collect();
        Self { endpoint, name: side.name, bodies }
    }
}

/// One connection.
pub(super) struct Caller {
    client: Client,
    writer: RequestWriter,
}

impl Workload for Checks {
    type Conn = Caller;

    fn name(&self) -> String {
        self.name.to_owned()
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
        let body = &self.bodies[usize::try_from(call % KEYS).unwrap_or_default()];
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
