//! Tokens that an edge takes of a subject, to admit from without asking.
//!
//! The owner counts tokens when it gives them out, the edge admits from them later. So a period may
//! hold, beyond what the policy says, what an edge had left when the period began: at most
//! [`Policy::lease_tokens`] for each edge. That is the whole over-admission, whatever crashes: tokens
//! that are lost with an edge were counted and admit nothing. Tokens that nobody wants in a period
//! lapse, so that a subject may admit less, by as much.
//!
//! An edge that was refused refuses by itself for a while, at most [`REFUSED_MS_MAX`].
//!
//! No clock, no waiting: who drives this asks the owner, one request at a time.

use super::{CheckResult, Policy, policy::NS_A_MS};
use evenkeel_engine::Time;

/// A subject's capacity is given out in at least so many leases.
pub const LEASES_MIN: u64 = 16;
/// How long an edge refuses without asking again. What was reset or refunded elsewhere, or raised by
/// another policy, is seen so late.
pub const REFUSED_MS_MAX: u64 = 100;

impl Policy {
    /// The most tokens that one edge has of one subject, and so the most that each edge may admit
    /// beyond the policy.
    #[must_use]
    pub fn lease_tokens(&self) -> u64 {
        (self.capacity() / LEASES_MIN).max(1)
    }
}

/// What an edge has of one subject.
#[derive(Debug, Clone)]
pub struct Tokens {
    policy: Policy,
    left: u64,
    /// When the owner counted the oldest of them.
    counted_at: Time,
    lapse_at: Time,
    /// What the owner last said, and when.
    last: Option<(CheckResult, Time)>,
    /// How many tokens it was asked for when it said so, if it refused.
    refused_need: u64,
}

/// What an edge can say by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Local {
    /// It is admitted, or refused.
    Decided {
        /// The answer.
        result: CheckResult,
        /// When the owner counted it.
        counted_at: Time,
    },
    /// Ask the owner for so many tokens, of which `need` are for this check.
    Ask {
        /// At most so many.
        tokens: u64,
        /// At least so many.
        need: u64,
    },
}

impl Tokens {
    /// None yet.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            left: 0,
            counted_at: Time(0),
            lapse_at: Time(0),
            last: None,
            refused_need: 0,
        }
    }

    /// Whether nothing would be lost by forgetting it.
    #[must_use]
    pub fn is_idle(&self, now: Time) -> bool {
        let refuses =
            self.last.as_ref().is_some_and(|(last, at)| refusal(last, *at, now).is_some());
        (self.left == 0 || self.lapse_at <= now) && !refuses
    }

    /// Decides about `cost` units at `now`, if it can.
    pub fn take(&mut self, policy: &Policy, cost: u64, now: Time) -> Local {
        if *policy != self.policy {
            *self = Self::new(*policy);
        }
        if self.lapse_at <= now {
            self.left = 0;
        }
        if cost > 0 && cost <= self.left {
            self.left -= cost;
            let result = self.admitted(now);
            return Local::Decided { result, counted_at: self.counted_at };
        }
        let need = self.need(cost);
        // Of another number of tokens the owner would say something else: when they will be there.
        let refused = self.last.as_ref().filter(|_| need == self.refused_need);
        if let Some(result) = refused.and_then(|(last, at)| refusal(last, *at, now)) {
            return Local::Decided { result: self.with_left(result), counted_at: now };
        }
        Local::Ask { tokens: need.max(self.policy.lease_tokens() - self.left), need }
    }

    /// How many tokens more `cost` needs. What never fits at once does not fit by what is left here.
    fn need(&self, cost: u64) -> u64 {
        if cost > self.policy.capacity() { cost } else { cost.saturating_sub(self.left) }
    }

    /// The owner gave `tokens`, and `cost` of all there are are taken. Answers as [`Self::take`] would.
    pub fn granted(
        &mut self,
        tokens: u64,
        result: CheckResult,
        counted_at: Time,
        (cost, now): (u64, Time),
    ) -> (CheckResult, Time) {
        if self.left == 0 {
            self.counted_at = counted_at;
        }
        if tokens > 0 {
            self.lapse_at = now.plus_ms(self.policy.period_ms);
        }
        self.left = (self.left + tokens).saturating_sub(cost);
        self.last = Some((result, now));
        (self.admitted(now), self.counted_at)
    }

    /// The owner has not even what is needed for `cost`. Answers as [`Self::take`] would.
    pub fn refused(&mut self, result: CheckResult, (cost, now): (u64, Time)) -> CheckResult {
        self.refused_need = self.need(cost);
        self.last = Some((result.clone(), now));
        self.with_left(result)
    }

    /// Gives back what was taken at `counted_at` and not used: something asked together with it did
    /// not fit. It may be too late, and is lost then.
    pub fn put_back(&mut self, cost: u64, counted_at: Time, now: Time) {
        if counted_at >= self.counted_at && now < self.lapse_at {
            self.left = (self.left + cost).min(self.policy.lease_tokens());
        }
    }

    /// What remains is what is here and what the owner last had.
    fn with_left(&self, mut result: CheckResult) -> CheckResult {
        result.remaining = result.remaining.saturating_add(self.left).min(result.quantity);
        result
    }

    fn admitted(&self, now: Time) -> CheckResult {
        let (last, at) = self.last.as_ref().expect("tokens were given with an answer");
        let since_ns = now.0.saturating_sub(at.0).saturating_mul(NS_A_MS);
        self.with_left(CheckResult {
            allowed: true,
            retry_after_ns: None,
            reset_after_ns: last.reset_after_ns.saturating_sub(since_ns),
            shadow_refused: false,
            ..last.clone()
        })
    }
}

/// The refusal that `last`, of `at`, still is.
fn refusal(last: &CheckResult, at: Time, now: Time) -> Option<CheckResult> {
    let since_ms = now.0.saturating_sub(at.0);
    let since_ns = since_ms.saturating_mul(NS_A_MS);
    let left_ns = last.retry_after_ns?.checked_sub(since_ns).filter(|left_ns| *left_ns > 0)?;
    let fresh = !last.allowed && since_ms < REFUSED_MS_MAX;
    fresh.then(|| CheckResult {
        retry_after_ns: Some(left_ns),
        reset_after_ns: last.reset_after_ns.saturating_sub(since_ns),
        ..last.clone()
    })
}
