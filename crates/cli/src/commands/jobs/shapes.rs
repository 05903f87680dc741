//! Jobs and queues as the API answers them, as far as they are shown.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A job of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Item {
    pub(super) job: String,
    pub(super) state: String,
    pub(super) kind: String,
    pub(super) priority: u8,
    pub(super) attempt: u32,
    #[serde(default)]
    pub(super) failures: u32,
    #[serde(default)]
    pub(super) crashes: u32,
    pub(super) created_at: String,
    pub(super) at: String,
    #[serde(default)]
    pub(super) worker: Option<String>,
    #[serde(default)]
    pub(super) fence: Option<u64>,
    #[serde(default)]
    pub(super) cancel: bool,
    #[serde(default)]
    pub(super) error: Option<Said>,
}

/// Something that was said of a job.
#[derive(Debug, Deserialize)]
pub(super) struct Said {
    pub(super) at: String,
    pub(super) text: String,
}

/// One job with all that is known of it.
#[derive(Debug, Deserialize)]
pub(super) struct Detail {
    #[serde(flatten)]
    pub(super) item: Item,
    #[serde(default)]
    pub(super) payload: serde_json::Value,
    #[serde(default)]
    pub(super) unique_key: Option<String>,
    #[serde(default)]
    pub(super) ordering_key: Option<String>,
    #[serde(default)]
    pub(super) after: Vec<String>,
    #[serde(default)]
    pub(super) traceparent: Option<String>,
    #[serde(default)]
    pub(super) result: serde_json::Value,
    #[serde(default)]
    pub(super) progress: serde_json::Value,
    #[serde(default)]
    pub(super) waiting_for: Option<WaitingFor>,
}

/// Why a job is not running.
#[derive(Debug, Deserialize)]
pub(super) struct WaitingFor {
    pub(super) reason: String,
    pub(super) detail: String,
}

/// What became of a job that was acted on.
#[derive(Debug, Deserialize)]
pub(super) struct Standing {
    pub(super) state: String,
    #[serde(default)]
    pub(super) cancel: bool,
}

/// A queue, in a list of them.
#[derive(Debug, Deserialize)]
pub(super) struct Named {
    pub(super) queue: String,
}

/// A queue: how much is in it, and how it is going.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Queue {
    pub(super) queue: String,
    pub(super) paused: bool,
    pub(super) draining: bool,
    pub(super) counts: BTreeMap<String, u64>,
    pub(super) backlog: u64,
    pub(super) oldest_ready_ms: Option<u64>,
    pub(super) drain_per_s: Option<f64>,
    pub(super) drains_in_ms: Option<u64>,
    pub(super) totals: Totals,
    pub(super) workers_waiting: u64,
}

/// What became of a queue's jobs, since there are jobs in it.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
pub(super) struct Totals {
    pub(super) enqueued: u64,
    pub(super) completed: u64,
    pub(super) failed: u64,
    pub(super) crashed: u64,
    pub(super) died: u64,
}

impl Queue {
    /// How many jobs are in this state.
    pub(super) fn count(&self, state: &str) -> u64 {
        self.counts.get(state).copied().unwrap_or_default()
    }

    /// Whether it takes jobs in and gives them out.
    pub(super) fn standing(&self) -> &'static str {
        match (self.paused, self.draining) {
            (true, _) => "paused",
            (false, true) => "draining",
            (false, false) => "open",
        }
    }
}

/// Which dead letters.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Filter {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) until: Option<String>,
}

/// Dead letters that were brought back, or would be.
#[derive(Debug, Deserialize)]
pub(super) struct Replayed {
    pub(super) count: u64,
    #[serde(default)]
    pub(super) jobs: Vec<String>,
    #[serde(default)]
    pub(super) skipped: u64,
    pub(super) cursor: Option<String>,
}
