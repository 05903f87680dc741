//! Prices: what it costs to give a guarantee also where it is not needed.
//!
//! The real binary does the same work twice, with the guarantee and without, in turn, so that both
//! meet the same machine; medians are compared. What is had instead is printed beside what it costs. What a log
//! elsewhere costs is measured in the simulator, in virtual time.
//!
//! It says what this machine does with this work. It proves nothing: the drills that judge do.

mod checks;
mod checks_report;
mod fifo;
mod fifo_report;
mod frame;
mod order;
mod push;
mod reads;

pub use checks_report::{LimitsPrice, Side};
pub use fifo_report::{JobsPrice, JobsSide};
pub use frame::Frame;
pub use order::{ChatPrice, ChatSide};
pub use push::{FeedPrice, FeedSide};
pub use reads::{ReadsPrice, ReadsSide};

use crate::{
    crash::{CrashError, server::Server},
    load::{
        self, ClientError, DriveError, Endpoint, Pace, Plan, Reply, Run, chat::ChatBenchError,
        limits::LimitsBenchError,
    },
};
use checks::SIDES;
use fifo::Lives;
use serde::Serialize;
use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

/// Measurements of each side at most, so that a drill ends.
pub const REPEATS_MAX: u32 = 100;
/// The longest measurement.
pub const DURATION_MAX: Duration = Duration::from_secs(600);

/// Something that costs.
#[derive(Debug, Clone, Copy)]
pub struct Price {
    /// Its name.
    pub name: &'static str,
    /// What is done for it.
    pub adds: &'static str,
    /// What it is compared with.
    pub beside: &'static str,
    /// None: reads in the simulator, as what they cost is the network's and the log's, which one machine has not.
    work: Option<Work>,
}

/// What is done, twice.
#[derive(Debug, Clone, Copy)]
enum Work {
    Limits,
    Jobs,
    Chat,
    Feed,
}

/// Every price.
pub const PRICES: &[Price] = &[
    Price {
        name: "exact-everywhere",
        adds: "each check of a limit is in the log before its answer",
        beside: "a leased limit, of which an edge admits from tokens that it took of the log before",
        work: Some(Work::Limits),
    },
    Price {
        name: "one-partition",
        adds: "all jobs of a queue run one after the other, in the order in which they came",
        beside: "a queue that uses all partitions, with an order only among jobs of an ordering key",
        work: Some(Work::Jobs),
    },
    Price {
        name: "global-order",
        adds: "all that anybody says anywhere is in one order, the same for everybody",
        beside: "an order a conversation, and none between conversations",
        work: Some(Work::Chat),
    },
    Price {
        name: "push-to-followers",
        adds: "each follower gets a copy of each post, in a place of their own",
        beside: "a copy a partition that holds a follower, and timelines that are merged when they are read",
        work: Some(Work::Feed),
    },
    Price {
        name: "linearize-every-read",
        adds: "each read waits until the log has said that whoever answers still leads",
        beside: "reads in a session, answered by any replica that has what the session has seen",
        work: None,
    },
];

/// What a price came to.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum PriceReport {
    /// Of limits.
    Limits(LimitsPrice),
    /// Of jobs.
    Jobs(JobsPrice),
    /// Of chat.
    Chat(ChatPrice),
    /// Of feeds.
    Feed(FeedPrice),
    /// Of reads.
    Reads(ReadsPrice),
}

impl fmt::Display for PriceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limits(report) => report.fmt(f),
            Self::Jobs(report) => report.fmt(f),
            Self::Chat(report) => report.fmt(f),
            Self::Feed(report) => report.fmt(f),
            Self::Reads(report) => report.fmt(f),
        }
    }
}

/// How to measure.
#[derive(Debug, Clone)]
pub struct PriceOptions {
    /// The binary to run.
    pub binary: PathBuf,
    /// An empty or missing directory for its data.
    pub data: PathBuf,
    /// Connections, each with one request in flight.
    pub connections: usize,
    /// Of each measurement.
    pub duration: Duration,
    /// Measurements of each side.
    pub repeats: u32,
}

/// Why there is no price.
#[derive(Debug, thiserror::Error)]
pub enum PriceError {
    /// The options are out of range.
    #[error("{0}")]
    Options(String),
    /// The binary does not run as it should.
    #[error(transparent)]
    Server(#[from] CrashError),
    /// It was not measured.
    #[error(transparent)]
    Drive(#[from] DriveError),
    /// A limit was not put there.
    #[error(transparent)]
    Limit(#[from] LimitsBenchError),
    /// Nothing could be said.
    #[error(transparent)]
    Chat(#[from] ChatBenchError),
    /// The server failed, or could not be asked how much it had done.
    #[error("{0}")]
    Answer(String),
    /// The connection failed.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl Price {
    /// The price of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        PRICES.iter().find(|price| price.name == name)
    }

    /// Measures it. `progress` hears of every measurement, of which each side has as many as repeats.
    pub async fn measure(
        &self,
        options: &PriceOptions,
        mut progress: impl FnMut(u32),
    ) -> Result<PriceReport, PriceError> {
        check(options)?;
        let Some(work) = self.work else { return self.reads(options, &mut progress).await };
        let mut server = Server::new(&options.binary, &options.data)?;
        server.start().await?;
        let endpoint = server.endpoint().await?;
        let report = match work {
            Work::Limits => self.limits(options, &endpoint, &mut progress).await,
            Work::Jobs => self.jobs(options, &endpoint, &mut progress).await,
            Work::Chat => self.chat(options, server.address(), &mut progress).await,
            Work::Feed => self.feed(options, &endpoint, &mut progress).await,
        };
        server.kill().await?;
        report
    }

    async fn limits(
        &self,
        options: &PriceOptions,
        endpoint: &Endpoint,
        progress: &mut impl FnMut(u32),
    ) -> Result<PriceReport, PriceError> {
        let mut over_admission_max = [0; SIDES.len()];
        for (side, over) in SIDES.into_iter().zip(&mut over_admission_max) {
            *over = checks::create(endpoint, side).await?;
        }
        let once = async |side| measure_checks(endpoint, side, plan(options)).await;
        let measured = in_turn(options, progress, once).await?;
        Ok(PriceReport::Limits(LimitsPrice::new(self, options, &measured, over_admission_max)))
    }

    async fn jobs(
        &self,
        options: &PriceOptions,
        endpoint: &Endpoint,
        progress: &mut impl FnMut(u32),
    ) -> Result<PriceReport, PriceError> {
        for side in 0..fifo::SIDES.len() {
            Lives::new(endpoint.clone(), side).create().await?;
        }
        let once = async |side| measure_lives(endpoint, side, plan(options)).await;
        let measured = in_turn(options, progress, once).await?;
        Ok(PriceReport::Jobs(JobsPrice::new(self, options, &measured)))
    }

    async fn chat(
        &self,
        options: &PriceOptions,
        target: &str,
        progress: &mut impl FnMut(u32),
    ) -> Result<PriceReport, PriceError> {
        let once = async |side| order::measure(target, side, options).await;
        let measured = in_turn(options, progress, once).await?;
        Ok(PriceReport::Chat(ChatPrice::new(self, options, &measured)))
    }

    async fn reads(
        &self,
        options: &PriceOptions,
        progress: &mut impl FnMut(u32),
    ) -> Result<PriceReport, PriceError> {
        // Both sides have the same seeds.
        let mut seeds = [0; reads::SIDES.len()];
        let once = async |side: usize| {
            seeds[side] += 1;
            Ok(reads::measure(side, seeds[side], options))
        };
        let measured = in_turn(options, progress, once).await?;
        Ok(PriceReport::Reads(ReadsPrice::new(self, options, &measured)))
    }

    async fn feed(
        &self,
        options: &PriceOptions,
        endpoint: &Endpoint,
        progress: &mut impl FnMut(u32),
    ) -> Result<PriceReport, PriceError> {
        push::create(endpoint, options.connections).await?;
        let mut measurements = 0;
        let once = async |side| {
            measurements += 1;
            push::measure(endpoint, side, &format!("m{measurements}"), options).await
        };
        let measured = in_turn(options, progress, once).await?;
        Ok(PriceReport::Feed(FeedPrice::new(self, options, &measured)))
    }
}

fn plan(options: &PriceOptions) -> Plan {
    Plan {
        connections: options.connections,
        warmup: Duration::ZERO,
        duration: options.duration,
        repeats: 1,
        pace: Pace::Closed,
    }
}

/// Measures both sides again and again. The first round only warms up. Who begins takes turns, too.
async fn in_turn<T>(
    options: &PriceOptions,
    progress: &mut impl FnMut(u32),
    mut once: impl AsyncFnMut(usize) -> Result<T, PriceError>,
) -> Result<[Vec<T>; 2], PriceError> {
    let mut measured = [Vec::new(), Vec::new()];
    for round in 0..=options.repeats {
        let first = round as usize % measured.len();
        for turn in 0..measured.len() {
            let side = (first + turn) % measured.len();
            let run = once(side).await?;
            if round > 0 {
                measured[side].push(run);
            }
        }
        if round > 0 {
            progress(round);
        }
    }
    Ok(measured)
}

fn check(options: &PriceOptions) -> Result<(), PriceError> {
    if options.repeats == 0 || options.repeats > REPEATS_MAX {
        return Err(PriceError::Options(format!("repeats must be 1 to {REPEATS_MAX}")));
    }
    if options.duration.is_zero() || options.duration > DURATION_MAX {
        let most = DURATION_MAX.as_secs();
        return Err(PriceError::Options(format!(
            "a duration must be more than 0 s, at most {most}"
        )));
    }
    if options.connections == 0 || options.connections > load::CONNECTIONS_MAX {
        let most = load::CONNECTIONS_MAX;
        return Err(PriceError::Options(format!("connections must be 1 to {most}")));
    }
    Ok(())
}

/// One measurement of one side, with the appends that it took.
async fn measure_checks(
    endpoint: &Endpoint,
    side: usize,
    plan: Plan,
) -> Result<(Run, u64), PriceError> {
    let before = checks::appends(endpoint).await?;
    let workload = Arc::new(checks::of(endpoint.clone(), SIDES[side]));
    let report = load::drive(workload, plan).await?;
    if let Some(error) = report.first_error() {
        return Err(PriceError::Answer(format!("a check failed: {error}")));
    }
    let appends = checks::appends(endpoint).await?.saturating_sub(before);
    let run = report.runs.into_iter().next();
    run.map(|run| (run, appends)).ok_or_else(|| PriceError::Answer("nothing was measured".into()))
}

/// One measurement of one side; and then, how many others are done while a worker sits on a job.
async fn measure_lives(
    endpoint: &Endpoint,
    side: usize,
    plan: Plan,
) -> Result<(Run, u64), PriceError> {
    let lives = Arc::new(Lives::new(endpoint.clone(), side));
    let report = load::drive(Arc::clone(&lives), plan).await?;
    // Longer than the slow one takes, so that the others are at it all the time.
    let beside = Plan { duration: 2 * fifo::SLOW, ..plan };
    let (slow, others) = tokio::join!(lives.sit_on_one(), load::drive(Arc::clone(&lives), beside));
    for report in [&report, &others?] {
        if let Some(error) = report.first_error() {
            return Err(PriceError::Answer(format!("a job failed: {error}")));
        }
    }
    let run = report.runs.into_iter().next();
    let run = run.ok_or_else(|| PriceError::Answer("nothing was measured".into()))?;
    Ok((run, slow?))
}

fn check_answer(reply: Reply<'_>) -> Result<Vec<u8>, PriceError> {
    if reply.is_success() {
        return Ok(reply.body.to_vec());
    }
    let body = String::from_utf8_lossy(reply.body);
    Err(PriceError::Answer(format!("status {}: {body}", reply.status)))
}
