//! `idle-polls`: the server's processor time while workers wait in long polls for nothing.

use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::task::JoinSet;

use super::super::driver::{DriveError, Outcome, Plan};
use super::super::process::Process;
use super::super::report::Spread;
use super::caller::Caller;
use super::options::JobsBenchError;
use super::queue::{Queue, QueueSettings};

/// How long a poll waits before it is asked again: so the cost of asking is in the measurement.
pub(super) const WAIT_MS: u64 = 30_000;

/// Workers that wait.
pub(super) struct IdlePolls {
    pub(super) queue: Queue,
    pub(super) settings: QueueSettings,
    pub(super) polls: usize,
    pub(super) process: Process,
}

/// What waiting workers cost.
#[derive(Debug, Clone, Serialize)]
pub struct IdlePollsReport {
    /// The workload's name.
    pub workload: &'static str,
    /// How many wait.
    pub polls: usize,
    /// How long each waits before it asks again.
    pub wait_ms: u64,
    /// Percent of one core that the server uses while they do.
    pub cpu_percent: Spread,
    /// Percent of one core that it uses without them, just before.
    pub idle_cpu_percent: f64,
    /// What the first poll that failed said.
    pub first_error: Option<String>,
    /// One a repeat.
    pub runs: Vec<IdleRun>,
}

/// One measured window.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct IdleRun {
    /// How long it was.
    pub window_ms: u64,
    /// Percent of one core.
    pub cpu_percent: f64,
}

impl IdlePolls {
    pub(super) async fn run(self, plan: Plan) -> Result<IdlePollsReport, JobsBenchError> {
        self.settings.create(&self.queue.endpoint).await.map_err(DriveError::Prepare)?;
        tokio::time::sleep(plan.warmup).await;
        let idle = self.window(plan.duration).await?;
        let mut polls = JoinSet::new();
        for number in 0..self.polls {
            let caller = self.queue.connect(number).await.map_err(DriveError::Connect)?;
            // The first wait is cut so that they do not all ask again at once.
            let first_ms = 1 + WAIT_MS * number as u64 / self.polls as u64;
            polls.spawn(wait_for_nothing(caller, first_ms));
        }
        tokio::time::sleep(plan.warmup).await;
        let mut runs = Vec::with_capacity(plan.repeats as usize);
        for _ in 0..plan.repeats {
            runs.push(self.window(plan.duration).await?);
        }
        let ended = polls.try_join_next().map(|ended| match ended {
            Ok(error) => error,
            Err(error) => error.to_string(),
        });
        polls.shutdown().await;
        Ok(IdlePollsReport {
            workload: "jobs idle polls",
            polls: self.polls,
            wait_ms: WAIT_MS,
            cpu_percent: Spread::of(runs.iter().map(|run| run.cpu_percent)),
            idle_cpu_percent: idle.cpu_percent,
            first_error: ended,
            runs,
        })
    }

    async fn window(&self, duration: Duration) -> Result<IdleRun, JobsBenchError> {
        let pid = self.process.0;
        let used =
            || self.process.cpu_time().map_err(|source| JobsBenchError::Process { pid, source });
        let (begun, before) = (Instant::now(), used()?);
        tokio::time::sleep(duration).await;
        let (window, after) = (begun.elapsed(), used()?);
        let share = after.saturating_sub(before).as_secs_f64() / window.as_secs_f64();
        let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        Ok(IdleRun { window_ms, cpu_percent: share * 100.0 })
    }
}

/// Asks again and again; answers only when it cannot go on.
async fn wait_for_nothing(mut caller: Caller, first_ms: u64) -> String {
    let mut wait_ms = first_ms;
    loop {
        match caller.lease(1, wait_ms).await {
            Ok(0) => wait_ms = WAIT_MS,
            Ok(_) => return "a job came into a queue that should stay empty".to_owned(),
            Err(Outcome::Error(error)) => return error.into(),
            Err(outcome) => return format!("a poll was turned away: {outcome:?}"),
        }
    }
}

impl fmt::Display for IdlePollsReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "{} · {} polls of {} s · {} windows",
            self.workload,
            self.polls,
            self.wait_ms / 1_000,
            self.runs.len()
        )?;
        let Spread { median, min, max } = self.cpu_percent;
        writeln!(out, "server: {median:.2} % of one core ({min:.2} – {max:.2})")?;
        writeln!(out, "without them: {:.2} %", self.idle_cpu_percent)?;
        if let Some(error) = &self.first_error {
            writeln!(out, "first error: {error}")?;
        }
        Ok(())
    }
}
