//! Who had what with whom, when.

use super::changes::{Changes, Known};
use crate::history::feed::{Bond, FeedHistory, Request};
use std::collections::BTreeMap;

/// By who has it, with whom, and which.
pub(super) struct Bonds<'h>(BTreeMap<(&'h str, &'h str, Bond), Changes>);

impl<'h> Bonds<'h> {
    pub(super) fn of(history: &'h FeedHistory) -> Self {
        let mut bonds: BTreeMap<(&str, &str, Bond), Changes> = BTreeMap::new();
        for (index, operation) in history.operations.iter().enumerate() {
            if let Request::Set { bond, other, on } = &operation.request {
                let changes = bonds.entry((&operation.user, other, *bond)).or_default();
                changes.take(index, operation, *on);
            }
        }
        Self(bonds)
    }

    /// What `user` has had set of a bond with `other`. A follow may be undone by others: it may be less.
    pub(super) fn of_two<'a>(&'a self, user: &'a str, other: &'a str, bond: Bond) -> &'a Changes {
        self.0.get(&(user, other, bond)).unwrap_or(Changes::NONE)
    }

    /// Whether one of two may have blocked the other by then. Word of it undoes follows, whenever it comes.
    pub(super) fn may_be_apart(&self, one: &str, other: &str, by_ms: u64) -> bool {
        [(one, other), (other, one)]
            .into_iter()
            .any(|(by, of)| self.of_two(by, of, Bond::Block).may_have_been(true, by_ms))
    }

    /// The operation since whose answer, before the first moment, `user` surely followed `author`, until
    /// the other.
    pub(super) fn follows(
        &self,
        user: &str,
        author: &str,
        from_ms: u64,
        to_ms: u64,
    ) -> Option<usize> {
        match self.of_two(user, author, Bond::Follow).known(from_ms, to_ms) {
            Known::On(operation) if !self.may_be_apart(user, author, to_ms) => Some(operation),
            _ => None,
        }
    }
}
