//! What the log's writer counts, for metrics. Counters only: nothing is decided by them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The number of latency buckets; the last one takes everything beyond about 8 s.
pub const SYNC_BUCKETS: usize = 24;

/// The counters themselves. One writer, any number of readers.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    groups: AtomicU64,
    records: AtomicU64,
    bytes: AtomicU64,
    syncs: AtomicU64,
    sync_us_sum: AtomicU64,
    sync_us_max: AtomicU64,
    sync_us_buckets: [AtomicU64; SYNC_BUCKETS],
}

/// What was counted since the log was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogStats {
    /// Groups written.
    pub groups: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of them, headers included.
    pub bytes: u64,
    /// Syncs of groups asked for.
    pub syncs: u64,
    /// How long these took altogether, in microseconds.
    pub sync_us_sum: u64,
    /// How long the longest took.
    pub sync_us_max: u64,
    /// How many took less than 2^index microseconds, but not less than half of that.
    pub sync_us_buckets: [u64; SYNC_BUCKETS],
}

impl Meter {
    pub(crate) fn count_group(&self, records: usize, bytes: usize) {
        self.groups.fetch_add(1, Ordering::Relaxed);
        self.records.fetch_add(records as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn count_sync(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = (u64::BITS - us.leading_zeros()) as usize;
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.sync_us_sum.fetch_add(us, Ordering::Relaxed);
        self.sync_us_max.fetch_max(us, Ordering::Relaxed);
        self.sync_us_buckets[bucket.min(SYNC_BUCKETS - 1)].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> LogStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LogStats {
            groups: read(&self.groups),
            records: read(&self.records),
            bytes: read(&self.bytes),
            syncs: read(&self.syncs),
            sync_us_sum: read(&self.sync_us_sum),
            sync_us_max: read(&self.sync_us_max),
            sync_us_buckets: std::array::from_fn(|index| read(&self.sync_us_buckets[index])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_falls_into_the_bucket_of_its_power_of_two() {
        let meter = Meter::default();
        for (us, bucket) in [(0, 0), (1, 1), (2, 2), (3, 2), (1024, 11), (u64::MAX >> 12, 23)] {
            let before = meter.snapshot().sync_us_buckets[bucket];
            meter.count_sync(Duration::from_micros(us));
            assert_eq!(meter.snapshot().sync_us_buckets[bucket], before + 1, "{us} µs");
        }
        assert_eq!(meter.snapshot().syncs, 6);
    }
}
