//! GCRA, the generic cell rate algorithm, in its form of a virtual schedule: ITU-T Recommendation
//! I.371, annex A (first: ATM Forum, *Traffic Management Specification*).
//!
//! Of a key nothing is kept but its *theoretical arrival time*: when it will be full again. Each unit
//! moves that by one interval; a request is admitted if it then lies no further ahead of now than
//! all units together may take. So a key costs eight bytes, and nothing has to happen for it to fill
//! up. All of it is integers: nanoseconds in 64 bits, products in 128.
//!
//! The interval is the period divided by the quantity, in whole nanoseconds. Of a named limit it is rounded
//! up: in any stretch of time at most `burst + 1` units are admitted, and `quantity` for each period of
//! it. Of `CL.THROTTLE` it is rounded down, as redis-cell does: there a unit comes back by less than one
//! nanosecond too early, which is nothing for intervals of microseconds and up to twice the rate for
//! those of one or two nanoseconds.
//!
//! A named limit's policy may change. So a key of one also remembers which policy it is counted by and
//! since when: see [`Level`]. A policy that comes with its request is taken at its word.

use super::{
    CheckResult, Policy,
    policy::{NS_A_MS, TAKEN_OVER_MS},
};
use evenkeel_engine::Time;
use serde::{Deserialize, Serialize};

/// A policy, as this algorithm reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// One unit comes back in each.
    interval_ns: u64,
    /// Units at once.
    capacity: u64,
}

impl Rate {
    /// Of the `policy` of a named limit. One without a rate, which no edge lets in, is the slowest
    /// there is.
    #[must_use]
    pub fn of(policy: &Policy) -> Self {
        Self::new(policy.interval_ns(), policy)
    }

    /// Of a `policy` that comes with its request, in the arithmetic of redis-cell.
    #[must_use]
    pub fn throttle(policy: &Policy) -> Self {
        Self::new(policy.throttle_interval_ns(), policy)
    }

    fn new(interval_ns: Option<u64>, policy: &Policy) -> Self {
        let interval_ns = interval_ns.unwrap_or(u64::MAX).max(1);
        Self { interval_ns, capacity: policy.burst.saturating_add(1) }
    }

    /// How far ahead of now the theoretical arrival time may lie.
    fn tolerance_ns(self) -> u128 {
        self.cost_ns(self.capacity)
    }

    fn cost_ns(self, units: u64) -> u128 {
        u128::from(self.interval_ns) * u128::from(units)
    }

    /// Decides about `cost` units for a key whose theoretical arrival time is `tat_ns` (anything past
    /// if it is full). Answers the new one too; if it is refused, the old one.
    #[must_use]
    pub fn check(self, tat_ns: u64, now_ns: u64, cost: u64) -> (CheckResult, u64) {
        let used_ns = tat_ns.saturating_sub(now_ns);
        let (cost_ns, tolerance_ns) = (self.cost_ns(cost), self.tolerance_ns());
        let after_ns = u128::from(used_ns) + cost_ns;
        // What cannot be written down (a time after the year 2554) is not admitted. What costs nothing
        // always is, also where another policy had admitted more than there may now be.
        let fits = cost == 0 || after_ns <= tolerance_ns;
        let after = u64::try_from(after_ns).ok().filter(|_| fits);
        let new_tat_ns = after.and_then(|after_ns| now_ns.checked_add(after_ns));
        let allowed = new_tat_ns.is_some();
        let level_ns = after.filter(|_| allowed).unwrap_or(used_ns);
        let over_ns = after_ns.checked_sub(tolerance_ns).filter(|_| cost_ns <= tolerance_ns);
        let retry_after_ns = over_ns.filter(|_| !allowed).and_then(|over| u64::try_from(over).ok());
        let result = CheckResult {
            allowed,
            quantity: self.capacity,
            remaining: self.capacity.saturating_sub(level_ns.div_ceil(self.interval_ns)),
            retry_after_ns,
            reset_after_ns: level_ns,
            lease: None,
            shadow_refused: false,
        };
        (result, new_tat_ns.unwrap_or(tat_ns))
    }

    /// The theoretical arrival time once `cost` units, counted at `counted_ns`, are given back.
    ///
    /// Less is given back the later it comes: what has meanwhile come back by itself would else come
    /// back twice. Had the units never been counted, the key would now hold at least `cost` intervals
    /// less the time since, so what is left is never less than that.
    #[must_use]
    pub fn refund(self, tat_ns: u64, now_ns: u64, cost: u64, counted_ns: u64) -> u64 {
        let since_ns = u128::from(now_ns.saturating_sub(counted_ns));
        let back_ns = self.cost_ns(cost).saturating_sub(since_ns);
        let used_ns = tat_ns.saturating_sub(now_ns);
        let left_ns = u128::from(used_ns).saturating_sub(back_ns);
        now_ns.saturating_add(u64::try_from(left_ns).expect("less than what was used"))
    }
}

/// What a key of a named limit holds.
///
/// A theoretical arrival time is a number of intervals, so it says how many units are used only to
/// whoever knows the interval. Under another policy the units stay: as many are used, each of which now
/// takes the new interval to come back. The key is taken over by that policy with the first check that
/// carries it, refused or not, but only [`TAKEN_OVER_MS`] after it was last taken over: a check that was
/// on its way under the policy before is decided by that, and counted by the key's. So a change admits no
/// more than the larger of both policies does. And once that time has passed, a key of which more is used than
/// there is by now is used up, and not more than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    tat_ns: u64,
    rate: Rate,
    /// When this rate took it over, or when it was first counted.
    since: Time,
}

impl Level {
    /// Full.
    #[must_use]
    pub fn new(rate: Rate, now: Time) -> Self {
        Self { tat_ns: 0, rate, since: now }
    }

    /// The same as `rate` takes it over, if it may.
    #[must_use]
    pub fn taken_over(self, rate: Rate, now: Time) -> Self {
        if now < self.since.plus_ms(TAKEN_OVER_MS) {
            return self;
        }
        if rate != self.rate {
            return Self { tat_ns: self.tat_under(rate, now), rate, since: now };
        }
        let latest_ns = u128::from(ns(now)) + rate.tolerance_ns();
        Self { tat_ns: self.tat_ns.min(latest_ns.try_into().unwrap_or(u64::MAX)), ..self }
    }

    /// When it would be full again, if each unit that is used came back in an interval of `rate`.
    fn tat_under(self, rate: Rate, now: Time) -> u64 {
        if rate.interval_ns == self.rate.interval_ns {
            return self.tat_ns;
        }
        let used_ns = u128::from(self.tat_ns.saturating_sub(ns(now)));
        let used_ns =
            (used_ns * u128::from(rate.interval_ns)).div_ceil(self.rate.interval_ns.into());
        ns(now).saturating_add(used_ns.try_into().unwrap_or(u64::MAX))
    }

    /// Decides about `cost` units by `rate`, and counts them if they fit.
    pub fn check(&mut self, rate: Rate, now: Time, cost: u64) -> CheckResult {
        let (result, tat_ns) = rate.check(self.tat_under(rate, now), ns(now), cost);
        if result.allowed && cost > 0 {
            self.tat_ns = if rate.interval_ns == self.rate.interval_ns {
                tat_ns
            } else {
                let after_ns = u128::from(self.tat_ns.max(ns(now))) + self.rate.cost_ns(cost);
                after_ns.try_into().unwrap_or(u64::MAX)
            };
            // What a larger policy lets in before it takes the key over is no more than there may be to one
            // that comes late by the policy before.
            self.rate.capacity = self.rate.capacity.max(rate.capacity);
        }
        result
    }

    /// Gives back `cost` units that were counted at `counted_at` by `rate`: nothing if the key was
    /// counted by another since then.
    pub fn refund(&mut self, rate: Rate, now: Time, cost: u64, counted_at: Time) {
        if rate.interval_ns == self.rate.interval_ns && counted_at >= self.since {
            self.tat_ns = rate.refund(self.tat_ns, ns(now), cost, ns(counted_at));
        }
    }

    /// Whether it is full at `now`.
    #[must_use]
    pub fn is_idle(&self, now: Time) -> bool {
        self.tat_ns <= ns(now)
    }
}

/// Record time in nanoseconds.
pub(super) fn ns(time: Time) -> u64 {
    time.0.saturating_mul(NS_A_MS)
}
