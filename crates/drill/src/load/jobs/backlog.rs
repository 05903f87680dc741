//! `backlog`: enqueuing and taking on a queue that holds little, and again when it holds much.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::task::JoinSet;

use super::super::driver::{DriveError, Outcome, Plan, drive};
use super::super::process::Process;
use super::super::report::Report;
use super::batch::JOBS;
use super::options::JobsBenchError;
use super::queue::{Queue, QueueSettings};
use super::single::{Half, Single};

/// A server that turns a batch away is asked again after this, for so long.
const BUSY_PAUSE: Duration = Duration::from_millis(50);
const BUSY_MAX: Duration = Duration::from_secs(60);
/// A server that flushes what came is given so long before the second measurement.
const SETTLE: Duration = Duration::from_secs(2);

pub(super) struct Backlog {
    pub(super) queue: Queue,
    pub(super) settings: QueueSettings,
    pub(super) jobs: u64,
    pub(super) process: Option<Process>,
}

/// What a backlog costs.
#[derive(Debug, Clone, Serialize)]
pub struct BacklogReport {
    /// The workload's name.
    pub workload: &'static str,
    /// Jobs that were put in.
    pub jobs: u64,
    /// How many a second, in batches.
    pub fill_per_s: f64,
    /// Before; the queue holds only what the measurement itself put in.
    pub empty: Stage,
    /// After.
    pub full: Stage,
    /// The rates after, as parts of those before.
    pub enqueue_ratio: f64,
    /// Of leasing and completing.
    pub take_ratio: f64,
}

/// The two halves on one queue.
#[derive(Debug, Clone, Serialize)]
pub struct Stage {
    /// Enqueuing alone.
    pub enqueue: Report,
    /// Leasing and completing alone.
    pub take: Report,
    /// The server's resident memory before and after, in bytes.
    pub resident_bytes: Option<[u64; 2]>,
}

impl Backlog {
    pub(super) async fn run(self, plan: Plan) -> Result<BacklogReport, JobsBenchError> {
        self.settings.create(&self.queue.endpoint).await.map_err(DriveError::Prepare)?;
        let empty = self.stage(plan).await?;
        let begun = Instant::now();
        self.fill(plan.connections).await?;
        let fill_per_s = self.jobs as f64 / begun.elapsed().as_secs_f64();
        tokio::time::sleep(SETTLE).await;
        let full = self.stage(plan).await?;
        let median = |report: &Report| report.summary.rate_per_s.median.max(f64::MIN_POSITIVE);
        Ok(BacklogReport {
            workload: "jobs beside a backlog",
            jobs: self.jobs,
            fill_per_s,
            enqueue_ratio: median(&full.enqueue) / median(&empty.enqueue),
            take_ratio: median(&full.take) / median(&empty.take),
            empty,
            full,
        })
    }

    async fn stage(&self, plan: Plan) -> Result<Stage, JobsBenchError> {
        let before = self.resident_bytes()?;
        let half = |half| Arc::new(Single::new(self.queue.clone(), half));
        let enqueue = drive(half(Half::Enqueue), plan).await?;
        let take = drive(half(Half::Take), plan).await?;
        let after = self.resident_bytes()?;
        let resident_bytes = before.zip(after).map(|(before, after)| [before, after]);
        Ok(Stage { enqueue, take, resident_bytes })
    }

    fn resident_bytes(&self) -> Result<Option<u64>, JobsBenchError> {
        let Some(process) = self.process else { return Ok(None) };
        let failed = |source| JobsBenchError::Process { pid: process.0, source };
        process.resident_bytes().map(Some).map_err(failed)
    }

    async fn fill(&self, connections: usize) -> Result<(), JobsBenchError> {
        let next = Arc::new(AtomicU64::new(0));
        let mut fillers = JoinSet::new();
        for filler in 0..connections {
            fillers.spawn(fill(self.queue.clone(), filler, Arc::clone(&next), self.jobs));
        }
        while let Some(ended) = fillers.join_next().await {
            ended.map_err(JobsBenchError::Worker)?.map_err(|error| {
                JobsBenchError::Server(format!("the backlog cannot be filled: {error}"))
            })?;
        }
        Ok(())
    }
}

async fn fill(queue: Queue, filler: usize, next: Arc<AtomicU64>, jobs: u64) -> Result<(), String> {
    let mut caller = queue.connect(filler).await.map_err(|error| error.to_string())?;
    loop {
        let first = next.fetch_add(JOBS, Ordering::Relaxed);
        if first >= jobs {
            return Ok(());
        }
        let begun = Instant::now();
        loop {
            match caller.enqueue(first, JOBS.min(jobs - first), None, 0).await {
                Ok(()) => break,
                Err(Outcome::Shed) if begun.elapsed() < BUSY_MAX => {
                    tokio::time::sleep(BUSY_PAUSE).await;
                }
                Err(Outcome::Error(error)) => return Err(error.into()),
                Err(outcome) => return Err(format!("turned away: {outcome:?}")),
            }
        }
    }
}

impl fmt::Display for BacklogReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "{} of {} jobs, filled at {:.0}/s",
            self.workload, self.jobs, self.fill_per_s
        )?;
        writeln!(out, "\nbefore:")?;
        self.empty.fmt(out)?;
        writeln!(out, "\nafter:")?;
        self.full.fmt(out)?;
        writeln!(
            out,
            "\nenqueue {:.2} ×, take {:.2} × of before",
            self.enqueue_ratio, self.take_ratio
        )
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}{}", self.enqueue, self.take)?;
        if let Some([before, after]) = self.resident_bytes {
            writeln!(out, "resident {} MiB, then {} MiB", before >> 20, after >> 20)?;
        }
        Ok(())
    }
}
