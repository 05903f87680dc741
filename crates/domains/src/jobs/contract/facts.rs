//! What the code of these paths knows about itself: refusal codes from [`Refusal::code`], bounds
//! from the engine's and this domain's limits. What a constant cannot be computed from (the rows and
//! events that a command writes) is compared with what the code does in `tests/domains/jobs`.

use super::super::{JobId, Refusal, SettingsError, Standing, State};
use crate::{
    facts::{self, read},
    meta,
    reservations::PAGE_ROWS_MAX,
};
use evenkeel_contract::{Facts, Idempotency, Level, Order, PartitionKey};
use evenkeel_engine::Time;

const fn write(
    refusal_codes: &'static [&'static str],
    side_effects: &'static [&'static str],
) -> Facts {
    facts::write(JOB, Idempotency::Natural, refusal_codes, side_effects)
}

const JOB: PartitionKey = PartitionKey::Key("job");
const STANDING: Standing = Standing { job: 0, state: State::Ready, at: Time(0), cancel: false };
const NO_JOB: &str = Refusal::NoJob.code();
const STALE: &str = Refusal::StaleLease(STANDING).code();
const TOO_LONG: &str = Refusal::LeaseTooLong { max_ms: 0 }.code();
const FULL: &str = Refusal::BacklogFull { backlog: 0, max: 0 }.code();

pub(super) const READ: Facts = Facts { refusal_codes: &[NO_JOB], ..read(JOB, Order::None, 1) };
pub(super) const WRITE: Facts = write(&[], &[]);

pub(super) const GET: Facts = READ;
pub(super) const LIST: Facts = read(PartitionKey::All, Order::PerKey, PAGE_ROWS_MAX);
pub(super) const DEAD: Facts = LIST;
pub(super) const QUEUE: Facts = read(PartitionKey::All, Order::ByName, PAGE_ROWS_MAX);
pub(super) const EVENTS: Facts =
    Facts { levels: &[Level::Session], ..read(PartitionKey::All, Order::Dense, PAGE_ROWS_MAX) };

/// Of a queue that was never put: answered where it is resolved.
const NO_QUEUE: &str = meta::Refusal::NoQueue.code();

pub(super) const PUT_QUEUE: Facts = Facts {
    partition_key: PartitionKey::Meta,
    ..write(
        &[
            meta::Refusal::BadSettings(SettingsError::Lease).code(),
            meta::Refusal::QueueFixed.code(),
            meta::Refusal::TooManyQueues.code(),
        ],
        &["puts queue_settings", "puts queue_counts", "puts queue_pushes", "deletes queue_pushes"],
    )
};
pub(super) const SET_MODE: Facts =
    Facts { partition_key: PartitionKey::Meta, ..write(&[NO_QUEUE], &["puts queue_settings"]) };
pub(super) const DELETE_QUEUE: Facts = Facts {
    partition_key: PartitionKey::Meta,
    ..write(
        &[NO_QUEUE, meta::Refusal::QueueNotDraining.code()],
        &["deletes queue_settings", "puts queue_counts", "deletes queue_pushes"],
    )
};
pub(super) const QUEUES: Facts = read(PartitionKey::Meta, Order::ByName, PAGE_ROWS_MAX);

pub(super) const ENQUEUE: Facts = Facts {
    partition_key: PartitionKey::Key("queue and ordering key, else unique key, else any"),
    idempotency: Idempotency::Keyed,
    ..write(
        &[
            NO_QUEUE,
            FULL,
            Refusal::Draining.code(),
            Refusal::NoAfter(JobId { partition: 0, number: 0 }).code(),
        ],
        &[
            "puts queues",
            "puts queue_names",
            "puts job_counters",
            "puts jobs",
            "puts job_bodies",
            "puts job_index",
            "puts unique_jobs",
            "puts order_keys",
            "puts order_lines",
            "puts job_waiters",
            "puts job_kinds",
            "puts timers",
            "puts idempotency",
            "puts idempotency_usage",
        ],
    )
};
pub(super) const LEASE: Facts = Facts {
    partition_key: PartitionKey::Key("queue; the partition where jobs are ready"),
    idempotency: Idempotency::Exempt,
    ..write(
        &[NO_QUEUE, TOO_LONG],
        &[
            "puts queues",
            "puts jobs",
            "puts job_index",
            "deletes job_index",
            "puts job_kinds",
            "puts timers",
            "deletes timers",
        ],
    )
};
pub(super) const COMPLETE: Facts = write(
    &[NO_JOB, STALE, Refusal::ResultTooLarge { max_bytes: 0 }.code()],
    &[
        "puts queues",
        "puts jobs",
        "deletes jobs",
        "deletes job_bodies",
        "puts job_index",
        "deletes job_index",
        "puts job_notes",
        "deletes job_notes",
        "deletes unique_jobs",
        "puts order_keys",
        "deletes order_keys",
        "deletes order_lines",
        "deletes job_waiters",
        "puts jobs_over",
        "deletes jobs_over",
        "puts job_kinds",
        "deletes job_kinds",
        "puts timers",
        "deletes timers",
    ],
);
pub(super) const FAIL: Facts = write(
    &[NO_JOB, STALE],
    &[
        "puts queues",
        "puts jobs",
        "puts job_index",
        "deletes job_index",
        "puts job_notes",
        "deletes unique_jobs",
        "puts order_keys",
        "deletes order_keys",
        "deletes order_lines",
        "puts job_kinds",
        "puts timers",
        "deletes timers",
        "emits jobs.died",
    ],
);
pub(super) const EXTEND: Facts = write(
    &[NO_JOB, STALE, TOO_LONG],
    &[
        "puts queues",
        "puts jobs",
        "puts job_index",
        "deletes job_index",
        "puts timers",
        "deletes timers",
    ],
);
pub(super) const SNOOZE: Facts = write(
    &[NO_JOB, STALE],
    &[
        "puts queues",
        "puts jobs",
        "puts job_index",
        "deletes job_index",
        "puts job_kinds",
        "puts timers",
        "deletes timers",
    ],
);
pub(super) const PROGRESS: Facts = write(&[NO_JOB, STALE], &["puts jobs", "puts job_notes"]);
pub(super) const CANCEL: Facts = write(
    &[NO_JOB, Refusal::Over(State::Done).code()],
    &[
        "puts queues",
        "puts jobs",
        "deletes jobs",
        "deletes job_bodies",
        "puts job_index",
        "deletes job_index",
        "deletes unique_jobs",
        "puts order_keys",
        "deletes order_keys",
        "deletes order_lines",
        "puts job_notes",
        "deletes job_waiters",
        "puts jobs_over",
        "deletes jobs_over",
        "puts job_kinds",
        "deletes job_kinds",
        "puts timers",
        "deletes timers",
        "emits jobs.died",
    ],
);
pub(super) const RETRY: Facts = Facts {
    partition_key: JOB,
    refusal_codes: &[
        NO_JOB,
        FULL,
        Refusal::NotDead(State::Ready).code(),
        Refusal::UniqueKeyTaken { job: 0 }.code(),
    ],
    ..REPLAY
};
pub(super) const REPLAY: Facts = write(
    &[FULL],
    &[
        "puts queues",
        "puts jobs",
        "puts job_index",
        "deletes job_index",
        "puts unique_jobs",
        "puts order_keys",
        "puts order_lines",
        "puts job_kinds",
        "emits jobs.replayed",
    ],
);
