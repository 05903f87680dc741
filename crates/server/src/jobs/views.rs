//! The bodies that callers get about jobs.

use crate::{json::Verbatim, problem::Problem, time::Rfc3339};
use evenkeel_domains::jobs::{
    Enqueued, JobDetail, JobId, JobView, Leased, Note, Standing, State, WaitingFor,
};
use evenkeel_engine::Time;
use evenkeel_node::Given;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What became of each job that was to be taken in.
#[derive(Serialize, ToSchema)]
#[schema(as = Enqueued)]
pub(crate) struct EnqueuedBody {
    /// In the order in which they were sent.
    pub(crate) jobs: Vec<TakenBody>,
}

/// What became of one of them.
#[derive(Serialize, ToSchema)]
#[schema(as = Taken)]
#[serde(untagged)]
pub(crate) enum TakenBody {
    /// It is there.
    In {
        job: String,
        #[schema(value_type = String)]
        state: &'static str,
        /// It was there before: nothing was taken in.
        duplicate: bool,
    },
    /// It is not: others were.
    Out {
        #[schema(inline)]
        error: ErrorBody,
    },
}

/// Why one of several was refused.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    #[schema(value_type = String)]
    code: &'static str,
    detail: String,
    retryable: bool,
    /// none; unknown if nobody knows whether it happened.
    #[schema(value_type = String)]
    side_effects: &'static str,
}

impl ErrorBody {
    pub(crate) fn new(problem: &Problem) -> Self {
        let meaning = problem.code.meaning();
        let detail = problem.detail.clone().into_owned();
        let (retryable, side_effects) = (meaning.retryable, problem.side_effects());
        Self { code: meaning.code, detail, retryable, side_effects }
    }
}

impl TakenBody {
    pub(crate) fn taken(id: JobId, job: &Enqueued) -> Self {
        Self::In { job: id.to_string(), state: job.state.name(), duplicate: job.duplicate }
    }
}

/// Jobs that a worker was given.
#[derive(Serialize, ToSchema)]
#[schema(as = Leased)]
pub(crate) struct LeasedBody<'l> {
    /// First those that are to be done first, for each partition.
    pub(crate) jobs: Vec<LeasedJob<'l>>,
}

/// A job that a worker was given.
#[derive(Serialize, ToSchema)]
pub(crate) struct LeasedJob<'l> {
    job: String,
    /// From 1.
    attempt: u32,
    /// By what the worker names its lease.
    lease: String,
    /// Grows with every lease of the job: for what the worker writes elsewhere.
    fence: u64,
    kind: &'l str,
    #[schema(value_type = Object)]
    payload: Verbatim<'l>,
    priority: u8,
    ordering_key: Option<&'l str>,
    traceparent: Option<&'l str>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Rfc3339,
    /// Attempts that failed before.
    failures: u32,
    /// Leases that ended without a word before.
    crashes: u32,
    /// What an earlier attempt said about how far it was.
    #[schema(value_type = Option<Object>)]
    progress: Option<Verbatim<'l>>,
    #[schema(value_type = String, format = DateTime)]
    lease_expires_at: Rfc3339,
}

impl<'l> LeasedJob<'l> {
    pub(crate) fn new(id: JobId, leased: &'l Leased) -> Self {
        Self {
            job: id.to_string(),
            attempt: leased.lease.attempt,
            lease: leased.lease.to_string(),
            fence: leased.lease.fence,
            kind: &leased.kind,
            payload: Verbatim(&leased.payload),
            priority: leased.priority,
            ordering_key: leased.ordering_key.as_deref(),
            traceparent: leased.trace.as_deref(),
            created_at: Rfc3339(leased.created_at),
            failures: leased.failures,
            crashes: leased.crashes,
            progress: leased.progress.as_deref().map(Verbatim),
            lease_expires_at: Rfc3339(leased.expires_at),
        }
    }
}

/// What became of a job.
#[derive(Serialize, ToSchema)]
#[schema(as = Standing)]
pub(crate) struct StandingBody {
    job: String,
    #[schema(value_type = String)]
    state: &'static str,
    /// When it is due, is ready since, when its lease ends, when it was over.
    #[schema(value_type = String, format = DateTime)]
    at: Rfc3339,
    /// Its worker is to stop.
    cancel: bool,
    /// Of a job that a worker has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    lease_expires_at: Option<Rfc3339>,
}

impl StandingBody {
    pub(crate) fn new(id: JobId, standing: &Standing) -> Self {
        let at = Rfc3339(standing.at);
        Self {
            job: id.to_string(),
            state: standing.state.name(),
            at,
            cancel: standing.cancel,
            lease_expires_at: (standing.state == State::Leased).then_some(at),
        }
    }
}

/// What became of a job, and what its worker was given next.
#[derive(Serialize, ToSchema)]
#[schema(as = Said)]
pub(crate) struct SaidBody<'l> {
    #[serde(flatten)]
    pub(crate) standing: StandingBody,
    /// If that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<NextBody<'l>>,
}

/// Jobs that a worker was given with the answer to its word.
#[derive(Serialize, ToSchema)]
#[schema(as = NextJobs)]
pub(crate) struct NextBody<'l> {
    pub(crate) jobs: Vec<LeasedJob<'l>>,
    /// Why there are none, if it is not that none are ready. The word was taken all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(inline)]
    pub(crate) error: Option<ErrorBody>,
}

impl<'l> NextBody<'l> {
    pub(crate) fn new(given: &'l Result<Given, Problem>) -> Self {
        match given {
            Ok(given) => {
                let jobs = given.jobs.iter().map(|(id, leased)| LeasedJob::new(*id, leased));
                Self { jobs: jobs.collect(), error: None }
            }
            Err(problem) => Self { jobs: Vec::new(), error: Some(ErrorBody::new(problem)) },
        }
    }
}

/// What became of each of several jobs.
#[derive(Serialize, ToSchema)]
pub(crate) struct StandingList<'l> {
    /// In the order in which they were sent.
    #[schema(value_type = Vec<Object>)]
    pub(crate) jobs: Vec<EachStanding>,
    /// What the worker was given next, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<NextBody<'l>>,
}

/// What became of one of several.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum EachStanding {
    Done(StandingBody),
    Not { job: String, error: ErrorBody },
}

/// Something said about a job.
#[derive(Serialize, ToSchema)]
#[schema(as = Note)]
pub(crate) struct NoteBody<'n> {
    #[schema(value_type = String, format = DateTime)]
    at: Rfc3339,
    text: &'n str,
}

/// A job in a list.
#[derive(Serialize, ToSchema)]
#[schema(as = Job)]
pub(crate) struct JobBody<'j> {
    job: String,
    #[schema(value_type = String)]
    state: &'static str,
    kind: &'j str,
    priority: u8,
    /// Leases so far.
    attempt: u32,
    /// Attempts that failed.
    failures: u32,
    /// Leases that ended without a word.
    crashes: u32,
    #[schema(value_type = String, format = DateTime)]
    created_at: Rfc3339,
    /// When it is due, is ready since, when its lease ends, when it was over.
    #[schema(value_type = String, format = DateTime)]
    at: Rfc3339,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<&'j str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fence: Option<u64>,
    /// Its worker is to stop.
    cancel: bool,
    /// The last thing that went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<NoteBody<'j>>,
}

impl<'j> JobBody<'j> {
    pub(crate) fn new(id: JobId, job: &'j JobView) -> Self {
        let lease = job.lease.as_ref();
        Self {
            job: id.to_string(),
            state: job.state.name(),
            kind: &job.kind,
            priority: job.priority,
            attempt: job.attempt,
            failures: job.failures,
            crashes: job.crashes,
            created_at: Rfc3339(job.created_at),
            at: Rfc3339(job.at),
            worker: lease.map(|(_, worker)| worker.as_str()),
            fence: lease.map(|(fence, _)| *fence),
            cancel: job.cancel,
            error: job.error.as_ref().map(|Note { at, text }| NoteBody { at: Rfc3339(*at), text }),
        }
    }
}

/// A page of jobs.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobList<'j> {
    pub(crate) items: Vec<JobBody<'j>>,
    pub(crate) cursor: Option<String>,
}

/// A job with all that is known of it.
#[derive(Serialize, ToSchema)]
#[schema(as = JobDetail)]
pub(crate) struct JobDetailBody<'j> {
    #[serde(flatten)]
    job: JobBody<'j>,
    #[schema(value_type = Object)]
    payload: Verbatim<'j>,
    unique_key: Option<&'j str>,
    ordering_key: Option<&'j str>,
    after: Vec<String>,
    traceparent: Option<&'j str>,
    /// What came of it.
    #[schema(value_type = Option<Object>)]
    result: Option<Verbatim<'j>>,
    /// How far it is.
    #[schema(value_type = Option<Object>)]
    progress: Option<Verbatim<'j>>,
    /// Why it is not running, if it is not and could.
    #[schema(value_type = Option<Object>)]
    waiting_for: Option<BTreeMap<&'static str, serde_json::Value>>,
}

impl<'j> JobDetailBody<'j> {
    pub(crate) fn new(id: JobId, job: &'j JobDetail, workers_waiting: u64) -> Self {
        Self {
            job: JobBody::new(id, &job.job),
            payload: Verbatim(&job.payload),
            unique_key: job.unique_key.as_deref(),
            ordering_key: job.ordering_key.as_deref(),
            after: job.after.iter().map(ToString::to_string).collect(),
            traceparent: job.trace.as_deref(),
            result: job.result.as_ref().map(|note| Verbatim(&note.text)),
            progress: job.progress.as_ref().map(|note| Verbatim(&note.text)),
            waiting_for: job.waiting_for.map(|why| in_words(id, why, workers_waiting)),
        }
    }
}

/// Why a job is not running: a reason for programs, a sentence for people.
fn in_words(
    id: JobId,
    why: WaitingFor,
    workers_waiting: u64,
) -> BTreeMap<&'static str, serde_json::Value> {
    let text = |at: Time| {
        let text = serde_json::to_value(Rfc3339(at)).unwrap_or_default();
        text.as_str().unwrap_or_default().to_owned()
    };
    let beside = |number| JobId { number, ..id }.to_string();
    let mut members = BTreeMap::new();
    let (reason, detail) = match why {
        WaitingFor::Jobs { count, first } => {
            members.insert("count", count.into());
            let first = first.map(|job| job.to_string());
            members.insert("job", first.clone().into());
            let first = first.map_or_else(String::new, |job| format!(", the first is {job}"));
            ("after", format!("{count} of the jobs that it runs after are not done{first}"))
        }
        WaitingFor::OrderingKey { job, state } => {
            let job = beside(job);
            members.insert("job", job.clone().into());
            members.insert("state", state.name().into());
            let detail = format!("its ordering key is held by {job}, which is {}", state.name());
            ("ordering_key", detail)
        }
        WaitingFor::Due(at) => {
            members.insert("at", text(at).into());
            ("due", format!("it is not due until {}", text(at)))
        }
        WaitingFor::Paused => ("paused", "the queue is paused".to_owned()),
        WaitingFor::Limit { limit } => {
            members.insert("limit", limit.into());
            let detail = format!("{limit} jobs run in its partition, as many as may");
            ("limit", detail)
        }
        WaitingFor::Worker { since } => {
            members.insert("last_leased_at", since.map(text).into());
            let asks = match workers_waiting {
                0 => "no worker waits here",
                _ => "workers wait here: it is about to be leased",
            };
            let seen = since.map_or_else(
                || "none has been given a job of its partition yet".to_owned(),
                |at| format!("one was last given a job of its partition at {}", text(at)),
            );
            ("worker", format!("{asks}; {seen}"))
        }
    };
    members.insert("reason", reason.into());
    members.insert("detail", detail.into());
    members
}

/// Dead letters that came back, or would.
#[derive(Serialize, ToSchema)]
#[schema(as = Replayed)]
pub(crate) struct ReplayedBody {
    pub(crate) dry_run: bool,
    /// How many.
    pub(crate) count: usize,
    pub(crate) jobs: Vec<String>,
    /// So many stay, as another job has their unique key.
    pub(crate) skipped: u64,
    /// What to send to go on; null at the end.
    pub(crate) cursor: Option<String>,
}
