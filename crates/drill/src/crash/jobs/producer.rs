//! A client that puts jobs in, and now and then cancels one.

use super::{Phase, Told, caller::Caller};
use crate::{
    history::jobs::{Kind, Outcome, Request, Work},
    load::Endpoint,
};
use fastrand::Rng;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Between two requests.
const PACE: Duration = Duration::from_millis(40);
/// Ordering keys in use, and unique keys.
const KEYS: u32 = 6;
/// Whoever rings asks so often whether it was heard, and for so long.
const LISTEN_EVERY: Duration = Duration::from_millis(2);
const LISTEN: Duration = Duration::from_secs(2);

pub(super) struct Producer {
    rng: Rng,
    caller: Caller,
    requests: u64,
    latest: Option<String>,
}

impl Producer {
    pub(super) fn new(id: u64, seed: u64, endpoint: &Endpoint, told: &Arc<Told>) -> Self {
        let seed = seed.wrapping_mul(1_000).wrapping_add(700 + id);
        let caller = Caller::new(id, endpoint, told);
        Self { rng: Rng::with_seed(seed), caller, requests: 0, latest: None }
    }

    /// Puts jobs in until all else is to be worked off.
    pub(super) async fn run(mut self) {
        while !self.caller.told.is_past(Phase::Calm) {
            match self.latest.take() {
                Some(job) if self.rng.u8(0..20) == 0 => {
                    self.caller.carry_out(None, &Request::Cancel { job }).await;
                }
                _ => {
                    let jobs = [1, 1, 1, 2, 2, 6][self.rng.usize(0..6)];
                    let works = (0..jobs).map(|_| work(&mut self.rng)).collect();
                    self.enqueue(works).await;
                }
            }
            tokio::time::sleep(PACE).await;
        }
    }

    /// Puts in one job or two, waits until they are done, and so on: whoever works for it has always
    /// just begun to wait.
    pub(super) async fn ring(mut self) {
        while !self.caller.told.is_past(Phase::Calm) {
            let plain = Work {
                kind: Kind::Charge,
                poison: false,
                unique_key: None,
                ordering_key: (self.rng.u8(0..3) == 0).then(|| "rope".into()),
                priority: 4,
                delay_ms: if self.rng.bool() { 0 } else { self.rng.u64(1..30) },
                after: Vec::new(),
            };
            let works = vec![plain; self.rng.usize(1..3)];
            let jobs = self.enqueue(works).await;
            let began = Instant::now();
            while began.elapsed() < LISTEN && !self.caller.told.is_past(Phase::Calm) {
                let all = jobs.iter().all(|job| self.caller.told.done().contains(job));
                if all {
                    break;
                }
                tokio::time::sleep(LISTEN_EVERY).await;
            }
        }
    }

    /// Until it knows that they are in; and sometimes asks once more, which changes nothing.
    async fn enqueue(&mut self, works: Vec<Work>) -> Vec<String> {
        self.requests += 1;
        let key = format!("j{}-{}", self.caller.id, self.requests);
        let request = Request::Enqueue(works);
        let outcome = self.caller.carry_out(Some(&key), &request).await;
        if self.rng.u8(0..16) == 0 {
            self.caller.carry_out(Some(&key), &request).await;
        }
        let Outcome::Enqueued { jobs, .. } = outcome else { return Vec::new() };
        let jobs: Vec<String> = jobs.into_iter().map(|taken| taken.job).collect();
        self.latest = jobs.last().cloned();
        jobs
    }
}

fn work(rng: &mut Rng) -> Work {
    let one_in = |rng: &mut Rng, many: u8| rng.u8(0..many) == 0;
    Work {
        kind: if rng.bool() { Kind::Put } else { Kind::Charge },
        poison: one_in(rng, 50),
        unique_key: one_in(rng, 5).then(|| format!("u{}", rng.u32(0..KEYS))),
        ordering_key: one_in(rng, 3).then(|| format!("o{}", rng.u32(0..KEYS))),
        priority: rng.u8(0..=9),
        delay_ms: if one_in(rng, 5) { rng.u64(10..400) } else { 0 },
        after: Vec::new(),
    }
}
