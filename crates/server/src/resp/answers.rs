//! Outcomes as replies: `CL.THROTTLE`'s five numbers, the maps of `LIMIT.*`, and failures.
//!
//! A check answers a map as HTTP does: `allowed`; `degraded` where nobody could count; `counted_at`,
//! which a refund names, where it was counted; and `results`, a map for each limit that was asked:
//! `limit`, `allowed`, `quantity`, `remaining`, `retry_after_ms` (nothing if it fits, or never will),
//! `reset_after_ms`; `lease` where a slot was taken, and `shadow_refused` and `degraded` where that is
//! so. There durations are rounded up: who waits so long does not come too early.

use super::{
    arguments::Wrong,
    reply::Replies,
    service::{Failure, INVALID_REQUEST, Managed, Name, Outcome, Request},
    words::Words as _,
};
use evenkeel_domains::limits::{CheckResult, Policy};
use evenkeel_engine::Time;
use evenkeel_node::Verdict;
use smallvec::SmallVec;

const NS_PER_MS: u64 = 1_000_000;

/// What a command of a batch waits for.
#[derive(Debug)]
pub(super) enum Awaited {
    /// Five numbers.
    Throttle,
    /// A map that has these names in it.
    Check(SmallVec<[Name; 1]>),
    /// 1 or 0.
    Released,
    /// When the lease ends.
    Renewed,
    /// Nothing: it was wrong.
    Nothing(Wrong),
}

impl Awaited {
    pub(super) fn by(request: &Request) -> Self {
        match request {
            Request::Throttle(_) => Self::Throttle,
            Request::Check(check) | Request::Reset(check) | Request::Refund { check, .. } => {
                Self::Check(check.costs.iter().map(|cost| cost.subject.limit.clone()).collect())
            }
            Request::Release(_) => Self::Released,
            Request::Renew { .. } => Self::Renewed,
        }
    }
}

/// Answers a command whose request had `outcome`; `None` if it was not sent, or nobody said.
pub(super) fn outcome(awaited: &Awaited, outcome: Option<Outcome>, replies: &mut Replies) {
    match (awaited, outcome) {
        (Awaited::Nothing(Wrong(text)), _) => replies.error(&[text]),
        (Awaited::Throttle, Some(Outcome::Failed(Failure { code: INVALID_REQUEST, detail }))) => {
            replies.error(&[b"Cell error: ", detail.as_bytes()]);
        }
        (_, Some(Outcome::Failed(failure))) => failed(&failure, replies),
        (Awaited::Throttle, Some(Outcome::Checked { allowed, verdicts, .. }))
            if verdicts.len() == 1 =>
        {
            throttled(allowed, &verdicts[0].result, replies);
        }
        (Awaited::Check(names), Some(Outcome::Checked { allowed, counted_at, verdicts }))
            if verdicts.len() == names.len() =>
        {
            checked(allowed, counted_at, names, &verdicts, replies);
        }
        (Awaited::Released, Some(Outcome::Released(there_was))) => {
            replies.integer(i64::from(there_was));
        }
        (Awaited::Renewed, Some(Outcome::Renewed(Some(ends_at)))) => {
            replies.integer(number(ends_at.0));
        }
        (Awaited::Renewed, Some(Outcome::Renewed(None))) => replies.null(),
        (_, other) => {
            tracing::error!(?awaited, ?other, "a request of a batch has no outcome of its kind");
            replies.error(&[b"INTERNAL something went wrong inside; it is in the log"]);
        }
    }
}

/// Answers a request about limits.
pub(super) fn managed(managed: &Managed, replies: &mut Replies) {
    match managed {
        Managed::Done => replies.simple("OK"),
        Managed::Deleted(there_was) => replies.integer(i64::from(*there_was)),
        Managed::Found(None) => replies.null(),
        Managed::Found(Some(found)) => policy(None, found, replies),
        Managed::Listed(limits) => {
            replies.array(limits.len());
            for (name, found) in limits {
                policy(Some(name), found, replies);
            }
        }
        Managed::Failed(failure) => failed(failure, replies),
    }
}

/// What redis-cell answers: its seconds are rounded up from whole milliseconds, so that less than
/// one is nothing.
fn throttled(allowed: bool, result: &CheckResult, replies: &mut Replies) {
    let seconds = |ns: u64| number((ns / NS_PER_MS).div_ceil(1_000));
    replies.array(5);
    replies.integer(i64::from(!allowed));
    replies.integer(number(result.quantity));
    replies.integer(number(result.remaining));
    replies.integer(result.retry_after_ns.filter(|_| !allowed).map_or(-1, seconds));
    replies.integer(seconds(result.reset_after_ns));
}

fn checked(
    allowed: bool,
    counted_at: Option<Time>,
    names: &[Name],
    verdicts: &[Verdict],
    replies: &mut Replies,
) {
    let degraded = verdicts.iter().any(|verdict| verdict.degraded);
    replies.map(2 + usize::from(degraded) + usize::from(counted_at.is_some()));
    replies.text("allowed");
    replies.boolean(allowed);
    if degraded {
        replies.text("degraded");
        replies.boolean(true);
    }
    if let Some(at) = counted_at {
        replies.text("counted_at");
        replies.integer(number(at.0));
    }
    replies.text("results");
    replies.array(verdicts.len());
    for (name, verdict) in names.iter().zip(verdicts) {
        one(name, verdict, replies);
    }
}

/// What one limit says.
fn one(name: &Name, verdict: &Verdict, replies: &mut Replies) {
    let Verdict { result, lease, degraded, over_admission_max } = verdict;
    let more = [lease.is_some(), result.shadow_refused, *degraded, over_admission_max.is_some()];
    replies.map(6 + more.iter().filter(|has| **has).count());
    replies.text("limit");
    replies.text(name.as_str());
    replies.text("allowed");
    replies.boolean(result.allowed);
    replies.text("quantity");
    replies.integer(number(result.quantity));
    replies.text("remaining");
    replies.integer(number(result.remaining));
    replies.text("retry_after_ms");
    match result.retry_after_ns {
        Some(ns) => replies.integer(number(ns.div_ceil(NS_PER_MS))),
        None => replies.null(),
    }
    replies.text("reset_after_ms");
    replies.integer(number(result.reset_after_ns.div_ceil(NS_PER_MS)));
    if let Some(lease) = lease {
        replies.text("lease");
        replies.text(&lease.to_string());
    }
    for (is, word) in [(result.shadow_refused, "shadow_refused"), (*degraded, "degraded")] {
        if is {
            replies.text(word);
            replies.boolean(true);
        }
    }
    if let Some(units) = over_admission_max {
        replies.text("over_admission_max");
        replies.integer(number(*units));
    }
}

fn policy(name: Option<&Name>, policy: &Policy, replies: &mut Replies) {
    replies.map(9 + usize::from(name.is_some()));
    if let Some(name) = name {
        replies.text("limit");
        replies.text(name.as_str());
    }
    replies.text("algorithm");
    replies.text(policy.algorithm.word());
    replies.text("quantity");
    replies.integer(number(policy.quantity));
    replies.text("period_ms");
    replies.integer(number(policy.period_ms));
    replies.text("burst");
    replies.integer(number(policy.burst));
    replies.text("scoped");
    replies.boolean(policy.scoped);
    replies.text("mode");
    replies.text(policy.mode.word());
    replies.text("durability");
    replies.text(policy.durability.word());
    replies.text("on_unavailable");
    replies.text(policy.on_unavailable.word());
    replies.text("shadow");
    replies.boolean(policy.shadow);
}

fn failed(failure: &Failure, replies: &mut Replies) {
    let code = failure.code.to_ascii_uppercase();
    replies.error(&[code.as_bytes(), b" ", failure.detail.as_bytes()]);
}

/// A number as the protocol has them, the largest standing for all beyond.
fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "answers_tests.rs"]
mod tests;
