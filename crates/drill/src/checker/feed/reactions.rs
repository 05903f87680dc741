//! Reactions: who is blocked cannot react, what was last said of one is so, they are counted exactly, and in timelines
//! as late as those say and a little more.

use super::{
    Book, FeedReport,
    changes::{Changes, Known},
    violation,
};
use crate::{
    checker::{Evidence, Violation},
    history::feed::{Bond, FeedHistory, Kept, Outcome, Request},
};
use std::collections::BTreeMap;

/// By kind and user.
type Of<'h> = BTreeMap<(&'h str, &'h str), Changes>;

/// By author and number of the post.
pub(super) struct Reactions<'h>(BTreeMap<(&'h str, u64), Of<'h>>);

impl<'h> Reactions<'h> {
    pub(super) fn of(history: &'h FeedHistory) -> Self {
        let mut all: BTreeMap<(&str, u64), Of<'_>> = BTreeMap::new();
        for (index, operation) in history.operations.iter().enumerate() {
            if let Request::React { author, post, kind, on } = &operation.request {
                let of = all.entry((author, *post)).or_default();
                let changes = of.entry((kind, &operation.user)).or_default();
                changes.take(index, operation, *on);
            }
        }
        Self(all)
    }

    /// How many of each kind a post had, from one moment to another; none if that is not known.
    pub(super) fn counts(
        &self,
        author: &str,
        post: u64,
        from_ms: u64,
        to_ms: u64,
    ) -> Option<BTreeMap<String, u64>> {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for ((kind, _), changes) in self.0.get(&(author, post)).into_iter().flatten() {
            match changes.known(from_ms, to_ms) {
                Known::On(_) => *counts.entry((*kind).to_owned()).or_default() += 1,
                Known::Off => {}
                Known::Unsure => return None,
            }
        }
        Some(counts)
    }

    /// The operations that were last answered about a post.
    pub(super) fn last(&self, author: &str, post: u64) -> Vec<usize> {
        let of = self.0.get(&(author, post)).into_iter().flat_map(BTreeMap::values);
        of.filter_map(Changes::last).collect()
    }
}

pub(super) fn check(book: &Book<'_>, report: &mut FeedReport) {
    report.violations.extend(by_the_blocked(book));
    let Some(end) = &book.history.end else { return };
    for ((author, post), of) in &book.reactions.0 {
        let Some(kept) = end.get(*author) else { continue };
        if book.may_be_gone(author, *post, u64::MAX) {
            continue;
        }
        for ((kind, user), changes) in of {
            report.violations.extend(is_as_was_said(kept, *post, (kind, user), changes));
        }
    }
    for (author, kept) in end {
        report.violations.extend(kept.posts.iter().filter_map(|item| {
            let mut counts: BTreeMap<String, u64> = BTreeMap::new();
            for (kind, _) in kept.reactors.get(&item.post).into_iter().flatten() {
                *counts.entry(kind.clone()).or_default() += 1;
            }
            let promise = format!(
                "reactions are counted exactly, but those to {} are {counts:?} and said to be {:?}.",
                item.post, item.reactions
            );
            let proof = book.reactions.last(author, item.post).into_iter().map(Evidence::Operation);
            let whom = format!("everyone who reads {author}");
            (counts != item.reactions).then(|| violation("I13", whom, promise, proof))
        }));
    }
}

/// From the moment at which a block is answered, the blocked cannot react.
fn by_the_blocked(book: &Book<'_>) -> Option<Violation> {
    let operations = book.history.operations.iter().enumerate();
    operations
        .filter_map(|(index, operation)| {
            let Request::React { author, post, on: true, .. } = &operation.request else {
                return None;
            };
            let (at_ms, Outcome::Done { .. }) = operation.returned.as_ref()? else { return None };
            let blocks = book.bonds.of_two(author, &operation.user, Bond::Block);
            let Known::On(block) = blocks.known(operation.called_ms, *at_ms) else { return None };
            let promise = format!(
                "who is blocked cannot react, but {} did, to {post} of {author}.",
                operation.user
            );
            let proof = [block, index].map(Evidence::Operation);
            Some(violation("I1", author.as_str(), promise, proof))
        })
        .next()
}

fn is_as_was_said(
    kept: &Kept,
    post: u64,
    (kind, user): (&str, &str),
    changes: &Changes,
) -> Option<Violation> {
    let pair = (kind.to_owned(), user.to_owned());
    let is_on = kept.reactors.get(&post).is_some_and(|pairs| pairs.contains(&pair));
    let should = match changes.known(u64::MAX, u64::MAX) {
        Known::On(_) => true,
        Known::Off => false,
        Known::Unsure => return None,
    };
    (is_on != should).then(|| {
        let promise = format!(
            "a reaction is as was last said, but that of {user} to {post} is there: {is_on}."
        );
        violation("I1", user, promise, changes.last().map(Evidence::Operation))
    })
}
