//! The node as its callers meet it: over restarts, lost and damaged files, full and failing disks,
//! too many requests, and stops.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bounds;
mod faults;
mod files;
mod following;
mod harness;
mod inboxes;
mod limits;
mod limits_across;
mod limits_ahead;
mod meta;
mod opening;
mod outbox;
mod queues;
mod rebuild;
mod restart;
mod session;
mod state_disk;
mod store;
mod watching;
