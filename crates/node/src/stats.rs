//! What a node says about itself.

use evenkeel_engine::Role;
use evenkeel_log::PartitionId;
use std::sync::{
    Mutex, PoisonError,
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
    /// Why it is not served, if it is not.
    pub quarantined: Option<String>,
}

/// What an owner publishes about its partition; read without asking it.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    leads: AtomicBool,
    offset: AtomicU64,
    waiting: AtomicU64,
    memtable_bytes: AtomicU64,
    quarantined: Mutex<Option<String>>,
}

impl Gauges {
    pub(crate) fn set(&self, role: Role, offset: u64, waiting: usize, memtable_bytes: usize) {
        self.leads.store(role == Role::Owner, Ordering::Relaxed);
        self.offset.store(offset, Ordering::Relaxed);
        self.waiting.store(waiting as u64, Ordering::Relaxed);
        self.memtable_bytes.store(memtable_bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn quarantine(&self, why: String) {
        self.leads.store(false, Ordering::Relaxed);
        *self.quarantined.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    pub(crate) fn is_quarantined(&self) -> bool {
        self.quarantined.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    pub(crate) fn snapshot(&self, partition: PartitionId) -> PartitionStats {
        let quarantined = self.quarantined.lock().unwrap_or_else(PoisonError::into_inner);
        PartitionStats {
            partition,
            leads: self.leads.load(Ordering::Relaxed),
            offset: self.offset.load(Ordering::Relaxed),
            waiting: self.waiting.load(Ordering::Relaxed),
            memtable_bytes: self.memtable_bytes.load(Ordering::Relaxed),
            quarantined: quarantined.clone(),
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
    /// Notes how work on the store ended.
    pub(crate) fn store_result(&self, result: Result<(), String>) {
        *self.store_error.lock().unwrap_or_else(PoisonError::into_inner) = result.err();
    }
}
