//! GCRA, the generic cell rate algorithm, in its form of a virtual schedule: ITU-T Recommendation
//! I.371, annex A (first: ATM Forum, *Traffic Management Specification*).
//!
//! Of a key nothing is kept but its *theoretical arrival time*: when it will be full again. Each unit
//! moves that by one interval; a request is admitted if it then lies no further ahead of now than
//! all units together may take. So a key costs eight bytes, and nothing has to happen for it to fill
//! up. All of it is integers: nanoseconds in 64 bits, products in 128.
//!
//! The interval is the period divided by the quantity, cut to whole nanoseconds: in a period at most
//! `burst + 1` units and one for each interval are admitted, so the rate may exceed the policy's by
//! less than one nanosecond an interval (at most 0.1 % for what a named limit may say).

use super::{CheckResult, Policy};

/// A policy, as this algorithm reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// One unit comes back in each.
    interval_ns: u64,
    /// Units at once.
    capacity: u64,
}

impl Rate {
    /// Of `policy`. One without a rate, which no edge lets in, is the slowest there is.
    #[must_use]
    pub fn of(policy: &Policy) -> Self {
        let interval_ns = policy.interval_ns().unwrap_or(u64::MAX).max(1);
        Self { interval_ns, capacity: policy.burst.saturating_add(1) }
    }

    /// How far ahead of now the theoretical arrival time may lie.
    fn tolerance_ns(self) -> u128 {
        self.cost_ns(self.capacity)
    }

    fn cost_ns(self, units: u64) -> u128 {
        u128::from(self.interval_ns) * u128::from(units)
    }

    /// A theoretical arrival time that was reached under another policy, brought within this one: at
    /// worst the key is used up now. Under one policy it changes nothing.
    #[must_use]
    pub fn within(self, tat_ns: u64, now_ns: u64) -> u64 {
        let latest = u64::try_from(u128::from(now_ns) + self.tolerance_ns()).unwrap_or(u64::MAX);
        tat_ns.min(latest)
    }

    /// Decides about `cost` units for a key whose theoretical arrival time is `tat_ns` (anything past
    /// if it is full). Answers the new one too; if it is refused, the old one.
    #[must_use]
    pub fn check(self, tat_ns: u64, now_ns: u64, cost: u64) -> (CheckResult, u64) {
        let used_ns = tat_ns.saturating_sub(now_ns);
        let (cost_ns, tolerance_ns) = (self.cost_ns(cost), self.tolerance_ns());
        let after_ns = u128::from(used_ns) + cost_ns;
        // What cannot be written down (a time after the year 2554) is not admitted.
        let after = u64::try_from(after_ns).ok().filter(|_| after_ns <= tolerance_ns);
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
