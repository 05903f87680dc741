//! A sliding window: never more than `quantity` units in any period, whenever that begins.
//!
//! The period is cut into 64 sub-windows, and units are counted by sub-window: those of the newest 65,
//! of which the oldest is only partly within the period and yet counts whole. So the bound is exact,
//! and the error is on the other side alone: what was counted up to one 64th of the period before the
//! period began may still be in the way.
//!
//! Only sub-windows with something in them are kept: at most 65 pairs of an age and a count.
//!
//! A limit's policy may change. If its period does, what was counted is moved into sub-windows of the new
//! one, each unit to the latest moment at which it can have been counted. That is done with the first check
//! that carries the new policy, refused or not, but only [`TAKEN_OVER_MS`] after it was last done: a check
//! that was on its way under the policy before is decided by that, and counted in what there is.

use super::{
    CheckResult,
    policy::{NS_A_MS, TAKEN_OVER_MS},
};
use evenkeel_engine::Time;
use serde::{Deserialize, Serialize};

/// Sub-windows of a period.
pub const SUB_WINDOWS: u64 = 64;

/// What was counted in the last period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    period_ms: u64,
    /// The number, since 1970, of the sub-window that ages are counted from.
    newest: u64,
    /// Ages and counts, the oldest first; no count is 0, no age more than 64.
    counts: Vec<(u8, u64)>,
    /// When its period took it over, or when it was first counted.
    since: Time,
}

impl Window {
    /// An empty one.
    #[must_use]
    pub fn new(period_ms: u64, now: Time) -> Self {
        Self { period_ms, newest: sub_window(now.0, period_ms), counts: Vec::new(), since: now }
    }

    /// Whether a policy of another period takes it over at `now`.
    #[must_use]
    pub fn may_be_taken_over(&self, period_ms: u64, now: Time) -> bool {
        period_ms != self.period_ms && now >= self.since.plus_ms(TAKEN_OVER_MS)
    }

    /// The same at `now`, what has left it being forgotten; with sub-windows of `period_ms`, if a policy
    /// of that may take it over.
    #[must_use]
    pub fn taken_over(self, period_ms: u64, now: Time) -> Self {
        if self.may_be_taken_over(period_ms, now) {
            self.converted(period_ms, now)
        } else {
            self.advanced(now)
        }
    }

    fn advanced(mut self, now: Time) -> Self {
        let newest = sub_window(now.0, self.period_ms).max(self.newest);
        let passed = newest - self.newest;
        self.newest = newest;
        if passed > 0 {
            self.counts.retain_mut(|(age, _)| match aged(*age, passed) {
                Some(older) => {
                    *age = older;
                    true
                }
                None => false,
            });
        }
        self
    }

    /// The same by sub-windows of `period_ms`. Everything counts from the latest moment at which it can
    /// have been counted; what an older and shorter period had forgotten stays so.
    fn converted(&self, period_ms: u64, now: Time) -> Self {
        let mut window = Self::new(period_ms, now);
        for (age, count) in &self.counts {
            let next = self.newest - u64::from(*age) + 1;
            let latest = begin_ms(next, self.period_ms).saturating_sub(1).min(now.0);
            let passed = window.newest - sub_window(latest, period_ms);
            let Some(age) = aged(0, passed) else { continue };
            match window.counts.last_mut() {
                Some(last) if last.0 == age => last.1 = last.1.saturating_add(*count),
                _ => window.counts.push((age, *count)),
            }
        }
        window
    }

    /// Whether nothing is counted at `now`.
    #[must_use]
    pub fn is_idle(&self, now: Time) -> bool {
        let passed = sub_window(now.0, self.period_ms).saturating_sub(self.newest);
        self.counts.last().is_none_or(|(age, _)| aged(*age, passed).is_none())
    }

    fn used(&self) -> u64 {
        self.counts.iter().fold(0, |used, (_, count)| used.saturating_add(*count))
    }

    /// Decides about `cost` units at `now`, which it was [`Window::taken_over`] at, and counts them if
    /// they fit: by a policy that has not taken it over too.
    pub fn check(&mut self, quantity: u64, period_ms: u64, now: Time, cost: u64) -> CheckResult {
        let result = if period_ms == self.period_ms {
            self.assess(quantity, now, cost)
        } else {
            self.converted(period_ms, now).assess(quantity, now, cost)
        };
        if result.allowed && cost > 0 {
            self.count(cost);
        }
        result
    }

    fn assess(&self, quantity: u64, now: Time, cost: u64) -> CheckResult {
        let used = self.used();
        // What costs nothing fits, also where another policy had admitted more than there may now be.
        let after = used.checked_add(cost).filter(|after| cost == 0 || *after <= quantity);
        let retry_after_ns = match after {
            None if cost <= quantity => self.free_after_ns(used - (quantity - cost), now),
            _ => None,
        };
        let full_after_ns = match after {
            Some(_) if cost > 0 => Some(self.gone_after_ns(0, now)),
            _ => self.free_after_ns(u64::MAX, now),
        };
        CheckResult {
            allowed: after.is_some(),
            quantity,
            remaining: quantity.saturating_sub(after.unwrap_or(used)),
            retry_after_ns,
            reset_after_ns: full_after_ns.unwrap_or(0),
            lease: None,
            shadow_refused: false,
        }
    }

    fn count(&mut self, cost: u64) {
        match self.counts.last_mut() {
            Some((0, count)) => *count = count.saturating_add(cost),
            _ => self.counts.push((0, cost)),
        }
    }

    /// Gives back up to `cost` units of those counted when `counted_at` was now.
    ///
    /// Nothing if the window is not counted by `period_ms`, or was not since then: what has come back
    /// under another period would come back twice.
    pub fn refund(&mut self, period_ms: u64, cost: u64, counted_at: Time) {
        if period_ms != self.period_ms || counted_at < self.since {
            return;
        }
        let counted_in = sub_window(counted_at.0, self.period_ms).min(self.newest);
        let passed = self.newest - counted_in;
        if let Some((_, count)) = self.counts.iter_mut().find(|(age, _)| u64::from(*age) == passed)
        {
            *count -= cost.min(*count);
        }
        self.counts.retain(|(_, count)| *count > 0);
    }

    /// Gives back up to `cost` units of those counted, whenever that was. The oldest go first: were it
    /// others that are given back, those stay counted for longer than they need, never shorter.
    /// Nothing if the window is not counted by `period_ms`.
    pub fn give_back(&mut self, period_ms: u64, mut cost: u64) {
        if period_ms != self.period_ms {
            return;
        }
        for (_, count) in &mut self.counts {
            let back = cost.min(*count);
            *count -= back;
            cost -= back;
        }
        self.counts.retain(|(_, count)| *count > 0);
    }

    /// How long until `units` have left the window, or everything, if that is less.
    fn free_after_ns(&self, units: u64, now: Time) -> Option<u64> {
        let mut left: u64 = 0;
        let enough = self.counts.iter().find(|(_, count)| {
            left = left.saturating_add(*count);
            left >= units
        });
        let (age, _) = enough.or(self.counts.last())?;
        Some(self.gone_after_ns(*age, now))
    }

    /// How long until what has this age has left the window.
    fn gone_after_ns(&self, age: u8, now: Time) -> u64 {
        let gone_with = self.newest - u64::from(age) + SUB_WINDOWS + 1;
        let after_ms = begin_ms(gone_with, self.period_ms).saturating_sub(now.0);
        after_ms.saturating_mul(NS_A_MS)
    }
}

/// The sub-window that `at_ms` lies in.
fn sub_window(at_ms: u64, period_ms: u64) -> u64 {
    let number = u128::from(at_ms) * u128::from(SUB_WINDOWS) / u128::from(period_ms.max(1));
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// The first millisecond of a sub-window.
fn begin_ms(sub_window: u64, period_ms: u64) -> u64 {
    let begin = (u128::from(sub_window) * u128::from(period_ms)).div_ceil(u128::from(SUB_WINDOWS));
    u64::try_from(begin).unwrap_or(u64::MAX)
}

/// An age after `passed` sub-windows more; `None` once it is out of the window.
fn aged(age: u8, passed: u64) -> Option<u8> {
    let age = u64::from(age).saturating_add(passed);
    u8::try_from(age).ok().filter(|age| u64::from(*age) <= SUB_WINDOWS)
}
