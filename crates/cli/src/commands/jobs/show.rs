//! `evenkeel jobs show`: one job, and why it is not running.

use super::{
    JobArg, QueueArg,
    shapes::{Detail, Item, Push, Queue},
    words,
};
use crate::{
    client::ServerArgs,
    failure::Failure,
    output::{self, harmless},
};
use serde_json::value::RawValue;
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
    let mut api = args.server.api().await?;
    let raw: Box<RawValue> = api.call("GET", &path, None).await?;
    if args.json {
        return output::line(raw.get());
    }
    let (item, detail) = (serde_json::from_str(raw.get())?, serde_json::from_str(raw.get())?);
    let push = if waits_for_worker(&detail) {
        api.call::<Queue>("GET", &args.queue.address(), None).await?.push
    } else {
        None
    };
    output::print(&page(&args.queue.queue, &item, &detail, push.as_ref()))
}

fn waits_for_worker(detail: &Detail) -> bool {
    detail.waiting_for.as_ref().is_some_and(|waiting| waiting.reason == "worker")
}

fn page(queue: &str, item: &Item, detail: &Detail, push: Option<&Push>) -> String {
    let Item { job, state, kind, priority, attempt, failures, crashes, created_at, at, .. } = item;
    let mut page = format!("job {job} of queue {queue} is {}\n", standing(item));
    let mut say = |name: &str, what: &str| {
        // Further lines of a text stand under its first.
        let what = harmless(what.trim_end()).replace('\n', "\n                ");
        let _ = writeln!(page, "  {name:<14}{what}");
    };
    if let Some(waiting) = &detail.waiting_for {
        let not_pushed = push.and_then(|push| words::not_pushed(queue, push));
        say("waiting for", &not_pushed.unwrap_or_else(|| words::waiting(queue, waiting)));
    }
    say("kind", kind);
    say("priority", &priority.to_string());
    say("attempts", &format!("{attempt}, of which {failures} failed and {crashes} crashed"));
    say("created", created_at);
    say(meaning(state), at);
    if let (Some(worker), Some(fence)) = (&item.worker, item.fence) {
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
    if let Some(error) = &item.error {
        say("last error", &format!("at {}\n{}", error.at, error.text));
    }
    for (name, value) in
        [("progress", &detail.progress), ("result", &detail.result), ("payload", &detail.payload)]
    {
        if let Some(value) = value {
            say(name, value.get());
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

    fn page_of(job: &str, push: Option<&Push>) -> String {
        let (item, detail) = (serde_json::from_str(job), serde_json::from_str(job));
        page("mail", &item.unwrap(), &detail.unwrap(), push)
    }

    /// What a job carries is shown as it is, but a terminal is not to obey what others wrote.
    #[test]
    fn documents_are_as_they_were_given_and_errors_move_no_cursor() {
        let job = r#"{"job":"3.27","state":"ready","kind":"k","priority":4,"attempt":1,
            "created_at":"T","at":"T","error":{"at":"T","text":"\u001b[2Jgone\nmore"},
            "payload":{"z" : 12345678901234567890123, "a": 1.10},
            "waiting_for":{"reason":"worker","detail":"no worker waits here"}}"#;
        let page = page_of(job, None);
        assert!(page.contains(r#"{"z" : 12345678901234567890123, "a": 1.10}"#), "{page}");
        assert!(page.contains("\u{fffd}[2Jgone\n                more") && !page.contains('\u{1b}'));
        assert!(page.contains("evenkeel work --queue mail"), "{page}");
        let push = Push { disabled: Some("answered 410 Gone".to_owned()), ..Push::default() };
        let page = page_of(job, Some(&push));
        assert!(page.contains("webhook is disabled: answered 410 Gone"), "{page}");
        assert!(!page.contains("evenkeel work"), "a worker is not what is missing: {page}");
    }

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
        let page = page_of(&detail.to_string(), None);
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
