//! The bodies that callers send, and what is checked about each before a partition sees it.

use crate::{
    json::{self, Document},
    problem::Problem,
    text::{cut, is_name},
    time::Rfc3339,
};
use evenkeel_domains::jobs::{
    AFTER_MAX, Action, DeadFilter, Done, ENQUEUE_AFTER_MAX, ENQUEUE_BYTES_MAX, ENQUEUE_JOBS_MAX,
    ERROR_BYTES_MAX, JobId, LEASE_JOBS_MAX, LEASE_MS_MAX, LeaseId, NewJob, PAYLOAD_BYTES_MAX,
    PRIORITY_MAX, PROGRESS_BYTES_MAX, QUEUE_MS_MAX, RESULT_BYTES_MAX, When,
};
use evenkeel_engine::Time;
use evenkeel_log::PartitionId;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::time::Duration;
use utoipa::ToSchema;

/// The longest that a worker may wait for a job: one minute.
pub(crate) const WAIT_MS_MAX: u64 = 60_000;
/// The highest rate of a replay, in jobs a second.
const REPLAY_RATE_MAX: u32 = 100_000;
/// Bytes of a `traceparent`; W3C Trace Context has 55.
pub(crate) const TRACE_BYTES_MAX: usize = 128;
const PRIORITY_DEFAULT: u8 = 4;
const NAME: &str = "must be 1 to 128 of A-Z a-z 0-9 . _ : @ -";

/// Jobs to take in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnqueueRequest {
    /// 1 to 100.
    jobs: Vec<JobRequest>,
}

/// A job to take in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewJob)]
struct JobRequest {
    /// What sort of work it is.
    kind: String,
    /// What the worker is given: any JSON; null by default.
    #[schema(value_type = Object)]
    payload: Option<Box<RawValue>>,
    /// While a job with this key (and the same ordering key, if any) is not over, another is not taken in.
    unique_key: Option<String>,
    /// Jobs with this key run one after the other.
    ordering_key: Option<String>,
    /// 0 to 9: higher runs first; 4 by default.
    priority: Option<u8>,
    /// Not to be started before this time.
    #[schema(format = DateTime)]
    run_at: Option<String>,
    /// Not to be started before so much later.
    delay_ms: Option<u64>,
    /// Jobs that must be done before.
    #[serde(default)]
    after: Vec<String>,
}

impl EnqueueRequest {
    /// The jobs; `trace` is the request's `traceparent`.
    pub(super) fn jobs(self, trace: Option<&str>) -> Result<Vec<NewJob>, Problem> {
        let count = self.jobs.len();
        if !(1..=ENQUEUE_JOBS_MAX).contains(&count) {
            return Err(Problem::field("jobs", &format!("must be 1 to {ENQUEUE_JOBS_MAX} jobs")));
        }
        let (mut bytes, mut after) = (0, 0);
        let mut jobs = Vec::with_capacity(count);
        for (at, job) in self.jobs.into_iter().enumerate() {
            let job = job.job(trace).map_err(|problem| match count {
                1 => problem,
                _ => problem.with("job", at),
            })?;
            bytes += job.payload.len();
            after += job.after.len();
            jobs.push(job);
        }
        if bytes > ENQUEUE_BYTES_MAX {
            let rule = format!("must have at most {ENQUEUE_BYTES_MAX} bytes of payloads together");
            return Err(Problem::field("jobs", &rule));
        }
        if after > ENQUEUE_AFTER_MAX {
            let rule = format!("must name at most {ENQUEUE_AFTER_MAX} jobs together");
            return Err(Problem::field("after", &rule));
        }
        Ok(jobs)
    }
}

impl JobRequest {
    fn job(self, trace: Option<&str>) -> Result<NewJob, Problem> {
        named("kind", &self.kind)?;
        let keys = [("unique_key", &self.unique_key), ("ordering_key", &self.ordering_key)];
        for (field, key) in keys {
            key.as_ref().map_or(Ok(()), |key| named(field, key))?;
        }
        let payload = self.payload.map_or_else(
            || Ok("null".into()),
            |raw| json::passed_on("payload", &raw, PAYLOAD_BYTES_MAX),
        )?;
        let priority = self.priority.unwrap_or(PRIORITY_DEFAULT);
        if priority > PRIORITY_MAX {
            return Err(Problem::field("priority", &format!("must be 0 to {PRIORITY_MAX}")));
        }
        let when = match (self.run_at, self.delay_ms) {
            (None, None) => When::Now,
            (Some(at), None) => When::At(time("run_at", &at)?),
            (None, Some(delay_ms)) => When::DelayMs(at_most("delay_ms", delay_ms, QUEUE_MS_MAX)?),
            (Some(_), Some(_)) => {
                return Err(Problem::field("delay_ms", "and run_at cannot both be given"));
            }
        };
        if self.after.len() > AFTER_MAX {
            return Err(Problem::field("after", &format!("must be at most {AFTER_MAX} jobs")));
        }
        let after: Result<Vec<JobId>, ()> = self.after.iter().map(|id| id.parse()).collect();
        Ok(NewJob {
            kind: self.kind,
            payload,
            unique_key: self.unique_key,
            ordering_key: self.ordering_key,
            priority,
            when,
            after: after.map_err(|()| Problem::field("after", "must be jobs as answered"))?,
            trace: trace.map(str::to_owned),
        })
    }
}

/// What a worker asks for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = JobLeaseRequest)]
pub(crate) struct LeaseRequest {
    /// Who asks: shown beside the job.
    worker: String,
    /// At most so many, 1 to 100; 1 by default.
    #[serde(default = "one")]
    max: usize,
    /// How long to wait for the first: at most 60,000; 0 by default.
    #[serde(default)]
    wait_ms: u64,
    /// For how long; the queue says unless this does.
    lease_ms: Option<u64>,
}

fn one() -> usize {
    1
}

impl LeaseRequest {
    pub(super) fn of(self, queue: &str) -> Result<evenkeel_node::LeaseRequest, Problem> {
        named("worker", &self.worker)?;
        if !(1..=LEASE_JOBS_MAX).contains(&self.max) {
            return Err(Problem::field("max", &format!("must be 1 to {LEASE_JOBS_MAX}")));
        }
        let wait_ms = at_most("wait_ms", self.wait_ms, WAIT_MS_MAX)?;
        let lease_ms = self.lease_ms.map(|ms| lease_ms("lease_ms", ms)).transpose()?;
        Ok(evenkeel_node::LeaseRequest {
            queue: queue.to_owned(),
            worker: self.worker,
            max: self.max,
            wait: Duration::from_millis(wait_ms),
            lease_ms,
        })
    }
}

/// A job is done.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompleteRequest {
    /// The lease under which it was done.
    lease: String,
    /// What came of it: any JSON.
    #[schema(value_type = Object)]
    result: Option<Box<RawValue>>,
    /// What to give the worker next, which saves it a request.
    next: Option<LeaseRequest>,
}

/// Jobs are done.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompleteManyRequest {
    /// 1 to 100.
    jobs: Vec<DoneJob>,
    /// What to give the worker next, which saves it a request.
    next: Option<LeaseRequest>,
}

/// One of several jobs that are done.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DoneJob {
    /// Which.
    job: String,
    /// The lease under which it was done.
    lease: String,
    /// What came of it: any JSON.
    #[schema(value_type = Object)]
    result: Option<Box<RawValue>>,
}

/// An attempt has failed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FailRequest {
    /// The lease under which it was tried.
    lease: String,
    /// Why: its first 4,096 bytes are kept.
    error: String,
    /// Whether it is worth another attempt.
    #[serde(default = "yes")]
    retry: bool,
    /// What to give the worker next, which saves it a request.
    next: Option<LeaseRequest>,
}

fn yes() -> bool {
    true
}

/// A lease is to last longer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = JobExtendRequest)]
pub(crate) struct ExtendRequest {
    lease: String,
    /// From now.
    lease_ms: u64,
}

/// A job is to be put off, which is no failure.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SnoozeRequest {
    lease: String,
    /// From now.
    delay_ms: u64,
    /// What to give the worker next, which saves it a request.
    next: Option<LeaseRequest>,
}

/// How far a job is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProgressRequest {
    lease: String,
    /// Any JSON.
    #[schema(value_type = Object)]
    progress: Box<RawValue>,
}

/// Which dead letters are to come back, and how.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayRequest {
    #[serde(default)]
    filter: FilterRequest,
    /// So many are due a second; all at once by default.
    rate_per_s: Option<u32>,
    /// Only say which they would be: unless this is false.
    dry_run: Option<bool>,
    /// Of the answer that this request goes on from.
    pub(super) cursor: Option<String>,
}

/// Which dead letters: those that all of this is true of.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DeadFilter)]
struct FilterRequest {
    /// Of this kind.
    kind: Option<String>,
    /// Whose error has this in it.
    error: Option<String>,
    /// That died at this time or later.
    #[schema(format = DateTime)]
    from: Option<String>,
    /// That died before.
    #[schema(format = DateTime)]
    until: Option<String>,
}

macro_rules! documents {
    ($($type:ident [$($field:literal),*];)*) => {$(
        impl Document for $type {
            const FIELDS: &'static [&'static str] = &[$($field),*];
        }
    )*};
}
documents! {
    EnqueueRequest ["jobs", "kind", "payload", "unique_key", "ordering_key", "priority", "run_at",
        "delay_ms", "after"];
    LeaseRequest ["worker", "max", "wait_ms", "lease_ms"];
    CompleteRequest ["lease", "result", "next", "worker", "max", "wait_ms", "lease_ms"];
    CompleteManyRequest ["jobs", "job", "lease", "result", "next", "worker", "max", "wait_ms",
        "lease_ms"];
    FailRequest ["lease", "error", "retry", "next", "worker", "max", "wait_ms", "lease_ms"];
    ExtendRequest ["lease", "lease_ms"];
    SnoozeRequest ["lease", "delay_ms", "next", "worker", "max", "wait_ms", "lease_ms"];
    ProgressRequest ["lease", "progress"];
}

impl Document for ReplayRequest {
    const FIELDS: &'static [&'static str] =
        &["filter", "kind", "error", "from", "until", "rate_per_s", "dry_run", "cursor"];

    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

/// Jobs that are done, and what their worker wants next.
type ManyDone = (Vec<(PartitionId, Done)>, Option<LeaseRequest>);

/// What is said of a job, and what its worker wants next.
type Word = (Action, Option<LeaseRequest>);

impl CompleteRequest {
    pub(super) fn word(self, job: u64) -> Result<Word, Problem> {
        let (lease, result) = (lease(&self.lease)?, result(self.result)?);
        Ok((Action::Complete { job, lease, result }, self.next))
    }
}

impl CompleteManyRequest {
    pub(super) fn done(self) -> Result<ManyDone, Problem> {
        if !(1..=LEASE_JOBS_MAX).contains(&self.jobs.len()) {
            return Err(Problem::field("jobs", &format!("must be 1 to {LEASE_JOBS_MAX} jobs")));
        }
        let one = |(at, done): (usize, DoneJob)| {
            let one = || {
                let id: Result<JobId, ()> = done.job.parse();
                let id = id.map_err(|()| Problem::field("job", "must be a job as answered"))?;
                let (lease, result) = (lease(&done.lease)?, result(done.result)?);
                Ok((PartitionId(id.partition), Done { job: id.number, lease, result }))
            };
            one().map_err(|problem: Problem| problem.with("job", at))
        };
        let done: Result<_, Problem> = self.jobs.into_iter().enumerate().map(one).collect();
        Ok((done?, self.next))
    }
}

impl FailRequest {
    pub(super) fn word(self, job: u64) -> Result<Word, Problem> {
        // What is wrong with a job is not to be lost because it is told at length.
        let error = cut(&self.error, ERROR_BYTES_MAX - "…".len()).into_owned();
        let retry = self.retry;
        Ok((Action::Fail { job, lease: lease(&self.lease)?, error, retry }, self.next))
    }
}

impl ExtendRequest {
    pub(super) fn action(self, job: u64) -> Result<Action, Problem> {
        let lease_ms = lease_ms("lease_ms", self.lease_ms)?;
        Ok(Action::Extend { job, lease: lease(&self.lease)?, lease_ms })
    }
}

impl SnoozeRequest {
    pub(super) fn word(self, job: u64) -> Result<Word, Problem> {
        let delay_ms = at_most("delay_ms", self.delay_ms, QUEUE_MS_MAX)?;
        Ok((Action::Snooze { job, lease: lease(&self.lease)?, delay_ms }, self.next))
    }
}

impl ProgressRequest {
    pub(super) fn action(self, job: u64) -> Result<Action, Problem> {
        let progress = json::passed_on("progress", &self.progress, PROGRESS_BYTES_MAX)?;
        Ok(Action::Progress { job, lease: lease(&self.lease)?, progress })
    }
}

impl ReplayRequest {
    pub(super) fn replay(self, by: String) -> Result<evenkeel_node::Replay, Problem> {
        if self.rate_per_s.is_some_and(|rate| !(1..=REPLAY_RATE_MAX).contains(&rate)) {
            return Err(Problem::field("rate_per_s", &format!("must be 1 to {REPLAY_RATE_MAX}")));
        }
        let FilterRequest { kind, error, from, until } = self.filter;
        let filter = filter(kind, error, from.as_deref(), until.as_deref())?;
        let dry_run = self.dry_run.unwrap_or(true);
        Ok(evenkeel_node::Replay { filter, rate_per_s: self.rate_per_s, dry_run, by })
    }
}

/// Which dead letters are meant.
pub(super) fn filter(
    kind: Option<String>,
    error: Option<String>,
    from: Option<&str>,
    until: Option<&str>,
) -> Result<DeadFilter, Problem> {
    if let Some(kind) = &kind {
        named("kind", kind)?;
    }
    if let Some(error) = &error {
        within("error", error, ERROR_BYTES_MAX)?;
    }
    let from = from.map(|at| time("from", at)).transpose()?;
    let until = until.map(|at| time("until", at)).transpose()?;
    Ok(DeadFilter { kind, error, from, until })
}

fn result(result: Option<Box<RawValue>>) -> Result<Option<String>, Problem> {
    result.map(|raw| json::passed_on("result", &raw, RESULT_BYTES_MAX as usize)).transpose()
}

fn lease(text: &str) -> Result<LeaseId, Problem> {
    text.parse().map_err(|()| Problem::field("lease", "must be one that a lease request answered"))
}

fn lease_ms(field: &'static str, ms: u64) -> Result<u64, Problem> {
    if ms == 0 {
        return Err(Problem::field(field, "must be at least 1"));
    }
    at_most(field, ms, LEASE_MS_MAX)
}

fn time(field: &'static str, text: &str) -> Result<Time, Problem> {
    Rfc3339::parse(text)
        .ok_or_else(|| Problem::field(field, "must be a time such as 2026-01-31T12:00:00.000Z"))
}

fn at_most(field: &'static str, number: u64, max: u64) -> Result<u64, Problem> {
    if number <= max {
        Ok(number)
    } else {
        Err(Problem::field(field, &format!("must be at most {max}")))
    }
}

fn named(field: &'static str, name: &str) -> Result<(), Problem> {
    if is_name(name) { Ok(()) } else { Err(Problem::field(field, NAME)) }
}

fn within(field: &'static str, text: &str, bytes_max: usize) -> Result<(), Problem> {
    if text.len() <= bytes_max {
        return Ok(());
    }
    Err(Problem::field(field, &format!("must have at most {bytes_max} bytes")))
}
