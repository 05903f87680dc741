//! The engine with a toy application: whatever the log answers, and whatever the application does.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod appends;
mod buffered;
mod deciding;
mod deliveries;
mod golden;
mod idempotency;
mod mailbox;
mod outbox;
mod timers;
mod toy;
mod world;
