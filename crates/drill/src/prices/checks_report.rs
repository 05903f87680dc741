//! What exact limits came to: a table for people and JSON for machines.

use super::{
    Frame, Price, PriceOptions,
    checks::{KEYS, PERIOD_MS, QUANTITY, SIDES},
    frame::times,
};
use crate::load::{Run, Spread};
use serde::Serialize;
use std::fmt;

/// A price of limits, measured.
#[derive(Debug, Clone, Serialize)]
pub struct LimitsPrice {
    /// Which, and how.
    #[serde(flatten)]
    pub frame: Frame,
    /// Keys that were checked in turn.
    pub keys: u32,
    /// Units a period that the limits say of each key.
    pub quantity: u64,
    /// The period.
    pub period_ms: u64,
    /// With the guarantee, then without.
    pub sides: Vec<Side>,
}

/// What one side did. Spreads are over its measurements.
#[derive(Debug, Clone, Serialize)]
pub struct Side {
    /// The mode of its limit.
    pub name: &'static str,
    /// Checks that were answered in a second, by yes or by no.
    pub checks_per_s: Spread,
    /// Latency, half were faster.
    pub p50_us: Spread,
    /// Latency, 99 % were faster.
    pub p99_us: Spread,
    /// Appends to the log for a thousand checks.
    pub appends_per_1000: Spread,
    /// Checks in all.
    pub checks: u64,
    /// Appends in all.
    pub appends: u64,
    /// Checks that were refused.
    pub refused: u64,
    /// Units of a key that may be admitted beyond the policy in a period: what its answers state.
    pub over_admission_max: u64,
}

impl LimitsPrice {
    pub(super) fn new(
        price: &Price,
        options: &PriceOptions,
        measured: &[Vec<(Run, u64)>; SIDES.len()],
        over_admission_max: [u64; SIDES.len()],
    ) -> Self {
        let sides = SIDES.iter().zip(measured).zip(over_admission_max);
        Self {
            frame: Frame::new(price, options),
            keys: KEYS,
            quantity: QUANTITY,
            period_ms: PERIOD_MS,
            sides: sides.map(|((side, runs), over)| Side::of(side, runs, over)).collect(),
        }
    }
}

impl Side {
    fn of(name: &'static str, runs: &[(Run, u64)], over_admission_max: u64) -> Self {
        let refused = |run: &Run| run.kinds.iter().map(|kind| kind.refused).sum::<u64>();
        let checks = |run: &Run| refused(run) + run.kinds.iter().map(|kind| kind.ok).sum::<u64>();
        let spread = |pick: &dyn Fn(&Run, u64) -> f64| {
            Spread::of(runs.iter().map(|(run, appends)| pick(run, *appends)))
        };
        Self {
            name,
            checks_per_s: spread(&|run, _| {
                checks(run) as f64 * 1_000.0 / run.window_ms.max(1) as f64
            }),
            p50_us: spread(&|run, _| run.latency.p50_us as f64),
            p99_us: spread(&|run, _| run.latency.p99_us as f64),
            appends_per_1000: spread(&|run, appends| {
                appends as f64 * 1_000.0 / checks(run).max(1) as f64
            }),
            checks: runs.iter().map(|(run, _)| checks(run)).sum(),
            appends: runs.iter().map(|(_, appends)| appends).sum(),
            refused: runs.iter().map(|(run, _)| refused(run)).sum(),
            over_admission_max,
        }
    }
}

impl fmt::Display for LimitsPrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { keys, quantity, period_ms, .. } = self;
        let work = format!("that check {keys} keys of {quantity} units in {period_ms} ms");
        self.frame.begin(f, &work)?;
        writeln!(
            f,
            "{:<8} {:>10} {:>10} {:>10} {:>20} {:>15}",
            "", "checks/s", "p50 ms", "p99 ms", "appends/1,000 checks", "may exceed by"
        )?;
        for side in &self.sides {
            writeln!(
                f,
                "{:<8} {:>10.0} {:>10.3} {:>10.3} {:>20.2} {:>15}",
                side.name,
                side.checks_per_s.median,
                side.p50_us.median / 1_000.0,
                side.p99_us.median / 1_000.0,
                side.appends_per_1000.median,
                side.over_admission_max
            )?;
        }
        if let [with, without] = self.sides.as_slice() {
            write!(
                f,
                "\n{} costs: {:.2} times the checks a second, {:.2} times the median latency, {:.2} \
                 times the p99.\nIt saves: up to {} units a key that are admitted beyond {} in a \
                 period.",
                self.frame.price,
                times(with, without, |side| side.checks_per_s),
                times(with, without, |side| side.p50_us),
                times(with, without, |side| side.p99_us),
                without.over_admission_max,
                self.quantity
            )?;
        }
        self.frame.end(f)
    }
}
