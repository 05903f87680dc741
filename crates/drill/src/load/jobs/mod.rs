//! Workloads against the jobs API over HTTP, and the bench that runs them.
//!
//! - `cycle`: each connection enqueues one job and completes one, with the next in that answer;
//! - `separate`: the same with a request of its own for the lease;
//! - `ordered`: the same with ordering keys and a concurrency limit;
//! - `batch`: the same with a hundred jobs a request;
//! - `start-latency`: enqueues due on a schedule, workers that wait, how long until one has the job;
//! - `backlog`: enqueuing and taking beside a backlog and without;
//! - `idle-polls`: what workers that wait cost the server.
//!
//! Not for: correctness, or what a job's work costs. A job here is done as soon as it is leased.

mod backlog;
mod batch;
mod caller;
mod cycle;
mod idle_polls;
mod options;
mod queue;
mod report;
mod single;
mod start_latency;

pub use backlog::{BacklogReport, Stage};
pub use idle_polls::{IdlePollsReport, IdleRun};
pub use options::{JobsBench, JobsBenchError, JobsWorkload};
pub use queue::QueueSettings;
pub use report::JobsReport;

#[cfg(test)]
mod fake_server;
#[cfg(test)]
mod tests;
