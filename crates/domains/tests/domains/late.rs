//! Payments that come late or twice: what they may be told, and what they may cost.

use crate::driver::Driver;
use evenkeel_domains::{
    Refusal as No, Reply as Yes,
    reservations::{Action, HoldState, Late, Places, Refusal, Reply, Spec},
};
use evenkeel_engine::{Failure, Options};

fn held(driver: &mut Driver) -> u64 {
    driver.reserve("gig", Action::Put(Spec::Quantity(2))).unwrap();
    let hold = Action::Hold { holder: "u".into(), ttl_ms: 1_000, places: Places::Quantity(2) };
    fence(driver.reserve("gig", hold).unwrap())
}

fn fence(reply: Yes) -> u64 {
    let Yes::Reservations(Reply::Hold(hold)) = reply else { panic!("a hold") };
    hold.fence
}

/// The places that a late payment took again were given back since: a repeat of that payment must
/// not be told that they are its own.
#[test]
fn a_late_payment_is_not_told_of_places_that_were_given_back() {
    let mut driver = Driver::new(Options::default());
    let hold = held(&mut driver);
    driver.pass(2_000);
    let late = Action::Confirm { hold, late: Late::Reacquire };
    let again = fence(driver.reserve("gig", late.clone()).unwrap());
    assert_ne!(again, hold);
    assert_eq!(
        fence(driver.reserve("gig", late.clone()).unwrap()),
        again,
        "asked twice, told the same"
    );
    driver.reserve("gig", Action::Cancel { hold: again }).unwrap();
    let refused = Failure::Refused(No::Reservations(Refusal::NotHeld(HoldState::Cancelled)));
    assert_eq!(driver.reserve("gig", late).unwrap_err(), refused);
}

/// What is so already is answered from what is there: no record, no event.
#[test]
fn a_repeat_that_changes_nothing_appends_nothing() {
    let mut driver = Driver::new(Options::default());
    let hold = held(&mut driver);
    let repeat = [Action::Put(Spec::Quantity(2)), Action::Confirm { hold, late: Late::Refuse }];
    driver.reserve("gig", repeat[1].clone()).unwrap();
    let records = driver.log.len();
    for action in repeat {
        driver.reserve("gig", action).unwrap();
    }
    assert_eq!(driver.log.len(), records);
}
