//! The limits and switches of pushing.

use std::time::Duration;

/// How jobs are pushed. Everything that could grow has a bound here or beside what it bounds.
#[derive(Debug, Clone)]
pub struct PushOptions {
    /// The worker under whose name this node leases jobs to push them.
    pub worker: String,
    /// Attempts under way at once, of all queues; others wait, with their leases kept.
    pub attempts_max: usize,
    /// How long attempts may take to finish once the server is told to stop.
    pub drain_timeout: Duration,
}

impl PushOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            worker: "push@local".to_owned(),
            attempts_max: 1_024,
            drain_timeout: Duration::from_secs(10),
        }
    }
}

impl Default for PushOptions {
    fn default() -> Self {
        Self::new()
    }
}
