//! The engine with a toy application: whatever the log answers, and whatever the application does.

mod appends;
mod deciding;
mod idempotency;
mod mailbox;
mod timers;
mod toy;
mod world;
