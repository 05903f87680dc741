//! Event streams, final states and subscriptions, known good and known bad.

use crate::script::{
    RESOURCE, Script, TTL_MS, confirm, confirmed, counted, held, id, seats, units,
};
use evenkeel_drill::checker::{
    Change, Delivery, Event, Evidence, FinalHold, FinalState, Happened, Observed, Subscription,
    check_observed,
};
use evenkeel_drill::history::{History, Places};

/// An event of the hold with this fence, taken at 0 unless it says otherwise.
fn event(seq: u64, at_ms: u64, change: Change, fence: u64, places: Places) -> Event {
    let expires_at_ms = if change == Change::Held { at_ms + TTL_MS } else { TTL_MS };
    let hold = id(fence);
    let key = Some(format!("key {fence}"));
    let happened = Happened::Hold { change, hold, fence, key, places, expires_at_ms };
    Event { resource: RESOURCE.to_owned(), seq, at_ms, happened }
}

fn unit(seq: u64, at_ms: u64, change: Change, fence: u64) -> Event {
    event(seq, at_ms, change, fence, Places::Quantity(1))
}

fn on_seat(seq: u64, at_ms: u64, change: Change, fence: u64, seat: &str) -> Event {
    event(seq, at_ms, change, fence, Places::Seats(vec![seat.to_owned()]))
}

fn events(events: Vec<Event>) -> Observed {
    Observed { events, ..Observed::default() }
}

#[track_caller]
fn assert_breaks(history: &History, observed: &Observed, invariant: &str, shown: &[usize]) {
    let violations = check_observed(history, observed);
    let [violation] = violations.as_slice() else {
        panic!("one violation expected: {violations:#?}");
    };
    assert_eq!(violation.invariant, invariant, "{violation}");
    let shown: Vec<Evidence> = shown.iter().copied().map(Evidence::Event).collect();
    let events = violation.events.iter().copied();
    let events: Vec<Evidence> = events.filter(|e| matches!(e, Evidence::Event(_))).collect();
    assert_eq!(events, shown, "{violation}");
}

#[test]
fn a_whole_life_is_fine() {
    let mut history = counted(1);
    history.does(1, units(1), held(1, 0));
    history.does(1, confirm(1), confirmed(1, 50));
    let mut observed = events(vec![
        unit(1, 0, Change::Held, 1),
        unit(2, 50, Change::Confirmed, 1),
        unit(3, 500, Change::Cancelled, 1),
        unit(4, 500, Change::Held, 2),
        unit(5, 500 + TTL_MS, Change::Expired, 2),
    ]);
    let hold = |fence, state| FinalHold { resource: RESOURCE.to_owned(), hold: id(fence), state };
    observed.holds = Some(vec![hold(1, FinalState::Cancelled), hold(2, FinalState::Expired)]);
    assert_eq!(check_observed(&history, &observed), []);
}

#[test]
fn an_acknowledged_effect_is_among_the_events() {
    let mut history = counted(1);
    history.does(1, units(1), held(1, 0));
    assert_breaks(&history, &events(Vec::new()), "I1", &[]);
    history.does(1, confirm(1), confirmed(1, 50));
    let observed = events(vec![unit(1, 0, Change::Held, 1)]);
    assert_breaks(&history, &observed, "I1", &[0]);
}

#[test]
fn the_state_at_the_end_is_what_the_events_lead_to() {
    let mut observed = events(vec![unit(1, 0, Change::Held, 1)]);
    observed.holds = Some(Vec::new());
    assert_breaks(&counted(1), &observed, "I1", &[0]);
    let hold = |state| FinalHold { resource: RESOURCE.to_owned(), hold: id(1), state };
    observed.holds = Some(vec![hold(FinalState::Confirmed)]);
    assert_breaks(&counted(1), &observed, "I1", &[0]);
    observed.holds = Some(vec![hold(FinalState::Held)]);
    assert_eq!(check_observed(&counted(1), &observed), []);
    observed.events.clear();
    assert_breaks(&counted(1), &observed, "I1", &[]);
}

#[test]
fn a_key_takes_one_hold() {
    let mut second = unit(2, 5, Change::Held, 2);
    let Happened::Hold { key, .. } = &mut second.happened else { unreachable!() };
    *key = Some("key 1".to_owned());
    let observed = events(vec![unit(1, 0, Change::Held, 1), second]);
    assert_breaks(&counted(2), &observed, "I2", &[0, 1]);
}

#[test]
fn never_more_is_taken_than_there_is() {
    let observed = events(vec![unit(1, 0, Change::Held, 1), unit(2, 1, Change::Held, 2)]);
    assert_breaks(&counted(1), &observed, "I3", &[0, 1]);
    assert_eq!(check_observed(&counted(2), &observed), []);
}

#[test]
fn a_changed_capacity_counts_from_then_on() {
    let capacity = |seq, capacity| Event {
        resource: RESOURCE.to_owned(),
        seq,
        at_ms: 0,
        happened: Happened::Capacity(capacity),
    };
    let mut observed =
        events(vec![capacity(1, 2), unit(2, 0, Change::Held, 1), unit(3, 1, Change::Held, 2)]);
    assert_eq!(check_observed(&counted(1), &observed), []);
    observed.events[0] = capacity(1, 1);
    assert_breaks(&counted(5), &observed, "I3", &[1, 2]);
}

#[test]
fn a_seat_has_one_owner() {
    let observed =
        events(vec![on_seat(1, 0, Change::Held, 1, "A"), on_seat(2, 1, Change::Held, 2, "A")]);
    assert_breaks(&seats(&["A", "B"]), &observed, "I3", &[0, 1]);
    let observed = events(vec![
        on_seat(1, 0, Change::Held, 1, "A"),
        on_seat(2, 1, Change::Released, 1, "A"),
        on_seat(3, 2, Change::Held, 2, "A"),
    ]);
    assert_eq!(check_observed(&seats(&["A", "B"]), &observed), []);
}

#[test]
fn a_hold_resolves_once() {
    for second in [Change::Expired, Change::Released, Change::Confirmed, Change::Extended] {
        let observed = events(vec![
            unit(1, 0, Change::Held, 1),
            unit(2, 50, Change::Confirmed, 1),
            unit(3, 500, second, 1),
        ]);
        assert_breaks(&counted(1), &observed, "I4", &[0, 1, 2]);
    }
}

#[test]
fn a_hold_is_held_until_its_time_and_no_longer() {
    let ends = |change, at_ms| events(vec![unit(1, 0, Change::Held, 1), unit(2, at_ms, change, 1)]);
    assert_breaks(&counted(1), &ends(Change::Confirmed, TTL_MS), "I4", &[0, 1]);
    assert_breaks(&counted(1), &ends(Change::Expired, TTL_MS - 1), "I4", &[0, 1]);
    assert_eq!(check_observed(&counted(1), &ends(Change::Confirmed, TTL_MS - 1)), []);
    assert_eq!(check_observed(&counted(1), &ends(Change::Expired, TTL_MS)), []);
}

#[test]
fn places_taken_again_are_confirmed_after_the_old_time() {
    let mut again = unit(3, 500, Change::Held, 2);
    let Happened::Hold { expires_at_ms, key, .. } = &mut again.happened else { unreachable!() };
    *expires_at_ms = TTL_MS;
    *key = Some("key 1".to_owned());
    let observed = events(vec![
        unit(1, 0, Change::Held, 1),
        unit(2, 500, Change::Expired, 1),
        again,
        unit(4, 500, Change::Confirmed, 2),
    ]);
    assert_eq!(check_observed(&counted(1), &observed), []);
}

#[test]
fn fences_and_record_time_grow() {
    let observed = events(vec![unit(1, 0, Change::Held, 2), unit(2, 1, Change::Held, 1)]);
    assert_breaks(&counted(2), &observed, "I4", &[0, 1]);
    let observed = events(vec![unit(1, 1, Change::Held, 1), unit(2, 0, Change::Held, 2)]);
    assert_breaks(&counted(2), &observed, "I4", &[1]);
}

#[test]
fn a_stream_is_dense() {
    let observed = events(vec![unit(1, 0, Change::Held, 1), unit(3, 1, Change::Held, 2)]);
    assert_breaks(&counted(2), &observed, "I7", &[1]);
}

/// Three events, and a subscriber to what comes after `after`, who was sent `received`.
fn subscribed(after: u64, received: impl Fn(&[Event]) -> Vec<Delivery>) -> Observed {
    let events: Vec<Event> =
        (1..=3).map(|number| unit(number, number, Change::Held, number)).collect();
    let subscription = Subscription {
        subscriber: "reader".to_owned(),
        resource: RESOURCE.to_owned(),
        after,
        until: 3,
        received: received(&events),
    };
    Observed { events, subscriptions: vec![subscription], ..Observed::default() }
}

fn of(events: &[Event], numbers: &[usize]) -> Vec<Delivery> {
    numbers.iter().map(|number| Delivery::Event(events[number - 1].clone())).collect()
}

#[test]
fn a_subscriber_sees_each_event_once_and_in_order() {
    for (after, numbers) in [(0, &[1, 2, 3][..]), (1, &[2, 3]), (3, &[])] {
        let observed = subscribed(after, |events| of(events, numbers));
        assert_eq!(check_observed(&counted(9), &observed), []);
    }
    for (numbers, shown) in [
        (&[1, 3][..], &[1, 2][..]),
        (&[1, 2, 2, 3], &[1, 1]),
        (&[1, 2, 1, 2, 3], &[0, 1]),
        (&[2, 3], &[0, 1]),
        (&[1, 2], &[2]),
    ] {
        let observed = subscribed(0, |events| of(events, numbers));
        assert_breaks(&counted(9), &observed, "I7", shown);
    }
}

#[test]
fn a_subscriber_may_be_told_that_history_is_gone() {
    let reset = |seq| {
        subscribed(0, move |events| {
            let mut received = vec![Delivery::Reset { seq }];
            received.extend(of(events, &[3]));
            received
        })
    };
    assert_eq!(check_observed(&counted(9), &reset(2)), []);
    assert_breaks(&counted(9), &reset(1), "I7", &[1, 2]);
    assert_breaks(&counted(9), &reset(3), "I7", &[2, 2]);
}

#[test]
fn all_subscribers_see_the_same_events() {
    let observed = subscribed(0, |events| {
        let mut received = of(events, &[1, 2, 3]);
        received[1] = Delivery::Event(unit(2, 2, Change::Held, 77));
        received
    });
    assert_breaks(&counted(9), &observed, "I7", &[1]);
}
