//! Leases: one at a time, in the order of their fences, as long as they say, and then worth nothing.

use super::{
    book::{Book, Held},
    violation,
};
use crate::{
    checker::Violation,
    history::jobs::{Operation, Outcome, Request, Word, place_of},
};
use std::collections::BTreeMap;

pub(super) fn check(book: &Book<'_>) -> Vec<Violation> {
    let mut violations = one_at_a_time(book, |held| Some(("job", held.given.job.as_str())));
    violations.extend(one_at_a_time(book, |held| {
        Some(("ordering key", held.given.ordering_key.as_deref()?))
    }));
    violations.extend(slots(book));
    violations.extend(fences(book));
    for (index, operation) in book.history.operations.iter().enumerate() {
        violations.extend(word(book, index, operation));
    }
    violations
}

fn one_at_a_time<'b>(
    book: &'b Book<'_>,
    of: impl Fn(&'b Held<'b>) -> Option<(&'static str, &'b str)>,
) -> Vec<Violation> {
    let mut latest: BTreeMap<&str, &Held<'_>> = BTreeMap::new();
    let mut violations = Vec::new();
    for held in &book.leases {
        let Some((what, name)) = of(held) else { continue };
        if let Some(before) = latest.get(name)
            && before.is_live(held.from_ms)
            && held.is_live(held.from_ms)
        {
            violations.push(violation(
                format!("whoever relies on {what} {name} running once at a time"),
                format!(
                    "no two leases of one {what} are live at once, but worker {} had job {} until \
                     {} ms and worker {} was given job {} at {} ms.",
                    before.client,
                    before.given.job,
                    before.live_until_ms,
                    held.client,
                    held.given.job,
                    held.from_ms
                ),
                [before.operation, held.operation],
            ));
        }
        let lasts = latest.get(name).map_or(0, |before| before.live_until_ms);
        if held.live_until_ms >= lasts {
            latest.insert(name, held);
        }
    }
    violations
}

/// Slots of the concurrency limit are live leases.
fn slots(book: &Book<'_>) -> Option<Violation> {
    let limit = book.history.rules.concurrency_limit?;
    let mut live: BTreeMap<_, Vec<&Held<'_>>> = BTreeMap::new();
    book.leases.iter().find_map(|held| {
        let live = live.entry(place_of(held.job())).or_default();
        live.push(held);
        live.retain(|other| other.is_live(held.from_ms));
        (live.len() as u64 > limit).then(|| {
            violation(
                "whatever the queue's concurrency limit protects",
                format!(
                    "at most {limit} leases are live at once, but at {} ms {} were.",
                    held.from_ms,
                    live.len()
                ),
                live.iter().map(|held| held.operation),
            )
        })
    })
}

/// Later leases have higher fences, of one partition; and of one job, higher attempts.
fn fences(book: &Book<'_>) -> Option<Violation> {
    let mut highest: BTreeMap<u16, &Held<'_>> = BTreeMap::new();
    let mut attempts: BTreeMap<&str, &Held<'_>> = BTreeMap::new();
    for held in &book.leases {
        let lease = |held: &Held<'_>| held.given.lease;
        let before = highest.insert(place_of(held.job()), held);
        let before = before.filter(|before| lease(before).fence >= lease(held).fence);
        let attempt = attempts.insert(&held.given.job, held);
        let attempt = attempt.filter(|before| lease(before).attempt >= lease(held).attempt);
        if let Some(before) = before.or(attempt) {
            return Some(violation(
                "whoever is written to by workers and compares fences",
                format!(
                    "a later lease has a higher fence and a higher attempt, but {:?} at {} ms came \
                     after {:?}.",
                    lease(held),
                    held.from_ms,
                    lease(before)
                ),
                [before.operation, held.operation],
            ));
        }
    }
    None
}

fn word(book: &Book<'_>, index: usize, operation: &Operation) -> Option<Violation> {
    let Request::Word { job, lease, word } = &operation.request else { return None };
    let held = book.of_job(job).find(|held| held.given.lease == *lease)?;
    match operation.outcome()? {
        Outcome::Stands { at_ms: Some(at_ms), until_ms, .. } if matches!(word, Word::Extend { lease_ms } if *until_ms != at_ms + lease_ms) => {
            Some(violation(
                format!("worker {}", held.client),
                format!(
                    "an extension is as long as asked or refused, but {word:?} at {at_ms} ms was \
                     granted until {until_ms} ms."
                ),
                [held.operation, index],
            ))
        }
        Outcome::Stands { at_ms, .. } => {
            // Not sooner, if it is not said when.
            let at_ms = at_ms.unwrap_or(operation.called_ms);
            let why = over(book, held, (index, at_ms))?;
            if is_again(book, held, index, *word) {
                return None;
            }
            Some(violation(
                format!("whoever has job {job} now"),
                format!(
                    "a stale lease changes nothing, but at {at_ms} ms a word of it was taken: {why}."
                ),
                [held.operation, index],
            ))
        }
        Outcome::Stale { at_ms } if held.is_live(*at_ms) && !newer(book, held, at_ms + 1) => {
            Some(violation(
                format!("worker {}", held.client),
                format!(
                    "a lease lasts as long as it says, but at {at_ms} ms one was refused that was to \
                     last until {} ms.",
                    held.live_until_ms
                ),
                [held.operation, index],
            ))
        }
        _ => None,
    }
}

/// Why a lease was over before a moment, if it certainly was.
fn over(book: &Book<'_>, held: &Held<'_>, (word, at_ms): (usize, u64)) -> Option<String> {
    if newer(book, held, at_ms) {
        return Some("another worker had been given the job".into());
    }
    let before = at_ms.saturating_sub(1);
    if let Some(expired_ms) = book.expires_at_ms(held, before).filter(|expired| *expired <= at_ms) {
        return Some(format!("it had ended at {expired_ms} ms"));
    }
    let mut words = book.words(held.job(), held.given.lease);
    words.find_map(|(index, operation, other)| match operation.outcome() {
        Some(Outcome::Stands { at_ms: Some(ended_ms), .. })
            if index != word && other.ends() && *ended_ms < at_ms =>
        {
            Some(format!("its worker had said {other:?} at {ended_ms} ms"))
        }
        _ => None,
    })
}

/// Whether the job was given to somebody else since, before `at_ms`.
fn newer(book: &Book<'_>, held: &Held<'_>, at_ms: u64) -> bool {
    book.of_job(held.job()).any(|other| other.from_ms > held.from_ms && other.from_ms < at_ms)
}

/// A word that ends a lease may be said again, and is answered the same.
fn is_again(book: &Book<'_>, held: &Held<'_>, index: usize, word: Word) -> bool {
    let kind = std::mem::discriminant(&word);
    word.ends()
        && book.words(held.job(), held.given.lease).any(|(other, operation, said)| {
            other != index && std::mem::discriminant(&said) == kind && operation.may_have_happened()
        })
}
