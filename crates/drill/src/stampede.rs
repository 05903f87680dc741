//! The stampede of retries, as a plot: jobs that all fail at once, and when their next attempts are
//! due, by the domain's own backoff with its jitter and without.
//!
//! It shows; that the spread is kept is checked by the simulator, and `retry-without-jitter` is what
//! it looks like when it is not.

use evenkeel_domains::jobs::Settings;
use serde::Serialize;
use std::fmt;

/// The most jobs of one plot.
pub const JOBS_MAX: u64 = 1_000_000;
/// The most failures that a job may have had.
pub const FAILURES_MAX: u32 = 25;
/// Parts of the time in which retries are due.
const PARTS: u64 = 20;
/// Characters of the longest bar.
const BAR: u64 = 50;
/// Where the numbers of jobs begin.
const FIRST: u64 = 1 << 38;

/// When the retries of a stampede are due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stampede {
    /// Jobs that failed at once.
    pub jobs: u64,
    /// How often each has failed.
    pub failures: u32,
    /// By how much of itself a wait is longer or shorter.
    pub jitter_percent: u8,
    /// The first part begins so long after the failure.
    pub from_ms: u64,
    /// How long each part is.
    pub part_ms: u64,
    /// Retries that are due in each part.
    pub with_jitter: Vec<u64>,
    /// The same, were there no jitter.
    pub without_jitter: Vec<u64>,
}

impl Stampede {
    /// Of `jobs` that have failed `failures` times, in a queue that nobody has configured.
    #[must_use]
    pub fn new(jobs: u64, failures: u32) -> Self {
        let jittered = Settings::of(1);
        let even = Settings { jitter_percent: 0, ..jittered };
        let wait_ms = even.backoff_ms(FIRST, failures, failures);
        let jitter_ms = wait_ms * u64::from(jittered.jitter_percent) / 100;
        let from_ms = wait_ms - jitter_ms;
        // The last takes what is left over.
        let part_ms = (2 * jitter_ms / PARTS).max(1);
        let count = |settings: &Settings| {
            let mut parts = vec![0; PARTS as usize];
            for number in FIRST..FIRST + jobs {
                let due_ms = settings.backoff_ms(number, failures, failures);
                let part = (due_ms.saturating_sub(from_ms) / part_ms).min(PARTS - 1);
                parts[part as usize] += 1;
            }
            parts
        };
        Self {
            jobs,
            failures,
            jitter_percent: jittered.jitter_percent,
            from_ms,
            part_ms,
            with_jitter: count(&jittered),
            without_jitter: count(&even),
        }
    }

    fn plot(&self, parts: &[u64], f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = parts.iter().copied().max().unwrap_or(0).max(1);
        for (part, due) in (0..).zip(parts) {
            let from_ms = self.from_ms + part * self.part_ms;
            // Whatever is due is seen.
            let bar = "█".repeat((due * BAR).div_ceil(most) as usize);
            writeln!(f, "{:>10} ms {due:>8} {bar}", from_ms)?;
        }
        writeln!(f, "  at most {most} of {} within {} ms", self.jobs, self.part_ms)
    }
}

impl fmt::Display for Stampede {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { jobs, failures, jitter_percent, .. } = self;
        writeln!(
            f,
            "{jobs} jobs fail at once, each for time {failures}. Their retries are due after"
        )?;
        writeln!(f, "\nwith jitter, {jitter_percent} % either way:")?;
        self.plot(&self.with_jitter, f)?;
        writeln!(f, "\nwithout:")?;
        self.plot(&self.without_jitter, f)?;
        write!(f, "\nWhat it breaks: evenkeel drill sim --break retry-without-jitter")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_spreads_a_stampede_evenly() {
        for failures in [1, 3, FAILURES_MAX] {
            let plot = Stampede::new(1_000, failures);
            assert_eq!(plot.with_jitter.iter().sum::<u64>(), 1_000);
            assert!(plot.with_jitter.iter().all(|due| (15..110).contains(due)), "{plot}");
            let at_once = plot.without_jitter.iter().filter(|due| **due > 0);
            assert_eq!(at_once.collect::<Vec<_>>(), [&1_000], "{plot}");
        }
    }

    #[test]
    fn the_longest_bar_is_of_the_fullest_part() {
        let text = Stampede::new(1_000, 1).to_string();
        let longest = text.lines().map(|line| line.matches('█').count()).max();
        assert_eq!(longest, Some(BAR as usize));
        assert!(text.contains("at most 1000 of 1000 within"), "{text}");
    }
}
