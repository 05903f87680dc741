//! `evenkeel jobs tail`: what happens in a queue, as it happens: its counts, dead letters, replays.

use super::{QueueArg, shapes::Queue};
use crate::{client::ServerArgs, failure::Failure, output};

/// Follow a queue: its counts, and each dead letter and replay.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    queue: QueueArg,
    /// Print each as a line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: &Args) -> Result<(), Failure> {
    let queue: Queue = args.server.api().await?.call("GET", &args.queue.address(), None).await?;
    output::line(&format!("{} {}", args.json, queue.queue))
}
