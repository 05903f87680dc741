//! The work: many read a timeline to which some post, in the simulator. On one machine nobody else can lead, and to
//! wait for the log costs nothing: what it costs, it costs where the log is elsewhere. There each read joins the
//! next append, or has one made.

use super::{
    Frame, Price, PriceOptions,
    frame::{ms, times},
};
use crate::{
    load::Spread,
    sim::{ReadsPlan, ReadsRun, measure_reads},
};
use serde::Serialize;
use std::fmt;

/// The sides: with the guarantee, and without.
pub(super) const SIDES: [&str; 2] = ["linearizable", "session"];
/// The longest measurement, in virtual time.
const DURATION_MS_MAX: u64 = 60_000;

/// One measurement of one side, by seed.
pub(super) fn measure(side: usize, seed: u64, options: &PriceOptions) -> ReadsRun {
    measure_reads(ReadsPlan {
        seed,
        readers: options.connections,
        duration_ms: ms(options.duration).min(DURATION_MS_MAX),
        linearized: side == 0,
    })
}

/// A price of reads, measured.
#[derive(Debug, Clone, Serialize)]
pub struct ReadsPrice {
    /// Which, and how.
    #[serde(flatten)]
    pub frame: Frame,
    /// With the guarantee, then without.
    pub sides: Vec<ReadsSide>,
}

/// What one side did. Times are virtual. Spreads are over its measurements.
#[derive(Debug, Clone, Serialize)]
pub struct ReadsSide {
    /// How fresh reads are asked to be.
    pub name: &'static str,
    /// Reads that were answered in a second, while the log took what there was.
    pub reads_per_s: Spread,
    /// Latency then, half were faster.
    pub p50_ms: Spread,
    /// The same, 99 % were faster.
    pub p99_ms: Spread,
    /// Posts that were acknowledged in a second beside them.
    pub posts_per_s: Spread,
    /// Records in the log for a thousand reads, those of the posts with them.
    pub records_per_1000: Spread,
    /// Of the reads that were asked while the log took nothing, how many of a hundred were answered in time.
    pub answered_while_away: Spread,
    /// Reads in all.
    pub reads: usize,
}

impl ReadsPrice {
    pub(super) fn new(
        price: &Price,
        options: &PriceOptions,
        measured: &[Vec<ReadsRun>; SIDES.len()],
    ) -> Self {
        let sides = SIDES.iter().zip(measured).map(|(name, runs)| ReadsSide::of(name, runs));
        Self { frame: Frame::new(price, options), sides: sides.collect() }
    }
}

impl ReadsSide {
    fn of(name: &'static str, runs: &[ReadsRun]) -> Self {
        let spread = |pick: &dyn Fn(&ReadsRun) -> f64| Spread::of(runs.iter().map(pick));
        let a_second =
            |count: u64, run: &ReadsRun| count as f64 * 1_000.0 / run.well_ms.max(1) as f64;
        let answered = |run: &ReadsRun| run.latencies_ms.len() as u64 + run.while_away.1;
        let slower = |run: &ReadsRun, percent: usize| {
            let mut sorted = run.latencies_ms.clone();
            sorted.sort_unstable();
            let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
            sorted.get(at).map_or(f64::NAN, |ms| *ms as f64)
        };
        Self {
            name,
            reads_per_s: spread(&|run| a_second(run.latencies_ms.len() as u64, run)),
            p50_ms: spread(&|run| slower(run, 50)),
            p99_ms: spread(&|run| slower(run, 99)),
            posts_per_s: spread(&|run| a_second(run.posts, run)),
            records_per_1000: spread(&|run| {
                run.records as f64 * 1_000.0 / answered(run).max(1) as f64
            }),
            answered_while_away: spread(&|run| {
                run.while_away.1 as f64 * 100.0 / run.while_away.0.max(1) as f64
            }),
            reads: runs.iter().map(|run| run.latencies_ms.len()).sum(),
        }
    }
}

impl fmt::Display for ReadsPrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Frame { price, adds, beside, connections, repeats, duration_ms, .. } = &self.frame;
        writeln!(
            f,
            "{price}: {adds}.\nBeside it: {beside}.\n\n{connections} readers of one timeline and two who post \
             to it, in the simulator: messages of 1 to 4 ms, appends of 2 to 8; {repeats} × {} ms of virtual \
             time of each, medians; in a fifth of it the log takes nothing",
            (*duration_ms).min(DURATION_MS_MAX)
        )?;
        writeln!(
            f,
            "{:<13} {:>9} {:>7} {:>7} {:>8} {:>20} {:>27}",
            "reads",
            "reads/s",
            "p50 ms",
            "p99 ms",
            "posts/s",
            "records/1,000 reads",
            "answered with the log away"
        )?;
        for side in &self.sides {
            writeln!(
                f,
                "{:<13} {:>9.0} {:>7.0} {:>7.0} {:>8.0} {:>20.1} {:>25.0} %",
                side.name,
                side.reads_per_s.median,
                side.p50_ms.median,
                side.p99_ms.median,
                side.posts_per_s.median,
                side.records_per_1000.median,
                side.answered_while_away.median
            )?;
        }
        if let [with, without] = self.sides.as_slice() {
            write!(
                f,
                "\n{price} costs: {:.2} times the reads a second, {:.2} times the median latency, {:.2} times the \
                 p99, {:.2} times the records for each read; and while the log takes nothing, {:.0} of 100 reads \
                 are answered within {} ms where {:.0} could be. On one machine it costs nothing: nobody else can lead.",
                times(with, without, |side| side.reads_per_s),
                times(with, without, |side| side.p50_ms),
                times(with, without, |side| side.p99_ms),
                times(with, without, |side| side.records_per_1000),
                with.answered_while_away.median,
                ReadsPlan::WAITS_MS,
                without.answered_while_away.median
            )?;
        }
        Ok(())
    }
}
