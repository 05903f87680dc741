//! What all edges of one process count together: every path's meter, and who spent which append.

use crate::spent::Spent;
use evenkeel_contract::{Meter, Outcome};
use evenkeel_node::{Node, SessionToken};
use std::{collections::HashMap, sync::Arc, time::Instant};

/// The counters of every path. Clones count into the same.
#[derive(Clone)]
pub struct Meters(Arc<Inner>);

struct Inner {
    by_path: HashMap<&'static str, Arc<Meter>>,
    spent: Spent,
    started: Instant,
}

impl Meters {
    /// Of `node`; nothing is counted yet.
    #[must_use]
    pub fn new(node: &Node) -> Self {
        let paths = evenkeel_domains::paths().into_iter();
        let meter = |path: &'static evenkeel_contract::Path| {
            (path.name, Arc::new(Meter::new(path.facts.refusal_codes, 0)))
        };
        let by_path = paths.map(meter).collect();
        Self(Arc::new(Inner { by_path, spent: Spent::new(node), started: Instant::now() }))
    }

    /// That of `path`, if there is such a path.
    pub(crate) fn get(&self, path: &str) -> Option<Arc<Meter>> {
        self.0.by_path.get(path).map(Arc::clone)
    }

    /// Seconds since these were made: their clock.
    pub(crate) fn now_s(&self) -> u64 {
        self.0.started.elapsed().as_secs()
    }

    /// Counts one answer. `staleness_ms` is for reads.
    pub(crate) fn record(
        &self,
        meter: &Meter,
        outcome: Outcome,
        began: Instant,
        staleness_ms: Option<u64>,
    ) {
        let latency_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        meter.record(outcome, latency_us, staleness_ms, self.now_s());
    }

    /// Counts what an answered write rests on: appends that no answer has rested on before, or, if it
    /// was `replayed`, that it was.
    pub(crate) fn rested(&self, meter: &Meter, replayed: bool, as_of: &[SessionToken]) {
        if replayed {
            meter.add_replay(self.now_s());
        } else if let appends @ 1.. = self.0.spent.appends(as_of) {
            meter.add_appends(appends, self.now_s());
        }
    }
}

impl std::fmt::Debug for Meters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meters").field("paths", &self.0.by_path.len()).finish_non_exhaustive()
    }
}
