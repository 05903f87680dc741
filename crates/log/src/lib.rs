//! The durable, replayable truth: one hash-chained sequence of records a partition.
//!
//! The only operation that coordinates anything in Evenkeel is [`Log::append`]: it succeeds only
//! if the partition's tail is still the record that the new one names as its predecessor, by
//! offset *and* hash. That one condition is replication, durability and fencing.
//!
//! This crate knows nothing of what a record's body means (see `evenkeel-state` for effects), and
//! holds no election, no membership and no consensus: agreement belongs to the backend.

mod chain;
pub mod conformance;
pub mod faults;
mod fs;
mod group;
mod ids;
mod index;
mod local;
mod reader;
mod record;
mod recovery;
mod rng;
mod scan;
mod segment;
pub mod sim;
mod stats;
mod wal;

pub use fs::{File, Files, LockError, RealFiles, Sharing, create_directory, sync_directory};
pub use ids::{Epoch, Hash, Incarnation, Offset, PartitionId, Tail};
pub use local::{LocalLog, LocalOptions};
pub use reader::WalReader;
pub use record::{
    BODY_BYTES_MAX, HEADER_BYTES, Header, Kind, RECORD_BYTES_MAX, Record, RecordError,
};
pub use recovery::{Recovered, RecoveredPartition, Torn, inspect, verify};
pub use scan::{Damage, Placed};
pub use stats::{LogStats, SYNC_BUCKETS};
pub use wal::{Staged, Wal, WalError, WalOptions};

use std::future::Future;

/// Why an append did not answer with a new tail.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// The tail is not the record's predecessor: certainly no effect *by this call*. (An earlier
    /// submission of the identical bytes may be the record that occupies the offset: read it.)
    #[error("the log's tail is offset {}, not the predecessor of the record", .tail.offset)]
    Conflict {
        /// The tail that the log has instead.
        tail: Tail,
    },
    /// There was no room. Certainly no effect; may be tried again.
    #[error("no space to append: {0}")]
    Full(String),
    /// The partition is not served: its log is damaged. Certainly no effect.
    #[error("the partition is quarantined: {0}")]
    Quarantined(String),
    /// Nobody knows whether the record is, or will be, in the log. Absence is no evidence:
    /// submit the identical bytes again until some record occupies the offset.
    #[error("the append's outcome is unknown: {0}")]
    Indeterminate(String),
}

/// Why a read failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// Records before `first` were trimmed: start from a snapshot.
    #[error("records before offset {first} were trimmed")]
    Trimmed {
        /// The first offset that can still be read.
        first: Offset,
    },
    /// The partition's log is damaged at or after this point.
    #[error("the partition is quarantined: {0}")]
    Quarantined(String),
    /// The device or the service failed.
    #[error("the log cannot be read: {0}")]
    Io(String),
}

/// A log of many partitions.
///
/// Implementations pass the suite in [`conformance`], whatever lies beneath.
pub trait Log: Send + Sync + 'static {
    /// Appends `record` if the tail of its partition is still [`Record::expected`]. `Ok` means
    /// durable, as durable as this log ever makes anything; the new tail is [`Record::tail`].
    ///
    /// Records go to the log in the order in which `append` is called, so that several of one
    /// partition may be in flight; the future is for the answer.
    ///
    /// Dropping the future does not withdraw the append: its outcome is then indeterminate.
    fn append(&self, record: Record) -> impl Future<Output = Result<Tail, AppendError>> + Send;

    /// Up to `bytes_max` of records (at least one, if there is any) from `from` on, in order.
    /// Empty at the tail. Only durable records are shown.
    fn read(
        &self,
        partition: PartitionId,
        from: Offset,
        bytes_max: usize,
    ) -> impl Future<Output = Result<Vec<Record>, ReadError>> + Send;

    /// The durable tail; [`Tail::EMPTY`] of a partition that was never written.
    fn tail(&self, partition: PartitionId) -> impl Future<Output = Result<Tail, ReadError>> + Send;

    /// Waits until the durable tail's offset is beyond `past`, then answers it.
    fn tail_past(
        &self,
        partition: PartitionId,
        past: Offset,
    ) -> impl Future<Output = Result<Tail, ReadError>> + Send;

    /// Allows the log to forget records below `below`. The tail's offset and hash are never
    /// forgotten. Forgetting is lazy, so some may stay readable; what [`ReadError::Trimmed`] says rules.
    fn trim(
        &self,
        partition: PartitionId,
        below: Offset,
    ) -> impl Future<Output = Result<(), ReadError>> + Send;
}
