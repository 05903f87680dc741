//! Once quiet, a timeline is what asking every author would give (I13), both sides of a follow agree, and
//! nobody follows across a block. A post is there once (I2), and what is acknowledged is so (I1). A timeline
//! that is read in a session has all that the session has seen (I10), and everything older than it says (I11).
//! What comes to a timeline comes once, and all of it (I12). What many ask for at once is read once (I14).
//!
//! It is judged from what users were told, what subscribers were sent, and what is there in the end.

mod arrivals;
mod bonds;
mod book;
mod changes;
mod loads;
mod people;
mod posts;
mod reactions;
mod reads;
mod timelines;

use super::{Evidence, Violation};
use crate::history::feed::FeedHistory;
use book::Book;
use serde::Serialize;

/// What a history says about feeds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FeedReport {
    /// Promises that were broken.
    pub violations: Vec<Violation>,
    /// Posts that are there in the end.
    pub posts: u64,
    /// Items of timelines that were compared in the end.
    pub compared: u64,
    /// Pages of timelines that were read before.
    pub pages: u64,
    /// Posts of others that had to be in those, as old as they were.
    pub due: u64,
    /// Of those, posts with reactions that had to be counted.
    pub counted: u64,
    /// Times that a node read a timeline to keep it.
    pub loads: u64,
    /// Arrivals that subscribers were sent.
    pub delivered: u64,
    /// Arrivals that they had to be sent.
    pub expected: u64,
}

/// Judges the history of feeds.
#[must_use]
pub fn check_feed(history: &FeedHistory) -> FeedReport {
    let book = Book::of(history);
    let mut report = FeedReport::default();
    posts::check(&book, &mut report);
    reactions::check(&book, &mut report);
    people::check(&book, &mut report);
    timelines::check(&book, &mut report);
    reads::check(&book, &mut report);
    arrivals::check(&book, &mut report);
    loads::check(&book, &mut report);
    report
}

fn violation(
    invariant: &'static str,
    whom: impl Into<String>,
    promise: String,
    events: impl IntoIterator<Item = Evidence>,
) -> Violation {
    let events: std::collections::BTreeSet<Evidence> = events.into_iter().collect();
    Violation { invariant, promise, whom: whom.into(), events: events.into_iter().collect() }
}
