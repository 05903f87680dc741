//! What an import did.

use super::send::Sent;
use serde_json::{Value, json};
use std::time::Duration;

/// Bad lines that are listed; more are only counted.
const LISTED_MAX: usize = 1_000;

/// The counts.
#[derive(Debug, Default)]
pub(super) struct Summary {
    created: u64,
    existing: u64,
    bad: u64,
    listed: Vec<(u64, String)>,
    /// Why it ended before the last line.
    pub(super) stopped: Option<String>,
}

impl Summary {
    pub(super) fn count(&mut self, sent: Sent) {
        match sent {
            Sent::Created => self.created += 1,
            Sent::Existing => self.existing += 1,
        }
    }

    pub(super) fn bad(&mut self, line: u64, reason: String) {
        self.bad += 1;
        if self.listed.len() < LISTED_MAX {
            self.listed.push((line, reason));
        }
    }

    /// Resources that are there now.
    pub(super) fn done(&self) -> u64 {
        self.created + self.existing
    }

    pub(super) fn as_text(&self, took: Duration) -> String {
        let seconds = took.as_secs_f64();
        format!(
            "imported {} resources in {seconds:.1} s ({:.0} a second): {} created, {} there \
             already; {} bad lines\n",
            self.done(),
            self.done() as f64 / seconds.max(1e-9),
            self.created,
            self.existing,
            self.bad
        )
    }

    pub(super) fn as_json(&self, took: Duration) -> Value {
        let bad: Vec<_> = self
            .listed
            .iter()
            .map(|(line, reason)| json!({ "line": line, "reason": reason }))
            .collect();
        json!({
            "done": self.done(),
            "created": self.created,
            "existing": self.existing,
            "bad": self.bad,
            "bad_lines": bad,
            "stopped": self.stopped,
            "elapsed_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        })
    }
}
