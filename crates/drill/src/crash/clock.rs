//! The time of a drill, which the record times that a server says are compared with.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// By how much the server's clock may show less or more than this one: both show whole milliseconds, and each
/// began with another.
pub(super) const CLOCKS_DIFFER_MS: u64 = 3;

/// A clock that began with what the wall clock said, and does not step with it.
pub(super) struct Clock {
    anchor_ms: u64,
    began: Instant,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "record times are compared with times here")]
    pub(super) fn new() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { anchor_ms: whole_ms(wall), began: Instant::now() }
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.anchor_ms + whole_ms(self.began.elapsed())
    }
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
