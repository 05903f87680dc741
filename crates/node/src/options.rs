//! What a node is opened with, and why it may not open.

use std::{path::PathBuf, time::Duration};

/// How a node runs.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// The directory of everything it keeps.
    pub data: PathBuf,
    /// Whether an empty directory may become a new, empty log.
    pub init: bool,
    /// Partitions of a new log. Of an existing one, what it was created with rules.
    pub partitions: u16,
    /// Tasks that drive partitions, each a share of them. One keeps two cores busy; more are for
    /// machines where deciding alone takes more than a core.
    pub hosts: usize,
    /// Bytes of the log's segments.
    pub segment_bytes: u64,
    /// The most that all memtables together should take before they are flushed.
    pub memtable_bytes: usize,
    /// redb's cache.
    pub cache_bytes: usize,
    /// The most that is kept of what was made of rows, over all partitions.
    pub memo_bytes: usize,
    /// Bytes of log after which a snapshot is written and the log trimmed.
    pub snapshot_every_bytes: u64,
    /// How often the log's growth is looked at.
    pub maintenance_every: Duration,
    /// Checks of limits over several partitions that may be under way at once, until what they counted
    /// in vain is given back; the next is overloaded, and so is one of a tenant that has more of them
    /// than it leaves free.
    pub across_max: u32,
    /// How long a stop may take before it is cut short.
    pub shutdown_max: Duration,
    /// The limits of each partition.
    pub engine: evenkeel_engine::Options,
}

impl NodeOptions {
    /// The defaults, for `data`.
    #[must_use]
    pub fn new(data: PathBuf) -> Self {
        Self {
            data,
            init: false,
            partitions: 16,
            hosts: 1,
            segment_bytes: 64 << 20,
            memtable_bytes: 96 << 20,
            cache_bytes: 64 << 20,
            memo_bytes: 128 << 20,
            snapshot_every_bytes: 512 << 20,
            maintenance_every: Duration::from_secs(5),
            across_max: 4_096,
            shutdown_max: Duration::from_secs(10),
            engine: evenkeel_engine::Options::default(),
        }
    }
}

/// Why a node does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The log does not open: locked, not initialised, or not readable.
    #[error("{0}")]
    Log(String),
    /// The store does not open and could not be rebuilt.
    #[error("the state cannot be opened: {0}")]
    State(String),
}
