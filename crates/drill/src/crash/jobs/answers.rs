//! Requests of a history of jobs as HTTP, and HTTP answers in its words.

use super::{super::answers::ms, LEASE_MS};
use crate::{
    history::jobs::{Given, Kind, Lease, Outcome, Request, State, Taken, Word, Work},
    load::Reply,
};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct EnqueuedBody {
    jobs: Vec<TakenBody>,
}

/// One that was not taken in beside others has no job.
#[derive(Deserialize)]
struct TakenBody {
    job: Option<String>,
    duplicate: Option<bool>,
}

#[derive(Deserialize)]
struct LeasedBody {
    jobs: Vec<LeasedJob>,
}

#[derive(Deserialize)]
struct LeasedJob {
    job: String,
    attempt: u32,
    lease: String,
    fence: u64,
    payload: Payload,
    ordering_key: Option<String>,
    failures: u32,
    crashes: u32,
    lease_expires_at: String,
}

/// What a worker is given.
#[derive(Deserialize)]
struct Payload {
    kind: String,
    poison: bool,
}

#[derive(Deserialize)]
struct StandingBody {
    state: String,
    at: String,
    cancel: bool,
}

#[derive(Deserialize)]
struct ProblemBody {
    code: String,
    side_effects: String,
}

/// The path below the queue and the body that ask for `request`; none of what is not asked of it.
pub(super) fn request(worker: &str, request: &Request) -> Option<(String, Value)> {
    Some(match request {
        Request::Enqueue(works) => {
            let jobs: Vec<Value> = works.iter().map(new_job).collect();
            ("jobs".into(), json!({"jobs": jobs}))
        }
        Request::Cancel { job } => (format!("jobs/{job}/cancel"), json!({})),
        Request::Lease { max, wait_ms } => {
            let body = json!({
                "worker": worker, "max": max, "wait_ms": wait_ms, "lease_ms": LEASE_MS,
            });
            ("lease".into(), body)
        }
        Request::Word { job, lease, word } => {
            let mut body = json!({"lease": format!("{}.{}", lease.attempt, lease.fence)});
            let verb = match *word {
                Word::Complete => {
                    body["result"] = json!({"by": worker});
                    "complete"
                }
                Word::Fail { retry } => {
                    body["error"] = json!("it did not work");
                    body["retry"] = json!(retry);
                    "fail"
                }
                Word::Snooze { delay_ms } => {
                    body["delay_ms"] = json!(delay_ms);
                    "snooze"
                }
                Word::Extend { lease_ms } => {
                    body["lease_ms"] = json!(lease_ms);
                    "extend"
                }
                Word::Progress => {
                    body["progress"] = json!("half");
                    "progress"
                }
            };
            (format!("jobs/{job}/{verb}"), body)
        }
        Request::Effect { .. } | Request::Dies => return None,
    })
}

fn new_job(work: &Work) -> Value {
    json!({
        "kind": work.kind,
        "payload": {"kind": work.kind, "poison": work.poison},
        "unique_key": work.unique_key,
        "ordering_key": work.ordering_key,
        "priority": work.priority,
        "delay_ms": work.delay_ms,
        "after": work.after,
    })
}

/// What an answer says that is heard at `heard_ms`. One that is not understood is a failure of the
/// server: unknown.
pub(super) fn outcome(request: &Request, reply: &Reply<'_>, heard_ms: u64) -> Outcome {
    if !reply.is_success() {
        return refusal(reply.body, heard_ms);
    }
    let answered = match request {
        Request::Enqueue(works) => taken(reply.body).filter(|jobs| jobs.len() == works.len()).map(
            // When they were taken in is read in the end.
            |jobs| Outcome::Enqueued { jobs, at_ms: None },
        ),
        Request::Lease { .. } => given(reply.body).map(|jobs| Outcome::Leased { jobs }),
        Request::Word { word, .. } => stands(reply.body, Some(*word)),
        _ => stands(reply.body, None),
    };
    answered.unwrap_or(Outcome::Unknown)
}

/// If one is not there that was refused beside others, all are asked for again.
fn taken(body: &[u8]) -> Option<Vec<Taken>> {
    let EnqueuedBody { jobs } = serde_json::from_slice(body).ok()?;
    let taken = |TakenBody { job, duplicate }| Some(Taken { job: job?, duplicate: duplicate? });
    jobs.into_iter().map(taken).collect()
}

fn given(body: &[u8]) -> Option<Vec<Given>> {
    let LeasedBody { jobs } = serde_json::from_slice(body).ok()?;
    let given = |job: LeasedJob| {
        let lease = Lease { attempt: job.attempt, fence: job.fence };
        let expires_at_ms = ms(&job.lease_expires_at)?;
        let named = job.lease == format!("{}.{}", job.attempt, job.fence);
        named.then_some(Given {
            job: job.job,
            lease,
            at_ms: expires_at_ms.saturating_sub(LEASE_MS),
            expires_at_ms,
            ordering_key: job.ordering_key,
            failures: job.failures,
            crashes: job.crashes,
            kind: if job.payload.kind == "put" { Kind::Put } else { Kind::Charge },
            poison: job.payload.poison,
        })
    };
    jobs.into_iter().map(given).collect()
}

fn stands(body: &[u8], word: Option<Word>) -> Option<Outcome> {
    let StandingBody { state, at, cancel } = serde_json::from_slice(body).ok()?;
    let (state, until_ms) = (self::state(&state)?, ms(&at)?);
    // What follows from when it is due. Whoever says the same again is told of the first time, or of
    // what has become of the job since.
    let at_ms = match (word, state) {
        (_, State::Done | State::Dead | State::Cancelled) => Some(until_ms),
        (Some(Word::Extend { lease_ms }), State::Leased) => Some(until_ms.saturating_sub(lease_ms)),
        (Some(Word::Snooze { delay_ms }), State::Scheduled) => {
            Some(until_ms.saturating_sub(delay_ms))
        }
        _ => None,
    };
    Some(Outcome::Stands { state, until_ms, cancel, at_ms })
}

fn refusal(body: &[u8], heard_ms: u64) -> Outcome {
    let Ok(problem) = serde_json::from_slice::<ProblemBody>(body) else { return Outcome::Unknown };
    match problem.code.as_str() {
        "stale_lease" => Outcome::Stale { at_ms: heard_ms },
        "backlog_full" => Outcome::BacklogFull,
        "not_found" | "job_over" | "lease_too_long" | "result_too_large" | "queue_draining" => {
            Outcome::Refused(problem.code)
        }
        _ if problem.side_effects == "none" => Outcome::TurnedAway(problem.code),
        _ => Outcome::Unknown,
    }
}

/// A state by its name.
pub(super) fn state(name: &str) -> Option<State> {
    Some(match name {
        "waiting" => State::Waiting,
        "scheduled" => State::Scheduled,
        "retry" => State::Retry,
        "ready" => State::Ready,
        "leased" => State::Leased,
        "done" => State::Done,
        "dead" => State::Dead,
        "cancelled" => State::Cancelled,
        _ => return None,
    })
}
