//! Order and uniqueness: ordering keys, `after`, unique keys and idempotency keys.

use super::{
    book::{Book, Known},
    violation,
};
use crate::{
    checker::Violation,
    history::jobs::{Outcome, State},
};
use std::collections::BTreeMap;

pub(super) fn check(book: &Book<'_>) -> Vec<Violation> {
    let mut violations = ids(book);
    violations.extend(keys(book));
    violations.extend(ordering(book));
    violations.extend(after(book));
    violations.extend(unique(book));
    violations
}

/// Whoever is told that a job was taken in has one that is nobody else's.
fn ids(book: &Book<'_>) -> Vec<Violation> {
    let mut whose: BTreeMap<&str, (usize, Option<&str>)> = BTreeMap::new();
    let mut violations = Vec::new();
    for (index, operation) in book.history.operations.iter().enumerate() {
        let Some(Outcome::Enqueued { jobs, .. }) = operation.outcome() else { continue };
        let retry_key = operation.retry_key.as_deref();
        for taken in jobs.iter().filter(|taken| !taken.duplicate) {
            let Some((first, key)) = whose.insert(&taken.job, (index, retry_key)) else { continue };
            if retry_key.is_none() || retry_key != key {
                violations.push(violation(
                    format!("client {}", book.operation(first).client),
                    format!(
                        "no job is lost, but two requests were told that job {} was taken in for \
                         them, and one of them has none.",
                        taken.job
                    ),
                    [first, index],
                ));
            }
        }
    }
    violations
}

/// One key, one answer.
fn keys(book: &Book<'_>) -> Vec<Violation> {
    let mut told: BTreeMap<&str, (usize, Vec<&str>)> = BTreeMap::new();
    let mut violations = Vec::new();
    for (index, operation) in book.history.operations.iter().enumerate() {
        let (Some(key), Some(Outcome::Enqueued { jobs, .. })) =
            (&operation.retry_key, operation.outcome())
        else {
            continue;
        };
        let jobs: Vec<&str> = jobs.iter().map(|taken| taken.job.as_str()).collect();
        let (first, before) = told.entry(key).or_insert((index, jobs.clone()));
        if *before != jobs {
            let promise = format!(
                "a retry has no second effect, but key {key} was answered with {before:?} and with \
                 {jobs:?}."
            );
            let whom = format!("client {}", operation.client);
            violations
                .push(Violation { invariant: "I2", ..violation(whom, promise, [*first, index]) });
        }
    }
    violations
}

/// Whoever enqueued a job when it knew that another of the same key was there, sees that one end
/// first.
fn ordering(book: &Book<'_>) -> Vec<Violation> {
    let mut lines: BTreeMap<&str, Vec<(&str, &Known<'_>)>> = BTreeMap::new();
    for (job, known) in &book.jobs {
        if let Some(key) = &known.work.ordering_key {
            lines.entry(key).or_default().push((job, known));
        }
    }
    let mut violations = Vec::new();
    for (key, line) in lines {
        for (later, behind) in &line {
            let Some(start) = book.of_job(later).next() else { continue };
            for (job, before) in &line {
                if before.heard_ms >= behind.called_ms {
                    continue;
                }
                let Some(still) = book.of_job(job).find(|held| held.from_ms >= start.from_ms)
                else {
                    continue;
                };
                violations.push(violation(
                    format!("whoever relies on the order of key {key}"),
                    format!(
                        "jobs of an ordering key run in the order in which they were taken in, but \
                         job {later} began at {} ms and job {job}, which was there before it, at {} \
                         ms.",
                        start.from_ms, still.from_ms
                    ),
                    [before.operation, behind.operation, start.operation, still.operation],
                ));
            }
        }
    }
    violations
}

/// What a job waits for is done before it starts.
fn after(book: &Book<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (job, known) in &book.jobs {
        let Some(start) = book.of_job(job).next() else { continue };
        for cause in &known.work.after {
            let done = book.done_from_ms(cause);
            if done.is_some_and(|(_, at_ms)| at_ms <= start.from_ms) {
                continue;
            }
            // Leases that nobody was told of end without a word.
            violations.push(violation(
                format!("whoever enqueued job {job}"),
                format!(
                    "a job begins when those that it names are done, but it began at {} ms and job \
                     {cause} was not done by then.",
                    start.from_ms
                ),
                [known.operation, start.operation].into_iter().chain(done.map(|(index, _)| index)),
            ));
        }
    }
    violations
}

/// No two jobs of a unique key at once.
fn unique(book: &Book<'_>) -> Vec<Violation> {
    let mut latest: BTreeMap<(Option<&str>, &str), (&str, usize, u64)> = BTreeMap::new();
    let mut timed: Vec<(u64, &str, &Known<'_>)> = Vec::new();
    timed.extend(book.jobs.iter().filter_map(|(job, known)| Some((known.at_ms?, *job, known))));
    timed.sort_by_key(|(at_ms, job, _)| (*at_ms, *job));
    let mut violations = Vec::new();
    for (at_ms, job, known) in timed {
        let Some(unique) = &known.work.unique_key else { continue };
        let scope = (known.work.ordering_key.as_deref(), unique.as_str());
        let until_ms = unfinished_until_ms(book, job, known, at_ms);
        if let Some((before, operation, lasts_ms)) = latest.get(&scope)
            && at_ms < *lasts_ms
        {
            violations.push(violation(
                format!("whoever relies on unique key {unique}"),
                format!(
                    "no two jobs of a unique key are there at once, but job {job} was taken in at \
                     {at_ms} ms, when job {before} was not over."
                ),
                [*operation, known.operation],
            ));
        }
        if latest.get(&scope).is_none_or(|(_, _, lasts_ms)| *lasts_ms < until_ms) {
            latest.insert(scope, (job, known.operation, until_ms));
        }
    }
    violations
}

/// Until when a job was certainly not over.
fn unfinished_until_ms(book: &Book<'_>, job: &str, known: &Known<'_>, at_ms: u64) -> u64 {
    let last = book.history.end.as_ref().and_then(|end| end.jobs.get(job));
    let Some(last) = last else { return at_ms };
    let cancelled = || book.cancelled(job).map(|index| book.operation(index).called_ms).min();
    match last.state {
        State::Done => book.done_from_ms(job).map_or(at_ms, |(_, at_ms)| at_ms),
        State::Cancelled => cancelled().unwrap_or(at_ms),
        // When it died nobody says; not before its first attempt, unless it was never tried.
        State::Dead if known.work.after.is_empty() && known.work.ordering_key.is_none() => {
            book.of_job(job).next().map_or(at_ms, |held| held.from_ms)
        }
        State::Dead => at_ms,
        _ => u64::MAX,
    }
}
