//! Runs one row of the comparison and prints it as one JSON line, or prints the table of
//! many lines. `bench/run` and `bench/jobs` start the servers and call this; see there.
//!
//! ```text
//! peers measure LABEL WORKLOAD TARGET [--connections N] [--warmup-ms N] [--duration-ms N]
//!                                     [--repeats N] [--rate N] [--places N]
//! peers median FILE LABEL        the median rate of a label, for a later open loop
//! peers table FILE               a markdown table of all labels
//! ```
//!
//! The load generator is single-threaded on purpose: it shares the machine with what it
//! measures, and takes the same one core from each.

mod beanstalkd;
mod options;
mod postgres;
mod redis;
mod table;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use evenkeel_drill::load::reservations::{self, BenchOptions, WorkloadKind};
use evenkeel_drill::load::{Report, drive};

use options::Measure;

type AnyError = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let output = match words.as_slice() {
        ["measure", rest @ ..] => measure(rest),
        ["median", file, label] => table::median(Path::new(file), label),
        ["table", file] => table::markdown(Path::new(file)),
        _ => Err("usage: peers measure|median|table …; see the head of main.rs".into()),
    };
    match output {
        Ok(text) => match writeln!(std::io::stdout(), "{}", text.trim_end()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "peers: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(words: &[&str]) -> Result<String, AnyError> {
    let measure = Measure::parse(words)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let report = runtime.block_on(run(&measure))?;
    let line = table::Line {
        label: measure.label,
        report: serde_json::to_value(&report)?,
    };
    if report.summary.ok == 0 {
        let error = report.first_error().unwrap_or("no call succeeded");
        return Err(format!("{}: {error}", line.label).into());
    }
    Ok(serde_json::to_string(&line)?)
}

async fn run(measure: &Measure) -> Result<Report, AnyError> {
    let target = measure.target.as_str();
    let plan = measure.plan;
    let report = match measure.workload.as_str() {
        "http-hot" => reservations::run(http(measure, WorkloadKind::Hot)).await?,
        "http-spread" => reservations::run(http(measure, WorkloadKind::Spread)).await?,
        "postgres-hot" => {
            let hot = postgres::Hot::new(target, postgres::Form::Statement);
            drive(Arc::new(hot), plan).await?
        }
        "postgres-hot-function" => {
            let hot = postgres::Hot::new(target, postgres::Form::Function);
            drive(Arc::new(hot), plan).await?
        }
        "postgres-spread" => {
            let spread = postgres::Spread::new(target, measure.places);
            drive(Arc::new(spread), plan).await?
        }
        "postgres-batches" => drive(Arc::new(postgres::Batches::new(target)), plan).await?,
        "beanstalkd-cycle" => drive(Arc::new(beanstalkd::Jobs::cycle(target)), plan).await?,
        "beanstalkd-batch" => drive(Arc::new(beanstalkd::Jobs::batch(target)), plan).await?,
        "redis-hot" => drive(Arc::new(redis::Hot::new(target)), plan).await?,
        other => return Err(format!("unknown workload `{other}`").into()),
    };
    Ok(report)
}

fn http(measure: &Measure, workload: WorkloadKind) -> BenchOptions {
    BenchOptions {
        connections: measure.plan.connections,
        warmup: measure.plan.warmup,
        duration: measure.plan.duration,
        repeats: measure.plan.repeats,
        rate_per_s: measure.rate_per_s(),
        places: measure.places,
        ..BenchOptions::new(measure.target.as_str(), workload)
    }
}
