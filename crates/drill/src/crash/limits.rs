//! Limits under kills: clients that use each key up, and give some of it back. What the limits say
//! and by how much a leased one may exceed that is what the server itself states.

use super::{CrashError, Recorder, answers::ms};
use crate::{
    history::limits::{Counts, LimitHistory, Operation, Outcome, Request, Rule},
    load::{Client, Endpoint, RequestWriter},
};
use fastrand::Rng;
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::json;
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

/// Clients that use limits.
pub(super) const CLIENTS: u64 = 6;
/// Keys of each limit that are in use at once.
const KEYS: u32 = 2;
/// After so many rounds other keys are used, so that no history grows beyond judging.
const ROUNDS_A_KEY: u32 = 20;
/// Longer than a life of the server in a short drill, so that a period spans restarts.
const PERIOD_MS: u64 = 4_000;
/// Between two requests of a client.
const PACE: Duration = Duration::from_millis(3);
/// Before a client asks again.
const RETRY: Duration = Duration::from_millis(10);

struct Limit {
    name: &'static str,
    algorithm: &'static str,
    mode: &'static str,
    quantity: u64,
    burst: u64,
}

const LIMITS: [Limit; 3] = [
    Limit { name: "gcra", algorithm: "gcra", mode: "exact", quantity: 40, burst: 19 },
    Limit { name: "leased", algorithm: "sliding_window", mode: "leased", quantity: 160, burst: 0 },
    Limit { name: "window", algorithm: "sliding_window", mode: "exact", quantity: 50, burst: 0 },
];

impl Limit {
    fn rule(&self) -> Rule {
        let counts = match self.algorithm {
            "gcra" => Counts::Gcra { at_once: self.burst + 1 },
            _ => Counts::SlidingWindow,
        };
        // Nothing is believed of a leased limit until an answer states it.
        let beyond = (self.mode == "leased").then_some(0);
        Rule { counts, quantity: self.quantity, period_ms: PERIOD_MS, beyond }
    }
}

/// What all clients write down together.
pub(super) struct Told {
    history: Mutex<LimitHistory>,
    began: Instant,
}

impl Told {
    pub(super) fn new() -> Self {
        let rules = LIMITS.iter().map(|limit| (limit.name.to_owned(), limit.rule()));
        Self { history: Mutex::new(LimitHistory::new(rules)), began: Instant::now() }
    }

    pub(super) fn history(&self) -> MutexGuard<'_, LimitHistory> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The exact limits that have refused nothing yet, of which nothing is shown.
    pub(super) fn unused(&self) -> Vec<&'static str> {
        let history = self.history();
        let refused = |name| {
            let mut operations = history.operations.iter();
            operations
                .any(|one| one.limit == name && matches!(one.returned, Some((_, Outcome::Refused))))
        };
        let exact = LIMITS.iter().filter(|limit| limit.mode == "exact").map(|limit| limit.name);
        exact.filter(|name| !refused(*name)).collect()
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Puts the limits.
pub(super) async fn create(endpoint: &Endpoint) -> Result<(), CrashError> {
    let mut client = endpoint.connect().await?;
    let mut writer = endpoint.writer();
    for Limit { name, algorithm, mode, quantity, burst } in LIMITS {
        let body = json!({
            "algorithm": algorithm, "mode": mode, "quantity": quantity, "burst": burst,
            "period_ms": PERIOD_MS,
        });
        let path = format!("/v1/limits/{name}");
        let reply = client.call(writer.put(&path, body.to_string().as_bytes())).await?;
        if !reply.is_success() {
            let body = String::from_utf8_lossy(reply.body);
            return Err(CrashError::Answer(format!("PUT {path}: {} {body}", reply.status)));
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct CheckedBody {
    allowed: bool,
    degraded: bool,
    counted_at: Option<String>,
    results: Vec<ResultBody>,
}

#[derive(Deserialize)]
struct ResultBody {
    over_admission_max: Option<u64>,
}

#[derive(Deserialize)]
struct ProblemBody {
    side_effects: String,
}

/// Something admitted, as a refund names it.
struct Admitted {
    limit: usize,
    key: String,
    request: Request,
    counted_at: String,
}

/// One client.
pub(super) struct Worker {
    id: u64,
    rng: Rng,
    endpoint: Endpoint,
    writer: RequestWriter,
    connection: Option<Client>,
    recorder: Arc<Recorder>,
    told: Arc<Told>,
    requests: u64,
}

impl Worker {
    pub(super) fn new(
        id: u64,
        seed: u64,
        endpoint: Endpoint,
        recorder: &Arc<Recorder>,
        told: &Arc<Told>,
    ) -> Self {
        Self {
            id,
            rng: Rng::with_seed(seed.wrapping_mul(1_000).wrapping_add(500 + id)),
            writer: endpoint.writer(),
            endpoint,
            connection: None,
            recorder: Arc::clone(recorder),
            told: Arc::clone(told),
            requests: 0,
        }
    }

    /// Asks until the drill ends. A refund is asked for until it is known.
    pub(super) async fn run(mut self, round: Arc<AtomicU32>) {
        while !self.recorder.stopped() {
            let generation = round.load(Ordering::Relaxed) / ROUNDS_A_KEY;
            let limit = self.rng.usize(0..LIMITS.len());
            let key = format!("{generation}-{}", self.rng.u32(0..KEYS));
            let units = self.rng.u64(1..=2);
            let admitted = self.check(limit, key, units).await;
            if let Some(admitted) = admitted.filter(|_| self.rng.u8(0..20) == 0) {
                self.refund(admitted).await;
            }
            tokio::time::sleep(PACE).await;
        }
    }

    async fn check(&mut self, limit: usize, key: String, units: u64) -> Option<Admitted> {
        let name = LIMITS[limit].name;
        let body = json!({"checks": [{"limit": name, "key": key, "cost": units}]});
        let operation = self.call(limit, &key, None, Request::Check { units });
        let (outcome, counted_at, beyond) = match self.ask("check", None, &body).await {
            Ok(Some(CheckedBody { allowed, degraded, counted_at, results })) => {
                let beyond = results.first().and_then(|result| result.over_admission_max);
                let counted_at_ms = counted_at.as_deref().and_then(ms);
                let outcome = match (allowed, degraded) {
                    (true, _) => Outcome::Admitted { counted_at_ms },
                    (false, true) => Outcome::TurnedAway("nobody could count".into()),
                    (false, false) => Outcome::Refused,
                };
                (outcome, counted_at, beyond)
            }
            Ok(None) => (Outcome::TurnedAway("not done".into()), None, None),
            Err(()) => (Outcome::Unknown, None, None),
        };
        let admitted = match outcome {
            Outcome::Admitted { counted_at_ms: Some(counted_at_ms) } => {
                let request = Request::Refund { of: operation, units, counted_at_ms };
                counted_at.map(|counted_at| Admitted { limit, key, request, counted_at })
            }
            _ => None,
        };
        let mut history = self.told.history();
        if let Some(rule) = history.rules.get_mut(name)
            && let (Some(stated), Some(known)) = (beyond, rule.beyond)
        {
            rule.beyond = Some(stated.max(known));
        }
        history.returns(operation, self.told.now_ms(), outcome);
        admitted
    }

    async fn refund(&mut self, admitted: Admitted) {
        self.requests += 1;
        let retry_key = format!("l{}-{}", self.id, self.requests);
        let Admitted { limit, key, request, counted_at } = admitted;
        let Request::Refund { units, .. } = request else { return };
        let name = LIMITS[limit].name;
        let body = json!({
            "checks": [{"limit": name, "key": key, "cost": units}], "counted_at": counted_at,
        });
        loop {
            let operation = self.call(limit, &key, Some(&retry_key), request.clone());
            let outcome = match self.ask::<IgnoredAny>("refund", Some(&retry_key), &body).await {
                Ok(Some(_)) => Outcome::GivenBack,
                Ok(None) => Outcome::TurnedAway("not done".into()),
                Err(()) => Outcome::Unknown,
            };
            let known = outcome == Outcome::GivenBack;
            self.told.history().returns(operation, self.told.now_ms(), outcome);
            if known {
                return;
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    fn call(&self, limit: usize, key: &str, retry_key: Option<&str>, request: Request) -> usize {
        let mut history = self.told.history();
        history.call(Operation {
            client: self.id,
            limit: LIMITS[limit].name.to_owned(),
            key: key.to_owned(),
            retry_key: retry_key.map(str::to_owned),
            request,
            called_ms: self.told.now_ms(),
            returned: None,
        })
    }

    /// `Ok(None)`: it had no effect. `Err`: nobody knows.
    async fn ask<A: DeserializeOwned>(
        &mut self,
        verb: &str,
        retry_key: Option<&str>,
        body: &serde_json::Value,
    ) -> Result<Option<A>, ()> {
        let mut client = match self.connection.take().filter(Client::is_usable) {
            Some(client) => client,
            None => match self.endpoint.connect().await {
                Ok(client) => client,
                Err(_) => return Ok(None),
            },
        };
        let path = format!("/v1/limits/{verb}");
        let bytes = self.writer.post(&path, retry_key, body.to_string().as_bytes());
        let answer = match client.call(bytes).await {
            Ok(reply) if reply.is_success() => {
                serde_json::from_slice(reply.body).map(Some).map_err(drop)
            }
            Ok(reply) => match serde_json::from_slice::<ProblemBody>(reply.body) {
                Ok(problem) if problem.side_effects == "none" => Ok(None),
                _ => Err(()),
            },
            Err(error) if error.has_no_side_effects() => return Ok(None),
            Err(_) => return Err(()),
        };
        self.connection = Some(client);
        answer
    }
}
