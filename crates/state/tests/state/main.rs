//! The state, through its public surface.

mod apply;
mod codec;
mod common;
mod faults;
mod golden;
mod model;
mod rebuild;
mod snapshots;
