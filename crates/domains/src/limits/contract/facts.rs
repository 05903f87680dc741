//! What the code of these paths knows about itself: refusal codes from [`Refusal::code`], bounds
//! from the engine's limits. What a constant cannot be computed from (partition keys, the rows that a
//! command writes) is compared with what the code does in `tests/domains/facts.rs`.

use super::super::{Algorithm, CHECKS_MAX, PolicyError, Refusal};
use crate::{meta, reservations::PAGE_BYTES_MAX, reservations::PAGE_ROWS_MAX};
use evenkeel_contract::{
    Bounds, Durability, Facts, Idempotency, Level, Order, PartitionKey, Refusals,
};
use evenkeel_engine::Options;

const SUBJECT: PartitionKey = PartitionKey::Key("scope, else limit and key");

const fn read(partition_key: PartitionKey, order: Order, rows_max: usize) -> Facts {
    Facts {
        partition_key,
        order,
        durability: Durability::NotLogged,
        levels: Level::ALL,
        refusals: &[],
        refusal_codes: &[],
        side_effects: &[],
        idempotency: Idempotency::Read,
        bounds: Bounds { rows_max: rows_max as u32, bytes_max: PAGE_BYTES_MAX as u32 },
    }
}

const fn write(
    partition_key: PartitionKey,
    idempotency: Idempotency,
    refusal_codes: &'static [&'static str],
    side_effects: &'static [&'static str],
) -> Facts {
    Facts {
        partition_key,
        order: Order::PerKey,
        durability: Durability::Logged,
        levels: &[],
        refusals: Refusals::ALL,
        refusal_codes,
        side_effects,
        idempotency,
        bounds: Bounds {
            rows_max: Options::COMMAND_ROWS_MAX as u32,
            bytes_max: Options::COMMAND_BYTES_MAX as u32,
        },
    }
}

const LIMITED: &Refusal = &Refusal::Limited(Vec::new());
/// Of a check that names a limit that is not there: answered where it is resolved.
const NO_LIMIT: &str = meta::Refusal::NoLimit.code();
const WRONG_ALGORITHM: &str = Refusal::WrongAlgorithm(Algorithm::Concurrency).code();

pub(super) const PUT: Facts = write(
    PartitionKey::Meta,
    Idempotency::Natural,
    &[
        meta::Refusal::BadPolicy(PolicyError::Period).code(),
        meta::Refusal::LimitFixed { field: "" }.code(),
        meta::Refusal::TooManyLimits.code(),
    ],
    &["puts limits", "puts limit_counts"],
);
pub(super) const DELETE: Facts = write(
    PartitionKey::Meta,
    Idempotency::Natural,
    &[meta::Refusal::NoLimit.code()],
    &["deletes limits", "puts limit_counts"],
);
pub(super) const GET: Facts = Facts {
    refusal_codes: &[meta::Refusal::NoLimit.code()],
    ..read(PartitionKey::Meta, Order::None, 1)
};
pub(super) const LIST: Facts = read(PartitionKey::Meta, Order::ByName, PAGE_ROWS_MAX);

pub(super) const PEEK: Facts = Facts {
    refusal_codes: &[meta::Refusal::NoLimit.code()],
    ..read(SUBJECT, Order::None, CHECKS_MAX)
};
pub(super) const CHECK: Facts = write(
    SUBJECT,
    Idempotency::Keyed,
    &[LIMITED.code(), NO_LIMIT],
    &[
        "puts limit_keys",
        "deletes limit_keys",
        "puts limit_leases",
        "deletes limit_leases",
        "puts limit_leases_due",
        "deletes limit_leases_due",
        "puts limit_sweep",
        "puts timers",
        "puts idempotency",
        "puts idempotency_usage",
    ],
);
pub(super) const REFUND: Facts = write(
    SUBJECT,
    Idempotency::Keyed,
    &[WRONG_ALGORITHM, NO_LIMIT],
    &[
        "puts limit_keys",
        "deletes limit_keys",
        "puts timers",
        "puts idempotency",
        "puts idempotency_usage",
    ],
);
pub(super) const RELEASE: Facts = write(
    PartitionKey::Key("lease"),
    Idempotency::Natural,
    &[Refusal::NoLease.code()],
    &["puts limit_keys", "deletes limit_keys", "deletes limit_leases", "deletes limit_leases_due"],
);
pub(super) const RENEW: Facts = write(
    PartitionKey::Key("lease"),
    Idempotency::Natural,
    &[Refusal::NoLease.code()],
    &["puts limit_keys", "puts limit_leases", "puts limit_leases_due", "deletes limit_leases_due"],
);
pub(super) const RESET: Facts =
    write(SUBJECT, Idempotency::Natural, &[WRONG_ALGORITHM, NO_LIMIT], &["deletes limit_keys"]);
