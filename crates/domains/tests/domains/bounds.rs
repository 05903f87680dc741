//! The largest of everything: what is asked for is bounded, and so is what comes of it.

use crate::driver::{Driver, names};
use crate::invariants::check_events;
use evenkeel_domains::reservations::{
    Action, Found, HOLD_SEATS_MAX, PAGE_BYTES_MAX, Places, Query, Refusal, Reply, SEATS_A_CALL_MAX,
    Spec,
};
use evenkeel_engine::{Failure, Options};
use evenkeel_log::BODY_BYTES_MAX;

const NAME_BYTES_MAX: usize = 128;

fn seat(number: usize) -> String {
    format!("{number:0>NAME_BYTES_MAX$}")
}

/// A hall of so many calls of seats, every one of them held, a hold as large as can be.
fn full_house(calls: usize, ttl_ms: u64) -> Driver {
    let mut driver = Driver::new(Options::default());
    driver.reserve("hall", Action::Put(Spec::Seats(Vec::new()))).unwrap();
    for call in 0..calls {
        let seats = (call * SEATS_A_CALL_MAX..(call + 1) * SEATS_A_CALL_MAX).map(seat).collect();
        driver.reserve("hall", Action::AddSeats(seats)).unwrap();
    }
    for hold in 0..calls * SEATS_A_CALL_MAX / HOLD_SEATS_MAX {
        let seats = (hold * HOLD_SEATS_MAX..(hold + 1) * HOLD_SEATS_MAX).map(seat).collect();
        let holder = "h".repeat(NAME_BYTES_MAX);
        let places = Places::Seats(seats);
        driver.reserve("hall", Action::Hold { holder, ttl_ms, places }).unwrap();
    }
    driver
}

/// However much expires at once, a record holds it, and it is all done in the end.
#[test]
fn a_full_house_expires_in_records_that_fit() {
    let mut driver = full_house(4, 1_000_000);
    let holds = 4 * SEATS_A_CALL_MAX / HOLD_SEATS_MAX;
    driver.now = driver.now.plus_ms(1_000_000);
    // In the same batch as a command that takes what is freed.
    let places = Places::Seats(vec![seat(4 * SEATS_A_CALL_MAX - 1)]);
    let hold = Action::Hold { holder: "late".into(), ttl_ms: 1, places };
    assert!(driver.reserve("hall", hold).is_ok());
    assert!(driver.log.iter().all(|record| record.body().len() <= BODY_BYTES_MAX));
    let streams = check_events(&driver.log);
    let expired = streams.values().flatten().filter(|event| event.name() == "reservations.expired");
    assert_eq!(expired.count(), holds);
}

/// A page ends where it would take too much, and the next goes on from there.
#[test]
fn pages_are_bounded_in_bytes() {
    let driver = full_house(10, 1_000_000);
    let (mut after, mut seen, mut pages) = (None, 0, 0);
    loop {
        let query = Query::Holds { resource: "hall".into(), state: None, after, limit: usize::MAX };
        let Ok(Found::Holds(page, next)) = driver.query(&query) else { panic!("holds") };
        let bytes = page.len() * HOLD_SEATS_MAX * NAME_BYTES_MAX;
        assert!(bytes <= PAGE_BYTES_MAX, "{bytes}");
        seen += page.len();
        pages += 1;
        after = next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((seen, pages), (10 * SEATS_A_CALL_MAX / HOLD_SEATS_MAX, 2));

    let query =
        Query::Events { resource: "hall".into(), after: None, from_start: true, limit: usize::MAX };
    let Ok(Found::Events(page)) = driver.query(&query) else { panic!("events") };
    let last = page.events.last().unwrap().position;
    assert_eq!(page.next, last, "the page says where to go on");
    let query =
        Query::Events { resource: "hall".into(), after: Some(last), from_start: false, limit: 1 };
    let Ok(Found::Events(page)) = driver.query(&query) else { panic!("events") };
    assert_eq!(page.events[0].position.sequence, last.sequence + 1);
}

/// A seat that is named twice is one seat.
#[test]
fn a_seat_named_twice() {
    let mut driver = Driver::new(Options::default());
    let twice = names(&["A", "A"]);
    let put = Action::Put(Spec::Seats(twice.clone()));
    let Ok(evenkeel_domains::Reply::Reservations(Reply::Resource(view, true))) =
        driver.reserve("hall", put)
    else {
        panic!("created")
    };
    assert_eq!(view.capacity, 1);
    let hold = Action::Hold { holder: "u".into(), ttl_ms: 1, places: Places::Seats(twice) };
    let refused = Refusal::SeatTaken(names(&["A"]));
    let refused = evenkeel_domains::Refusal::Reservations(refused);
    assert_eq!(driver.reserve("hall", hold), Err(Failure::Refused(refused)));
}

/// More holds fall due than one step settles.
#[test]
fn a_crowd_that_walks_away() {
    let mut driver = Driver::new(Options::default());
    driver.reserve("units", Action::Put(Spec::Quantity(1_000))).unwrap();
    let hold =
        |units| Action::Hold { holder: "u".into(), ttl_ms: 50, places: Places::Quantity(units) };
    for _ in 0..1_000 {
        driver.reserve("units", hold(1)).unwrap();
    }
    driver.now = driver.now.plus_ms(50);
    assert!(driver.reserve("units", hold(1_000)).is_ok(), "all of them were given back first");
    let expired = check_events(&driver.log)
        .values()
        .flatten()
        .filter(|event| event.name() == "reservations.expired")
        .count();
    assert_eq!(expired, 1_000);
}
