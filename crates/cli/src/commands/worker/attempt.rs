//! One attempt at a job: its command run while the lease is kept, and what came of it told.

use super::{
    Phase, Worker,
    command::{Output, Running},
    lease::{Job, Lease, Lost, Report},
};
use crate::output::harmless;
use evenkeel_domains::jobs::ERROR_BYTES_MAX;
use serde::Serialize;
use serde_json::value::RawValue;
use std::{os::unix::process::ExitStatusExt, process::ExitStatus, sync::Arc, time::Duration};
use tokio::time::Instant;

/// "Try again later", of `sysexits.h`.
const TEMPORARY_FAILURE: i32 = 75;
/// How long a report is tried while the lease lasts, and once the worker is to end.
const REPORT_FOR: Duration = Duration::from_secs(24 * 3_600);
const LAST_REPORT_FOR: Duration = Duration::from_secs(5);

/// What became of an attempt, for whoever reads the worker's output.
#[derive(Debug, Serialize)]
pub(super) struct Attempted {
    job: String,
    kind: String,
    attempt: u32,
    /// done, failed, snoozed, cancelled, given_back or lost.
    pub(super) outcome: &'static str,
    /// How the command ended by itself, if it did.
    exit_code: Option<i32>,
    error: Option<String>,
    took_ms: u64,
}

impl Attempted {
    /// For people.
    pub(super) fn line(&self) -> String {
        let Self { job, kind, attempt, outcome, took_ms, .. } = self;
        let why = self.error.as_deref().map(|error| format!(": {}", harmless(last_line(error))));
        let why = why.unwrap_or_default();
        format!("{job} {kind} attempt {attempt} {outcome} after {took_ms} ms{why}")
    }
}

fn last_line(text: &str) -> &str {
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or(text)
}

/// How an attempt came to its end.
enum End {
    Exited(std::io::Result<ExitStatus>),
    Lost(Lost),
    Stopped,
    TooLong,
}

/// What is told to the server, and what to the reader.
struct Verdict {
    report: Report,
    outcome: &'static str,
    exit_code: Option<i32>,
}

pub(super) async fn attempt(worker: Arc<Worker>, job: Job, leased_at: Instant) -> Attempted {
    let mut lease = Lease::new(Arc::clone(&worker.calls), &job, worker.lease, leased_at);
    let begun = Instant::now();
    let (verdict, lost) = match start(&worker, &job) {
        Ok(running) => run(&worker, running, &mut lease).await,
        Err(error) => (failed(format!("cannot start sh: {error}"), true, None), None),
    };
    let (outcome, error) = match lost {
        Some(lost) => ("lost", Some(told(&worker, lost))),
        None => deliver(&worker, &lease, &verdict).await,
    };
    Attempted {
        job: job.job,
        kind: job.kind,
        attempt: job.attempt,
        outcome,
        exit_code: verdict.exit_code,
        error,
        took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}

fn start(worker: &Worker, job: &Job) -> std::io::Result<Running> {
    let (attempt, fence) = (job.attempt.to_string(), job.fence.to_string());
    let mut variables = vec![
        ("EVENKEEL_URL", worker.url.as_str()),
        ("EVENKEEL_QUEUE", &worker.queue),
        ("EVENKEEL_JOB", &job.job),
        ("EVENKEEL_KIND", &job.kind),
        ("EVENKEEL_ATTEMPT", &attempt),
        ("EVENKEEL_FENCE", &fence),
        ("EVENKEEL_LEASE", &job.lease),
    ];
    variables.extend(job.traceparent.as_deref().map(|trace| ("TRACEPARENT", trace)));
    let payload = job.payload.get();
    let guard = Arc::clone(&worker.guard);
    Running::start(&worker.command, &variables, payload, worker.result_bytes_max, guard)
}

/// Waits for the first thing that ends the attempt. What is lost is not reported.
async fn run(worker: &Worker, mut running: Running, lease: &mut Lease) -> (Verdict, Option<Lost>) {
    let too_long = async {
        match worker.timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    let end = tokio::select! {
        biased;
        status = running.ended() => End::Exited(status),
        lost = lease.keep() => End::Lost(lost),
        () = worker.reached(Phase::Ending) => End::Stopped,
        () = too_long => End::TooLong,
    };
    if !matches!(end, End::Exited(_)) {
        running.stop(worker.kill_after).await;
    }
    let output = running.output().await;
    match end {
        End::Exited(Ok(status)) => (judge(worker, status, output), None),
        End::Exited(Err(error)) => {
            (failed(format!("cannot tell how it ended: {error}"), true, None), None)
        }
        // The server makes a cancelled job of it.
        End::Lost(Lost::Cancelled) => (snoozed(0, "cancelled"), None),
        End::Lost(Lost::Refused(problem)) => {
            (failed(format!("the lease was not extended: {problem}"), true, None), None)
        }
        End::Lost(lost) => (snoozed(0, "lost"), Some(lost)),
        End::Stopped => (snoozed(0, "given_back"), None),
        End::TooLong => {
            let ms = worker.timeout.unwrap_or_default().as_millis();
            let error = format!("ended after {ms} ms, which is its timeout\n");
            (failed(with_stderr(error, &output.err), true, None), None)
        }
    }
}

/// What an exit code means.
fn judge(worker: &Worker, status: ExitStatus, output: Output) -> Verdict {
    let Some(code) = status.code() else {
        let signal = status.signal().unwrap_or_default();
        let error = format!("ended by signal {signal}\n");
        return failed(with_stderr(error, &output.err), true, None);
    };
    match code {
        0 => Verdict {
            report: Report::Complete { result: result(output.out) },
            outcome: "done",
            exit_code: Some(0),
        },
        TEMPORARY_FAILURE => {
            Verdict { exit_code: Some(code), ..snoozed(worker.snooze_ms, "snoozed") }
        }
        _ => {
            let retry = !worker.give_up_codes.contains(&code);
            let error = with_stderr(format!("exit code {code}\n"), &output.err);
            failed(error, retry, Some(code))
        }
    }
}

/// Stdout, if it is JSON.
fn result(out: Option<Vec<u8>>) -> Option<Box<RawValue>> {
    serde_json::from_slice(&out?).ok()
}

fn failed(error: String, retry: bool, exit_code: Option<i32>) -> Verdict {
    Verdict { report: Report::Fail { error, retry }, outcome: "failed", exit_code }
}

fn snoozed(delay_ms: u64, outcome: &'static str) -> Verdict {
    Verdict { report: Report::Snooze { delay_ms }, outcome, exit_code: None }
}

/// `first`, and as much of the end of `stderr` as an error may have.
fn with_stderr(first: String, stderr: &[u8]) -> String {
    let said = String::from_utf8_lossy(stderr);
    let said = said.trim_end();
    let mut from = said.len().saturating_sub(ERROR_BYTES_MAX - first.len());
    while !said.is_char_boundary(from) {
        from += 1;
    }
    let whole = first + &said[from..];
    whole.trim_end().to_owned()
}

/// Reports; answers what became of it.
async fn deliver(
    worker: &Worker,
    lease: &Lease,
    verdict: &Verdict,
) -> (&'static str, Option<String>) {
    let patience = if worker.has(Phase::Ending) { LAST_REPORT_FOR } else { REPORT_FOR };
    let mut reported = lease.report(&verdict.report, patience).await;
    let mut note = match &verdict.report {
        Report::Fail { error, .. } => Some(error.clone()),
        _ => None,
    };
    if let (Err(Lost::Refused(problem)), Report::Complete { result: Some(_) }) =
        (&reported, &verdict.report)
    {
        // The work is done, whatever is wrong with what it said.
        note = Some(format!("done without its result: {problem}"));
        reported = lease.report(&Report::Complete { result: None }, patience).await;
    }
    match reported {
        Ok(()) => (verdict.outcome, note),
        Err(lost) => ("lost", Some(told(worker, lost))),
    }
}

/// Why a job is lost, in words. A refusal that every other job would meet ends the worker.
fn told(worker: &Worker, lost: Lost) -> String {
    match lost {
        Lost::Cancelled => "it was cancelled".to_owned(),
        Lost::Stale => "the lease was over: another worker may have the job".to_owned(),
        Lost::Unheard(why) => format!("the lease ran out unheard: {why}"),
        Lost::Refused(problem) => {
            let why = format!("the server refused: {problem}");
            if matches!(problem.status, 401 | 403) {
                worker.give_up(&why);
            }
            why
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_the_end_of_stderr_within_its_bound() {
        assert_eq!(
            with_stderr("exit code 3\n".to_owned(), b"first\nlast\n"),
            "exit code 3\nfirst\nlast"
        );
        assert_eq!(with_stderr("exit code 3\n".to_owned(), b""), "exit code 3");
        // Each of these bytes becomes three.
        let error = with_stderr("exit code 3\n".to_owned(), &[0xff; 4_000]);
        assert!(error.len() <= ERROR_BYTES_MAX && error.len() > ERROR_BYTES_MAX - 4);
        assert!(error.starts_with("exit code 3\n\u{fffd}"));
        assert_eq!(last_line("exit code 3\nfirst\nlast"), "last");
    }

    #[test]
    fn only_json_is_a_result() {
        let result = |out: &str| result(Some(out.as_bytes().to_vec())).map(|raw| raw.to_string());
        assert_eq!(result(" {\"b\":1,\"a\":1.10}\n").as_deref(), Some("{\"b\":1,\"a\":1.10}"));
        for none in ["", "fine", "{} {}", "{"] {
            assert_eq!(result(none), None, "{none}");
        }
    }
}
