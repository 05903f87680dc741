//! The state of one partition: what it has applied, in memory and in the store.

use crate::base::Base;
use crate::error::ApplyError;
use crate::hash::StateHasher;
use crate::layer::Layer;
use crate::levels::Levels;
use crate::memo::{MEMO_BYTES, Memos};
use crate::{Applied, Found, KeyBytes, KeyCodec, Memo, Order, Read, StateError, Store, Table, Tx};
use evenkeel_log::{Hash, Kind, PartitionId, Record};
use std::cell::Cell;
use std::ops::RangeBounds;
use std::sync::Arc;

/// One partition. It is derived: dropping it loses nothing that the log does not have.
pub struct State {
    store: Store,
    partition: PartitionId,
    memtable: Layer,
    frozen: Option<Frozen>,
    memos: Memos,
    applied: Applied,
    /// What the store will have applied once `frozen` is in it; what it has if nothing is frozen.
    stored: Applied,
}

/// A memtable on its way to the store: what [`Store::flush`] is to write.
#[derive(Debug, Clone)]
pub struct Frozen {
    /// The partition.
    pub partition: PartitionId,
    /// Its effects since `from`.
    pub layer: Arc<Layer>,
    /// What the store must have applied before.
    pub from: Applied,
    /// What it will have applied after.
    pub applied: Applied,
}

impl State {
    /// The state of `partition` as far as `store` has it; the log's records after
    /// [`State::applied`] are to be applied next.
    pub fn open(store: &Store, partition: PartitionId) -> Result<Self, StateError> {
        let applied = store.applied(partition)?;
        Ok(Self {
            store: store.clone(),
            partition,
            memtable: Layer::default(),
            frozen: None,
            memos: Memos::of(MEMO_BYTES),
            applied,
            stored: applied,
        })
    }

    /// Keeps so many bytes of what was made of rows ([`Memo`]).
    #[must_use]
    pub fn keeping(mut self, memo_bytes: usize) -> Self {
        self.memos = Memos::of(memo_bytes);
        self
    }

    /// The partition.
    #[must_use]
    pub fn partition(&self) -> PartitionId {
        self.partition
    }

    /// The last record applied.
    #[must_use]
    pub fn applied(&self) -> &Applied {
        &self.applied
    }

    /// Applies a committed record: what followers and a replay do.
    pub fn apply(&mut self, record: &Record) -> Result<(), ApplyError> {
        let applied = self.check(record)?;
        let layer = Layer::decode(record.body())?;
        self.fold(layer, applied);
        Ok(())
    }

    /// Applies a committed record whose effects are at hand: what its owner does. `layer` is what
    /// the record's body was encoded from.
    pub fn commit(&mut self, record: &Record, layer: Layer) -> Result<(), ApplyError> {
        let applied = self.check(record)?;
        debug_assert_eq!(
            Layer::decode(record.body()).as_ref(),
            Ok(&layer),
            "the record's own layer"
        );
        self.fold(layer, applied);
        Ok(())
    }

    fn fold(&mut self, layer: Layer, applied: Applied) {
        self.memos.forget(&layer);
        self.memtable.fold(layer);
        self.applied = applied;
    }

    /// Whether `record` is the next one; what will then be applied.
    fn check(&self, record: &Record) -> Result<Applied, ApplyError> {
        let (header, now) = (record.header(), &self.applied);
        let kind = header.kind;
        if header.partition != self.partition {
            return Err(ApplyError::Partition(header.partition));
        }
        if record.expected() != now.tail {
            return Err(ApplyError::Chain { expected: record.expected(), applied: now.tail });
        }
        let lives_on = match kind {
            Kind::Genesis => true,
            Kind::Announce => header.incarnation >= now.incarnation,
            Kind::Batch | Kind::Checkpoint => header.incarnation == now.incarnation,
        };
        if !lives_on {
            let (record, applied) = (header.incarnation, now.incarnation);
            return Err(ApplyError::Incarnation { kind, record, applied });
        }
        let owned = match kind {
            Kind::Genesis => true,
            Kind::Announce => header.epoch > now.epoch,
            Kind::Batch | Kind::Checkpoint => header.epoch == now.epoch,
        };
        if !owned {
            return Err(ApplyError::Epoch { kind, record: header.epoch, applied: now.epoch });
        }
        if header.time_ms < now.time_ms {
            let (record_ms, applied_ms) = (header.time_ms, now.time_ms);
            return Err(ApplyError::Time { record_ms, applied_ms });
        }
        Ok(Applied {
            tail: record.tail(),
            epoch: header.epoch,
            incarnation: header.incarnation,
            time_ms: header.time_ms,
        })
    }

    /// Begins a transaction over what is applied and the batches in flight, oldest first.
    #[must_use]
    pub fn begin<'a>(&'a self, in_flight: &'a [&'a Layer]) -> Tx<'a> {
        self.resume(in_flight, Layer::default())
    }

    /// The same, beginning with what an earlier transaction over the same has written.
    pub fn resume<'a>(&'a self, in_flight: &'a [&'a Layer], written: Layer) -> Tx<'a> {
        Tx::over(self.levels(in_flight), written)
    }

    /// What is applied, to be read.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View { levels: self.levels(&[]), memos: &self.memos }
    }

    fn levels<'a>(&'a self, in_flight: &'a [&'a Layer]) -> Levels<'a> {
        Levels {
            partition: self.partition,
            in_flight,
            memtable: &self.memtable,
            frozen: self.frozen.as_ref().map(|frozen| frozen.layer.as_ref()),
            base: self.base(),
            key: Cell::new(KeyBytes::new()),
        }
    }

    /// The store's rows; `None` if it has nothing of this partition.
    ///
    /// It may be newer than the last [`State::flushed`], by what is frozen: that hides all that
    /// differs.
    fn base(&self) -> Option<Arc<Base>> {
        let something = self.stored != Applied::default();
        something.then(|| self.store.base())
    }

    /// The hash of all rows applied, wherever they are. As costly as reading them all.
    pub fn hash(&self) -> Result<Hash, StateError> {
        let mut hasher = StateHasher::default();
        self.levels(&[]).visit_all(|key, row| hasher.row(key, row))?;
        Ok(hasher.finish())
    }

    /// Roughly what is held in memory until it is flushed.
    #[must_use]
    pub fn memtable_bytes(&self) -> usize {
        let frozen = self.frozen.as_ref().map_or(0, |frozen| frozen.layer.memory_bytes());
        self.memtable.memory_bytes() + frozen
    }

    /// Sets the memtable aside to be flushed, and begins an empty one. `None` if one is set aside
    /// already, or nothing was applied since.
    pub fn freeze(&mut self) -> Option<Frozen> {
        if self.frozen.is_some() || self.applied == self.stored {
            return None;
        }
        let frozen = Frozen {
            partition: self.partition,
            layer: Arc::new(std::mem::take(&mut self.memtable)),
            from: self.stored,
            applied: self.applied,
        };
        self.stored = frozen.applied;
        self.frozen = Some(frozen.clone());
        Some(frozen)
    }

    /// What is set aside and not in the store yet.
    #[must_use]
    pub fn frozen(&self) -> Option<&Frozen> {
        self.frozen.as_ref()
    }

    /// [`Store::flush`] succeeded: what was set aside is read from the store from now on. If the
    /// store does not have it, it is kept and the error says so. Answers what is no longer needed:
    /// freeing its many rows takes a while, and not here.
    pub fn flushed(&mut self) -> Result<Option<Frozen>, StateError> {
        let Some(frozen) = &self.frozen else {
            return Ok(None);
        };
        let stored = self.store.applied(self.partition)?;
        if stored != frozen.applied {
            let (from, stored) = (frozen.applied.tail, stored.tail);
            return Err(StateError::Gap { partition: self.partition, from, stored });
        }
        Ok(self.frozen.take())
    }

    /// [`Store::flush`] failed: what was set aside is kept and read on. Answers it, to be tried
    /// again, if need be after [`Store::reopen`].
    pub fn flush_failed(&mut self) -> Option<Frozen> {
        self.frozen.clone()
    }
}

/// What is applied, to be read.
pub struct View<'a> {
    levels: Levels<'a>,
    memos: &'a Memos,
}

impl Read for View<'_> {
    fn get<T: Table>(&self, key: &T::Key) -> Result<Option<T::Row>, StateError> {
        self.levels.get::<T>(None, key)
    }

    fn contains<T: Table>(&self, key: &T::Key) -> Result<bool, StateError> {
        Ok(self.levels.with_row::<T, _>(None, key, |_| ())?.is_some())
    }

    fn scan<T: Table>(
        &self,
        range: impl RangeBounds<T::Key>,
        order: Order,
        limit: usize,
    ) -> Result<Found<T>, StateError> {
        self.levels.scan::<T>(None, &range, order, limit)
    }

    fn scan_prefix<T: Table>(
        &self,
        prefix: &impl KeyCodec,
        after: Option<&T::Key>,
        order: Order,
        limit: usize,
    ) -> Result<Found<T>, StateError> {
        self.levels.scan_prefix::<T>(None, prefix, after, order, limit)
    }

    fn memo<M: Memo>(&self, number: u64) -> Result<Arc<M>, StateError> {
        self.memos.get(self, number)
    }
}
