//! What the code of these paths knows about itself: refusal codes from [`Refusal::code`], bounds
//! from the engine's and this domain's limits. What a constant cannot be computed from (the rows that
//! a command writes) is compared with what the code does in `tests/domains/schedules`.

use super::super::{Refusal, TimingError};
use crate::reservations::{PAGE_BYTES_MAX, PAGE_ROWS_MAX};
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
    refusal_codes: &'static [&'static str],
    side_effects: &'static [&'static str],
) -> Facts {
    Facts {
        partition_key: SCHEDULE,
        order: Order::PerKey,
        durability: Durability::Logged,
        levels: &[],
        refusals: Refusals::ALL,
        refusal_codes,
        side_effects,
        idempotency: Idempotency::Natural,
        bounds: Bounds {
            rows_max: Options::COMMAND_ROWS_MAX as u32,
            bytes_max: Options::COMMAND_BYTES_MAX as u32,
        },
    }
}

const SCHEDULE: PartitionKey = PartitionKey::Key("schedule");

pub(super) const PUT: Facts = write(
    codes![
        Refusal::BadTiming(TimingError::Never),
        Refusal::NoQueue { queue: String::new() },
        Refusal::TooManySchedules,
    ],
    &[
        "puts schedules",
        "puts schedule_names",
        "puts schedule_specs",
        "puts schedule_counter",
        "puts schedule_counts",
        "puts timers",
        "deletes timers",
    ],
);
pub(super) const PAUSE: Facts =
    write(codes![Refusal::NoSchedule], &["puts schedules", "deletes timers"]);
pub(super) const RESUME: Facts =
    write(codes![Refusal::NoSchedule], &["puts schedules", "puts timers"]);
pub(super) const DELETE: Facts = write(
    codes![Refusal::NoSchedule],
    &[
        "deletes schedules",
        "deletes schedule_names",
        "deletes schedule_specs",
        "puts schedule_counts",
        "deletes timers",
    ],
);
pub(super) const GET: Facts =
    Facts { refusal_codes: codes![Refusal::NoSchedule], ..read(SCHEDULE, Order::None, 1) };
pub(super) const LIST: Facts = read(PartitionKey::All, Order::ByName, PAGE_ROWS_MAX);
