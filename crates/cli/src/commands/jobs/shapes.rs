//! Jobs and queues as the API answers them, as far as they are shown.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
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

/// What more is known of one job. Documents are as they were given: numbers may be longer than any type.
#[derive(Debug, Deserialize)]
pub(super) struct Detail {
    #[serde(default)]
    pub(super) payload: Option<Box<RawValue>>,
    #[serde(default)]
    pub(super) unique_key: Option<String>,
    #[serde(default)]
    pub(super) ordering_key: Option<String>,
    #[serde(default)]
    pub(super) after: Vec<String>,
    #[serde(default)]
    pub(super) traceparent: Option<String>,
    #[serde(default)]
    pub(super) result: Option<Box<RawValue>>,
    #[serde(default)]
    pub(super) progress: Option<Box<RawValue>>,
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
    pub(super) enqueued_per_s: f64,
    pub(super) drained_per_s: f64,
    pub(super) drains_in_ms: Option<u64>,
    pub(super) workers_waiting: u64,
    pub(super) push: Option<Push>,
}

/// How the jobs of a queue are sent to a webhook, and whether they are.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Push {
    pub(super) disabled: Option<String>,
    pub(super) problem: Option<String>,
    pub(super) breaker: Option<String>,
    pub(super) wait_ms: Option<u64>,
}

impl Queue {
    /// How many jobs are in this state.
    pub(super) fn count(&self, state: &str) -> u64 {
        self.counts.get(state).copied().unwrap_or_default()
    }

    /// Whether it takes jobs in and gives them out.
    pub(super) fn standing(&self) -> &'static str {
        match (self.paused, self.draining, &self.push) {
            (true, true, _) => "paused+draining",
            (true, false, _) => "paused",
            (false, true, _) => "draining",
            (false, false, Some(Push { disabled: Some(_), .. })) => "push disabled",
            (false, false, Some(Push { problem: Some(_), .. })) => "push impossible",
            (false, false, Some(push)) if push.breaker.as_deref() == Some("open") => "push fails",
            (false, false, _) => "open",
        }
    }
}

/// What happened to a queue.
#[derive(Debug, Deserialize)]
pub(super) struct Event {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) at: String,
    pub(super) data: serde_json::Value,
}

/// A page of that. There is always a next one, which may be empty for now.
#[derive(Debug, Deserialize)]
pub(super) struct Events {
    pub(super) items: Vec<serde_json::Value>,
    pub(super) cursor: String,
    #[serde(default)]
    pub(super) reset: bool,
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
