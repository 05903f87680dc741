//! What a node says about itself.

use crate::{Heaviest, lateness::View, owner::Owner};
use evenkeel_engine::{OutboxStats, Role, Time};
use evenkeel_log::{Log, Offset, PartitionId};
use std::sync::{
    Mutex, OnceLock, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

/// A node at one moment.
#[derive(Debug, Clone)]
pub struct NodeStats {
    /// Every partition.
    pub partitions: Vec<PartitionStats>,
    /// The log.
    pub log: evenkeel_log::LogStats,
    /// Flushes of memtables to the store.
    pub flushes: u64,
    /// Snapshots written.
    pub snapshots: u64,
    /// What the last flush or snapshot failed with; `None` once one succeeded.
    pub store_error: Option<String>,
    /// Why the log takes no more records and the process must end, if that is so.
    pub log_failed: Option<String>,
}

/// A partition at one moment.
#[derive(Debug, Clone)]
pub struct PartitionStats {
    /// Which.
    pub partition: PartitionId,
    /// Whether this node leads it.
    pub leads: bool,
    /// Its last durable offset.
    pub offset: u64,
    /// Requests that wait to be decided.
    pub waiting: u64,
    /// State that is not flushed, in bytes.
    pub memtable_bytes: u64,
    /// Timers that are due and not yet turned into effects; not counted beyond 1,000.
    pub timers_due: u64,
    /// Work for other partitions that they have not acknowledged.
    pub outbox_rows: u64,
    /// How long the oldest of it has waited.
    pub outbox_age_ms: u64,
    /// Work of other partitions that could not be done and is kept.
    pub dead_deliveries: u64,
    /// How many commands were answered together, that is by one batch.
    pub batches: BatchStats,
    /// The heaviest keys and tenants.
    pub heaviest: Heaviest,
    /// Why it is not served, if it is not.
    pub quarantined: Option<String>,
}

/// The number of batch sizes that are told apart; the last one takes everything beyond 1,024.
pub const BATCH_BUCKETS: usize = 12;

/// The sizes of a partition's batches since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BatchStats {
    /// Commands answered.
    pub commands: u64,
    /// Batches of at most 2^index commands, but more than half of that.
    pub sizes: [u64; BATCH_BUCKETS],
}

/// What an owner publishes about its partition; read without asking it.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    leads: AtomicBool,
    offset: AtomicU64,
    waiting: AtomicU64,
    memtable_bytes: AtomicU64,
    timers_due: AtomicU64,
    outbox_rows: AtomicU64,
    /// When the oldest was sent; 0 if there is none.
    outbox_oldest: AtomicU64,
    /// Of each view, by the partition that it is of.
    views_since: [Box<[AtomicU64]>; View::ALL.len()],
    dead_deliveries: AtomicU64,
    commands: AtomicU64,
    batch_sizes: [AtomicU64; BATCH_BUCKETS],
    heaviest: Mutex<Heaviest>,
    quarantined: OnceLock<String>,
}

impl Gauges {
    /// Before anything is answered that rests on `offset`: whoever hears the answer may name it
    /// at once.
    pub(crate) fn set_offset(&self, offset: Offset) {
        self.offset.store(offset.0, Ordering::Release);
    }

    pub(crate) fn offset(&self) -> Offset {
        Offset(self.offset.load(Ordering::Acquire))
    }

    /// Whether an answer may have named `offset`. Of a partition that is out of service nobody
    /// can tell: its log may have ended before that was read.
    pub(crate) fn may_have_shown(&self, offset: Offset) -> bool {
        offset.0 <= self.offset.load(Ordering::Acquire) || self.quarantined().is_some()
    }

    pub(crate) fn set(&self, role: Role, waiting: usize, memtable_bytes: usize) {
        let leads = role == Role::Owner && self.quarantined.get().is_none();
        self.leads.store(leads, Ordering::Relaxed);
        self.waiting.store(waiting as u64, Ordering::Relaxed);
        self.memtable_bytes.store(memtable_bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn set_timers_due(&self, count: usize) {
        self.timers_due.store(count as u64, Ordering::Relaxed);
    }

    /// Answers how many deliveries were dead before.
    pub(crate) fn set_outbox(&self, stats: &OutboxStats) -> u64 {
        self.outbox_rows.store(stats.rows, Ordering::Relaxed);
        self.outbox_oldest.store(stats.oldest.map_or(0, |at| at.0), Ordering::Relaxed);
        self.dead_deliveries.swap(stats.dead, Ordering::Relaxed)
    }

    /// Those of one of so many data partitions.
    pub(crate) fn of_one_of(partitions: u16) -> Self {
        let views_since = View::ALL.map(|_| (0..partitions).map(|_| AtomicU64::new(0)).collect());
        Self { views_since, ..Self::default() }
    }

    /// Since when a view of the partition `to` may not know what happened here. Answers whether it has come
    /// forward. Only the partition's owner calls it.
    pub(crate) fn set_behind(&self, view: View, to: PartitionId, since: Option<Time>) -> bool {
        let Some(cell) = self.views_since[view as usize].get(usize::from(to.0)) else {
            return false;
        };
        let (before, now) = (cell.load(Ordering::Relaxed), since.map_or(0, |at| at.0));
        if now != before {
            // Who reads of one partition that all has arrived reads what was said before that by the one it
            // went to.
            cell.store(now, Ordering::Release);
        }
        before > 0 && (now == 0 || now > before)
    }

    pub(crate) fn behind(&self, view: View, to: PartitionId) -> Option<Time> {
        let since = self.views_since[view as usize].get(usize::from(to.0))?.load(Ordering::Acquire);
        (since > 0).then_some(Time(since))
    }

    pub(crate) fn set_heaviest(&self, heaviest: Heaviest) {
        *self.heaviest.lock().unwrap_or_else(PoisonError::into_inner) = heaviest;
    }

    /// `commands` commands, more than none, were answered together.
    pub(crate) fn count_batch(&self, commands: usize) {
        let bucket = commands.next_power_of_two().trailing_zeros() as usize;
        self.batch_sizes[bucket.min(BATCH_BUCKETS - 1)].fetch_add(1, Ordering::Relaxed);
        self.commands.fetch_add(commands as u64, Ordering::Relaxed);
    }

    /// The partition is out of service until the process restarts. The first reason stays.
    pub(crate) fn quarantine(&self, why: String) {
        let _ = self.quarantined.set(why);
        self.leads.store(false, Ordering::Relaxed);
    }

    pub(crate) fn quarantined(&self) -> Option<&str> {
        self.quarantined.get().map(String::as_str)
    }

    pub(crate) fn snapshot(&self, partition: PartitionId, now: Time) -> PartitionStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let oldest = Some(read(&self.outbox_oldest)).filter(|at| *at > 0);
        PartitionStats {
            partition,
            leads: self.leads.load(Ordering::Relaxed),
            offset: read(&self.offset),
            waiting: read(&self.waiting),
            memtable_bytes: read(&self.memtable_bytes),
            timers_due: read(&self.timers_due),
            outbox_rows: read(&self.outbox_rows),
            outbox_age_ms: oldest.map_or(0, |at| now.0.saturating_sub(at)),
            dead_deliveries: read(&self.dead_deliveries),
            batches: BatchStats {
                commands: read(&self.commands),
                sizes: std::array::from_fn(|index| read(&self.batch_sizes[index])),
            },
            heaviest: self.heaviest.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            quarantined: self.quarantined().map(str::to_owned),
        }
    }
}

/// Counters of the whole node.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) flushes: AtomicU64,
    pub(crate) snapshots: AtomicU64,
    pub(crate) store_error: Mutex<Option<String>>,
}

impl Counters {
    pub(crate) fn last_store_error(&self) -> Option<String> {
        self.store_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes how work on the store ended.
    pub(crate) fn store_result(&self, result: Result<(), String>) {
        *self.store_error.lock().unwrap_or_else(PoisonError::into_inner) = result.err();
    }
}

/// How often timers that are late are counted.
const COUNT_TIMERS_EVERY_MS: u64 = 100;
/// They are not counted beyond this.
const TIMERS_COUNTED_MAX: usize = 1_000;

impl<L: Log> Owner<L> {
    /// Publishes how many timers are late.
    pub(crate) fn count_late_timers(&mut self, now: Time) {
        if self.partition.next_wake().is_none_or(|due| due > now) {
            return self.gauges.set_timers_due(0);
        }
        if now < self.timers_counted_at.plus_ms(COUNT_TIMERS_EVERY_MS) {
            return;
        }
        self.timers_counted_at = now;
        if let Ok(due) = self.partition.timers_due(now, TIMERS_COUNTED_MAX) {
            self.gauges.set_timers_due(due);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_falls_into_the_bucket_of_its_size() {
        let gauges = Gauges::default();
        for commands in [1, 2, 3, 4, 5, 1_024, 1_025, 100_000] {
            gauges.count_batch(commands);
        }
        let batches = gauges.snapshot(PartitionId(0), Time(0)).batches;
        assert_eq!(batches.sizes, [1, 1, 2, 1, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(batches.commands, 102_064);
    }

    #[test]
    fn who_is_out_of_service_does_not_lead() {
        let gauges = Gauges::default();
        gauges.quarantine("first".into());
        gauges.quarantine("second".into());
        gauges.set(Role::Owner, 0, 0);
        let stats = gauges.snapshot(PartitionId(0), Time(0));
        assert_eq!((stats.leads, stats.quarantined.as_deref()), (false, Some("first")));
    }
}
