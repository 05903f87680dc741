//! What workers write to: rows that compare fences, and charges that happen once. It never fails, and
//! each thing asked of it is one transaction.

use super::super::run::BrokenJobs;
use crate::history::jobs::Outcome;
use std::collections::{BTreeMap, BTreeSet};

pub(super) struct Downstream {
    broken: BrokenJobs,
    /// The highest fence that wrote each row.
    rows: BTreeMap<String, u64>,
    /// Jobs whose charge has happened.
    charged: BTreeSet<String>,
}

impl Downstream {
    pub(super) fn new(broken: BrokenJobs) -> Self {
        Self { broken, rows: BTreeMap::new(), charged: BTreeSet::new() }
    }

    /// Overwrites a row, unless somebody with a higher fence has.
    pub(super) fn put(&mut self, row: &str, fence: u64) -> Outcome {
        let written = self.rows.entry(row.to_owned()).or_default();
        if fence < *written && !self.broken.no_fence {
            return Outcome::Fenced;
        }
        *written = fence;
        Outcome::Applied
    }

    /// Whether the charge for a job has happened.
    pub(super) fn is_charged(&self, job: &str) -> bool {
        self.charged.contains(job)
    }

    /// Charges for a job. Whether it has happened is asked in the same transaction; unless `seen`
    /// says what the worker knows from before.
    pub(super) fn charge(&mut self, job: &str, seen: Option<bool>) -> Outcome {
        let there = !self.charged.insert(job.to_owned());
        if seen.unwrap_or(there) { Outcome::Already } else { Outcome::Applied }
    }
}
