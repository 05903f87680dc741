//! What the code of these paths knows about itself; compared with what it does in
//! `tests/domains/facts.rs`.

use super::super::Refusal;
use crate::reservations::{PAGE_BYTES_MAX, PAGE_ROWS_MAX};
use evenkeel_contract::{
    Bounds, Durability, Facts, Idempotency, Level, Order, PartitionKey, Refusals,
};
use evenkeel_engine::Options;

const fn read(levels: &'static [Level], rows_max: usize) -> Facts {
    Facts {
        partition_key: PartitionKey::Meta,
        order: Order::ByName,
        durability: Durability::NotLogged,
        levels,
        refusals: &[],
        refusal_codes: &[],
        side_effects: &[],
        idempotency: Idempotency::Read,
        bounds: Bounds { rows_max: rows_max as u32, bytes_max: PAGE_BYTES_MAX as u32 },
    }
}

const fn write(
    idempotency: Idempotency,
    refusal_codes: &'static [&'static str],
    side_effects: &'static [&'static str],
) -> Facts {
    Facts {
        partition_key: PartitionKey::Meta,
        order: Order::PerKey,
        durability: Durability::Logged,
        levels: &[],
        refusals: &[Refusals::Fenced],
        refusal_codes,
        side_effects,
        idempotency,
        bounds: Bounds {
            rows_max: Options::COMMAND_ROWS_MAX as u32,
            bytes_max: Options::COMMAND_BYTES_MAX as u32,
        },
    }
}

pub(super) const KEYS_CREATE: Facts = write(
    Idempotency::Keyed,
    &[Refusal::KeyExists.code(), Refusal::TooManyKeys.code(), Refusal::TooManyTenants.code()],
    &["puts keys", "puts tenants", "puts timers", "puts idempotency", "puts idempotency_usage"],
);
pub(super) const KEYS_REVOKE: Facts =
    write(Idempotency::Natural, &[Refusal::NoKey.code()], &["deletes keys"]);
pub(super) const KEYS_LIST: Facts = read(Level::ALL, PAGE_ROWS_MAX);
pub(super) const TOKEN_KEYS_CREATE: Facts = write(
    Idempotency::Keyed,
    &[Refusal::KeyExists.code(), Refusal::TooManyTokenKeys.code()],
    &["puts token_keys", "puts timers", "puts idempotency", "puts idempotency_usage"],
);
pub(super) const TOKEN_KEYS_REVOKE: Facts =
    write(Idempotency::Natural, &[Refusal::NoTokenKey.code()], &["deletes token_keys"]);
pub(super) const TOKEN_KEYS_LIST: Facts = read(Level::ALL, PAGE_ROWS_MAX);
pub(super) const CONTRACTS_LIST: Facts = read(&[Level::Eventual], PAGE_ROWS_MAX);
pub(super) const CONTRACTS_GET: Facts = Facts { order: Order::None, ..read(&[Level::Eventual], 1) };
pub(super) const CONTRACTS_SET: Facts =
    write(Idempotency::Natural, &[], &["puts contracts", "deletes contracts"]);
