//! Drives a workload and measures it: closed loop or open loop, warmed up, repeated.
//!
//! In the closed loop each connection has one call in flight and begins the next when it is
//! answered. In the open loop calls are due at a fixed rate and their latency counts from the
//! instant that they were due, so a server that stalls is charged for every call that had to
//! wait (no coordinated omission). What cannot be begun in time is reported, not left out.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::histogram::Histogram;
use super::pacer::Pacer;
use super::report::{OpenRun, Report, Run};

/// A worker whose connection cannot be opened waits this long before its next call.
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);

/// What calls are made of. Implemented for Evenkeel and, with the same driver, for peers.
pub trait Workload: Send + Sync + 'static {
    /// One connection's state.
    type Conn: Send + 'static;

    /// What the report is called.
    fn name(&self) -> String;

    /// The kinds of call that the report tells apart; [`Done::kind`] counts into it.
    fn kinds(&self) -> &'static [&'static str] {
        &["call"]
    }

    /// How many operations one call carries; the rate counts operations.
    fn operations_per_call(&self) -> u64 {
        1
    }

    /// How many calls one repeat may make before the workload has nothing left to take.
    fn calls_max(&self) -> Option<u64> {
        None
    }

    /// Prepares one repeat (0, 1, …), before any connection of it is opened. Not measured.
    fn prepare(&self, repeat: u32) -> impl Future<Output = Result<(), WorkloadError>> + Send {
        let _ = repeat;
        async { Ok(()) }
    }

    /// Opens one connection.
    fn connect(
        &self,
        connection: usize,
    ) -> impl Future<Output = Result<Self::Conn, WorkloadError>> + Send;

    /// Makes one call. `call` counts from 0 over all connections of a repeat. After
    /// [`Outcome::Error`] the driver drops the connection and opens another.
    fn call(&self, conn: &mut Self::Conn, call: u64) -> impl Future<Output = Done> + Send;
}

/// Why a workload cannot begin.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WorkloadError(pub String);

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It did what it was for.
    Ok,
    /// A business "no": sold out, seat taken, expired.
    Refused,
    /// Turned away at once, without effect, because the server is busy.
    Shed,
    /// No usable answer; says what came instead.
    Error(Box<str>),
}

/// One finished call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Index into [`Workload::kinds`].
    pub kind: usize,
    /// How it ended.
    pub outcome: Outcome,
}

/// How calls are spaced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// Each connection begins its next call when the last is answered.
    Closed,
    /// Calls are due at this rate over all connections.
    Open {
        /// Calls a second.
        rate_per_s: f64,
    },
}

/// How long and how hard.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Connections, each with one call in flight.
    pub connections: usize,
    /// Before the measurement, in each repeat.
    pub warmup: Duration,
    /// The measurement, in each repeat.
    pub duration: Duration,
    /// How many measurements.
    pub repeats: u32,
    /// Closed or open.
    pub pace: Pace,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The plan makes no sense.
    #[error("the plan is not one: {0}")]
    Plan(&'static str),
    /// Preparing a repeat failed.
    #[error("cannot prepare the workload: {0}")]
    Prepare(#[source] WorkloadError),
    /// A first connection failed.
    #[error("cannot connect: {0}")]
    Connect(#[source] WorkloadError),
    /// The workload ran out before its warm-up ended.
    #[error("all {calls} calls were made before the warm-up ended: use more places or less time")]
    Exhausted {
        /// How many there were.
        calls: u64,
    },
    /// The thread that keeps the schedule did not start.
    #[error("cannot start the pacer: {0}")]
    Pacer(#[source] std::io::Error),
    /// A worker task panicked.
    #[error("a worker panicked: {0}")]
    Worker(#[source] tokio::task::JoinError),
}

/// Connections beyond this are refused.
pub const CONNECTIONS_MAX: usize = 16_384;

impl Plan {
    fn check(&self) -> Result<(), DriveError> {
        if self.connections == 0 || self.connections > CONNECTIONS_MAX {
            return Err(DriveError::Plan("connections must be 1–16,384"));
        }
        if self.repeats == 0 || self.duration.is_zero() {
            return Err(DriveError::Plan("it measures nothing"));
        }
        match self.pace {
            Pace::Open { rate_per_s } if !(0.01..=10_000_000.0).contains(&rate_per_s) => {
                Err(DriveError::Plan("the rate must be 0.01–10,000,000 a second"))
            }
            _ => Ok(()),
        }
    }
}

/// Runs the plan and answers its report.
///
/// # Errors
/// [`DriveError`]; calls that fail are counted, not errors.
pub async fn drive<W: Workload>(workload: Arc<W>, plan: Plan) -> Result<Report, DriveError> {
    plan.check()?;
    let mut runs = Vec::with_capacity(plan.repeats as usize);
    for repeat in 0..plan.repeats {
        workload.prepare(repeat).await.map_err(DriveError::Prepare)?;
        runs.push(run_once(&workload, &plan).await?);
    }
    Ok(Report::new(workload.name(), &plan, runs))
}

async fn run_once<W: Workload>(workload: &Arc<W>, plan: &Plan) -> Result<Run, DriveError> {
    let mut connections = Vec::with_capacity(plan.connections);
    for index in 0..plan.connections {
        let connection = workload.connect(index).await.map_err(DriveError::Connect)?;
        connections.push(connection);
    }
    let shared = Arc::new(Shared {
        workload: Arc::clone(workload),
        calls: AtomicU64::new(0),
        calls_max: workload.calls_max().unwrap_or(u64::MAX),
        stopped: AtomicBool::new(false),
        pacer: match plan.pace {
            Pace::Closed => None,
            Pace::Open { rate_per_s } => Some(Pacer::start(rate_per_s).map_err(DriveError::Pacer)?),
        },
        tally: Mutex::new(Tally::new(workload.kinds())),
    });
    let mut workers = JoinSet::new();
    let mut start = Instant::now();
    for (index, connection) in connections.into_iter().enumerate() {
        workers.spawn(work(Arc::clone(&shared), index, connection));
    }
    if !plan.warmup.is_zero() {
        if wait(&mut workers, plan.warmup).await? {
            return Err(DriveError::Exhausted { calls: shared.calls_max });
        }
        start = Instant::now();
        shared.take_tally();
    }
    wait(&mut workers, plan.duration).await?;
    let window = start.elapsed();
    let tally = shared.take_tally();
    let open = shared.open_run(plan, window, &tally);
    shared.stop();
    while let Some(ended) = workers.join_next().await {
        ended.map_err(DriveError::Worker)?;
    }
    Ok(tally.into_run(window, workload.operations_per_call(), open))
}

/// Waits for the time to pass; true if all workers ended before.
async fn wait(workers: &mut JoinSet<()>, time: Duration) -> Result<bool, DriveError> {
    let all = async {
        while let Some(ended) = workers.join_next().await {
            ended.map_err(DriveError::Worker)?;
        }
        Ok(())
    };
    match tokio::time::timeout(time, all).await {
        Ok(ended) => ended.map(|()| true),
        Err(_) => Ok(false),
    }
}

struct Shared<W> {
    workload: Arc<W>,
    calls: AtomicU64,
    calls_max: u64,
    stopped: AtomicBool,
    pacer: Option<Pacer>,
    tally: Mutex<Tally>,
}

async fn work<W: Workload>(shared: Arc<Shared<W>>, index: usize, connection: W::Conn) {
    let mut connection = Some(connection);
    while let Some((call, due)) = shared.next().await {
        let begun = Instant::now();
        let done = match &mut connection {
            Some(open) => shared.workload.call(open, call).await,
            None => match shared.workload.connect(index).await {
                Ok(open) => {
                    let open = connection.insert(open);
                    shared.workload.call(open, call).await
                }
                Err(error) => Done { kind: 0, outcome: Outcome::Error(error.0.into()) },
            },
        };
        let due = due.unwrap_or(begun);
        let failed = matches!(done.outcome, Outcome::Error(_));
        shared.record(done, due.elapsed(), begun.saturating_duration_since(due));
        if failed && connection.take().is_none() {
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
    }
}

impl<W> Shared<W> {
    /// The next call's number, and in the open loop when it was due; none when it is over.
    async fn next(&self) -> Option<(u64, Option<Instant>)> {
        if self.stopped.load(Ordering::Relaxed) {
            return None;
        }
        let (call, due) = match &self.pacer {
            None => (self.calls.fetch_add(1, Ordering::Relaxed), None),
            Some(pacer) => {
                let (call, due) = pacer.next().await?;
                (call, Some(due))
            }
        };
        if call >= self.calls_max {
            self.stop();
            return None;
        }
        Some((call, due))
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        if let Some(pacer) = &self.pacer {
            pacer.stop();
        }
    }

    fn record(&self, done: Done, latency: Duration, lag: Duration) {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.record(done, latency, lag);
    }

    fn take_tally(&self) -> Tally {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = tally.fresh();
        std::mem::replace(&mut *tally, fresh)
    }

    fn open_run(&self, plan: &Plan, window: Duration, tally: &Tally) -> Option<OpenRun> {
        let backlog = self.pacer.as_ref()?.backlog();
        OpenRun::of(plan, window, backlog, tally.lag_max)
    }
}

/// What was counted in one window.
pub(super) struct Tally {
    pub(super) kinds: Vec<KindTally>,
    pub(super) first_error: Option<Box<str>>,
    lag_max: Duration,
}

pub(super) struct KindTally {
    pub(super) name: &'static str,
    pub(super) ok: u64,
    pub(super) refused: u64,
    pub(super) shed: u64,
    pub(super) errors: u64,
    pub(super) latency: Histogram,
}

impl Tally {
    fn new(kinds: &[&'static str]) -> Self {
        let kinds = kinds
            .iter()
            .map(|name| KindTally {
                name,
                ok: 0,
                refused: 0,
                shed: 0,
                errors: 0,
                latency: Histogram::new(),
            })
            .collect();
        Self { kinds, first_error: None, lag_max: Duration::ZERO }
    }

    fn fresh(&self) -> Self {
        let names: Vec<_> = self.kinds.iter().map(|kind| kind.name).collect();
        Self::new(&names)
    }

    fn record(&mut self, done: Done, latency: Duration, lag: Duration) {
        self.lag_max = self.lag_max.max(lag);
        let kind = &mut self.kinds[done.kind];
        kind.latency.record(latency);
        match done.outcome {
            Outcome::Ok => kind.ok += 1,
            Outcome::Refused => kind.refused += 1,
            Outcome::Shed => kind.shed += 1,
            Outcome::Error(error) => {
                kind.errors += 1;
                self.first_error.get_or_insert(error);
            }
        }
    }
}

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;
