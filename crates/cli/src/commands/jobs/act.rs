//! `evenkeel jobs retry | cancel | pause | resume | drain`: one thing done to one job or queue.

use super::{
    JobArg, QueueArg,
    shapes::{Queue, Standing},
    words,
};
use crate::{client::ServerArgs, failure::Failure, output};
use serde_json::Value;

/// Bring one dead letter back, as if it had never failed.
#[derive(Debug, clap::Args)]
pub(crate) struct Retry {
    #[command(flatten)]
    queue: QueueArg,
    #[command(flatten)]
    job: JobArg,
    #[command(flatten)]
    how: How,
}

/// Have a job not run, or stop: its worker is told when it next speaks.
#[derive(Debug, clap::Args)]
pub(crate) struct Cancel {
    #[command(flatten)]
    queue: QueueArg,
    #[command(flatten)]
    job: JobArg,
    #[command(flatten)]
    how: How,
}

/// Give no more jobs of a queue to workers, until `resume`.
#[derive(Debug, clap::Args)]
pub(crate) struct Pause {
    #[command(flatten)]
    queue: QueueArg,
    #[command(flatten)]
    how: How,
}

/// End what `pause` and `drain` began.
#[derive(Debug, clap::Args)]
pub(crate) struct Resume {
    #[command(flatten)]
    queue: QueueArg,
    #[command(flatten)]
    how: How,
}

/// Take no more jobs in, and work off what is there, until `resume`.
#[derive(Debug, clap::Args)]
pub(crate) struct Drain {
    #[command(flatten)]
    queue: QueueArg,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
struct How {
    /// Print the server's answer as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn retry(args: &Retry) -> Result<(), Failure> {
    act_on_job(&args.queue, &args.job, &args.how, "retry").await
}

pub(super) async fn cancel(args: &Cancel) -> Result<(), Failure> {
    act_on_job(&args.queue, &args.job, &args.how, "cancel").await
}

pub(super) async fn pause(args: &Pause) -> Result<(), Failure> {
    act_on_queue(&args.queue, &args.how, "pause").await
}

pub(super) async fn resume(args: &Resume) -> Result<(), Failure> {
    act_on_queue(&args.queue, &args.how, "resume").await
}

pub(super) async fn drain(args: &Drain) -> Result<(), Failure> {
    act_on_queue(&args.queue, &args.how, "drain").await
}

async fn act_on_job(
    queue: &QueueArg,
    job: &JobArg,
    how: &How,
    action: &str,
) -> Result<(), Failure> {
    let path = format!("{}/jobs/{}/{action}", queue.address(), job.job);
    let answer: Value = how.server.api().await?.call("POST", &path, Some(b"{}")).await?;
    if how.json {
        return output::json(&answer);
    }
    let standing: Standing = serde_json::from_value(answer)?;
    let told = if standing.cancel && standing.state == "leased" {
        ": its worker is told when it next speaks"
    } else {
        ""
    };
    output::line(&format!("{} {}{told}", job.job, standing.state))
}

async fn act_on_queue(queue: &QueueArg, how: &How, action: &str) -> Result<(), Failure> {
    let path = format!("{}/{action}", queue.address());
    let mut api = how.server.api().await?;
    let answer: Value = api.call("POST", &path, Some(b"{}")).await?;
    if how.json {
        return output::json(&answer);
    }
    let queue: Queue = api.call("GET", &queue.address(), None).await?;
    let drains = match queue.drains_in_ms {
        Some(ms) if !queue.paused => format!(", worked off in about {}", words::duration(ms)),
        _ => String::new(),
    };
    let (standing, backlog, leased) = (queue.standing(), queue.backlog, queue.count("leased"));
    let name = &queue.queue;
    output::line(&format!("{name} {standing}: {backlog} wait, {leased} run{drains}"))
}
