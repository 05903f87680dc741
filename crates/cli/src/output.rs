//! Data to stdout. A reader that went away (`| head`) ends the command quietly.

use crate::failure::Failure;
use evenkeel_contract::Coordination;
use serde::Serialize;
use std::io::{ErrorKind, IsTerminal, Write};

/// Writes `text` as it is.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::Ended(0)),
        Err(error) => Err(Failure::because("cannot write to stdout", error)),
        Ok(()) => Ok(()),
    }
}

/// Writes `text` and a line end.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    print(&format!("{text}\n"))
}

/// A text that others wrote, without what a terminal would obey: only its lines are kept.
pub(crate) fn harmless(text: &str) -> String {
    text.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}")
}

/// Writes `value` as JSON for people to read.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)?;
    line(&text)
}

/// Writes `value` as one line of JSON.
pub(crate) fn json_line(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value)?;
    line(&text)
}

/// Whether stdout takes colours: a terminal, and nobody said `NO_COLOR`.
pub(crate) fn takes_colour() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !refused && std::io::stdout().is_terminal()
}

/// `text` in the colour of how much coordination is spent: green none, yellow some, magenta all.
pub(crate) fn in_colour(text: &str, coordination: Coordination, colour: bool) -> String {
    if !colour {
        return text.to_owned();
    }
    let code = match coordination {
        Coordination::None => 32,
        Coordination::Some => 33,
        Coordination::Linearizable => 35,
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}
