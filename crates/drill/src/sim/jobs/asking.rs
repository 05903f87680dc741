//! Requests as commands, and answers in the words of a history.

use super::QUEUES;
use crate::{
    history::jobs::{Given, Kind, Lease, Operation, Outcome, Request, State, Taken, Word, Work},
    sim::{machines::BEGIN_MS, plan::NewWork},
};
use evenkeel_domains::{
    Command, Domains, Refusal, Reply,
    jobs::{self, Action, JobId, LeaseId, NewJob, Settings, When},
};
use evenkeel_engine::{Answer, Failure};

/// What a client asks that wants these jobs done in the queue of this place, and knows of earlier ones.
pub(super) fn enqueue(jobs: &[NewWork], place: usize, known: &[String]) -> Request {
    let work = |new: &NewWork| Work {
        kind: new.kind,
        poison: new.poison,
        unique_key: new.unique.map(|unique| format!("{}{unique}", ["u", "v"][place])),
        ordering_key: new.ordering.map(|ordering| format!("{}{ordering}", ["o", "p"][place])),
        priority: new.priority,
        delay_ms: new.delay_ms,
        after: known.iter().rev().take(new.after).cloned().collect(),
    };
    Request::Enqueue(jobs.iter().map(work).collect())
}

/// The command that asks for `request`; none of what is not asked of the queue.
pub(super) fn command(settings: &Settings, operation: &Operation) -> Option<Command> {
    let Operation { client, place, request, .. } = operation;
    let action = match request {
        Request::Enqueue(works) => Action::Enqueue(works.iter().map(new_job).collect()),
        Request::Cancel { job } => Action::Cancel { job: number(job) },
        Request::Lease { max, .. } => {
            Action::Lease { worker: format!("worker-{client}"), max: *max, lease_ms: None }
        }
        Request::Word { job, lease, word } => {
            let job = number(job);
            let lease = LeaseId { attempt: lease.attempt, fence: lease.fence };
            match *word {
                Word::Complete => Action::Complete { job, lease, result: None },
                Word::Fail { retry } => Action::Fail { job, lease, error: "no".into(), retry },
                Word::Snooze { delay_ms } => Action::Snooze { job, lease, delay_ms },
                Word::Extend { lease_ms } => Action::Extend { job, lease, lease_ms },
                Word::Progress => Action::Progress { job, lease, progress: "half".into() },
            }
        }
        Request::Effect { .. } | Request::Dies => return None,
    };
    let queue = QUEUES[usize::from(*place)].to_owned();
    let (partition, settings) = (*place, Box::new(*settings));
    Some(Command::Jobs(jobs::Command { queue, partition, settings, action }))
}

fn new_job(work: &Work) -> NewJob {
    NewJob {
        kind: format!("{:?}", work.kind).to_lowercase(),
        // A worker finds out what it is for, and its fate.
        payload: serde_json::json!({"kind": work.kind, "poison": work.poison}).to_string(),
        unique_key: work.unique_key.clone(),
        ordering_key: work.ordering_key.clone(),
        priority: work.priority,
        when: if work.delay_ms == 0 { When::Now } else { When::DelayMs(work.delay_ms) },
        after: work.after.iter().map(|job| id(job)).collect(),
        trace: None,
    }
}

fn id(job: &str) -> JobId {
    job.parse().expect("jobs are named by what the queue answered")
}

fn number(job: &str) -> u64 {
    id(job).number
}

/// The name of a job.
pub(super) fn name(place: u16, number: u64) -> String {
    JobId { partition: place, number }.to_string()
}

/// What an answer says, in the words of a history.
pub(super) fn outcome(place: u16, answer: Answer<Domains>) -> Outcome {
    let decided_ms = answer.delivered.at.0.saturating_sub(BEGIN_MS);
    let at_ms = (!answer.delivered.replayed).then_some(decided_ms);
    match answer.outcome {
        Ok(Reply::Jobs(reply)) => replied(place, reply, decided_ms, at_ms),
        Ok(_) => unreachable!("only jobs are asked for"),
        Err(Failure::Refused(Refusal::Jobs(refusal))) => match refusal {
            jobs::Refusal::StaleLease(_) => Outcome::Stale { at_ms: decided_ms },
            jobs::Refusal::BacklogFull { .. } => Outcome::BacklogFull,
            other => Outcome::Refused(other.code().to_owned()),
        },
        Err(Failure::OutcomeUnknown) => Outcome::Unknown,
        Err(failure) => Outcome::TurnedAway(failure.to_string()),
    }
}

fn replied(place: u16, reply: jobs::Reply, decided_ms: u64, at_ms: Option<u64>) -> Outcome {
    match reply {
        jobs::Reply::Enqueued(taken) => Outcome::Enqueued {
            jobs: taken
                .into_iter()
                .map(|taken| Taken { job: name(place, taken.job), duplicate: taken.duplicate })
                .collect(),
            at_ms,
        },
        jobs::Reply::Leased(leased, _) => {
            let given = |leased| given(place, leased, decided_ms);
            Outcome::Leased { jobs: leased.into_iter().map(given).collect() }
        }
        jobs::Reply::Job(standing) => Outcome::Stands {
            state: state(standing.state),
            until_ms: standing.at.0.saturating_sub(BEGIN_MS),
            cancel: standing.cancel,
            at_ms,
        },
        jobs::Reply::Said(..) | jobs::Reply::Each(_) | jobs::Reply::Replayed(_) => {
            unreachable!("one is completed at a time, and nothing is replayed")
        }
    }
}

fn given(place: u16, leased: jobs::Leased, at_ms: u64) -> Given {
    let payload: serde_json::Value = serde_json::from_str(&leased.payload).unwrap_or_default();
    Given {
        kind: if payload["kind"] == "put" { Kind::Put } else { Kind::Charge },
        poison: payload["poison"] == true,
        job: name(place, leased.job),
        at_ms,
        crashes: leased.crashes,
        lease: Lease { attempt: leased.lease.attempt, fence: leased.lease.fence },
        expires_at_ms: leased.expires_at.0.saturating_sub(BEGIN_MS),
        ordering_key: leased.ordering_key,
        failures: leased.failures,
    }
}

pub(super) fn state(state: jobs::State) -> State {
    match state {
        jobs::State::Waiting => State::Waiting,
        jobs::State::Scheduled => State::Scheduled,
        jobs::State::Retry => State::Retry,
        jobs::State::Ready => State::Ready,
        jobs::State::Leased => State::Leased,
        jobs::State::Done => State::Done,
        jobs::State::Dead => State::Dead,
        jobs::State::Cancelled => State::Cancelled,
    }
}
