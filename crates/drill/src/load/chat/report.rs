//! What the bench of chat found: a table for people and JSON for machines.

use std::fmt;

use serde::Serialize;

use super::super::report::Report;
use super::idle::IdleReport;
use super::resume::ResumeReport;
use super::sends::FillReport;

/// One of the bench's reports.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum ChatReport {
    /// Rates and latencies.
    Load(Report),
    /// Of subscribers that come back.
    Resume(ResumeReport),
    /// What was stored.
    Fill(FillReport),
    /// Of connections that do nothing.
    Idle(IdleReport),
}

impl fmt::Display for ChatReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(report) => report.fmt(out),
            Self::Resume(report) => report.fmt(out),
            Self::Fill(report) => report.fmt(out),
            Self::Idle(report) => report.fmt(out),
        }
    }
}
