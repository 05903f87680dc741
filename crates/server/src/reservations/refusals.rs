//! What the domain's "no" is answered with.

use super::views::{hold_state, kind};
use crate::{code::Code, problem::Problem};
use evenkeel_domains::reservations::{HoldState, Kind, Refusal};

/// The problem that `refusal` is answered with.
pub(crate) fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::NoResource => Problem::new(Code::NotFound, "there is no such resource"),
        Refusal::NoHold => {
            Problem::new(Code::NotFound, "there is no such hold, or it was resolved long ago")
        }
        Refusal::NoSeat(seats) => {
            Problem::new(Code::NotFound, "the resource has no seats of these names")
                .with("seats", seats)
        }
        Refusal::SoldOut { available } => Problem::new(
            Code::SoldOut,
            format!("fewer places are free than asked for: {available}"),
        )
        .with("available", available),
        Refusal::SeatTaken(seats) => {
            let detail = "of the seats asked for some are taken, so none was";
            Problem::new(Code::SeatTaken, detail).with("seats", seats)
        }
        Refusal::WrongKind(is) => {
            Problem::new(Code::WrongKind, has_kind(is)).with("kind", kind(is))
        }
        Refusal::CapacityInUse { taken } => {
            let detail = format!("{taken} of the places to be taken away are held or confirmed");
            Problem::new(Code::CapacityInUse, detail).with("taken", taken)
        }
        Refusal::TooManySeats => Problem::new(
            Code::TooManySeats,
            "a seat map with more seats than one call may name can only be added to",
        ),
        Refusal::HoldExpired => Problem::new(Code::HoldExpired, "the hold has expired"),
        Refusal::NotHeld(state) => in_state(Code::NotHeld, state),
        Refusal::NotConfirmed(state) => in_state(Code::NotConfirmed, state),
        Refusal::LockNotConfirmable => Problem::new(
            Code::LockNotConfirmable,
            "a lock is held and released; it is nothing to be sold",
        ),
    }
}

fn in_state(code: Code, state: HoldState) -> Problem {
    let state = hold_state(state);
    Problem::new(code, format!("the hold is {state}")).with("state", state)
}

fn has_kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Seats => "the resource has named seats: ask for seats",
        Kind::Quantity => "the resource has counted places: ask for a quantity",
        Kind::Lock => "the resource is a lock: ask for neither seats nor a quantity",
    }
}
