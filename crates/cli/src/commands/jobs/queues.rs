//! `evenkeel jobs queues`: every queue, how much waits in it, and for how long yet.

use super::{
    shapes::{Named, Queue},
    words,
};
use crate::{client::ServerArgs, failure::Failure, output};
use serde_json::Value;
use std::fmt::Write as _;

/// List the queues: what waits, the oldest, and when it will be worked off.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print JSON: what GET /v1/queues/{q} says of each.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: &Args) -> Result<(), Failure> {
    let mut api = args.server.api().await?;
    let names: Vec<Named> = api.list("/v1/queues").await?;
    let mut queues: Vec<Value> = Vec::with_capacity(names.len());
    for Named { queue } in &names {
        queues.push(api.call("GET", &format!("/v1/queues/{queue}"), None).await?);
    }
    if args.json {
        return output::json(&queues);
    }
    let queues: Result<Vec<Queue>, _> = queues.into_iter().map(serde_json::from_value).collect();
    output::print(&table(&queues?))
}

fn table(queues: &[Queue]) -> String {
    let mut table = format!(
        "{:<24} {:<15} {:>9} {:>9} {:>8} {:>8} {:>9} {:>9} {:>9}  {}\n",
        "QUEUE",
        "STANDING",
        "BACKLOG",
        "READY",
        "RUNNING",
        "DEAD",
        "OLDEST",
        "DRAIN/S",
        "DRAINS IN",
        "WORKERS WAITING"
    );
    for queue in queues {
        let rate = format!("{:.1}", queue.drained_per_s);
        let _ = writeln!(
            table,
            "{:<24} {:<15} {:>9} {:>9} {:>8} {:>8} {:>9} {rate:>9} {:>9}  {}",
            queue.queue,
            queue.standing(),
            queue.backlog,
            queue.count("ready"),
            queue.count("leased"),
            queue.count("dead"),
            words::maybe(queue.oldest_ready_ms),
            words::maybe(queue.drains_in_ms),
            queue.workers_waiting,
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_queue_is_a_line() {
        let queue = json!({
            "queue": "mail", "paused": false, "draining": true, "backlog": 1200,
            "counts": { "ready": 1000, "retry": 200, "leased": 8, "dead": 3 },
            "oldest_ready_ms": 65000, "drained_per_s": 20.0, "drains_in_ms": 60000,
            "workers_waiting": 0, "max_backlog": 1000000,
        });
        let idle = json!({ "queue": "idle", "oldest_ready_ms": null, "drained_per_s": 0.0 });
        let pushed = json!({ "queue": "hook", "push": { "disabled": "answered 410 Gone" } });
        let shut = json!({ "queue": "shut", "paused": true, "draining": true });
        let queues =
            [queue, idle, pushed, shut].map(|queue| serde_json::from_value(queue).unwrap());
        let table = table(&queues);
        let lines: Vec<Vec<&str>> =
            table.lines().map(|line| line.split_whitespace().collect()).collect();
        let expected =
            ["mail", "draining", "1200", "1000", "8", "3", "65", "s", "20.0", "60", "s", "0"];
        assert_eq!(lines[1], expected);
        assert_eq!(lines[2], ["idle", "open", "0", "0", "0", "0", "-", "0.0", "-", "0"]);
        assert_eq!(lines[3][..3], ["hook", "push", "disabled"]);
        assert_eq!(lines[4][..2], ["shut", "paused+draining"], "neither hides the other");
    }
}
