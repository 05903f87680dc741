//! How a cache behaves: its bounds, its times, and what a drill takes away.

/// How a cache behaves. Times are milliseconds; ages count from the moment at which a load began.
#[derive(Debug, Clone)]
pub struct Options<K, V> {
    /// Bytes that entries may take: what `weigh` says of each, and what keeping it costs beyond that.
    pub capacity_bytes: u64,
    /// Bytes of a key and its value beyond `size_of` the two: a string's text, say.
    pub weigh: fn(&K, &V) -> u64,
    /// Up to this age a value is served and nothing else happens.
    pub fresh_ms: u64,
    /// Up to this age it is served that there is no value (negative caching). 0: never.
    pub absent_ms: u64,
    /// Thousandths by which those two are shortened at most, so that what was loaded at once is not loaded
    /// again at once.
    pub jitter_permille: u16,
    /// Up to this age a value is served while it is loaded again (stale while revalidate).
    pub stale_ms: u64,
    /// Up to this age a value is served if it cannot be loaded again (stale if error). Nothing older is served.
    pub age_ms_max: u64,
    /// For so long after a load that failed none of its key begins. 0: the next who asks begins one.
    pub pause_ms: u64,
    /// Loads under way at once: beyond it stale values are not loaded again, and who finds nothing is refused.
    pub loads_max: usize,
    /// How long a load may take. [`Cache`](crate::Cache) ends it then; a [`Core`](crate::Core) waits for nothing.
    pub load_timeout_ms: u64,
    /// Thousandths of all reads from which on a key is hot.
    pub hot_permille: u16,
    /// Only ever anything but the default in a drill.
    pub switches: Switches,
}

/// Guarantees that a drill takes away, to see which promise breaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Switches {
    /// What a load brings is kept though a write has overtaken it.
    pub fill_after_invalidate: bool,
    /// Whoever finds nothing loads, also while somebody else does.
    pub no_coalescing: bool,
}

impl<K, V> Options<K, V> {
    /// So many bytes; a value is fresh for a second and served for at most a minute.
    pub fn new(capacity_bytes: u64, weigh: fn(&K, &V) -> u64) -> Self {
        Self {
            capacity_bytes,
            weigh,
            fresh_ms: 1_000,
            absent_ms: 250,
            jitter_permille: 100,
            stale_ms: 10_000,
            age_ms_max: 60_000,
            pause_ms: 100,
            loads_max: 16_384,
            load_timeout_ms: 10_000,
            hot_permille: 10,
            switches: Switches::default(),
        }
    }
}
