//! Reading through layers: newest first, then the rows of the store.

use crate::base::{Base, PARTITION_BYTES, StoredRange};
use crate::key::after_prefix;
use crate::layer::{KeyRange, Layer, Lookup, Value};
use crate::{Found, KeyBytes, KeyCodec, Order, Row, StateError, Table};
use evenkeel_log::PartitionId;
use redb::AccessGuard;
use smallvec::SmallVec;
use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::btree_map;
use std::ops::{Bound, ControlFlow, RangeBounds};
use std::sync::Arc;

type StoredBytes = AccessGuard<'static, &'static [u8]>;

/// What a partition has applied, and batches in flight over it.
pub(crate) struct Levels<'a> {
    pub(crate) partition: PartitionId,
    /// Oldest first.
    pub(crate) in_flight: &'a [&'a Layer],
    pub(crate) memtable: &'a Layer,
    pub(crate) frozen: Option<&'a Layer>,
    /// `None` if the store has nothing of this partition.
    pub(crate) base: Option<Arc<Base>>,
    /// A buffer for the keys of reads, so that a long key does not cost an allocation each.
    pub(crate) key: Cell<KeyBytes>,
}

impl Levels<'_> {
    /// The row under `key`, over `top` if it is given.
    pub(crate) fn get<T: Table>(
        &self,
        top: Option<&Layer>,
        key: &T::Key,
    ) -> Result<Option<T::Row>, StateError> {
        let row = self.with_row::<T, _>(top, key, T::Row::decode)?;
        row.map(|row| row.ok_or(StateError::Row { table: T::NAME })).transpose()
    }

    /// Gives the row under `key` to `read`, if there is one.
    pub(crate) fn with_row<T: Table, R>(
        &self,
        top: Option<&Layer>,
        key: &T::Key,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>, StateError> {
        let mut bytes = self.key.take();
        bytes.clear();
        bytes.push(T::ID);
        key.encode(&mut bytes);
        let row = self.with_bytes(top, &bytes, read);
        self.key.set(bytes);
        row
    }

    /// The same, of an encoded key.
    fn with_bytes<R>(
        &self,
        top: Option<&Layer>,
        key: &KeyBytes,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>, StateError> {
        for layer in self.layers(top) {
            match layer.lookup(key) {
                Lookup::Put(row) => return Ok(Some(read(row))),
                Lookup::Deleted => return Ok(None),
                Lookup::Unknown => {}
            }
        }
        let Some(base) = &self.base else { return Ok(None) };
        let mut stored_key = KeyBytes::from_slice(&self.partition.0.to_be_bytes());
        stored_key.extend_from_slice(key);
        base.with_row(&stored_key, read)
    }

    /// The layers, newest first.
    fn layers<'b>(&'b self, top: Option<&'b Layer>) -> impl Iterator<Item = &'b Layer> {
        let in_flight = self.in_flight.iter().rev().copied();
        top.into_iter().chain(in_flight).chain([self.memtable]).chain(self.frozen)
    }

    /// Up to `limit` rows within `range`.
    pub(crate) fn scan<T: Table>(
        &self,
        top: Option<&Layer>,
        range: &impl RangeBounds<T::Key>,
        order: Order,
        limit: usize,
    ) -> Result<Found<T>, StateError> {
        let table = self.encode_prefix::<T>(&());
        let bound = |bound: Bound<&T::Key>| bound.map(|key| self.encode_prefix::<T>(key));
        let start = match bound(range.start_bound()) {
            Bound::Unbounded => Bound::Included(table.clone()),
            start => start,
        };
        let end = match bound(range.end_bound()) {
            Bound::Unbounded => after_prefix(&table).map_or(Bound::Unbounded, Bound::Excluded),
            end => end,
        };
        self.collect::<T>(top, (start, end), order, limit)
    }

    /// Up to `limit` rows whose key starts with `prefix`, beyond `after`.
    pub(crate) fn scan_prefix<T: Table>(
        &self,
        top: Option<&Layer>,
        prefix: &impl KeyCodec,
        after: Option<&T::Key>,
        order: Order,
        limit: usize,
    ) -> Result<Found<T>, StateError> {
        let prefix = self.encode_prefix::<T>(prefix);
        let mut end = after_prefix(&prefix).map_or(Bound::Unbounded, Bound::Excluded);
        let mut start = Bound::Included(prefix);
        if let Some(after) = after.map(|key| self.encode_prefix::<T>(key)) {
            // A cursor from elsewhere must not widen the scan beyond the prefix.
            match order {
                Order::Ascending if starts_before(&start, &after) => start = Bound::Excluded(after),
                Order::Descending if ends_after(&end, &after) => end = Bound::Excluded(after),
                _ => {}
            }
        }
        self.collect::<T>(top, (start, end), order, limit)
    }

    fn encode_prefix<T: Table>(&self, prefix: &impl KeyCodec) -> KeyBytes {
        let mut bytes = KeyBytes::from_slice(&self.partition.0.to_be_bytes());
        bytes.push(T::ID);
        prefix.encode(&mut bytes);
        bytes
    }

    fn collect<T: Table>(
        &self,
        top: Option<&Layer>,
        range: (Bound<KeyBytes>, Bound<KeyBytes>),
        order: Order,
        limit: usize,
    ) -> Result<Found<T>, StateError> {
        let mut found = Vec::new();
        if limit == 0 {
            return Ok(found);
        }
        self.visit(top, &range, order, |key, row| {
            let mut rest = key.get(1..).unwrap_or_default();
            let key = T::Key::decode(&mut rest).filter(|_| rest.is_empty());
            let key = key.ok_or(StateError::Key { table: T::NAME })?;
            let row = T::Row::decode(row).ok_or(StateError::Row { table: T::NAME })?;
            found.push((key, row));
            Ok(if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        Ok(found)
    }

    /// Gives every row of the partition to `visit`, in ascending order of key.
    pub(crate) fn visit_all(&self, mut visit: impl FnMut(&[u8], &[u8])) -> Result<(), StateError> {
        let partition = self.partition.0.to_be_bytes();
        let end = after_prefix(&partition).map_or(Bound::Unbounded, Bound::Excluded);
        let range = (Bound::Included(KeyBytes::from_slice(&partition)), end);
        self.visit(None, &range, Order::Ascending, |key, row| {
            visit(key, row);
            Ok(ControlFlow::Continue(()))
        })
    }

    /// Gives the rows within `range` (keys with their partition) to `visit` (keys without).
    fn visit(
        &self,
        top: Option<&Layer>,
        range: &(Bound<KeyBytes>, Bound<KeyBytes>),
        order: Order,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, StateError>,
    ) -> Result<(), StateError> {
        let range = (as_slice(&range.0), as_slice(&range.1));
        if is_inverted(range) {
            return Ok(());
        }
        let within = (range.0.map(|key| &key[PARTITION_BYTES..]), without_partition(range.1));
        let mut sources: SmallVec<[Source<'_>; 5]> = SmallVec::new();
        for layer in self.layers(top).filter(|layer| !layer.is_empty()) {
            sources.push(Source::of_layer(layer, within, order));
        }
        if let Some(base) = &self.base {
            sources.push(Source::of_base(base.range(range)?, order)?);
        }
        while let Some(next) = first_of(&sources, order) {
            let Some(head) = sources[next].advance(order)? else {
                break;
            };
            for source in &mut sources[next + 1..] {
                if source.head.as_ref().is_some_and(|other| other.key() == head.key()) {
                    source.advance(order)?;
                }
            }
            let Some(row) = head.row() else { continue };
            let hidden = sources[..next].iter().any(|newer| newer.hides(head.key()));
            if !hidden && visit(head.key(), row)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// The source with the next key; of several with the same key, the newest.
fn first_of(sources: &[Source<'_>], order: Order) -> Option<usize> {
    let mut first: Option<(usize, &[u8])> = None;
    for (at, source) in sources.iter().enumerate() {
        let Some(head) = &source.head else { continue };
        let sooner = match order {
            Order::Ascending => Ordering::Less,
            Order::Descending => Ordering::Greater,
        };
        if first.is_none_or(|(_, key)| head.key().cmp(key) == sooner) {
            first = Some((at, head.key()));
        }
    }
    first.map(|(at, _)| at)
}

/// One of the things that a scan merges: its rows, the next one taken off already.
struct Source<'a> {
    rows: Rows<'a>,
    head: Option<Head<'a>>,
    layer: Option<&'a Layer>,
}

enum Rows<'a> {
    Layer(btree_map::Range<'a, KeyBytes, Option<Value>>),
    /// Boxed: it is large, and there is one in a scan.
    Base(Box<StoredRange>),
}

enum Head<'a> {
    Layer(&'a KeyBytes, Option<&'a [u8]>),
    Base(StoredBytes, StoredBytes),
}

impl<'a> Source<'a> {
    fn of_layer(layer: &'a Layer, range: KeyRange<'_>, order: Order) -> Self {
        let mut rows = layer.range(range);
        let head = Head::of_layer(&mut rows, order);
        Self { rows: Rows::Layer(rows), head, layer: Some(layer) }
    }

    fn of_base(mut rows: StoredRange, order: Order) -> Result<Self, StateError> {
        let head = Head::of_base(&mut rows, order)?;
        Ok(Self { rows: Rows::Base(Box::new(rows)), head, layer: None })
    }

    /// Answers the head and takes the next.
    fn advance(&mut self, order: Order) -> Result<Option<Head<'a>>, StateError> {
        let next = match &mut self.rows {
            Rows::Layer(rows) => Head::of_layer(rows, order),
            Rows::Base(rows) => Head::of_base(rows, order)?,
        };
        Ok(std::mem::replace(&mut self.head, next))
    }

    /// Whether rows of older sources under `key` are no more.
    fn hides(&self, key: &[u8]) -> bool {
        self.layer.is_some_and(|layer| layer.drops_cover(key))
    }
}

impl<'a> Head<'a> {
    fn of_layer(
        rows: &mut btree_map::Range<'a, KeyBytes, Option<Value>>,
        order: Order,
    ) -> Option<Self> {
        let (key, row) = match order {
            Order::Ascending => rows.next()?,
            Order::Descending => rows.next_back()?,
        };
        Some(Self::Layer(key, row.as_deref()))
    }

    fn of_base(rows: &mut StoredRange, order: Order) -> Result<Option<Self>, StateError> {
        let next = match order {
            Order::Ascending => rows.next(),
            Order::Descending => rows.next_back(),
        };
        Ok(next.transpose()?.map(|(key, row)| Self::Base(key, row)))
    }

    /// The key without its partition.
    fn key(&self) -> &[u8] {
        match self {
            Self::Layer(key, _) => key,
            Self::Base(key, _) => &key.value()[PARTITION_BYTES..],
        }
    }

    /// `None` if the row is deleted.
    fn row(&self) -> Option<&[u8]> {
        match self {
            Self::Layer(_, row) => *row,
            Self::Base(_, row) => Some(row.value()),
        }
    }
}

fn as_slice(bound: &Bound<KeyBytes>) -> Bound<&[u8]> {
    bound.as_ref().map(KeyBytes::as_slice)
}

/// The end of a range without its partition. An end in the next partition is no end in this one.
fn without_partition(end: Bound<&[u8]>) -> Bound<&[u8]> {
    match end.map(|key| &key[PARTITION_BYTES.min(key.len())..]) {
        Bound::Excluded([]) => Bound::Unbounded,
        end => end,
    }
}

/// Whether nothing can be within `range`: the standard map's ranges panic on most such.
fn is_inverted(range: KeyRange<'_>) -> bool {
    match range {
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (
            Bound::Included(start) | Bound::Excluded(start),
            Bound::Excluded(end) | Bound::Included(end),
        ) => start >= end,
        _ => false,
    }
}

fn starts_before(start: &Bound<KeyBytes>, key: &KeyBytes) -> bool {
    match start {
        Bound::Included(start) | Bound::Excluded(start) => start <= key,
        Bound::Unbounded => true,
    }
}

fn ends_after(end: &Bound<KeyBytes>, key: &KeyBytes) -> bool {
    match end {
        Bound::Included(end) | Bound::Excluded(end) => end >= key,
        Bound::Unbounded => true,
    }
}
