//! What a strict order of all jobs came to: a table for people and JSON for machines.

use super::{
    Frame, Price, PriceOptions,
    fifo::{SIDES, SLOW, SPREAD},
    frame::{ms, times},
};
use crate::load::{Run, Spread};
use serde::Serialize;
use std::fmt;

/// A price of jobs, measured.
#[derive(Debug, Clone, Serialize)]
pub struct JobsPrice {
    /// Which, and how.
    #[serde(flatten)]
    pub frame: Frame,
    /// Partitions that the queue without it uses.
    pub spread: u16,
    /// How long one slow worker sat on a job.
    pub slow_ms: u64,
    /// With the guarantee, then without.
    pub sides: Vec<JobsSide>,
}

/// What one side did. Spreads are over its measurements.
#[derive(Debug, Clone, Serialize)]
pub struct JobsSide {
    /// Its queue.
    pub name: &'static str,
    /// Jobs that were enqueued, leased and completed in a second.
    pub jobs_per_s: Spread,
    /// How long that took, half were faster.
    pub p50_us: Spread,
    /// How long that took, 99 % were faster.
    pub p99_us: Spread,
    /// Other jobs that were done while a slow worker sat on one.
    pub beside_slow: Spread,
    /// Jobs in all.
    pub jobs: u64,
}

impl JobsPrice {
    pub(super) fn new(
        price: &Price,
        options: &PriceOptions,
        measured: &[Vec<(Run, u64)>; SIDES.len()],
    ) -> Self {
        Self {
            frame: Frame::new(price, options),
            spread: SPREAD,
            slow_ms: ms(SLOW),
            sides: SIDES
                .iter()
                .zip(measured)
                .map(|(side, runs)| JobsSide::of(side, runs))
                .collect(),
        }
    }
}

impl JobsSide {
    fn of(name: &'static str, runs: &[(Run, u64)]) -> Self {
        let jobs = |run: &Run| run.kinds.iter().map(|kind| kind.ok).sum::<u64>();
        let spread = |pick: &dyn Fn(&Run) -> f64| Spread::of(runs.iter().map(|(run, _)| pick(run)));
        Self {
            name,
            jobs_per_s: spread(&|run| jobs(run) as f64 * 1_000.0 / run.window_ms.max(1) as f64),
            p50_us: spread(&|run| run.latency.p50_us as f64),
            p99_us: spread(&|run| run.latency.p99_us as f64),
            beside_slow: Spread::of(runs.iter().map(|(_, beside)| *beside as f64)),
            jobs: runs.iter().map(|(run, _)| jobs(run)).sum(),
        }
    }
}

impl fmt::Display for JobsPrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.frame.begin(f, "that each enqueue, lease and complete")?;
        writeln!(
            f,
            "{:<8} {:>10} {:>10} {:>10} {:>32}",
            "", "jobs/s", "p50 ms", "p99 ms", "done while one job takes a while"
        )?;
        for side in &self.sides {
            writeln!(
                f,
                "{:<8} {:>10.0} {:>10.3} {:>10.3} {:>32.0}",
                side.name,
                side.jobs_per_s.median,
                side.p50_us.median / 1_000.0,
                side.p99_us.median / 1_000.0,
                side.beside_slow.median
            )?;
        }
        if let [with, without] = self.sides.as_slice() {
            write!(
                f,
                "\n{} costs: {:.2} times the jobs a second, {:.2} times the median latency, {:.2} \
                 times the p99; and while one worker sat on a job for {} ms, {:.0} others were done \
                 instead of {:.0}.",
                self.frame.price,
                times(with, without, |side| side.jobs_per_s),
                times(with, without, |side| side.p50_us),
                times(with, without, |side| side.p99_us),
                self.slow_ms,
                with.beside_slow.median,
                without.beside_slow.median
            )?;
        }
        self.frame.end(f)
    }
}
