//! A limit's policy: how much of what in which time, and the rules that make one legal.

use serde::{Deserialize, Serialize};

/// The largest `quantity`, and the largest `burst`, of a named limit.
pub const QUANTITY_MAX: u64 = 1_000_000_000;
/// The largest `quantity` of a concurrency limit: each slot taken is a row.
pub const SLOTS_MAX: u64 = 100_000;
/// The longest `period_ms`: 366 days.
pub const PERIOD_MS_MAX: u64 = 366 * DAY_MS;
/// The longest time in which a key that is used up becomes full again: 100 years. It keeps every
/// moment that is stored within 64 bits of nanoseconds since 1970.
pub const REFILL_MS_MAX: u64 = 100 * 366 * DAY_MS;

const DAY_MS: u64 = 24 * 3_600_000;
/// Nanoseconds in a millisecond.
pub(super) const NS_A_MS: u64 = 1_000_000;
/// GCRA's interval is in whole nanoseconds; from this length on that is less than 0.1 %.
const INTERVAL_NS_MIN: u64 = 1_000;
/// For so long after a key has been taken over by another policy, or was first counted, it keeps that:
/// checks that were on their way under the one before take nothing over. No request lives longer.
pub const TAKEN_OVER_MS: u64 = 60_000;

/// How something is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Algorithm {
    /// `quantity` units a period, evenly, and up to `burst` more than one at once.
    Gcra,
    /// At most `quantity` units in any period, whenever it begins.
    SlidingWindow,
    /// At most `quantity` slots taken at once, each until it is released or its time is over.
    Concurrency,
}

/// Where it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Mode {
    /// By the key's partition, before the answer.
    Exact,
    /// By whoever holds tokens that the partition gave out.
    Leased,
}

/// What an answer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Durability {
    /// That it survives power loss.
    Synced,
    /// That it is decided.
    Buffered,
}

/// What is answered while nobody can count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum OnUnavailable {
    /// Yes.
    Allow,
    /// No.
    Deny,
}

/// What a limit says. It travels with each check, so that a partition needs no copy of `meta`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Policy {
    /// How it counts.
    pub algorithm: Algorithm,
    /// Whether it counts for each scope and key, all of a scope in one partition.
    pub scoped: bool,
    /// Units a period; of a concurrency limit, slots.
    pub quantity: u64,
    /// The period; of a concurrency limit, how long a slot is taken unless it is released or renewed.
    pub period_ms: u64,
    /// Of GCRA, how many units may come at once beyond the first; else 0.
    pub burst: u64,
    /// Where it is counted.
    pub mode: Mode,
    /// What an answer waits for.
    pub durability: Durability,
    /// What is answered while nobody can count.
    pub on_unavailable: OnUnavailable,
    /// Whether it only watches: decides and counts, and never refuses.
    pub shadow: bool,
}

/// Why a policy is not legal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Too few or too many units.
    #[error("quantity must be 1 to {most}")]
    Quantity {
        /// So many at most.
        most: u64,
    },
    /// Too short or too long.
    #[error("period_ms must be 1 to {PERIOD_MS_MAX}, which is 366 days")]
    Period,
    /// Too much at once.
    #[error("burst must be at most {QUANTITY_MAX}")]
    Burst,
    /// A burst where there is none.
    #[error("burst is for the algorithm gcra alone; leave it out or make it 0")]
    BurstWithoutGcra,
    /// Nothing would ever be admitted, or everything.
    #[error("the rate is zero: count and period must be positive, a unit a nanosecond at most")]
    ZeroRate,
    /// Faster than GCRA keeps exactly.
    #[error(
        "quantity is more than one unit a microsecond of period_ms, which gcra keeps exactly only \
         for a quantity that divides the period's nanoseconds"
    )]
    TooFine,
    /// It would take a life to become full.
    #[error("a key that is used up would take more than 100 years to become full again")]
    Refill,
    /// A slot has one holder, who gives it back.
    #[error("mode leased is for gcra and sliding_window; slots of concurrency are leases already")]
    LeasedSlots,
    /// An edge that holds tokens cannot say what it would have refused.
    #[error("a limit in mode leased cannot be shadow")]
    LeasedShadow,
}

impl Policy {
    /// GCRA with `burst`, exact and synced, denied when unavailable: the rest is to be changed.
    #[must_use]
    pub const fn gcra(quantity: u64, period_ms: u64, burst: u64) -> Self {
        Self { burst, ..Self::of(Algorithm::Gcra, quantity, period_ms) }
    }

    /// Exact and synced, denied when unavailable, without burst: the rest is to be changed.
    #[must_use]
    pub const fn of(algorithm: Algorithm, quantity: u64, period_ms: u64) -> Self {
        Self {
            algorithm,
            scoped: false,
            quantity,
            period_ms,
            burst: 0,
            mode: Mode::Exact,
            durability: Durability::Synced,
            on_unavailable: OnUnavailable::Deny,
            shadow: false,
        }
    }

    /// The policy in the arguments of `CL.THROTTLE`, which goes with a subject without a limit.
    pub fn throttle(max_burst: i64, count: i64, period_s: i64) -> Result<Self, PolicyError> {
        let burst = u64::try_from(max_burst).map_err(|_| PolicyError::Burst)?;
        let (Ok(quantity), Ok(period_s)) = (u64::try_from(count), u64::try_from(period_s)) else {
            return Err(PolicyError::ZeroRate);
        };
        let period_ms = period_s.checked_mul(1_000).ok_or(PolicyError::Refill)?;
        let policy = Self::gcra(quantity, period_ms, burst);
        if policy.throttle_interval_ns().is_none_or(|interval_ns| interval_ns == 0) {
            return Err(PolicyError::ZeroRate);
        }
        policy.check_refill()?;
        Ok(policy)
    }

    /// Whether a limit may have it.
    pub fn check(&self) -> Result<(), PolicyError> {
        let most = match self.algorithm {
            Algorithm::Gcra | Algorithm::SlidingWindow => QUANTITY_MAX,
            Algorithm::Concurrency => SLOTS_MAX,
        };
        if !(1..=most).contains(&self.quantity) {
            return Err(PolicyError::Quantity { most });
        }
        if !(1..=PERIOD_MS_MAX).contains(&self.period_ms) {
            return Err(PolicyError::Period);
        }
        if self.burst > QUANTITY_MAX {
            return Err(PolicyError::Burst);
        }
        if self.algorithm == Algorithm::Gcra {
            let period_ns = self.period_ms * NS_A_MS;
            let exact = period_ns.is_multiple_of(self.quantity);
            if !exact && period_ns / self.quantity < INTERVAL_NS_MIN {
                return Err(PolicyError::TooFine);
            }
            self.check_refill()?;
        } else if self.burst > 0 {
            return Err(PolicyError::BurstWithoutGcra);
        }
        match (self.mode, self.algorithm) {
            (Mode::Leased, Algorithm::Concurrency) => Err(PolicyError::LeasedSlots),
            (Mode::Leased, _) if self.shadow => Err(PolicyError::LeasedShadow),
            _ => Ok(()),
        }
    }

    /// The most units that may come at once; of a concurrency limit, its slots.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        match self.algorithm {
            Algorithm::Gcra => self.burst.saturating_add(1),
            Algorithm::SlidingWindow | Algorithm::Concurrency => self.quantity,
        }
    }

    fn check_refill(&self) -> Result<(), PolicyError> {
        let interval_ns = u128::from(self.interval_ns().ok_or(PolicyError::ZeroRate)?);
        let refill_ns = interval_ns.saturating_mul(u128::from(self.burst) + 1);
        let most_ns = u128::from(REFILL_MS_MAX) * u128::from(NS_A_MS);
        if refill_ns > most_ns { Err(PolicyError::Refill) } else { Ok(()) }
    }

    /// Of GCRA: the time in which one unit comes back, in whole nanoseconds, rounded up: what is
    /// admitted is never more than the policy says, and less by at most 0.1 %. A period beyond what 64
    /// bits hold counts as the longest that they do.
    pub(super) fn interval_ns(&self) -> Option<u64> {
        let period_ns = self.period_ms.saturating_mul(NS_A_MS);
        (self.quantity > 0).then(|| period_ns.div_ceil(self.quantity))
    }

    /// The same of `CL.THROTTLE`, rounded down as redis-cell does, so that its answers are the same.
    pub(super) fn throttle_interval_ns(&self) -> Option<u64> {
        self.period_ms.saturating_mul(NS_A_MS).checked_div(self.quantity)
    }
}
