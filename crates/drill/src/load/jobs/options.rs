//! What `evenkeel bench jobs` can be asked, and the run itself.

use std::sync::Arc;
use std::time::Duration;

use super::super::driver::{CONNECTIONS_MAX, DriveError, Pace, Plan, drive};
use super::super::endpoint::{Endpoint, EndpointError};
use super::super::process::Process;
use super::backlog::Backlog;
use super::batch::Batch;
use super::cycle::Cycle;
use super::idle_polls::IdlePolls;
use super::queue::{Queue, QueueSettings};
use super::report::JobsReport;
use super::start_latency::StartLatency;

/// Beyond what the longest wait of a lease takes, an answer has so long to come.
const ANSWER_GRACE: Duration = Duration::from_secs(10);

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobsWorkload {
    /// Enqueue one, lease one, complete it.
    Cycle,
    /// The same with a request of its own for the lease.
    Separate,
    /// A hundred a request.
    Batch,
    /// As the cycle, with ordering keys and the queue's concurrency limit.
    Ordered {
        /// How many keys, in turn.
        keys: u32,
    },
    /// From the enqueue to a waiting worker; the plan has the rate.
    StartLatency {
        /// How many wait, each on its own connection.
        workers: usize,
    },
    /// Enqueue and take, before and after so many jobs were put in.
    Backlog {
        /// How many.
        jobs: u64,
    },
    /// The server's processor time while workers wait for nothing.
    IdlePolls {
        /// How many wait, each on its own connection.
        polls: usize,
    },
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum JobsBenchError {
    /// The options contradict themselves.
    #[error("{0}")]
    Options(String),
    /// The target names no server.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The run could not begin or broke.
    #[error(transparent)]
    Drive(#[from] DriveError),
    /// The server's process cannot be looked at.
    #[error("cannot read what process {pid} uses: {source}")]
    Process {
        /// Which.
        pid: u32,
        /// What happened.
        source: std::io::Error,
    },
    /// A task panicked.
    #[error("a worker panicked: {0}")]
    Worker(#[source] tokio::task::JoinError),
    /// The server did not do what was asked.
    #[error("{0}")]
    Server(String),
}

/// A run against a server that is up.
#[derive(Debug, Clone)]
pub struct JobsBench {
    /// `host:port` or `http://host:port`.
    pub target: String,
    /// Sent as a bearer token.
    pub api_key: Option<String>,
    /// Bounds a connect and each request.
    pub timeout: Duration,
    /// How to measure.
    pub plan: Plan,
    /// What to measure.
    pub workload: JobsWorkload,
    /// The queue; put there first.
    pub queue: QueueSettings,
    /// The server's process, if it is on this machine.
    pub pid: Option<u32>,
}

impl JobsBench {
    /// Puts the queue and measures.
    ///
    /// # Errors
    /// [`JobsBenchError`]; requests that fail are counted in the report.
    pub async fn run(self) -> Result<JobsReport, JobsBenchError> {
        self.check()?;
        let waits = Duration::from_millis(super::idle_polls::WAIT_MS) + ANSWER_GRACE;
        let timeout = self.timeout.max(waits);
        let endpoint = Endpoint::resolve(&self.target, self.api_key.as_deref(), timeout).await?;
        let queue = Queue::new(endpoint, &self.queue);
        let (plan, settings, process) = (self.plan, self.queue, self.pid.map(Process));
        let report = match self.workload {
            JobsWorkload::Cycle => drive(Arc::new(Cycle::new(queue, settings, None)), plan).await?,
            JobsWorkload::Separate => {
                drive(Arc::new(Cycle::new(queue, settings, None).separate()), plan).await?
            }
            JobsWorkload::Batch => drive(Arc::new(Batch::new(queue, settings)), plan).await?,
            JobsWorkload::Ordered { keys } => {
                drive(Arc::new(Cycle::new(queue, settings, Some(keys))), plan).await?
            }
            JobsWorkload::StartLatency { workers } => {
                StartLatency::new(queue, settings, workers).run(plan).await?
            }
            JobsWorkload::Backlog { jobs } => {
                let report = Backlog { queue, settings, jobs, process }.run(plan).await?;
                return Ok(JobsReport::Backlog(Box::new(report)));
            }
            JobsWorkload::IdlePolls { polls } => {
                let process = process.ok_or_else(missing_pid)?;
                let report = IdlePolls { queue, settings, polls, process }.run(plan).await?;
                return Ok(JobsReport::IdlePolls(report));
            }
        };
        Ok(JobsReport::Load(report))
    }

    fn check(&self) -> Result<(), JobsBenchError> {
        let is_open = matches!(self.plan.pace, Pace::Open { .. });
        let problem = match self.workload {
            JobsWorkload::Ordered { keys: 0 } => "there must be at least one ordering key",
            JobsWorkload::StartLatency { .. } if !is_open => {
                "the latency of a start needs a rate at which jobs come"
            }
            JobsWorkload::Backlog { .. } | JobsWorkload::IdlePolls { .. } if is_open => {
                "backlog and idle polls take no rate"
            }
            JobsWorkload::StartLatency { workers: count }
            | JobsWorkload::IdlePolls { polls: count }
                if !(1..=CONNECTIONS_MAX).contains(&count) =>
            {
                return Err(JobsBenchError::Options(format!(
                    "1 to {CONNECTIONS_MAX} workers can wait"
                )));
            }
            _ => return Ok(()),
        };
        Err(JobsBenchError::Options(problem.to_owned()))
    }
}

fn missing_pid() -> JobsBenchError {
    JobsBenchError::Options("idle polls need the id of the server's process".to_owned())
}
