//! A queue's settings: what they mean, the rules that make them legal, how they are split over
//! partitions, and how long a job that failed waits.

use evenkeel_log::Hash;
use serde::{Deserialize, Serialize};

/// The longest lease: 24 hours.
pub const LEASE_MS_MAX: u64 = 24 * 3_600_000;
/// The longest that anything about a queue may take: 366 days.
pub const QUEUE_MS_MAX: u64 = 366 * 24 * 3_600_000;
/// The most attempts, and the most crashes, of one job.
pub const ATTEMPTS_MAX: u32 = 10_000;
/// The largest `max_backlog`.
pub const BACKLOG_MAX: u64 = 1_000_000_000;
/// The largest `result_bytes_max`.
pub const RESULT_BYTES_MAX: u32 = 64 * 1_024;
/// The highest priority.
pub const PRIORITY_MAX: u8 = 9;

/// What happens to an ordering key whose head has failed for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HeadPolicy {
    /// It waits until the head is replayed, cancelled or forgotten.
    Block,
    /// It goes on with the next.
    Skip,
    /// Those that are behind it now are dead letters too, so that nothing runs after a gap.
    DeadLetter,
}

/// What a queue's settings say. Of the whole queue in `meta`; in a command, its partition's
/// [share](Settings::share).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Grows with every change: a partition keeps the latest that it has seen.
    pub version: u64,
    /// Partitions that it uses. Fixed for the life of the queue: it decides where jobs are.
    pub spread: u16,
    /// Nothing is leased.
    pub paused: bool,
    /// Nothing is taken in; what is there is worked off.
    pub draining: bool,
    /// Live leases at most.
    pub concurrency_limit: Option<u64>,
    /// Jobs that wait, for whatever, at most.
    pub max_backlog: u64,
    /// Attempts that may fail: the last of them makes a dead letter.
    pub max_attempts: u32,
    /// Leases that may end without a word: the last of them makes a dead letter.
    pub max_crashes: u32,
    /// How long the first retry waits; each further one twice as long as the one before.
    pub backoff_base_ms: u64,
    /// The longest that a retry waits, before jitter.
    pub backoff_max_ms: u64,
    /// By how much of itself a wait is longer or shorter.
    pub jitter_percent: u8,
    /// How long a lease lasts unless asked otherwise.
    pub lease_ms: u64,
    /// How long it may last, from now.
    pub lease_ms_max: u64,
    /// How long a job is kept that is done or cancelled; 0 forgets it at once, its result with it.
    pub retention_ms: u64,
    /// How long a dead letter is kept.
    pub dead_retention_ms: u64,
    /// The largest result.
    pub result_bytes_max: u32,
    /// How much longer a job waits than one of the next higher priority that is ready at the same
    /// time.
    pub ageing_ms: u64,
    /// What a head that has failed for good does to its ordering key.
    pub head: HeadPolicy,
}

/// Why settings are not legal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// No partition, or more than there are.
    #[error("spread must be 1 to {partitions}, the number of partitions")]
    Spread {
        /// So many there are.
        partitions: u16,
    },
    /// Some partition would have no slot, and its jobs would never run.
    #[error(
        "concurrency_limit must be at least {spread}, the partitions that the queue uses: give it a \
         smaller spread, or an ordering key to jobs of which one may run at a time"
    )]
    Limit {
        /// So many partitions.
        spread: u16,
    },
    /// Too few or too many jobs.
    #[error("max_backlog must be {spread}, the partitions that the queue uses, to {BACKLOG_MAX}")]
    Backlog {
        /// So many partitions.
        spread: u16,
    },
    /// None, or more than anybody waits for.
    #[error("max_attempts and max_crashes must be 1 to {ATTEMPTS_MAX}")]
    Attempts,
    /// The last wait is shorter than the first, or too long.
    #[error("backoff must be 1 ms or more, and at most {QUEUE_MS_MAX}, base before max")]
    Backoff,
    /// More than all of it.
    #[error("jitter is 0 to 100 percent")]
    Jitter,
    /// None, or too long.
    #[error("a lease is 1 ms to {LEASE_MS_MAX} ms, lease_ms at most lease_ms_max")]
    Lease,
    /// Too long.
    #[error(
        "retention and ageing are at most {QUEUE_MS_MAX} ms, and dead letters are kept for some"
    )]
    Retention,
    /// Too large.
    #[error("a result has at most {RESULT_BYTES_MAX} bytes")]
    Result,
}

impl Settings {
    /// Of a queue that nobody has configured, over `spread` partitions.
    #[must_use]
    pub const fn of(spread: u16) -> Self {
        Self {
            version: 0,
            spread,
            paused: false,
            draining: false,
            concurrency_limit: None,
            max_backlog: 1_000_000,
            max_attempts: 25,
            max_crashes: 3,
            backoff_base_ms: 1_000,
            backoff_max_ms: 3_600_000,
            jitter_percent: 20,
            lease_ms: 30_000,
            lease_ms_max: 3_600_000,
            retention_ms: 7 * 24 * 3_600_000,
            dead_retention_ms: 30 * 24 * 3_600_000,
            result_bytes_max: 16 * 1_024,
            ageing_ms: 60_000,
            head: HeadPolicy::Block,
        }
    }

    /// Whether a queue may have them where there are so many partitions.
    pub fn check(&self, partitions: u16) -> Result<(), SettingsError> {
        let spread = self.spread;
        if !(1..=partitions).contains(&spread) {
            return Err(SettingsError::Spread { partitions });
        }
        if self.concurrency_limit.is_some_and(|limit| limit < u64::from(spread)) {
            return Err(SettingsError::Limit { spread });
        }
        if !(u64::from(spread)..=BACKLOG_MAX).contains(&self.max_backlog) {
            return Err(SettingsError::Backlog { spread });
        }
        let attempts = 1..=ATTEMPTS_MAX;
        if !attempts.contains(&self.max_attempts) || !attempts.contains(&self.max_crashes) {
            return Err(SettingsError::Attempts);
        }
        let backoff = 1..=self.backoff_max_ms;
        if !backoff.contains(&self.backoff_base_ms) || self.backoff_max_ms > QUEUE_MS_MAX {
            return Err(SettingsError::Backoff);
        }
        if self.jitter_percent > 100 {
            return Err(SettingsError::Jitter);
        }
        let lease = 1..=self.lease_ms_max;
        if !lease.contains(&self.lease_ms) || self.lease_ms_max > LEASE_MS_MAX {
            return Err(SettingsError::Lease);
        }
        let kept = [self.retention_ms, self.dead_retention_ms, self.ageing_ms];
        if kept.iter().any(|ms| *ms > QUEUE_MS_MAX) || self.dead_retention_ms == 0 {
            return Err(SettingsError::Retention);
        }
        if self.result_bytes_max > RESULT_BYTES_MAX {
            return Err(SettingsError::Result);
        }
        Ok(())
    }

    /// What the partition at `position` of those that the queue uses decides by: of the limit and of
    /// the backlog its share, one more or less than any other's. All shares together are the whole,
    /// so that neither is ever exceeded; while one partition is full another may have room.
    #[must_use]
    pub fn share(&self, position: u16) -> Self {
        let share = |whole: u64| {
            let spread = u64::from(self.spread.max(1));
            whole / spread + u64::from(u64::from(position) < whole % spread)
        };
        Self {
            concurrency_limit: self.concurrency_limit.map(share),
            max_backlog: share(self.max_backlog),
            ..*self
        }
    }

    /// Jobs that may wait before one of this priority is refused: all of the backlog at the highest,
    /// 2 % less at each below.
    #[must_use]
    pub fn backlog_max(&self, priority: u8) -> u64 {
        let below = u64::from(PRIORITY_MAX.saturating_sub(priority));
        self.max_backlog - self.max_backlog * 2 * below / 100
    }

    /// How long job `number` waits after it has failed `failures` times, the last time in `attempt`.
    /// Two jobs that fail at once come back apart; the same attempt always waits as long.
    #[must_use]
    pub fn backoff_ms(&self, number: u64, attempt: u32, failures: u32) -> u64 {
        let doublings = failures.saturating_sub(1).min(63);
        let factor = 1_u64 << doublings;
        let wait_ms = self.backoff_base_ms.saturating_mul(factor).min(self.backoff_max_ms);
        let jitter_ms = wait_ms.saturating_mul(u64::from(self.jitter_percent)) / 100;
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        bytes[8..].copy_from_slice(&attempt.to_be_bytes());
        let Hash(hash) = Hash::of(&bytes);
        let drawn = hash[..8].iter().fold(0, |drawn, byte| drawn << 8 | u64::from(*byte));
        wait_ms - jitter_ms + drawn % (2 * jitter_ms + 1)
    }
}
