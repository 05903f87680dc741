//! Prices: what it costs to give a guarantee also where it is not needed.
//!
//! The real binary does the same work twice, with the guarantee and without, in turn, so that both
//! meet the same machine; medians are compared. What is had instead is printed beside what it costs.
//!
//! It says what this machine does with this work. It proves nothing: the drills that judge do.

mod checks;
mod report;

pub use report::{PriceReport, Side};

use crate::{
    crash::{CrashError, server::Server},
    load::{self, ClientError, DriveError, Endpoint, Pace, Plan, Run, limits::LimitsBenchError},
};
use checks::SIDES;
use std::{path::PathBuf, sync::Arc, time::Duration};

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
}

/// Every price.
pub const PRICES: &[Price] = &[Price {
    name: "exact-everywhere",
    adds: "each check of a limit is in the log before its answer",
    beside: "a leased limit, of which an edge admits from tokens that it took of the log before",
}];

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
        let mut server = Server::new(&options.binary, &options.data)?;
        server.start().await?;
        let endpoint = server.endpoint().await?;
        let mut over_admission_max = [0; SIDES.len()];
        for (side, over) in SIDES.into_iter().zip(&mut over_admission_max) {
            *over = checks::create(&endpoint, side).await?;
        }
        let mut measured: [Vec<(Run, u64)>; SIDES.len()] = Default::default();
        let plan = Plan {
            connections: options.connections,
            warmup: Duration::ZERO,
            duration: options.duration,
            repeats: 1,
            pace: Pace::Closed,
        };
        // The first round only warms up. Who begins takes turns, too.
        for round in 0..=options.repeats {
            let first = round as usize % SIDES.len();
            for turn in 0..SIDES.len() {
                let side = (first + turn) % SIDES.len();
                let run = measure_once(&endpoint, side, plan).await?;
                if round > 0 {
                    measured[side].push(run);
                }
            }
            if round > 0 {
                progress(round);
            }
        }
        server.kill().await?;
        Ok(PriceReport::new(self, options, &measured, over_admission_max))
    }
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
async fn measure_once(
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
