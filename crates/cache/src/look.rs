//! What is asked of a cache and answered by it.

/// What a load brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded<V> {
    /// `None`: there is none, which is kept for a shorter time.
    pub value: Option<V>,
    /// The version at which it was read: it has in it every write up to this one. Versions grow with writes;
    /// where there are none, this is 0 and writes invalidate at [`u64::MAX`].
    pub as_of: u64,
}

/// What a caller gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<V> {
    /// `None`: there is none.
    pub value: Option<V>,
    /// The version at which it was read.
    pub as_of: u64,
    /// Milliseconds since its load began: everything older is in it. Above the caller's bound by no more than
    /// the caller itself waited, and by less than 1 too small, as clocks are read in whole milliseconds.
    pub age_ms: u64,
    /// Where it is from.
    pub outcome: Outcome,
}

/// Where an answer is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was there, and fresh.
    Hit,
    /// It was there and is not fresh any more: it is being loaded again.
    Stale,
    /// It was loaded for this caller.
    Loaded,
    /// It was loaded for another caller, who asked before.
    Joined,
    /// It was there, is not fresh any more, and could not be loaded again.
    StaleOnError,
}

/// What a look finds, and so what its caller has to do.
#[derive(Debug)]
#[must_use = "a ticket obliges to load"]
pub enum Look<K, V, E> {
    /// Something to answer. If there is a ticket: load meanwhile.
    Found(Answer<V>, Option<Ticket<K>>),
    /// Load, then `finish`.
    Load(Ticket<K>),
    /// Somebody loads it: wait until that is finished.
    Wait(Wait),
    /// A load failed a moment ago, and no other begins yet.
    Failed(E),
    /// As many loads are under way as there may be.
    Full,
}

/// The duty to load a key, and to say how it went: until then nobody else loads it.
#[derive(Debug)]
#[must_use = "until it is finished nobody else loads its key"]
pub struct Ticket<K> {
    pub(crate) key: K,
    pub(crate) load: u64,
    pub(crate) began_ms: u64,
}

impl<K> Ticket<K> {
    /// What is to be loaded.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// Which load this is: what others [`Wait`] for.
    pub fn load(&self) -> u64 {
        self.load
    }

    /// When it began, from which its value's age counts.
    pub fn began_ms(&self) -> u64 {
        self.began_ms
    }
}

/// A load that somebody else does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    pub(crate) load: u64,
    pub(crate) at_least: Option<u64>,
}

impl Wait {
    /// The load to wait for.
    pub fn load(self) -> u64 {
        self.load
    }

    /// Whether what it brought is for this caller too. It is not if it began longer ago than the caller's bound,
    /// or was overtaken by a write of which the cache had heard when the caller looked: then `look_again`.
    pub fn admits(self, as_of: u64) -> bool {
        self.at_least.is_some_and(|at_least| as_of >= at_least)
    }
}
