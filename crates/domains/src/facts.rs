//! What the facts of most paths have in common, for the `contract` of each domain.

use crate::reservations::PAGE_BYTES_MAX;
use evenkeel_contract::{
    Bounds, Durability, Facts, Idempotency, Level, Order, PartitionKey, Refusals,
};
use evenkeel_engine::Options;

/// The codes of some refusals, each once.
macro_rules! codes {
    ($($refusal:expr),* $(,)?) => {{
        const CODES: &[&str] = &[$({
            const REFUSAL: &Refusal = &$refusal;
            REFUSAL.code()
        }),*];
        CODES
    }};
}
pub(crate) use codes;

/// Of a path that reads up to so many rows.
pub(crate) const fn read(partition_key: PartitionKey, order: Order, rows_max: usize) -> Facts {
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

/// Of a path that is one command.
pub(crate) const fn write(
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
