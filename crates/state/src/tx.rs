//! A transaction: commands decide on it, and what they wrote becomes one record.

use crate::layer::{Dropped, Layer};
use crate::levels::Levels;
use crate::{Found, KeyBytes, KeyCodec, Order, Read, Row, StateError, Table};
use std::ops::RangeBounds;

/// A mutable [`Layer`] over a state. Reads see its own writes. Dropping it forgets them.
///
/// Several commands share one: each begins with a [`Savepoint`], and a refusal rolls back to it, so
/// that the others' writes stay.
pub struct Tx<'a> {
    below: Levels<'a>,
    top: Layer,
    /// What the writes replaced, oldest first.
    undo: Vec<Undo>,
    /// The keys of `undo`, one after the other.
    undo_keys: Vec<u8>,
    written: Written,
    row: Vec<u8>,
}

/// A point to return to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Savepoint {
    undo: usize,
    written: Written,
}

/// All writes so far, whatever they replaced: so that what a command may write does not depend on
/// what the commands before it wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Written {
    rows: usize,
    bytes: usize,
}

/// What the layer said before a write.
enum Undo {
    /// Of a key that was written.
    Row {
        /// Where the key starts in `undo_keys`; it ends where that ends.
        key_start: usize,
        before: Option<Option<Box<[u8]>>>,
    },
    /// Of the keys that were dropped.
    Drop(Dropped),
}

impl<'a> Tx<'a> {
    /// Goes on from what an earlier transaction over the same state has written.
    pub(crate) fn over(below: Levels<'a>, top: Layer) -> Self {
        Self {
            below,
            top,
            undo: Vec::new(),
            undo_keys: Vec::new(),
            written: Written::default(),
            row: Vec::new(),
        }
    }

    /// Puts `row` under `key`, whether or not there is one.
    pub fn put<T: Table>(&mut self, key: &T::Key, row: &T::Row) {
        self.row.clear();
        row.encode(&mut self.row);
        let row = self.row.as_slice().into();
        self.write(encode_key::<T>(key), Some(row));
    }

    /// Deletes the row under `key`, if there is one.
    pub fn delete<T: Table>(&mut self, key: &T::Key) {
        self.write(encode_key::<T>(key), None);
    }

    fn write(&mut self, key: KeyBytes, value: Option<Box<[u8]>>) {
        self.written.rows += 1;
        self.written.bytes += crate::effects::row_bytes(key.len(), value.as_deref());
        let key_start = self.undo_keys.len();
        self.undo_keys.extend_from_slice(&key);
        let before = self.top.write(key, value);
        self.undo.push(Undo::Row { key_start, before });
    }

    /// Deletes all rows whose key starts with `prefix` (the key's first parts; `&()` is the whole
    /// table).
    pub fn drop_prefix<T: Table>(&mut self, prefix: &impl KeyCodec) {
        let mut bytes = KeyBytes::from_slice(&[T::ID]);
        prefix.encode(&mut bytes);
        self.written.rows += 1;
        self.written.bytes += crate::effects::drop_bytes(bytes.len());
        let dropped = self.top.drop_prefix(bytes);
        self.undo.push(Undo::Drop(dropped));
    }

    /// Where [`Tx::rollback`] can return to.
    pub fn savepoint(&self) -> Savepoint {
        Savepoint { undo: self.undo.len(), written: self.written }
    }

    /// Undoes every write since `savepoint`, as if it had never been.
    ///
    /// # Panics
    /// If the transaction was rolled back beyond `savepoint` already.
    pub fn rollback(&mut self, savepoint: Savepoint) {
        assert!(
            savepoint.undo <= self.undo.len(),
            "a savepoint is left once, by a rollback to it or to an earlier one"
        );
        while self.undo.len() > savepoint.undo {
            match self.undo.pop() {
                Some(Undo::Row { key_start, before }) => {
                    self.top.restore(&self.undo_keys[key_start..], before);
                    self.undo_keys.truncate(key_start);
                }
                Some(Undo::Drop(dropped)) => self.top.undrop(dropped),
                None => break,
            }
        }
        self.written = savepoint.written;
    }

    /// The number of writes since `savepoint`. A row written twice counts twice.
    #[must_use]
    pub fn rows_since(&self, savepoint: &Savepoint) -> usize {
        self.written.rows - savepoint.written.rows
    }

    /// The size of the effects written since `savepoint`. A row written twice counts twice.
    #[must_use]
    pub fn bytes_since(&self, savepoint: &Savepoint) -> usize {
        self.written.bytes - savepoint.written.bytes
    }

    /// The number of rows that the record will write.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.top.rows()
    }

    /// The exact size that the record's body will have.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.top.bytes()
    }

    /// Ends it, answering what it wrote.
    #[must_use]
    pub fn finish(self) -> Layer {
        self.top
    }
}

impl Read for Tx<'_> {
    fn get<T: Table>(&self, key: &T::Key) -> Result<Option<T::Row>, StateError> {
        self.below.get::<T>(Some(&self.top), key)
    }

    fn contains<T: Table>(&self, key: &T::Key) -> Result<bool, StateError> {
        Ok(self.below.with_row::<T, _>(Some(&self.top), key, |_| ())?.is_some())
    }

    fn scan<T: Table>(
        &self,
        range: impl RangeBounds<T::Key>,
        order: Order,
        limit: usize,
    ) -> Result<Found<T>, StateError> {
        self.below.scan::<T>(Some(&self.top), &range, order, limit)
    }

    fn scan_prefix<T: Table>(
        &self,
        prefix: &impl KeyCodec,
        after: Option<&T::Key>,
        order: Order,
        limit: usize,
    ) -> Result<Found<T>, StateError> {
        self.below.scan_prefix::<T>(Some(&self.top), prefix, after, order, limit)
    }
}

fn encode_key<T: Table>(key: &T::Key) -> KeyBytes {
    let mut bytes = KeyBytes::from_slice(&[T::ID]);
    key.encode(&mut bytes);
    bytes
}
