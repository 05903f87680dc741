//! `evenkeel work`: runs a command for each job of a queue.
//!
//! One task asks for jobs, and only for as many as can be begun at once; each job has a task that
//! runs its command and keeps its lease. A lease that is lost ends its command: from then on another
//! worker may have the job. Nothing is kept here; what this process forgets, the server remembers.

mod attempt;
mod calls;
mod command;
mod guard;
mod lease;

use super::stop::stop_signal;
use crate::{
    client::{Answer, Api, ServerArgs},
    failure::Failure,
    names, output,
};
use attempt::{Attempted, attempt};
use calls::Calls;
use evenkeel_domains::jobs::{LEASE_JOBS_MAX, QUEUE_MS_MAX};
use guard::Guard;
use lease::{Job, Lease, Report};
use serde::Deserialize;
use serde_json::json;
use std::{
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
    time::{Instant, timeout},
};

/// How long the server may think about a question for jobs while there are none.
const WAIT: Duration = Duration::from_secs(20);
/// With --once: there is nothing to do any more if nothing came for so long.
const ONCE_WAIT: Duration = Duration::from_secs(1);
/// A question that is under way when the worker is told to stop may still be answered for so long:
/// jobs that were given in that moment are given back, rather than left to their leases' ends.
const LAST_ANSWER: Duration = Duration::from_millis(500);
/// How long giving a job back is tried.
const GIVE_BACK_FOR: Duration = Duration::from_secs(5);
const CONCURRENCY_MAX: i64 = 256;

/// Run a command for each job of a queue.
///
/// The command is run by `sh -c`, with the job's payload (JSON) on stdin and EVENKEEL_JOB,
/// EVENKEEL_KIND, EVENKEEL_ATTEMPT, EVENKEEL_FENCE, EVENKEEL_QUEUE, EVENKEEL_LEASE, EVENKEEL_URL and
/// TRACEPARENT in its environment. Exit code 0 completes the job, with stdout as its result if that
/// is JSON; 75 puts it off; 100 fails it for good; any other fails it, and it is tried again as the
/// queue says. The error is the end of stderr.
///
/// The lease is extended while the command runs. A command whose job was cancelled, or whose lease
/// was lost, is ended. Told to stop (SIGINT, SIGTERM), the worker takes no new jobs and lets running
/// ones finish for --grace-ms; those that do not are ended and their jobs given back.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The queue to work on.
    #[arg(long, value_name = "QUEUE", value_parser = names::queue)]
    queue: String,
    /// The command.
    #[arg(long, value_name = "COMMAND")]
    exec: String,
    /// How many jobs at once.
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u16).range(1..=CONCURRENCY_MAX))]
    concurrency: u16,
    /// Who works, as `evenkeel jobs list` shows it; else the machine's name and the process's id.
    #[arg(long, value_name = "NAME", value_parser = names::worker)]
    worker: Option<String>,
    /// How long a lease lasts unless it is extended; else as the queue says.
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(100..))]
    lease_ms: Option<u64>,
    /// End after so many jobs.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_jobs: Option<u64>,
    /// End once there was nothing to do for a second.
    #[arg(long)]
    once: bool,
    /// By how much exit code 75 puts a job off.
    #[arg(long, value_name = "MS", default_value_t = 10_000,
          value_parser = clap::value_parser!(u64).range(0..=QUEUE_MS_MAX))]
    snooze_ms: u64,
    /// Exit codes after which a job is not tried again; may be repeated.
    #[arg(long = "give-up-code", value_name = "CODE", default_values_t = [100],
          value_parser = clap::value_parser!(i32).range(1..=255))]
    give_up_codes: Vec<i32>,
    /// How long one command may run; else as long as it likes.
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..))]
    exec_timeout_ms: Option<u64>,
    /// How long running commands may finish once the worker is told to stop.
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    grace_ms: u64,
    /// How long a command that is asked to end (SIGTERM) may take until it is made to (SIGKILL).
    #[arg(long, value_name = "MS", default_value_t = 5_000)]
    kill_after_ms: u64,
    /// Print what became of each job as a line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// How far a worker's end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Working,
    /// No new jobs.
    Finishing,
    /// It was told to stop, or cannot go on: what runs may finish for a while.
    Leaving,
    /// Running commands are ended.
    Ending,
}

/// What all jobs of this process share.
struct Worker {
    calls: Arc<Calls>,
    guard: Arc<Guard>,
    phase: watch::Sender<Phase>,
    /// Why there is no point in going on, if there is none.
    given_up: Mutex<Option<String>>,
    name: String,
    url: String,
    queue: String,
    command: String,
    lease: Duration,
    timeout: Option<Duration>,
    kill_after: Duration,
    result_bytes_max: usize,
    snooze_ms: u64,
    give_up_codes: Vec<i32>,
    json: bool,
}

/// What matters here of a queue.
#[derive(Deserialize)]
struct Queue {
    lease_ms: u64,
    lease_ms_max: u64,
    result_bytes_max: usize,
}

#[derive(Deserialize)]
struct Leased {
    jobs: Vec<Job>,
}

pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    let mut stop = stop_signal(None)?;
    let endpoint = args.server.endpoint().await?;
    let calls = Arc::new(Calls::new(endpoint, args.server.url.clone(), &args.queue));
    let answer = tokio::select! {
        answer = calls.queue() => answer?,
        () = &mut stop => return Ok(()),
    };
    let queue: Queue = understood(&args, &answer)?;
    let lease_ms = args.lease_ms.unwrap_or(queue.lease_ms);
    if lease_ms > queue.lease_ms_max {
        let (name, max_ms) = (&args.queue, queue.lease_ms_max);
        return Err(Failure::failed(format!(
            "--lease-ms is {lease_ms}, and the longest lease of queue {name:?} is {max_ms} ms"
        )));
    }
    let poll = Api::new(args.server.endpoint_for(WAIT).await?, args.server.url.clone());
    let worker = Arc::new(Worker {
        calls,
        guard: Arc::new(Guard::start()?),
        phase: watch::Sender::new(Phase::Working),
        given_up: Mutex::default(),
        name: args.worker.clone().unwrap_or_else(own_name),
        url: args.server.url.clone(),
        queue: args.queue.clone(),
        command: args.exec.clone(),
        lease: Duration::from_millis(lease_ms),
        timeout: args.exec_timeout_ms.map(Duration::from_millis),
        kill_after: Duration::from_millis(args.kill_after_ms),
        result_bytes_max: queue.result_bytes_max,
        snooze_ms: args.snooze_ms,
        give_up_codes: args.give_up_codes.clone(),
        json: args.json,
    });
    let told = Arc::clone(&worker);
    let listener = tokio::spawn(async move {
        stop.await;
        told.enter(Phase::Leaving);
    });
    let mut running = JoinSet::new();
    let worked = work(&worker, &args, poll, &mut running).await;
    worker.enter(if worked.is_ok() { Phase::Finishing } else { Phase::Leaving });
    finish(&worker, &mut running, Duration::from_millis(args.grace_ms)).await?;
    listener.abort();
    worked?;
    let given_up = worker.given_up.lock().unwrap_or_else(PoisonError::into_inner).take();
    given_up.map_or(Ok(()), |why| Err(Failure::failed(why)))
}

/// An answer that is needed to go on.
fn understood<T: for<'de> Deserialize<'de>>(args: &Args, answer: &Answer) -> Result<T, Failure> {
    let queue = &args.queue;
    if answer.status == 404 {
        return Err(Failure::failed(format!(
            "there is nothing to work on: {}; a queue is put first: curl -X PUT {}/v1/queues/{queue} \
             --json '{{}}'",
            answer.problem(),
            args.server.url
        )));
    }
    if !answer.is_success() {
        return Err(Failure::failed(format!("the server refused: {}", answer.problem())));
    }
    serde_json::from_slice(&answer.body).map_err(|error| {
        Failure::because(
            format!("{} does not answer as this version expects", args.server.url),
            error,
        )
    })
}

/// Takes jobs until there is a reason not to.
async fn work(
    worker: &Arc<Worker>,
    args: &Args,
    mut poll: Api,
    running: &mut JoinSet<()>,
) -> Result<(), Failure> {
    let mut left = args.max_jobs.unwrap_or(u64::MAX);
    let mut quiet = false;
    loop {
        while let Some(ended) = running.try_join_next() {
            ended?;
        }
        let free = usize::from(args.concurrency) - running.len();
        if left == 0 || worker.has(Phase::Finishing) || (args.once && quiet && running.is_empty()) {
            return Ok(());
        }
        // With --once a job that still runs may be what others wait for.
        if free == 0 || (args.once && quiet) {
            tokio::select! {
                Some(ended) = running.join_next() => ended?,
                () = worker.reached(Phase::Finishing) => return Ok(()),
            }
            quiet = false;
            continue;
        }
        let max = free.min(LEASE_JOBS_MAX).min(usize::try_from(left).unwrap_or(usize::MAX));
        let wait = if args.once { ONCE_WAIT } else { WAIT };
        let mut question = pin!(ask(worker, args, &mut poll, max, wait));
        let jobs = tokio::select! {
            jobs = &mut question => jobs?,
            () = worker.reached(Phase::Finishing) => {
                if let Ok(Ok(jobs)) = timeout(LAST_ANSWER, question).await {
                    give_back(worker, &jobs).await;
                }
                return Ok(());
            }
        };
        quiet = jobs.is_empty();
        left -= jobs.len() as u64;
        let leased_at = Instant::now();
        for job in jobs {
            running.spawn(one(Arc::clone(worker), job, leased_at));
        }
    }
}

async fn ask(
    worker: &Worker,
    args: &Args,
    poll: &mut Api,
    max: usize,
    wait: Duration,
) -> Result<Vec<Job>, Failure> {
    let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    let mut body = json!({ "worker": worker.name, "max": max, "wait_ms": wait_ms });
    // Also if it is the queue's: that may change while the worker counts on the other.
    body["lease_ms"] = json!(u64::try_from(worker.lease.as_millis()).unwrap_or(u64::MAX));
    let answer = worker.calls.lease(poll, &body).await?;
    let Leased { mut jobs } = understood(args, &answer)?;
    // More than was asked for would not be begun; no server of this version does that.
    jobs.truncate(max);
    Ok(jobs)
}

async fn one(worker: Arc<Worker>, job: Job, leased_at: Instant) {
    let attempted: Attempted = attempt(Arc::clone(&worker), job, leased_at).await;
    let printed =
        if worker.json { output::json_line(&attempted) } else { output::line(&attempted.line()) };
    if printed.is_err() {
        // Nobody reads any more: as any command that writes into a closed pipe, it ends.
        worker.enter(Phase::Finishing);
    }
}

async fn give_back(worker: &Worker, jobs: &[Job]) {
    let now = Instant::now();
    for job in jobs {
        let lease = Lease::new(Arc::clone(&worker.calls), job, worker.lease, now);
        if let Err(lost) = lease.report(&Report::Snooze { delay_ms: 0 }, GIVE_BACK_FOR).await {
            tracing::warn!(
                job = job.job,
                ?lost,
                "a job was not given back: its lease ends by itself"
            );
        }
    }
}

/// Waits for what runs: as long as it takes, and once told to stop for `grace`.
async fn finish(
    worker: &Worker,
    running: &mut JoinSet<()>,
    grace: Duration,
) -> Result<(), JoinError> {
    let mut all = pin!(async {
        while let Some(ended) = running.join_next().await {
            ended?;
        }
        Ok(())
    });
    tokio::select! {
        ended = &mut all => return ended,
        () = worker.reached(Phase::Leaving) => {}
    }
    if let Ok(ended) = timeout(grace, &mut all).await {
        return ended;
    }
    worker.enter(Phase::Ending);
    all.await
}

impl Worker {
    fn enter(&self, phase: Phase) {
        self.phase.send_if_modified(|now| {
            let later = phase > *now;
            *now = phase.max(*now);
            later
        });
    }

    fn has(&self, phase: Phase) -> bool {
        *self.phase.borrow() >= phase
    }

    /// Completes once it is so far.
    async fn reached(&self, phase: Phase) {
        // The sender is this worker's own, so it is there as long as anybody waits.
        let _ = self.phase.subscribe().wait_for(|now| *now >= phase).await;
    }

    /// Nothing that this worker asks will be answered with yes.
    fn give_up(&self, why: &str) {
        let mut given_up = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        given_up.get_or_insert_with(|| why.to_owned());
        drop(given_up);
        self.enter(Phase::Leaving);
    }
}

/// The machine's name and this process's id, as far as a name may have them.
fn own_name() -> String {
    let machine = rustix::system::uname();
    let machine = machine.nodename().to_string_lossy();
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let machine: String = machine.chars().filter(|c| legal(*c)).take(100).collect();
    format!("{machine}:{}", std::process::id())
}
