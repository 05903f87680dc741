//! Reads of committed state.

use super::{
    Refusal, Spec, Timetable, Totals,
    tables::{Schedule, ScheduleSpecs, Schedules},
};
use crate::reservations::{PAGE_BYTES_MAX, PAGE_ROWS_MAX};
use evenkeel_engine::{Stop, TenantId, Time};
use evenkeel_state::{Order, Read, StateError};
use serde::{Deserialize, Serialize};

/// Ticks to come that are shown of a schedule.
pub const NEXT_RUNS: usize = 5;
/// What an item takes beside its payload: field names, names, numbers, times, an error.
const ITEM_BYTES: usize = 2_048;

/// What can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// One schedule.
    Schedule {
        /// Its name.
        schedule: String,
    },
    /// The tenant's schedules in this partition, by name; without their payloads.
    Schedules {
        /// After this name.
        after: Option<String>,
        /// At most so many.
        limit: usize,
    },
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// One schedule.
    Schedule(Box<ScheduleView>),
    /// Schedules, and the last name looked at if there may be more.
    Schedules(Vec<ScheduleView>, Option<String>),
}

/// A schedule as answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleView {
    /// Its name.
    pub schedule: String,
    /// What it says.
    pub spec: Spec,
    /// Whether it does not fire.
    pub paused: bool,
    /// Since when it is there.
    pub created_at: Time,
    /// What an interval is counted from.
    pub since: Time,
    /// The next tick.
    pub next: Option<Time>,
    /// When it last enqueued a job.
    pub last_run_at: Option<Time>,
    /// What became of its ticks.
    pub totals: Totals,
    /// Why a tick last failed, and when.
    pub last_error: Option<(Time, String)>,
}

impl ScheduleView {
    /// The next ticks, [`NEXT_RUNS`] of them unless it ends before. Worked out by whoever shows
    /// them, so that a list costs its partition nothing.
    #[must_use]
    pub fn next_runs(&self) -> Vec<Time> {
        let Ok(timetable) = Timetable::new(&self.spec.timing, self.since) else {
            return Vec::new();
        };
        let runs = std::iter::successors(self.next, |last| timetable.next_after(*last));
        runs.take(NEXT_RUNS).collect()
    }
}

/// Answers `query`.
pub fn query(read: &impl Read, tenant: TenantId, query: &Query) -> Result<Found, Stop<Refusal>> {
    match query {
        Query::Schedule { schedule } => {
            let row = read.get::<Schedules>(&(tenant, schedule.clone()))?;
            let row = row.ok_or(Stop::Refused(Refusal::NoSchedule))?;
            Ok(Found::Schedule(Box::new(view(read, schedule, &row)?)))
        }
        Query::Schedules { after, limit } => {
            let limit = (*limit).min(PAGE_ROWS_MAX);
            Ok(page(read, tenant, after.as_deref(), limit)?)
        }
    }
}

/// A page, without payloads: one alone may be as large as all the rest of it.
fn page(
    read: &impl Read,
    tenant: TenantId,
    after: Option<&str>,
    limit: usize,
) -> Result<Found, StateError> {
    let after = after.map(|name| (tenant, name.to_owned()));
    let order = Order::Ascending;
    let rows = read.scan_prefix::<Schedules>(&tenant, after.as_ref(), order, limit + 1)?;
    let mut views: Vec<ScheduleView> = Vec::new();
    let mut bytes = 0;
    let mut more = false;
    for ((_, name), row) in rows {
        let mut view = view(read, &name, &row)?;
        bytes += ITEM_BYTES + view.spec.job.payload.len();
        if views.len() == limit || (bytes > PAGE_BYTES_MAX && !views.is_empty()) {
            more = true;
            break;
        }
        view.spec.job.payload = String::new();
        views.push(view);
    }
    let next = views.last().filter(|_| more).map(|view| view.schedule.clone());
    Ok(Found::Schedules(views, next))
}

fn view(read: &impl Read, name: &str, row: &Schedule) -> Result<ScheduleView, StateError> {
    let spec = read.get::<ScheduleSpecs>(&row.id)?;
    let spec = spec.expect("a schedule is written together with what it says");
    Ok(describe(name, row, spec))
}

/// A schedule as answered.
pub(super) fn describe(name: &str, row: &Schedule, spec: Spec) -> ScheduleView {
    ScheduleView {
        schedule: name.to_owned(),
        spec,
        paused: row.paused,
        created_at: row.created_at,
        since: row.since,
        next: row.next,
        last_run_at: row.last_run_at,
        totals: row.totals,
        last_error: row.last_error.clone(),
    }
}
