//! A layer: sorted effects over whatever lies beneath.

use crate::KeyBytes;
use crate::effects::{self, Effect, Effects};
use crate::error::EffectsError;
use crate::key::after_prefix;
use std::collections::{BTreeMap, btree_map};
use std::ops::Bound;

/// A row's bytes.
pub(crate) type Value = Box<[u8]>;

/// The range of keys of a scan or a search, as bytes.
pub(crate) type KeyRange<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// What a row in a layer takes in memory beyond its encoding: its share of the map's nodes, and the
/// allocator's rounding.
const ROW_OVERHEAD_BYTES: usize = 96;

/// What a layer knows of a key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lookup<'a> {
    /// This row.
    Put(&'a [u8]),
    /// There is none, whatever lies beneath.
    Deleted,
    /// Nothing: ask beneath.
    Unknown,
}

/// Puts, deletes and dropped prefixes; of each row, only the last write.
///
/// The dropped prefixes are *beneath* the puts and deletes of the same layer: they hide rows of older
/// layers only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layer {
    /// `None` is a delete.
    rows: BTreeMap<KeyBytes, Option<Value>>,
    /// In order; none is a prefix of another.
    drops: Vec<KeyBytes>,
    /// The sizes of all effects as encoded.
    effects_bytes: usize,
}

/// What a layer said of keys that it forgot.
#[derive(Debug, Default)]
pub(crate) struct Dropped {
    rows: Vec<(KeyBytes, Option<Value>)>,
    /// The prefix, unless a shorter one hid them already; and the longer ones that it took the place of.
    prefix: Option<KeyBytes>,
    narrower: Vec<KeyBytes>,
}

impl Layer {
    /// Whether it has no effect at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.drops.is_empty()
    }

    /// The number of rows put or deleted.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// The exact size of what [`Layer::encode`] writes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        if self.is_empty() { 0 } else { effects::VERSION_BYTES + self.effects_bytes }
    }

    /// Roughly what it takes in memory.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.effects_bytes + (self.rows.len() + self.drops.len()) * ROW_OVERHEAD_BYTES
    }

    /// Appends the effects as a record's body. A layer without effects has no bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        if self.is_empty() {
            return;
        }
        out.reserve(self.bytes());
        effects::encode_version(out);
        for effect in self.effects() {
            effect.encode(out);
        }
    }

    /// Reads what [`Layer::encode`] wrote. Takes memory in proportion to `body`, whatever it says.
    pub fn decode(body: &[u8]) -> Result<Self, EffectsError> {
        let mut layer = Self::default();
        let mut rows = Vec::new();
        for effect in Effects::parse(body)? {
            let effect = effect?;
            layer.effects_bytes += effect.encoded_bytes();
            match effect {
                Effect::DropPrefix { prefix } => layer.drops.push(KeyBytes::from_slice(prefix)),
                Effect::Put { key, row } => {
                    rows.push((KeyBytes::from_slice(key), Some(row.into())));
                }
                Effect::Delete { key } => rows.push((KeyBytes::from_slice(key), None)),
            }
        }
        // Sorted already (the parser refuses anything else), so the map is built without searches.
        layer.rows = rows.into_iter().collect();
        Ok(layer)
    }

    /// The effects in their order: dropped prefixes, then puts and deletes by key.
    pub fn effects(&self) -> impl Iterator<Item = Effect<'_>> {
        let drops = self.drops.iter().map(|prefix| Effect::DropPrefix { prefix });
        drops.chain(self.rows.iter().map(|(key, value)| match value {
            Some(row) => Effect::Put { key, row },
            None => Effect::Delete { key },
        }))
    }

    pub(crate) fn lookup(&self, key: &KeyBytes) -> Lookup<'_> {
        match self.rows.get(key) {
            Some(Some(row)) => Lookup::Put(row),
            Some(None) => Lookup::Deleted,
            None if self.drops_cover(key) => Lookup::Deleted,
            None => Lookup::Unknown,
        }
    }

    /// Whether a dropped prefix hides `key` of older layers.
    pub(crate) fn drops_cover(&self, key: &[u8]) -> bool {
        if self.drops.is_empty() {
            return false;
        }
        // None is a prefix of another, so only the greatest one that is not above the key can be one.
        let above = self.drops.partition_point(|prefix| prefix.as_slice() <= key);
        above > 0 && key.starts_with(&self.drops[above - 1])
    }

    /// The rows within `range`, which is not inverted.
    pub(crate) fn range(
        &self,
        range: KeyRange<'_>,
    ) -> btree_map::Range<'_, KeyBytes, Option<Value>> {
        self.rows.range((range.0.map(KeyBytes::from_slice), range.1.map(KeyBytes::from_slice)))
    }

    /// Sets what is said of `key`, and answers what was said before.
    pub(crate) fn write(&mut self, key: KeyBytes, value: Option<Value>) -> Option<Option<Value>> {
        let key_bytes = key.len();
        self.effects_bytes += effects::row_bytes(key_bytes, value.as_deref());
        let before = self.rows.insert(key, value);
        if let Some(before) = &before {
            self.effects_bytes -= effects::row_bytes(key_bytes, before.as_deref());
        }
        before
    }

    /// Undoes a [`Layer::write`] of `key`, given what it answered.
    pub(crate) fn restore(&mut self, key: &[u8], before: Option<Option<Value>>) {
        let key = KeyBytes::from_slice(key);
        match before {
            Some(value) => {
                self.write(key, value);
            }
            None => {
                self.remove(&key);
            }
        }
    }

    /// Forgets what it says of keys that start with `prefix`, and hides them in what lies beneath. Answers what
    /// it said of them.
    pub(crate) fn drop_prefix(&mut self, prefix: KeyBytes) -> Dropped {
        let after = after_prefix(&prefix);
        let end = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let range = (Bound::Included(prefix.as_slice()), end);
        let gone: Vec<KeyBytes> = self.range(range).map(|(key, _)| key.clone()).collect();
        let mut dropped = Dropped::default();
        for key in gone {
            if let Some(value) = self.remove(&key) {
                dropped.rows.push((key, value));
            }
        }
        if self.drops_cover(&prefix) {
            return dropped;
        }
        dropped.narrower = self.drops.extract_if(.., |other| other.starts_with(&prefix)).collect();
        let freed = dropped.narrower.iter().map(|narrower| effects::drop_bytes(narrower.len()));
        self.effects_bytes -= freed.sum::<usize>();
        dropped.prefix = Some(prefix.clone());
        self.insert_drop(prefix);
        dropped
    }

    /// Undoes a [`Layer::drop_prefix`], given what it answered.
    pub(crate) fn undrop(&mut self, dropped: Dropped) {
        if let Some(prefix) = dropped.prefix {
            self.drops.retain(|other| *other != prefix);
            self.effects_bytes -= effects::drop_bytes(prefix.len());
        }
        dropped.narrower.into_iter().for_each(|narrower| self.insert_drop(narrower));
        for (key, value) in dropped.rows {
            self.write(key, value);
        }
    }

    fn insert_drop(&mut self, prefix: KeyBytes) {
        self.effects_bytes += effects::drop_bytes(prefix.len());
        let at = self.drops.partition_point(|other| *other < prefix);
        self.drops.insert(at, prefix);
    }

    /// Says nothing of `key` any more. Answers what it said.
    fn remove(&mut self, key: &KeyBytes) -> Option<Option<Value>> {
        let undone = self.rows.remove(key)?;
        self.effects_bytes -= effects::row_bytes(key.len(), undone.as_deref());
        Some(undone)
    }

    /// Takes over everything that `newer` says.
    pub(crate) fn fold(&mut self, newer: Self) {
        if self.is_empty() {
            *self = newer;
            return;
        }
        for prefix in newer.drops {
            self.drop_prefix(prefix);
        }
        for (key, value) in newer.rows {
            self.write(key, value);
        }
    }
}
