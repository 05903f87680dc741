//! I14: what many ask for at once is read once, and everybody is answered in time.

use super::{Book, FeedReport, violation};
use crate::{
    checker::{Evidence, Violation},
    history::feed::Load,
};
use std::collections::BTreeMap;

pub(super) fn check(book: &Book<'_>, report: &mut FeedReport) {
    let mut last: BTreeMap<&str, &Load> = BTreeMap::new();
    report.violations.extend(waits(book));
    for load in &book.history.loads {
        report.loads += 1;
        let before = last.insert(&load.of, load);
        // What never ended went with its process.
        let Some(before) = before else { continue };
        if before.ended_ms.is_none_or(|ended_ms| ended_ms <= load.began_ms) {
            continue;
        }
        let promise = format!(
            "what many ask for at once is read once, but the timeline of {} was read from {} ms on for one, \
             and from {} ms on for another.",
            load.of, before.began_ms, load.began_ms
        );
        let proof = [before, load].map(|load| Evidence::Operation(load.operation));
        let whom = "everybody who waits for the store";
        report.violations.push(violation("I14", whom, promise, proof));
    }
}

/// Who waited for an answer for longer than they may, whatever it was.
fn waits(book: &Book<'_>) -> Option<Violation> {
    let within_ms = book.history.answers_within_ms?;
    let waits = book.history.operations.iter().enumerate().filter_map(|(index, operation)| {
        let (returned_ms, _) = operation.returned.as_ref()?;
        Some((returned_ms.saturating_sub(operation.called_ms), index))
    });
    let (longest_ms, index) = waits.max().filter(|(longest_ms, _)| *longest_ms > within_ms)?;
    let user = book.history.operations[index].user.as_str();
    let promise = format!(
        "what is asked is answered within {within_ms} ms, but somebody waited for {longest_ms} ms."
    );
    Some(violation("I14", user, promise, [Evidence::Operation(index)]))
}
