//! Effects downstream: delivery repeats, effects do not, and a repeat has a reason.

use super::{
    book::{Book, Held},
    violation,
};
use crate::{
    checker::Violation,
    history::jobs::{Kind, Lease, Operation, Outcome, Request, State, Word},
};
use serde::Serialize;
use std::collections::BTreeMap;

/// Effects that were attempted more than once, by why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Duplicates {
    /// Effects that were attempted.
    pub attempts: u64,
    /// Of them, by a second or later lease of a job.
    pub repeated: u64,
    /// A worker before died.
    pub crashed: u64,
    /// A worker before outlived its lease.
    pub expired: u64,
    /// A worker before did not hear what became of its word.
    pub unknown: u64,
    /// A worker before said that it failed, or put the job off, after its effect.
    pub asked: u64,
}

struct Effect<'h> {
    index: usize,
    operation: &'h Operation,
    lease: Lease,
    kind: Kind,
    row: &'h str,
}

pub(super) fn check(book: &Book<'_>) -> (Vec<Violation>, Duplicates) {
    let mut of_job: BTreeMap<&str, Vec<Effect<'_>>> = BTreeMap::new();
    let mut of_row: BTreeMap<&str, (usize, Lease)> = BTreeMap::new();
    let mut violations = Vec::new();
    for (index, operation) in book.history.operations.iter().enumerate() {
        let Request::Effect { job, lease, kind, row } = &operation.request else { continue };
        let effect = Effect { index, operation, lease: *lease, kind: *kind, row };
        violations.extend(overwritten(&mut of_row, &effect));
        of_job.entry(job).or_default().push(effect);
    }
    let mut duplicates = Duplicates::default();
    for (job, effects) in &of_job {
        violations.extend(twice(job, effects));
        for (place, effect) in effects.iter().enumerate() {
            duplicates.attempts += 1;
            let before = effects[..place].iter().rev().find(|other| other.lease != effect.lease);
            if let Some(before) = before {
                duplicates.repeated += 1;
                violations.extend(explain(book, job, (before, effect), &mut duplicates));
            }
        }
    }
    violations.extend(lost(book, &of_job));
    (violations, duplicates)
}

/// A row is never overwritten by an older lease.
fn overwritten<'h>(
    rows: &mut BTreeMap<&'h str, (usize, Lease)>,
    effect: &Effect<'h>,
) -> Option<Violation> {
    let applied = matches!(effect.operation.outcome(), Some(Outcome::Applied));
    if effect.kind != Kind::Put || !applied {
        return None;
    }
    let (before, newest) = rows.insert(effect.row, (effect.index, effect.lease))?;
    (effect.lease.fence < newest.fence).then(|| {
        let row = effect.row;
        violation(
            format!("whoever reads row {row} downstream"),
            format!(
                "a stale lease changes nothing, but row {row} was written with fence {} and then \
                 overwritten by a worker whose lease has fence {}.",
                newest.fence, effect.lease.fence
            ),
            [before, effect.index],
        )
    })
}

/// Whoever is charged is charged once.
fn twice(job: &str, effects: &[Effect<'_>]) -> Option<Violation> {
    let applied = |effect: &&Effect<'_>| {
        effect.kind == Kind::Charge && matches!(effect.operation.outcome(), Some(Outcome::Applied))
    };
    let applied: Vec<usize> = effects.iter().filter(applied).map(|effect| effect.index).collect();
    (applied.len() > 1).then(|| {
        violation(
            format!("whoever pays for job {job}"),
            format!(
                "delivery repeats, effects do not, but its effect happened {} times.",
                applied.len()
            ),
            applied,
        )
    })
}

/// A job that is done has had its effect.
fn lost(book: &Book<'_>, of_job: &BTreeMap<&str, Vec<Effect<'_>>>) -> Vec<Violation> {
    let end = book.history.end.as_ref();
    let done = |job: &&str| {
        end.and_then(|end| end.jobs.get(*job)).is_some_and(|last| last.state == State::Done)
    };
    let mut violations = Vec::new();
    for job in book.jobs.keys().filter(|job| done(job)) {
        let happened = |effect: &Effect<'_>| effect.operation.may_have_happened();
        if of_job.get(job).is_some_and(|effects| effects.iter().any(happened)) {
            continue;
        }
        let Some((index, _)) = book.done_from_ms(job) else { continue };
        let leases = book.of_job(job).map(|held| held.operation);
        let client = book.operation(index).client;
        let deaths = book.history.operations.iter().enumerate().filter(|(at, operation)| {
            *at > index && operation.client == client && operation.request == Request::Dies
        });
        let death = deaths.map(|(at, _)| at).next();
        violations.push(violation(
            format!("whoever enqueued job {job}"),
            "no job is lost, but it was completed and what it was for never happened.".into(),
            leases.chain([index]).chain(death),
        ));
    }
    violations
}

/// Says why an effect was attempted again after that of another lease, or that there is no reason.
fn explain(
    book: &Book<'_>,
    job: &str,
    (before, after): (&Effect<'_>, &Effect<'_>),
    duplicates: &mut Duplicates,
) -> Option<Violation> {
    let find = |lease: Lease| book.of_job(job).find(|held| held.given.lease == lease);
    let (one, other) = (find(before.lease)?, find(after.lease)?);
    // A worker that was late acts after one that was given the job since.
    let (older, newer) = if one.from_ms <= other.from_ms { (one, other) } else { (other, one) };
    let mut words = book.words(older.job(), older.given.lease);
    let ending = words.find(|(_, operation, word)| word.ends() && operation.may_have_happened());
    let expired = older.live_until_ms <= newer.from_ms;
    match ending {
        Some((_, operation, _)) if operation.is_unknown() => duplicates.unknown += 1,
        Some((_, _, Word::Fail { .. } | Word::Snooze { .. })) => duplicates.asked += 1,
        None if expired && died(book, older) => duplicates.crashed += 1,
        None if expired => duplicates.expired += 1,
        _ => {
            let promise = format!(
                "a job is given again only after a crash, an expired lease or an unknown outcome, but \
                 workers {} and {} both did what it is for, and there was none.",
                older.client, newer.client
            );
            let events = [older.operation, newer.operation, before.index, after.index];
            return Some(violation(format!("whoever job {job} is for"), promise, events));
        }
    }
    None
}

fn died(book: &Book<'_>, held: &Held<'_>) -> bool {
    book.history.operations.iter().any(|operation| {
        operation.request == Request::Dies
            && operation.client == held.client
            && operation.called_ms >= held.from_ms
            && operation.called_ms <= held.live_until_ms
    })
}
