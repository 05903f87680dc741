//! The cache without clock, task or lock: what is asked goes in with the time, what to do comes out.
//!
//! A simulator drives one as it is; [`Cache`](crate::Cache) drives several, each behind a lock. With the same seed
//! and the same calls everything comes out the same.

use crate::{
    hot::{Hot, HotKey, hottest},
    look::{Answer, Loaded, Look, Outcome, Ticket, Wait},
    options::Options,
};
use foldhash::fast::FixedState;
use quick_cache::{Lifecycle, Weighter, unsync};
use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash},
};

/// What keeping an entry costs beside it: its links, its place in the table, the memory of it after it is gone.
const ENTRY_BYTES: u64 = 64;
/// Of so many bytes an entry is taken to be where only their number matters, and roughly.
const ENTRY_BYTES_GUESSED: u64 = 512;

/// The entries of a cache, the loads under way, and what invalidates both.
///
/// Who invalidates keeps one rule: [`Core::invalidate`] is called when loads that begin from then on see the write.
/// Then no answer is older than a write that its caller could have heard of: an entry that the write is not in
/// is gone, and a load under way that it is not in is kept from becoming one.
pub struct Core<K, V, E, S = FixedState> {
    options: Options<K, V>,
    seed: u64,
    hasher: S,
    entries: unsync::Cache<K, Entry<V, E>, ByBytes, S, Evictions>,
    flights: HashMap<K, Flight, S>,
    next_load: u64,
    hot: Hot<K>,
    counters: Counters,
}

/// What happened since the cache began, and what it holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Looks that found something fresh.
    pub hits: u64,
    /// Looks that found something that is no longer fresh, within its bounds.
    pub stale: u64,
    /// Loads that began.
    pub loads: u64,
    /// Looks that wait for another's load.
    pub joined: u64,
    /// Loads that failed.
    pub errors: u64,
    /// Looks that were refused, as a load had just failed or too many were under way.
    pub refused: u64,
    /// Loads that a write overtook: what they brought was not kept.
    pub overtaken: u64,
    /// Entries that a write made go.
    pub invalidated: u64,
    /// Entries that went for others, or were too large to come.
    pub evicted: u64,
    /// Entries that are there.
    pub entries: u64,
    /// What they take.
    pub bytes: u64,
    /// Loads under way.
    pub loading: u64,
}

impl Counters {
    /// The sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            hits: self.hits + other.hits,
            stale: self.stale + other.stale,
            loads: self.loads + other.loads,
            joined: self.joined + other.joined,
            errors: self.errors + other.errors,
            refused: self.refused + other.refused,
            overtaken: self.overtaken + other.overtaken,
            invalidated: self.invalidated + other.invalidated,
            evicted: self.evicted + other.evicted,
            entries: self.entries + other.entries,
            bytes: self.bytes + other.bytes,
            loading: self.loading + other.loading,
        }
    }
}

struct Entry<V, E> {
    kept: Option<Kept<V>>,
    /// The last load's error, and until when no other begins.
    failed: Option<(E, u64)>,
    bytes: u64,
}

struct Kept<V> {
    value: Option<V>,
    as_of: u64,
    began_ms: u64,
    fresh_until_ms: u64,
}

/// A load under way. It is here before it begins to read, so whatever it may miss is marked in it.
struct Flight {
    load: u64,
    began_ms: u64,
    /// The newest version at which its key was invalidated meanwhile.
    floor: u64,
}

struct ByBytes;

impl<K, V, E> Weighter<K, Entry<V, E>> for ByBytes {
    fn weight(&self, _: &K, entry: &Entry<V, E>) -> u64 {
        entry.bytes
    }
}

struct Evictions;

impl<K, V> Lifecycle<K, V> for Evictions {
    type RequestState = u64;

    fn on_evict(&self, evicted: &mut u64, _: K, _: V) {
        *evicted += 1;
    }
}

impl<K: Hash + Eq + Clone, V: Clone, E: Clone> Core<K, V, E> {
    /// One that does the same again when it is asked the same again. Its hashes are known to whoever knows
    /// `seed`: where strangers choose keys, [`Core::with_hasher`] takes a hasher that is random.
    pub fn new(options: Options<K, V>, seed: u64) -> Self {
        Self::with_hasher(options, seed, FixedState::with_seed(seed))
    }
}

impl<K: Hash + Eq + Clone, V: Clone, E: Clone, S: BuildHasher + Clone> Core<K, V, E, S> {
    /// The same with a hasher of the caller's. `seed` is what jitter and samples begin with.
    pub fn with_hasher(options: Options<K, V>, seed: u64, hasher: S) -> Self {
        let guessed = usize::try_from(options.capacity_bytes / ENTRY_BYTES_GUESSED);
        let entries = unsync::Cache::with(
            guessed.unwrap_or(usize::MAX),
            options.capacity_bytes,
            ByBytes,
            hasher.clone(),
            Evictions,
        );
        let flights = HashMap::with_hasher(hasher.clone());
        let (hot, counters) = (Hot::new(seed), Counters::default());
        Self { options, seed, hasher, entries, flights, next_load: 1, hot, counters }
    }

    /// What there is of `key` for a caller who takes what is at most `bound_ms` old (0: what was loaded from now on,
    /// [`u64::MAX`]: whatever is served at all), and what the caller has to do.
    pub fn look(&mut self, key: &K, now_ms: u64, bound_ms: u64) -> Look<K, V, E> {
        self.hot.count(key, || self.hasher.hash_one(key), now_ms);
        self.look_for(key, now_ms, bound_ms, false)
    }

    /// The same for a caller who has looked and waited for a load that brought nothing for it. Any load that is under
    /// way now began after it looked first, so this time it may have whatever comes: it never waits a third time.
    pub fn look_again(&mut self, key: &K, now_ms: u64, bound_ms: u64) -> Look<K, V, E> {
        self.look_for(key, now_ms, bound_ms, true)
    }

    fn look_for(&mut self, key: &K, now_ms: u64, bound_ms: u64, again: bool) -> Look<K, V, E> {
        let (mut stale, mut failed) = (None, None);
        if let Some(entry) = self.entries.get(key) {
            failed = entry.failed.as_ref().filter(|(_, until_ms)| now_ms < *until_ms);
            if let Some(kept) = entry.within(now_ms, bound_ms.min(self.options.age_ms_max)) {
                if now_ms < kept.fresh_until_ms {
                    self.counters.hits += 1;
                    return Look::Found(kept.answer(now_ms, Outcome::Hit), None);
                }
                stale = kept.value.is_some().then(|| kept.answer(now_ms, Outcome::Stale));
            }
        }
        // What is old but within bounds is for now if a load would follow in peace, else for want of better.
        let flight = self.flights.get(key);
        let coalesced = flight.filter(|_| !self.options.switches.no_coalescing);
        let full = flight.is_none() && self.flights.len() >= self.options.loads_max;
        match (stale, failed) {
            (Some(stale), Some(_)) => self.found_stale(stale, Outcome::StaleOnError, None),
            (Some(stale), None) if full => self.found_stale(stale, Outcome::StaleOnError, None),
            (Some(stale), None) if stale.age_ms <= self.options.stale_ms => {
                let ticket = flight.is_none().then(|| self.begin(key, now_ms));
                self.found_stale(stale, Outcome::Stale, ticket)
            }
            (None, Some((error, _))) => {
                self.counters.refused += 1;
                Look::Failed(error.clone())
            }
            (None, None) if full => {
                self.counters.refused += 1;
                Look::Full
            }
            (_, None) => match coalesced {
                Some(flight) => {
                    self.counters.joined += 1;
                    Look::Wait(flight.wait(now_ms, bound_ms, again))
                }
                None => Look::Load(self.begin(key, now_ms)),
            },
        }
    }

    fn found_stale(
        &mut self,
        mut answer: Answer<V>,
        outcome: Outcome,
        ticket: Option<Ticket<K>>,
    ) -> Look<K, V, E> {
        self.counters.stale += 1;
        answer.outcome = outcome;
        Look::Found(answer, ticket)
    }

    fn begin(&mut self, key: &K, now_ms: u64) -> Ticket<K> {
        let load = self.next_load;
        self.next_load += 1;
        self.counters.loads += 1;
        let flight = Flight { load, began_ms: now_ms, floor: 0 };
        // A second one, which only a drill begins, is not known here: what it brings is not kept.
        self.flights.entry(key.clone()).or_insert(flight);
        Ticket { key: key.clone(), load, began_ms: now_ms }
    }

    /// What may be answered where a load failed: what was there, if it is within bounds.
    pub fn in_place(&mut self, key: &K, now_ms: u64, bound_ms: u64) -> Option<Answer<V>> {
        let bound_ms = bound_ms.min(self.options.age_ms_max);
        let kept = self.entries.get(key)?.within(now_ms, bound_ms)?;
        kept.value.as_ref()?;
        self.counters.stale += 1;
        Some(kept.answer(now_ms, Outcome::StaleOnError))
    }

    /// The load of `ticket` has brought this. Those who wait for it are the caller's to answer, by
    /// [`Wait::admits`]; where it failed, by [`Core::in_place`] or with the error.
    pub fn finish(&mut self, ticket: Ticket<K>, result: Result<&Loaded<V>, &E>, now_ms: u64) {
        let Ticket { key, load, .. } = ticket;
        self.counters.errors += u64::from(result.is_err());
        if self.flights.get(&key).is_none_or(|flight| flight.load != load) {
            return;
        }
        let Some(flight) = self.flights.remove(&key) else { return };
        match result {
            Ok(loaded)
                if loaded.as_of < flight.floor && !self.options.switches.fill_after_invalidate =>
            {
                self.counters.overtaken += 1;
            }
            Ok(loaded) => self.keep(key, &flight, loaded),
            Err(error) => self.pause(key, error, now_ms),
        }
    }

    fn keep(&mut self, key: K, flight: &Flight, loaded: &Loaded<V>) {
        let Loaded { value, as_of } = loaded.clone();
        let fresh_ms = if value.is_some() { self.options.fresh_ms } else { self.options.absent_ms };
        if value.is_none() && fresh_ms == 0 {
            self.entries.remove(&key);
            return;
        }
        let began_ms = flight.began_ms;
        let jitter_ms = fresh_ms.saturating_mul(self.options.jitter_permille.into()) / 1_000;
        let random = self.hasher.hash_one((&key, flight.load, self.seed));
        let fresh_ms = fresh_ms - random % (jitter_ms.min(fresh_ms) + 1);
        let fresh_until_ms = began_ms.saturating_add(fresh_ms);
        let bytes = value.as_ref().map_or(0, |value| (self.options.weigh)(&key, value));
        self.insert(key, Some(Kept { value, as_of, began_ms, fresh_until_ms }), None, bytes);
    }

    fn pause(&mut self, key: K, error: &E, now_ms: u64) {
        if self.options.pause_ms == 0 {
            return;
        }
        let failed = Some((error.clone(), now_ms.saturating_add(self.options.pause_ms)));
        match self.entries.get_mut(&key) {
            Some(mut entry) => entry.failed = failed,
            None => self.insert(key, None, failed, 0),
        }
    }

    fn insert(&mut self, key: K, kept: Option<Kept<V>>, failed: Option<(E, u64)>, bytes: u64) {
        let itself = size_of::<(K, Entry<V, E>)>() as u64 + ENTRY_BYTES;
        let entry = Entry { kept, failed, bytes: bytes.saturating_add(itself) };
        // What is replaced counts as evicted there, and did not make room.
        let replaced = self.entries.contains_key(&key);
        self.entries.insert_with_lifecycle(key, entry, &mut self.counters.evicted);
        self.counters.evicted -= u64::from(replaced);
    }

    /// A write of `key` has version `version`, and loads that begin from now on see it. What was read before it is
    /// never answered to who looks from now on.
    pub fn invalidate(&mut self, key: &K, version: u64) {
        if let Some(flight) = self.flights.get_mut(key) {
            flight.floor = flight.floor.max(version);
        }
        let old = |entry: &Entry<V, E>| entry.kept.as_ref().is_none_or(|kept| kept.as_of < version);
        if self.entries.remove_if(key, old).is_some() {
            self.counters.invalidated += 1;
        }
    }

    /// Everything may have been written: the log has a gap, or another life.
    pub fn clear(&mut self) {
        for flight in self.flights.values_mut() {
            flight.floor = u64::MAX;
        }
        self.counters.invalidated += self.entries.len() as u64;
        self.entries.clear();
    }

    /// Keys with more than [`Options::hot_permille`] of all reads of the last seconds, the hottest first. A key
    /// that has not is not in it, and one that has 16 thousandths more is, as far as a sample of the reads tells.
    pub fn hot(&mut self, now_ms: u64) -> Vec<HotKey<K>> {
        hottest(vec![self.counts(now_ms)], self.options.hot_permille)
    }

    pub(crate) fn counts(&mut self, now_ms: u64) -> (u64, Vec<(K, u64)>) {
        self.hot.counts(now_ms)
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        let (entries, bytes) = (self.entries.len() as u64, self.entries.weight());
        Counters { entries, bytes, loading: self.flights.len() as u64, ..self.counters }
    }
}

impl<V, E> Entry<V, E> {
    /// What is there, if it is not older than `bound_ms`.
    fn within(&self, now_ms: u64, bound_ms: u64) -> Option<&Kept<V>> {
        self.kept.as_ref().filter(|kept| now_ms.saturating_sub(kept.began_ms) <= bound_ms)
    }
}

impl<V: Clone> Kept<V> {
    fn answer(&self, now_ms: u64, outcome: Outcome) -> Answer<V> {
        let age_ms = now_ms.saturating_sub(self.began_ms);
        Answer { value: self.value.clone(), as_of: self.as_of, age_ms, outcome }
    }
}

impl Flight {
    fn wait(&self, now_ms: u64, bound_ms: u64, again: bool) -> Wait {
        let soon_enough = now_ms.saturating_sub(self.began_ms) <= bound_ms;
        let at_least = if again { Some(0) } else { soon_enough.then_some(self.floor) };
        Wait { load: self.load, at_least }
    }
}
