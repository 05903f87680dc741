//! The rows in the store, as of one flush: the lowest thing that a read comes to.

use crate::layer::KeyRange;
use crate::{Applied, StateError};
use evenkeel_log::PartitionId;
use redb::ReadOnlyTable;
use std::io::ErrorKind;

/// The store's keys: the partition, big-endian, then the key.
pub(crate) const PARTITION_BYTES: usize = 2;

/// Rows of the store.
pub(crate) type StoredRows = ReadOnlyTable<&'static [u8], &'static [u8]>;
pub(crate) type StoredRange = redb::Range<'static, &'static [u8], &'static [u8]>;

/// One consistent view of the store, shared by everyone until the next flush. It is held only for
/// the time of a batch or a query: pages that a view can see cannot be reused.
pub(crate) struct Base {
    /// `None` since the store failed.
    pub(crate) rows: Option<StoredRows>,
    /// What each partition in the store has applied; in order of partition.
    pub(crate) applied: Vec<(PartitionId, Applied)>,
}

impl Base {
    /// What is left when the store failed.
    pub(crate) fn closed() -> Self {
        Self { rows: None, applied: Vec::new() }
    }

    /// What `partition` has applied here; `None` if the store has nothing of it.
    pub(crate) fn applied(&self, partition: PartitionId) -> Option<Applied> {
        let at = self.applied.binary_search_by_key(&partition, |(id, _)| *id).ok()?;
        Some(self.applied[at].1)
    }

    pub(crate) fn rows(&self) -> Result<&StoredRows, StateError> {
        self.rows.as_ref().ok_or(StateError::Closed)
    }

    /// Gives the row under `key` (with its partition) to `read`.
    pub(crate) fn with_row<R>(
        &self,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>, StateError> {
        Ok(self.rows()?.get(key)?.map(|row| read(row.value())))
    }

    /// The rows within `range` (keys with their partition).
    pub(crate) fn range(&self, range: KeyRange<'_>) -> Result<StoredRange, StateError> {
        Ok(self.rows()?.range::<&[u8]>(range)?)
    }
}

impl From<redb::StorageError> for StateError {
    fn from(error: redb::StorageError) -> Self {
        use redb::StorageError as Error;
        match error {
            Error::PreviousIo | Error::DatabaseClosed => Self::Closed,
            Error::Corrupted(what) => Self::Damaged(what),
            // What was read is no database, or ends before what it says to hold.
            Error::Io(error)
                if matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) =>
            {
                Self::Damaged(error.to_string())
            }
            error => Self::Io(error.to_string()),
        }
    }
}

impl From<redb::DatabaseError> for StateError {
    fn from(error: redb::DatabaseError) -> Self {
        match error {
            redb::DatabaseError::Storage(error) => error.into(),
            redb::DatabaseError::UpgradeRequired(version) => Self::Format(version.into()),
            // Others have it open.
            error => Self::Io(error.to_string()),
        }
    }
}

/// The tables are always asked for by the same names and types.
impl From<redb::TableError> for StateError {
    fn from(error: redb::TableError) -> Self {
        match error {
            redb::TableError::Storage(error) => error.into(),
            error => Self::Damaged(error.to_string()),
        }
    }
}

macro_rules! io_errors {
    ($($error:ident),*) => {$(
        impl From<redb::$error> for StateError {
            fn from(error: redb::$error) -> Self {
                match error {
                    redb::$error::Storage(error) => error.into(),
                    error => Self::Io(error.to_string()),
                }
            }
        }
    )*};
}
io_errors!(TransactionError, CommitError);
