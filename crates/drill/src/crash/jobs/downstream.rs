//! What workers write to: it refuses whoever has a lower fence than it has seen.

use crate::history::jobs::{Kind, Outcome, Request};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
pub(super) struct Downstream {
    /// The highest fence that was seen, by row.
    fences: BTreeMap<String, u64>,
    /// Jobs for which somebody was charged.
    charged: BTreeSet<String>,
}

impl Downstream {
    /// Does what a worker asks for, all in one transaction.
    pub(super) fn takes(&mut self, effect: &Request) -> Outcome {
        let Request::Effect { job, lease, kind, row } = effect else {
            return Outcome::Refused("it is no effect".into());
        };
        let seen = self.fences.entry(row.clone()).or_default();
        if lease.fence < *seen {
            return Outcome::Fenced;
        }
        *seen = lease.fence;
        if *kind == Kind::Charge && !self.charged.insert(job.clone()) {
            return Outcome::Already;
        }
        Outcome::Applied
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::jobs::Lease;

    #[test]
    fn a_lower_fence_writes_nothing_and_a_charge_happens_once() {
        let mut downstream = Downstream::default();
        let mut takes = |kind, row: &str, fence| {
            let lease = Lease { attempt: 1, fence };
            downstream.takes(&Request::Effect { job: "j".into(), lease, kind, row: row.into() })
        };
        assert_eq!(takes(Kind::Put, "r", 3), Outcome::Applied);
        assert_eq!(takes(Kind::Put, "r", 2), Outcome::Fenced);
        assert_eq!(takes(Kind::Put, "r", 3), Outcome::Applied);
        assert_eq!(takes(Kind::Charge, "j", 1), Outcome::Applied);
        assert_eq!(takes(Kind::Charge, "j", 4), Outcome::Already);
        assert_eq!(takes(Kind::Charge, "j", 1), Outcome::Fenced);
    }
}
