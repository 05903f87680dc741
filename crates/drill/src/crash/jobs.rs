//! Jobs under kills: producers, workers that do well and workers that do not, and what those write
//! to. All that they ask, do and hear goes into a history that the checker judges.

mod answers;
mod caller;
mod downstream;
mod look;
mod producer;
mod worker;

use super::{
    CrashError,
    clock::{CLOCKS_DIFFER_MS, Clock},
    server::Server,
};
use crate::{
    checker::{self, Duplicates, JobsReport, Violation},
    history::jobs::{End, Head, JobHistory, Operation, Outcome, Request, Rules, State},
    load::Endpoint,
};
use downstream::Downstream;
use producer::Producer;
use serde::Serialize;
use serde_json::json;
use std::{
    collections::BTreeSet,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinHandle;
use worker::Worker;

/// How long a lease lasts. A life of the server is shorter or longer.
const LEASE_MS: u64 = 400;
/// How long all is done under no more kills before the rest is worked off: here a worker that is not
/// woken is found out.
const CALM: Duration = Duration::from_millis(2_500);
/// Longer than any poll.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_ATTEMPTS: u32 = 4;
const MAX_CRASHES: u32 = 3;

/// A queue, and who uses it.
struct Queue {
    name: &'static str,
    spread: Option<u16>,
    concurrency_limit: Option<u64>,
    head: Head,
    producers: u64,
    workers: u64,
    /// One job at a time, for a worker that waits for it.
    rings: bool,
}

const QUEUES: [Queue; 3] = [
    Queue {
        name: "orders",
        spread: None,
        concurrency_limit: None,
        head: Head::Skip,
        producers: 2,
        workers: 6,
        rings: false,
    },
    Queue {
        name: "mails",
        spread: Some(2),
        concurrency_limit: Some(4),
        head: Head::DeadLetter,
        producers: 1,
        workers: 4,
        rings: false,
    },
    Queue {
        name: "bell",
        spread: Some(3),
        concurrency_limit: None,
        head: Head::Skip,
        producers: 1,
        workers: 1,
        rings: true,
    },
];

impl Queue {
    fn rules(&self) -> Rules {
        Rules {
            // As many as a drill has room for, and when a retry is due the server alone knows.
            backlog_max: Vec::new(),
            retries_within_ms: 0,
            concurrency_limit: self.concurrency_limit,
            max_attempts: MAX_ATTEMPTS,
            max_crashes: MAX_CRASHES,
            head: self.head,
        }
    }

    async fn put(&self, endpoint: &Endpoint) -> Result<(), CrashError> {
        let mut body = json!({
            "concurrency_limit": self.concurrency_limit, "head_failure": self.head,
            "lease_ms": LEASE_MS, "lease_ms_max": 10 * LEASE_MS,
            "max_attempts": MAX_ATTEMPTS, "max_crashes": MAX_CRASHES,
            "backoff": {"base_ms": 40, "max_ms": 200, "jitter": 0.5},
        });
        if let Some(spread) = self.spread {
            body["spread"] = json!(spread);
        }
        let mut client = endpoint.connect().await?;
        let mut writer = endpoint.writer();
        let path = format!("/v1/queues/{}", self.name);
        let reply = client.call(writer.put(&path, body.to_string().as_bytes())).await?;
        if !reply.is_success() {
            let body = String::from_utf8_lossy(reply.body);
            return Err(CrashError::Answer(format!("PUT {path}: {} {body}", reply.status)));
        }
        Ok(())
    }
}

/// What the drill is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// The server is killed again and again.
    Kills,
    /// It is left alone.
    Calm,
    /// Nothing more is put in.
    Drain,
}

/// What all who use a queue write down together.
struct Told {
    queue: &'static str,
    history: Mutex<JobHistory>,
    downstream: Mutex<Downstream>,
    /// Jobs whose completion somebody heard of.
    done: Mutex<BTreeSet<String>>,
    phase: AtomicU8,
    clock: Clock,
}

impl Told {
    fn new(queue: &Queue) -> Self {
        Self {
            queue: queue.name,
            history: Mutex::new(JobHistory::new(queue.rules())),
            downstream: Mutex::new(Downstream::default()),
            done: Mutex::new(BTreeSet::new()),
            phase: AtomicU8::new(Phase::Kills as u8),
            clock: Clock::new(),
        }
    }

    fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    fn is_past(&self, phase: Phase) -> bool {
        self.phase.load(Ordering::Relaxed) > phase as u8
    }

    fn begin(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    fn history(&self) -> MutexGuard<'_, JobHistory> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn done(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call(&self, client: u64, retry_key: Option<&str>, request: Request) -> usize {
        let retry_key = retry_key.map(str::to_owned);
        let called_ms = self.now_ms() - CLOCKS_DIFFER_MS;
        let operation =
            Operation { client, place: 0, retry_key, request, called_ms, returned: None };
        self.history().call(operation)
    }

    fn returns(&self, operation: usize, outcome: Outcome) {
        let heard_ms = self.heard_ms();
        self.history().returns(operation, heard_ms, outcome);
    }

    /// The latest that may be shown where an answer comes from that is heard now.
    fn heard_ms(&self) -> u64 {
        self.now_ms() + CLOCKS_DIFFER_MS
    }

    /// Writes down what is not asked of the queue.
    fn does(&self, client: u64, request: Request, outcome: Outcome) {
        let operation = self.call(client, None, request);
        self.returns(operation, outcome);
    }

    /// What a worker does downstream.
    fn effect(&self, client: u64, request: &Request) -> Outcome {
        let operation = self.call(client, None, request.clone());
        let mut downstream = self.downstream.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = downstream.takes(request);
        // In the order in which they happen downstream.
        self.returns(operation, outcome.clone());
        outcome
    }
}

/// What became of a queue.
#[derive(Debug, Clone, Serialize)]
pub struct DrilledQueue {
    /// Its name.
    pub queue: &'static str,
    /// Jobs that clients know of.
    pub jobs: u64,
    /// Leases that workers know of.
    pub attempts: u64,
    /// Jobs that are done.
    pub done: u64,
    /// Dead letters.
    pub dead: u64,
    /// Jobs that were cancelled.
    pub cancelled: u64,
    /// Workers that died with a job.
    pub deaths: u64,
    /// Words by a lease that was over: all were refused, or it is a violation.
    pub stale: u64,
    /// Effects that were attempted, and why more than once.
    pub duplicates: Duplicates,
    /// Long waits in vain that were judged.
    pub waits: u64,
}

impl fmt::Display for DrilledQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { queue, jobs, attempts, done, dead, cancelled, deaths, stale, waits, .. } = self;
        let Duplicates { attempts: effects, repeated, crashed, expired, unknown, asked } =
            self.duplicates;
        writeln!(
            f,
            "queue {queue}: {jobs} jobs in {attempts} attempts: {done} done, {dead} dead, {cancelled} \
             cancelled; {deaths} workers died, {stale} words came too late, {waits} long waits in vain"
        )?;
        write!(
            f,
            "queue {queue}: {repeated} of {effects} effects were attempted again: {crashed} after a \
             crash, {expired} after a lease that ended, {unknown} after an unknown outcome, {asked} \
             after a failure or a snooze"
        )
    }
}

/// What was found of all queues.
#[derive(Default)]
pub(super) struct Drilled {
    pub(super) queues: Vec<DrilledQueue>,
    pub(super) violations: Vec<Violation>,
    pub(super) undecided: Vec<String>,
}

/// The jobs of a drill, as they are being done.
pub(super) struct Jobs {
    endpoint: Endpoint,
    told: Vec<Arc<Told>>,
    producers: Vec<JoinHandle<()>>,
    workers: Vec<JoinHandle<()>>,
}

impl Jobs {
    /// Puts the queues, and has them used.
    pub(super) async fn begin(server: &Server, seed: u64) -> Result<Self, CrashError> {
        let endpoint = server.endpoint_of(server.key(), REQUEST_TIMEOUT).await?;
        let (mut told, mut producers, mut workers) = (Vec::new(), Vec::new(), Vec::new());
        for queue in &QUEUES {
            queue.put(&endpoint).await?;
            let here = Arc::new(Told::new(queue));
            for id in 0..queue.producers {
                let producer = Producer::new(id, seed, &endpoint, &here);
                producers.push(if queue.rings {
                    tokio::spawn(producer.ring())
                } else {
                    tokio::spawn(producer.run())
                });
            }
            for id in 0..queue.workers {
                let worker = Worker::new(queue.producers + id, seed, &endpoint, &here);
                workers.push(tokio::spawn(worker.run(queue.workers, queue.rings)));
            }
            told.push(here);
        }
        Ok(Self { endpoint, told, producers, workers })
    }

    /// Has the rest worked off, and looks at what is there then.
    pub(super) async fn end(self) -> Result<Vec<JobHistory>, CrashError> {
        let phase = |phase| self.told.iter().for_each(|told| told.begin(phase));
        phase(Phase::Calm);
        tokio::time::sleep(CALM).await;
        phase(Phase::Drain);
        for producer in self.producers {
            producer.await.map_err(|error| CrashError::Answer(error.to_string()))?;
        }
        let mut drained = Vec::new();
        for told in &self.told {
            drained.push(look::drained(&self.endpoint, told.queue).await?);
        }
        for worker in self.workers {
            // It waits for jobs that do not come.
            worker.abort();
            let ended = worker.await;
            if let Err(error) = ended.map_err(tokio::task::JoinError::try_into_panic)
                && error.is_ok()
            {
                return Err(CrashError::Answer("a worker of the drill failed".into()));
            }
        }
        let mut histories = Vec::new();
        for (told, drained) in self.told.iter().zip(drained) {
            let mut history = told.history().clone();
            let jobs = look::every_job(&self.endpoint, told.queue, &history).await?;
            history.end = Some(End { jobs, drained });
            histories.push(history);
        }
        Ok(histories)
    }
}

/// What is there for good once all is over.
pub(super) fn lists() -> impl Iterator<Item = String> {
    QUEUES.iter().map(|queue| format!("/v1/queues/{}/jobs", queue.name))
}

/// Judges what was told of each queue.
pub(super) fn judge(histories: &[JobHistory]) -> Drilled {
    let mut drilled = Drilled::default();
    for (Queue { name, .. }, history) in QUEUES.iter().zip(histories) {
        let JobsReport { violations, jobs, leases, duplicates, waits } =
            checker::check_jobs(history);
        let named = |violation: Violation| Violation {
            whom: format!("{} of queue {name}", violation.whom),
            ..violation
        };
        drilled.violations.extend(violations.into_iter().map(named));
        if !history.end.as_ref().is_some_and(|end| end.drained) {
            drilled.undecided.push(format!("queue {name} was not worked off in time"));
        }
        let ends = history.end.iter().flat_map(|end| end.jobs.values());
        let ended = |state| ends.clone().filter(|last| last.state == state).count() as u64;
        let count = |is: fn(&Operation) -> bool| {
            history.operations.iter().filter(|operation| is(operation)).count() as u64
        };
        drilled.queues.push(DrilledQueue {
            queue: name,
            jobs,
            attempts: leases,
            done: ended(State::Done),
            dead: ended(State::Dead),
            cancelled: ended(State::Cancelled),
            deaths: count(|operation| operation.request == Request::Dies),
            stale: count(|operation| matches!(operation.outcome(), Some(Outcome::Stale { .. }))),
            duplicates,
            waits,
        });
    }
    drilled
}
