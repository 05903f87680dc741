//! The cache for tasks of tokio: cores behind locks, loads as tasks of their own.

use crate::{
    core::{Core, Counters},
    hot::{HotKey, hottest},
    look::{Answer, Loaded, Look, Outcome, Ticket, Wait},
    options::Options,
};
use foldhash::fast::RandomState;
use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

/// Parts with a lock each, which share capacity and loads evenly: keys go to them by their hash.
const SHARDS: usize = 16;

/// A read cache for tasks. Cheap to clone; clones are the same cache.
///
/// Values are cloned for each answer: `Arc<T>` where that would cost. Locks are held for a look, never for a load.
pub struct Cache<K, V, E>(Arc<Inner<K, V, E>>);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum LoadError<E> {
    /// The load says so. All who waited for it hear the same, and who asks during the pause after it.
    #[error("it could not be loaded: {0}")]
    Failed(Arc<E>),
    /// The load panicked, or its runtime ended.
    #[error("its load ended without saying how")]
    Lost,
    /// The load took longer than [`Options::load_timeout_ms`].
    #[error("its load took too long")]
    TimedOut,
    /// [`Options::loads_max`] loads are under way.
    #[error("too many loads are under way")]
    Overloaded,
}

impl<E> Clone for LoadError<E> {
    fn clone(&self) -> Self {
        match self {
            Self::Failed(error) => Self::Failed(Arc::clone(error)),
            Self::Lost => Self::Lost,
            Self::TimedOut => Self::TimedOut,
            Self::Overloaded => Self::Overloaded,
        }
    }
}

impl<K, V, E> Clone for Cache<K, V, E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Inner<K, V, E> {
    shards: Vec<Mutex<Shard<K, V, E>>>,
    hasher: RandomState,
    began: Instant,
    load_timeout: Duration,
    hot_permille: u16,
}

struct Shard<K, V, E> {
    core: Core<K, V, LoadError<E>, RandomState>,
    /// Who waits for which load.
    waiting: HashMap<u64, watch::Sender<Option<Landed<V, E>>>>,
}

/// How a load ended, and when it began.
type Landed<V, E> = (Result<Loaded<V>, LoadError<E>>, u64);
type Landing<V, E> = watch::Receiver<Option<Landed<V, E>>>;

/// What a caller has to do, with what it needs to do it.
enum Turn<K, V, E> {
    Answer(Answer<V>, Option<Ticket<K>>),
    Load(Landing<V, E>, Ticket<K>),
    Wait(Landing<V, E>, Wait),
    Refused(LoadError<E>),
}

impl<K, V, E> Cache<K, V, E>
where
    K: Hash + Eq + Clone + Send + 'static,
    V: Clone + Send + Sync + 'static,
    E: Send + Sync + 'static,
{
    /// An empty cache.
    pub fn new(options: &Options<K, V>) -> Self {
        let hasher = RandomState::default();
        let (load_timeout, hot_permille) =
            (Duration::from_millis(options.load_timeout_ms), options.hot_permille);
        let part = Options {
            capacity_bytes: options.capacity_bytes / SHARDS as u64,
            loads_max: (options.loads_max / SHARDS).max(1),
            ..options.clone()
        };
        let shard = |at: usize| {
            let core = Core::with_hasher(part.clone(), hasher.hash_one(at), hasher.clone());
            Mutex::new(Shard { core, waiting: HashMap::new() })
        };
        let shards = (0..SHARDS).map(shard).collect();
        Self(Arc::new(Inner { shards, began: Instant::now(), load_timeout, hot_permille, hasher }))
    }

    /// What there is of `key`, at most `bound_ms` old: from the cache, or by `load`.
    ///
    /// `load` is called at most once, before anything is awaited or after a load of another's that brought nothing
    /// for this caller; what it returns runs as a task, so that it goes on if the caller is dropped. Everything that
    /// asks for a key meanwhile waits for that one load.
    pub async fn get<L>(
        &self,
        key: &K,
        bound_ms: u64,
        load: impl FnOnce() -> L,
    ) -> Result<Answer<V>, LoadError<E>>
    where
        L: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
    {
        let mut again = false;
        loop {
            let (landing, wait) = match self.0.turn(key, bound_ms, again) {
                Turn::Answer(answer, ticket) => {
                    if let Some(ticket) = ticket {
                        self.begin(ticket, load);
                    }
                    return Ok(answer);
                }
                Turn::Refused(error) => return Err(error),
                Turn::Wait(landing, wait) => (landing, wait),
                Turn::Load(landing, ticket) => {
                    self.begin(ticket, load);
                    return self.0.answer(key, bound_ms, landed(landing).await, Outcome::Loaded);
                }
            };
            let landed = landed(landing).await;
            if !landed.0.as_ref().is_ok_and(|loaded| !wait.admits(loaded.as_of)) {
                return self.0.answer(key, bound_ms, landed, Outcome::Joined);
            }
            again = true;
        }
    }

    fn begin<L>(&self, ticket: Ticket<K>, load: impl FnOnce() -> L)
    where
        L: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
    {
        let flight = Flight { cache: Arc::clone(&self.0), ticket: Some(ticket) };
        tokio::spawn(flight.fly(load()));
    }

    /// See [`Core::invalidate`].
    pub fn invalidate(&self, key: &K, version: u64) {
        self.0.shard(key).core.invalidate(key, version);
    }

    /// See [`Core::clear`].
    pub fn clear(&self) {
        for shard in &self.0.shards {
            lock(shard).core.clear();
        }
    }

    /// See [`Core::hot`].
    pub fn hot(&self) -> Vec<HotKey<K>> {
        let now_ms = self.0.now_ms();
        let counts = self.0.shards.iter().map(|shard| lock(shard).core.counts(now_ms));
        hottest(counts.collect(), self.0.hot_permille)
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        let counters = self.0.shards.iter().map(|shard| lock(shard).core.counters());
        counters.fold(Counters::default(), Counters::plus)
    }
}

impl<K: Hash + Eq + Clone, V: Clone, E> Inner<K, V, E> {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn shard(&self, key: &K) -> MutexGuard<'_, Shard<K, V, E>> {
        // Tables of hashes use the lowest and the highest bits.
        let at = (self.hasher.hash_one(key) >> 40) as usize % SHARDS;
        lock(&self.shards[at])
    }

    fn turn(&self, key: &K, bound_ms: u64, again: bool) -> Turn<K, V, E> {
        let now_ms = self.now_ms();
        let mut shard = self.shard(key);
        let look = match again {
            false => shard.core.look(key, now_ms, bound_ms),
            true => shard.core.look_again(key, now_ms, bound_ms),
        };
        match look {
            Look::Found(answer, ticket) => {
                if let Some(ticket) = &ticket {
                    shard.landing(ticket.load());
                }
                Turn::Answer(answer, ticket)
            }
            Look::Load(ticket) => Turn::Load(shard.landing(ticket.load()), ticket),
            Look::Wait(wait) => Turn::Wait(shard.landing(wait.load()), wait),
            Look::Failed(error) => Turn::Refused(error),
            Look::Full => Turn::Refused(LoadError::Overloaded),
        }
    }

    /// What a caller gets of a load: if it failed, what is still there within bounds.
    fn answer(
        &self,
        key: &K,
        bound_ms: u64,
        (result, began_ms): Landed<V, E>,
        outcome: Outcome,
    ) -> Result<Answer<V>, LoadError<E>> {
        let now_ms = self.now_ms();
        let age_ms = now_ms.saturating_sub(began_ms);
        match result {
            Ok(Loaded { value, as_of }) => Ok(Answer { value, as_of, age_ms, outcome }),
            Err(error) => self.shard(key).core.in_place(key, now_ms, bound_ms).ok_or(error),
        }
    }

    fn finish(&self, ticket: Ticket<K>, result: Result<Loaded<V>, LoadError<E>>) {
        let (now_ms, load, began_ms) = (self.now_ms(), ticket.load(), ticket.began_ms());
        let mut shard = self.shard(ticket.key());
        let waiting = shard.waiting.remove(&load);
        shard.core.finish(ticket, result.as_ref(), now_ms);
        drop(shard);
        if let Some(waiting) = waiting {
            waiting.send_replace(Some((result, began_ms)));
        }
    }
}

impl<K, V, E> Shard<K, V, E> {
    fn landing(&mut self, load: u64) -> Landing<V, E> {
        self.waiting.entry(load).or_insert_with(|| watch::Sender::new(None)).subscribe()
    }
}

/// A panic inside (of a key's `Hash`, a value's `Clone`) leaves at most an entry out.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn landed<V: Clone, E>(mut landing: Landing<V, E>) -> Landed<V, E> {
    let landed = landing.wait_for(Option::is_some).await;
    let landed = landed.ok().and_then(|landed| landed.clone());
    landed.unwrap_or((Err(LoadError::Lost), 0))
}

/// A load under way. However it ends, also by a panic or with its runtime, those who wait hear of it.
struct Flight<K: Hash + Eq + Clone, V: Clone, E> {
    cache: Arc<Inner<K, V, E>>,
    ticket: Option<Ticket<K>>,
}

impl<K: Hash + Eq + Clone, V: Clone, E> Flight<K, V, E> {
    async fn fly(mut self, load: impl Future<Output = Result<Loaded<V>, E>>) {
        let result = match timeout(self.cache.load_timeout, load).await {
            Ok(result) => result.map_err(|error| LoadError::Failed(Arc::new(error))),
            Err(_) => Err(LoadError::TimedOut),
        };
        self.land(result);
    }

    fn land(&mut self, result: Result<Loaded<V>, LoadError<E>>) {
        if let Some(ticket) = self.ticket.take() {
            self.cache.finish(ticket, result);
        }
    }
}

impl<K: Hash + Eq + Clone, V: Clone, E> Drop for Flight<K, V, E> {
    fn drop(&mut self) {
        self.land(Err(LoadError::Lost));
    }
}
