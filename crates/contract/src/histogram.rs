//! Log-linear buckets over whole numbers: exact below 8, then 8 buckets for each doubling.
//!
//! A bucket is at most an eighth as wide as its lower bound and is answered by its middle, so a
//! quantile is off by at most 1/16 (6.25 %) of the true value. Values from 2^27 on (134 seconds
//! in microseconds, 37 hours in milliseconds) count in the last bucket. The layout is that of
//! HDR histograms with three bits of precision.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const SUB_BITS: u32 = 3;
const SUB: usize = 1 << SUB_BITS;
/// Values below 2 to this have a bucket of their own width.
pub(crate) const VALUE_BITS: u32 = 27;
/// How many buckets there are.
pub(crate) const BUCKETS: usize = SUB * (VALUE_BITS - SUB_BITS + 1) as usize;

/// Counts by bucket, as they were at one moment.
pub(crate) type Counts = [u64; BUCKETS];

/// Counts by bucket that many threads add to.
pub(crate) struct Histogram {
    counts: [AtomicU64; BUCKETS],
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { counts: [const { AtomicU64::new(0) }; BUCKETS] }
    }

    pub(crate) fn add(&self, value: u64) {
        self.counts[bucket_of(value)].fetch_add(1, Relaxed);
    }

    pub(crate) fn counts(&self) -> Counts {
        std::array::from_fn(|at| self.counts[at].load(Relaxed))
    }

    /// Becomes a copy of `other`; for the one thread that owns this copy.
    pub(crate) fn copy_from(&self, other: &Self) {
        for (mine, theirs) in self.counts.iter().zip(&other.counts) {
            mine.store(theirs.load(Relaxed), Relaxed);
        }
    }
}

/// What was counted between `before` and `now`.
pub(crate) fn since(now: &Counts, before: &Counts) -> Counts {
    std::array::from_fn(|at| now[at].saturating_sub(before[at]))
}

/// The value that `share` (0 to 1) of the counted values do not exceed, or `None` of nothing.
pub(crate) fn quantile(counts: &Counts, share: f64) -> Option<f64> {
    let total: u64 = counts.iter().sum();
    if total == 0 {
        return None;
    }
    let rank = ((total as f64 * share).ceil() as u64).clamp(1, total);
    let mut seen = 0;
    let at = counts.iter().position(|count| {
        seen += count;
        seen >= rank
    });
    at.map(middle)
}

/// How many counted values are below 2 to the `bits`.
pub(crate) fn below_power(counts: &Counts, bits: u32) -> u64 {
    counts[..bucket_of(1 << bits)].iter().sum()
}

fn bucket_of(value: u64) -> usize {
    let value = value.min((1 << VALUE_BITS) - 1);
    if value < SUB as u64 {
        return value as usize;
    }
    let doubling = value.ilog2() - SUB_BITS;
    let within = (value >> doubling) as usize & (SUB - 1);
    (doubling as usize + 1) * SUB + within
}

fn middle(bucket: usize) -> f64 {
    if bucket < SUB {
        return bucket as f64;
    }
    let width = 1_u64 << (bucket / SUB - 1);
    let lower = (SUB + bucket % SUB) as u64 * width;
    lower as f64 + (width - 1) as f64 / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(value: u64) -> Counts {
        let histogram = Histogram::new();
        histogram.add(value);
        histogram.counts()
    }

    #[test]
    fn every_value_is_answered_within_a_sixteenth() {
        let mut value = 0_u64;
        while value < 1 << VALUE_BITS {
            let answered = quantile(&one(value), 0.5).unwrap();
            let off = (answered - value as f64).abs();
            assert!(off <= value as f64 / 16.0, "{value} answered as {answered}");
            value += 1 + value / 97;
        }
        assert_eq!(one(u64::MAX)[BUCKETS - 1], 1);
        assert_eq!(one((1 << VALUE_BITS) - 1)[BUCKETS - 1], 1);
    }

    #[test]
    fn buckets_are_contiguous_and_ordered() {
        let mut last = 0;
        for value in 0..100_000 {
            let at = bucket_of(value);
            assert!(at == last || at == last + 1, "{value} is in {at} after {last}");
            last = at;
        }
    }

    #[test]
    fn quantiles_count_from_the_right_end() {
        let histogram = Histogram::new();
        assert_eq!(quantile(&histogram.counts(), 0.99), None);
        for _ in 0..98 {
            histogram.add(1);
        }
        histogram.add(5);
        histogram.add(7);
        let counts = histogram.counts();
        assert_eq!(quantile(&counts, 0.50), Some(1.0));
        assert_eq!(quantile(&counts, 0.98), Some(1.0));
        assert_eq!(quantile(&counts, 0.99), Some(5.0));
        assert_eq!(quantile(&counts, 1.00), Some(7.0));
        assert_eq!(below_power(&counts, 0), 0);
        assert_eq!(below_power(&counts, 1), 98);
        assert_eq!(below_power(&counts, 3), 100);
    }
}
