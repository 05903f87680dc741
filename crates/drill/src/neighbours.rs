//! Neighbours: one tenant floods the real binary while another asks now and then. The small one must be
//! answered all the same, and whoever looks must be told who floods.
//!
//! What turns make of it is the mailbox's: each tenant gets its turn, whatever another has sent.

use crate::{
    crash::{CrashError, server::Server},
    load::{
        CONNECTIONS_MAX, Client, ClientError, Endpoint, EndpointError, Pace, Plan, Report,
        RequestWriter,
        limits::{Limit, LimitsBench, LimitsBenchError},
    },
};
use serde::Serialize;
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

/// The longest measurement.
pub const DURATION_MAX: Duration = Duration::from_secs(600);
/// The one that floods.
const BIG: &str = "big";
/// The other.
const SMALL: &str = "small";
/// Of the small one: enough for its calls to begin when they are due.
const SMALL_CONNECTIONS: usize = 8;
const SMALL_KEYS: u32 = 100;
const TIMEOUT: Duration = Duration::from_secs(10);
/// The heaviest are those of a whole window, so the flood lasts until one has passed.
const NAMED_WITHIN: Duration = Duration::from_secs(25);
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How to drill.
#[derive(Debug, Clone)]
pub struct NeighboursOptions {
    /// The binary to run.
    pub binary: PathBuf,
    /// An empty or missing directory for its data.
    pub data: PathBuf,
    /// Connections that flood, each with one request in flight.
    pub connections: usize,
    /// What the small tenant asks a second.
    pub rate_per_s: f64,
    /// How long it asks, alone and then beside the flood.
    pub duration: Duration,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum NeighboursError {
    /// The options are out of range.
    #[error("{0}")]
    Options(String),
    /// The binary does not run as it should.
    #[error(transparent)]
    Server(#[from] CrashError),
    /// No load.
    #[error(transparent)]
    Load(#[from] LimitsBenchError),
    /// No address.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The connection failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The server answered something else.
    #[error("{0}")]
    Answer(String),
}

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub struct NeighboursReport {
    /// Connections that flooded.
    pub connections: usize,
    /// Checks a second that the flood came to.
    pub flood_per_s: f64,
    /// What the small tenant met alone.
    pub alone: Met,
    /// The same beside the flood.
    pub beside: Met,
    /// Who was named the heaviest, and how many requests of a window are known to be theirs.
    pub heaviest: Option<(String, u64)>,
    /// What must not be.
    pub violations: Vec<String>,
}

/// What a tenant met.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Met {
    /// Checks that came due.
    pub due: u64,
    /// Of them were answered yes, which all should be.
    pub answered: u64,
    /// Turned away or without an answer.
    pub turned_away: u64,
    /// Latency since a check was due, half were faster.
    pub p50_us: u64,
    /// 99 % were faster.
    pub p99_us: u64,
}

/// Floods, and looks how the small tenant fares.
///
/// # Errors
/// [`NeighboursError`] if nothing can be said.
pub async fn run(options: &NeighboursOptions) -> Result<NeighboursReport, NeighboursError> {
    check(options)?;
    let mut server = Server::keyed(&options.binary, &options.data)?;
    server.start().await?;
    let admin = server.endpoint().await?;
    let mut client = admin.connect().await?;
    let mut writer = admin.writer();
    let big = key_of(&mut client, &mut writer, BIG).await?;
    let small = key_of(&mut client, &mut writer, SMALL).await?;

    let pace = Pace::Open { rate_per_s: options.rate_per_s };
    let small = bench(&server, small, SMALL_KEYS, plan(SMALL_CONNECTIONS, options.duration, pace));
    let alone = Met::of(&small.clone().run().await?, options);
    let lasts = options.duration + NAMED_WITHIN;
    let flood = bench(&server, big, 1, plan(options.connections, lasts, Pace::Closed)).run();
    let beside = async {
        let met = Met::of(&small.run().await?, options);
        Ok::<_, NeighboursError>((met, heaviest(&admin).await?))
    };
    // Once the flood is named it need not go on.
    tokio::pin!(flood);
    tokio::pin!(beside);
    let (flood, (beside, heaviest)) = tokio::select! {
        found = &mut beside => (None, found?),
        flood = &mut flood => (Some(flood?), beside.await?),
    };
    let flood_per_s = match flood {
        Some(report) => report.summary.rate_per_s.median,
        None => heaviest.as_ref().map_or(0.0, |(_, count, window_s)| *count as f64 / window_s),
    };
    server.kill().await?;
    let heaviest = heaviest.map(|(tenant, count, _)| (tenant, count));
    let violations = violations(&beside, heaviest.as_ref());
    let connections = options.connections;
    Ok(NeighboursReport { connections, flood_per_s, alone, beside, heaviest, violations })
}

fn check(options: &NeighboursOptions) -> Result<(), NeighboursError> {
    let wrong = |why: String| Err(NeighboursError::Options(why));
    if options.duration.is_zero() || options.duration > DURATION_MAX {
        return wrong(format!(
            "a duration must be more than 0 s, at most {}",
            DURATION_MAX.as_secs()
        ));
    }
    if !(1..=CONNECTIONS_MAX).contains(&options.connections) {
        return wrong(format!("connections must be 1 to {CONNECTIONS_MAX}"));
    }
    if !(options.rate_per_s > 0.0 && options.rate_per_s <= 10_000.0) {
        return wrong("a small tenant asks more than 0 and at most 10,000 a second".into());
    }
    Ok(())
}

fn plan(connections: usize, duration: Duration, pace: Pace) -> Plan {
    Plan { connections, warmup: Duration::ZERO, duration, repeats: 1, pace }
}

fn bench(server: &Server, key: String, keys: u32, plan: Plan) -> LimitsBench {
    let limit = Limit {
        name: "neighbours".into(),
        algorithm: "gcra",
        quantity: 1_000_000,
        period_ms: 1_000,
        mode: "exact",
        durability: "synced",
    };
    let target = server.address().to_owned();
    LimitsBench { target, api_key: Some(key), timeout: TIMEOUT, plan, limit, keys }
}

/// A key of a tenant, which is there from then on.
async fn key_of(
    client: &mut Client,
    writer: &mut RequestWriter,
    tenant: &str,
) -> Result<String, NeighboursError> {
    let body = json!({"tenant": tenant, "scopes": ["limits:read", "limits:write"]}).to_string();
    let made = succeed(client, writer.post("/v1/keys", None, body.as_bytes())).await?;
    let key = made["key"].as_str().map(str::to_owned);
    key.ok_or_else(|| NeighboursError::Answer(format!("no key in {made}")))
}

async fn succeed(client: &mut Client, request: &[u8]) -> Result<Value, NeighboursError> {
    let reply = client.call(request).await?;
    let body = String::from_utf8_lossy(reply.body);
    if !reply.is_success() {
        return Err(NeighboursError::Answer(format!("status {}: {body}", reply.status)));
    }
    serde_json::from_str(&body).map_err(|error| NeighboursError::Answer(error.to_string()))
}

/// The heaviest tenant with its requests in a window and how many seconds that is; waits for a
/// window that knows any.
async fn heaviest(admin: &Endpoint) -> Result<Option<(String, u64, f64)>, NeighboursError> {
    let (mut client, mut writer) = (admin.connect().await?, admin.writer());
    let looks = NAMED_WITHIN.as_millis() / LOOK_EVERY.as_millis();
    for _ in 0..looks {
        let top = succeed(&mut client, writer.get("/v1/top")).await?;
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        let partitions = top["partitions"].as_array().into_iter().flatten();
        for hitter in partitions.flat_map(|it| it["tenants"].as_array().into_iter().flatten()) {
            let (count, error) = (hitter["count"].as_u64(), hitter["error"].as_u64());
            let known = count.unwrap_or(0).saturating_sub(error.unwrap_or(0));
            *counts.entry(hitter["tenant"].as_str().unwrap_or_default()).or_default() += known;
        }
        // The last whole window may be one from before the flood.
        if counts.contains_key(BIG)
            && let Some((tenant, count)) = counts.into_iter().max_by_key(|(_, count)| *count)
        {
            let window_s = top["window_ms"].as_f64().unwrap_or(1_000.0) / 1_000.0;
            return Ok(Some((tenant.to_owned(), count, window_s)));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(None)
}

fn violations(beside: &Met, heaviest: Option<&(String, u64)>) -> Vec<String> {
    let mut violations = Vec::new();
    if beside.turned_away > 0 {
        let Met { turned_away, .. } = beside;
        violations.push(format!("{turned_away} checks of the small tenant were turned away"));
    }
    // Half leaves room for a machine that is slow; who is starved gets next to nothing.
    if beside.answered * 2 < beside.due {
        let Met { answered, due, .. } = beside;
        violations
            .push(format!("only {answered} of {due} checks of the small tenant were answered"));
    }
    if heaviest.is_none_or(|(tenant, _)| tenant != BIG) {
        violations.push(format!("the flooding tenant was not named the heaviest: {heaviest:?}"));
    }
    violations
}

impl Met {
    fn of(report: &Report, options: &NeighboursOptions) -> Self {
        let summary = &report.summary;
        Self {
            due: (options.rate_per_s * options.duration.as_secs_f64()) as u64,
            answered: summary.ok,
            turned_away: summary.refused + summary.shed + summary.errors,
            p50_us: summary.p50_us.median as u64,
            p99_us: summary.p99_us.median as u64,
        }
    }
}

impl fmt::Display for NeighboursReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "One tenant floods over {} connections with {:.0} checks/s; a small one asks beside it.",
            self.connections, self.flood_per_s
        )?;
        writeln!(
            f,
            "{:<18} {:>8} {:>10} {:>10} {:>12}",
            "the small one", "due", "yes", "p50 ms", "p99 ms"
        )?;
        for (name, met) in [("alone", &self.alone), ("beside the flood", &self.beside)] {
            let (p50, p99) = (met.p50_us as f64 / 1_000.0, met.p99_us as f64 / 1_000.0);
            writeln!(f, "{name:<18} {:>8} {:>10} {p50:>10.2} {p99:>12.2}", met.due, met.answered)?;
        }
        if let Some((tenant, count)) = &self.heaviest {
            writeln!(
                f,
                "The heaviest by /v1/top: `{tenant}`, at least {count} requests in a window."
            )?;
        }
        if self.violations.is_empty() {
            return write!(f, "Valid: it was answered, and who floods was named.");
        }
        write!(f, "INVALID: {}", self.violations.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starving_turning_away_and_looking_elsewhere_are_found() {
        let well = Met { due: 100, answered: 99, turned_away: 0, p50_us: 1, p99_us: 2 };
        let big = (BIG.to_owned(), 10_000);
        assert_eq!(violations(&well, Some(&big)), Vec::<String>::new());
        let starved = Met { answered: 3, ..well };
        assert_eq!(violations(&starved, Some(&big)).len(), 1);
        let turned_away = Met { turned_away: 1, ..well };
        assert_eq!(violations(&turned_away, Some(&big)).len(), 1);
        assert_eq!(violations(&well, Some(&(SMALL.to_owned(), 9))).len(), 1);
        assert_eq!(violations(&starved, None).len(), 2);
    }
}
