//! What was made of rows, kept in memory until one of them changes: for reads that ask for the same rows again and
//! again. A state that applies a record forgets what the record changes, so that what is kept is what reading would
//! make.

use crate::{Effect, Layer, Read, StateError};
use foldhash::fast::FixedState;
use quick_cache::{Weighter, unsync};
use std::{
    any::Any,
    sync::{Arc, Mutex, PoisonError},
};

/// Bytes that a partition keeps of what was made, by its own account, unless somebody says otherwise.
pub(crate) const MEMO_BYTES: usize = 8 << 20;
/// What one takes beside its own bytes.
const ENTRY_BYTES: usize = 128;
/// Of so many bytes one is taken to be where only their number matters, and roughly.
const MEMO_BYTES_GUESSED: usize = 512;

/// Something that is made of the rows under one number: of those whose keys begin with it, in some tables.
pub trait Memo: Any + Send + Sync + Sized {
    /// Tells one from those of other types. It is never stored.
    const KIND: u8;
    /// The ids of the tables. Their keys begin with a `u64`.
    const TABLES: &'static [u8];

    /// Makes it, of the rows under `number` in [`Memo::TABLES`] and of nothing else.
    fn make(read: &impl Read, number: u64) -> Result<Self, StateError>;

    /// Roughly what it takes in memory.
    fn bytes(&self) -> usize;
}

/// A kind and a number.
type Key = (u8, u64);

/// What a partition keeps.
pub(crate) struct Memos(Mutex<Kept>);

struct Kept {
    /// Its keys are numbers that a partition gave out, so anybody may know their hashes.
    memos: unsync::Cache<Key, Entry, ByBytes, FixedState>,
    /// Which kinds are made of which tables, of those kinds that were ever kept.
    made_of: Vec<(u8, u8)>,
}

struct Entry {
    memo: Arc<dyn Any + Send + Sync>,
    bytes: usize,
}

struct ByBytes;

impl Weighter<Key, Entry> for ByBytes {
    fn weight(&self, _: &Key, entry: &Entry) -> u64 {
        (entry.bytes + ENTRY_BYTES) as u64
    }
}

impl Memos {
    /// Keeps so many bytes at most.
    pub(crate) fn of(bytes_max: usize) -> Self {
        Self(Mutex::new(Kept::of(bytes_max)))
    }

    /// What is kept of `number`, or is made now.
    pub(crate) fn get<M: Memo>(&self, read: &impl Read, number: u64) -> Result<Arc<M>, StateError> {
        let key = (M::KIND, number);
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.memos.get(&key).map(|entry| Arc::clone(&entry.memo));
        drop(kept);
        if let Some(memo) = known.and_then(|memo| memo.downcast().ok()) {
            return Ok(memo);
        }
        let memo = Arc::new(M::make(read, number)?);
        let entry = Entry { bytes: memo.bytes(), memo: memo.clone() };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for table in M::TABLES {
            if !kept.made_of.contains(&(*table, M::KIND)) {
                kept.made_of.push((*table, M::KIND));
            }
        }
        kept.memos.insert(key, entry);
        Ok(memo)
    }

    /// Forgets what is made of rows that `layer` changes.
    pub(crate) fn forget(&mut self, layer: &Layer) {
        let kept = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        if kept.made_of.is_empty() {
            return;
        }
        for effect in layer.effects() {
            let (Effect::Put { key, .. }
            | Effect::Delete { key }
            | Effect::DropPrefix { prefix: key }) = effect;
            kept.changed(key);
        }
    }
}

impl Kept {
    fn of(bytes_max: usize) -> Self {
        let guessed = bytes_max / MEMO_BYTES_GUESSED;
        let (weighs, hasher) = (ByBytes, FixedState::default());
        let memos =
            unsync::Cache::with(guessed, bytes_max as u64, weighs, hasher, Default::default());
        Self { memos, made_of: Vec::new() }
    }

    /// A row has changed, or all those whose keys begin so.
    fn changed(&mut self, row: &[u8]) {
        let Some((table, key)) = row.split_first() else { return self.memos.clear() };
        for at in 0..self.made_of.len() {
            let (of, kind) = self.made_of[at];
            if of == *table {
                match key.first_chunk() {
                    Some(number) => {
                        self.memos.remove(&(kind, u64::from_be_bytes(*number)));
                    }
                    None => self.memos.retain(|key, _| key.0 != kind),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(bytes: usize) -> Entry {
        Entry { memo: Arc::new(()), bytes }
    }

    #[test]
    fn what_is_asked_for_stays_and_all_is_within_its_bytes() {
        let mut kept = Kept::of(MEMO_BYTES);
        for number in 0..1_000 {
            kept.memos.insert((1, number), entry(64 << 10));
            let _ = kept.memos.get(&(1, 0));
            assert!(kept.memos.weight() <= MEMO_BYTES as u64);
        }
        assert!(kept.memos.peek(&(1, 0)).is_some(), "it is asked for all the time");
        assert!(kept.memos.peek(&(1, 500)).is_none());
        kept.memos.insert((1, 5_000), entry(MEMO_BYTES));
        assert!(kept.memos.peek(&(1, 5_000)).is_none(), "it is too large");
    }

    #[test]
    fn a_prefix_that_is_shorter_than_a_number_is_of_many() {
        let mut kept = Kept { made_of: vec![(7, 1), (7, 2), (8, 3)], ..Kept::of(MEMO_BYTES) };
        let fill = |kept: &mut Kept| {
            for key in [(1, 5), (2, 5), (2, 6), (3, 5)] {
                kept.memos.insert(key, entry(1));
            }
        };
        let left = |kept: &Kept| {
            let mut left: Vec<_> = kept.memos.iter().map(|(key, _)| *key).collect();
            left.sort_unstable();
            left
        };
        fill(&mut kept);
        kept.changed(&[&[7][..], &5_u64.to_be_bytes(), b"more"].concat());
        assert_eq!(left(&kept), [(2, 6), (3, 5)]);
        fill(&mut kept);
        kept.changed(&[7, 0]);
        assert_eq!(left(&kept), [(3, 5)]);
        kept.changed(&[]);
        assert!(left(&kept).is_empty());
    }
}
