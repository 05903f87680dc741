//! The bodies that callers get.

use super::requests::CheckItem;
use crate::time::Rfc3339;
use evenkeel_domains::limits::{Algorithm, Durability, Mode, OnUnavailable, Policy};
use evenkeel_node::{Called, Checked, Verdict};
use serde::Serialize;
use utoipa::ToSchema;

const NS_A_MS: u64 = 1_000_000;

/// A limit.
#[derive(Serialize, ToSchema)]
#[schema(as = Limit)]
pub(crate) struct LimitBody<'l> {
    /// Its name.
    pub(crate) limit: &'l str,
    /// gcra, sliding_window or concurrency.
    #[schema(value_type = String)]
    algorithm: &'static str,
    scoped: bool,
    /// Units a period; of a concurrency limit, slots.
    quantity: u64,
    /// The period; of a concurrency limit, how long a slot is taken.
    period_ms: u64,
    /// Of gcra: how many units may come at once beyond the first.
    burst: u64,
    /// exact or leased.
    #[schema(value_type = String)]
    mode: &'static str,
    /// synced or buffered.
    #[schema(value_type = String)]
    durability: &'static str,
    /// allow or deny.
    #[schema(value_type = String)]
    on_unavailable: &'static str,
    /// Whether it only watches.
    shadow: bool,
}

impl<'l> LimitBody<'l> {
    pub(crate) fn new(limit: &'l str, policy: &Policy) -> Self {
        Self {
            limit,
            algorithm: match policy.algorithm {
                Algorithm::Gcra => "gcra",
                Algorithm::SlidingWindow => "sliding_window",
                Algorithm::Concurrency => "concurrency",
            },
            scoped: policy.scoped,
            quantity: policy.quantity,
            period_ms: policy.period_ms,
            burst: policy.burst,
            mode: match policy.mode {
                Mode::Exact => "exact",
                Mode::Leased => "leased",
            },
            durability: match policy.durability {
                Durability::Synced => "synced",
                Durability::Buffered => "buffered",
            },
            on_unavailable: match policy.on_unavailable {
                OnUnavailable::Allow => "allow",
                OnUnavailable::Deny => "deny",
            },
            shadow: policy.shadow,
        }
    }
}

/// A page of a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct LimitList<'l> {
    pub(crate) items: Vec<LimitBody<'l>>,
    /// Where the list goes on; null only at its end.
    pub(crate) cursor: Option<String>,
}

/// What was decided about checks that were asked together.
#[derive(Serialize, ToSchema)]
#[schema(as = Checked)]
pub(crate) struct CheckedBody<'c> {
    /// Whether all of them are allowed: then all were counted, else none was.
    allowed: bool,
    /// Whether a limit's `on_unavailable` stands in for a count that could not be had.
    degraded: bool,
    /// When all of it was counted: what a refund names. Not in a peek, a refusal or a replay, nor if one
    /// of the checks is `degraded` or `shadow_refused`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    counted_at: Option<Rfc3339>,
    /// One a check, in their order.
    results: Vec<ResultBody<'c>>,
}

/// What was decided about one check.
#[derive(Serialize, ToSchema)]
#[schema(as = CheckResult)]
pub(crate) struct ResultBody<'c> {
    limit: &'c str,
    key: &'c str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'c str>,
    /// Whether this limit allows it.
    allowed: bool,
    /// The most that can remain: of gcra `burst + 1`, else the limit's quantity.
    quantity: u64,
    /// How many units remain.
    remaining: u64,
    /// When the same would fit, rounded up; null if it does, or never will.
    retry_after_ms: Option<u64>,
    /// When it is full again, if nothing more is counted, rounded up.
    reset_after_ms: u64,
    /// The slot that was taken of a concurrency limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<String>,
    /// Present and true: it would have been refused, were the limit more than watching.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    shadow_refused: bool,
    /// Present and true: nobody could count it, so its limit's `on_unavailable` was answered, and what
    /// remains is not known.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    degraded: bool,
    /// Of a limit in mode leased: how many units each node may admit beyond the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    over_admission_max: Option<u64>,
}

impl<'c> CheckedBody<'c> {
    /// Of `items`, which `called` answers; `counts` says whether they were to be counted.
    pub(crate) fn new(items: &'c [CheckItem], called: &Called<Checked>, counts: bool) -> Self {
        let checked = &called.answer;
        Self {
            allowed: checked.allowed,
            degraded: checked.is_degraded(),
            counted_at: called.counted_at().filter(|_| counts).map(Rfc3339),
            results: results(items, &checked.verdicts),
        }
    }
}

fn results<'c>(items: &'c [CheckItem], verdicts: &[Verdict]) -> Vec<ResultBody<'c>> {
    items.iter().zip(verdicts).map(|(item, verdict)| ResultBody::new(item, verdict)).collect()
}

impl<'c> ResultBody<'c> {
    fn new(item: &'c CheckItem, verdict: &Verdict) -> Self {
        let result = &verdict.result;
        Self {
            limit: &item.limit,
            key: &item.key,
            scope: item.scope.as_deref(),
            allowed: result.allowed,
            quantity: result.quantity,
            remaining: result.remaining,
            retry_after_ms: result.retry_after_ns.map(|after_ns| after_ns.div_ceil(NS_A_MS)),
            reset_after_ms: result.reset_after_ns.div_ceil(NS_A_MS),
            lease: verdict.lease.map(|lease| lease.to_string()),
            shadow_refused: result.shadow_refused,
            degraded: verdict.degraded,
            over_admission_max: verdict.over_admission_max,
        }
    }
}

/// How keys are now.
#[derive(Serialize, ToSchema)]
#[schema(as = Subjects)]
pub(crate) struct SubjectsBody<'c> {
    /// One a check, in their order.
    results: Vec<ResultBody<'c>>,
}

impl<'c> SubjectsBody<'c> {
    pub(crate) fn new(items: &'c [CheckItem], checked: &Checked) -> Self {
        Self { results: results(items, &checked.verdicts) }
    }
}

/// A slot that is free.
#[derive(Serialize, ToSchema)]
#[schema(as = Released)]
pub(crate) struct ReleasedBody<'l> {
    pub(crate) lease: &'l str,
    /// Always true: what was not taken is a problem, no_lease.
    pub(crate) released: bool,
}

/// A slot that stays taken.
#[derive(Serialize, ToSchema)]
#[schema(as = Renewed)]
pub(crate) struct RenewedBody<'l> {
    pub(crate) lease: &'l str,
    /// Until then.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) expires_at: Rfc3339,
}
