//! The queue's settings, and what they promise.

use super::super::{plan::jobs::LEASE_MS, run::BrokenJobs};
use crate::history::jobs::{Head, Rules};
use evenkeel_domains::jobs::{BACKLOG_MAX, HeadPolicy, PRIORITY_MAX, Settings};
use fastrand::Rng;

/// Of which every bound is soon reached. What differs from run to run follows from the seed.
pub(super) fn of(seed: u64, broken: BrokenJobs) -> Settings {
    let mut rng = Rng::with_seed(seed ^ 0x5e77);
    let head = [HeadPolicy::Block, HeadPolicy::Skip, HeadPolicy::DeadLetter][rng.usize(0..3)];
    let settings = Settings {
        concurrency_limit: (rng.u8(0..4) == 0).then_some(3),
        max_backlog: 24,
        max_attempts: 3,
        max_crashes: 3,
        backoff_base_ms: 400,
        backoff_max_ms: 1_000,
        jitter_percent: 50,
        lease_ms: LEASE_MS,
        lease_ms_max: 10 * LEASE_MS,
        ageing_ms: 300,
        head,
        ..Settings::of(1)
    };
    Settings {
        jitter_percent: if broken.no_jitter { 0 } else { settings.jitter_percent },
        max_backlog: if broken.unbounded_backlog { BACKLOG_MAX } else { settings.max_backlog },
        ..settings
    }
}

/// What a queue with these settings says to its users.
pub(super) fn rules(settings: &Settings) -> Rules {
    let jitter = u64::from(settings.jitter_percent);
    Rules {
        backlog_max: (0..=PRIORITY_MAX).map(|priority| settings.backlog_max(priority)).collect(),
        concurrency_limit: settings.concurrency_limit,
        max_attempts: settings.max_attempts,
        max_crashes: settings.max_crashes,
        retries_within_ms: settings.backoff_base_ms * jitter * 2 / 100,
        head: match settings.head {
            HeadPolicy::Block => Head::Block,
            HeadPolicy::Skip => Head::Skip,
            HeadPolicy::DeadLetter => Head::DeadLetter,
        },
    }
}
