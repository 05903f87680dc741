//! A history by what it is about: posts by their names and numbers, and who had what with whom, when.

use super::{bonds::Bonds, reactions::Reactions};
use crate::history::feed::{FeedHistory, Operation, Outcome, Request};
use std::collections::BTreeMap;

/// A post as its author knows it: all attempts under one client id.
#[derive(Default)]
pub(super) struct Posted<'h> {
    /// What was said, by attempts that may have had an effect.
    pub(super) bodies: Vec<&'h str>,
    /// All of those.
    pub(super) attempts: Vec<usize>,
    /// When it was first asked for.
    pub(super) called_ms: u64,
    /// Its number, when that was first said, and by which operation.
    pub(super) told: Option<(u64, u64, usize)>,
}

/// A post that somebody asked to be taken back.
pub(super) struct Deleted {
    /// When it was first asked for, by an attempt that may have had an effect.
    pub(super) called_ms: u64,
    /// When it was first said to be so, and by which operation.
    pub(super) told: Option<(u64, usize)>,
}

pub(super) struct Book<'h> {
    pub(super) history: &'h FeedHistory,
    /// By author and client id.
    pub(super) posts: BTreeMap<(&'h str, &'h str), Posted<'h>>,
    /// By author and number, as far as numbers were said: the client id.
    pub(super) numbers: BTreeMap<(&'h str, u64), &'h str>,
    /// By author and number.
    pub(super) deleted: BTreeMap<(&'h str, u64), Deleted>,
    pub(super) bonds: Bonds<'h>,
    pub(super) reactions: Reactions<'h>,
}

impl<'h> Book<'h> {
    pub(super) fn of(history: &'h FeedHistory) -> Self {
        let mut book = Self {
            history,
            posts: BTreeMap::new(),
            numbers: BTreeMap::new(),
            deleted: BTreeMap::new(),
            bonds: Bonds::of(history),
            reactions: Reactions::of(history),
        };
        for (index, operation) in history.operations.iter().enumerate() {
            match &operation.request {
                Request::Post { client_id, body } => book.post(index, operation, client_id, body),
                Request::Delete { post } => book.delete(index, operation, *post),
                _ => {}
            }
        }
        book
    }

    fn post(&mut self, index: usize, operation: &'h Operation, client_id: &'h str, body: &'h str) {
        let user = operation.user.as_str();
        let posted = self
            .posts
            .entry((user, client_id))
            .or_insert_with(|| Posted { called_ms: operation.called_ms, ..Posted::default() });
        if operation.may_have_happened() {
            posted.bodies.push(body);
            posted.attempts.push(index);
        }
        if let Some((at_ms, Outcome::Posted { post, .. })) = operation.returned {
            posted.told.get_or_insert((post, at_ms, index));
            self.numbers.insert((user, post), client_id);
        }
    }

    fn delete(&mut self, index: usize, operation: &'h Operation, post: u64) {
        if !operation.may_have_happened() {
            return;
        }
        let called_ms = operation.called_ms;
        let deleted = self
            .deleted
            .entry((&operation.user, post))
            .or_insert(Deleted { called_ms, told: None });
        if let Some((at_ms, Outcome::Done { .. })) = operation.returned {
            deleted.told.get_or_insert((at_ms, index));
        }
    }

    /// Whether somebody may have taken a post back by then.
    pub(super) fn may_be_gone(&self, author: &str, post: u64, by_ms: u64) -> bool {
        self.deleted.get(&(author, post)).is_some_and(|deleted| deleted.called_ms <= by_ms)
    }

    /// The operation that had said, before then, that a post was taken back.
    pub(super) fn was_gone(&self, author: &str, post: u64, before_ms: u64) -> Option<usize> {
        let told = self.deleted.get(&(author, post))?.told;
        told.filter(|(at_ms, _)| *at_ms < before_ms).map(|(_, operation)| operation)
    }

    /// Everything that was said to be posted: author, number, post.
    pub(super) fn told(&self) -> impl Iterator<Item = (&'h str, u64, &Posted<'h>)> {
        self.posts.iter().filter_map(|((author, _), posted)| {
            let (post, ..) = posted.told?;
            Some((*author, post, posted))
        })
    }
}
