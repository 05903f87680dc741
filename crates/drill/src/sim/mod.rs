//! The simulator: the real engine, domains, state and log, under virtual time and a seed.
//!
//! It schedules every message, append, flush and fault itself, on one thread, so that a seed
//! gives the same run, byte for byte, every time. Two scenes: nodes that compete for a partition
//! in a shared log, with appends that are delayed, lost or late; and one node over a real
//! write-ahead log on a disk that tears and forgets when the power goes. In each, clients of one
//! product: of reservations, of limits with the edges that admit from leased tokens, of jobs with the
//! workers that do them and what those write to, of conversations with the devices that follow them, or of feeds
//! with what is kept of timelines. After some time the faults stop, and everything that was begun must complete.
//!
//! It does not simulate edges, HTTP or threads: the crash drill runs the real binary for those.

mod chat;
mod client;
mod feed;
mod jobs;
mod judge;
mod limits;
mod logs;
mod machines;
mod node;
pub mod plan;
mod reads;
mod run;
mod subscriber;
mod sweep;
mod world;

pub use judge::Verdict;
pub use plan::{Plan, Product, Scene, Size};
pub use reads::{ReadsPlan, ReadsRun, measure_reads};
pub use run::{Broken, BrokenChat, BrokenJobs, BrokenKept, Run, Told, run};
pub use sweep::{Failure, Sweep, sweep};
