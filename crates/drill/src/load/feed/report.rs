//! What the bench of feeds found: a table for people and JSON for machines.

use std::fmt;

use serde::Serialize;

use super::super::report::Report;
use super::celebrity::CelebrityReport;
use super::filling::FillReport;
use super::stampede::StampedeReport;
use super::timelines::TimelineReport;

/// One of the bench's reports.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum FeedReport {
    /// Rates and latencies.
    Load(Report),
    /// What was put in.
    Fill(FillReport),
    /// Pages, and posts beside them.
    Timeline(Box<TimelineReport>),
    /// Of somebody whom very many follow.
    Celebrity(Box<CelebrityReport>),
    /// Of many who ask at once.
    Stampede(StampedeReport),
}

impl fmt::Display for FeedReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(report) => report.fmt(out),
            Self::Fill(report) => report.fmt(out),
            Self::Timeline(report) => report.fmt(out),
            Self::Celebrity(report) => report.fmt(out),
            Self::Stampede(report) => report.fmt(out),
        }
    }
}
