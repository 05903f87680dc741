//! `evenkeel config`: settings before they are used.

use crate::{
    config::{self, Sources, load},
    failure::Failure,
    output,
};
use std::{
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

/// Write, check and show settings.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Write a file with every setting, explained; `-` writes it to stdout.
    Init {
        /// The file; one that exists is left alone.
        #[arg(default_value = "evenkeel.toml")]
        file: PathBuf,
    },
    /// Check a file, and the environment with it: everything that is wrong, at once.
    Check {
        /// The file.
        #[arg(default_value = "evenkeel.toml")]
        file: PathBuf,
    },
    /// Show the settings that hold, and who said so.
    Show {
        /// Settings, as `evenkeel config init` writes them.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON schema of the file, for editors.
    Schema,
}

pub(crate) fn run(args: Args) -> Result<(), Failure> {
    match args.action {
        Action::Init { file } => init(&file),
        Action::Check { file } => {
            load(&Sources::of_process(Some(&file))?)?;
            eprintln!("{} is right", file.display());
            Ok(())
        }
        Action::Show { config, json } => {
            let mut config = load(&Sources::of_process(config.as_deref())?)?;
            if json {
                output::json(&config::show_json(&mut config))
            } else {
                output::print(&config::show(&mut config))
            }
        }
        Action::Schema => output::json(&config::json_schema()),
    }
}

fn init(file: &Path) -> Result<(), Failure> {
    let text = config::template();
    if file == Path::new("-") {
        return output::print(&text);
    }
    let written =
        std::fs::File::create_new(file).and_then(|mut out| out.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            Failure::failed(format!("{} exists, and is left as it is", file.display()))
        }
        _ => Failure::because(format!("cannot write {}", file.display()), error),
    })?;
    eprintln!("{} is written; everything in it is commented out", file.display());
    Ok(())
}
