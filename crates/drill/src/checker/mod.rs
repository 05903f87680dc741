//! Judges what clients saw: were the promises kept?
//!
//! - [`check_answers`]: every resource's answers are linearizable against a sequential model
//!   ([`linear`] is the search, for any model).
//! - [`check_keys`]: a key has one answer (I2).
//! - [`check_observed`]: the event streams, the holds at the end and what subscribers were sent
//!   keep I1–I4 and I7.
//! - [`check`]: all of them, which is what there is for reservations.
//! - [`check_limits`]: limits admitted no more than they say (I8), which has a history of its own.
//! - [`check_jobs`]: no job is lost, and leases are one at a time (I9), which has one too.
//! - [`check_chat`]: conversations have one order (I6) and readers miss nothing (I7), which has one too.
//! - [`check_feed`]: timelines are what asking every author would give (I13), which has one too.
//!
//! A [`Violation`] says which promise broke, for whom, and shows the few operations and events
//! that prove it. A check that spends its budget says so: undecided is not valid.
//!
//! It runs nothing and injects nothing; it reads a [`History`] that somebody recorded.

mod answers;
mod chat;
mod feed;
mod invariants;
mod jobs;
mod limits;
pub mod linear;
mod observed;
mod prepare;
mod reservations;
mod resource;
mod subscriptions;
mod violation;

pub use answers::{Answers, STEPS_MAX_DEFAULT, check_answers};
pub use chat::{ChatReport, check_chat};
pub use feed::{FeedReport, check_feed};
pub use invariants::{check_keys, check_observed};
pub use jobs::{Duplicates, JobsReport, check_jobs};
pub use limits::{LimitReport, Measured, check_limits};
pub use observed::{
    Change, Delivery, Event, FinalHold, FinalState, Happened, Observed, Subscription,
};
pub use violation::{Evidence, Violation};

use crate::history::History;

/// What all checks together found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Promises that were broken.
    pub violations: Vec<Violation>,
    /// Resources whose answers could not be judged within the budget.
    pub undecided: Vec<String>,
}

impl Report {
    /// Whether everything was judged and nothing was broken.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.violations.is_empty() && self.undecided.is_empty()
    }
}

/// Judges a history and, if there is any, what was observed beside it. Each resource may take
/// `steps_max` steps of the model.
#[must_use]
pub fn check(history: &History, observed: Option<&Observed>, steps_max: usize) -> Report {
    let Answers { mut violations, undecided } = check_answers(history, steps_max);
    violations.extend(check_keys(history));
    if let Some(observed) = observed {
        violations.extend(check_observed(history, observed));
    }
    Report { violations, undecided }
}
