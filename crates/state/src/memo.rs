//! What was made of rows, kept in memory until one of them changes: for reads that ask for the same rows again and
//! again. A state that applies a record forgets what the record changes, so that what is kept is what reading would
//! make.

use crate::{Effect, Layer, Read, StateError};
use std::{
    any::Any,
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Bytes that a partition keeps of what was made, by its own account, unless somebody says otherwise.
const MEMO_BYTES: usize = 8 << 20;
/// What one takes beside its own bytes.
const ENTRY_BYTES: usize = 128;

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

/// In two generations: when the younger has its share, it becomes the older, and what nobody has asked for since it
/// was the younger itself goes.
struct Kept {
    bytes_max: usize,
    young: HashMap<Key, Entry>,
    old: HashMap<Key, Entry>,
    young_bytes: usize,
    /// Which kinds are made of which tables, of those kinds that were ever kept.
    made_of: Vec<(u8, u8)>,
}

struct Entry {
    memo: Arc<dyn Any + Send + Sync>,
    bytes: usize,
}

impl Memos {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Kept::new()))
    }

    /// Keeps so many bytes at most from now on.
    pub(crate) fn set_bytes_max(&mut self, bytes: usize) {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).bytes_max = bytes;
    }

    /// What is kept of `number`, or is made now.
    pub(crate) fn get<M: Memo>(&self, read: &impl Read, number: u64) -> Result<Arc<M>, StateError> {
        let key = (M::KIND, number);
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).find(key);
        if let Some(memo) = known.and_then(|memo| memo.downcast().ok()) {
            return Ok(memo);
        }
        let memo = Arc::new(M::make(read, number)?);
        let entry = Entry { bytes: memo.bytes() + ENTRY_BYTES, memo: memo.clone() };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for table in M::TABLES {
            if !kept.made_of.contains(&(*table, M::KIND)) {
                kept.made_of.push((*table, M::KIND));
            }
        }
        kept.keep(key, entry);
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
    fn new() -> Self {
        let (young, old) = (HashMap::new(), HashMap::new());
        Self { bytes_max: MEMO_BYTES, young, old, young_bytes: 0, made_of: Vec::new() }
    }

    fn find(&mut self, key: Key) -> Option<Arc<dyn Any + Send + Sync>> {
        if let Some(entry) = self.young.get(&key) {
            return Some(Arc::clone(&entry.memo));
        }
        let entry = self.old.remove(&key)?;
        let memo = Arc::clone(&entry.memo);
        self.keep(key, entry);
        Some(memo)
    }

    fn keep(&mut self, key: Key, entry: Entry) {
        let share = self.bytes_max / 2;
        if entry.bytes > share {
            return;
        }
        if self.young_bytes + entry.bytes > share {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += entry.bytes;
        if let Some(before) = self.young.insert(key, entry) {
            self.young_bytes -= before.bytes;
        }
    }

    /// A row has changed, or all those whose keys begin so.
    fn changed(&mut self, row: &[u8]) {
        let Some((table, key)) = row.split_first() else { return self.forget_if(|_| true) };
        for at in 0..self.made_of.len() {
            let (of, kind) = self.made_of[at];
            if of == *table {
                match key.first_chunk() {
                    Some(number) => self.remove((kind, u64::from_be_bytes(*number))),
                    None => self.forget_if(|key| key.0 == kind),
                }
            }
        }
    }

    fn remove(&mut self, key: Key) {
        if let Some(entry) = self.young.remove(&key) {
            self.young_bytes -= entry.bytes;
        }
        self.old.remove(&key);
    }

    fn forget_if(&mut self, is_gone: impl Fn(&Key) -> bool) {
        self.young.retain(|key, _| !is_gone(key));
        self.young_bytes = self.young.values().map(|entry| entry.bytes).sum();
        self.old.retain(|key, _| !is_gone(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(bytes: usize) -> Entry {
        Entry { memo: Arc::new(()), bytes }
    }

    #[test]
    fn what_nobody_asks_for_goes_and_the_rest_stays_within_its_bytes() {
        let mut kept = Kept::new();
        for number in 0..1_000 {
            kept.keep((1, number), entry(64 << 10));
            assert!(kept.find((1, 0)).is_some(), "it is asked for all the time");
            let all = kept.young.values().chain(kept.old.values());
            assert!(all.map(|entry| entry.bytes).sum::<usize>() <= MEMO_BYTES);
        }
        assert!(kept.find((1, 1)).is_none());
        assert!(kept.find((1, 999)).is_some());
        kept.keep((1, 5_000), entry(MEMO_BYTES));
        assert!(kept.find((1, 5_000)).is_none(), "it is too large");
        kept.forget_if(|_| true);
        assert_eq!((kept.young_bytes, kept.young.len(), kept.old.len()), (0, 0, 0));
    }

    #[test]
    fn a_prefix_that_is_shorter_than_a_number_is_of_many() {
        let mut kept = Kept { made_of: vec![(7, 1), (7, 2), (8, 3)], ..Kept::new() };
        let fill = |kept: &mut Kept| {
            for key in [(1, 5), (2, 5), (2, 6), (3, 5)] {
                kept.keep(key, entry(1));
            }
        };
        let left = |kept: &Kept| {
            let mut left: Vec<_> = kept.young.keys().copied().collect();
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
