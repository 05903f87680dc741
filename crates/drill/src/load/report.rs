//! What a drive found: a table for people and JSON for machines.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::driver::{Pace, Plan, Tally};
use super::histogram::{Histogram, Percentiles};

/// All runs of one plan, with medians over them.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The workload's name.
    pub workload: String,
    /// `closed` or `open`.
    pub pace: &'static str,
    /// Connections.
    pub connections: usize,
    /// Over the runs.
    pub summary: Summary,
    /// One a repeat.
    pub runs: Vec<Run>,
}

/// Medians and spread over the runs.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Successful operations a second.
    pub rate_per_s: Spread,
    /// Latency, half were faster.
    pub p50_us: Spread,
    /// Latency, 90 % were faster.
    pub p90_us: Spread,
    /// Latency, 99 % were faster.
    pub p99_us: Spread,
    /// Latency, 99.9 % were faster.
    pub p999_us: Spread,
    /// The slowest call.
    pub max_us: Spread,
    /// Calls that did what they were for.
    pub ok: u64,
    /// Calls with a business "no".
    pub refused: u64,
    /// Calls turned away because the server was busy.
    pub shed: u64,
    /// Calls without a usable answer.
    pub errors: u64,
    /// False when any open-loop run fell behind its schedule.
    pub kept_up: bool,
}

/// A median with the smallest and the largest.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The middle one; of an even number the mean of the two in the middle.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

/// One measured window.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// How long it was.
    pub window_ms: u64,
    /// Successful operations a second.
    pub rate_per_s: f64,
    /// Of all calls, whatever their outcome.
    pub latency: Percentiles,
    /// By kind of call.
    pub kinds: Vec<KindRun>,
    /// What the first failed call said.
    pub first_error: Option<String>,
    /// Of an open loop.
    pub open: Option<OpenRun>,
}

/// One kind of call in one window.
#[derive(Debug, Clone, Serialize)]
pub struct KindRun {
    /// Its name.
    pub kind: &'static str,
    /// Calls that did what they were for.
    pub ok: u64,
    /// Calls with a business "no".
    pub refused: u64,
    /// Calls turned away because the server was busy.
    pub shed: u64,
    /// Calls without a usable answer.
    pub errors: u64,
    /// Of all of them.
    pub latency: Percentiles,
}

/// Whether an open loop could keep its schedule.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct OpenRun {
    /// Calls a second that became due.
    pub offered_per_s: f64,
    /// Calls that were due and not begun when the window ended.
    pub backlog_calls: u64,
    /// The longest that a call waited for a free connection.
    pub start_lag_us_max: u64,
    /// False when the backlog is more than the schedule's grain: then the server, or this
    /// generator, was too slow for the rate.
    pub kept_up: bool,
}

impl OpenRun {
    /// Of a window of a plan with so many calls due and not begun at its end; none in a closed loop.
    pub(super) fn of(
        plan: &Plan,
        window: Duration,
        backlog_calls: u64,
        lag_max: Duration,
    ) -> Option<Self> {
        let Pace::Open { rate_per_s } = plan.pace else { return None };
        // A handful due and not begun is the schedule's grain; more than the connections, or
        // than a hundredth of what was offered, is a server that fell behind.
        let grain = (plan.connections as f64).max(rate_per_s * window.as_secs_f64() * 0.01);
        Some(Self {
            offered_per_s: rate_per_s,
            backlog_calls,
            start_lag_us_max: u64::try_from(lag_max.as_micros()).unwrap_or(u64::MAX),
            kept_up: backlog_calls as f64 <= grain,
        })
    }
}

impl Tally {
    pub(super) fn into_run(
        self,
        window: Duration,
        operations_per_call: u64,
        open: Option<OpenRun>,
    ) -> Run {
        let mut all = Histogram::new();
        let mut ok = 0;
        let mut kinds = Vec::with_capacity(self.kinds.len());
        for kind in self.kinds {
            all.merge(&kind.latency);
            ok += kind.ok;
            kinds.push(KindRun {
                kind: kind.name,
                ok: kind.ok,
                refused: kind.refused,
                shed: kind.shed,
                errors: kind.errors,
                latency: kind.latency.percentiles(),
            });
        }
        Run {
            window_ms: u64::try_from(window.as_millis()).unwrap_or(u64::MAX),
            rate_per_s: (ok * operations_per_call) as f64 / window.as_secs_f64().max(1e-9),
            latency: all.percentiles(),
            kinds,
            first_error: self.first_error.map(String::from),
            open,
        }
    }
}

impl Spread {
    /// Of at least one value; of none, all zero.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (Some(min), Some(max)) = (values.first(), values.last()) else {
            return Self { median: 0.0, min: 0.0, max: 0.0 };
        };
        let upper = values[values.len() / 2];
        let lower = values[(values.len() - 1) / 2];
        Self { median: f64::midpoint(lower, upper), min: *min, max: *max }
    }
}

impl Report {
    pub(super) fn new(workload: String, plan: &Plan, runs: Vec<Run>) -> Self {
        Self {
            workload,
            pace: match plan.pace {
                Pace::Closed => "closed",
                Pace::Open { .. } => "open",
            },
            connections: plan.connections,
            summary: Summary::of(&runs),
            runs,
        }
    }

    /// What the first failed call of all runs said.
    #[must_use]
    pub fn first_error(&self) -> Option<&str> {
        self.runs.iter().find_map(|run| run.first_error.as_deref())
    }
}

impl Summary {
    fn of(runs: &[Run]) -> Self {
        let latency = |pick: fn(&Percentiles) -> u64| {
            Spread::of(runs.iter().map(|run| pick(&run.latency) as f64))
        };
        let count =
            |pick: fn(&KindRun) -> u64| runs.iter().flat_map(|run| &run.kinds).map(pick).sum();
        Self {
            rate_per_s: Spread::of(runs.iter().map(|run| run.rate_per_s)),
            p50_us: latency(|found| found.p50_us),
            p90_us: latency(|found| found.p90_us),
            p99_us: latency(|found| found.p99_us),
            p999_us: latency(|found| found.p999_us),
            max_us: latency(|found| found.max_us),
            ok: count(|kind| kind.ok),
            refused: count(|kind| kind.refused),
            shed: count(|kind| kind.shed),
            errors: count(|kind| kind.errors),
            kept_up: runs.iter().all(|run| run.open.is_none_or(|open| open.kept_up)),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let windows = Spread::of(self.runs.iter().map(|run| run.window_ms as f64 / 1e3));
        writeln!(
            out,
            "{} · {} loop · {} connections · {} × {:.1} s",
            self.workload,
            self.pace,
            self.connections,
            self.runs.len(),
            windows.median
        )?;
        writeln!(out, "{:<14}{:>12}{:>12}{:>12}", "", "median", "min", "max")?;
        let summary = &self.summary;
        write_row(out, "ok/s", &summary.rate_per_s, |rate| grouped(rate.round() as u64))?;
        let ms = |latency_us: f64| format!("{:.2}", latency_us / 1e3);
        write_row(out, "p50 ms", &summary.p50_us, ms)?;
        write_row(out, "p90 ms", &summary.p90_us, ms)?;
        write_row(out, "p99 ms", &summary.p99_us, ms)?;
        write_row(out, "p99.9 ms", &summary.p999_us, ms)?;
        write_row(out, "max ms", &summary.max_us, ms)?;
        writeln!(
            out,
            "ok {} · refused {} · shed {} · errors {}",
            grouped(summary.ok),
            grouped(summary.refused),
            grouped(summary.shed),
            grouped(summary.errors)
        )?;
        self.write_kinds(out)?;
        self.write_open(out)?;
        if let Some(error) = self.first_error() {
            writeln!(out, "first error: {error}")?;
        }
        Ok(())
    }
}

impl Report {
    fn write_kinds(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.runs.first().filter(|run| run.kinds.len() > 1) else {
            return Ok(());
        };
        writeln!(
            out,
            "{:<14}{:>12}{:>12}{:>12}{:>12}{:>12}",
            "kind", "ok", "refused", "errors", "p50 ms", "p99 ms"
        )?;
        for (index, kind) in first.kinds.iter().enumerate() {
            let each = || self.runs.iter().map(|run| &run.kinds[index]);
            let median_ms = |pick: fn(&KindRun) -> u64| {
                Spread::of(each().map(|kind| pick(kind) as f64 / 1e3)).median
            };
            writeln!(
                out,
                "{:<14}{:>12}{:>12}{:>12}{:>12.2}{:>12.2}",
                kind.kind,
                grouped(each().map(|kind| kind.ok).sum()),
                grouped(each().map(|kind| kind.refused).sum()),
                grouped(each().map(|kind| kind.errors + kind.shed).sum()),
                median_ms(|kind| kind.latency.p50_us),
                median_ms(|kind| kind.latency.p99_us),
            )?;
        }
        Ok(())
    }

    fn write_open(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, run) in self.runs.iter().enumerate() {
            let Some(open) = run.open.filter(|open| !open.kept_up) else {
                continue;
            };
            writeln!(
                out,
                "run {}: COULD NOT KEEP UP with {}/s: {} calls were due and not begun",
                index + 1,
                grouped(open.offered_per_s.round() as u64),
                grouped(open.backlog_calls)
            )?;
        }
        Ok(())
    }
}

fn write_row(
    out: &mut fmt::Formatter<'_>,
    name: &str,
    spread: &Spread,
    show: impl Fn(f64) -> String,
) -> fmt::Result {
    writeln!(
        out,
        "{name:<14}{:>12}{:>12}{:>12}",
        show(spread.median),
        show(spread.min),
        show(spread.max)
    )
}

/// 1234567 as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_takes_the_middle() {
        let odd = Spread::of([3.0, 1.0, 2.0]);
        assert_eq!((odd.median, odd.min, odd.max), (2.0, 1.0, 3.0));
        assert_eq!(Spread::of([1.0, 2.0]).median, 1.5);
        assert_eq!(Spread::of([]).median, 0.0);
    }

    #[test]
    fn numbers_are_grouped_by_three() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
