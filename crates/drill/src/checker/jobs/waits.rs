//! Workers that wait: nobody is told that there is nothing while a job is ready that it could have
//! had.
//!
//! When a job is ready and until when is bounded from what was told: it is from when whoever made it
//! so heard of that, until the next lease that somebody was given or may have been. A job that becomes
//! so by time, by the end of a delay or of a lease, is due when it was said to be.

use super::{
    book::{Book, Held, Known},
    violation,
};
use crate::{
    checker::Violation,
    history::jobs::{Outcome, Request, State, Word},
};

/// How long a job may be ready, beside a worker that waits, before it is somebody's.
const MOMENT_MS: u64 = 1_000;

/// A stretch of time in which a job was certainly ready.
struct Ready<'h> {
    job: &'h str,
    from_ms: u64,
    until_ms: u64,
    /// The operation that made it so, or after which it was.
    since: usize,
}

/// Answers how many polls that found nothing waited for so long that they were judged.
pub(super) fn check(book: &Book<'_>) -> (Vec<Violation>, u64) {
    // What holds a job up is the limit, then.
    if book.history.rules.concurrency_limit.is_some() {
        return (Vec::new(), 0);
    }
    let ready = ready(book);
    let (mut violations, mut judged) = (Vec::new(), 0);
    for (index, operation) in book.history.operations.iter().enumerate() {
        let Request::Lease { wait_ms, .. } = operation.request else { continue };
        let Some((heard_ms, Outcome::Leased { jobs })) = &operation.returned else { continue };
        if !jobs.is_empty() || wait_ms < MOMENT_MS {
            continue;
        }
        judged += 1;
        // Not later than the answer was sent, unless nobody listened.
        let ended_ms = operation.called_ms.saturating_add(wait_ms).min(*heard_ms);
        let beside = |ready: &&Ready<'_>| {
            let (from_ms, until_ms) =
                (ready.from_ms.max(operation.called_ms), ready.until_ms.min(ended_ms));
            until_ms.saturating_sub(from_ms) >= MOMENT_MS
        };
        violations.extend(ready.iter().find(beside).map(|ready| {
            violation(
                format!("worker {}", operation.client),
                format!(
                    "a worker that waits is given a job when there is one, but one waited until {} ms \
                     and was given none, when job {} was ready from {} ms on.",
                    ended_ms, ready.job, ready.from_ms
                ),
                [ready.since, index],
            )
        }));
    }
    (violations, judged)
}

fn ready<'h>(book: &Book<'h>) -> Vec<Ready<'h>> {
    let mut ready = Vec::new();
    let leases: Vec<(u64, u64)> = perhaps_leased(book);
    for (job, known) in &book.jobs {
        let cancelled = book.cancelled(job).map(|index| book.operation(index).called_ms).min();
        let mut since = at_first(book, job, known);
        for held in book.of_job(job).map(Some).chain([None]) {
            let until_ms = held.map_or(u64::MAX, |held| held.from_ms);
            let until_ms = until_ms.min(cancelled.unwrap_or(u64::MAX));
            if let Some((since, from_ms)) = since
                && let Some(until_ms) = undisturbed(&leases, from_ms, until_ms)
            {
                ready.push(Ready { job, from_ms, until_ms, since });
            }
            since = held.and_then(|held| again(book, held));
        }
    }
    ready
}

/// Leases that nobody heard of: from when on, and until when they were given.
fn perhaps_leased(book: &Book<'_>) -> Vec<(u64, u64)> {
    let unheard = book.history.operations.iter().filter(|operation| {
        matches!(operation.request, Request::Lease { .. }) && operation.is_unknown()
    });
    let until = |returned: Option<&(u64, Outcome)>| returned.map_or(u64::MAX, |(at_ms, _)| *at_ms);
    unheard.map(|operation| (operation.called_ms, until(operation.returned.as_ref()))).collect()
}

/// Until when nobody can have been given the job who did not hear of it, if it begins so.
fn undisturbed(leases: &[(u64, u64)], from_ms: u64, until_ms: u64) -> Option<u64> {
    let meanwhile = leases.iter().filter(|(_, given_ms)| *given_ms >= from_ms);
    let until_ms = meanwhile.map(|(called_ms, _)| *called_ms).fold(until_ms, u64::min);
    (from_ms < until_ms).then_some(until_ms)
}

/// Since when a job is ready that nobody has had.
fn at_first(book: &Book<'_>, job: &str, known: &Known<'_>) -> Option<(usize, u64)> {
    let due_ms = known.heard_ms.saturating_add(known.work.delay_ms);
    let turn = match &known.work.ordering_key {
        None => (known.operation, 0),
        Some(key) => has_turn(book, job, known, key)?,
    };
    let since = if turn.1 > due_ms { turn } else { (known.operation, due_ms) };
    known.work.after.is_empty().then_some(since)
}

/// Since when a job is the head of its line, if those that may be before it are known to be over.
fn has_turn(book: &Book<'_>, job: &str, known: &Known<'_>, key: &str) -> Option<(usize, u64)> {
    let mut turn = (known.operation, known.heard_ms);
    for (other, before) in &book.jobs {
        let in_line = before.work.ordering_key.as_deref() == Some(key);
        if !in_line || *other == job || before.called_ms > known.heard_ms {
            continue;
        }
        let words = book.of_job(other).flat_map(|held| book.words(held.job(), held.given.lease));
        let done = words.filter_map(|(index, operation, word)| match &operation.returned {
            Some((heard_ms, Outcome::Stands { state: State::Done, .. }))
                if word == Word::Complete =>
            {
                Some((index, *heard_ms))
            }
            _ => None,
        });
        let done = done.min_by_key(|(_, heard_ms)| *heard_ms)?;
        if done.1 > turn.1 {
            turn = done;
        }
    }
    Some(turn)
}

/// Since when a job is ready whose lease has ended, if it was said when it is due.
fn again(book: &Book<'_>, held: &Held<'_>) -> Option<(usize, u64)> {
    let words: Vec<_> = book.words(held.job(), held.given.lease).collect();
    for (index, operation, word) in &words {
        let Some((heard_ms, outcome)) = &operation.returned else { return None };
        match outcome {
            Outcome::Stands { state, until_ms, .. } if word.ends() => {
                let due_ms = match state {
                    State::Retry | State::Scheduled => *until_ms,
                    State::Ready => 0,
                    _ => return None,
                };
                return Some((*index, due_ms.max(*heard_ms)));
            }
            // Nobody knows when that one ended.
            Outcome::Unknown | Outcome::Stands { at_ms: None, .. } => return None,
            _ => {}
        }
    }
    // It ended without a word, and the first time a job is ready at once.
    let first = held.given.crashes == 0 && book.history.rules.max_crashes > 1;
    first.then_some((held.operation, held.live_until_ms))
}
