//! What the code of these paths knows about itself: refusal codes from [`Refusal::code`], bounds
//! from the engine's and this domain's limits. What a constant cannot be computed from (partition
//! keys, the rows and events that a command writes) is compared with what the code does, path by
//! path, in `tests/domains/facts.rs`.

use super::super::{HoldState, Kind, PAGE_ROWS_MAX, Refusal};
use crate::facts::{self, codes};
use evenkeel_contract::{Facts, Idempotency, Level, Order, PartitionKey};

const RESOURCE_KEY: PartitionKey = PartitionKey::Key("resource");

const fn read(order: Order, rows_max: usize) -> Facts {
    Facts {
        refusal_codes: codes![Refusal::NoResource],
        ..facts::read(RESOURCE_KEY, order, rows_max)
    }
}

const fn write(
    idempotency: Idempotency,
    refusal_codes: &'static [&'static str],
    side_effects: &'static [&'static str],
) -> Facts {
    facts::write(RESOURCE_KEY, idempotency, refusal_codes, side_effects)
}

pub(super) const READ: Facts = read(Order::None, 1);
pub(super) const WRITE: Facts = write(Idempotency::Keyed, &[], &[]);

pub(super) const RESOURCE: Facts = READ;
pub(super) const RESOURCES: Facts = Facts {
    partition_key: PartitionKey::All,
    refusal_codes: &[],
    ..read(Order::ByName, PAGE_ROWS_MAX)
};
pub(super) const SEATS: Facts = read(Order::ByName, PAGE_ROWS_MAX);
pub(super) const HOLDS: Facts = read(Order::ByName, PAGE_ROWS_MAX);
pub(super) const GET_HOLD: Facts = READ;
pub(super) const EVENTS: Facts =
    Facts { levels: &[Level::Session], ..read(Order::Dense, PAGE_ROWS_MAX) };

pub(super) const CREATE: Facts = write(
    Idempotency::Natural,
    codes![
        Refusal::WrongKind(Kind::Seats),
        Refusal::CapacityInUse { taken: 0 },
        Refusal::TooManySeats,
    ],
    &[
        "puts resources",
        "puts resource_names",
        "puts resource_counter",
        "puts seats",
        "deletes seats",
        "puts timers",
        "emits reservations.created",
        "emits reservations.capacity_changed",
    ],
);
pub(super) const ADD_SEATS: Facts = write(
    Idempotency::Natural,
    codes![Refusal::NoResource, Refusal::WrongKind(Kind::Seats)],
    &["puts resources", "puts seats", "emits reservations.capacity_changed"],
);
pub(super) const HOLD: Facts = write(
    Idempotency::Keyed,
    codes![
        Refusal::NoResource,
        Refusal::WrongKind(Kind::Seats),
        Refusal::SeatTaken(Vec::new()),
        Refusal::SoldOut { available: 0 },
    ],
    &[
        "puts holds",
        "puts due",
        "puts seats",
        "puts resources",
        "puts timers",
        "deletes timers",
        "emits reservations.held",
        "puts idempotency",
        "puts idempotency_usage",
    ],
);
pub(super) const CONFIRM: Facts = write(
    Idempotency::Keyed,
    codes![
        Refusal::NoHold,
        Refusal::LockNotConfirmable,
        Refusal::HoldExpired,
        Refusal::NotHeld(HoldState::Released),
        Refusal::SeatTaken(Vec::new()),
        Refusal::SoldOut { available: 0 },
    ],
    &[
        "puts holds",
        "deletes due",
        "puts seats",
        "puts resources",
        "puts timers",
        "emits reservations.held",
        "emits reservations.confirmed",
        "puts idempotency",
        "puts idempotency_usage",
    ],
);
pub(super) const RELEASE: Facts = write(
    Idempotency::Keyed,
    codes![Refusal::NoHold, Refusal::HoldExpired, Refusal::NotHeld(HoldState::Released),],
    &[
        "puts holds",
        "puts due",
        "deletes due",
        "puts seats",
        "puts resources",
        "puts timers",
        "emits reservations.released",
        "puts idempotency",
        "puts idempotency_usage",
    ],
);
pub(super) const EXTEND: Facts = write(
    Idempotency::Keyed,
    codes![Refusal::NoHold, Refusal::HoldExpired, Refusal::NotHeld(HoldState::Released),],
    &[
        "puts holds",
        "puts due",
        "deletes due",
        "puts resources",
        "puts timers",
        "deletes timers",
        "emits reservations.extended",
        "puts idempotency",
        "puts idempotency_usage",
    ],
);
pub(super) const CANCEL: Facts = write(
    Idempotency::Keyed,
    codes![Refusal::NoHold, Refusal::NotConfirmed(HoldState::Held)],
    &[
        "puts holds",
        "puts due",
        "puts seats",
        "puts resources",
        "puts timers",
        "emits reservations.cancelled",
        "puts idempotency",
        "puts idempotency_usage",
    ],
);
