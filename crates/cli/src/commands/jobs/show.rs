//! `evenkeel jobs show`: one job, and why it is not running.

use super::{
    JobArg, QueueArg,
    shapes::{Detail, Item},
    words,
};
use crate::{client::ServerArgs, failure::Failure, output};
use serde_json::{Value, value::RawValue};
use std::fmt::Write as _;

/// Show a job, and why it is not running.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    queue: QueueArg,
    #[command(flatten)]
    job: JobArg,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: &Args) -> Result<(), Failure> {
    let path = format!("{}/jobs/{}", args.queue.address(), args.job.job);
    let raw: Box<RawValue> = args.server.api().await?.call("GET", &path, None).await?;
    if args.json {
        return output::json(&serde_json::from_str::<Value>(raw.get())?);
    }
    output::print(&page(&args.queue.queue, &serde_json::from_str(raw.get())?))
}

fn page(queue: &str, detail: &Detail) -> String {
    let Item { job, state, kind, priority, attempt, failures, crashes, created_at, at, .. } =
        &detail.item;
    let mut page = format!("job {job} of queue {queue} is {}\n", standing(&detail.item));
    let mut say = |name: &str, what: &str| {
        // Further lines of a text stand under its first.
        let _ =
            writeln!(page, "  {name:<14}{}", what.trim_end().replace('\n', "\n                "));
    };
    if let Some(waiting) = &detail.waiting_for {
        say("waiting for", &words::waiting(queue, waiting));
    }
    say("kind", kind);
    say("priority", &priority.to_string());
    say("attempts", &format!("{attempt}, of which {failures} failed and {crashes} crashed"));
    say("created", created_at);
    say(meaning(state), at);
    if let (Some(worker), Some(fence)) = (&detail.item.worker, detail.item.fence) {
        say("worker", &format!("{worker}, with fence {fence}"));
    }
    for (name, text) in [
        ("ordering key", &detail.ordering_key),
        ("unique key", &detail.unique_key),
        ("traceparent", &detail.traceparent),
    ] {
        if let Some(text) = text {
            say(name, text);
        }
    }
    if !detail.after.is_empty() {
        say("after", &detail.after.join(", "));
    }
    if let Some(error) = &detail.item.error {
        say("last error", &format!("at {}\n{}", error.at, error.text));
    }
    for (name, value) in
        [("progress", &detail.progress), ("result", &detail.result), ("payload", &detail.payload)]
    {
        if !value.is_null() {
            say(name, &value.to_string());
        }
    }
    page
}

fn standing(item: &Item) -> String {
    match item.state.as_str() {
        "leased" if item.cancel => "running, and its worker is asked to stop".to_owned(),
        "leased" => "running".to_owned(),
        "dead" => "a dead letter".to_owned(),
        "retry" => "waiting for another attempt".to_owned(),
        state => state.to_owned(),
    }
}

/// What the time of a job says.
fn meaning(state: &str) -> &'static str {
    match state {
        "scheduled" | "retry" => "due",
        "leased" => "lease ends",
        "waiting" | "ready" => "since",
        _ => "over since",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_page_says_why_and_what_went_wrong() {
        let detail = json!({
            "job": "3.27", "state": "retry", "kind": "welcome", "priority": 4, "attempt": 2,
            "failures": 1, "crashes": 1, "created_at": "2026-01-01T00:00:00Z",
            "at": "2026-01-01T00:01:00Z", "cancel": false,
            "error": { "at": "2026-01-01T00:00:30Z", "text": "exit code 3\nno such mailbox" },
            "payload": { "to": "ada" }, "ordering_key": "ada", "after": [], "unique_key": null,
            "result": null, "progress": "half", "traceparent": null,
            "waiting_for": { "reason": "paused", "detail": "the queue is paused" },
        });
        let page = page("mail", &serde_json::from_value(detail).unwrap());
        insta::assert_snapshot!(page, @r#"
        job 3.27 of queue mail is waiting for another attempt
          waiting for   the queue is paused (`evenkeel jobs resume mail` lets jobs run again)
          kind          welcome
          priority      4
          attempts      2, of which 1 failed and 1 crashed
          created       2026-01-01T00:00:00Z
          due           2026-01-01T00:01:00Z
          ordering key  ada
          last error    at 2026-01-01T00:00:30Z
                        exit code 3
                        no such mailbox
          progress      "half"
          payload       {"to":"ada"}
        "#);
    }
}
