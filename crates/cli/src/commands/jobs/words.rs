//! Durations, numbers and reasons as people say them.

use super::shapes::WaitingFor;

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

/// Of an error its first line, which says what happened, and its last, which mostly says why; cut to
/// `chars`.
pub(super) fn brief(text: &str, chars: usize) -> String {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    let whole = match lines.next_back() {
        Some(last) => format!("{first}: {last}"),
        None => first.to_owned(),
    };
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
    fn an_error_is_its_first_and_last_line_cut_between_characters() {
        assert_eq!(
            brief("exit code 3\nTraceback:\n  x\nno mailbox\n", 80),
            "exit code 3: no mailbox"
        );
        assert_eq!(brief("äöü", 2), "äö…");
        assert_eq!(brief("äöü", 3), "äöü");
        assert_eq!(brief("", 3), "");
    }
}
