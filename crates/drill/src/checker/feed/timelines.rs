//! I13: once quiet, a timeline equals the naive pull: one's own posts and those of everybody who is followed and
//! not muted, newest first, each once.

use super::{Book, FeedReport, violation};
use crate::{
    checker::Evidence,
    history::feed::{Bond, Item, Kept},
};
use std::{cmp::Reverse, collections::BTreeMap};

pub(super) fn check(book: &Book<'_>, report: &mut FeedReport) {
    let Some(end) = &book.history.end else { return };
    for (user, kept) in end {
        let pulled = pull(end, user, kept);
        report.compared += pulled.len() as u64;
        let pairs = pulled.iter().map(|item| Some(*item)).chain([None]);
        let there = kept.timeline.iter().map(Some).chain([None]);
        let Some((expected, found)) = pairs.zip(there).find(|(one, other)| one != other) else {
            continue;
        };
        let words = |item: Option<&Item>| {
            item.map_or("nothing".to_owned(), |item| {
                let Item { author, post, body, reactions } = item;
                format!("{body} (post {post} of {author}, reactions {reactions:?})")
            })
        };
        let promise = format!(
            "once quiet, a timeline is what asking every author would give, but where {} should be is {}.",
            words(expected),
            words(found)
        );
        let about = [expected, found].into_iter().flatten();
        let proof = about.flat_map(|item| evidence(book, user, item)).map(Evidence::Operation);
        report.violations.push(violation("I13", user.as_str(), promise, proof.collect::<Vec<_>>()));
    }
}

/// What asking every author gives.
fn pull<'e>(end: &'e BTreeMap<String, Kept>, user: &'e String, kept: &'e Kept) -> Vec<&'e Item> {
    let authors = kept.following.difference(&kept.mutes).chain([user]);
    let posts = authors.filter_map(|author| end.get(author)).flat_map(|author| &author.posts);
    let mut all: Vec<&Item> = posts.collect();
    all.sort_by_key(|item| Reverse(item.place()));
    all
}

/// Who posted it, who took it back, and what the two had with each other.
fn evidence(book: &Book<'_>, user: &str, item: &Item) -> Vec<usize> {
    let author = item.author.as_str();
    let client_id = book.numbers.get(&(author, item.post));
    let posted = client_id.and_then(|client_id| book.posts.get(&(author, *client_id)));
    let posted = posted.and_then(|posted| posted.told).map(|(_, _, operation)| operation);
    let deleted = book.was_gone(author, item.post, u64::MAX);
    let bonds = [
        (user, author, Bond::Follow),
        (user, author, Bond::Mute),
        (user, author, Bond::Block),
        (author, user, Bond::Block),
    ];
    let bonds =
        bonds.into_iter().filter_map(|(one, two, bond)| book.bonds.of_two(one, two, bond).last());
    let reactions = book.reactions.last(author, item.post);
    posted.into_iter().chain(deleted).chain(bonds).chain(reactions).collect()
}
