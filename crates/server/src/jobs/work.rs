//! What puts jobs in, gives them out, and says what became of them.

use super::{
    requests::{
        CompleteManyRequest, CompleteRequest, EnqueueRequest, ExtendRequest, FailRequest,
        LeaseRequest, ProgressRequest, SnoozeRequest, TRACE_BYTES_MAX,
    },
    subjects::{failed, job_of},
    views::{
        EachStanding, EnqueuedBody, ErrorBody, LeasedBody, LeasedJob, NextBody, SaidBody,
        StandingBody, StandingList, TakenBody,
    },
};
use crate::{
    answer::{Answer, Delivered},
    call::Call,
    code::Code,
    failure,
    problem::Problem,
    reservations::EmptyRequest,
};
use evenkeel_domains::{Refusal, jobs, jobs::Action};
use evenkeel_log::PartitionId;
use evenkeel_node::{CallOptions, Called, Given, NodeError};
use hyper::{HeaderMap, StatusCode};
use std::time::Duration;

type Answered = Result<Answer, Problem>;

const TRACEPARENT: &str = "traceparent";
/// A producer is told to come back within five minutes: by then the rate may be another.
const RETRY_AFTER_S_MAX: u64 = 300;
/// What it is told while nothing leaves the backlog.
const RETRY_AFTER_S_STUCK: u64 = 60;

/// `POST /v1/queues/{q}/jobs`
pub(crate) async fn enqueue(mut call: Call) -> Answered {
    let queue = call.name(0)?;
    let request = call.document::<EnqueueRequest>().await?;
    let jobs = request.jobs(traceparent(&call.parts.headers)?)?;
    let options = call.call_options(true)?;
    let called = call.edge.node.enqueue(&call.caller.tenant, &queue, jobs, options).await;
    let called = called.map_err(|error| not_taken(&call, &queue, error))?;
    let (taken, delivered) = Delivered::split(called);
    let mut owed = None;
    let mut jobs = Vec::with_capacity(taken.len());
    for taken in taken {
        jobs.push(match taken {
            Ok((id, job)) => TakenBody::taken(id, &job),
            Err(error) => {
                let problem = failure::problem(error);
                owed = owed.or(is_owed(problem.code).then_some(problem.code));
                TakenBody::Out { error: ErrorBody::new(&problem) }
            }
        });
    }
    let answer = Answer::json(StatusCode::CREATED, &EnqueuedBody { jobs });
    Ok(answer.delivered(delivered).counted_as(owed))
}

/// Whether the server owed what it failed with: then one of several is enough for the whole not to count
/// as kept.
fn is_owed(code: Code) -> bool {
    code.meaning().status >= 500
}

/// Whoever meets a full backlog is told when, as it goes, there is room for one more.
fn not_taken(call: &Call, queue: &str, error: NodeError) -> Problem {
    let full = matches!(
        &error,
        NodeError::Refused { refusal: Refusal::Jobs(jobs::Refusal::BacklogFull { .. }), .. }
    );
    let problem = failed(call, queue, error);
    if !full {
        return problem;
    }
    let went_per_s = call.edge.node.queue_state(&call.caller.tenant, queue).went_per_s;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float becomes the nearest integer there is"
    )]
    let one_s = (1.0 / went_per_s).ceil() as u64;
    let stuck = went_per_s <= 1.0 / 3_600.0;
    let after_s = if stuck { RETRY_AFTER_S_STUCK } else { one_s.clamp(1, RETRY_AFTER_S_MAX) };
    problem.retry_after(after_s)
}

/// As it came: whoever reads it knows whether they understand it.
fn traceparent(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get(TRACEPARENT) else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| text.len() <= TRACE_BYTES_MAX);
    let rule = || {
        let rule = format!("must be at most {TRACE_BYTES_MAX} bytes of ASCII");
        Problem::bad_header(TRACEPARENT, &rule)
    };
    text.map(Some).ok_or_else(rule)
}

/// `POST /v1/queues/{q}/lease`
pub(crate) async fn lease(mut call: Call) -> Answered {
    let queue = call.name(0)?;
    let request = call.document::<LeaseRequest>().await?.of(&queue)?;
    let options = call.call_options(false)?;
    let (given, delivered) = Delivered::split(leased(&call, &request, options).await?);
    let jobs = given.jobs.iter().map(|(id, leased)| LeasedJob::new(*id, leased)).collect();
    let answer = Answer::json(StatusCode::OK, &LeasedBody { jobs }).delivered(delivered);
    Ok(answer.waited(given.waited))
}

/// `POST /v1/queues/{q}/jobs/{j}/complete`
pub(crate) async fn complete(mut call: Call) -> Answered {
    let job = job_of(&call)?;
    let (action, next) = call.document::<CompleteRequest>().await?.word(job.number)?;
    about(&call, job, action, next).await
}

/// `POST /v1/queues/{q}/jobs/{j}/fail`
pub(crate) async fn fail(mut call: Call) -> Answered {
    let job = job_of(&call)?;
    let (action, next) = call.document::<FailRequest>().await?.word(job.number)?;
    about(&call, job, action, next).await
}

/// `POST /v1/queues/{q}/jobs/{j}/extend`
pub(crate) async fn extend(mut call: Call) -> Answered {
    let job = job_of(&call)?;
    let action = call.document::<ExtendRequest>().await?.action(job.number)?;
    about(&call, job, action, None).await
}

/// `POST /v1/queues/{q}/jobs/{j}/snooze`
pub(crate) async fn snooze(mut call: Call) -> Answered {
    let job = job_of(&call)?;
    let (action, next) = call.document::<SnoozeRequest>().await?.word(job.number)?;
    about(&call, job, action, next).await
}

/// `POST /v1/queues/{q}/jobs/{j}/progress`
pub(crate) async fn progress(mut call: Call) -> Answered {
    let job = job_of(&call)?;
    let action = call.document::<ProgressRequest>().await?.action(job.number)?;
    about(&call, job, action, None).await
}

/// `POST /v1/queues/{q}/jobs/{j}/cancel`
pub(crate) async fn cancel(mut call: Call) -> Answered {
    let job = job_of(&call)?;
    call.document::<EmptyRequest>().await?;
    about(&call, job, Action::Cancel { job: job.number }, None).await
}

/// `POST /v1/queues/{q}/jobs/{j}/retry`
pub(crate) async fn retry(mut call: Call) -> Answered {
    let job = job_of(&call)?;
    call.document::<EmptyRequest>().await?;
    let by = super::seeing::asker(&call);
    about(&call, job, Action::Retry { job: job.number, by }, None).await
}

/// Says something of a job and, if that is taken, gives its worker what it wants next.
async fn about(
    call: &Call,
    job: jobs::JobId,
    action: Action,
    next: Option<LeaseRequest>,
) -> Answered {
    let queue = call.name(0)?;
    let next = next.map(|next| next.of(&queue)).transpose()?;
    let options = call.call_options(false)?;
    let (node, tenant) = (&call.edge.node, &call.caller.tenant);
    let called = match &next {
        Some(next) => node.job_and_next(tenant, job, action, next, options).await,
        None => {
            let called = node.job(tenant, &queue, job, action, options).await;
            called.map(|called| called.map(|standing| (standing, Vec::new())))
        }
    };
    let ((standing, given), mut delivered) =
        Delivered::split(called.map_err(|error| failed(call, &queue, error))?);
    let given = match given.is_empty() {
        true => give(call, next, &mut delivered).await,
        false => Some(Ok(Given { jobs: given, waited: Duration::ZERO })),
    };
    let next = given.as_ref().map(NextBody::new);
    let body = SaidBody { standing: StandingBody::new(job, &standing), next };
    let answer = Answer::json(StatusCode::OK, &body).delivered(delivered);
    Ok(answer.waited(waited(given.as_ref())))
}

/// What a worker wants with the answer to its word, which stands whatever becomes of this.
async fn give(
    call: &Call,
    request: Option<evenkeel_node::LeaseRequest>,
    delivered: &mut Delivered,
) -> Option<Result<Given, Problem>> {
    let request = request?;
    let given = match call.call_options(false) {
        Ok(options) => leased(call, &request, options).await,
        Err(problem) => Err(problem),
    };
    Some(given.map(|called| {
        delivered.see(&called.as_of);
        called.answer
    }))
}

/// Jobs for a worker, which waits for some until the server stops.
async fn leased(
    call: &Call,
    request: &evenkeel_node::LeaseRequest,
    options: CallOptions,
) -> Result<Called<Given>, Problem> {
    let mut stopping = call.edge.stopping.clone();
    let ended = async move {
        let _ = stopping.wait_for(|stopping| *stopping).await;
    };
    let called = call.edge.node.lease(&call.caller.tenant, request, options, ended).await;
    called.map_err(|error| failed(call, &request.queue, error))
}

/// `POST /v1/queues/{q}/complete`
pub(crate) async fn complete_many(mut call: Call) -> Answered {
    let queue = call.name(0)?;
    let (done, next) = call.document::<CompleteManyRequest>().await?.done()?;
    let next = next.map(|next| next.of(&queue)).transpose()?;
    let options = call.call_options(false)?;
    let id = |(partition, done): &(PartitionId, jobs::Done)| jobs::JobId {
        partition: partition.0,
        number: done.job,
    };
    let ids: Vec<jobs::JobId> = done.iter().map(id).collect();
    let told = call.edge.node.complete_many(&call.caller.tenant, &queue, done, &options).await;
    let told = told.map_err(|error| failed(&call, &queue, error))?;
    let mut delivered = Delivered { as_of: Vec::new(), staleness_ms: 0, replayed: false };
    let (mut owed, mut refused, mut is_done) = (None, None, false);
    let mut jobs = Vec::with_capacity(ids.len());
    for (id, told) in ids.into_iter().zip(told) {
        jobs.push(match told {
            Ok(called) => {
                delivered.see(&called.as_of);
                is_done = true;
                EachStanding::Done(StandingBody::new(id, &called.answer))
            }
            Err(error) => {
                let problem = failure::problem(error);
                refused = refused.or(Some(problem.code));
                owed = owed.or(is_owed(problem.code).then_some(problem.code));
                let error = ErrorBody::new(&problem);
                EachStanding::Not { job: id.to_string(), error }
            }
        });
    }
    let counted_as = owed.or(refused.filter(|_| !is_done));
    let given = give(&call, next, &mut delivered).await;
    let next = given.as_ref().map(NextBody::new);
    let answer = Answer::json(StatusCode::OK, &StandingList { jobs, next });
    Ok(answer.delivered(delivered).counted_as(counted_as).waited(waited(given.as_ref())))
}

fn waited(given: Option<&Result<Given, Problem>>) -> Duration {
    given.and_then(|given| given.as_ref().ok()).map_or(Duration::ZERO, |given| given.waited)
}
