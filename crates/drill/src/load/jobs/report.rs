//! What the bench of jobs found: a table for people and JSON for machines.

use std::fmt;

use serde::Serialize;

use super::super::report::Report;
use super::backlog::BacklogReport;
use super::idle_polls::IdlePollsReport;

/// One of the bench's reports.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum JobsReport {
    /// Rates and latencies.
    Load(Report),
    /// With a backlog and without.
    Backlog(Box<BacklogReport>),
    /// Of workers that wait.
    IdlePolls(IdlePollsReport),
}

impl fmt::Display for JobsReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(report) => report.fmt(out),
            Self::Backlog(report) => report.fmt(out),
            Self::IdlePolls(report) => report.fmt(out),
        }
    }
}
