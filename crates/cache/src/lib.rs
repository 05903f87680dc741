//! A read cache that says how old its answers are.

mod cache;
mod core;
mod hot;
mod look;
mod options;

pub use cache::{Cache, LoadError};
pub use core::{Core, Counters};
pub use hot::HotKey;
pub use look::{Answer, Loaded, Look, Outcome, Ticket, Wait};
pub use options::{Options, Switches};
