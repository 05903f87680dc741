//! `evenkeel bench`: load against a server that is up, measured.

use crate::{client::ServerArgs, failure::Failure, output};
use clap::ValueEnum;
use evenkeel_drill::load::reservations::{BenchOptions, WorkloadKind, run as run_reservations};
use std::{path::PathBuf, time::Duration};

/// Measure a running server.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    domain: Domain,
}

#[derive(Debug, clap::Subcommand)]
enum Domain {
    Reservations(Reservations),
}

/// Which customers come.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Workload {
    /// Everyone holds one of the same counted resource.
    Hot,
    /// Each hold takes one free seat of many.
    Spread,
    /// Customers of an airline find, hold, confirm, change and cancel.
    Seats,
}

/// Measure holds: a closed loop, or an open one with --rate.
#[derive(Debug, clap::Args)]
struct Reservations {
    /// Which customers come.
    #[arg(long, value_enum, default_value = "hot")]
    workload: Workload,
    /// Connections, each with one request in flight.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Seconds before each measurement.
    #[arg(long, value_name = "S", default_value_t = 1.0)]
    warmup_s: f64,
    /// Seconds of each measurement.
    #[arg(long, value_name = "S", default_value_t = 5.0)]
    duration_s: f64,
    /// How many measurements; medians are over them.
    #[arg(long, default_value_t = 5)]
    repeats: u32,
    /// Calls a second at fixed instants, whether or not earlier ones are answered: an open loop.
    #[arg(long, value_name = "PER_S")]
    rate: Option<f64>,
    /// spread: how many seats in all.
    #[arg(long, default_value_t = 200_000)]
    places: u32,
    /// spread: how many of them in one resource.
    #[arg(long, default_value_t = 200)]
    places_per_resource: u32,
    /// seats: flights as NDJSON, one resource a line; without it, a small timetable is made up.
    #[arg(long, value_name = "FILE")]
    inventory: Option<PathBuf>,
    /// seats: the inventory is on the server already, by `evenkeel import`.
    #[arg(long, requires = "inventory")]
    inventory_exists: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    let Domain::Reservations(args) = args.domain;
    let workload = match args.workload {
        Workload::Hot => WorkloadKind::Hot,
        Workload::Spread => WorkloadKind::Spread,
        Workload::Seats => WorkloadKind::Seats,
    };
    let options = BenchOptions {
        api_key: args.server.api_key()?,
        connections: args.connections,
        warmup: seconds("--warmup-s", args.warmup_s)?,
        duration: seconds("--duration-s", args.duration_s)?,
        repeats: args.repeats,
        rate_per_s: args.rate,
        timeout: args.server.timeout(),
        places: args.places,
        places_per_resource: args.places_per_resource,
        inventory: args.inventory,
        inventory_exists: args.inventory_exists,
        ..BenchOptions::new(args.server.url, workload)
    };
    let report = run_reservations(options).await?;
    if args.json { output::json(&report) } else { output::print(&report.to_string()) }
}

pub(crate) fn seconds(flag: &str, value: f64) -> Result<Duration, Failure> {
    Duration::try_from_secs_f64(value)
        .map_err(|_| Failure::Usage(format!("{flag} must be a number of seconds")))
}
