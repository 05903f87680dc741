//! What a table is, and what can be read from it wherever its rows are.

use crate::{KeyCodec, Memo, Row, StateError};
use std::{ops::RangeBounds, sync::Arc};

/// A typed table. The type is a name only; it is never made.
pub trait Table {
    /// The first byte of every key; fixed for ever, unique over all tables.
    const ID: u8;
    /// For errors and `log inspect`.
    const NAME: &'static str;
    /// The key; its order is the table's order.
    type Key: KeyCodec;
    /// The row.
    type Row: Row;
}

/// What a scan answers: keys and rows, in the scan's order.
pub type Found<T> = Vec<(<T as Table>::Key, <T as Table>::Row)>;

/// The direction of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Least key first.
    Ascending,
    /// Greatest key first.
    Descending,
}

/// Reading of tables: of what is committed ([`crate::View`]) or with a transaction's own writes
/// ([`crate::Tx`]).
pub trait Read {
    /// The row under `key`.
    fn get<T: Table>(&self, key: &T::Key) -> Result<Option<T::Row>, StateError>;

    /// Whether there is a row under `key`; the row is not decoded.
    fn contains<T: Table>(&self, key: &T::Key) -> Result<bool, StateError>;

    /// Up to `limit` rows within `range`, in `order`.
    ///
    /// The cost is that of the rows answered *and of the deletions passed over that were not flushed
    /// yet*: who takes from the front of a queue keeps the last key taken, and starts there.
    fn scan<T: Table>(
        &self,
        range: impl RangeBounds<T::Key>,
        order: Order,
        limit: usize,
    ) -> Result<Found<T>, StateError>;

    /// Up to `limit` rows whose key starts with `prefix` (the key's first parts), in `order`; those
    /// beyond `after` in that order, if it is given.
    fn scan_prefix<T: Table>(
        &self,
        prefix: &impl KeyCodec,
        after: Option<&T::Key>,
        order: Order,
        limit: usize,
    ) -> Result<Found<T>, StateError>;

    /// What is made of the rows under `number`: of committed ones it may have been made before.
    fn memo<M: Memo>(&self, number: u64) -> Result<Arc<M>, StateError>
    where
        Self: Sized,
    {
        M::make(self, number).map(Arc::new)
    }
}
