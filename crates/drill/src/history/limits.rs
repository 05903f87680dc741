//! What clients asked of limits and what they were told, for [`check_limits`](crate::checker::check_limits).
//!
//! Times are milliseconds of one clock, the clients'. Record times that answers carry must be of a
//! clock that goes at the same rate; where a history has repeats of keyed checks, of the same clock.

use serde::Serialize;
use std::collections::BTreeMap;

/// What a limit says, as its users read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// How it counts.
    pub counts: Counts,
    /// Units a period.
    pub quantity: u64,
    /// The period.
    pub period_ms: u64,
    /// Of a leased limit: so many units, at most, may be admitted beyond the policy. None of an exact one.
    pub beyond: Option<u64>,
}

/// How a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Counts {
    /// Evenly, and so many units at once.
    Gcra {
        /// `burst` and the first.
        at_once: u64,
    },
    /// In any period, whenever it begins.
    SlidingWindow,
}

impl Rule {
    /// What the policy admits, at most, from one moment to another so much later, both included.
    #[must_use]
    pub fn most(&self, stretch_ms: u64) -> u64 {
        let (quantity, period_ms) = (u128::from(self.quantity), u128::from(self.period_ms.max(1)));
        let stretch_ms = u128::from(stretch_ms);
        let most = match self.counts {
            Counts::Gcra { at_once } => u128::from(at_once) + stretch_ms * quantity / period_ms,
            Counts::SlidingWindow => (stretch_ms / period_ms + 1) * quantity,
        };
        u64::try_from(most).unwrap_or(u64::MAX)
    }
}

/// What was asked about a subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// May so many units pass?
    Check {
        /// How many.
        units: u64,
    },
    /// Give back what a check counted, which was answered `counted_at_ms`.
    Refund {
        /// The operation that was admitted.
        of: usize,
        /// What it cost.
        units: u64,
        /// By its answer.
        counted_at_ms: u64,
    },
}

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The units may pass.
    Admitted {
        /// When they were counted, in record time; not told by a stored answer.
        counted_at_ms: Option<u64>,
    },
    /// They may not.
    Refused,
    /// They were given back, as far as they had not come back already.
    GivenBack,
    /// No effect.
    TurnedAway(String),
    /// It may or may not have happened.
    Unknown,
}

/// One attempt of a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Operation {
    /// Who.
    pub client: u64,
    /// Of which limit.
    pub limit: String,
    /// Of which key.
    pub key: String,
    /// The idempotency key.
    pub retry_key: Option<String>,
    /// What.
    pub request: Request,
    /// When it was sent.
    pub called_ms: u64,
    /// When an answer came, and which. None: it was still awaited in the end.
    pub returned: Option<(u64, Outcome)>,
}

impl Operation {
    /// Whether it may have had an effect.
    #[must_use]
    pub fn may_have_happened(&self) -> bool {
        !matches!(self.returned, Some((_, Outcome::TurnedAway(_) | Outcome::Refused)))
    }
}

/// What all clients asked and were told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LimitHistory {
    /// Limits by name.
    pub rules: BTreeMap<String, Rule>,
    /// In the order of calls.
    pub operations: Vec<Operation>,
}

impl LimitHistory {
    /// Nothing yet.
    #[must_use]
    pub fn new(rules: impl IntoIterator<Item = (String, Rule)>) -> Self {
        Self { rules: rules.into_iter().collect(), operations: Vec::new() }
    }

    /// Somebody asks; answers the operation's index.
    pub fn call(&mut self, operation: Operation) -> usize {
        self.operations.push(operation);
        self.operations.len() - 1
    }

    /// It is answered.
    pub fn returns(&mut self, operation: usize, at_ms: u64, outcome: Outcome) {
        self.operations[operation].returned = Some((at_ms, outcome));
    }
}
