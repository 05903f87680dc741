//! `evenkeel completions SHELL`: what a shell needs to complete commands.

use crate::{failure::Failure, output};
use clap_complete::Shell;

/// Print completions for a shell.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(args: &Args, mut command: clap::Command) -> Result<(), Failure> {
    let mut out = Vec::new();
    clap_complete::generate(args.shell, &mut command, "evenkeel", &mut out);
    output::print(&String::from_utf8_lossy(&out))
}
