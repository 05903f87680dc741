//! The `evenkeel` binary: a server, and the commands that ask one.
//!
//! Here is only what a person at a terminal meets: arguments, settings, tables, exit codes. What
//! the program does is in the crates below; nothing here decides anything about a resource.

mod cli;
mod client;
mod commands;
mod config;
mod failure;
mod logging;
mod names;
mod output;

use std::process::ExitCode;

/// Requests allocate small things on one thread and free them on another, all day.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run()
}
