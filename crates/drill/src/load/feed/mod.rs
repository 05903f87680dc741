//! Workloads against the feeds API over HTTP, and the bench that runs them.
//!
//! - `graph`: puts a made-up network there: who follows whom, and what they posted;
//! - `timeline`: pages of timelines that follow many, while posts arrive;
//! - `followers`: puts somebody there whom very many follow; `celebrity`: how long their posts take,
//!   until they are acknowledged and until a sample of the followers sees them, and what others notice;
//! - `posts` and `follow`: many who post, and who begin to follow;
//! - `stampede`: many who ask for one timeline at once that nobody has asked for before.
//!
//! That each post comes to whom it should is the drills' to judge.

mod celebrity;
mod filling;
mod options;
mod people;
mod posts;
mod report;
mod seen;
mod stampede;
mod timelines;

pub use celebrity::{Beside, CelebrityReport};
pub use filling::{FillReport, Step};
pub use options::{FeedBench, FeedBenchError, FeedWorkload};
pub use report::FeedReport;
pub use seen::SeenReport;
pub use stampede::{Stamped, StampedeReport};
pub use timelines::TimelineReport;

#[cfg(test)]
mod fake_server;
#[cfg(test)]
mod tests;
