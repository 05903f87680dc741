//! The schedule of an open loop: calls become due at a fixed rate, whatever the server does.
//!
//! A thread of its own keeps the time, because tokio's timers are a millisecond coarse and
//! would add half of that to every latency.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// How late a call may become due by the pacer's own doing.
const TICK: Duration = Duration::from_micros(250);

/// Makes calls due until it is dropped.
pub(super) struct Pacer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    start: Instant,
    rate_per_s: f64,
    due: Semaphore,
    released: AtomicU64,
    taken: AtomicU64,
    stopped: AtomicBool,
}

impl Pacer {
    /// Starts the schedule: call 0 is due at once.
    pub(super) fn start(rate_per_s: f64) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            start: Instant::now(),
            rate_per_s,
            due: Semaphore::new(0),
            released: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        });
        let theirs = Arc::clone(&shared);
        let thread =
            thread::Builder::new().name("pacer".into()).spawn(move || theirs.keep_time())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Waits until the next call is due: its number and the instant it was due at. None once
    /// the schedule has stopped.
    pub(super) async fn next(&self) -> Option<(u64, Instant)> {
        self.shared.due.acquire().await.ok()?.forget();
        let call = self.shared.taken.fetch_add(1, Ordering::Relaxed);
        let due_s = call as f64 / self.shared.rate_per_s;
        Some((call, self.shared.start + Duration::from_secs_f64(due_s)))
    }

    /// Calls that are due and not yet begun.
    pub(super) fn backlog(&self) -> u64 {
        let taken = self.shared.taken.load(Ordering::Relaxed);
        let released = self.shared.released.load(Ordering::Relaxed);
        released.saturating_sub(taken)
    }

    /// No further call begins.
    pub(super) fn stop(&self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        self.shared.due.close();
    }
}

impl Drop for Pacer {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn keep_time(&self) {
        let mut released = 0_u64;
        while !self.stopped.load(Ordering::Relaxed) {
            let elapsed_s = self.start.elapsed().as_secs_f64();
            let due = (elapsed_s * self.rate_per_s) as u64 + 1;
            let count = usize::try_from(due - released).unwrap_or(usize::MAX);
            let count = count.min(Semaphore::MAX_PERMITS - self.due.available_permits());
            self.due.add_permits(count);
            released += count as u64;
            self.released.store(released, Ordering::Relaxed);
            let next_s = released as f64 / self.rate_per_s;
            let wait = Duration::from_secs_f64(next_s).saturating_sub(self.start.elapsed());
            thread::park_timeout(wait.max(TICK));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn calls_come_in_order_never_before_they_are_due() {
        let pacer = Pacer::start(10_000.0).unwrap();
        let mut last = None;
        for number in 0..200 {
            let (call, due) = pacer.next().await.unwrap();
            assert_eq!(call, number);
            assert!(due <= Instant::now());
            assert!(last.is_none_or(|last| due > last));
            last = Some(due);
        }
        pacer.stop();
        assert!(pacer.next().await.is_none());
    }

    #[tokio::test]
    async fn what_nobody_takes_is_backlog() {
        let pacer = Pacer::start(100_000.0).unwrap();
        while pacer.backlog() < 50 {
            tokio::task::yield_now().await;
        }
        let before = pacer.shared.start;
        let (_, due) = pacer.next().await.unwrap();
        assert_eq!(due, before);
    }
}
