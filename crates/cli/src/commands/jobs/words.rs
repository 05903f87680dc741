//! Durations, numbers and reasons as people say them.

use super::shapes::{Push, WaitingFor};
use crate::output::harmless;

const UNITS: [(u64, &str); 4] =
    [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")];

/// A duration with as much of it as matters: `350 ms`, `2.5 s`, `4 min`, `30 h`.
pub(super) fn duration(ms: u64) -> String {
    for (unit, name) in UNITS {
        // Two of a unit at least, so that rounding never misleads by a third.
        if ms >= 2 * unit || (name == "s" && ms >= unit) {
            let tenths = ms / (unit / 10);
            return if tenths < 100 && !tenths.is_multiple_of(10) {
                format!("{}.{} {name}", tenths / 10, tenths % 10)
            } else {
                format!("{} {name}", tenths / 10)
            };
        }
    }
    format!("{ms} ms")
}

/// The same of what may not be known.
pub(super) fn maybe(ms: Option<u64>) -> String {
    ms.map_or_else(|| "-".to_owned(), duration)
}

/// Why a job does not run, and what would change that.
pub(super) fn waiting(queue: &str, waiting: &WaitingFor) -> String {
    let WaitingFor { reason, detail } = waiting;
    let change = match reason.as_str() {
        "paused" => format!("`evenkeel jobs resume {queue}` lets jobs run again"),
        "ordering_key" => "jobs of one ordering key run one after the other".to_owned(),
        "limit" => "the queue's concurrency_limit says how many may run".to_owned(),
        "after" => "it starts once those are done".to_owned(),
        // Where workers wait, none is missing.
        "worker" if detail.starts_with("no worker") => {
            format!("`evenkeel work --queue {queue} --exec …` starts a worker")
        }
        _ => return detail.clone(),
    };
    format!("{detail} ({change})")
}

/// Why a webhook is not called, if it is not: then no worker is missing.
pub(super) fn not_pushed(queue: &str, push: &Push) -> Option<String> {
    if let Some(why) = &push.disabled {
        return Some(format!(
            "the queue's webhook is disabled: {why} (PUT /v1/queues/{queue} enables it again)"
        ));
    }
    if let Some(problem) = &push.problem {
        return Some(format!("the queue's webhook cannot be called: {problem}"));
    }
    (push.breaker.as_deref() == Some("open")).then(|| {
        let wait = duration(push.wait_ms.unwrap_or_default());
        format!("the queue's webhook fails, and is tried again in {wait}")
    })
}

/// Of an error its first line, which says what happened, and its last, which mostly says why; cut to
/// `chars`. What others wrote into it moves no cursor.
pub(super) fn brief(text: &str, chars: usize) -> String {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    let whole = match lines.next_back() {
        Some(last) => format!("{first}: {last}"),
        None => first.to_owned(),
    };
    let whole = harmless(&whole);
    match whole.char_indices().nth(chars) {
        Some((end, _)) => format!("{}…", &whole[..end]),
        None => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short_and_not_misleading() {
        for (ms, words) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_000, "1 s"),
            (2_550, "2.5 s"),
            (45_400, "45 s"),
            (90_000, "90 s"),
            (150_000, "2.5 min"),
            (7_200_000, "2 h"),
            (100_000_000, "27 h"),
            (864_000_000, "10 d"),
        ] {
            assert_eq!(duration(ms), words);
        }
    }

    #[test]
    fn a_reason_says_what_would_change_it() {
        let waits = |reason: &str, detail: &str| {
            let (reason, detail) = (reason.to_owned(), detail.to_owned());
            waiting("mail", &WaitingFor { reason, detail })
        };
        let paused = waits("paused", "the queue is paused");
        assert!(paused.starts_with("the queue is paused (`evenkeel jobs resume mail`"), "{paused}");
        assert_eq!(waits("new_in_a_later_version", "because"), "because");
    }

    #[test]
    fn a_webhook_that_is_not_called_says_why() {
        let says =
            |push: serde_json::Value| not_pushed("mail", &serde_json::from_value(push).unwrap());
        let disabled = says(serde_json::json!({ "disabled": "answered 410 Gone" })).unwrap();
        assert!(disabled.contains("answered 410 Gone (PUT /v1/queues/mail"), "{disabled}");
        let open = says(serde_json::json!({ "breaker": "open", "wait_ms": 2_000 })).unwrap();
        assert!(open.ends_with("in 2 s"), "{open}");
        assert!(says(serde_json::json!({ "problem": "no TLS" })).unwrap().ends_with("no TLS"));
        assert_eq!(says(serde_json::json!({ "breaker": "closed", "disabled": null })), None);
    }

    #[test]
    fn an_error_is_its_first_and_last_line_cut_between_characters() {
        assert_eq!(
            brief("exit code 3\nTraceback:\n  x\nno mailbox\n", 80),
            "exit code 3: no mailbox"
        );
        assert_eq!(brief("äöü", 2), "äö…");
        assert_eq!(brief("äöü", 3), "äöü");
        assert_eq!(brief("", 3), "");
        assert_eq!(brief("a\u{1b}[2J\u{9b}b\tc\rd", 80), "a\u{fffd}[2J\u{fffd}b\u{fffd}c\u{fffd}d");
    }
}
