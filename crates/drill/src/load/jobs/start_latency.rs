//! `start-latency`: from the sending of an enqueue to the moment at which a waiting worker has
//! the job. Producers keep a schedule, whatever the server does; workers wait in long polls.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::super::driver::{Done, DriveError, Outcome, Plan, Workload, WorkloadError, drive};
use super::super::histogram::Histogram;
use super::super::report::{KindRun, Report, Run};
use super::caller::Caller;
use super::options::JobsBenchError;
use super::queue::{Queue, QueueSettings};

const WAIT_MS: u64 = 20_000;
/// How long jobs may still start after the last was enqueued.
const DRAIN_MAX: Duration = Duration::from_secs(10);
const DRAIN_PAUSE: Duration = Duration::from_millis(1);

/// Producers, seen by the driver, and workers beside them.
pub(super) struct StartLatency {
    queue: Queue,
    settings: QueueSettings,
    workers: usize,
    pub(super) drain_max: Duration,
}

impl StartLatency {
    pub(super) fn new(queue: Queue, settings: QueueSettings, workers: usize) -> Self {
        Self { queue, settings, workers, drain_max: DRAIN_MAX }
    }

    /// The report's latencies are those of starts; its rate is that of enqueues.
    pub(super) async fn run(self, plan: Plan) -> Result<Report, JobsBenchError> {
        self.settings.create(&self.queue.endpoint).await.map_err(DriveError::Prepare)?;
        // Kept over all repeats: a worker that goes while it waits may take a job along.
        let starts = Arc::new(Starts::new(plan.warmup));
        let mut workers = JoinSet::new();
        for worker in 0..self.workers {
            let caller = self.queue.connect(worker).await.map_err(DriveError::Connect)?;
            workers.spawn(work(self.queue.clone(), caller, worker, Arc::clone(&starts)));
        }
        let mut runs = Vec::with_capacity(plan.repeats as usize);
        for _ in 0..plan.repeats {
            runs.push(self.run_once(plan, &starts).await?);
        }
        workers.shutdown().await;
        Ok(Report::new("jobs from enqueue to start".to_owned(), &plan, runs))
    }

    async fn run_once(&self, plan: Plan, starts: &Arc<Starts>) -> Result<Run, JobsBenchError> {
        starts.begin();
        let producers = Producers { queue: self.queue.clone(), starts: Arc::clone(starts) };
        let one = Plan { repeats: 1, ..plan };
        let mut report = drive(Arc::new(producers), one).await?;
        starts.drain(self.drain_max).await;
        let mut run = report.runs.remove(0);
        let kind = starts.kind();
        run.latency = kind.latency;
        run.first_error = run.first_error.or_else(|| starts.first_error());
        run.kinds.push(kind);
        Ok(run)
    }
}

/// What workers found.
struct Starts {
    epoch: Instant,
    warmup: Duration,
    /// When the first enqueue was sent, after the epoch; 0 before.
    first_us: AtomicU64,
    enqueued: AtomicU64,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    started: u64,
    latency: Histogram,
    errors: u64,
    first_error: Option<Box<str>>,
}

impl Starts {
    fn new(warmup: Duration) -> Self {
        Self {
            epoch: Instant::now(),
            warmup,
            first_us: AtomicU64::new(0),
            enqueued: AtomicU64::new(0),
            found: Mutex::new(Found::default()),
        }
    }

    /// Counts anew.
    fn begin(&self) {
        self.first_us.store(0, Ordering::Relaxed);
        self.enqueued.store(0, Ordering::Relaxed);
        *self.found() = Found::default();
    }

    fn found(&self) -> std::sync::MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Counts those sent after the warm-up.
    fn record(&self, sent_us: u64) {
        let now_us = self.now_us();
        let first_us = self.first_us.load(Ordering::Relaxed);
        let counts = u128::from(sent_us) >= u128::from(first_us) + self.warmup.as_micros();
        let mut found = self.found();
        found.started += 1;
        if counts {
            found.latency.record(Duration::from_micros(now_us.saturating_sub(sent_us)));
        }
    }

    fn fail(&self, error: Box<str>) {
        let mut found = self.found();
        found.errors += 1;
        found.first_error.get_or_insert(error);
    }

    /// Waits until all that was enqueued has started: the slowest must not be left out.
    async fn drain(&self, drain_max: Duration) {
        let begun = Instant::now();
        while self.found().started < self.enqueued.load(Ordering::Relaxed) {
            if begun.elapsed() > drain_max {
                let missing = self.enqueued.load(Ordering::Relaxed) - self.found().started;
                let error =
                    format!("{missing} jobs did not start within {} ms", drain_max.as_millis());
                return self.fail(error.into());
            }
            tokio::time::sleep(DRAIN_PAUSE).await;
        }
    }

    fn kind(&self) -> KindRun {
        let found = self.found();
        KindRun {
            kind: "start",
            ok: found.latency.count(),
            refused: 0,
            shed: 0,
            errors: found.errors,
            latency: found.latency.percentiles(),
        }
    }

    fn first_error(&self) -> Option<String> {
        self.found().first_error.clone().map(String::from)
    }
}

/// A worker that waits, has a job, and completes it.
async fn work(queue: Queue, mut caller: Caller, worker: usize, starts: Arc<Starts>) {
    loop {
        if let Err(Outcome::Error(error)) = take(&mut caller, &starts).await {
            starts.fail(error);
            match queue.connect(worker).await {
                Ok(fresh) => caller = fresh,
                Err(_) => return,
            }
        }
    }
}

async fn take(caller: &mut Caller, starts: &Starts) -> Result<(), Outcome> {
    if caller.lease(1, WAIT_MS).await? > 0 {
        for leased in &caller.leased {
            starts.record(leased.sent_us);
        }
        caller.complete_one(0).await?;
    }
    Ok(())
}

struct Producers {
    queue: Queue,
    starts: Arc<Starts>,
}

impl Workload for Producers {
    type Conn = Caller;

    fn name(&self) -> String {
        "jobs enqueued".to_owned()
    }

    fn kinds(&self) -> &'static [&'static str] {
        &["enqueue"]
    }

    async fn connect(&self, connection: usize) -> Result<Caller, WorkloadError> {
        self.queue.connect(connection).await
    }

    async fn call(&self, caller: &mut Caller, call: u64) -> Done {
        let sent_us = self.starts.now_us();
        if call == 0 {
            self.starts.first_us.store(sent_us, Ordering::Relaxed);
        }
        let result = caller.enqueue(call, 1, None, sent_us).await;
        if result.is_ok() {
            self.starts.enqueued.fetch_add(1, Ordering::Relaxed);
        }
        Done { kind: 0, outcome: result.err().unwrap_or(Outcome::Ok) }
    }
}
