//! No job is lost, no two leases of one job or ordering key are live at once, and a stale lease
//! changes nothing (I9); and what a queue says of order, uniqueness, budgets, bounds and waiting is so.
//!
//! It is judged from what clients and workers were told, what they did downstream, and what a query
//! finds in the end. Nothing is held against the queue that may have been otherwise: a word whose
//! answer nobody heard may have ended its lease as soon as it was sent, or never. So what is found
//! is certain, and something may be overlooked.

mod book;
mod bounds;
mod effects;
mod ends;
mod leases;
mod order;
mod waits;

use super::{Evidence, Violation};
use crate::history::jobs::JobHistory;
use book::Book;
pub use effects::Duplicates;
use serde::Serialize;
use std::collections::BTreeSet;

/// What a history says about a queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct JobsReport {
    /// Promises that were broken.
    pub violations: Vec<Violation>,
    /// Jobs that clients know of.
    pub jobs: u64,
    /// Leases that workers know of.
    pub leases: u64,
    /// Effects that were attempted more than once.
    pub duplicates: Duplicates,
    /// Workers that waited for long, were given nothing, and so were asked whether they should have.
    pub waits: u64,
}

/// Judges the history of a queue.
#[must_use]
pub fn check_jobs(history: &JobHistory) -> JobsReport {
    let book = Book::new(history);
    let mut violations = leases::check(&book);
    violations.extend(order::check(&book));
    violations.extend(ends::check(&book));
    violations.extend(bounds::check(&book));
    let (wrong, duplicates) = effects::check(&book);
    violations.extend(wrong);
    let (wrong, waits) = waits::check(&book);
    violations.extend(wrong);
    let (jobs, leases) = (book.jobs.len() as u64, book.leases.len() as u64);
    JobsReport { violations, jobs, leases, duplicates, waits }
}

fn violation(
    whom: impl Into<String>,
    promise: String,
    events: impl IntoIterator<Item = usize>,
) -> Violation {
    let events: BTreeSet<usize> = events.into_iter().collect();
    let events = events.into_iter().map(Evidence::Operation).collect();
    Violation { invariant: "I9", promise, whom: whom.into(), events }
}
