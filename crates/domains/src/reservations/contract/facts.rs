//! What the code of these paths knows about itself.
//!
//! Placeholder values, to be derived from the commands, tables and bounds of this domain.

use evenkeel_contract::{
    Bounds, Durability, Facts, Idempotency, Level, Order, PartitionKey, Refusals,
};

const fn read(order: Order, rows_max: u32) -> Facts {
    Facts {
        partition_key: PartitionKey::Key("resource"),
        order,
        durability: Durability::NotLogged,
        levels: Level::ALL,
        refusals: &[],
        refusal_codes: &[],
        side_effects: &[],
        idempotency: Idempotency::Read,
        bounds: Bounds {
            rows_max,
            bytes_max: 1_048_576,
        },
    }
}

const fn write(
    idempotency: Idempotency,
    refusal_codes: &'static [&'static str],
    side_effects: &'static [&'static str],
) -> Facts {
    Facts {
        partition_key: PartitionKey::Key("resource"),
        order: Order::PerKey,
        durability: Durability::Logged,
        levels: &[],
        refusals: Refusals::ALL,
        refusal_codes,
        side_effects,
        idempotency,
        bounds: Bounds {
            rows_max: 1_024,
            bytes_max: 262_144,
        },
    }
}

pub(super) const READ: Facts = read(Order::None, 1);
pub(super) const WRITE: Facts = write(Idempotency::Keyed, &[], &["puts rows"]);

pub(super) const RESOURCE: Facts = READ;
pub(super) const RESOURCES: Facts = Facts {
    partition_key: PartitionKey::All,
    ..read(Order::ByName, 1_000)
};
pub(super) const SEATS: Facts = read(Order::ByName, 1_000);
pub(super) const HOLDS: Facts = read(Order::ByName, 1_000);
pub(super) const GET_HOLD: Facts = READ;
pub(super) const EVENTS: Facts = Facts {
    levels: &[Level::Session],
    ..read(Order::Dense, 1_000)
};

pub(super) const CREATE: Facts = write(
    Idempotency::Natural,
    &["capacity_in_use", "kind_differs"],
    &[
        "puts the resource",
        "puts a row a seat",
        "adds event resource.put",
    ],
);
pub(super) const ADD_SEATS: Facts = write(
    Idempotency::Natural,
    &["kind_differs"],
    &[
        "puts a row a seat",
        "puts the resource's counts",
        "adds event seats.added",
    ],
);
pub(super) const HOLD: Facts = write(
    Idempotency::Keyed,
    &["sold_out", "seat_taken"],
    &[
        "puts the hold and its timer",
        "puts its seats or the resource's counts",
        "adds event hold.created",
        "puts the reply under its key",
    ],
);
pub(super) const CONFIRM: Facts = write(
    Idempotency::Keyed,
    &["hold_expired", "hold_resolved", "sold_out", "seat_taken"],
    &[
        "puts the hold",
        "puts its seats or the resource's counts",
        "deletes its timer",
        "adds event hold.confirmed",
        "puts the reply under its key",
    ],
);
pub(super) const RELEASE: Facts = write(
    Idempotency::Keyed,
    &["hold_expired", "hold_resolved"],
    &[
        "puts the hold",
        "puts its seats or the resource's counts",
        "deletes its timer",
        "adds event hold.released",
        "puts the reply under its key",
    ],
);
pub(super) const EXTEND: Facts = write(
    Idempotency::Keyed,
    &["hold_expired", "hold_resolved"],
    &[
        "puts the hold and its timer",
        "adds event hold.extended",
        "puts the reply under its key",
    ],
);
pub(super) const CANCEL: Facts = write(
    Idempotency::Keyed,
    &["hold_not_confirmed"],
    &[
        "puts the hold",
        "puts its seats or the resource's counts",
        "adds event hold.cancelled",
        "puts the reply under its key",
    ],
);
