//! Who spent which append: of all requests whose effects share a record, the first to be answered
//! counts it, so that the appends of all paths together are at most the records that requests caused.
//! They are fewer by the records of which nobody was answered, and by those that a partition had
//! answered behind a newer one: so a check of several partitions that counted in vain and was given
//! back counts one append in each, not two.

use evenkeel_node::{Node, SessionToken};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The newest offset that an answer rested on, by partition.
pub(crate) struct Spent(Vec<(evenkeel_log::PartitionId, AtomicU64)>);

impl Spent {
    pub(crate) fn new(node: &Node) -> Self {
        let partitions = node.stats().partitions;
        let newest =
            |stats: &evenkeel_node::PartitionStats| (stats.partition, AtomicU64::new(stats.offset));
        Self(partitions.iter().map(newest).collect())
    }

    /// How many of the places that an answer rests on no answer has rested on before.
    pub(crate) fn appends(&self, as_of: &[SessionToken]) -> u64 {
        let is_new = |token: &&SessionToken| {
            let known = self.0.binary_search_by_key(&token.partition, |(partition, _)| *partition);
            known.is_ok_and(|at| self.0[at].1.fetch_max(token.offset.0, Relaxed) < token.offset.0)
        };
        as_of.iter().filter(is_new).count() as u64
    }
}
