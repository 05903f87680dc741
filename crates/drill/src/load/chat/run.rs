//! One measured run of tasks that send and listen: its phases, its books, and what it counts.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::super::driver::Plan;
use super::super::histogram::{Histogram, Percentiles};
use super::super::report::{KindRun, OpenRun, Run};
use super::ledger::Ledger;
use super::options::ChatBenchError;

/// How often it is looked whether all has arrived.
const SETTLE_PAUSE: Duration = Duration::from_millis(2);

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Phase {
    /// Sends go out, and those that are due within the window count.
    Send,
    /// No further send; what is under way still arrives.
    Drain,
    /// Over.
    Stop,
}

/// What the tasks of a run share.
pub(super) struct Shared {
    phase: AtomicU8,
    epoch: Instant,
    /// The window, after the epoch; what was sent within it counts.
    from_us: AtomicU64,
    until_us: AtomicU64,
    ledger: Mutex<Ledger>,
    /// Sends that were begun, over all tasks.
    pub(super) begun: AtomicU64,
    pub(super) room: Option<Room>,
}

/// Bounds the messages that have not reached all subscribers: a sender that waits for its
/// acknowledgement alone would run ahead of a fan-out until its readers are dropped.
pub(super) struct Room {
    messages: Semaphore,
    subscribers: u64,
    delivered: AtomicU64,
}

impl Room {
    pub(super) fn new(messages: usize, subscribers: usize) -> Self {
        Self {
            messages: Semaphore::new(messages),
            subscribers: subscribers.max(1) as u64,
            delivered: AtomicU64::new(0),
        }
    }

    /// Waits for room for one more; false once the run sends no more.
    pub(super) async fn take(&self) -> bool {
        self.messages.acquire().await.map(tokio::sync::SemaphorePermit::forget).is_ok()
    }

    /// The deliveries that one message has.
    pub(super) fn a_message(&self) -> u64 {
        self.subscribers
    }

    fn delivered(&self, count: u64) {
        let before = self.delivered.fetch_add(count, Ordering::Relaxed);
        let whole = (before + count) / self.subscribers - before / self.subscribers;
        self.messages.add_permits(usize::try_from(whole).unwrap_or(0));
    }
}

impl Shared {
    pub(super) fn new(ledger: Ledger, room: Option<Room>) -> Self {
        Self {
            phase: AtomicU8::new(Phase::Send as u8),
            epoch: Instant::now(),
            from_us: AtomicU64::new(u64::MAX),
            until_us: AtomicU64::new(u64::MAX),
            ledger: Mutex::new(ledger),
            begun: AtomicU64::new(0),
            room,
        }
    }

    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Send,
            1 => Phase::Drain,
            _ => Phase::Stop,
        }
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
        if let Some(room) = self.room.as_ref().filter(|_| phase > Phase::Send) {
            room.messages.close();
        }
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An instant as messages carry it.
    pub(super) fn micros(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.epoch);
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }

    /// Whether what was sent then counts.
    pub(super) fn counts(&self, sent_us: u64) -> bool {
        let from_us = self.from_us.load(Ordering::Relaxed);
        (from_us..self.until_us.load(Ordering::Relaxed)).contains(&sent_us)
    }

    /// Deliveries that make room for further sends.
    pub(super) fn delivered(&self, count: u64) {
        if let Some(room) = &self.room {
            room.delivered(count);
        }
    }

    /// Warms up, counts for the plan's duration and ends the sends; answers the window.
    pub(super) async fn window(&self, plan: &Plan) -> Duration {
        tokio::time::sleep(plan.warmup).await;
        let from = Instant::now();
        self.from_us.store(self.micros(from), Ordering::Relaxed);
        tokio::time::sleep(plan.duration).await;
        self.until_us.store(self.micros(Instant::now()), Ordering::Relaxed);
        from.elapsed()
    }

    /// Ends the sends, waits for what is under way, stops the tasks and adds up what they found.
    pub(super) async fn finish(
        self: Arc<Self>,
        mut tasks: JoinSet<Tally>,
        drain_max: Duration,
    ) -> Result<Tally, ChatBenchError> {
        self.enter(Phase::Drain);
        let drain = Instant::now();
        while !self.ledger().is_settled() && drain.elapsed() < drain_max {
            tokio::time::sleep(SETTLE_PAUSE).await;
        }
        self.enter(Phase::Stop);
        let mut all = Tally::default();
        while let Some(ended) = tasks.join_next().await {
            all.merge(ended.map_err(ChatBenchError::Worker)?);
        }
        let ledger = std::mem::replace(&mut *self.ledger(), Ledger::new(0, 0));
        let (violations, told) = ledger.judge();
        all.deliveries.errors += violations;
        // A connection that broke explains what is missing, not the other way round.
        all.first_error = all.first_error.or(told);
        Ok(all)
    }
}

/// Calls of one kind.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) ok: u64,
    pub(super) refused: u64,
    pub(super) shed: u64,
    pub(super) errors: u64,
    pub(super) latency: Histogram,
}

impl Counts {
    pub(super) fn succeed(&mut self, latency: Duration) {
        self.ok += 1;
        self.latency.record(latency);
    }

    fn merge(&mut self, other: &Self) {
        self.ok += other.ok;
        self.refused += other.refused;
        self.shed += other.shed;
        self.errors += other.errors;
        self.latency.merge(&other.latency);
    }

    pub(super) fn into_kind(self, kind: &'static str) -> KindRun {
        KindRun {
            kind,
            ok: self.ok,
            refused: self.refused,
            shed: self.shed,
            errors: self.errors,
            latency: self.latency.percentiles(),
        }
    }
}

/// What one task, or all of a run, counted.
#[derive(Default)]
pub(super) struct Tally {
    /// From a send, or the instant that it was due, to its acknowledgement.
    pub(super) sends: Counts,
    /// To its arrival at each subscriber; violations count as errors here.
    pub(super) deliveries: Counts,
    /// The longest that a send waited for a free connection.
    pub(super) lag_max: Duration,
    pub(super) first_error: Option<String>,
}

impl Tally {
    pub(super) fn fail(&mut self, error: &dyn std::fmt::Display) {
        self.sends.errors += 1;
        self.first_error.get_or_insert_with(|| error.to_string());
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.sends.merge(&other.sends);
        self.deliveries.merge(&other.deliveries);
        self.lag_max = self.lag_max.max(other.lag_max);
        self.first_error = self.first_error.take().or(other.first_error);
    }

    /// The rate and the latency are those of sends.
    pub(super) fn into_run(self, window: Duration) -> Run {
        let (rate_per_s, latency) = headline(&self.sends, window);
        self.run_with(window, rate_per_s, latency, None)
    }

    /// The rate and the latency are those of deliveries.
    pub(super) fn into_delivery_run(self, window: Duration, open: Option<OpenRun>) -> Run {
        let (rate_per_s, latency) = headline(&self.deliveries, window);
        self.run_with(window, rate_per_s, latency, open)
    }

    fn run_with(
        self,
        window: Duration,
        rate_per_s: f64,
        latency: Percentiles,
        open: Option<OpenRun>,
    ) -> Run {
        Run {
            window_ms: u64::try_from(window.as_millis()).unwrap_or(u64::MAX),
            rate_per_s,
            latency,
            kinds: vec![self.sends.into_kind("send"), self.deliveries.into_kind("delivery")],
            first_error: self.first_error,
            open,
        }
    }
}

fn headline(counts: &Counts, window: Duration) -> (f64, Percentiles) {
    let rate_per_s = counts.ok as f64 / window.as_secs_f64().max(1e-9);
    (rate_per_s, counts.latency.percentiles())
}
