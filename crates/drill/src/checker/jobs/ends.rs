//! How jobs end: none is lost, none goes back, each end has a reason, and each lease that a job had
//! is accounted for.

use super::{book::Book, violation};
use crate::{
    checker::Violation,
    history::jobs::{End, Head, Last, Outcome, Request, State, Word},
};

pub(super) fn check(book: &Book<'_>) -> Vec<Violation> {
    let Some(end) = &book.history.end else { return Vec::new() };
    let mut violations = Vec::new();
    for (job, known) in &book.jobs {
        match end.jobs.get(*job) {
            Some(last) => {
                let whom = || format!("whoever enqueued job {job}");
                let events = || [known.operation].into_iter().chain(said(book, job));
                let wrong = went_back(book, job, last)
                    .or_else(|| unexplained(book, end, job, last))
                    .or_else(|| unaccounted(book, job, last))
                    .or_else(|| stuck(book, end, job, last));
                violations.extend(wrong.map(|promise| violation(whom(), promise, events())));
            }
            None => violations.push(violation(
                format!("client {}", book.operation(known.operation).client),
                format!(
                    "no job is lost, but job {job} was taken in and in the end nobody knew it."
                ),
                [known.operation].into_iter().chain(said(book, job)),
            )),
        }
    }
    violations
}

/// All that was said and done about a job.
fn said<'b>(book: &'b Book<'_>, job: &'b str) -> impl Iterator<Item = usize> + 'b {
    let words = book.of_job(job).flat_map(|held| {
        let words = book.words(held.job(), held.given.lease);
        std::iter::once(held.operation).chain(words.map(|(index, _, _)| index))
    });
    words.chain(book.cancelled(job))
}

/// What was over stays over.
fn went_back(book: &Book<'_>, job: &str, last: &Last) -> Option<String> {
    let told = said(book, job).find_map(|index| match book.operation(index).outcome() {
        Some(Outcome::Stands { state, .. })
            if matches!(state, State::Done | State::Cancelled | State::Dead) =>
        {
            // A dead letter can still be cancelled.
            let cancelled = *state == State::Dead && last.state == State::Cancelled;
            (*state != last.state && !cancelled).then_some(*state)
        }
        _ => None,
    })?;
    let state = last.state;
    Some(format!("a job that is over stays so, but it was {told} and in the end {state}."))
}

/// Somebody or something made it end as it did.
fn unexplained(book: &Book<'_>, end: &End, job: &str, last: &Last) -> Option<String> {
    let rules = &book.history.rules;
    let work = book.jobs.get(job)?.work;
    let explained = match last.state {
        State::Done => book.done_from_ms(job).is_some(),
        State::Cancelled => book.cancelled(job).next().is_some(),
        State::Dead => {
            let given_up = said(book, job).any(|index| {
                let operation = book.operation(index);
                let word = matches!(
                    operation.request,
                    Request::Word { word: Word::Fail { retry: false }, .. }
                );
                word && operation.may_have_happened()
            });
            let cause = |cause: &String| book.cancelled(cause).next().is_some();
            let condemned = rules.head == Head::DeadLetter
                && end.jobs.iter().any(|(other, dead)| {
                    other != job
                        && dead.state == State::Dead
                        && last.ordering_key.is_some()
                        && dead.ordering_key == last.ordering_key
                });
            given_up
                || last.failures >= rules.max_attempts
                || last.crashes >= rules.max_crashes
                || work.after.iter().any(cause)
                || condemned
        }
        _ => true,
    };
    if !explained {
        let Last { state, failures, crashes, .. } = last;
        return Some(format!(
            "a job ends by a word or by its budgets, but it is {state} with {failures} failures and \
             {crashes} crashes, and nobody said so."
        ));
    }
    let over = last.failures > rules.max_attempts || last.crashes > rules.max_crashes;
    over.then(|| {
        format!(
            "a job has at most {} failures and {} crashes, but it had {} and {}.",
            rules.max_attempts, rules.max_crashes, last.failures, last.crashes
        )
    })
}

/// Each lease of a job ended in just one way.
fn unaccounted(book: &Book<'_>, job: &str, last: &Last) -> Option<String> {
    let (mut snoozed, mut perhaps) = (0_u32, 0_u32);
    let mut told = 0;
    for held in book.of_job(job) {
        told += 1;
        // However often it is said, a lease is put off once.
        let words: Vec<_> = book
            .words(held.job(), held.given.lease)
            .filter(|(_, operation, word)| {
                matches!(word, Word::Snooze { .. }) && operation.may_have_happened()
            })
            .collect();
        if words.iter().any(|(_, operation, _)| !operation.is_unknown()) {
            snoozed += 1;
        } else {
            perhaps += u32::from(!words.is_empty());
        }
    }
    let live = u32::from(matches!(last.state, State::Done | State::Leased));
    let ended = last.failures + last.crashes + snoozed + live;
    let least = ended;
    let most = ended + perhaps;
    // One that was cancelled while a worker had it has ended as that said.
    let fits = (least..=most).contains(&last.attempt) && told <= last.attempt;
    (!fits).then(|| {
        format!(
            "each lease of a job ends in one way, but it had {} ({told} of them heard of), of which {} \
             failed, {} crashed, {snoozed} were put off{}.",
            last.attempt,
            last.failures,
            last.crashes,
            if live > 0 { " and one was the last" } else { "" }
        )
    })
}

/// Workers asked for work until there was none: what is left has something in its way.
fn stuck(book: &Book<'_>, end: &End, job: &str, last: &Last) -> Option<String> {
    if !end.drained || matches!(last.state, State::Done | State::Dead | State::Cancelled) {
        return None;
    }
    let waits = |of: &Last| {
        of.after.iter().any(|job| end.jobs.get(job).is_none_or(|last| last.state != State::Done))
    };
    // Of its ordering key: a dead head, or one that waits for what will not be.
    let blocks = |other: &Last| match other.state {
        State::Dead => book.history.rules.head == Head::Block,
        State::Waiting => waits(other),
        _ => false,
    };
    let blocked = end.jobs.iter().any(|(other, other_last)| {
        other != job
            && last.ordering_key.is_some()
            && other_last.ordering_key == last.ordering_key
            && blocks(other_last)
    });
    let explained = last.state == State::Waiting && (blocked || waits(last));
    let state = last.state;
    (!explained).then(|| {
        format!(
            "a job that can run does, but in the end it was {state}, though workers had nothing \
             else to do and nothing was in its way."
        )
    })
}
