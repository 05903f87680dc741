//! The bodies that callers send, and what is checked about each before a partition sees it.

use super::pushed::QueuePushRequest;
use crate::{
    json::{self, Document},
    problem::Problem,
    text::{cut, is_name},
    time::Rfc3339,
};
use evenkeel_domains::jobs::{
    AFTER_MAX, Action, DeadFilter, ENQUEUE_AFTER_MAX, ENQUEUE_BYTES_MAX, ENQUEUE_JOBS_MAX,
    ERROR_BYTES_MAX, HeadPolicy, JobId, LEASE_JOBS_MAX, LEASE_MS_MAX, LeaseId, NewJob,
    PAYLOAD_BYTES_MAX, PRIORITY_MAX, PROGRESS_BYTES_MAX, PushRequest, QUEUE_MS_MAX,
    RESULT_BYTES_MAX, Settings, When,
};
use evenkeel_engine::Time;
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

/// What a queue is to say. What is left out has its default.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueueRequest {
    /// Partitions that it uses, for its life; all of them by default.
    spread: Option<u16>,
    /// Live leases at most; as many as there are jobs by default.
    concurrency_limit: Option<u64>,
    /// Jobs that may wait.
    max_backlog: Option<u64>,
    /// Attempts that may fail; the last makes a dead letter.
    max_attempts: Option<u32>,
    /// Leases that may end without a word; the last makes a dead letter.
    max_crashes: Option<u32>,
    backoff: Option<BackoffRequest>,
    /// How long a lease lasts, unless the worker asks otherwise.
    lease_ms: Option<u64>,
    /// How long a lease may be asked to last.
    lease_ms_max: Option<u64>,
    /// How long a job is kept that is done or cancelled; 0 forgets it at once.
    retention_ms: Option<u64>,
    /// How long a dead letter is kept.
    dead_retention_ms: Option<u64>,
    /// The largest result.
    result_bytes_max: Option<u32>,
    /// By how much longer a job waits than one of the next higher priority that is as old.
    ageing_ms: Option<u64>,
    head_failure: Option<HeadFailure>,
    /// Has jobs be sent to a webhook; workers may ask for them all the same.
    push: Option<QueuePushRequest>,
}

/// How long a job waits that has failed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Backoff)]
struct BackoffRequest {
    #[serde(default)]
    kind: BackoffKind,
    /// The first wait; each further one is twice as long as the one before.
    base_ms: Option<u64>,
    /// The longest wait, before jitter.
    max_ms: Option<u64>,
    /// By how much of itself a wait is longer or shorter: 0 to 1.
    jitter: Option<f64>,
}

/// How waits grow.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum BackoffKind {
    #[default]
    Exponential,
}

/// What becomes of an ordering key whose head has failed for good.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum HeadFailure {
    Block,
    Skip,
    DeadLetter,
}

impl QueueRequest {
    /// Where jobs are to be sent, if they are.
    pub(super) fn push(&mut self) -> Result<Option<Box<PushRequest>>, Problem> {
        self.push.take().map(|push| push.request().map(Box::new)).transpose()
    }

    /// The settings; whether they are legal is the domain's to say. A spread of 0 is the one it has.
    pub(super) fn settings(self) -> Result<Settings, Problem> {
        let of = Settings::of(0);
        let backoff = self.backoff.unwrap_or(BackoffRequest {
            kind: BackoffKind::default(),
            base_ms: None,
            max_ms: None,
            jitter: None,
        });
        let BackoffRequest { kind: BackoffKind::Exponential, base_ms, max_ms, jitter } = backoff;
        let spread = self.spread.unwrap_or(0);
        if self.spread == Some(0) {
            return Err(Problem::field("spread", "must be at least 1"));
        }
        Ok(Settings {
            spread,
            concurrency_limit: self.concurrency_limit,
            max_backlog: self.max_backlog.unwrap_or(of.max_backlog),
            max_attempts: self.max_attempts.unwrap_or(of.max_attempts),
            max_crashes: self.max_crashes.unwrap_or(of.max_crashes),
            backoff_base_ms: base_ms.unwrap_or(of.backoff_base_ms),
            backoff_max_ms: max_ms.unwrap_or(of.backoff_max_ms),
            jitter_percent: jitter.map_or(Ok(of.jitter_percent), percent)?,
            lease_ms: self.lease_ms.unwrap_or(of.lease_ms),
            lease_ms_max: self.lease_ms_max.unwrap_or(of.lease_ms_max),
            retention_ms: self.retention_ms.unwrap_or(of.retention_ms),
            dead_retention_ms: self.dead_retention_ms.unwrap_or(of.dead_retention_ms),
            result_bytes_max: self.result_bytes_max.unwrap_or(of.result_bytes_max),
            ageing_ms: self.ageing_ms.unwrap_or(of.ageing_ms),
            head: match self.head_failure {
                None => of.head,
                Some(HeadFailure::Block) => HeadPolicy::Block,
                Some(HeadFailure::Skip) => HeadPolicy::Skip,
                Some(HeadFailure::DeadLetter) => HeadPolicy::DeadLetter,
            },
            ..of
        })
    }
}

fn percent(jitter: f64) -> Result<u8, Problem> {
    if !(0.0..=1.0).contains(&jitter) {
        return Err(Problem::field("jitter", "must be 0 to 1"));
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to 100, as was just checked"
    )]
    Ok((jitter * 100.0).round() as u8)
}

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
    pub(super) fn of(self, queue: String) -> Result<evenkeel_node::LeaseRequest, Problem> {
        named("worker", &self.worker)?;
        if !(1..=LEASE_JOBS_MAX).contains(&self.max) {
            return Err(Problem::field("max", &format!("must be 1 to {LEASE_JOBS_MAX}")));
        }
        let wait_ms = at_most("wait_ms", self.wait_ms, WAIT_MS_MAX)?;
        let lease_ms = self.lease_ms.map(|ms| lease_ms("lease_ms", ms)).transpose()?;
        Ok(evenkeel_node::LeaseRequest {
            queue,
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
}

/// Jobs are done.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CompleteManyRequest {
    /// 1 to 100.
    jobs: Vec<DoneJob>,
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
    CompleteRequest ["lease", "result"];
    CompleteManyRequest ["jobs", "job", "lease", "result"];
    FailRequest ["lease", "error", "retry"];
    ExtendRequest ["lease", "lease_ms"];
    SnoozeRequest ["lease", "delay_ms"];
    ProgressRequest ["lease", "progress"];
}

impl Document for QueueRequest {
    const FIELDS: &'static [&'static str] = &[
        "spread",
        "concurrency_limit",
        "max_backlog",
        "max_attempts",
        "max_crashes",
        "backoff",
        "kind",
        "base_ms",
        "max_ms",
        "jitter",
        "lease_ms",
        "lease_ms_max",
        "retention_ms",
        "dead_retention_ms",
        "result_bytes_max",
        "ageing_ms",
        "head_failure",
        "push",
        "url",
        "secret",
        "timeout_ms",
        "concurrency_max",
    ];

    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

impl Document for ReplayRequest {
    const FIELDS: &'static [&'static str] =
        &["filter", "kind", "error", "from", "until", "rate_per_s", "dry_run", "cursor"];

    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

impl CompleteRequest {
    pub(super) fn action(self, job: u64) -> Result<Action, Problem> {
        Ok(Action::Complete { job, lease: lease(&self.lease)?, result: result(self.result)? })
    }
}

impl CompleteManyRequest {
    pub(super) fn actions(self) -> Result<Vec<(JobId, Action)>, Problem> {
        if !(1..=LEASE_JOBS_MAX).contains(&self.jobs.len()) {
            return Err(Problem::field("jobs", &format!("must be 1 to {LEASE_JOBS_MAX} jobs")));
        }
        let action = |(at, done): (usize, DoneJob)| {
            let id: JobId = done
                .job
                .parse()
                .map_err(|()| Problem::field("job", "must be a job as answered"))?;
            let rest = CompleteRequest { lease: done.lease, result: done.result };
            let action = rest.action(id.number).map_err(|problem| problem.with("job", at))?;
            Ok((id, action))
        };
        self.jobs.into_iter().enumerate().map(action).collect()
    }
}

impl FailRequest {
    pub(super) fn action(self, job: u64) -> Result<Action, Problem> {
        // What is wrong with a job is not to be lost because it is told at length.
        let error = cut(&self.error, ERROR_BYTES_MAX - "…".len()).into_owned();
        let retry = self.retry;
        Ok(Action::Fail { job, lease: lease(&self.lease)?, error, retry })
    }
}

impl ExtendRequest {
    pub(super) fn action(self, job: u64) -> Result<Action, Problem> {
        let lease_ms = lease_ms("lease_ms", self.lease_ms)?;
        Ok(Action::Extend { job, lease: lease(&self.lease)?, lease_ms })
    }
}

impl SnoozeRequest {
    pub(super) fn action(self, job: u64) -> Result<Action, Problem> {
        let delay_ms = at_most("delay_ms", self.delay_ms, QUEUE_MS_MAX)?;
        Ok(Action::Snooze { job, lease: lease(&self.lease)?, delay_ms })
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
