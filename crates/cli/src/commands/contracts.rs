//! `evenkeel contracts`: every path, how much coordination it spends, promised beside delivered.

use crate::{
    client::{Api, ApiError, ServerArgs},
    config::registry,
    failure::Failure,
    output,
};
use evenkeel_contract::{Summary, summarize};
use std::{fmt::Write as _, io::IsTerminal, pin::pin, time::Duration};

const PATH: &str = "/v1/contracts";
const EVERY: Duration = Duration::from_secs(1);
/// To the upper left corner, and nothing below.
const CLEAR: &str = "\x1b[H\x1b[J";

/// List every path: what it promises, and what it delivers if a server can be asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Ask a server again each second, until interrupted.
    #[arg(long)]
    live: bool,
    /// Print JSON; with --live one document a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    let mut api = args.server.api().await?;
    if args.live {
        return watch(&mut api, args.json).await;
    }
    let contracts = match ask(&mut api).await {
        Ok(contracts) => contracts,
        Err(error) => {
            eprintln!("evenkeel: promises only, as they are without a config: {error}");
            registry().contracts().map(|contract| summarize(&contract, None)).collect()
        }
    };
    if args.json { output::json(&contracts) } else { output::print(&table(&contracts)) }
}

async fn ask(api: &mut Api) -> Result<Vec<Summary>, ApiError> {
    api.list(PATH).await
}

async fn watch(api: &mut Api, json: bool) -> Result<(), Failure> {
    let in_place = !json && std::io::stdout().is_terminal();
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // One listener for all rounds: an interrupt between two of them must not be missed.
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    loop {
        let round = async {
            ticks.tick().await;
            ask(api).await
        };
        let contracts = tokio::select! {
            interrupted = &mut interrupted => return Ok(interrupted?),
            contracts = round => contracts?,
        };
        if json {
            output::json_line(&contracts)?;
            continue;
        }
        let table = table(&contracts);
        output::print(&if in_place { format!("{CLEAR}{table}") } else { format!("{table}\n") })?;
    }
}

/// The table; what was delivered only if there is something.
fn table(contracts: &[Summary]) -> String {
    let live = contracts.iter().any(|contract| contract.delivered.is_some());
    let colour = output::takes_colour();
    let mut out = format!(
        "{:<26}{:<7}{:<14}{:<20}{:>9}{:>9}",
        "PATH", "ACCESS", "COORDINATION", "ANSWERS", "DEADLINE", "P99"
    );
    if live {
        let _ = write!(
            out,
            "  | {:>9}{:>10}{:>10}{:>9}{:>8}",
            "RATE/S", "P50", "P99", "ERRORS", "BUDGET"
        );
    }
    out.push('\n');
    for contract in contracts {
        let coordination = format!("{:<14}", contract.coordination);
        let _ = write!(
            out,
            "{:<26}{:<7}{}{:<20}{:>9}{:>9}",
            contract.path,
            contract.access,
            output::in_colour(&coordination, contract.coordination, colour),
            answers(contract),
            format!("{} ms", contract.promised.deadline_ms),
            format!("{} ms", contract.promised.slo.latency_p99_ms),
        );
        if live {
            out.push_str(&delivered(contract));
        }
        out.push('\n');
    }
    out
}

/// How fresh a read is, or what a "no" of a write rests on.
fn answers(contract: &Summary) -> String {
    let promised = &contract.promised;
    match (promised.consistency, promised.max_staleness_ms, promised.refusals) {
        (Some(level), Some(bound_ms), _) => format!("{level} {bound_ms} ms"),
        (Some(level), None, _) => level.to_string(),
        (None, _, Some(refusals)) => format!("{refusals} refusals"),
        (None, _, None) => String::new(),
    }
}

fn delivered(contract: &Summary) -> String {
    let (Some(delivered), Some(budget)) = (&contract.delivered, &contract.budget) else {
        return String::new();
    };
    let millis =
        |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.2} ms"));
    let missed = if budget.latency_met == Some(false) { "!" } else { "" };
    format!(
        "  | {:>9.1}{:>10}{:>10}{:>9}{:>8}",
        delivered.rate_per_s,
        millis(delivered.latency_p50_ms),
        format!("{}{missed}", millis(delivered.latency_p99_ms)),
        delivered.errors,
        format!("{:.0} %", budget.left * 100.0),
    )
}
