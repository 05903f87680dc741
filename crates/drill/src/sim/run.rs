//! A run: what is switched off for it, and what it left behind.

use super::{
    judge, limits,
    plan::{Plan, Product},
    world,
};
use crate::history::{History, limits::LimitHistory};
use evenkeel_engine::Switches;

/// What is switched off for a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is one named, independent breakage")]
pub struct Broken {
    /// In the engine.
    pub engine: Switches,
    /// The log appends without looking at its tail.
    pub no_tail_check: bool,
    /// The disk says "synced" and is not.
    pub no_fsync: bool,
    /// Time is what the node's wall clock says.
    pub wall_clock: bool,
    /// A process that starts forgets what limits have counted.
    pub window_reset: bool,
    /// Edges take and keep more tokens of leased limits than they may.
    pub unbounded_lease: bool,
    /// Refunds are passed on without their idempotency key.
    pub refund_twice: bool,
}

/// What clients did and heard.
pub enum Told {
    /// About resources.
    Reservations(History),
    /// About limits.
    Limits(LimitHistory),
}

impl Told {
    /// Requests.
    #[must_use]
    pub fn operations(&self) -> usize {
        match self {
            Self::Reservations(history) => history.operations.len(),
            Self::Limits(history) => history.operations.len(),
        }
    }
}

/// What a run left behind.
pub struct Run {
    /// What clients did and heard.
    pub told: Told,
    /// What else was seen, and what is wrong.
    pub verdict: judge::Verdict,
    /// A hash over the log's bytes and the history: the same seed gives the same.
    pub fingerprint: evenkeel_log::Hash,
    /// What happened, in words, for a counterexample.
    pub trace: Vec<String>,
}

/// Runs `plan`.
#[must_use]
pub fn run(plan: &Plan, broken: Broken) -> Run {
    match plan.product {
        Product::Reservations => world::run(plan, broken),
        Product::Limits => limits::run(plan, broken),
    }
}
