//! `evenkeel jobs list`: jobs of a queue, by state and kind.

use super::{QueueArg, shapes::Item, words::brief};
use crate::{
    client::{Page, ServerArgs},
    failure::Failure,
    names, output,
};
use clap::builder::PossibleValuesParser;
use evenkeel_domains::jobs::State;
use serde_json::value::RawValue;

/// Jobs that one request asks for.
const PAGE_ITEMS: u64 = 500;
const ERROR_CHARS: usize = 80;

/// List the jobs of a queue, by state.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    queue: QueueArg,
    /// Only those in this state.
    #[arg(long, value_name = "STATE",
          value_parser = PossibleValuesParser::new(State::ALL.map(State::name)))]
    state: Option<String>,
    /// Only those of this kind.
    #[arg(long, value_name = "KIND", value_parser = names::kind)]
    kind: Option<String>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// Print each as a line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: &Args) -> Result<(), Failure> {
    let mut api = args.server.api().await?;
    let (mut left, mut cursor) = (args.limit, None);
    let mut begun = false;
    loop {
        let mut path = format!("{}/jobs?limit={}", args.queue.address(), left.min(PAGE_ITEMS));
        for (name, value) in [("state", &args.state), ("kind", &args.kind)] {
            if let Some(value) = value {
                path.push_str(&format!("&{name}={value}"));
            }
        }
        let page: Page<Box<RawValue>> = api.page(&path, cursor.as_deref()).await?;
        if !begun && !args.json {
            output::line(&heads())?;
        }
        begun = true;
        let mut lines = String::new();
        for raw in &page.items {
            if args.json {
                lines.push_str(raw.get());
            } else {
                lines.push_str(&row(&serde_json::from_str(raw.get())?));
            }
            lines.push('\n');
        }
        output::print(&lines)?;
        left = left.saturating_sub(page.items.len() as u64);
        match page.cursor {
            None => return Ok(()),
            Some(_) if left == 0 => {
                if !args.json {
                    eprintln!("evenkeel: there are more; --limit says how many are listed");
                }
                return Ok(());
            }
            next => cursor = next,
        }
    }
}

fn heads() -> String {
    format!(
        "{:<22} {:<10} {:<20} {:>4} {:>7}  {:<25} {}",
        "JOB", "STATE", "KIND", "PRIO", "ATTEMPT", "SINCE OR UNTIL", "WORKER OR ERROR"
    )
}

fn row(item: &Item) -> String {
    let stopping = if item.cancel { " (is asked to stop)" } else { "" };
    let last = match (&item.worker, &item.error) {
        (Some(worker), _) => format!("{worker}{stopping}"),
        (None, Some(error)) => brief(&error.text, ERROR_CHARS),
        (None, None) => String::new(),
    };
    let Item { job, state, kind, priority, attempt, at, .. } = item;
    let line =
        format!("{job:<22} {state:<10} {kind:<20} {priority:>4} {attempt:>7}  {at:<25} {last}");
    line.trim_end().to_owned()
}
