//! `evenkeel jobs`: what is in queues, why a job does not run, and what a person does about it.
//!
//! All of it goes through the API. Lists are followed page by page and printed as they come, so that
//! a long one takes no memory; with `--json` a list is a document a line.

mod act;
mod list;
mod queues;
mod replay;
mod shapes;
mod show;
mod tail;
mod words;

use crate::{failure::Failure, names};
use evenkeel_domains::jobs::JobId;

/// See jobs and queues, and act on them.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    List(list::Args),
    Show(show::Args),
    Retry(act::Retry),
    Cancel(act::Cancel),
    Replay(replay::Args),
    Tail(tail::Args),
    Queues(queues::Args),
    Pause(act::Pause),
    Resume(act::Resume),
    Drain(act::Drain),
}

/// A queue, as an argument.
#[derive(Debug, clap::Args)]
struct QueueArg {
    /// The queue.
    #[arg(value_name = "QUEUE", value_parser = names::queue)]
    queue: String,
}

impl QueueArg {
    /// Its address.
    fn address(&self) -> String {
        format!("/v1/queues/{}", self.queue)
    }
}

/// A job, as an argument.
#[derive(Debug, clap::Args)]
struct JobArg {
    /// The job, such as 3.274877906945.
    #[arg(value_name = "JOB", value_parser = job)]
    job: JobId,
}

fn job(text: &str) -> Result<JobId, String> {
    let wrong =
        |()| "a job is named by two numbers with a point, such as 3.274877906945".to_owned();
    text.parse().map_err(wrong)
}

pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    match args.action {
        Action::List(args) => list::run(&args).await,
        Action::Show(args) => show::run(&args).await,
        Action::Retry(args) => act::retry(&args).await,
        Action::Cancel(args) => act::cancel(&args).await,
        Action::Replay(args) => replay::run(&args).await,
        Action::Tail(args) => tail::run(&args).await,
        Action::Queues(args) => queues::run(&args).await,
        Action::Pause(args) => act::pause(&args).await,
        Action::Resume(args) => act::resume(&args).await,
        Action::Drain(args) => act::drain(&args).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_two_numbers() {
        assert_eq!(job("3.27"), Ok(JobId { partition: 3, number: 27 }));
        for wrong in ["", "3", "3.", "3.x", "70000.1", "../3.1", "3.1/x"] {
            assert!(job(wrong).is_err(), "{wrong}");
        }
    }
}
