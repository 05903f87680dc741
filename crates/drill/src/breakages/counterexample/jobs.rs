//! A history of jobs in plain words.

use crate::history::jobs::{
    Given, JobHistory, Kind, Lease, Operation, Outcome, Request, Taken, Word, Work,
};

/// What each client and worker did and heard, with the times of both; and what was there in the end.
/// Who asked for a job and got none is left out.
pub(super) fn describe(told: &JobHistory) -> Vec<String> {
    let operations = told.operations.iter().enumerate();
    let told_something = operations.filter(|(_, operation)| !found_nothing(operation));
    let end = told.end.iter().flat_map(|end| &end.jobs).map(|(job, last)| {
        format!(
            "in the end job {job} is {:?}: {} leases, {} failures, {} crashes",
            last.state, last.attempt, last.failures, last.crashes
        )
    });
    told_something.map(line).chain(end).collect()
}

fn found_nothing(operation: &Operation) -> bool {
    matches!(operation.request, Request::Lease { .. })
        && match operation.outcome() {
            Some(Outcome::Leased { jobs, .. }) => jobs.is_empty(),
            _ => true,
        }
}

fn line((index, operation): (usize, &Operation)) -> String {
    let Operation { client, retry_key, request, called_ms, returned } = operation;
    let key = retry_key.as_ref().map_or(String::new(), |key| format!(" (key {key})"));
    let who = match request {
        Request::Enqueue(_) | Request::Cancel { .. } => "client",
        _ => "worker",
    };
    let (when, heard) = match returned {
        None => ("?".to_owned(), "; never heard of it again".to_owned()),
        Some((at_ms, outcome)) => (at_ms.to_string(), words(request, outcome)),
    };
    let asked = asked(request);
    format!("{index:>2}. [{called_ms:>4}–{when:>4} ms] {who} {client} {asked}{key}{heard}")
}

fn asked(request: &Request) -> String {
    match request {
        Request::Enqueue(works) => match works.as_slice() {
            [one] => format!("enqueues a job{}", details(one)),
            [first, rest @ ..] if rest.iter().all(|work| work == first) => {
                format!("enqueues {} jobs{}", works.len(), details(first))
            }
            _ => {
                let each: Vec<String> = works.iter().map(|work| details(work)).collect();
                format!("enqueues {} jobs:{}", works.len(), each.join(";"))
            }
        },
        Request::Cancel { job } => format!("cancels job {job}"),
        Request::Lease { max, .. } => format!("asks for {max} jobs"),
        Request::Word { job, lease, word } => {
            let what = match word {
                Word::Complete => "completes".to_owned(),
                Word::Fail { retry: true } => "fails".to_owned(),
                Word::Fail { retry: false } => "fails for good".to_owned(),
                Word::Snooze { delay_ms } => format!("puts off by {delay_ms} ms"),
                Word::Extend { lease_ms } => format!("extends by {lease_ms} ms"),
                Word::Progress => "reports progress of".to_owned(),
            };
            format!("{what} job {job} ({})", named(*lease))
        }
        Request::Effect { job, lease, kind, row } => match kind {
            Kind::Put => format!("writes row {row} for job {job} ({})", named(*lease)),
            Kind::Charge => format!("charges for job {job} ({})", named(*lease)),
        },
        Request::Dies => "dies".to_owned(),
    }
}

fn named(Lease { attempt, fence }: Lease) -> String {
    format!("attempt {attempt}, fence {fence}")
}

fn details(work: &Work) -> String {
    let mut text = match work.kind {
        Kind::Put => " that writes".to_owned(),
        Kind::Charge => " that charges".to_owned(),
    };
    if work.poison {
        text.push_str(", poison");
    }
    for (what, key) in [("ordering", &work.ordering_key), ("unique", &work.unique_key)] {
        if let Some(key) = key {
            text.push_str(&format!(", {what} key {key}"));
        }
    }
    for job in &work.after {
        text.push_str(&format!(", after {job}"));
    }
    if work.delay_ms > 0 {
        text.push_str(&format!(", in {} ms", work.delay_ms));
    }
    text
}

fn words(request: &Request, outcome: &Outcome) -> String {
    let said = match outcome {
        Outcome::Enqueued { jobs, .. } => {
            let name = |Taken { job, duplicate }: &Taken| {
                format!("{job}{}", if *duplicate { " (there already)" } else { "" })
            };
            jobs.iter().map(name).collect::<Vec<String>>().join(", ")
        }
        Outcome::Leased { jobs, .. } => {
            let name = |given: &Given| {
                format!("{} ({}, until {} ms)", given.job, named(given.lease), given.expires_at_ms)
            };
            jobs.iter().map(name).collect::<Vec<String>>().join(", ")
        }
        Outcome::Stands { state, until_ms, cancel, .. } => {
            let stop = if *cancel { ", and it is to stop" } else { "" };
            format!("it is {state:?} ({until_ms} ms){stop}")
        }
        Outcome::Stale { .. } => "no: the lease is not live".to_owned(),
        Outcome::BacklogFull => "no: as many jobs wait as may".to_owned(),
        Outcome::Refused(code) => format!("no: {code}"),
        Outcome::Applied if *request == Request::Dies => return String::new(),
        Outcome::Applied => "done".to_owned(),
        Outcome::Already => "it was done before".to_owned(),
        Outcome::Fenced => "no: a higher fence was there before".to_owned(),
        Outcome::TurnedAway(why) => format!("turned away, no effect: {why}"),
        Outcome::Unknown => "no answer; it may or may not have happened".to_owned(),
    };
    format!(": {said}")
}
