//! The partition engine: plain synchronous code that turns requests, a clock reading and the
//! log's answers into records, replies and timers.
//!
//! It is the one place that knows about batches, conditional appends, idempotency, expiry, timers
//! and streams, so that every domain gets them and none repeats them. It performs no I/O: no
//! clock, no random numbers, no task, no channel. The runtime (`evenkeel-node`) drives it over
//! tokio, the simulator (`evenkeel-drill`) drives the same code under virtual time and a seed.
//!
//! What it is *not*: it neither elects owners nor stores anything. A partition may be led by
//! anyone who tries; the log's conditional append decides whose records and answers count.

mod app;
mod batch;
mod context;
mod idempotency;
mod in_flight;
mod inbox;
mod mailbox;
mod options;
mod outbox;
mod partition;
mod request;
mod streams;
mod tables;
mod timers;

pub use app::{App, Stop};
pub use context::Context;
pub use idempotency::Idempotency;
pub use in_flight::Outcome;
pub use inbox::{DEAD_RETENTION_MS, DeadDelivery, dead_deliveries};
pub use mailbox::{Mailbox, Refused};
pub use options::{Barrier, Options, Switches};
pub use outbox::{Delivery, Mark, OutboxStats, Parcel};
pub use partition::{Output, Partition, Role};
pub use request::{Answer, Delivered, Failure, Priority, Request, TenantId, Time};
pub use streams::{Entity, Event, Position, StreamHead, read_events};
pub use tables::{
    DEAD_COUNT_ID, DEAD_DELIVERIES_ID, EVENTS_ID, IDEMPOTENCY_ID, INBOX_ID, OUTBOX_HEADS_ID,
    OUTBOX_ID, PARKED_ID, TIMERS_ID, USAGE_ID, table_name,
};
