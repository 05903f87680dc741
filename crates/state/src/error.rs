//! One enum for each operation that can fail.

use evenkeel_log::{Epoch, Incarnation, Kind, PartitionId, Tail};
use std::path::PathBuf;

/// Why rows could not be read or flushed. Nothing durable is lost by any of these: the log rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// A row's bytes are of no version that this program knows, or are damaged.
    #[error("a row of table `{table}` cannot be read by this version")]
    Row {
        /// [`crate::Table::NAME`].
        table: &'static str,
    },
    /// A key's bytes are not of the table's key type.
    #[error("a key of table `{table}` cannot be read by this version")]
    Key {
        /// [`crate::Table::NAME`].
        table: &'static str,
    },
    /// The device failed, or does not let this program have the file; nothing is known to be
    /// wrong with what is stored. The store must be reopened before it is used again.
    #[error("the state store failed: {0}")]
    Io(String),
    /// The store failed earlier and was not reopened since.
    #[error("the state store is closed since it failed; it has to be reopened")]
    Closed,
    /// The store lives in memory: reopening it would forget everything.
    #[error("a state store in memory cannot be reopened")]
    NotReopenable,
    /// The store's file is of another format.
    #[error("state store format {0} is unknown to this version")]
    Format(u32),
    /// The store's file holds what no version writes.
    #[error("the state store is damaged: {0}")]
    Damaged(String),
    /// A flush would have left out records between what is stored and what it holds.
    #[error("partition {partition}: the flush starts after offset {}, the store ends at {}", .from.offset, .stored.offset)]
    Gap {
        /// The partition.
        partition: PartitionId,
        /// What the flush continues.
        from: Tail,
        /// What the store has.
        stored: Tail,
    },
    /// Snapshots are restored into an empty store only.
    #[error("the state store is not empty")]
    NotEmpty,
}

impl StateError {
    /// Whether what is wrong is the file and not the way to it: then it has to be rebuilt, and
    /// else it must not be touched.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Format(_) | Self::Damaged(_))
    }

    /// Whether the store could not be read, and may be readable once it was opened again.
    #[must_use]
    pub fn is_store_failure(&self) -> bool {
        matches!(self, Self::Io(_) | Self::Closed | Self::Damaged(_))
    }
}

/// Why a record cannot follow what was applied. The state is unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// The record is of another partition.
    #[error("the record belongs to partition {0}")]
    Partition(PartitionId),
    /// The record does not follow the last one applied.
    #[error("the record follows {expected:?}, the state has applied {applied:?}")]
    Chain {
        /// What the record follows.
        expected: Tail,
        /// What the state is at.
        applied: Tail,
    },
    /// The record is of a life of the log that cannot be at this place.
    #[error("a {kind:?} of incarnation {record} cannot follow incarnation {applied}")]
    Incarnation {
        /// The record's kind.
        kind: Kind,
        /// The record's incarnation.
        record: Incarnation,
        /// The state's.
        applied: Incarnation,
    },
    /// The record is of an epoch that cannot be at this place.
    #[error("a {kind:?} of epoch {record} cannot follow epoch {applied}")]
    Epoch {
        /// The record's kind.
        kind: Kind,
        /// The record's epoch.
        record: Epoch,
        /// The state's.
        applied: Epoch,
    },
    /// Record time went back.
    #[error("the record's time {record_ms} ms is before {applied_ms} ms")]
    Time {
        /// The record's time.
        record_ms: u64,
        /// The state's.
        applied_ms: u64,
    },
    /// The record's body is not effects.
    #[error(transparent)]
    Effects(#[from] EffectsError),
}

/// Why bytes are not effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EffectsError {
    /// Written by a newer program.
    #[error("effects format {0} is unknown to this version")]
    Version(u8),
    /// Written by a newer program.
    #[error("effect kind {0} is unknown to this version")]
    Kind(u8),
    /// The bytes end inside an effect.
    #[error("the effects are cut short")]
    Truncated,
    /// A length is not written as this format writes it.
    #[error("a length in the effects is malformed")]
    Length,
    /// Dropped prefixes come first; each group is in strictly ascending order of key.
    #[error("the effects are out of order")]
    Order,
    /// A key or prefix without bytes names no table.
    #[error("an effect names no table")]
    NoTable,
}

/// Why a snapshot could not be written, read or restored.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The device failed.
    #[error("snapshot {}: {source}", .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not a whole snapshot.
    #[error("snapshot {} is damaged: {what}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Written by a newer program.
    #[error("snapshot {}: format {version} is unknown to this version", .path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its format.
        version: u8,
    },
    /// The store beneath failed.
    #[error(transparent)]
    State(#[from] StateError),
}
