//! A job that was leased: what the server said of it, the lease kept alive, and its end reported.

use super::calls::{Calls, Unheard};
use crate::client::{Answer, Problem};
use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep_until};

/// A job as it is leased, as far as it matters here.
#[derive(Debug, Deserialize)]
pub(super) struct Job {
    pub(super) job: String,
    pub(super) attempt: u32,
    pub(super) lease: String,
    pub(super) fence: u64,
    pub(super) kind: String,
    /// As it was enqueued, byte for byte.
    pub(super) payload: Box<RawValue>,
    #[serde(default)]
    pub(super) traceparent: Option<String>,
}

/// What came of a report, or of an extension.
#[derive(Debug, Deserialize)]
struct Standing {
    #[serde(default)]
    cancel: bool,
}

/// Why a job is not, or not any more, this worker's.
#[derive(Debug)]
pub(super) enum Lost {
    /// Somebody wants it to stop.
    Cancelled,
    /// The server says that the lease is over.
    Stale,
    /// It may be over: the server was not heard in time.
    Unheard(String),
    /// The server does not extend it.
    Refused(Problem),
}

/// What the worker has to say at the end.
#[derive(Debug)]
pub(super) enum Report {
    Complete { result: Option<Box<RawValue>> },
    Fail { error: String, retry: bool },
    Snooze { delay_ms: u64 },
}

/// One live lease.
pub(super) struct Lease {
    calls: Arc<Calls>,
    job: String,
    lease: String,
    length: Duration,
    /// Until then it is certainly this worker's.
    until: Instant,
}

impl Lease {
    pub(super) fn new(calls: Arc<Calls>, job: &Job, length: Duration, since: Instant) -> Self {
        let (name, lease) = (job.job.clone(), job.lease.clone());
        Self { calls, job: name, lease, length, until: since + length }
    }

    /// Extends the lease each time that a third of it is over. Completes when it is lost.
    pub(super) async fn keep(&mut self) -> Lost {
        loop {
            sleep_until(self.until - self.length * 2 / 3).await;
            let asked = Instant::now();
            let lease_ms = u64::try_from(self.length.as_millis()).unwrap_or(u64::MAX);
            let body = json!({ "lease": self.lease, "lease_ms": lease_ms });
            match self.calls.say(&self.job, "extend", &body, self.until).await {
                Err(Unheard(why)) => return Lost::Unheard(why),
                Ok(answer) if answer.is_success() => {
                    let standing = serde_json::from_slice(&answer.body);
                    if standing.is_ok_and(|standing: Standing| standing.cancel) {
                        return Lost::Cancelled;
                    }
                    self.until = asked + self.length;
                }
                Ok(answer) => return refused(&answer),
            }
        }
    }

    /// Tells the server how it ended, in at most `patience`; the lease may end that sooner.
    pub(super) async fn report(&self, report: &Report, patience: Duration) -> Result<(), Lost> {
        let until = self.until.min(Instant::now() + patience);
        let answer = match report {
            Report::Complete { result } => {
                let body = Complete { lease: &self.lease, result: result.as_deref() };
                self.calls.say(&self.job, "complete", &body, until).await
            }
            Report::Fail { error, retry } => {
                let body = json!({ "lease": self.lease, "error": error, "retry": retry });
                self.calls.say(&self.job, "fail", &body, until).await
            }
            Report::Snooze { delay_ms } => {
                let body = json!({ "lease": self.lease, "delay_ms": delay_ms });
                self.calls.say(&self.job, "snooze", &body, until).await
            }
        };
        match answer {
            Err(Unheard(why)) => Err(Lost::Unheard(why)),
            Ok(answer) if answer.is_success() => Ok(()),
            Ok(answer) => Err(refused(&answer)),
        }
    }
}

fn refused(answer: &Answer) -> Lost {
    let problem = answer.problem();
    match problem.code.as_str() {
        "stale_lease" | "not_found" => Lost::Stale,
        _ => Lost::Refused(problem),
    }
}

#[derive(Serialize)]
struct Complete<'a> {
    lease: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
}
