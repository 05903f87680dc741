//! `evenkeel drill`: the proofs that anyone can run. Exit code 0 valid, 1 invalid, 3 unknown.

use crate::{failure::Failure, output};
use evenkeel_drill::{
    breakages::{BREAKAGES, Breakage, Found},
    crash::{self, CrashError, CrashOptions, LongOptions},
    neighbours::{self, NeighboursError, NeighboursOptions},
    prices::{PRICES, Price, PriceError, PriceOptions},
    sim,
    stampede::{FAILURES_MAX, JOBS_MAX, Stampede},
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::{fmt::Display, io::IsTerminal, path::PathBuf};

/// A first one to try: short, and it finds something.
pub(crate) const FIRST: &str = "evenkeel drill sim --break no-fsync";

const INVALID: u8 = 1;
const UNKNOWN: u8 = 3;

/// Prove the promises under faults, or break one and see it caught.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    drill: Drill,
}

#[derive(Debug, clap::Subcommand)]
enum Drill {
    List(Json),
    Sim(Sim),
    Crash(Crash),
    Breakages(Breakages),
    Price(PriceArgs),
    Neighbours(Neighbours),
    Plot(Plot),
}

/// Show the drills and breakages that there are.
#[derive(Debug, clap::Args)]
struct Json {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Run the real engine and log in virtual time, by seed, under crashes, lost and late appends,
/// torn writes and clock steps.
#[derive(Debug, clap::Args)]
struct Sim {
    /// Run only this seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Run this many seeds; with --break, look through at most so many.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    seeds: u64,
    /// Take this guarantee away, and look for the promise that breaks.
    #[arg(long = "break", value_name = "NAME")]
    breakage: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Kill the real binary with SIGKILL under load, again and again, and check what it kept.
#[derive(Debug, clap::Args)]
struct Crash {
    /// How often.
    #[arg(long, default_value_t = 30)]
    cycles: u32,
    /// Go on for so many minutes instead, with one kill in each. Each minute's work is a tenant of its own on the
    /// same data.
    #[arg(long, value_name = "N", conflicts_with = "cycles")]
    minutes: Option<u32>,
    /// Concurrent clients.
    #[arg(long, default_value_t = 8)]
    clients: usize,
    /// Decides what clients do and how long each life lasts.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// An empty directory for its data, which is kept; without it, a temporary one.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Take away each guarantee in turn: every one must be missed.
#[derive(Debug, clap::Args)]
struct Breakages {
    /// Look through at most so many seeds for each.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    seeds: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Show what a guarantee costs where it is not needed: the same work with it and without, in turn.
#[derive(Debug, clap::Args)]
struct PriceArgs {
    /// Which; `evenkeel drill list` has them.
    name: String,
    /// Connections, each with one request in flight.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Seconds of each measurement.
    #[arg(long, value_name = "S", default_value_t = 2.0)]
    duration_s: f64,
    /// Measurements of each side; medians are over them.
    #[arg(long, default_value_t = 5)]
    repeats: u32,
    /// An empty directory for its data, which is kept; without it, a temporary one.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Those that run on threads of their own.
pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    match args.drill {
        Drill::List(args) => list(args.json),
        Drill::Sim(args) => match &args.breakage {
            Some(name) => break_one(name, &args),
            None => simulate(&args),
        },
        Drill::Crash(args) => kill(args).await,
        Drill::Breakages(args) => break_all(&args),
        Drill::Price(args) => price(args).await,
        Drill::Neighbours(args) => live_beside(args).await,
        Drill::Plot(args) => plot(&args),
    }
}

/// Flood the real binary with one tenant's checks, and see another's answered all the same. Half a
/// minute.
#[derive(Debug, clap::Args)]
struct Neighbours {
    /// Connections that flood, each with one request in flight.
    #[arg(long, default_value_t = 256)]
    connections: usize,
    /// Checks a second of the small tenant.
    #[arg(long, value_name = "PER_S", default_value_t = 100.0)]
    rate: f64,
    /// Seconds that it asks, alone and then beside the flood.
    #[arg(long, value_name = "S", default_value_t = 5.0)]
    duration_s: f64,
    /// An empty directory for its data, which is kept; without it, a temporary one.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Plot when the retries of jobs that fail at once are due, with jitter and without.
#[derive(Debug, clap::Args)]
struct Plot {
    /// What: retries.
    name: String,
    /// Jobs that fail at once.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=JOBS_MAX))]
    jobs: u64,
    /// How often each has failed by then: the wait doubles with each.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(FAILURES_MAX)))]
    failures: u32,
    /// Print JSON: how many are due in each part of the time.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct List {
    breakages: Vec<ListedBreakage>,
    prices: Vec<ListedPrice>,
}

#[derive(Serialize)]
struct ListedBreakage {
    name: &'static str,
    takes_away: &'static str,
    protects: &'static str,
}

#[derive(Serialize)]
struct ListedPrice {
    name: &'static str,
    adds: &'static str,
    beside: &'static str,
}

fn list(json: bool) -> Result<(), Failure> {
    let breakage = |Breakage { name, takes_away, protects, .. }: &Breakage| {
        let (name, takes_away, protects) = (*name, *takes_away, *protects);
        ListedBreakage { name, takes_away, protects }
    };
    let price = |Price { name, adds, beside, .. }: &Price| ListedPrice { name, adds, beside };
    let list = List {
        breakages: BREAKAGES.iter().map(breakage).collect(),
        prices: PRICES.iter().map(price).collect(),
    };
    if json {
        return output::json(&list);
    }
    let mut text = String::from(
        "Drills\n  \
         sim        the real engine and log in virtual time, by seed, under faults\n  \
         crash      the real binary, killed and restarted under load\n  \
         breakages  each guarantee taken away in turn: every one must be missed\n  \
         price      what a guarantee costs where it is not needed\n  \
         neighbours one tenant floods the real binary: another must not notice more than that it is busy\n  \
         plot       when the retries of jobs that fail at once are due, with jitter and without\n\n\
         Breakages, for `evenkeel drill sim --break NAME`\n",
    );
    for ListedBreakage { name, takes_away, protects } in list.breakages {
        text.push_str(&format!("  {name}\n      {takes_away}\n      protects: {protects}\n"));
    }
    text.push_str("\nPrices, for `evenkeel drill price NAME`\n");
    for ListedPrice { name, adds, beside } in list.prices {
        text.push_str(&format!("  {name}\n      {adds}\n      beside: {beside}\n"));
    }
    output::print(&text)
}

fn plot(args: &Plot) -> Result<(), Failure> {
    if args.name != "retries" {
        let name = &args.name;
        return Err(Failure::Usage(format!("there is no plot `{name}`; there are: retries")));
    }
    let plot = Stampede::new(args.jobs, args.failures);
    if args.json { output::json(&plot) } else { output::line(&plot.to_string()) }
}

fn simulate(args: &Sim) -> Result<(), Failure> {
    let seeds = args.seed.map_or(0..args.seeds, |seed| seed..seed.saturating_add(1));
    let bar = progress(seeds.end - seeds.start, "seeds");
    let found = sim::sweep(seeds, |_| bar.inc(1));
    bar.finish_and_clear();
    if args.json {
        output::json(&found)?;
    } else {
        output::line(&found.to_string())?;
    }
    end(found.failed == 0, found.undecided == 0)
}

fn break_one(name: &str, args: &Sim) -> Result<(), Failure> {
    let Some(breakage) = Breakage::named(name) else {
        let names: Vec<&str> = BREAKAGES.iter().map(|breakage| breakage.name).collect();
        return Err(Failure::Usage(format!(
            "there is no breakage `{name}`; there are: {}",
            names.join(", ")
        )));
    };
    match breakage.find(args.seed, args.seeds) {
        Found::Counterexample(found) if args.json => output::json(&found)?,
        Found::Counterexample(found) => output::line(&found.to_string())?,
        Found::DoubleSales(found) if args.json => output::json(&found)?,
        Found::DoubleSales(found) => output::line(&found.to_string())?,
        Found::Nothing { seeds } => {
            eprintln!("evenkeel: {name} was not caught in {seeds} seeds");
            return Err(Failure::Ended(UNKNOWN));
        }
    }
    Err(Failure::Ended(INVALID))
}

#[derive(Serialize)]
struct Caught {
    name: &'static str,
    caught: bool,
    seed: Option<u64>,
    broken: Option<String>,
}

/// Valid if every breakage is caught: that is the check's check.
fn break_all(args: &Breakages) -> Result<(), Failure> {
    let bar = progress(BREAKAGES.len() as u64, "breakages");
    let caught: Vec<Caught> = BREAKAGES
        .iter()
        .map(|breakage| {
            let found = breakage.find(None, args.seeds);
            bar.inc(1);
            let (seed, broken) = match found {
                Found::Counterexample(found) => {
                    let violation = found.violations.first();
                    (Some(found.seed), violation.map(|violation| violation.promise.clone()))
                }
                Found::DoubleSales(found) => {
                    let twice = format!("{} seats were sold twice", found.sold_twice);
                    (Some(found.seed), (found.sold_twice > 0).then_some(twice))
                }
                Found::Nothing { .. } => (None, None),
            };
            Caught { name: breakage.name, caught: broken.is_some(), seed, broken }
        })
        .collect();
    bar.finish_and_clear();
    let all = caught.iter().all(|one| one.caught);
    if args.json {
        output::json(&caught)?;
    } else {
        for Caught { name, seed, broken, .. } in &caught {
            let how = match (seed, broken) {
                (Some(seed), Some(broken)) => format!("caught (seed {seed}): {broken}"),
                _ => "NOT CAUGHT".to_owned(),
            };
            output::line(&format!("{name:<26} {how}"))?;
        }
    }
    end(all, true)
}

/// A directory for data: the one that was given, or a temporary one, which goes with what is
/// answered beside it.
fn data(given: Option<PathBuf>) -> Result<(PathBuf, Option<tempfile::TempDir>), Failure> {
    match given {
        Some(data) => Ok((data, None)),
        None => {
            let temporary = tempfile::tempdir()?;
            Ok((temporary.path().join("data"), Some(temporary)))
        }
    }
}

async fn kill(args: Crash) -> Result<(), Failure> {
    let (data, _temporary) = data(args.data)?;
    let options = CrashOptions {
        binary: std::env::current_exe()?,
        data,
        cycles: args.cycles,
        clients: args.clients,
        seed: args.seed,
    };
    if let Some(minutes) = args.minutes {
        let bar = progress(u64::from(minutes), "minutes");
        let options = LongOptions { crash: options, minutes };
        let report = crash::run_long(&options, |past| bar.set_position(u64::from(past))).await;
        bar.finish_and_clear();
        let report = carried_out(report)?;
        show(&report, args.json)?;
        return end(!report.is_broken(), !report.is_undecided());
    }
    let bar = progress(u64::from(args.cycles), "kills");
    let report = crash::run(&options, |kills| bar.set_position(u64::from(kills))).await;
    bar.finish_and_clear();
    let report = carried_out(report)?;
    show(&report, args.json)?;
    end(report.violations.is_empty(), report.undecided.is_empty())
}

/// What a drill found, or why there is nothing to judge.
fn carried_out<T>(report: Result<T, CrashError>) -> Result<T, Failure> {
    report.map_err(|error| match error {
        CrashError::Options(why) => Failure::Usage(why),
        error => {
            eprintln!("evenkeel: {error}");
            Failure::Ended(UNKNOWN)
        }
    })
}

fn show<T: Serialize + Display>(report: &T, json: bool) -> Result<(), Failure> {
    if json { output::json(report) } else { output::line(&report.to_string()) }
}

async fn price(args: PriceArgs) -> Result<(), Failure> {
    let Some(price) = Price::named(&args.name) else {
        let names: Vec<&str> = PRICES.iter().map(|price| price.name).collect();
        return Err(Failure::Usage(format!(
            "there is no price `{}`; there are: {}",
            args.name,
            names.join(", ")
        )));
    };
    let (data, _temporary) = data(args.data)?;
    let options = PriceOptions {
        binary: std::env::current_exe()?,
        data,
        connections: args.connections,
        duration: super::bench::seconds("--duration-s", args.duration_s)?,
        repeats: args.repeats,
    };
    let bar = progress(u64::from(args.repeats), "rounds");
    let measured = price.measure(&options, |round| bar.set_position(u64::from(round))).await;
    bar.finish_and_clear();
    match measured {
        Ok(report) if args.json => output::json(&report),
        Ok(report) => output::line(&report.to_string()),
        Err(PriceError::Options(why)) => Err(Failure::Usage(why)),
        Err(error) => {
            eprintln!("evenkeel: {error}");
            Err(Failure::Ended(UNKNOWN))
        }
    }
}

async fn live_beside(args: Neighbours) -> Result<(), Failure> {
    let (data, _temporary) = data(args.data)?;
    let options = NeighboursOptions {
        binary: std::env::current_exe()?,
        data,
        connections: args.connections,
        rate_per_s: args.rate,
        duration: super::bench::seconds("--duration-s", args.duration_s)?,
    };
    let report = match neighbours::run(&options).await {
        Ok(report) => report,
        Err(NeighboursError::Options(why)) => return Err(Failure::Usage(why)),
        Err(error) => {
            eprintln!("evenkeel: {error}");
            return Err(Failure::Ended(UNKNOWN));
        }
    };
    if args.json {
        output::json(&report)?;
    } else {
        output::line(&report.to_string())?;
    }
    end(report.violations.is_empty(), true)
}

fn end(valid: bool, decided: bool) -> Result<(), Failure> {
    match (valid, decided) {
        (false, _) => Err(Failure::Ended(INVALID)),
        (true, false) => Err(Failure::Ended(UNKNOWN)),
        (true, true) => Ok(()),
    }
}

fn progress(length: u64, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(length);
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {msg} {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.with_message(what)
}
