//! The bodies that callers get.

use crate::{json::Verbatim, time::Rfc3339};
use evenkeel_domains::schedules::{Missed, ScheduleView, Timing};
use serde::Serialize;
use utoipa::ToSchema;

/// A schedule.
#[derive(Serialize, ToSchema)]
#[schema(as = Schedule)]
pub(crate) struct ScheduleBody<'s> {
    /// Its name.
    schedule: &'s str,
    /// When it is due; null if it has an interval.
    cron: Option<&'s str>,
    /// Whose clocks show that; null if it has an interval.
    timezone: Option<&'s str>,
    /// How far one run is from the next; null if it has an expression.
    every_ms: Option<u64>,
    /// Where its jobs go.
    queue: &'s str,
    job: ScheduledJobBody<'s>,
    /// skip, once or all.
    #[schema(value_type = String)]
    missed: &'static str,
    /// Whether it does not fire.
    paused: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Rfc3339,
    /// The next five runs; none while it is paused.
    #[schema(value_type = Vec<String>)]
    next_runs: Vec<Rfc3339>,
    /// When it last enqueued a job; null if it never has.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_run_at: Option<Rfc3339>,
    totals: ScheduleTotals,
    /// Why a run last failed; null if none has.
    #[schema(inline)]
    last_error: Option<ErrorBody<'s>>,
}

/// The job of a schedule.
#[derive(Serialize, ToSchema)]
#[schema(as = ScheduledJob)]
pub(crate) struct ScheduledJobBody<'s> {
    kind: &'s str,
    /// What the worker is given. Not in a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    payload: Option<Verbatim<'s>>,
    unique_key: Option<&'s str>,
    ordering_key: Option<&'s str>,
    priority: u8,
}

/// What became of a schedule's runs.
#[derive(Serialize, ToSchema)]
pub(crate) struct ScheduleTotals {
    /// Runs that enqueued a job.
    fired: u64,
    /// Runs that were due while nothing could run and did not, or as one with another.
    missed: u64,
    /// Runs for whose job there was no queue.
    failed: u64,
}

#[derive(Serialize, ToSchema)]
struct ErrorBody<'s> {
    #[schema(value_type = String, format = DateTime)]
    at: Rfc3339,
    text: &'s str,
}

/// A page of a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct ScheduleList<'s> {
    pub(crate) items: Vec<ScheduleBody<'s>>,
    /// Where the list goes on; null only at its end.
    pub(crate) cursor: Option<String>,
}

impl<'s> ScheduleBody<'s> {
    pub(crate) fn new(view: &'s ScheduleView) -> Self {
        let (cron, timezone, every_ms) = match &view.spec.timing {
            Timing::Cron { cron, timezone } => (Some(cron.as_str()), Some(timezone.as_str()), None),
            Timing::Every { every_ms } => (None, None, Some(*every_ms)),
        };
        let job = &view.spec.job;
        let job = ScheduledJobBody {
            kind: &job.kind,
            // A list is without; no JSON is no text.
            payload: Some(Verbatim(&job.payload)).filter(|json| !json.0.is_empty()),
            unique_key: job.unique_key.as_deref(),
            ordering_key: job.ordering_key.as_deref(),
            priority: job.priority,
        };
        let totals = view.totals;
        Self {
            schedule: &view.schedule,
            cron,
            timezone,
            every_ms,
            queue: &view.spec.queue,
            job,
            missed: match view.spec.missed {
                Missed::Skip => "skip",
                Missed::Once => "once",
                Missed::All => "all",
            },
            paused: view.paused,
            created_at: Rfc3339(view.created_at),
            next_runs: view.next_runs().into_iter().map(Rfc3339).collect(),
            last_run_at: view.last_run_at.map(Rfc3339),
            totals: ScheduleTotals {
                fired: totals.fired,
                missed: totals.missed,
                failed: totals.failed,
            },
            last_error: view
                .last_error
                .as_ref()
                .map(|(at, text)| ErrorBody { at: Rfc3339(*at), text }),
        }
    }
}
