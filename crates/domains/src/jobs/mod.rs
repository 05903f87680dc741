//! Jobs: durable work with leases, retries, dead letters, replay and order.
//!
//! No job is lost: it is in one state, and every change of state is a compare-and-set on job, attempt
//! and lease. A job has one live lease at most, and so has an ordering key; a stale lease changes
//! nothing. What counts (slots of the limit, the backlog, unique keys) is derived from the jobs'
//! states and never kept apart from them. The scope of all that is the partition: a queue's jobs are
//! spread over several by ordering key, unique key or at random ([`place()`]), and each has its share
//! of the queue's bounds.
//!
//! A command carries the queue's settings; a partition keeps the latest, for what falls due when
//! nobody asks. `subject` is the one place where counters and the index change; `lifecycle`, `order`
//! and `after` are a job's ways through its states; `settle` is what time does.
//!
//! Where a queue's jobs are sent, if they are, is plain data in `push`; schedules, the calls themselves
//! and the waiting of workers are not here.

mod after;
mod commands;
pub mod contract;
mod decide;
mod enqueue;
mod items;
mod lease;
mod lifecycle;
mod order;
mod place;
mod push;
mod queries;
mod ready;
mod replay;
mod settings;
mod settle;
mod subject;
mod tables;
mod views;

pub use commands::{
    AFTER_MAX, Action, COMPLETE_BYTES_MAX, COMPLETE_JOBS_MAX, Command, Cursor, DeadFilter, Done,
    ENQUEUE_AFTER_MAX, ENQUEUE_BYTES_MAX, ENQUEUE_JOBS_MAX, ERROR_BYTES_MAX, Enqueued, JobId,
    LEASE_BYTES_MAX, LEASE_JOBS_MAX, LeaseId, Leased, NewJob, Next, PAYLOAD_BYTES_MAX,
    PROGRESS_BYTES_MAX, Pace, REPLAY_JOBS_MAX, Refusal, Replayed, Reply, Standing, State, Take,
    When,
};
pub use contract::PATHS;
pub use decide::{decide, expire, timer};
pub use items::{ITEM_JOBS_MAX, Item, deliver};
pub use place::{Spread, place, places, position};
pub use push::{
    PUSH_CONCURRENCY, PUSH_CONCURRENCY_MAX, PUSH_REASON_BYTES_MAX, PUSH_ROTATION_MS,
    PUSH_SECRET_BYTES_MAX, PUSH_SECRET_BYTES_MIN, PUSH_TIMEOUT_MS, PUSH_TIMEOUT_MS_MAX,
    PUSH_TIMEOUT_MS_MIN, PUSH_URL_BYTES_MAX, Push, PushError, PushRequest, PushSecret,
    RetiredSecret,
};
pub use queries::{EventView, Found, Query, QueueView, query};
pub use ready::{Readiness, all_kinds, all_readiness, readiness, readiness_of};
pub use settings::{
    ATTEMPTS_MAX, BACKLOG_MAX, HeadPolicy, LEASE_MS_MAX, PRIORITY_MAX, QUEUE_MS_MAX,
    RESULT_BYTES_MAX, Settings, SettingsError,
};
pub(crate) use tables::table_name;
pub use tables::{ByState, EVENT_RETENTION_MS, Kind, Note, QueueEvent, Totals};
pub use views::{JobDetail, JobView, WaitingFor};

/// The number by which the engine knows this domain. Never reused.
pub const DOMAIN: u8 = 3;
