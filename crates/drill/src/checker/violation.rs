//! What a broken promise looks like to those who read about it.

use serde::Serialize;
use std::fmt;

/// Something that proves a violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// An operation of the history, by its index.
    Operation(usize),
    /// An event among those observed, by its index.
    Event(usize),
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operation(index) => write!(f, "operation {index}"),
            Self::Event(index) => write!(f, "event {index}"),
        }
    }
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The invariant's stable id.
    pub invariant: &'static str,
    /// Which promise broke and how, in plain words.
    pub promise: String,
    /// For whom.
    pub whom: String,
    /// The shortest history that shows it, in order.
    pub events: Vec<Evidence>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} broke for {}: {}", self.invariant, self.whom, self.promise)?;
        for (number, evidence) in self.events.iter().enumerate() {
            let before = if number == 0 { " See " } else { ", " };
            write!(f, "{before}{evidence}")?;
        }
        if !self.events.is_empty() {
            f.write_str(".")?;
        }
        Ok(())
    }
}
