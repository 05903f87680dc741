//! Which keys are read most, by a sketch of fixed size.
//!
//! *Space-Saving* (Metwally, Agrawal, El Abbadi: Efficient computation of frequent and top-k elements in data
//! streams, 2005) over a sample of the reads, halved every [`HALF_LIFE_MS`] so that it forgets.

/// Keys that are counted one by one.
const SLOTS: usize = 64;
/// After so long a read counts half.
const HALF_LIFE_MS: u64 = 10_000;
/// One read of so many is counted, on average.
const SAMPLE: u64 = 8;
/// So often a key has to be counted before anything is said about it.
const COUNT_MIN: u64 = 16;

/// A key with more than its share of reads.
#[derive(Debug, Clone, PartialEq)]
pub struct HotKey<K> {
    /// Which.
    pub key: K,
    /// Its part of all reads of the last seconds: 0 to 1, rather too small than too large.
    pub share: f64,
}

#[derive(Debug)]
pub(crate) struct Hot<K> {
    /// Apart from `slots`, as these are what is searched.
    hashes: Vec<u64>,
    slots: Vec<Slot<K>>,
    counted: u64,
    halved_ms: u64,
    /// Reads until one is counted.
    skip: u64,
    random: u64,
}

#[derive(Debug)]
struct Slot<K> {
    key: K,
    count: u64,
    /// How much of `count` may be others'.
    error: u64,
}

impl<K: Clone> Hot<K> {
    pub(crate) fn new(seed: u64) -> Self {
        let (hashes, slots) = (Vec::with_capacity(SLOTS), Vec::with_capacity(SLOTS));
        Self { hashes, slots, counted: 0, halved_ms: 0, skip: 0, random: seed | 1 }
    }

    /// Counts a read, if it is its turn. `hash` is asked for only then.
    pub(crate) fn count(&mut self, key: &K, hash: impl FnOnce() -> u64, now_ms: u64) {
        if self.skip > 0 {
            self.skip -= 1;
            return;
        }
        // xorshift (Marsaglia, 2003): a gap that no rhythm of reads can hide in.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.skip = (self.random >> 32) % (2 * SAMPLE - 1);
        self.forget(now_ms);
        self.counted += 1;
        let hash = hash();
        if let Some(at) = self.hashes.iter().position(|known| *known == hash) {
            self.slots[at].count += 1;
            return;
        }
        if self.slots.len() < SLOTS {
            self.hashes.push(hash);
            self.slots.push(Slot { key: key.clone(), count: 1, error: 0 });
            return;
        }
        let least = self.slots.iter().enumerate().min_by_key(|(_, slot)| slot.count);
        let Some((at, &Slot { count, .. })) = least else { return };
        self.hashes[at] = hash;
        self.slots[at] = Slot { key: key.clone(), count: count + 1, error: count };
    }

    fn forget(&mut self, now_ms: u64) {
        let halvings = now_ms.saturating_sub(self.halved_ms) / HALF_LIFE_MS;
        if halvings == 0 {
            return;
        }
        self.halved_ms += halvings * HALF_LIFE_MS;
        let shift = halvings.min(63);
        self.counted >>= shift;
        for slot in &mut self.slots {
            slot.count >>= shift;
            slot.error >>= shift;
        }
    }

    /// How many reads are counted, and of which keys how many at least.
    pub(crate) fn counts(&mut self, now_ms: u64) -> (u64, Vec<(K, u64)>) {
        self.forget(now_ms);
        let sure = self.slots.iter().map(|slot| (slot, slot.count - slot.error));
        let sure = sure.filter(|(_, count)| *count >= COUNT_MIN);
        (self.counted, sure.map(|(slot, count)| (slot.key.clone(), count)).collect())
    }
}

/// Those with at least `permille` of all reads, the hottest first, from [`Hot::counts`] of disjoint keys.
pub(crate) fn hottest<K>(counts: Vec<(u64, Vec<(K, u64)>)>, permille: u16) -> Vec<HotKey<K>> {
    let all: u64 = counts.iter().map(|(counted, _)| counted).sum();
    let keys = counts.into_iter().flat_map(|(_, keys)| keys);
    let hot = keys.filter(|(_, count)| count * 1_000 >= all * u64::from(permille));
    let mut hot: Vec<HotKey<K>> =
        hot.map(|(key, count)| HotKey { key, share: count as f64 / all as f64 }).collect();
    hot.sort_by(|one, other| other.share.total_cmp(&one.share));
    hot
}
