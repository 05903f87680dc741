//! The checker of limits, on histories known to be good and known to be bad.

use evenkeel_drill::{
    checker::{LimitReport, check_limits},
    history::limits::{Counts, LimitHistory, Operation, Outcome, Request, Rule},
};

const PERIOD_MS: u64 = 100;

fn history(counts: Counts, quantity: u64, beyond: Option<u64>) -> LimitHistory {
    let rule = Rule { counts, quantity, period_ms: PERIOD_MS, beyond };
    LimitHistory::new([("l".to_owned(), rule)])
}

fn window(quantity: u64) -> LimitHistory {
    history(Counts::SlidingWindow, quantity, None)
}

/// Asks, and hears `outcome` within `ms`.
fn does(
    history: &mut LimitHistory,
    ms: std::ops::Range<u64>,
    retry_key: Option<&str>,
    request: Request,
    outcome: Outcome,
) -> usize {
    let operation = history.call(Operation {
        client: 0,
        limit: "l".into(),
        key: "k".into(),
        retry_key: retry_key.map(str::to_owned),
        request,
        called_ms: ms.start,
        returned: None,
    });
    history.returns(operation, ms.end, outcome);
    operation
}

/// One unit is admitted at this record time.
fn admit(history: &mut LimitHistory, at_ms: u64) -> usize {
    let told = Outcome::Admitted { counted_at_ms: Some(at_ms) };
    does(history, at_ms..at_ms + 5, None, Request::Check { units: 1 }, told)
}

fn refund(history: &mut LimitHistory, of: usize, outcome: Outcome) {
    let request = Request::Refund { of, units: 1, counted_at_ms: 0 };
    does(history, 50..60, Some("refund"), request, outcome);
}

fn over(history: &LimitHistory) -> u64 {
    check_limits(history).measured[0].over_admission
}

fn is_valid(LimitReport { violations, .. }: &LimitReport) -> bool {
    violations.is_empty()
}

#[test]
fn a_window_is_full_for_a_period() {
    for (last_ms, valid) in [(100, true), (99, false)] {
        let mut history = window(2);
        [0, 50, last_ms].iter().for_each(|at_ms| {
            admit(&mut history, *at_ms);
        });
        let report = check_limits(&history);
        assert_eq!(is_valid(&report), valid, "{report:?}");
        assert_eq!(report.measured[0].admitted, 3);
    }
}

#[test]
fn gcra_admits_at_once_and_then_evenly() {
    for (last_ms, valid) in [(50, true), (49, false)] {
        let mut history = history(Counts::Gcra { at_once: 3 }, 2, None);
        [0, 0, 0, last_ms].iter().for_each(|at_ms| {
            admit(&mut history, *at_ms);
        });
        assert_eq!(is_valid(&check_limits(&history)), valid, "{last_ms}");
    }
}

#[test]
fn what_is_beyond_the_policy_is_within_the_bound_or_not() {
    for (bound, valid) in [(1, true), (0, false)] {
        let mut history = history(Counts::SlidingWindow, 1, Some(bound));
        for called_ms in [0, 20] {
            let told = Outcome::Admitted { counted_at_ms: Some(0) };
            let ms = called_ms..called_ms + 10;
            does(&mut history, ms, None, Request::Check { units: 1 }, told);
        }
        let report = check_limits(&history);
        assert_eq!((over(&history), is_valid(&report)), (1, valid), "{report:?}");
    }
}

#[test]
fn what_may_have_been_earlier_or_later_is_not_held_against_it() {
    let mut history = history(Counts::SlidingWindow, 1, Some(0));
    for ms in [0..10, 90..120] {
        let told = Outcome::Admitted { counted_at_ms: None };
        does(&mut history, ms, None, Request::Check { units: 1 }, told);
    }
    assert_eq!(over(&history), 0);
}

#[test]
fn a_check_that_was_sent_again_is_one_check() {
    let mut history = window(1);
    for outcome in [Outcome::Unknown, Outcome::Admitted { counted_at_ms: None }] {
        does(&mut history, 0..10, Some("c"), Request::Check { units: 1 }, outcome.clone());
        does(&mut history, 20..30, Some("c"), Request::Check { units: 1 }, outcome);
    }
    let report = check_limits(&history);
    assert!(is_valid(&report), "{report:?}");
    assert_eq!(report.measured[0].admitted, 1);
}

#[test]
fn a_refund_makes_room_for_what_it_gave_back_and_no_more() {
    let mut history = window(2);
    let of = admit(&mut history, 0);
    admit(&mut history, 10);
    refund(&mut history, of, Outcome::Unknown);
    refund(&mut history, of, Outcome::GivenBack);
    admit(&mut history, 70);
    assert!(is_valid(&check_limits(&history)));
    admit(&mut history, 80);
    let report = check_limits(&history);
    let text = report.violations[0].to_string();
    assert!(text.contains("leaving out what was refunded (asked for 2 times)"), "{text}");
    assert!(text.contains("I8 broke for"), "{text}");
}

#[test]
fn a_refund_without_effect_makes_no_room() {
    let mut history = window(1);
    let of = admit(&mut history, 0);
    refund(&mut history, of, Outcome::TurnedAway("later".into()));
    admit(&mut history, 70);
    assert!(!is_valid(&check_limits(&history)));
}

#[test]
fn keys_are_counted_each_for_itself_and_the_unheard_is_not_counted() {
    let mut history = window(1);
    let other = admit(&mut history, 0);
    history.operations[other].key = "other".into();
    admit(&mut history, 0);
    does(&mut history, 5..9, None, Request::Check { units: 1 }, Outcome::Unknown);
    does(&mut history, 5..9, None, Request::Check { units: 1 }, Outcome::Refused);
    let report = check_limits(&history);
    assert!(is_valid(&report), "{report:?}");
    assert_eq!((report.measured[0].keys, report.measured[0].admitted), (2, 2));
}
