//! How the queues that this node pushes stand: for whoever asks for a queue, and for the metrics.

use super::{
    address::Reach,
    breaker::Shown,
    gate::{Gate, Signal, Standing, Ticket},
    source::QueueId,
};
use evenkeel_domains::jobs::JobId;
use evenkeel_engine::TenantId;
use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

/// The queues that a node pushes, and where to it may. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Pushes {
    reach: Reach,
    entries: Arc<Mutex<Entries>>,
}

/// By tenant and name.
type Entries = BTreeMap<Key, Arc<Entry>>;
pub(super) type Key = (TenantId, Arc<str>);

/// How the pushing of a queue stands on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushStanding {
    /// `closed`, `open` or `half_open`.
    pub breaker: &'static str,
    /// Attempts that may be under way at once.
    pub concurrency: u32,
    /// Those that are.
    pub in_flight: u32,
    /// For how long nothing will be sent, as far as is known: the breaker is open, or the destination
    /// asked for it.
    pub wait_ms: u64,
    /// Why nothing can be sent from this node at all.
    pub problem: Option<String>,
}

/// One queue.
#[derive(Debug)]
pub(super) struct Entry {
    id: QueueId,
    gate: Mutex<Gate>,
    problem: Mutex<Option<String>>,
    /// By [`OUTCOMES`].
    ended: [AtomicU64; OUTCOMES.len()],
    since: Instant,
}

/// How attempts end, as the metrics name it.
const OUTCOMES: [&str; 7] =
    ["succeeded", "refused", "failed", "unreachable", "busy", "gone", "abandoned"];

fn outcome(signal: Signal) -> usize {
    match signal {
        Signal::Succeeded => 0,
        Signal::Refused => 1,
        Signal::Failed => 2,
        Signal::Unreachable => 3,
        Signal::Busy { .. } => 4,
        Signal::Gone => 5,
        Signal::Abandoned => 6,
    }
}

/// An attempt that has begun. Dropped, it has told nothing.
#[derive(Debug)]
pub(super) struct Flight {
    entry: Arc<Entry>,
    job: JobId,
    ticket: Option<Ticket>,
}

impl Flight {
    /// The attempt has ended so.
    pub(super) fn end(mut self, signal: Signal) {
        self.land(signal);
    }

    fn land(&mut self, signal: Signal) {
        if let Some(ticket) = self.ticket.take() {
            self.entry.ended[outcome(signal)].fetch_add(1, Relaxed);
            let now_ms = self.entry.now_ms();
            self.entry.gate().end(ticket, signal, self.job, now_ms);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.land(Signal::Abandoned);
    }
}

impl Entry {
    pub(super) fn new(id: QueueId, concurrency_max: u32, seed: u64) -> Self {
        Self {
            id,
            gate: Mutex::new(Gate::new(concurrency_max, seed)),
            problem: Mutex::default(),
            ended: Default::default(),
            since: Instant::now(),
        }
    }

    /// The gate, for as long as it takes to ask or tell it something.
    pub(super) fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time that the gate knows.
    pub(super) fn now_ms(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// When the gate's time will be that.
    pub(super) fn instant(&self, at_ms: u64) -> Instant {
        self.since + std::time::Duration::from_millis(at_ms)
    }

    pub(super) fn standing(&self) -> Standing {
        let now_ms = self.now_ms();
        self.gate().standing(now_ms)
    }

    pub(super) fn set_problem(&self, problem: Option<String>) {
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }

    /// An attempt at `job` begins, if it may.
    pub(super) fn begin(self: &Arc<Self>, job: JobId) -> Option<Flight> {
        let now_ms = self.now_ms();
        let mut gate = self.gate();
        let ticket = (gate.free(now_ms) > 0).then(|| gate.begin())?;
        drop(gate);
        Some(Flight { entry: Arc::clone(self), job, ticket: Some(ticket) })
    }

    fn shown(&self) -> PushStanding {
        let Standing { breaker, concurrency, in_flight, wait_ms, .. } = self.standing();
        let problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone();
        PushStanding { breaker: name(breaker), concurrency, in_flight, wait_ms, problem }
    }
}

fn name(breaker: Shown) -> &'static str {
    match breaker {
        Shown::Closed => "closed",
        Shown::Open => "open",
        Shown::HalfOpen => "half_open",
    }
}

type Sample = fn(&Entry) -> u64;

impl Pushes {
    /// None yet.
    #[must_use]
    pub fn new(reach: Reach) -> Self {
        Self { reach, entries: Arc::default() }
    }

    /// Where webhooks may go.
    #[must_use]
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// How the queue stands; `None` if this node does not push it.
    #[must_use]
    pub fn get(&self, tenant: TenantId, queue: &str) -> Option<PushStanding> {
        Some(self.entries().get(&(tenant, Arc::from(queue)))?.shown())
    }

    pub(super) fn insert(&self, entry: Arc<Entry>) {
        let key = (entry.id.tenant.id, Arc::clone(&entry.id.queue));
        self.entries().insert(key, entry);
    }

    pub(super) fn remove(&self, key: &Key) {
        self.entries().remove(key);
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends the metrics of all queues, in Prometheus's text format.
    pub(crate) fn render(&self, page: &mut String) {
        let entries: Vec<_> = self.entries().values().cloned().collect();
        if entries.is_empty() {
            return;
        }
        let labels = |entry: &Entry| {
            let QueueId { tenant, queue } = &entry.id;
            format!("tenant=\"{}\",queue=\"{queue}\"", tenant.name)
        };
        let families: [(&str, &str, &str, Sample); 4] = [
            (
                "evenkeel_push_breaker",
                "gauge",
                "Whether the destination is called: 0 it is, 1 one attempt probes, 2 it is not.",
                |entry| match entry.standing().breaker {
                    Shown::Closed => 0,
                    Shown::HalfOpen => 1,
                    Shown::Open => 2,
                },
            ),
            (
                "evenkeel_push_concurrency",
                "gauge",
                "Attempts that may be under way at once.",
                |entry| u64::from(entry.standing().concurrency),
            ),
            ("evenkeel_push_in_flight", "gauge", "Attempts that are under way.", |entry| {
                u64::from(entry.standing().in_flight)
            }),
            (
                "evenkeel_push_breaker_opened_total",
                "counter",
                "How often the breaker has opened.",
                |entry| entry.standing().opened,
            ),
        ];
        // Writing to a String cannot fail; the same holds below.
        for (name, kind, help, sample) in families {
            let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for entry in &entries {
                let _ = writeln!(page, "{name}{{{}}} {}", labels(entry), sample(entry));
            }
        }
        let name = "evenkeel_push_attempts_total";
        let _ = writeln!(page, "# HELP {name} Attempts that have ended.\n# TYPE {name} counter");
        for entry in &entries {
            for (outcome, ended) in OUTCOMES.iter().zip(&entry.ended) {
                let labels = labels(entry);
                let ended = ended.load(Relaxed);
                let _ = writeln!(page, "{name}{{{labels},outcome=\"{outcome}\"}} {ended}");
            }
        }
    }
}
