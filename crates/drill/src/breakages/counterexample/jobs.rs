//! A history of jobs in plain words.

use crate::{
    checker::{Evidence, Violation},
    history::jobs::{
        Given, JobHistory, Kind, Lease, Operation, Outcome, Request, Taken, Word, Work,
    },
};
use std::collections::BTreeSet;

/// What each client and worker did about the jobs that a violation is about, up to the last thing that
/// proves it, with the times of what they said and heard; and what was there of them in the end.
pub(super) fn describe(told: &JobHistory, violation: Option<&Violation>) -> Vec<String> {
    let proof: BTreeSet<usize> = violation
        .iter()
        .flat_map(|violation| &violation.events)
        .filter_map(|evidence| match evidence {
            Evidence::Operation(index) => Some(*index),
            Evidence::Event(_) => None,
        })
        .collect();
    let shown = Shown { told, jobs: jobs_of(told, &proof), proof };
    let operations = told.operations.iter().enumerate();
    let lines = operations.filter(|(index, operation)| shown.is_shown(*index, operation));
    let end =
        told.end.iter().flat_map(|end| &end.jobs).filter(|(job, _)| shown.jobs.contains(*job));
    let end = end.map(|(job, last)| {
        format!(
            "in the end job {job} is {}: {} leases, {} failures, {} crashes",
            last.state, last.attempt, last.failures, last.crashes
        )
    });
    lines.map(|one| shown.line(one)).chain(end).collect()
}

/// What a violation is about.
struct Shown<'h> {
    told: &'h JobHistory,
    proof: BTreeSet<usize>,
    /// None: the proof is all there is to show.
    jobs: BTreeSet<String>,
}

/// The jobs that the proof names one by one; if it only names them by the dozen, none.
fn jobs_of(told: &JobHistory, proof: &BTreeSet<usize>) -> BTreeSet<String> {
    let named = |index: &usize| match &told.operations[*index].request {
        Request::Word { job, .. } | Request::Effect { job, .. } => vec![job.clone()],
        _ => Vec::new(),
    };
    let mut jobs: BTreeSet<String> = proof.iter().flat_map(named).collect();
    if jobs.is_empty() {
        // Two leases that overlap.
        let given = |index: &usize| match told.operations[*index].outcome() {
            Some(Outcome::Leased { jobs, .. }) => {
                jobs.iter().map(|given| given.job.clone()).collect()
            }
            _ => Vec::new(),
        };
        jobs = proof.iter().flat_map(given).collect();
    }
    jobs
}

impl Shown<'_> {
    fn is_shown(&self, index: usize, operation: &Operation) -> bool {
        if self.proof.contains(&index) {
            return true;
        }
        let names = |job: &String| self.jobs.contains(job);
        let about = match (&operation.request, operation.outcome()) {
            (
                Request::Word { job, .. } | Request::Effect { job, .. } | Request::Cancel { job },
                _,
            ) => names(job),
            (_, Some(Outcome::Enqueued { jobs, .. })) => jobs.iter().any(|taken| names(&taken.job)),
            (_, Some(Outcome::Leased { jobs, .. })) => jobs.iter().any(|given| names(&given.job)),
            (Request::Dies, _) => self
                .proof
                .iter()
                .any(|index| self.told.operations[*index].client == operation.client),
            _ => false,
        };
        about && self.proof.last().is_none_or(|last| index <= *last)
    }

    /// Of what was given, what matters.
    fn some<T>(
        &self,
        all: &[T],
        job: impl Fn(&T) -> &String,
        say: impl Fn(&T) -> String,
    ) -> String {
        let matters = |one: &&T| self.jobs.is_empty() || self.jobs.contains(job(one));
        let mut said: Vec<String> = all.iter().filter(matters).map(&say).collect();
        if said.is_empty() {
            said = all.iter().map(&say).collect();
        }
        let others = all.len() - said.len();
        if others > 0 {
            said.push(format!("{others} others"));
        }
        said.join(", ")
    }

    fn line(&self, (index, operation): (usize, &Operation)) -> String {
        let Operation { client, place: _, retry_key, request, called_ms, returned } = operation;
        let key = retry_key.as_ref().map_or(String::new(), |key| format!(" (key {key})"));
        let who = match request {
            Request::Enqueue(_) | Request::Cancel { .. } => "client",
            _ => "worker",
        };
        let (when, heard) = match returned {
            None => ("?".to_owned(), "; never heard of it again".to_owned()),
            Some((at_ms, outcome)) => (at_ms.to_string(), self.words(request, outcome)),
        };
        let asked = asked(request);
        format!("{index:>2}. [{called_ms:>4}–{when:>4} ms] {who} {client} {asked}{key}{heard}")
    }

    fn words(&self, request: &Request, outcome: &Outcome) -> String {
        let said = match outcome {
            Outcome::Enqueued { jobs, .. } => self.some(
                jobs,
                |taken| &taken.job,
                |Taken { job, duplicate }| {
                    format!("{job}{}", if *duplicate { " (there already)" } else { "" })
                },
            ),
            Outcome::Leased { jobs, .. } => self.some(
                jobs,
                |given| &given.job,
                |given: &Given| {
                    format!(
                        "{} ({}, until {} ms)",
                        given.job,
                        named(given.lease),
                        given.expires_at_ms
                    )
                },
            ),
            Outcome::Stands { state, until_ms, cancel, .. } => {
                let stop = if *cancel { ", and it is to stop" } else { "" };
                format!("it is {state} ({until_ms} ms){stop}")
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
