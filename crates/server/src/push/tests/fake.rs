//! Jobs in memory, with the rules that pushing rests on: one live lease a job, and a lease that is over
//! changes nothing.

use super::super::source::{Ask, Pushed, QueueId, Source, SourceError};
use evenkeel_domains::jobs::{
    Action, JobId, LeaseId, Leased, Push, PushRequest, PushSecret, Settings, Standing, State,
};
use evenkeel_engine::{TenantId, Time};
use evenkeel_node::Tenant;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{sync::watch, time::timeout_at};

/// How long a job waits that has failed.
const BACKOFF: Duration = Duration::from_millis(5);

/// A job.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) state: State,
    pub(super) payload: String,
    pub(super) trace: Option<String>,
    pub(super) lease: LeaseId,
    /// When it is due, or its lease ends.
    pub(super) at: Instant,
    pub(super) errors: Vec<String>,
    pub(super) crashes: u32,
    /// For how long it was put off, each time.
    pub(super) snoozes: Vec<u64>,
    pub(super) extensions: u32,
    pub(super) result: Option<String>,
    pub(super) cancel: bool,
}

/// Everything.
#[derive(Debug, Default)]
pub(super) struct Everything {
    pub(super) queues: BTreeMap<String, Pushed>,
    pub(super) jobs: BTreeMap<(String, u64), Job>,
    /// How many calls about jobs fail from now on.
    pub(super) unavailable: u32,
    next_fence: u64,
    /// How often the queues have changed.
    changes: u64,
}

/// Whoever has them.
pub(super) struct Fake {
    all: watch::Sender<Everything>,
    /// Which change of the queues was last asked for.
    told: AtomicU64,
}

pub(super) fn secret(byte: u8) -> PushSecret {
    PushSecret::new(vec![byte; 32]).unwrap()
}

fn id(queue: &str) -> QueueId {
    let tenant = Tenant { id: TenantId(0), name: "default".into() };
    QueueId { tenant, queue: queue.into() }
}

pub(super) fn job_id(number: u64) -> JobId {
    JobId { partition: 3, number }
}

impl Fake {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { all: watch::Sender::default(), told: AtomicU64::new(0) })
    }

    /// Has a queue be pushed, with a second for each attempt.
    pub(super) fn put(&self, queue: &str, url: &str, change: impl FnOnce(&mut Pushed)) {
        let now = Source::now(self);
        self.all.send_modify(|all| {
            all.changes += 1;
            let request = PushRequest {
                url: url.to_owned(),
                secret: None,
                timeout_ms: 1_000,
                concurrency_max: 8,
            };
            let before = all.queues.get(queue).map(|pushed| &pushed.push);
            let given = before.is_none().then(|| secret(1));
            let push = Push::put(PushRequest { secret: given, ..request }, before, now).unwrap();
            let mut pushed = Pushed { id: id(queue), settings: Settings::of(1), push };
            change(&mut pushed);
            all.queues.insert(queue.to_owned(), pushed);
        });
    }

    pub(super) fn remove(&self, queue: &str) {
        self.all.send_modify(|all| {
            all.changes += 1;
            all.queues.remove(queue);
        });
    }

    /// Takes jobs in, of these numbers.
    pub(super) fn enqueue(&self, queue: &str, numbers: impl IntoIterator<Item = u64>) {
        self.all.send_modify(|all| {
            for number in numbers {
                let job = Job {
                    state: State::Ready,
                    payload: format!("{{\"number\": {number}}}"),
                    trace: None,
                    lease: LeaseId { attempt: 0, fence: 0 },
                    at: Instant::now(),
                    errors: Vec::new(),
                    crashes: 0,
                    snoozes: Vec::new(),
                    extensions: 0,
                    result: None,
                    cancel: false,
                };
                all.jobs.insert((queue.to_owned(), number), job);
            }
        });
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Everything)) {
        self.all.send_modify(change);
    }

    pub(super) fn job_of(&self, queue: &str, number: u64) -> Job {
        self.all.borrow().jobs[&(queue.to_owned(), number)].clone()
    }

    pub(super) fn disabled(&self, queue: &str) -> Option<String> {
        self.all.borrow().queues[queue].push.disabled.clone()
    }

    pub(super) async fn until(&self, wanted: impl FnMut(&Everything) -> bool) {
        drop(super::soon(self.all.subscribe().wait_for(wanted)).await.unwrap());
    }

    /// Waits until all jobs are over.
    pub(super) async fn until_done(&self) {
        self.until(|all| all.jobs.values().all(|job| job.state == State::Done)).await;
    }

    pub(super) async fn until_state(&self, queue: &str, number: u64, state: State) {
        self.until(|all| all.jobs[&(queue.to_owned(), number)].state == state).await;
    }
}

impl Everything {
    fn lease(&mut self, queue: &str, max: u32, lease_ms: u64) -> Vec<(JobId, Leased)> {
        let now = Instant::now();
        let mut given = Vec::new();
        let of_queue = self.jobs.iter_mut().filter(|((of, _), _)| of == queue);
        for ((_, number), job) in of_queue {
            if job.state == State::Leased && job.at <= now {
                (job.state, job.crashes) = (State::Ready, job.crashes + 1);
            }
            if given.len() == max as usize || job.state != State::Ready || job.at > now {
                continue;
            }
            self.next_fence += 1;
            job.lease = LeaseId { attempt: job.lease.attempt + 1, fence: self.next_fence };
            (job.state, job.at) = (State::Leased, now + Duration::from_millis(lease_ms));
            given.push((job_id(*number), leased(*number, job)));
        }
        given
    }

    fn job(&mut self, queue: &str, action: Action) -> Result<Standing, SourceError> {
        if self.unavailable > 0 {
            self.unavailable -= 1;
            return Err(SourceError::Unavailable("not now".to_owned()));
        }
        let (Action::Complete { job: number, lease, .. }
        | Action::Fail { job: number, lease, .. }
        | Action::Snooze { job: number, lease, .. }
        | Action::Extend { job: number, lease, .. }) = action
        else {
            panic!("a pusher does no such thing: {action:?}");
        };
        let now = Instant::now();
        let job = self.jobs.get_mut(&(queue.to_owned(), number)).unwrap();
        if job.state != State::Leased || job.lease != lease || job.at <= now {
            return Err(SourceError::Stale);
        }
        let after = |ms| now + Duration::from_millis(ms);
        match action {
            Action::Complete { result, .. } => {
                if result.as_ref().is_some_and(|result| result.contains("refuse me")) {
                    return Err(SourceError::Refused("result_too_large"));
                }
                (job.state, job.result) = (State::Done, result);
            }
            Action::Fail { error, .. } => {
                job.errors.push(error);
                (job.state, job.at) = (State::Ready, now + BACKOFF);
            }
            Action::Snooze { delay_ms, .. } => {
                job.snoozes.push(delay_ms);
                let state = if job.cancel { State::Cancelled } else { State::Ready };
                (job.state, job.at) = (state, after(delay_ms));
            }
            Action::Extend { lease_ms, .. } => {
                job.extensions += 1;
                job.at = after(lease_ms);
            }
            _ => {}
        }
        Ok(Standing { job: number, state: job.state, at: Time(0), cancel: job.cancel })
    }
}

fn leased(number: u64, job: &Job) -> Leased {
    Leased {
        job: number,
        lease: job.lease,
        expires_at: Time(0),
        kind: "mail".to_owned(),
        payload: job.payload.clone(),
        priority: 4,
        ordering_key: None,
        trace: job.trace.clone(),
        created_at: Time(0),
        failures: 0,
        crashes: job.crashes,
        progress: None,
    }
}

impl Source for Fake {
    fn pushed(&self) -> Vec<Pushed> {
        let all = self.all.borrow();
        self.told.store(all.changes, Relaxed);
        all.queues.values().filter(|pushed| pushed.push.disabled.is_none()).cloned().collect()
    }

    async fn changed(&self) {
        let told = self.told.load(Relaxed);
        let _ = self.all.subscribe().wait_for(|all| all.changes != told).await;
    }

    async fn lease(
        &self,
        queue: &QueueId,
        ask: Ask<'_>,
        mut ended: watch::Receiver<bool>,
    ) -> Result<Vec<(JobId, Leased)>, SourceError> {
        let until = Instant::now() + ask.wait;
        let mut changes = self.all.subscribe();
        loop {
            let mut given = Vec::new();
            changes.borrow_and_update();
            self.all.send_if_modified(|all| {
                given = all.lease(&queue.queue, ask.max, ask.lease_ms);
                !given.is_empty()
            });
            let now = Instant::now();
            if !given.is_empty() || now >= until || *ended.borrow() {
                return Ok(given);
            }
            let due = {
                let all = changes.borrow();
                all.jobs.values().map(|job| job.at).filter(|at| *at > now).min().unwrap_or(until)
            };
            let woken = async {
                tokio::select! {
                    _ = changes.changed() => {}
                    _ = ended.changed() => {}
                }
            };
            let _ = timeout_at(due.min(until).into(), woken).await;
        }
    }

    async fn job(
        &self,
        queue: &QueueId,
        job: JobId,
        action: Action,
    ) -> Result<Standing, SourceError> {
        assert_eq!(job.partition, 3);
        let mut answer = Err(SourceError::Stale);
        self.all.send_modify(|all| answer = all.job(&queue.queue, action));
        answer
    }

    async fn disable(
        &self,
        queue: &QueueId,
        version: u64,
        reason: &str,
    ) -> Result<(), SourceError> {
        self.all.send_modify(|all| {
            let pushed = all.queues.get_mut(&*queue.queue).unwrap();
            if pushed.push.version == version {
                all.changes += 1;
                pushed.push.disable(reason, Time(0));
            }
        });
        Ok(())
    }

    fn now(&self) -> Time {
        Time(1_700_000_000_000)
    }
}
