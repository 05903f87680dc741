//! `evenkeel bench`: load against a server that is up, measured.

mod chat;
mod feed;

use crate::{client::ServerArgs, failure::Failure, output};
use clap::ValueEnum;
use evenkeel_drill::load::{
    Pace, Plan, Report,
    jobs::{JobsBench, JobsReport, JobsWorkload, QueueSettings},
    limits::{Limit, LimitsBench},
    reservations::{BenchOptions, WorkloadKind, run as run_reservations},
};
use serde::Serialize;
use std::{fmt::Display, path::PathBuf, time::Duration};

/// Measure a running server.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    domain: Domain,
}

#[derive(Debug, clap::Subcommand)]
enum Domain {
    Reservations(Reservations),
    Limits(Limits),
    Jobs(Jobs),
    Chat(chat::Chat),
    Feed(feed::Feed),
}

/// How to measure.
#[derive(Debug, clap::Args)]
struct Measurement {
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
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Measurement {
    fn plan(&self) -> Result<Plan, Failure> {
        Ok(Plan {
            connections: self.connections,
            warmup: seconds("--warmup-s", self.warmup_s)?,
            duration: seconds("--duration-s", self.duration_s)?,
            repeats: self.repeats,
            pace: self.rate.map_or(Pace::Closed, |rate_per_s| Pace::Open { rate_per_s }),
        })
    }
}

/// How a limit decides.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    /// In the log before the answer.
    Exact,
    /// From tokens that a node has taken.
    Leased,
}

/// What a yes survives.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Durability {
    /// Power loss.
    Synced,
    /// Nothing: answered before it is in the log.
    Buffered,
}

/// Measure checks of a limit, which it puts there first: a closed loop, or an open one with --rate.
#[derive(Debug, clap::Args)]
struct Limits {
    /// The limit's name.
    #[arg(long, default_value = "bench")]
    limit: String,
    /// Keys, asked about in turn.
    #[arg(long, default_value_t = 10_000)]
    keys: u32,
    /// How the limit decides.
    #[arg(long, value_enum, default_value = "exact")]
    mode: Mode,
    /// What a yes survives.
    #[arg(long, value_enum, default_value = "synced")]
    durability: Durability,
    #[command(flatten)]
    measurement: Measurement,
    #[command(flatten)]
    server: ServerArgs,
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
    #[command(flatten)]
    measurement: Measurement,
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
    #[command(flatten)]
    server: ServerArgs,
}

/// What is done with jobs.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum JobsKind {
    /// Each connection enqueues one, leases one and completes it.
    Cycle,
    /// The same with a request of its own for the lease.
    Separate,
    /// The same, a hundred a request.
    Batch,
    /// As the cycle, with ordering keys and a concurrency limit.
    Ordered,
    /// From an enqueue at --rate to a waiting worker.
    StartLatency,
    /// Enqueue and take, before and after a backlog was put in.
    Backlog,
    /// What waiting workers cost the server whose --pid is given.
    IdlePolls,
}

/// Measure jobs on a queue, which it puts there first and which should be empty.
#[derive(Debug, clap::Args)]
struct Jobs {
    /// What is done with jobs.
    #[arg(long, value_enum, default_value = "cycle")]
    workload: JobsKind,
    /// The queue's name.
    #[arg(long, default_value = "bench")]
    queue: String,
    /// Over how many partitions the queue is spread; the server's default if not given.
    #[arg(long)]
    spread: Option<u32>,
    /// How long the queue keeps what is done; the server's default if not given.
    #[arg(long, value_name = "MS")]
    retention_ms: Option<u64>,
    /// ordered: ordering keys, in turn.
    #[arg(long, default_value_t = 1_000)]
    keys: u32,
    /// ordered: how many jobs may be leased at once.
    #[arg(long, default_value_t = 1_000)]
    concurrency_limit: u32,
    /// start-latency: workers that wait.
    #[arg(long, default_value_t = 64)]
    workers: usize,
    /// backlog: jobs that are put in.
    #[arg(long, default_value_t = 1_000_000)]
    jobs: u64,
    /// idle-polls: workers that wait.
    #[arg(long, default_value_t = 1_000)]
    polls: usize,
    /// The server's process on this machine, to see what it uses.
    #[arg(long)]
    pid: Option<u32>,
    #[command(flatten)]
    measurement: Measurement,
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    match args.domain {
        Domain::Reservations(args) => show(args.measurement.json, &reservations(args).await?),
        Domain::Limits(args) => show(args.measurement.json, &limits(args).await?),
        Domain::Jobs(args) => show(args.measurement.json, &jobs(args).await?),
        Domain::Chat(args) => show(args.measurement.json, &chat::chat(args).await?),
        Domain::Feed(args) => show(args.measurement.json, &feed::feed(args).await?),
    }
}

fn show(json: bool, report: &(impl Serialize + Display)) -> Result<(), Failure> {
    if json { output::json(report) } else { output::print(&report.to_string()) }
}

/// Room in the queue beside the backlog: more than any measurement puts in.
const BACKLOG_ROOM: u64 = 5_000_000;

async fn jobs(args: Jobs) -> Result<JobsReport, Failure> {
    let mut queue = QueueSettings {
        name: args.queue,
        spread: args.spread,
        retention_ms: args.retention_ms,
        ..QueueSettings::default()
    };
    let workload = match args.workload {
        JobsKind::Cycle => JobsWorkload::Cycle,
        JobsKind::Separate => JobsWorkload::Separate,
        JobsKind::Batch => JobsWorkload::Batch,
        JobsKind::Ordered => {
            queue.concurrency_limit = Some(args.concurrency_limit);
            JobsWorkload::Ordered { keys: args.keys }
        }
        JobsKind::StartLatency => JobsWorkload::StartLatency { workers: args.workers },
        JobsKind::Backlog => {
            queue.max_backlog = Some(args.jobs.saturating_add(BACKLOG_ROOM));
            JobsWorkload::Backlog { jobs: args.jobs }
        }
        JobsKind::IdlePolls => JobsWorkload::IdlePolls { polls: args.polls },
    };
    let bench = JobsBench {
        api_key: args.server.api_key()?,
        timeout: args.server.timeout(),
        target: args.server.url,
        plan: args.measurement.plan()?,
        workload,
        queue,
        pid: args.pid,
    };
    Ok(bench.run().await?)
}

/// More than any run asks for of a key: what is measured are yeses.
const QUANTITY: u64 = 1_000_000;
const PERIOD_MS: u64 = 1_000;

async fn limits(args: Limits) -> Result<Report, Failure> {
    let limit = Limit {
        name: args.limit,
        algorithm: "gcra",
        quantity: QUANTITY,
        period_ms: PERIOD_MS,
        mode: match args.mode {
            Mode::Exact => "exact",
            Mode::Leased => "leased",
        },
        durability: match args.durability {
            Durability::Synced => "synced",
            Durability::Buffered => "buffered",
        },
    };
    let bench = LimitsBench {
        api_key: args.server.api_key()?,
        timeout: args.server.timeout(),
        target: args.server.url,
        plan: args.measurement.plan()?,
        limit,
        keys: args.keys,
    };
    Ok(bench.run().await?)
}

async fn reservations(args: Reservations) -> Result<Report, Failure> {
    let plan = args.measurement.plan()?;
    let workload = match args.workload {
        Workload::Hot => WorkloadKind::Hot,
        Workload::Spread => WorkloadKind::Spread,
        Workload::Seats => WorkloadKind::Seats,
    };
    let options = BenchOptions {
        api_key: args.server.api_key()?,
        connections: plan.connections,
        warmup: plan.warmup,
        duration: plan.duration,
        repeats: plan.repeats,
        rate_per_s: args.measurement.rate,
        timeout: args.server.timeout(),
        places: args.places,
        places_per_resource: args.places_per_resource,
        inventory: args.inventory,
        inventory_exists: args.inventory_exists,
        ..BenchOptions::new(args.server.url, workload)
    };
    Ok(run_reservations(options).await?)
}

pub(crate) fn seconds(flag: &str, value: f64) -> Result<Duration, Failure> {
    Duration::try_from_secs_f64(value)
        .map_err(|_| Failure::Usage(format!("{flag} must be a number of seconds")))
}
