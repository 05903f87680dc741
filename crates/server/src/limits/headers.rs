//! What answers to checks say in headers: `RateLimit` and `RateLimit-Policy` (the IETF draft "RateLimit
//! header fields for HTTP", as structured fields: RFC 9651), `Retry-After`, and on request the
//! `X-RateLimit-*` that came before them. All in seconds, rounded up: whoever waits so long has
//! waited long enough.

use crate::answer::Answer;
use bytes::Bytes;
use evenkeel_domains::limits::{Algorithm, Check};
use evenkeel_node::{Checked, Verdict};
use hyper::header::{HeaderName, HeaderValue, RETRY_AFTER};
use std::io::Write;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEGACY: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit"),
    HeaderName::from_static("x-ratelimit-remaining"),
    HeaderName::from_static("x-ratelimit-reset"),
];
const NS_A_S: u64 = 1_000_000_000;

/// What is known of a check's policy once the check was sent away.
pub(super) struct Terms {
    limit: String,
    concurrency: bool,
    quantity: u64,
    period_s: u64,
}

impl Terms {
    pub(super) fn of(checks: &[Check]) -> Vec<Self> {
        let terms = |check: &Check| Self {
            limit: check.subject().limit.clone(),
            concurrency: check.policy().algorithm == Algorithm::Concurrency,
            quantity: check.policy().quantity,
            period_s: check.policy().period_ms.div_ceil(1_000),
        };
        checks.iter().map(terms).collect()
    }
}

/// `answer` with the headers that say what `checked` says.
pub(super) fn tell(answer: Answer, terms: &[Terms], checked: &Checked, legacy: bool) -> Answer {
    let mut answer = answer.header(POLICY, policies(terms));
    if let Some(left) = left(terms, checked) {
        answer = answer.header(RATE_LIMIT, left);
    }
    if let Some(after_s) = retry_after_s(checked) {
        answer = answer.header(RETRY_AFTER, HeaderValue::from(after_s));
    }
    match tightest(checked) {
        Some(verdict) if legacy => {
            let reset_s = left_for_s(verdict, checked).unwrap_or(0);
            let values = [verdict.result.quantity, verdict.result.remaining, reset_s];
            let headers = LEGACY.into_iter().zip(values);
            headers
                .fold(answer, |answer, (name, value)| answer.header(name, HeaderValue::from(value)))
        }
        _ => answer,
    }
}

/// Slots are not by time: their item has no window, and says what it counts.
fn policies(terms: &[Terms]) -> HeaderValue {
    list(terms.iter().map(|terms| {
        move |out: &mut Vec<u8>| {
            let Terms { limit, quantity, period_s, concurrency } = terms;
            if *concurrency {
                write!(out, "\"{limit}\";q={quantity};qu=\"concurrent-requests\"")
            } else {
                write!(out, "\"{limit}\";q={quantity};w={period_s}")
            }
        }
    }))
}

/// An item for each check whose count is known; none if there is none.
fn left(terms: &[Terms], checked: &Checked) -> Option<HeaderValue> {
    let known = terms.iter().zip(&checked.verdicts).filter(|(_, verdict)| !verdict.degraded);
    let items = known.map(|(terms, verdict)| {
        move |out: &mut Vec<u8>| {
            write!(out, "\"{}\";r={}", terms.limit, verdict.result.remaining)?;
            match left_for_s(verdict, checked) {
                Some(seconds) => write!(out, ";t={seconds}"),
                None => Ok(()),
            }
        }
    });
    let items: Vec<_> = items.collect();
    (!items.is_empty()).then(|| list(items.into_iter()))
}

/// When there is more: of what does not fit, when it does; else, when it is full. What would have fit
/// beside something that does not says nothing: `Retry-After` must not be before any of them.
fn left_for_s(verdict: &Verdict, checked: &Checked) -> Option<u64> {
    let result = &verdict.result;
    match (checked.allowed, result.allowed) {
        (false, true) => None,
        (true, _) => Some(result.reset_after_ns.div_ceil(NS_A_S)),
        (false, false) => {
            Some(result.retry_after_ns.unwrap_or(result.reset_after_ns).div_ceil(NS_A_S))
        }
    }
}

/// When all of it would fit; none if it does, or never will.
fn retry_after_s(checked: &Checked) -> Option<u64> {
    let refused = checked.verdicts.iter().filter(|verdict| !verdict.result.allowed);
    let waits: Option<Vec<u64>> = refused.map(|verdict| verdict.result.retry_after_ns).collect();
    waits?.into_iter().max().map(|after_ns| after_ns.div_ceil(NS_A_S))
}

/// The one that says no, or else has the least left.
fn tightest(checked: &Checked) -> Option<&Verdict> {
    let known = checked.verdicts.iter().filter(|verdict| !verdict.degraded);
    known.min_by_key(|verdict| (verdict.result.allowed, verdict.result.remaining))
}

fn list(items: impl Iterator<Item = impl Fn(&mut Vec<u8>) -> std::io::Result<()>>) -> HeaderValue {
    let mut out = Vec::new();
    for item in items {
        if !out.is_empty() {
            out.extend_from_slice(b", ");
        }
        item(&mut out).expect("a Vec takes whatever is written");
    }
    HeaderValue::from_maybe_shared(Bytes::from(out))
        .expect("names, digits and punctuation are legal in a header")
}
