//! The work: checks of one unit, of many keys in turn, under two limits that differ in their mode.

use super::{PriceError, check_answer};
use crate::load::{
    Client, Endpoint,
    limits::{Checks, Limit},
};
use serde_json::Value;

/// Keys of each limit.
pub(super) const KEYS: u32 = 100;
/// More than one key is asked for, so that what is measured are yeses.
pub(super) const QUANTITY: u64 = 10_000;
/// The limits' period.
pub(super) const PERIOD_MS: u64 = 1_000;

/// The modes: with the guarantee, and without. They also name the limits.
pub(super) const SIDES: [&str; 2] = ["exact", "leased"];

fn limit(mode: &'static str) -> Limit {
    Limit {
        name: mode.to_owned(),
        algorithm: "sliding_window",
        quantity: QUANTITY,
        period_ms: PERIOD_MS,
        mode,
        durability: "synced",
    }
}

/// The checks of one side.
pub(super) fn of(endpoint: Endpoint, mode: &'static str) -> Checks {
    Checks::new(endpoint, mode.to_owned(), &limit(mode), KEYS)
}

/// Puts the limit; answers by how much a key may exceed it, as its answers state.
pub(super) async fn create(endpoint: &Endpoint, mode: &'static str) -> Result<u64, PriceError> {
    let limit = limit(mode);
    limit.create(endpoint).await?;
    let mut client = endpoint.connect().await?;
    let mut writer = endpoint.writer();
    let check = writer.post("/v1/limits/check", None, &limit.check(0));
    let checked = succeed(&mut client, check).await?;
    let checked: Value = serde_json::from_slice(&checked).unwrap_or_default();
    Ok(checked["results"][0]["over_admission_max"].as_u64().unwrap_or(0))
}

async fn succeed(client: &mut Client, request: &[u8]) -> Result<Vec<u8>, PriceError> {
    check_answer(client.call(request).await?)
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
