//! The engine with a toy application: whatever the log answers, and whatever the application does.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod appends;
mod buffered;
mod deciding;
mod golden;
mod idempotency;
mod mailbox;
mod timers;
mod toy;
mod world;
