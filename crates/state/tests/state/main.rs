//! The state, through its public surface.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod apply;
mod codec;
mod common;
mod faults;
mod golden;
mod memos;
mod model;
mod rebuild;
mod snapshots;
