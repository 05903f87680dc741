//! Which path's contract a command is counted under: the same as over HTTP. A command that is wrong
//! in itself, or of somebody who may not, never gets here and is not counted.

use super::service::{Manage, Managed, Outcome};
use crate::meters::Meters;
use evenkeel_contract::{Meter, Outcome as Counted};
use evenkeel_node::Called;
use std::{array, sync::Arc, time::Instant};

/// A path of limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Path {
    Check,
    Peek,
    Refund,
    Reset,
    Release,
    Renew,
    Put,
    Delete,
    Get,
    List,
}

/// Their names, in the same order.
const NAMES: [&str; 10] = [
    "limits.check",
    "limits.peek",
    "limits.refund",
    "limits.reset",
    "limits.release",
    "limits.renew",
    "limits.put",
    "limits.delete",
    "limits.get",
    "limits.list",
];

impl Path {
    pub(super) fn of(request: &Manage) -> Self {
        match request {
            Manage::Put { .. } => Self::Put,
            Manage::Delete { .. } => Self::Delete,
            Manage::Get { .. } => Self::Get,
            Manage::List { .. } => Self::List,
        }
    }

    /// Reads cost no append, and say how old they are: on one machine not at all.
    fn reads(self) -> bool {
        matches!(self, Self::Peek | Self::Get | Self::List)
    }
}

/// The meters of the paths of limits.
pub(super) struct Metered {
    meters: Meters,
    by_path: [Arc<Meter>; NAMES.len()],
}

impl Metered {
    pub(super) fn new(meters: Meters) -> Self {
        let meter = |n: usize| meters.get(NAMES[n]).expect("every path of the domains has a meter");
        Self { by_path: array::from_fn(meter), meters }
    }

    /// Counts one outcome of `path`.
    pub(super) fn record(&self, path: Path, outcome: &Outcome, began: Instant) {
        self.count(path, counted(outcome), began);
    }

    /// Counts what became of a request about limits.
    pub(super) fn record_managed(&self, path: Path, managed: &Managed, began: Instant) {
        let outcome = match managed {
            Managed::Failed(failure) => Counted::from_code(failure.code),
            Managed::Deleted(false) | Managed::Found(None) => Counted::from_code("not_found"),
            _ => Counted::Ok,
        };
        self.count(path, outcome, began);
    }

    /// Counts what an answer of `path` rests on.
    pub(super) fn rested<A>(&self, path: Path, called: &Called<A>) {
        if !path.reads() {
            self.meters.rested(&self.by_path[path as usize], called.replayed, &called.as_of);
        }
    }

    fn count(&self, path: Path, outcome: Counted, began: Instant) {
        let staleness_ms = path.reads().then_some(0);
        self.meters.record(&self.by_path[path as usize], outcome, began, staleness_ms);
    }
}

/// As over HTTP: what is limited is refused, and where nobody could count it is unavailable.
fn counted(outcome: &Outcome) -> Counted {
    match outcome {
        Outcome::Checked { verdicts, .. } if verdicts.iter().any(|verdict| verdict.degraded) => {
            Counted::from_code("unavailable")
        }
        Outcome::Checked { allowed: false, .. } => Counted::from_code("limited"),
        Outcome::Released(false) | Outcome::Renewed(None) => Counted::from_code("no_lease"),
        Outcome::Failed(failure) => Counted::from_code(failure.code),
        _ => Counted::Ok,
    }
}
