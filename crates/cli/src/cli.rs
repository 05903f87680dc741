//! The command line: what can be asked, and who answers.

use crate::{
    commands::{
        bench, completions, config, contracts, dev, drill, explain, import, jobs, key, log, serve,
        token_key, top, worker,
    },
    failure::Failure,
    logging::{self, Format},
};
use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

/// Reservations, rate limits, jobs, chat and feeds, durable, whose every path says what it promises.
#[derive(Debug, Parser)]
#[command(name = "evenkeel", version, propagate_version = true, max_term_width = 100)]
struct Cli {
    /// How logs look on stderr; EVENKEEL_LOG filters them.
    #[arg(long, global = true, value_enum, default_value = "human")]
    log_format: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Dev(dev::Args),
    Serve(serve::Args),
    Key(key::Args),
    TokenKey(token_key::Args),
    Contracts(contracts::Args),
    Top(top::Args),
    Explain(explain::Args),
    Config(config::Args),
    Import(import::Args),
    Jobs(jobs::Args),
    Work(worker::Args),
    Bench(bench::Args),
    Drill(drill::Args),
    Log(log::Args),
    Completions(completions::Args),
}

/// Runs the program; what it answers is the exit code: 0 done, 1 failed, 2 not understood.
pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    let serves = matches!(cli.command, Command::Dev(_) | Command::Serve(_));
    let level = if serves { "info" } else { "warn" };
    let result = logging::start(cli.log_format, level).map_err(Failure::Usage);
    match result.and_then(|()| dispatch(cli.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => ExitCode::from(failure.report()),
    }
}

fn dispatch(command: Command) -> Result<(), Failure> {
    match command {
        Command::Completions(args) => return completions::run(&args, Cli::command()),
        Command::Config(args) => return config::run(args),
        Command::Log(args) => return log::run(&args),
        _ => {}
    }
    if matches!(command, Command::Dev(_) | Command::Serve(_)) {
        refuse_huge_pages();
        raise_file_limit();
    }
    // A load generator leaves the cores to what it measures; everything else takes one worker each.
    let mut builder = match command {
        Command::Bench(_) => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder.enable_all().build()?;
    let result = runtime.block_on(async {
        match command {
            Command::Dev(args) => dev::run(args).await,
            Command::Serve(args) => serve::run(args).await,
            Command::Key(args) => key::run(args).await,
            Command::TokenKey(args) => token_key::run(args).await,
            Command::Contracts(args) => contracts::run(args).await,
            Command::Top(args) => top::run(args).await,
            Command::Explain(args) => explain::run(args).await,
            Command::Import(args) => import::run(args).await,
            Command::Jobs(args) => jobs::run(args).await,
            Command::Work(args) => worker::run(args).await,
            Command::Bench(args) => bench::run(args).await,
            Command::Drill(args) => drill::run(args).await,
            Command::Completions(_) | Command::Config(_) | Command::Log(_) => Ok(()),
        }
    });
    // What still runs has nothing to say any more, and must not keep the process.
    runtime.shutdown_background();
    result
}

/// As many files as the system lets this process have: each connection is one, and what is asked for without
/// asking is often a thousand.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

/// The kernel clears a huge page in the middle of whatever first touches it: on a virtual machine
/// that was measured as milliseconds, in which every request of a core waits. What memory looks
/// like to the processor matters less than that.
fn refuse_huge_pages() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "huge pages stay on");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_contradict_nothing() {
        Cli::command().debug_assert();
    }
}
