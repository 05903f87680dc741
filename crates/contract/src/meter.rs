//! The counters of one path, for the hot way of a server: a few relaxed atomic adds a request, no
//! lock, no clock and no allocation.
//!
//! There is one set of counters, which only grows. When a request is the first of a new slot of
//! ten seconds, its thread copies the counters into that slot: the window is then what was
//! counted since the oldest slot in it. Nothing is ever reset, so nothing can be lost to a reset;
//! a request that races with a copy is counted in the neighbouring slot.

use std::collections::BTreeMap;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use crate::delivered::Delivered;
use crate::histogram::{self, Counts, Histogram};
use crate::outcome::{Class, Failure, Outcome};

/// How long a slot is.
const SLOT_S: u64 = 10;
/// How many slots a window has.
const WINDOW_SLOTS: u64 = 30;
/// The window of [`Meter::snapshot`].
pub const WINDOW_S: u64 = SLOT_S * WINDOW_SLOTS;
/// More slots than a window has, so that a reader never needs the one that is being overwritten.
const SLOTS: u64 = WINDOW_SLOTS + 2;
/// How many refusal codes of a path are told apart; later ones count as `refused`.
const REFUSAL_CODES_MAX: usize = 16;
const FAILURES: usize = Failure::ALL.len();
const OTHER_REFUSAL: usize = 1 + FAILURES + REFUSAL_CODES_MAX;
const OUTCOMES: usize = OTHER_REFUSAL + 1;
/// A slot that holds nothing, or is being written.
const EMPTY: u64 = u64::MAX;

/// The counters of one path.
pub struct Meter {
    refusal_codes: &'static [&'static str],
    started_s: u64,
    totals: Totals,
    /// The newest slot that has been begun.
    slot: AtomicU64,
    slots: Vec<Slot>,
}

/// Everything counted since the start, for a metrics page.
#[derive(Debug, Clone, PartialEq)]
pub struct Lifetime {
    /// Requests by class and code; codes that never occurred are absent.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Requests that took less than so many microseconds, cumulative, by ascending bound.
    pub latency_below_us: Vec<(u64, u64)>,
    /// All latencies together.
    pub latency_sum_us: u64,
    /// Requests.
    pub requests: u64,
    /// Appends to the log spent.
    pub appends: u64,
    /// Barriers spent.
    pub barriers: u64,
    /// Answers that were replays of a stored one.
    pub replays: u64,
}

/// The counters as they were at the first request of a slot.
struct Slot {
    number: AtomicU64,
    totals: Totals,
}

struct Totals {
    outcomes: [AtomicU64; OUTCOMES],
    latency_us: Histogram,
    latency_sum_us: AtomicU64,
    staleness_ms: Histogram,
    appends: AtomicU64,
    barriers: AtomicU64,
    replays: AtomicU64,
}

struct Reading {
    outcomes: [u64; OUTCOMES],
    latency_us: Counts,
    staleness_ms: Counts,
    appends: u64,
    barriers: u64,
    replays: u64,
}

impl Meter {
    /// A meter for a path that may refuse with these codes. `started_s`, and every `now_s` after,
    /// are seconds of one clock that does not go back.
    #[must_use]
    pub fn new(refusal_codes: &'static [&'static str], started_s: u64) -> Self {
        let refusal_codes = &refusal_codes[..refusal_codes.len().min(REFUSAL_CODES_MAX)];
        let slots = (0..SLOTS)
            .map(|_| Slot { number: AtomicU64::new(EMPTY), totals: Totals::new() })
            .collect();
        let meter = Self {
            refusal_codes,
            started_s,
            totals: Totals::new(),
            slot: AtomicU64::new(0),
            slots,
        };
        meter.slot.store(started_s / SLOT_S, Relaxed);
        meter.slot_of(started_s / SLOT_S).number.store(started_s / SLOT_S, Release);
        meter
    }

    /// Counts one request. `staleness_ms` is for reads.
    pub fn record(&self, outcome: Outcome, latency_us: u64, staleness_ms: Option<u64>, now_s: u64) {
        self.advance(now_s);
        let totals = &self.totals;
        totals.outcomes[self.index(outcome)].fetch_add(1, Relaxed);
        totals.latency_us.add(latency_us);
        totals.latency_sum_us.fetch_add(latency_us, Relaxed);
        if let Some(staleness_ms) = staleness_ms {
            totals.staleness_ms.add(staleness_ms);
        }
    }

    /// Counts appends to the log that this path caused.
    pub fn add_appends(&self, count: u64, now_s: u64) {
        self.advance(now_s);
        self.totals.appends.fetch_add(count, Relaxed);
    }

    /// Counts barriers that this path caused.
    pub fn add_barriers(&self, count: u64, now_s: u64) {
        self.advance(now_s);
        self.totals.barriers.fetch_add(count, Relaxed);
    }

    /// Counts an answer that was a replay; it is also recorded as a request.
    pub fn add_replay(&self, now_s: u64) {
        self.advance(now_s);
        self.totals.replays.fetch_add(1, Relaxed);
    }

    /// The numbers of the window that ends at `now_s`: up to [`WINDOW_S`], beginning with a slot.
    #[must_use]
    pub fn snapshot(&self, now_s: u64) -> Delivered {
        let first = (now_s / SLOT_S).saturating_sub(WINDOW_SLOTS - 1);
        let now = self.totals.read();
        let window = match self.oldest_since(first) {
            Some(before) => now.since(&before),
            None => now.since(&now),
        };
        let begin_s = self.started_s.max(first * SLOT_S);
        let window_s = now_s.saturating_sub(begin_s).max(1);
        let total = |reading: &Reading, class| self.sum(&reading.outcomes, class);
        let requests = window.outcomes.iter().sum();
        let ms = |us: f64| us / 1_000.0;
        Delivered {
            window_s,
            requests,
            rate_per_s: requests as f64 / window_s as f64,
            outcomes: self
                .by_code(&window.outcomes)
                .map(|(code, n)| (code.to_owned(), n))
                .collect(),
            ok: total(&window, Class::Ok),
            refused: total(&window, Class::Refused),
            rejected: total(&window, Class::Rejected),
            errors: total(&window, Class::Error),
            latency_p50_ms: histogram::quantile(&window.latency_us, 0.50).map(ms),
            latency_p99_ms: histogram::quantile(&window.latency_us, 0.99).map(ms),
            staleness_p99_ms: histogram::quantile(&window.staleness_ms, 0.99),
            appends: window.appends,
            barriers: window.barriers,
            replays: window.replays,
            eligible_since_start: total(&now, Class::Ok)
                + total(&now, Class::Refused)
                + total(&now, Class::Error),
            errors_since_start: total(&now, Class::Error),
        }
    }

    /// Everything since the start.
    #[must_use]
    pub fn lifetime(&self) -> Lifetime {
        // Bounds of a metrics page: 128 µs, doubling, to 67 s.
        let bounds = 7..histogram::VALUE_BITS;
        let now = self.totals.read();
        Lifetime {
            outcomes: self.by_code(&now.outcomes).collect(),
            latency_below_us: bounds
                .map(|bits| (1 << bits, histogram::below_power(&now.latency_us, bits)))
                .collect(),
            latency_sum_us: self.totals.latency_sum_us.load(Relaxed),
            requests: now.latency_us.iter().sum(),
            appends: now.appends,
            barriers: now.barriers,
            replays: now.replays,
        }
    }

    /// Begins the slot of `now_s` if this is its first request. Older times than the newest slot
    /// (a thread that was held up) count in the newest.
    fn advance(&self, now_s: u64) {
        let number = now_s / SLOT_S;
        let newest = self.slot.load(Relaxed);
        if number > newest {
            self.begin(newest, number);
        }
    }

    #[cold]
    fn begin(&self, newest: u64, number: u64) {
        // Who wins this owns the slot; who loses counts in it, or just before it.
        if self.slot.compare_exchange(newest, number, AcqRel, Relaxed).is_err() {
            return;
        }
        let slot = self.slot_of(number);
        slot.number.store(EMPTY, Release);
        slot.totals.copy_from(&self.totals);
        slot.number.store(number, Release);
    }

    fn slot_of(&self, number: u64) -> &Slot {
        &self.slots[(number % SLOTS) as usize]
    }

    /// The counters at the beginning of the oldest slot that is not before `first`. Between
    /// `first` and that slot nothing was counted, so they are also those at `first`.
    fn oldest_since(&self, first: u64) -> Option<Reading> {
        let begun = |slot: &&Slot| {
            let number = slot.number.load(Acquire);
            number != EMPTY && number >= first
        };
        let oldest =
            self.slots.iter().filter(begun).min_by_key(|slot| slot.number.load(Acquire))?;
        Some(oldest.totals.read())
    }

    fn index(&self, outcome: Outcome) -> usize {
        match outcome {
            Outcome::Ok => 0,
            Outcome::Failed(failure) => 1 + failure as usize,
            Outcome::Refused(code) => self
                .refusal_codes
                .iter()
                .position(|known| *known == code)
                .map_or(OTHER_REFUSAL, |at| 1 + FAILURES + at),
        }
    }

    fn outcome(&self, index: usize) -> Outcome {
        if index == 0 {
            return Outcome::Ok;
        }
        match Failure::ALL.get(index - 1) {
            Some(failure) => Outcome::Failed(*failure),
            None => Outcome::Refused(
                self.refusal_codes.get(index - 1 - FAILURES).copied().unwrap_or("refused"),
            ),
        }
    }

    fn by_code(&self, outcomes: &[u64; OUTCOMES]) -> impl Iterator<Item = (&'static str, u64)> {
        outcomes
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
            .map(|(at, count)| (self.outcome(at).code(), *count))
    }

    fn sum(&self, outcomes: &[u64; OUTCOMES], class: Class) -> u64 {
        let of_class = |at: &usize| self.outcome(*at).class() == class;
        (0..OUTCOMES).filter(of_class).map(|at| outcomes[at]).sum()
    }
}

impl Totals {
    fn new() -> Self {
        Self {
            outcomes: [const { AtomicU64::new(0) }; OUTCOMES],
            latency_us: Histogram::new(),
            latency_sum_us: AtomicU64::new(0),
            staleness_ms: Histogram::new(),
            appends: AtomicU64::new(0),
            barriers: AtomicU64::new(0),
            replays: AtomicU64::new(0),
        }
    }

    fn read(&self) -> Reading {
        Reading {
            outcomes: std::array::from_fn(|at| self.outcomes[at].load(Relaxed)),
            latency_us: self.latency_us.counts(),
            staleness_ms: self.staleness_ms.counts(),
            appends: self.appends.load(Relaxed),
            barriers: self.barriers.load(Relaxed),
            replays: self.replays.load(Relaxed),
        }
    }

    fn copy_from(&self, other: &Self) {
        for (mine, theirs) in self.outcomes.iter().zip(&other.outcomes) {
            mine.store(theirs.load(Relaxed), Relaxed);
        }
        self.latency_us.copy_from(&other.latency_us);
        self.staleness_ms.copy_from(&other.staleness_ms);
        self.appends.store(other.appends.load(Relaxed), Relaxed);
        self.barriers.store(other.barriers.load(Relaxed), Relaxed);
        self.replays.store(other.replays.load(Relaxed), Relaxed);
    }
}

impl Reading {
    fn since(&self, before: &Self) -> Self {
        Self {
            outcomes: std::array::from_fn(|at| {
                self.outcomes[at].saturating_sub(before.outcomes[at])
            }),
            latency_us: histogram::since(&self.latency_us, &before.latency_us),
            staleness_ms: histogram::since(&self.staleness_ms, &before.staleness_ms),
            appends: self.appends.saturating_sub(before.appends),
            barriers: self.barriers.saturating_sub(before.barriers),
            replays: self.replays.saturating_sub(before.replays),
        }
    }
}
