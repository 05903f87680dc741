//! Who had what with whom, when, as far as that can be known from what was asked and answered.

use crate::history::feed::{Bond, FeedHistory, Operation, Outcome, Request};
use std::collections::BTreeMap;

/// Something that was asked of a bond, and may have had an effect.
struct Change {
    on: bool,
    called_ms: u64,
    /// When it was said to be so; none if nobody knows.
    told_ms: Option<u64>,
    operation: usize,
}

/// What is known of a bond over a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// It was there all the time, since this operation was answered.
    On(usize),
    /// It was not there at any time.
    Off,
    /// Either, or both.
    Unsure,
}

/// By who has it, with whom, and which: all changes, in the order in which they were asked for.
pub(super) struct Bonds<'h>(BTreeMap<(&'h str, &'h str, Bond), Vec<Change>>);

impl<'h> Bonds<'h> {
    pub(super) fn of(history: &'h FeedHistory) -> Self {
        let mut bonds: BTreeMap<(&str, &str, Bond), Vec<Change>> = BTreeMap::new();
        for (index, operation) in history.operations.iter().enumerate() {
            let Operation { user, request, called_ms, returned } = operation;
            let Request::Set { bond, other, on } = request else { continue };
            if operation.may_have_happened() {
                let told_ms = match returned {
                    Some((at_ms, Outcome::Done { .. })) => Some(*at_ms),
                    _ => None,
                };
                let (on, called_ms) = (*on, *called_ms);
                let change = Change { on, called_ms, told_ms, operation: index };
                bonds.entry((user, other, *bond)).or_default().push(change);
            }
        }
        Self(bonds)
    }

    fn changes<'a>(&'a self, user: &'a str, other: &'a str, bond: Bond) -> &'a [Change] {
        self.0.get(&(user, other, bond)).map(Vec::as_slice).unwrap_or_default()
    }

    /// What `user` had said of a bond with `other`, and whether that was so, from one moment to another.
    /// Users ask one thing after the other: what was answered is in force, whatever was asked before.
    pub(super) fn known(
        &self,
        user: &str,
        other: &str,
        bond: Bond,
        from_ms: u64,
        to_ms: u64,
    ) -> Known {
        let changes = self.changes(user, other, bond);
        let last = changes
            .iter()
            .rposition(|change| change.told_ms.is_some_and(|told_ms| told_ms <= from_ms));
        let is_on = last.is_some_and(|last| changes[last].on);
        let after = &changes[last.map_or(0, |last| last + 1)..];
        if after.iter().any(|change| change.called_ms <= to_ms && change.on != is_on) {
            return Known::Unsure;
        }
        match last.filter(|_| is_on) {
            Some(last) => Known::On(changes[last].operation),
            None => Known::Off,
        }
    }

    /// Whether somebody may have had it set, or taken back, by then.
    pub(super) fn may_have_changed(
        &self,
        user: &str,
        other: &str,
        bond: Bond,
        on: bool,
        by_ms: u64,
    ) -> bool {
        let changes = self.changes(user, other, bond);
        changes.iter().any(|change| change.on == on && change.called_ms <= by_ms)
    }

    /// Whether one of two may have blocked the other by then. Word of it undoes follows, whenever it comes.
    pub(super) fn may_be_apart(&self, one: &str, other: &str, by_ms: u64) -> bool {
        self.may_have_changed(one, other, Bond::Block, true, by_ms)
            || self.may_have_changed(other, one, Bond::Block, true, by_ms)
    }

    /// The operation by which `user` surely followed `author` at one moment, had it answered before, and did
    /// so until another.
    pub(super) fn follows(
        &self,
        user: &str,
        author: &str,
        since_before_ms: u64,
        until_ms: u64,
    ) -> Option<usize> {
        let Known::On(operation) =
            self.known(user, author, Bond::Follow, since_before_ms, until_ms)
        else {
            return None;
        };
        (!self.may_be_apart(user, author, until_ms)).then_some(operation)
    }

    /// Whether `user` may have followed `author` at some moment of a time.
    pub(super) fn may_follow(&self, user: &str, author: &str, from_ms: u64, to_ms: u64) -> bool {
        self.known(user, author, Bond::Follow, from_ms, to_ms) != Known::Off
    }

    /// The operation by which `user` had something to do with `other` last, that was answered.
    pub(super) fn last(&self, user: &str, other: &str, bond: Bond) -> Option<usize> {
        let changes = self.changes(user, other, bond);
        changes.iter().rev().find(|change| change.told_ms.is_some()).map(|one| one.operation)
    }
}
