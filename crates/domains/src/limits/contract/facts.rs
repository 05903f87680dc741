//! What the code of these paths knows about itself: refusal codes from [`Refusal::code`], bounds
//! from the engine's limits. What a constant cannot be computed from (partition keys, the rows that a
//! command writes) is compared with what the code does in `tests/domains/facts.rs`.

use super::super::{Algorithm, CHECKS_MAX, PolicyError, Refusal};
use crate::{
    facts::{read, write},
    meta,
    reservations::PAGE_ROWS_MAX,
};
use evenkeel_contract::{Facts, Idempotency, Order, PartitionKey};

const SUBJECT: PartitionKey = PartitionKey::Key("scope, else limit and key");

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
