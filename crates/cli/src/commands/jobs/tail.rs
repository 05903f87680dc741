//! `evenkeel jobs tail`: what happens in a queue, as it happens: its counts, dead letters, replays.

use super::{
    QueueArg,
    shapes::{Event, Events, Queue},
    words::{brief, duration},
};
use crate::{
    client::{Api, ServerArgs},
    failure::Failure,
    output,
};
use serde_json::{Value, json};
use std::{collections::VecDeque, pin::pin, time::Duration};

const EVERY: Duration = Duration::from_secs(1);
/// Events that one request asks for.
const PAGE_EVENTS: usize = 100;
const ERROR_CHARS: usize = 120;

/// Follow a queue: how many jobs are in which state, each dead letter, each replay.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    queue: QueueArg,
    /// Begin with so many of the dead letters and replays that were.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(..=1000))]
    lines: u16,
    /// Print what was and what is now, and end.
    #[arg(long)]
    once: bool,
    /// Print each as a line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: &Args) -> Result<(), Failure> {
    let mut api = args.server.api().await?;
    let (past, mut after) = past(&mut api, args).await?;
    for event in past {
        say(args, event)?;
    }
    let mut shown = None;
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // One listener for all rounds: an interrupt between two of them must not be missed.
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    loop {
        let round = async {
            ticks.tick().await;
            round(&mut api, args, &after).await
        };
        let (events, queue) = tokio::select! {
            interrupted = &mut interrupted => return Ok(interrupted?),
            round = round => round?,
        };
        note_reset(&events);
        for event in events.items {
            say(args, event)?;
        }
        after = Some(events.cursor);
        let counts = counts(args, &queue)?;
        if shown.as_ref() != Some(&counts) {
            output::line(&counts)?;
            shown = Some(counts);
        }
        if args.once {
            return Ok(());
        }
    }
}

/// The last events of the past, and where the present begins.
async fn past(api: &mut Api, args: &Args) -> Result<(VecDeque<Value>, Option<String>), Failure> {
    let (mut last, mut after) = (VecDeque::new(), None);
    loop {
        let events = events(api, args, &after).await?;
        after = Some(events.cursor);
        if events.items.is_empty() {
            break;
        }
        last.extend(events.items);
        last.drain(..last.len().saturating_sub(args.lines.into()));
    }
    // They come in order for each partition; a person reads them by time.
    last.make_contiguous().sort_by(|a, b| a["at"].as_str().cmp(&b["at"].as_str()));
    Ok((last, after))
}

async fn round(
    api: &mut Api,
    args: &Args,
    after: &Option<String>,
) -> Result<(Events, Value), Failure> {
    let events = events(api, args, after).await?;
    Ok((events, api.call("GET", &args.queue.address(), None).await?))
}

async fn events(api: &mut Api, args: &Args, after: &Option<String>) -> Result<Events, Failure> {
    let mut path = format!("{}/events?limit={PAGE_EVENTS}", args.queue.address());
    if let Some(after) = after {
        if !after.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(Failure::failed("the server answered a cursor that cannot stand in a URL"));
        }
        path.push_str(&format!("&after={after}"));
    }
    Ok(api.call("GET", &path, None).await?)
}

fn note_reset(events: &Events) {
    if events.reset {
        eprintln!("evenkeel: some of what happened is not kept any more");
    }
}

fn say(args: &Args, event: Value) -> Result<(), Failure> {
    if args.json {
        return output::json_line(&event);
    }
    output::line(&in_words(&serde_json::from_value(event)?))
}

fn in_words(event: &Event) -> String {
    let Event { kind, at, data } = event;
    let text = |name: &str| data[name].as_str().unwrap_or("-");
    match kind.as_str() {
        "jobs.died" => {
            let error = brief(text("error"), ERROR_CHARS);
            format!("{at}  {} {} is a dead letter: {error}", text("job"), text("kind"))
        }
        "jobs.replayed" => {
            format!("{at}  {} brought back by {}", data["count"], text("by"))
        }
        other => format!("{at}  {other} {data}"),
    }
}

fn counts(args: &Args, queue: &Value) -> Result<String, Failure> {
    if args.json {
        let mut line = json!({ "type": "counts" });
        for name in ["queue", "paused", "draining", "counts", "backlog", "totals"] {
            line[name] = queue[name].clone();
        }
        return Ok(line.to_string());
    }
    let queue: Queue = serde_json::from_value(queue.clone())?;
    let states = ["waiting", "scheduled", "retry", "ready", "leased", "done", "dead", "cancelled"];
    let states = states.map(|state| format!("{state} {}", queue.count(state))).join("  ");
    let mut line = format!("{}  {states}", queue.standing());
    let (came, went) = (queue.enqueued_per_s, queue.drained_per_s);
    if came >= 0.05 || went >= 0.05 {
        line.push_str(&format!("  +{came:.1}/s -{went:.1}/s"));
    }
    if let Some(ms) = queue.drains_in_ms.filter(|_| queue.backlog > 0) {
        line.push_str(&format!("  worked off in {}", duration(ms)));
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_sentences() {
        let event = |event: Value| in_words(&serde_json::from_value(event).unwrap());
        let died = json!({ "type": "jobs.died", "at": "T", "position": "1.1", "entity": "queue:mail",
            "data": { "job": "3.27", "kind": "welcome", "error": "exit code 3\nno" } });
        assert_eq!(event(died), "T  3.27 welcome is a dead letter: exit code 3: no");
        let replayed = json!({ "type": "jobs.replayed", "at": "T",
            "data": { "by": "key ab", "count": 7, "first": "3.1", "last": "3.9" } });
        assert_eq!(event(replayed), "T  7 brought back by key ab");
        let later = json!({ "type": "jobs.renamed", "at": "T", "data": {} });
        assert_eq!(event(later), "T  jobs.renamed {}");
    }
}
