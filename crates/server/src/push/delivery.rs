//! One job as a request, and what its answer means for the job and for the destination. Nothing is
//! sent here.

use super::{
    client::{Answered, CallError},
    gate::Signal,
    retry_after,
    signature::sign,
};
use crate::{text::cut, time};
use evenkeel_domains::jobs::{ERROR_BYTES_MAX, JobId, Leased, Push};
use evenkeel_engine::Time;
use hyper::{
    HeaderMap, StatusCode,
    header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT},
};

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const QUEUE: HeaderName = HeaderName::from_static("evenkeel-queue");
const JOB: HeaderName = HeaderName::from_static("evenkeel-job");
const KIND: HeaderName = HeaderName::from_static("evenkeel-kind");
const ATTEMPT: HeaderName = HeaderName::from_static("evenkeel-attempt");
const FENCE: HeaderName = HeaderName::from_static("evenkeel-fence");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PRODUCT: HeaderValue =
    HeaderValue::from_static(concat!("evenkeel/", env!("CARGO_PKG_VERSION")));

/// Bytes of an answer's body that a failure quotes.
const QUOTED_BYTES_MAX: usize = 256;
/// Bytes of an answer's body that are read even where no result is kept: so many the connection is
/// worth.
const DRAINED_BYTES_MAX: usize = 16 * 1_024;

/// What becomes of the job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is done, with this result.
    Done(Option<String>),
    /// The attempt has failed: why.
    Failed(String),
    /// It is put off.
    Later { delay_ms: u64 },
    /// The destination wants no more: the push is to be disabled, why.
    Gone(String),
}

/// Bytes of an answer's body to be read where a result may have so many.
pub(super) fn body_bytes_max(result_bytes_max: u32) -> usize {
    usize::try_from(result_bytes_max).unwrap_or(usize::MAX).max(DRAINED_BYTES_MAX)
}

/// The headers of the request for a job.
pub(super) fn headers(
    (queue, push, authority): (&str, &Push, &str),
    (job, leased): (JobId, &Leased),
    now: Time,
) -> HeaderMap {
    let id = job.to_string();
    let timestamp_s = wall_clock_s();
    let signature = sign(push.secrets(now), &id, timestamp_s, leased.payload.as_bytes());
    let mut headers = HeaderMap::with_capacity(16);
    let mut put = |name: HeaderName, value: &str| {
        // Names and numbers are legal in a header; what a caller gave as `traceparent` was let in as
        // one. Should anything not be, it is left out.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    put(HOST, authority);
    put(WEBHOOK_ID, &id);
    put(WEBHOOK_TIMESTAMP, &timestamp_s.to_string());
    put(WEBHOOK_SIGNATURE, &signature);
    put(QUEUE, queue);
    put(JOB, &id);
    put(KIND, &leased.kind);
    put(ATTEMPT, &leased.lease.attempt.to_string());
    put(FENCE, &leased.lease.fence.to_string());
    if let Some(trace) = &leased.trace {
        put(TRACEPARENT, trace);
    }
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(USER_AGENT, PRODUCT);
    headers
}

/// The time that those who verify a signature compare with theirs.
fn wall_clock_s() -> u64 {
    time::wall_clock().0 / 1_000
}

/// The time that a date in an answer is compared with.
pub(super) fn wall_clock() -> Time {
    Time(wall_clock_s() * 1_000)
}

/// What `called` means.
pub(super) fn judge(
    called: Result<Answered, CallError>,
    result_bytes_max: u32,
    now: Time,
) -> (Verdict, Signal) {
    let answered = match called {
        Ok(answered) => answered,
        Err(error) => {
            let signal = match error {
                CallError::CutOff(_) | CallError::TimedOut(_) => Signal::Failed,
                _ => Signal::Unreachable,
            };
            return (Verdict::Failed(no_answer(&error)), signal);
        }
    };
    let status = answered.status;
    if status.is_success() {
        return (Verdict::Done(result(&answered, result_bytes_max)), Signal::Succeeded);
    }
    if status == StatusCode::GONE {
        return (Verdict::Gone(refusal(&answered)), Signal::Gone);
    }
    let overloaded =
        [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE].contains(&status);
    let retry_after = answered.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    if overloaded && let Some(wait_ms) = retry_after.and_then(|text| retry_after::parse(text, now))
    {
        return (Verdict::Later { delay_ms: wait_ms }, Signal::Busy { wait_ms });
    }
    let failed = overloaded
        || status.is_server_error()
        || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY].contains(&status);
    let signal = if failed { Signal::Failed } else { Signal::Refused };
    (Verdict::Failed(refusal(&answered)), signal)
}

/// Why there was no answer, on one line, as long as an error may be. Whoever was reached has a say in
/// that: a certificate's names are quoted.
fn no_answer(error: &CallError) -> String {
    let why = error.to_string();
    cut(&why, ERROR_BYTES_MAX - "…".len()).replace(char::is_control, " ")
}

/// The body, if it is JSON and no longer than a result.
fn result(answered: &Answered, result_bytes_max: u32) -> Option<String> {
    let text = str::from_utf8(&answered.body).ok()?.trim();
    let fits = text.len() <= usize::try_from(result_bytes_max).unwrap_or(usize::MAX);
    let is_json = || serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    (answered.whole && fits && is_json()).then(|| text.to_owned())
}

/// The status, and how the body begins, on one line.
fn refusal(answered: &Answered) -> String {
    let status = answered.status;
    let name = status.canonical_reason().map(|name| format!(" {name}")).unwrap_or_default();
    let hint = if status.is_redirection() { ", and redirects are not followed" } else { "" };
    let said = String::from_utf8_lossy(&answered.body);
    let quoted = cut(said.trim(), QUOTED_BYTES_MAX).replace(char::is_control, " ");
    let more = if quoted.is_empty() { String::new() } else { format!(": {quoted}") };
    format!("answered {}{name}{hint}{more}", status.as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    /// Others decide how long the reason is why there is no answer.
    #[test]
    fn why_there_was_no_answer_is_as_short_as_an_error_may_be() {
        let why = format!("not valid for these:\n{}", "\u{1b}[2Jé, ".repeat(ERROR_BYTES_MAX));
        let called = Err(CallError::Connect(io::Error::other(why)));
        let (Verdict::Failed(error), Signal::Unreachable) = judge(called, 0, Time(0)) else {
            panic!("it has failed, as nobody was reached");
        };
        assert!(error.starts_with("cannot connect: not valid for these: "), "{error}");
        assert!(error.len() <= ERROR_BYTES_MAX && error.ends_with('…'), "{}", error.len());
        assert!(!error.contains(char::is_control));
    }
}
