//! What puts jobs in, gives them out, and says what became of them.

use super::{
    requests::{
        CompleteManyRequest, CompleteRequest, EnqueueRequest, ExtendRequest, FailRequest,
        LeaseRequest, ProgressRequest, SnoozeRequest, TRACE_BYTES_MAX,
    },
    subjects::{failed, job_of},
    views::{
        EachStanding, EnqueuedBody, ErrorBody, LeasedBody, LeasedJob, StandingBody, StandingList,
        TakenBody,
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
use evenkeel_node::NodeError;
use hyper::{HeaderMap, StatusCode};

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
    let request = call.document::<LeaseRequest>().await?.of(queue.clone())?;
    let options = call.call_options(false)?;
    let mut stopping = call.edge.stopping.clone();
    let ended = async move {
        let _ = stopping.wait_for(|stopping| *stopping).await;
    };
    let called = call.edge.node.lease(&call.caller.tenant, &request, options, ended).await;
    let (leased, delivered) =
        Delivered::split(called.map_err(|error| failed(&call, &queue, error))?);
    let jobs = leased.iter().map(|(id, leased)| LeasedJob::new(*id, leased)).collect();
    Ok(Answer::json(StatusCode::OK, &LeasedBody { jobs }).delivered(delivered))
}

/// `POST /v1/queues/{q}/jobs/{j}/complete`
pub(crate) async fn complete(mut call: Call) -> Answered {
    let job = job_of(&call)?;
    let action = call.document::<CompleteRequest>().await?.action(job.number)?;
    about(&call, job, action).await
}

/// `POST /v1/queues/{q}/jobs/{j}/fail`
pub(crate) async fn fail(mut call: Call) -> Answered {
    let job = job_of(&call)?;
    let action = call.document::<FailRequest>().await?.action(job.number)?;
    about(&call, job, action).await
}

/// `POST /v1/queues/{q}/jobs/{j}/extend`
pub(crate) async fn extend(mut call: Call) -> Answered {
    let job = job_of(&call)?;
    let action = call.document::<ExtendRequest>().await?.action(job.number)?;
    about(&call, job, action).await
}

/// `POST /v1/queues/{q}/jobs/{j}/snooze`
pub(crate) async fn snooze(mut call: Call) -> Answered {
    let job = job_of(&call)?;
    let action = call.document::<SnoozeRequest>().await?.action(job.number)?;
    about(&call, job, action).await
}

/// `POST /v1/queues/{q}/jobs/{j}/progress`
pub(crate) async fn progress(mut call: Call) -> Answered {
    let job = job_of(&call)?;
    let action = call.document::<ProgressRequest>().await?.action(job.number)?;
    about(&call, job, action).await
}

/// `POST /v1/queues/{q}/jobs/{j}/cancel`
pub(crate) async fn cancel(mut call: Call) -> Answered {
    let job = job_of(&call)?;
    call.document::<EmptyRequest>().await?;
    about(&call, job, Action::Cancel { job: job.number }).await
}

/// `POST /v1/queues/{q}/jobs/{j}/retry`
pub(crate) async fn retry(mut call: Call) -> Answered {
    let job = job_of(&call)?;
    call.document::<EmptyRequest>().await?;
    let by = super::seeing::asker(&call);
    about(&call, job, Action::Retry { job: job.number, by }).await
}

async fn about(call: &Call, job: jobs::JobId, action: Action) -> Answered {
    let queue = call.name(0)?;
    let options = call.call_options(false)?;
    let called = call.edge.node.job(&call.caller.tenant, &queue, job, action, options).await;
    let (standing, delivered) =
        Delivered::split(called.map_err(|error| failed(call, &queue, error))?);
    Ok(Answer::json(StatusCode::OK, &StandingBody::new(job, &standing)).delivered(delivered))
}

/// `POST /v1/queues/{q}/complete`
pub(crate) async fn complete_many(mut call: Call) -> Answered {
    let queue = call.name(0)?;
    let actions = call.document::<CompleteManyRequest>().await?.actions()?;
    let options = call.call_options(false)?;
    let ids: Vec<jobs::JobId> = actions.iter().map(|(id, _)| *id).collect();
    let told = call.edge.node.jobs(&call.caller.tenant, &queue, actions, &options).await;
    let told = told.map_err(|error| failed(&call, &queue, error))?;
    let mut delivered = Delivered { as_of: Vec::new(), staleness_ms: 0, replayed: false };
    let (mut owed, mut refused, mut done) = (None, None, false);
    let mut jobs = Vec::with_capacity(ids.len());
    for (id, told) in ids.into_iter().zip(told) {
        jobs.push(match told {
            Ok(called) => {
                delivered.see(&called.as_of);
                done = true;
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
    let counted_as = owed.or(refused.filter(|_| !done));
    let answer = Answer::json(StatusCode::OK, &StandingList { jobs });
    Ok(answer.delivered(delivered).counted_as(counted_as))
}
