//! `evenkeel jobs replay`: dead letters back into their queue; shown first, done when told to.

use super::{
    QueueArg,
    shapes::{Filter, Queue, Replayed},
};
use crate::{
    client::{Api, ServerArgs},
    failure::Failure,
    names, output,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::io::IsTerminal;

/// Jobs that a dry run names.
const NAMED: usize = 10;

/// Bring dead letters back, oldest first. Without --yes it only says which.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    queue: QueueArg,
    /// Only those of this kind.
    #[arg(long, value_name = "KIND", value_parser = names::kind)]
    kind: Option<String>,
    /// Only those whose error has this in it.
    #[arg(long, value_name = "TEXT")]
    error: Option<String>,
    /// Only those that died then or later: 2026-01-31T12:00:00Z, or how long ago, such as 2h.
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<Timestamp>,
    /// Only those that died before.
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// Jobs a second that become due, so that what killed them is not overrun; else all at once.
    #[arg(long, value_name = "PER_S", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: Option<u32>,
    /// Do it.
    #[arg(long, visible_alias = "no-dry-run")]
    yes: bool,
    /// Print JSON: how many, how many were left out, and with a dry run the first of them.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

fn time(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let ago: Result<SignedDuration, _> = text.parse();
    let ago = ago.ok().filter(|ago| !ago.is_negative());
    ago.and_then(|ago| Timestamp::now().checked_sub(ago).ok()).ok_or_else(|| {
        "it must be a time such as 2026-01-31T12:00:00Z, or how long ago, such as 2h or 30m"
            .to_owned()
    })
}

/// As exactly as the API takes it.
fn millis(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// What was, or would be, brought back.
#[derive(Debug, Default)]
struct Sum {
    count: u64,
    skipped: u64,
    first: Vec<String>,
}

pub(super) async fn run(args: &Args) -> Result<(), Failure> {
    let mut api = args.server.api().await?;
    let bar = progress(&mut api, args).await?;
    let mut sum = Sum::default();
    let done = replay(&mut api, args, &mut sum, &bar).await;
    bar.finish_and_clear();
    if let Err(failure) = done {
        if args.yes && sum.count > 0 {
            eprintln!("evenkeel: {} were brought back before this:", sum.count);
        }
        return Err(failure);
    }
    say(args, &sum)
}

async fn replay(
    api: &mut Api,
    args: &Args,
    sum: &mut Sum,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    let path = format!("{}/dead/replay", args.queue.address());
    let filter = Filter {
        kind: args.kind.clone(),
        error: args.error.clone(),
        from: args.from.map(millis),
        until: args.until.map(millis),
    };
    let mut body = json!({ "filter": filter, "dry_run": !args.yes });
    if let Some(rate) = args.rate {
        body["rate_per_s"] = json!(rate);
    }
    loop {
        let bytes = serde_json::to_vec(&body)?;
        let page: Replayed = api.call("POST", &path, Some(&bytes)).await?;
        sum.count += page.count;
        sum.skipped += page.skipped;
        let room = NAMED.saturating_sub(sum.first.len());
        sum.first.extend(page.jobs.into_iter().take(room));
        bar.set_position(sum.count);
        match page.cursor {
            Some(cursor) => body["cursor"] = json!(cursor),
            None => return Ok(()),
        }
    }
}

fn say(args: &Args, sum: &Sum) -> Result<(), Failure> {
    let Sum { count, skipped, first } = sum;
    if args.json {
        let mut value = json!({ "dry_run": !args.yes, "count": count, "skipped": skipped });
        if !args.yes {
            value["first"] = json!(first);
        }
        return output::json(&value);
    }
    let left = match skipped {
        0 => String::new(),
        _ => format!("; {skipped} stay, as another job has their unique key"),
    };
    if args.yes {
        return output::line(&format!("{count} brought back{left}"));
    }
    output::line(&format!("{count} would be brought back{left}"))?;
    for job in first {
        output::line(job)?;
    }
    if *count > first.len() as u64 {
        output::line(&format!("and {} more", count - first.len() as u64))?;
    }
    if *count > 0 {
        eprintln!("evenkeel: nothing has changed; --yes does it");
    }
    Ok(())
}

/// A bar on a terminal, nothing elsewhere. How long it is is known if all dead letters are meant.
async fn progress(api: &mut Api, args: &Args) -> Result<ProgressBar, Failure> {
    if !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let all = args.kind.is_none() && args.error.is_none() && args.from.is_none();
    let (bar, style) = if all && args.until.is_none() {
        let queue: Queue = api.call("GET", &args.queue.address(), None).await?;
        (ProgressBar::new(queue.count("dead")), "{bar:40} {pos} of {len}, {eta} left")
    } else {
        (ProgressBar::no_length(), "{spinner} {pos} found, {per_sec}")
    };
    bar.set_draw_target(ProgressDrawTarget::stderr());
    Ok(bar.with_style(ProgressStyle::with_template(style).expect("both templates are well formed")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_time_or_how_long_ago() {
        assert_eq!(time("2026-01-31T12:00:00Z").unwrap().to_string(), "2026-01-31T12:00:00Z");
        let hours = SignedDuration::from_hours(2);
        let (before, then, after) = (Timestamp::now(), time("2h").unwrap(), Timestamp::now());
        assert!(before - hours <= then && then <= after - hours, "{then}");
        assert_eq!(millis(time("2026-01-31T13:00:00+01").unwrap()), "2026-01-31T12:00:00.000Z");
        for wrong in ["", "yesterday", "-2h", "2026-01-31"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
