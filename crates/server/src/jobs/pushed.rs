//! Where the jobs of a queue are sent, as callers say it and as they are shown it. A secret is read here
//! and never written.

use crate::{
    problem::Problem,
    push::{self, PushStanding},
    time::Rfc3339,
};
use evenkeel_domains::jobs::{PUSH_CONCURRENCY, PUSH_TIMEOUT_MS, Push, PushRequest};
use evenkeel_engine::Time;
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// Where the jobs of a queue are to be sent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Push)]
pub(super) struct QueuePushRequest {
    /// http or https.
    url: String,
    /// `whsec_` and 24 to 64 bytes in base64: what requests are signed with. If it is left out, what
    /// they were signed with before; the one before goes on signing for 24 hours beside a new one.
    secret: Option<String>,
    /// How long an attempt may take; 10,000 by default.
    timeout_ms: Option<u64>,
    /// Attempts under way at once, on each node; 32 by default.
    concurrency_max: Option<u32>,
}

impl fmt::Debug for QueuePushRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueuePushRequest").finish_non_exhaustive()
    }
}

impl QueuePushRequest {
    /// Whether it is legal is the domain's to say, and where it may go the node's.
    pub(super) fn request(self) -> Result<PushRequest, Problem> {
        let Self { url, secret, timeout_ms, concurrency_max } = self;
        let secret = secret.as_deref().map(push::secret).transpose();
        Ok(PushRequest {
            url,
            secret: secret
                .map_err(|error| Problem::invalid(error.to_string()).with("field", "secret"))?,
            timeout_ms: timeout_ms.unwrap_or(PUSH_TIMEOUT_MS),
            concurrency_max: concurrency_max.unwrap_or(PUSH_CONCURRENCY),
        })
    }
}

/// Where the jobs of a queue are sent, and how that stands on this node.
#[derive(Serialize, ToSchema)]
pub(crate) struct PushBody<'q> {
    url: &'q str,
    /// The secret is never shown.
    secret_set: bool,
    /// Until when requests are signed with the secret before as well.
    #[schema(value_type = Option<String>, format = DateTime)]
    rotates_until: Option<Rfc3339>,
    timeout_ms: u64,
    concurrency_max: u32,
    /// Why nothing is sent any more; putting the queue again ends that.
    disabled: Option<&'q str>,
    /// closed, open or half_open; null where this node does not push it.
    #[schema(value_type = Option<String>)]
    breaker: Option<&'static str>,
    /// Attempts that may be under way at once.
    concurrency: Option<u32>,
    /// Those that are.
    in_flight: Option<u32>,
    /// For how long nothing is sent, because the breaker is open or the destination asked for it.
    wait_ms: Option<u64>,
    /// Why nothing can be sent from this node at all.
    problem: Option<String>,
}

impl<'q> PushBody<'q> {
    pub(crate) fn new(push: &'q Push, standing: Option<PushStanding>, now: Time) -> Self {
        Self {
            url: &push.url,
            secret_set: true,
            rotates_until: push.rotates_until(now).map(Rfc3339),
            timeout_ms: push.timeout_ms,
            concurrency_max: push.concurrency_max,
            disabled: push.disabled.as_deref(),
            breaker: standing.as_ref().map(|standing| standing.breaker),
            concurrency: standing.as_ref().map(|standing| standing.concurrency),
            in_flight: standing.as_ref().map(|standing| standing.in_flight),
            wait_ms: standing.as_ref().map(|standing| standing.wait_ms),
            problem: standing.and_then(|standing| standing.problem),
        }
    }
}
