//! What the report of every price has: which it is, how it was measured, and how one side compares with
//! the other.

use super::{Price, PriceOptions};
use crate::load::Spread;
use serde::Serialize;
use std::{fmt, time::Duration};

/// Which price, and how it was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Frame {
    /// Its name.
    pub price: &'static str,
    /// What is done for it.
    pub adds: &'static str,
    /// What it is compared with.
    pub beside: &'static str,
    /// Connections, each with one thing to do at a time.
    pub connections: usize,
    /// Measurements of each side.
    pub repeats: u32,
    /// Of each measurement.
    pub duration_ms: u64,
    /// Whether the program was built to be fast. Else the numbers say little.
    pub optimized: bool,
}

impl Frame {
    pub(super) fn new(price: &Price, options: &PriceOptions) -> Self {
        Self {
            price: price.name,
            adds: price.adds,
            beside: price.beside,
            connections: options.connections,
            repeats: options.repeats,
            duration_ms: ms(options.duration),
            optimized: !cfg!(debug_assertions),
        }
    }

    /// What was done, in these words.
    pub(super) fn begin(&self, f: &mut fmt::Formatter<'_>, work: &str) -> fmt::Result {
        let Self { price, adds, beside, connections, repeats, duration_ms, .. } = self;
        writeln!(f, "{price}: {adds}.\nBeside it: {beside}.\n")?;
        writeln!(
            f,
            "{connections} connections {work}; {repeats} × {duration_ms} ms of each in turn, medians"
        )
    }

    pub(super) fn end(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.optimized {
            write!(
                f,
                "\nThis program was not built to be fast: build it with --release to compare."
            )?;
        }
        Ok(())
    }
}

pub(super) fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// How many times as much one side has of something as the other.
pub(super) fn times<S>(with: &S, without: &S, of: fn(&S) -> Spread) -> f64 {
    of(with).median / of(without).median.max(1e-9)
}
