//! Latencies in a log-linear histogram of two significant digits: at most 1 % off.
//!
//! A thin wrapper over the `hdrhistogram` crate that fixes range, unit and percentiles.

use std::time::Duration;

use serde::Serialize;

const LATENCY_US_MAX: u64 = 3_600_000_000;
const SIGNIFICANT_DIGITS: u8 = 2;

/// Latencies from a microsecond to an hour; what is outside counts as the nearest end.
#[derive(Clone)]
pub struct Histogram(hdrhistogram::Histogram<u64>);

/// What a histogram says, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Percentiles {
    /// Half were faster.
    pub p50_us: u64,
    /// 90 % were faster.
    pub p90_us: u64,
    /// 99 % were faster.
    pub p99_us: u64,
    /// 99.9 % were faster.
    pub p999_us: u64,
    /// The slowest.
    pub max_us: u64,
}

impl Histogram {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        let inner = hdrhistogram::Histogram::new_with_bounds(1, LATENCY_US_MAX, SIGNIFICANT_DIGITS)
            .expect("constant bounds in range");
        Self(inner)
    }

    /// Counts one latency.
    pub fn record(&mut self, latency: Duration) {
        let latency_us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.0.saturating_record(latency_us.max(1));
    }

    /// Adds all that another counted.
    pub fn merge(&mut self, other: &Self) {
        self.0.add(&other.0).expect("both histograms have the same bounds");
    }

    /// How many latencies were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// All zero when nothing was counted.
    #[must_use]
    pub fn percentiles(&self) -> Percentiles {
        let at = |percentile| self.0.value_at_percentile(percentile).min(self.0.max());
        Percentiles {
            p50_us: at(50.0),
            p90_us: at(90.0),
            p99_us: at(99.0),
            p999_us: at(99.9),
            max_us: self.0.max(),
        }
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_one_percent() {
        let mut histogram = Histogram::new();
        for latency_us in 1..=100_000 {
            histogram.record(Duration::from_micros(latency_us));
        }
        let percentiles = histogram.percentiles();
        for (found, exact) in [
            (percentiles.p50_us, 50_000.0),
            (percentiles.p90_us, 90_000.0),
            (percentiles.p99_us, 99_000.0),
            (percentiles.p999_us, 99_900.0),
            (percentiles.max_us, 100_000.0),
        ] {
            let error = (found as f64 - exact).abs() / exact;
            assert!(error <= 0.01, "{found} for {exact}");
        }
    }

    #[test]
    fn merging_counts_both_and_ends_saturate() {
        let (mut one, mut other) = (Histogram::new(), Histogram::new());
        one.record(Duration::ZERO);
        other.record(Duration::from_secs(100_000));
        one.merge(&other);
        assert_eq!(one.count(), 2);
        assert_eq!(one.percentiles().p50_us, 1);
        assert!(one.percentiles().max_us >= LATENCY_US_MAX / 100 * 99);
        assert_eq!(Histogram::new().percentiles().max_us, 0);
    }
}
