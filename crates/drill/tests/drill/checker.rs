//! Histories of reservations, known good and known bad.

use crate::script::{
    RESOURCE, Script, TTL_MS, cancel, confirm, confirmed, counted, counts, extend, held, id, ok,
    reacquire, refused, release, replayed, seat, seats, units,
};
use evenkeel_drill::checker::{Evidence, check, check_answers, check_keys};
use evenkeel_drill::history::{Answer, History, HistoryError, Outcome, Refusal, Request};

const STEPS_MAX: usize = 100_000;

#[track_caller]
fn assert_valid(history: &History) {
    let report = check(history, None, STEPS_MAX);
    assert!(report.is_valid(), "{report:#?}");
}

/// Asserts that the history breaks just this invariant, and that this operation shows it.
#[track_caller]
fn assert_breaks(history: &History, invariant: &str, shown: usize) {
    let report = check(history, None, STEPS_MAX);
    let [violation] = report.violations.as_slice() else {
        panic!("one violation expected: {report:#?}");
    };
    assert_eq!(violation.invariant, invariant, "{violation}");
    assert!(violation.events.contains(&Evidence::Operation(shown)), "{violation}");
    assert!(violation.to_string().starts_with(&format!("{invariant} broke for client ")));
}

#[test]
fn a_hold_lives_from_taken_to_confirmed_to_cancelled() {
    let mut history = counted(1);
    history.does(1, units(1), held(1, 10));
    history.does(2, units(1), refused(Refusal::SoldOut, 20));
    history.does(1, extend(1, 200), ok(Answer::Extended { expires_at_ms: 230 }, 30));
    history.does(1, confirm(1), confirmed(1, 229));
    history.does(1, confirm(1), confirmed(1, 500));
    history.does(2, Request::Read, counts(0, 0, 1, 510));
    history.does(1, cancel(1), ok(Answer::Cancelled, 600));
    history.does(2, units(1), held(2, 600));
    history.does(2, release(2), ok(Answer::Released, 601));
    history.does(2, Request::Read, counts(1, 0, 0, 601));
    assert_valid(&history);
}

#[test]
fn the_same_place_is_not_sold_twice() {
    let mut history = counted(1);
    history.does(1, units(1), held(1, 10));
    history.does(2, units(1), held(2, 20));
    assert_breaks(&history, "I3", 1);
}

#[test]
fn not_even_to_clients_who_ask_at_once() {
    let mut history = seats(&["A1", "A2"]);
    let first = history.asks(1, seat("A1"));
    let second = history.asks(2, seat("A1"));
    history.returns(first, held(1, 10));
    history.returns(second, held(2, 10));
    assert_breaks(&history, "I3", 1);
}

#[test]
fn the_same_seat_is_free_again_once_its_hold_has_expired() {
    let mut history = seats(&["A1"]);
    history.does(1, seat("A1"), held(1, 10));
    let taken = Refusal::SeatTaken(vec!["A1".to_owned()]);
    history.does(2, seat("A1"), refused(taken, 10 + TTL_MS - 1));
    history.does(2, seat("A1"), held(2, 10 + TTL_MS));
    history.does(1, confirm(1), refused(Refusal::HoldExpired, 10 + TTL_MS));
    assert_valid(&history);
}

#[test]
fn what_is_free_is_not_refused() {
    let mut history = counted(2);
    history.does(1, units(1), held(1, 10));
    history.does(2, units(1), refused(Refusal::SoldOut, 20));
    assert_breaks(&history, "I5", 1);
}

#[test]
fn a_due_hold_is_expired_before_anyone_is_refused() {
    let mut history = counted(1);
    history.does(1, units(1), held(1, 10));
    history.does(2, units(1), refused(Refusal::SoldOut, 10 + TTL_MS));
    assert_breaks(&history, "I5", 1);
}

#[test]
fn a_stale_read_is_found() {
    let mut history = counted(3);
    history.does(1, units(1), held(1, 10));
    history.does(2, Request::Read, counts(3, 0, 0, 11));
    assert_breaks(&history, "I5", 1);
}

#[test]
fn a_read_beside_a_hold_may_see_it_or_not() {
    for seen in [counts(3, 0, 0, 10), counts(2, 1, 0, 10)] {
        let mut history = counted(3);
        let hold = history.asks(1, units(1));
        history.does(2, Request::Read, seen);
        history.returns(hold, held(1, 10));
        assert_valid(&history);
    }
}

#[test]
fn two_reads_do_not_see_time_run_backwards() {
    let mut history = counted(3);
    let hold = history.asks(1, units(1));
    history.does(2, Request::Read, counts(2, 1, 0, 11));
    history.does(2, Request::Read, counts(3, 0, 0, 11));
    history.returns(hold, held(1, 10));
    assert_breaks(&history, "I5", 2);
}

#[test]
fn what_was_acknowledged_is_not_lost() {
    let mut history = counted(3);
    history.does(1, units(1), held(1, 10));
    history.does(1, confirm(1), refused(Refusal::NoHold, 20));
    assert_breaks(&history, "I1", 1);
}

#[test]
fn a_lost_hold_shows_when_its_place_is_sold_again() {
    let mut history = counted(1);
    history.does(1, units(1), held(1, 10));
    history.does(1, confirm(1), confirmed(1, 20));
    history.does(2, units(1), held(2, 5_000));
    assert_breaks(&history, "I3", 2);
}

#[test]
fn a_confirmation_comes_before_the_hold_expires() {
    let mut history = counted(1);
    history.does(1, units(1), held(1, 10));
    history.does(1, confirm(1), confirmed(1, 10 + TTL_MS));
    assert_breaks(&history, "I4", 1);
}

#[test]
fn a_hold_is_not_both_confirmed_and_expired() {
    let mut history = counted(2);
    history.does(1, units(1), held(1, 10));
    history.does(1, confirm(1), confirmed(1, 20));
    history.does(1, release(1), refused(Refusal::HoldExpired, 10 + TTL_MS));
    assert_breaks(&history, "I4", 2);
}

#[test]
fn a_hold_is_not_over_before_its_time() {
    let mut history = counted(1);
    history.does(1, units(1), held(1, 10));
    history.does(1, confirm(1), refused(Refusal::HoldExpired, 10 + TTL_MS - 1));
    assert_breaks(&history, "I4", 1);
}

#[test]
fn a_released_hold_is_not_confirmed() {
    let mut history = counted(1);
    history.does(1, units(1), held(1, 10));
    history.does(1, release(1), ok(Answer::Released, 11));
    history.does(1, confirm(1), confirmed(1, 12));
    assert_breaks(&history, "I4", 2);
}

#[test]
fn a_fence_does_not_go_back() {
    let mut history = counted(5);
    history.does(1, units(1), held(7, 10));
    history.does(2, units(1), held(6, 20));
    assert_breaks(&history, "I4", 1);
}

#[test]
fn nor_does_record_time() {
    let mut history = counted(5);
    history.does(1, units(1), held(1, 20));
    history.does(2, Request::Read, counts(4, 1, 0, 20));
    history.does(2, units(1), held(2, 19));
    assert_breaks(&history, "I4", 0);
}

#[test]
fn an_unanswered_hold_may_take_effect_later() {
    let mut history = counted(1);
    history.does(1, units(1), Outcome::Unknown);
    history.does(2, Request::Read, counts(1, 0, 0, 5));
    history.does(2, units(1), refused(Refusal::SoldOut, 20));
    assert_valid(&history);
}

#[test]
fn an_unanswered_hold_may_never_take_effect() {
    let mut history = counted(1);
    let waits = history.asks(1, units(1));
    history.does(2, units(1), held(1, 20));
    assert_valid(&history);
    history.returns(waits, Outcome::Unknown);
    assert_valid(&history);
}

#[test]
fn an_unanswered_hold_does_not_take_effect_and_then_not() {
    let mut history = counted(1);
    history.does(1, units(1), Outcome::Unknown);
    history.does(2, units(1), refused(Refusal::SoldOut, 20));
    history.does(2, units(1), held(1, 50));
    let found = check_answers(&history, STEPS_MAX);
    assert_eq!(found.violations.len(), 1, "a hold of {TTL_MS} ms is over after 30 ms");
    let mut history = counted(1);
    history.does(1, units(1), Outcome::Unknown);
    history.does(2, units(1), refused(Refusal::SoldOut, 20));
    history.does(2, units(1), held(1, 20 + TTL_MS));
    assert_valid(&history);
}

#[test]
fn an_unanswered_confirmation_may_have_its_effect_or_not() {
    for late in [refused(Refusal::HoldExpired, 500), ok(Answer::Cancelled, 500)] {
        let mut history = counted(1);
        history.does(1, units(1), held(1, 10));
        history.does(1, confirm(1), Outcome::Unknown);
        let request = if matches!(late, Outcome::Ok { .. }) { cancel(1) } else { release(1) };
        history.does(1, request, late);
        assert_valid(&history);
    }
}

#[test]
fn a_retry_is_told_of_the_one_effect() {
    let mut history = counted(1);
    history.keyed(1, "k", units(1), Outcome::Unknown);
    history.does(2, units(1), refused(Refusal::SoldOut, 15));
    history.keyed(1, "k", units(1), replayed(held(1, 10)));
    history.keyed(1, "k", units(1), replayed(held(1, 10)));
    history.does(1, confirm(1), confirmed(1, 20));
    assert_valid(&history);
}

#[test]
fn a_key_does_not_have_two_effects() {
    let mut history = counted(5);
    history.keyed(1, "k", units(1), held(1, 10));
    history.keyed(1, "k", units(1), held(2, 20));
    let violations = check_keys(&history);
    assert_eq!(violations.len(), 1);
    assert_eq!(violations[0].invariant, "I2");
    assert_eq!(violations[0].events, [Evidence::Operation(0), Evidence::Operation(1)]);
}

#[test]
fn a_key_is_not_news_twice_nor_good_for_two_requests() {
    let mut history = counted(5);
    history.keyed(1, "k", units(1), held(1, 10));
    history.keyed(1, "k", units(1), held(1, 10));
    assert_eq!(check_keys(&history)[0].invariant, "I2");
    let mut history = counted(5);
    history.keyed(1, "k", units(1), held(1, 10));
    history.keyed(1, "k", units(2), replayed(held(1, 10)));
    assert_eq!(check_keys(&history)[0].invariant, "I2");
}

#[test]
fn a_retry_is_not_refused_after_the_effect() {
    let mut history = counted(1);
    history.keyed(1, "k", units(1), held(1, 10));
    history.keyed(1, "k", units(1), refused(Refusal::SoldOut, 20));
    assert_breaks(&history, "I2", 1);
}

#[test]
fn a_refusal_is_not_remembered() {
    let mut history = counted(1);
    history.does(2, units(1), held(1, 10));
    history.keyed(1, "k", units(1), refused(Refusal::SoldOut, 20));
    history.does(2, release(1), ok(Answer::Released, 30));
    history.keyed(1, "k", units(1), held(2, 40));
    assert_valid(&history);
}

#[test]
fn an_expired_hold_takes_its_place_again() {
    let again = Answer::Confirmed { hold: id(2), fence: 2 };
    let mut history = counted(1);
    history.does(1, units(1), held(1, 10));
    history.does(1, reacquire(1), ok(again.clone(), 300));
    history.does(1, reacquire(1), ok(again.clone(), 400));
    history.does(1, confirm(1), refused(Refusal::HoldExpired, 500));
    history.does(2, units(1), refused(Refusal::SoldOut, 600));
    assert_valid(&history);
    let mut history = counted(1);
    history.does(1, units(1), held(1, 10));
    history.does(2, units(1), held(2, 200));
    history.does(2, confirm(2), confirmed(2, 210));
    let taken = refused(Refusal::SoldOut, 250);
    history.does(1, reacquire(1), taken);
    assert_valid(&history);
    history.does(1, reacquire(1), ok(Answer::Confirmed { hold: id(3), fence: 3 }, 300));
    assert_breaks(&history, "I3", 4);
}

#[test]
fn a_place_taken_again_unheard_is_told_of_later() {
    let again = |at_ms| ok(Answer::Confirmed { hold: id(2), fence: 2 }, at_ms);
    let mut history = counted(1);
    history.does(1, units(1), held(1, 10));
    history.does(1, reacquire(1), Outcome::Unknown);
    history.does(2, units(1), refused(Refusal::SoldOut, 300));
    history.does(1, reacquire(1), again(400));
    history.does(1, cancel(2), ok(Answer::Cancelled, 500));
    history.does(1, reacquire(1), again(600));
    history.does(2, Request::Read, counts(1, 0, 0, 700));
    assert_valid(&history);
    history.does(1, reacquire(1), ok(Answer::Confirmed { hold: id(3), fence: 3 }, 800));
    assert_breaks(&history, "I4", 7);
}

#[test]
fn a_hold_taken_unheard_may_be_found_by_its_id() {
    let mut history = counted(1);
    history.does(1, units(1), Outcome::Unknown);
    history.does(2, units(1), refused(Refusal::SoldOut, 20));
    history.does(3, confirm(1), confirmed(1, 30));
    history.does(2, units(1), refused(Refusal::SoldOut, 500));
    assert_valid(&history);
    history.does(2, Request::Read, counts(1, 0, 0, 600));
    assert_breaks(&history, "I5", 4);
    let mut history = counted(1);
    history.does(3, confirm(1), confirmed(1, 30));
    assert_breaks(&history, "I1", 0);
}

#[test]
fn what_was_turned_away_counts_for_nothing() {
    let mut history = counted(1);
    history.does(1, units(1), Outcome::TurnedAway("overloaded".to_owned()));
    history.does(2, units(1), held(1, 10));
    assert_valid(&history);
}

#[test]
fn many_clients_at_once_are_judged_quickly() {
    let mut history = counted(1_000);
    let mut fence = 0;
    for _ in 0..10 {
        let waiting: Vec<usize> = (0..64).map(|client| history.asks(client, units(1))).collect();
        for operation in waiting.into_iter().rev() {
            fence += 1;
            history.returns(operation, held(fence, 10));
        }
    }
    let found = check_answers(&history, 2_000);
    assert!(found.undecided.is_empty() && found.violations.is_empty(), "{found:?}");
    history.does(1, Request::Read, counts(1_000, 0, 0, 11));
    let found = check_answers(&history, 2_000);
    assert_eq!(found.violations.len(), 1, "{:?}", found.undecided);
}

#[test]
fn a_spent_budget_is_not_a_verdict() {
    let mut history = counted(1);
    history.does(1, units(1), held(1, 10));
    history.does(1, confirm(1), confirmed(1, 20));
    let report = check(&history, None, 1);
    assert_eq!(report.undecided, [RESOURCE]);
    assert!(!report.is_valid() && report.violations.is_empty());
}

#[test]
fn resources_are_judged_apart() {
    let mut history = counted(1);
    history.inventory.insert("s".to_owned(), evenkeel_drill::history::Capacity::Quantity(1));
    history.does(1, units(1), held(1, 10));
    let other = history.call(2, "s", None, units(1));
    history.returns(other, held(1, 10));
    assert_valid(&history);
}

#[test]
fn a_history_survives_being_written_down() {
    let mut history = seats(&["A1", "A2"]);
    history.keyed(1, "k", seat("A1"), held(1, 10));
    history.does(2, seat("A1"), refused(Refusal::SeatTaken(vec!["A1".to_owned()]), 20));
    history.does(1, confirm(1), Outcome::Unknown);
    history.does(1, extend(1, 5), Outcome::TurnedAway("overloaded".to_owned()));
    history.asks(3, Request::Read);
    let mut text = Vec::new();
    history.write_ndjson(&mut text).unwrap();
    // What was still waiting keeps its call alone, so time goes on from there.
    assert_eq!(History::read_ndjson(text.as_slice()).unwrap(), history);
    text.extend_from_slice(b"{\"operation\":{}}\n");
    let error = History::read_ndjson(text.as_slice()).unwrap_err();
    assert!(matches!(error, HistoryError::Line { line: 7, .. }), "{error}");
}
