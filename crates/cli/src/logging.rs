//! Logs go to stderr: as lines for people, or as JSON for collectors. `EVENKEEL_LOG` filters.

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// The variable that says what is logged, such as `debug` or `evenkeel_server=debug,info`.
const FILTER: &str = "EVENKEEL_LOG";

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// Starts logging at `level` unless the environment says otherwise. A filter that cannot be read
/// is answered with what is wrong about it.
pub(crate) fn start(format: Format, level: &str) -> Result<(), String> {
    let filter = match std::env::var(FILTER) {
        Ok(filter) if !filter.is_empty() => EnvFilter::try_new(&filter)
            .map_err(|error| format!("{FILTER} is no filter: {error}"))?,
        _ => EnvFilter::new(level),
    };
    let logs = tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter);
    let started = match format {
        Format::Human => logs.with_target(false).try_init(),
        Format::Json => logs.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| format!("cannot start logging: {error}"))
}
