//! What callers say of a queue: the body, and what is checked about it before `meta` sees it.

use super::pushed::QueuePushRequest;
use crate::{json::Document, problem::Problem};
use evenkeel_domains::jobs::{HeadPolicy, PushRequest, Settings};
use serde::Deserialize;
use utoipa::ToSchema;

/// What a queue is to say. What is left out has its default.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueueRequest {
    /// Partitions that it uses, for its life; all of them by default.
    spread: Option<u16>,
    /// Live leases at most; as many as there are jobs by default.
    concurrency_limit: Option<u64>,
    /// Jobs that may wait.
    max_backlog: Option<u64>,
    /// Attempts that may fail; the last makes a dead letter.
    max_attempts: Option<u32>,
    /// Leases that may end without a word; the last makes a dead letter.
    max_crashes: Option<u32>,
    backoff: Option<BackoffRequest>,
    /// How long a lease lasts, unless the worker asks otherwise.
    lease_ms: Option<u64>,
    /// How long a lease may be asked to last.
    lease_ms_max: Option<u64>,
    /// How long a job is kept that is done or cancelled; 0 forgets it at once.
    retention_ms: Option<u64>,
    /// How long a dead letter is kept.
    dead_retention_ms: Option<u64>,
    /// The largest result.
    result_bytes_max: Option<u32>,
    /// By how much longer a job waits than one of the next higher priority that is as old.
    ageing_ms: Option<u64>,
    head_failure: Option<HeadFailure>,
    /// Has jobs be sent to a webhook; workers may ask for them all the same.
    push: Option<QueuePushRequest>,
}

/// How long a job waits that has failed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Backoff)]
struct BackoffRequest {
    #[serde(default)]
    kind: BackoffKind,
    /// The first wait; each further one is twice as long as the one before.
    base_ms: Option<u64>,
    /// The longest wait, before jitter.
    max_ms: Option<u64>,
    /// By how much of itself a wait is longer or shorter: 0 to 1.
    jitter: Option<f64>,
}

/// How waits grow.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum BackoffKind {
    #[default]
    Exponential,
}

/// What becomes of an ordering key whose head has failed for good.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum HeadFailure {
    Block,
    Skip,
    DeadLetter,
}

impl QueueRequest {
    /// Where jobs are to be sent, if they are.
    pub(super) fn push(&mut self) -> Result<Option<Box<PushRequest>>, Problem> {
        self.push.take().map(|push| push.request().map(Box::new)).transpose()
    }

    /// The settings; whether they are legal is the domain's to say. A spread of 0 is the one it has.
    pub(super) fn settings(self) -> Result<Settings, Problem> {
        let of = Settings::of(0);
        let backoff = self.backoff.unwrap_or(BackoffRequest {
            kind: BackoffKind::default(),
            base_ms: None,
            max_ms: None,
            jitter: None,
        });
        let BackoffRequest { kind: BackoffKind::Exponential, base_ms, max_ms, jitter } = backoff;
        let spread = self.spread.unwrap_or(0);
        if self.spread == Some(0) {
            return Err(Problem::field("spread", "must be at least 1"));
        }
        Ok(Settings {
            spread,
            concurrency_limit: self.concurrency_limit,
            max_backlog: self.max_backlog.unwrap_or(of.max_backlog),
            max_attempts: self.max_attempts.unwrap_or(of.max_attempts),
            max_crashes: self.max_crashes.unwrap_or(of.max_crashes),
            backoff_base_ms: base_ms.unwrap_or(of.backoff_base_ms),
            backoff_max_ms: max_ms.unwrap_or(of.backoff_max_ms),
            jitter_percent: jitter.map_or(Ok(of.jitter_percent), percent)?,
            lease_ms: self.lease_ms.unwrap_or(of.lease_ms),
            lease_ms_max: self.lease_ms_max.unwrap_or(of.lease_ms_max),
            retention_ms: self.retention_ms.unwrap_or(of.retention_ms),
            dead_retention_ms: self.dead_retention_ms.unwrap_or(of.dead_retention_ms),
            result_bytes_max: self.result_bytes_max.unwrap_or(of.result_bytes_max),
            ageing_ms: self.ageing_ms.unwrap_or(of.ageing_ms),
            head: match self.head_failure {
                None => of.head,
                Some(HeadFailure::Block) => HeadPolicy::Block,
                Some(HeadFailure::Skip) => HeadPolicy::Skip,
                Some(HeadFailure::DeadLetter) => HeadPolicy::DeadLetter,
            },
            ..of
        })
    }
}

fn percent(jitter: f64) -> Result<u8, Problem> {
    if !(0.0..=1.0).contains(&jitter) {
        return Err(Problem::field("jitter", "must be 0 to 1"));
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to 100, as was just checked"
    )]
    Ok((jitter * 100.0).round() as u8)
}

impl Document for QueueRequest {
    const FIELDS: &'static [&'static str] = &[
        "spread",
        "concurrency_limit",
        "max_backlog",
        "max_attempts",
        "max_crashes",
        "backoff",
        "kind",
        "base_ms",
        "max_ms",
        "jitter",
        "lease_ms",
        "lease_ms_max",
        "retention_ms",
        "dead_retention_ms",
        "result_bytes_max",
        "ageing_ms",
        "head_failure",
        "push",
        "url",
        "secret",
        "timeout_ms",
        "concurrency_max",
    ];

    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}
