//! Bounds: how many jobs wait, and how many retries are due at once.

use super::{book::Book, violation};
use crate::{
    checker::Violation,
    history::jobs::{Outcome, Request, State, Word, place_of},
};

/// Jobs that fail at once are a burst if they are so many.
const BURST_JOBS_MIN: usize = 8;
/// At once: within this share of the stretch over which their retries are spread.
const BURST_SHARE: u64 = 16;

pub(super) fn check(book: &Book<'_>) -> Vec<Violation> {
    backlog(book).into_iter().chain(stampede(book)).collect()
}

/// A job is taken in only while fewer wait than its priority says.
fn backlog(book: &Book<'_>) -> Option<Violation> {
    let rules = &book.history.rules;
    let mut taken: Vec<_> = book
        .jobs
        .iter()
        .filter_map(|(job, known)| Some((known.at_ms?, known.operation, *job, known)))
        .collect();
    taken.sort_by_key(|(at_ms, operation, job, _)| (*at_ms, *operation, *job));
    for (place, (at_ms, operation, job, known)) in taken.iter().enumerate() {
        let Some(max) = rules.backlog_max.get(usize::from(known.work.priority)) else { continue };
        let waits: Vec<usize> = taken[..place]
            .iter()
            // What was decided in the same record may have come behind it, unless it is of one request.
            .filter(|(before_ms, before, ..)| before_ms < at_ms || before == operation)
            .filter(|(_, _, before, _)| place_of(before) == place_of(job))
            .filter(|(_, _, before, _)| waits_at(book, before, *at_ms))
            .map(|(_, before, ..)| *before)
            .collect();
        let unheard = unheard_leases(book, *at_ms);
        let waiting = (waits.len() as u64).saturating_sub(unheard);
        if waiting >= *max {
            let wrong = violation(
                "everybody who shares the queue's memory and its disk",
                format!(
                    "a job of priority {} is refused once {max} jobs wait, but job {job} was taken \
                     in at {at_ms} ms when {waiting} did.",
                    known.work.priority
                ),
                waits.into_iter().chain([*operation]),
            );
            return Some(Violation { invariant: "I14", ..wrong });
        }
    }
    None
}

/// Whether a job that is there certainly waits: nobody has had it, or cancelled it, or may have.
fn waits_at(book: &Book<'_>, job: &str, at_ms: u64) -> bool {
    let leased = book.of_job(job).next().is_some_and(|held| held.from_ms <= at_ms);
    let cancelled = book.cancelled(job).any(|index| book.operation(index).called_ms <= at_ms);
    let last = book.history.end.as_ref().and_then(|end| end.jobs.get(job));
    // One that died without a lease did so nobody knows when.
    let died = last.is_some_and(|last| last.state == State::Dead && last.attempt == 0);
    !leased && !cancelled && !died
}

/// Jobs that workers may have been given who never heard of it.
fn unheard_leases(book: &Book<'_>, at_ms: u64) -> u64 {
    let operations = book.history.operations.iter();
    let unheard = operations.filter(|one| one.is_unknown() && one.called_ms <= at_ms);
    unheard
        .map(|one| if let Request::Lease { max, .. } = one.request { u64::from(max) } else { 0 })
        .sum()
}

/// A failure and the retry that follows.
#[derive(Clone, Copy)]
struct Retry {
    operation: usize,
    failed_ms: u64,
    due_ms: u64,
}

/// Of the first retries of jobs that fail at once, not nearly all are due at once.
fn stampede(book: &Book<'_>) -> Option<Violation> {
    let within_ms = book.history.rules.retries_within_ms;
    let at_once_ms = within_ms / BURST_SHARE;
    let mut retries: Vec<Retry> = book
        .leases
        .iter()
        .filter(|held| held.given.failures == 0)
        .filter_map(|held| {
            book.words(held.job(), held.given.lease).find_map(|(index, operation, word)| {
                match (word, operation.outcome()) {
                    (
                        Word::Fail { .. },
                        Some(Outcome::Stands {
                            state: State::Retry,
                            until_ms,
                            at_ms: Some(failed_ms),
                            ..
                        }),
                    ) => {
                        let (failed_ms, due_ms) = (*failed_ms, *until_ms);
                        Some(Retry { operation: index, failed_ms, due_ms })
                    }
                    _ => None,
                }
            })
        })
        .collect();
    retries.sort_by_key(|retry| (retry.failed_ms, retry.operation));
    for (first, from) in retries.iter().enumerate() {
        let burst = &retries[first..];
        let burst =
            &burst[..burst.partition_point(|one| one.failed_ms <= from.failed_ms + at_once_ms)];
        if burst.len() < BURST_JOBS_MIN {
            continue;
        }
        let mut due: Vec<Retry> = burst.to_vec();
        due.sort_by_key(|retry| retry.due_ms);
        let most = due
            .iter()
            .enumerate()
            .map(|(index, from)| {
                let rest = &due[index..];
                &rest[..rest.partition_point(|one| one.due_ms <= from.due_ms + at_once_ms)]
            })
            .max_by_key(|at_once| at_once.len())
            .unwrap_or_default();
        if most.len() * 4 > burst.len() * 3 {
            return Some(violation(
                "whatever the workers call, just when it recovers",
                format!(
                    "retries of jobs that fail at once are spread over {within_ms} ms, at most three \
                     quarters of them within {at_once_ms} ms, but {} jobs failed within {} ms and the \
                     retries of {} are due within {} ms, at {} ms.",
                    burst.len(),
                    burst.last().map_or(0, |last| last.failed_ms - from.failed_ms),
                    most.len(),
                    most.last().map_or(0, |last| last.due_ms) - most[0].due_ms,
                    most[0].due_ms
                ),
                most.iter().map(|retry| retry.operation),
            ));
        }
    }
    None
}
