//! Record time on one machine: the later of the wall clock at start and the last record's time,
//! plus the boot-time clock since. Steps of the wall clock change nothing, and time goes on while
//! the machine is suspended.

use evenkeel_engine::Time;
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The clock that all partitions of a node share.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    anchor: Time,
    started: Duration,
}

impl Clock {
    /// A clock that begins no earlier than `last`, the newest record's time.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    pub fn start(last: Time) -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall = Time(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX));
        Self { anchor: wall.max(last), started: since_boot() }
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Time {
        let since = since_boot().saturating_sub(self.started);
        self.anchor.plus_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

fn since_boot() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or_default())
}
