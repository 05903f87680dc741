//! The bodies that callers of queues get: what one says, how it is, what happened to it.

use super::pushed::PushBody;
use crate::time::Rfc3339;
use evenkeel_domains::jobs::{
    ByState, EventView, HeadPolicy, JobId, Kind, QueueEvent, Settings, State, Totals,
};
use evenkeel_engine::Time;
use evenkeel_log::PartitionId;
use evenkeel_node::{QueueReport, QueueState};
use serde::{Serialize, Serializer, ser::SerializeMap};
use utoipa::ToSchema;

/// What a queue says.
#[derive(Serialize, ToSchema)]
#[schema(as = Queue)]
pub(crate) struct QueueBody<'q> {
    /// Its name.
    pub(crate) queue: &'q str,
    /// Nothing is leased.
    paused: bool,
    /// Nothing is taken in.
    draining: bool,
    spread: u16,
    concurrency_limit: Option<u64>,
    max_backlog: u64,
    max_attempts: u32,
    max_crashes: u32,
    #[schema(inline)]
    backoff: BackoffBody,
    lease_ms: u64,
    lease_ms_max: u64,
    retention_ms: u64,
    dead_retention_ms: u64,
    result_bytes_max: u32,
    ageing_ms: u64,
    /// block, skip or dead_letter.
    #[schema(value_type = String)]
    head_failure: &'static str,
    /// Where its jobs are sent, if they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(inline)]
    push: Option<PushBody<'q>>,
}

#[derive(Serialize, ToSchema)]
struct BackoffBody {
    #[schema(value_type = String)]
    kind: &'static str,
    base_ms: u64,
    max_ms: u64,
    jitter: f64,
}

impl<'q> QueueBody<'q> {
    pub(crate) fn new(queue: &'q str, settings: &Settings, push: Option<PushBody<'q>>) -> Self {
        Self {
            queue,
            push,
            paused: settings.paused,
            draining: settings.draining,
            spread: settings.spread,
            concurrency_limit: settings.concurrency_limit,
            max_backlog: settings.max_backlog,
            max_attempts: settings.max_attempts,
            max_crashes: settings.max_crashes,
            backoff: BackoffBody {
                kind: "exponential",
                base_ms: settings.backoff_base_ms,
                max_ms: settings.backoff_max_ms,
                jitter: f64::from(settings.jitter_percent) / 100.0,
            },
            lease_ms: settings.lease_ms,
            lease_ms_max: settings.lease_ms_max,
            retention_ms: settings.retention_ms,
            dead_retention_ms: settings.dead_retention_ms,
            result_bytes_max: settings.result_bytes_max,
            ageing_ms: settings.ageing_ms,
            head_failure: match settings.head {
                HeadPolicy::Block => "block",
                HeadPolicy::Skip => "skip",
                HeadPolicy::DeadLetter => "dead_letter",
            },
        }
    }
}

/// A page of queues.
#[derive(Serialize, ToSchema)]
pub(crate) struct QueueList<'q> {
    pub(crate) items: Vec<QueueBody<'q>>,
    pub(crate) cursor: Option<String>,
}

/// What a queue says, and how it is.
#[derive(Serialize, ToSchema)]
#[schema(as = QueueReport)]
pub(crate) struct ReportBody<'q> {
    #[serde(flatten)]
    settings: QueueBody<'q>,
    /// How many jobs are in each state.
    #[schema(value_type = Object)]
    counts: Counts,
    /// Jobs that wait, for whatever.
    backlog: u64,
    /// How long the oldest job is ready that is.
    oldest_ready_ms: Option<u64>,
    /// Jobs that came a second, of late.
    enqueued_per_s: f64,
    /// Jobs that were done or given up a second, of late.
    drained_per_s: f64,
    /// When the backlog is worked off if it goes on so; null if it does not shrink.
    drains_in_ms: Option<u64>,
    /// Each kind: how many are in each state, and what has happened.
    #[schema(value_type = Vec<Object>)]
    kinds: Vec<KindBody>,
    #[schema(inline)]
    totals: TotalsBody,
    #[schema(value_type = Option<String>, format = DateTime)]
    last_leased_at: Option<Rfc3339>,
    /// Workers that wait for a job on this node.
    workers_waiting: u64,
}

impl<'q> ReportBody<'q> {
    pub(crate) fn new(settings: QueueBody<'q>, report: QueueReport, now: Time) -> Self {
        let QueueReport { state, kinds, oldest_ready, leased_at } = report;
        let QueueState { counts, totals, workers_waiting, came_per_s, went_per_s, .. } = state;
        Self {
            settings,
            counts: Counts(counts),
            backlog: state.backlog(),
            oldest_ready_ms: oldest_ready.map(|since| now.0.saturating_sub(since.0)),
            enqueued_per_s: hundredths(came_per_s),
            drained_per_s: hundredths(went_per_s),
            drains_in_ms: state.drains_in_ms(),
            kinds: kinds.into_iter().map(|(kind, of)| KindBody::new(kind, &of)).collect(),
            totals: TotalsBody::new(totals),
            last_leased_at: leased_at.map(Rfc3339),
            workers_waiting,
        }
    }
}

fn hundredths(rate: f64) -> f64 {
    (rate * 100.0).round() / 100.0
}

/// Jobs by state, each under its name.
#[derive(Clone, Copy)]
struct Counts(ByState);

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (state, count) in State::ALL.into_iter().zip(self.0) {
            map.serialize_entry(state.name(), &count)?;
        }
        map.end()
    }
}

#[derive(Serialize, ToSchema)]
struct TotalsBody {
    enqueued: u64,
    completed: u64,
    failed: u64,
    crashed: u64,
    died: u64,
}

impl TotalsBody {
    fn new(totals: Totals) -> Self {
        let Totals { enqueued, completed, failed, crashed, died } = totals;
        Self { enqueued, completed, failed, crashed, died }
    }
}

#[derive(Serialize)]
struct KindBody {
    kind: String,
    counts: Counts,
    totals: TotalsBody,
    /// How long a job was ready before it was leased, on average.
    wait_ms: Option<u64>,
    /// How long a lease lasted that has ended, on average.
    run_ms: Option<u64>,
}

impl KindBody {
    fn new(kind: String, of: &Kind) -> Self {
        let held = of.leases.saturating_sub(of.counts[State::Leased as usize]);
        Self {
            kind,
            counts: Counts(of.counts),
            totals: TotalsBody::new(of.totals),
            wait_ms: of.wait_ms.checked_div(of.leases),
            run_ms: of.run_ms.checked_div(held),
        }
    }
}

/// What happened to a queue.
#[derive(Serialize, ToSchema)]
pub(crate) struct QueueEventList {
    /// In order for each partition.
    #[schema(value_type = Vec<Object>)]
    pub(crate) items: Vec<QueueEventBody>,
    /// What to send as `after` to go on.
    pub(crate) cursor: String,
    /// Whether events that were asked for are not kept any more.
    pub(crate) reset: bool,
}

#[derive(Serialize)]
pub(crate) struct QueueEventBody {
    position: String,
    #[serde(rename = "type")]
    kind: &'static str,
    entity: String,
    at: Rfc3339,
    data: serde_json::Value,
}

impl QueueEventBody {
    pub(crate) fn new(queue: &str, partition: PartitionId, view: &EventView) -> Self {
        let id = |number| JobId { partition: partition.0, number }.to_string();
        let data = match &view.event {
            QueueEvent::Died { job, kind, error } => {
                serde_json::json!({ "job": id(*job), "kind": kind, "error": error })
            }
            QueueEvent::Replayed { by, count, jobs: (first, last) } => {
                serde_json::json!({ "by": by, "count": count, "first": id(*first), "last": id(*last) })
            }
        };
        Self {
            position: view.position.to_string(),
            kind: view.event.name(),
            entity: format!("queue:{queue}"),
            at: Rfc3339(view.at),
            data,
        }
    }
}
