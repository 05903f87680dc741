//! What a path has really done in the last minutes, and what that leaves of its error budget.
//! Numbers only: they come from a [`crate::Meter`], here or on a server that answered them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::settings::{Settings, Slo};

/// The live numbers of one path over a window that ends now.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Delivered {
    /// The length of the window; shorter than usual soon after a start.
    pub window_s: u64,
    /// Requests in the window.
    pub requests: u64,
    /// Requests a second.
    pub rate_per_s: f64,
    /// Requests by code, `ok` among them; codes that did not occur are absent.
    pub outcomes: BTreeMap<String, u64>,
    /// Served.
    pub ok: u64,
    /// Answered with a domain's "no".
    pub refused: u64,
    /// The callers' mistakes and quotas.
    pub rejected: u64,
    /// Failures of the server: what spends the budget.
    pub errors: u64,
    /// Half of the answers came within this; `None` without any. Off by at most 6.25 %, as are
    /// the other quantiles.
    pub latency_p50_ms: Option<f64>,
    /// 99 of 100 answers came within this.
    pub latency_p99_ms: Option<f64>,
    /// 99 of 100 answers were not staler than this; `None` for writes.
    pub staleness_p99_ms: Option<f64>,
    /// Appends to the log spent on this path.
    pub appends: u64,
    /// Barriers spent on this path.
    pub barriers: u64,
    /// Answers that were replays of a stored one.
    pub replays: u64,
    /// Requests since the start that could succeed: all but the rejected.
    pub eligible_since_start: u64,
    /// Failures of the server since the start.
    pub errors_since_start: u64,
}

/// What an objective allows, and how much of that is spent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Errors of the window by requests of the window that could succeed.
    pub error_ratio: f64,
    /// `error_ratio / (1 − availability)`: at 1 the budget lasts exactly its period, at 14.4 a
    /// 30-day budget is gone in two days.
    pub burn_rate: f64,
    /// The share of the errors allowed since the start that is left: 1 untouched, 0 spent, below
    /// 0 overspent.
    pub left: f64,
    /// Whether the p99 of the window is within the objective; `None` without requests.
    pub latency_met: Option<bool>,
}

impl Delivered {
    /// The requests of the window that could succeed.
    ///
    /// A refusal is an answer and counts as good. A rejected request counts on neither side, so
    /// that a client which sends nonsense neither spends the budget nor hides who does.
    #[must_use]
    pub fn eligible(&self) -> u64 {
        self.ok + self.refused + self.errors
    }

    /// The budget under `slo`; burn rate as in Google's *Site Reliability Workbook*, chapter 5.
    #[must_use]
    pub fn budget(&self, slo: &Slo) -> Budget {
        let allowed = 1.0 - slo.availability / 100.0;
        let error_ratio = ratio(self.errors, self.eligible());
        let since_start = ratio(self.errors_since_start, self.eligible_since_start);
        Budget {
            error_ratio,
            burn_rate: error_ratio / allowed,
            left: 1.0 - since_start / allowed,
            latency_met: self.latency_p99_ms.map(|p99| p99 <= slo.latency_p99_ms as f64),
        }
    }

    /// Whether 99 of 100 reads kept the bound of their contract; `None` if there is no bound or
    /// nothing was read.
    #[must_use]
    pub fn staleness_met(&self, settings: &Settings) -> Option<bool> {
        let bound_ms = settings.max_staleness_ms?;
        self.staleness_p99_ms.map(|p99| p99 <= bound_ms as f64)
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLO: Slo = Slo { availability: 99.9, latency_p99_ms: 20 };

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-6
    }

    #[test]
    fn a_burn_rate_of_one_spends_exactly_what_is_allowed() {
        let delivered = Delivered {
            ok: 900,
            refused: 99,
            errors: 1,
            rejected: 5_000,
            eligible_since_start: 10_000,
            errors_since_start: 5,
            latency_p99_ms: Some(20.5),
            ..Delivered::default()
        };
        let budget = delivered.budget(&SLO);
        assert!(near(budget.error_ratio, 0.001));
        assert!(near(budget.burn_rate, 1.0), "rejected requests must not dilute: {budget:?}");
        assert!(near(budget.left, 0.5));
        assert_eq!(budget.latency_met, Some(false));
    }

    #[test]
    fn a_budget_can_be_untouched_or_overspent() {
        let idle = Delivered::default().budget(&SLO);
        assert_eq!((idle.burn_rate, idle.left, idle.latency_met), (0.0, 1.0, None));
        let broken = Delivered {
            errors: 10,
            eligible_since_start: 10,
            errors_since_start: 10,
            ..Delivered::default()
        };
        let budget = broken.budget(&SLO);
        assert!(near(budget.burn_rate, 1_000.0) && near(budget.left, -999.0), "{budget:?}");
    }
}
