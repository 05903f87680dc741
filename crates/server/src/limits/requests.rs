//! The bodies that callers send, and what is checked about each before a partition sees it.

use crate::{json::Document, problem::Problem, time::Rfc3339};
use evenkeel_domains::limits::{
    Algorithm, CHECKS_MAX, Durability, LeaseId, Mode, OnUnavailable, PERIOD_MS_MAX, Policy,
};
use evenkeel_engine::Time;
use serde::Deserialize;
use utoipa::ToSchema;

/// What a limit is to say.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LimitRequest {
    algorithm: AlgorithmName,
    /// Whether it counts for each scope and key; its checks then carry a scope, and all of a scope
    /// are counted together.
    #[serde(default)]
    scoped: bool,
    /// Units a period; of a concurrency limit, slots.
    quantity: u64,
    /// The period; of a concurrency limit, how long a slot is taken unless it is released or renewed.
    period_ms: u64,
    /// Of gcra: how many units may come at once beyond the first. Without it they come evenly.
    #[serde(default)]
    burst: u64,
    #[serde(default)]
    mode: ModeName,
    #[serde(default)]
    durability: DurabilityName,
    #[serde(default)]
    on_unavailable: OnUnavailableName,
    /// Whether it only watches: decides and counts, and never refuses.
    #[serde(default)]
    shadow: bool,
}

macro_rules! names {
    ($($(#[$about:meta])* $name:ident of $type:ident { $($(#[$default:ident])? $variant:ident),* })*) => {$(
        $(#[$about])*
        #[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub(crate) enum $name { $($variant),* }

        impl From<$name> for $type {
            fn from(name: $name) -> Self {
                match name { $($name::$variant => Self::$variant),* }
            }
        }
    )*};
}
names! {
    /// How a limit counts.
    AlgorithmName of Algorithm { Gcra, SlidingWindow, Concurrency }
    /// Where it is counted.
    ModeName of Mode { Exact, Leased }
    /// What an answer waits for.
    DurabilityName of Durability { Synced, Buffered }
    /// What is answered while nobody can count.
    OnUnavailableName of OnUnavailable { Allow, Deny }
}

macro_rules! defaults {
    ($($name:ident $variant:ident)*) => {$(
        impl Default for $name {
            fn default() -> Self {
                Self::$variant
            }
        }
    )*};
}
defaults! {
    ModeName Exact
    DurabilityName Synced
    OnUnavailableName Deny
}

/// Checks that are asked together.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckRequest {
    /// At most 32; all of them are counted, or none is.
    pub(crate) checks: Vec<CheckItem>,
    /// Only say what would be answered.
    #[serde(default)]
    pub(crate) peek: bool,
    /// Whether to answer with `X-RateLimit-Limit`, `-Remaining` and `-Reset` as well.
    #[serde(default)]
    pub(crate) legacy_headers: bool,
}

/// One check.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Check)]
pub(crate) struct CheckItem {
    /// The limit's name.
    pub(crate) limit: String,
    /// What is limited: any text of at most 512 bytes.
    pub(crate) key: String,
    /// Of a scoped limit.
    pub(crate) scope: Option<String>,
    /// How many units; 0 only asks.
    #[serde(default = "one")]
    pub(crate) cost: u64,
}

pub(crate) fn one() -> u64 {
    1
}

/// What was counted and not used.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefundRequest {
    /// The checks that counted it.
    pub(crate) checks: Vec<CheckItem>,
    /// The `counted_at` of the answer to them.
    #[schema(format = DateTime)]
    counted_at: String,
}

/// Keys that are to be full again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResetRequest {
    /// At most 32.
    checks: Vec<SubjectItem>,
}

/// A key of a limit.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Subject)]
pub(crate) struct SubjectItem {
    /// The limit's name.
    limit: String,
    /// What is limited: any text of at most 512 bytes.
    key: String,
    /// Of a scoped limit.
    scope: Option<String>,
}

/// A slot to give back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReleaseRequest {
    /// The `lease` of the check that took it.
    pub(crate) lease: String,
}

/// A slot to keep.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RenewRequest {
    /// The `lease` of the check that took it.
    pub(crate) lease: String,
    /// For how long from now: 1 ms to 366 days.
    ttl_ms: u64,
}

macro_rules! documents {
    ($($type:ident [$($field:literal),*];)*) => {$(
        impl Document for $type {
            const FIELDS: &'static [&'static str] = &[$($field),*];
        }
    )*};
}
documents! {
    LimitRequest ["algorithm", "scoped", "quantity", "period_ms", "burst", "mode", "durability",
        "on_unavailable", "shadow"];
    CheckRequest ["checks", "peek", "legacy_headers", "limit", "key", "scope", "cost"];
    RefundRequest ["checks", "counted_at", "limit", "key", "scope", "cost"];
    ResetRequest ["checks", "limit", "key", "scope"];
    ReleaseRequest ["lease"];
    RenewRequest ["lease", "ttl_ms"];
}

impl LimitRequest {
    /// The policy; whether it is legal is the domain's to say.
    pub(crate) fn policy(self) -> Policy {
        Policy {
            algorithm: self.algorithm.into(),
            scoped: self.scoped,
            quantity: self.quantity,
            period_ms: self.period_ms,
            burst: self.burst,
            mode: self.mode.into(),
            durability: self.durability.into(),
            on_unavailable: self.on_unavailable.into(),
            shadow: self.shadow,
        }
    }
}

impl RefundRequest {
    pub(crate) fn counted_at(&self) -> Result<Time, Problem> {
        Rfc3339::parse(&self.counted_at).ok_or_else(|| {
            Problem::field("counted_at", "must be the counted_at of the answer to the checks")
        })
    }
}

impl ResetRequest {
    pub(crate) fn checks(self) -> Vec<CheckItem> {
        let check = |SubjectItem { limit, key, scope }| CheckItem { limit, key, scope, cost: 0 };
        self.checks.into_iter().map(check).collect()
    }
}

impl RenewRequest {
    pub(crate) fn ttl_ms(&self) -> Result<u64, Problem> {
        let legal = (1..=PERIOD_MS_MAX).contains(&self.ttl_ms);
        let rule = || format!("must be 1 to {PERIOD_MS_MAX}, which is 366 days");
        if legal { Ok(self.ttl_ms) } else { Err(Problem::field("ttl_ms", &rule())) }
    }
}

pub(crate) fn checked_count(checks: &[CheckItem]) -> Result<(), Problem> {
    if (1..=CHECKS_MAX).contains(&checks.len()) {
        return Ok(());
    }
    Err(Problem::field("checks", &format!("must be 1 to {CHECKS_MAX} checks")))
}

pub(crate) fn checked_lease(lease: &str) -> Result<LeaseId, Problem> {
    lease.parse().map_err(|()| Problem::field("lease", "must be one that a check answered"))
}
