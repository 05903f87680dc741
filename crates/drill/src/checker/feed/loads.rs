//! I14: what many ask for at once is read once.

use super::{Book, FeedReport, violation};
use crate::{checker::Evidence, history::feed::Load};
use std::collections::BTreeMap;

pub(super) fn check(book: &Book<'_>, report: &mut FeedReport) {
    let mut last: BTreeMap<&str, &Load> = BTreeMap::new();
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
