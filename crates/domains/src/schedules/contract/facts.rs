//! What the code of these paths knows about itself: refusal codes from [`Refusal::code`], bounds
//! from the engine's and this domain's limits. What a constant cannot be computed from (the rows that
//! a command writes) is compared with what the code does in `tests/domains/schedules`.

use super::super::{Refusal, TimingError};
use crate::{
    facts::{self, codes, read},
    reservations::PAGE_ROWS_MAX,
};
use evenkeel_contract::{Facts, Idempotency, Order, PartitionKey};

const fn write(
    refusal_codes: &'static [&'static str],
    side_effects: &'static [&'static str],
) -> Facts {
    facts::write(SCHEDULE, Idempotency::Natural, refusal_codes, side_effects)
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
