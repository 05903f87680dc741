//! What `evenkeel bench reservations` can be asked, and the run itself.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::driver::{DriveError, Pace, Plan, Workload, drive};
use super::super::endpoint::{Endpoint, EndpointError};
use super::super::report::Report;
use super::hot::Hot;
use super::inventory::{Inventory, InventoryError};
use super::seats::Seats;
use super::setup::{SetupError, create_resources};
use super::spread::Spread;

/// Which customers come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkloadKind {
    /// One counted resource that everyone wants.
    Hot,
    /// Each hold takes one free seat of many.
    Spread,
    /// The SEATS-like mix of finding, holding, confirming, changing and cancelling.
    Seats,
}

/// One bench.
#[derive(Debug, Clone)]
pub struct BenchOptions {
    /// `host:port` or `http://host:port`.
    pub target: String,
    /// Sent as a bearer token.
    pub api_key: Option<String>,
    /// Which customers come.
    pub workload: WorkloadKind,
    /// Connections, each with one request in flight.
    pub connections: usize,
    /// Before the measurement, in each repeat.
    pub warmup: Duration,
    /// The measurement, in each repeat.
    pub duration: Duration,
    /// How many measurements.
    pub repeats: u32,
    /// Calls a second in an open loop; none is a closed loop.
    pub rate_per_s: Option<f64>,
    /// Bounds a connect and each request.
    pub timeout: Duration,
    /// `spread`: how many seats there are in all.
    pub places: u32,
    /// `spread`: how many of them in one resource, at most 1,000.
    pub places_per_resource: u32,
    /// `seats`: flights as NDJSON, one resource a line; none makes up a small timetable.
    pub inventory: Option<PathBuf>,
    /// `seats`: the inventory is there already (`evenkeel import`), so it is not created.
    pub inventory_exists: bool,
}

impl BenchOptions {
    /// The options that the command line starts from.
    #[must_use]
    pub fn new(target: impl Into<String>, workload: WorkloadKind) -> Self {
        Self {
            target: target.into(),
            api_key: None,
            workload,
            connections: 64,
            warmup: Duration::from_secs(1),
            duration: Duration::from_secs(5),
            repeats: 5,
            rate_per_s: None,
            timeout: Duration::from_secs(10),
            places: 200_000,
            places_per_resource: 200,
            inventory: None,
            inventory_exists: false,
        }
    }

    fn plan(&self) -> Plan {
        Plan {
            connections: self.connections,
            warmup: self.warmup,
            duration: self.duration,
            repeats: self.repeats,
            pace: self.rate_per_s.map_or(Pace::Closed, |rate_per_s| Pace::Open { rate_per_s }),
        }
    }
}

/// Why a bench has no report.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The options contradict themselves.
    #[error("these options make no bench: {0}")]
    Options(&'static str),
    /// The target names no server.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The timetable cannot be read.
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    /// The timetable cannot be created on the server.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The run could not begin or broke.
    #[error(transparent)]
    Drive(#[from] DriveError),
}

/// Runs one bench against a server that is up.
///
/// # Errors
/// [`BenchError`]; requests that fail are counted in the report.
pub async fn run(options: BenchOptions) -> Result<Report, BenchError> {
    let endpoint =
        Endpoint::resolve(&options.target, options.api_key.as_deref(), options.timeout).await?;
    match options.workload {
        WorkloadKind::Hot => measure(Hot::new(endpoint), &options).await,
        WorkloadKind::Spread => {
            if options.places == 0 || !(1..=1000).contains(&options.places_per_resource) {
                return Err(BenchError::Options(
                    "places must be at least 1, and 1–1,000 of them in a resource",
                ));
            }
            let spread = Spread::new(endpoint, options.places, options.places_per_resource);
            measure(spread, &options).await
        }
        WorkloadKind::Seats => {
            let inventory = match &options.inventory {
                Some(path) => Inventory::read(path)?,
                None => Inventory::made_up(),
            };
            let inventory = Arc::new(inventory);
            if !options.inventory_exists {
                let flights = Arc::clone(&inventory);
                let count = inventory.flights().len() as u64;
                create_resources(&endpoint, count, move |index| {
                    flights.flights()[index as usize].as_resource()
                })
                .await?;
            }
            measure(Seats::new(endpoint, inventory), &options).await
        }
    }
}

async fn measure<W: Workload>(workload: W, options: &BenchOptions) -> Result<Report, BenchError> {
    Ok(drive(Arc::new(workload), options.plan()).await?)
}
