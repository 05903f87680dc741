//! I1, I2: what was acknowledged is there, once, in the order in which it was posted, until it is taken
//! back; and nothing is there that nobody posted.

use super::{Book, FeedReport, violation};
use crate::{
    checker::{Evidence, Violation},
    history::feed::{Item, Kept, Operation, Outcome, Request},
};
use std::collections::BTreeMap;

pub(super) fn check(book: &Book<'_>, report: &mut FeedReport) {
    let found = &mut report.violations;
    found.extend(two_places(book));
    found.extend(out_of_order(book));
    for (author, kept) in book.history.end.iter().flatten() {
        report.posts += kept.posts.len() as u64;
        is_a_page(author, &kept.posts, found);
        is_what_was_posted(book, author, kept, found);
        is_counted(author, kept, found);
    }
}

/// A client id has one number, and a number is one post's.
fn two_places(book: &Book<'_>) -> Vec<Violation> {
    let mut places: BTreeMap<(&str, &str), (u64, usize)> = BTreeMap::new();
    let mut numbers: BTreeMap<(&str, u64), (&str, usize)> = BTreeMap::new();
    let mut found = Vec::new();
    for (index, operation) in book.history.operations.iter().enumerate() {
        let Operation { user, request: Request::Post { client_id, .. }, returned, .. } = operation
        else {
            continue;
        };
        let Some((_, Outcome::Posted { post, .. })) = returned else { continue };
        let (before, first) = *places.entry((user, client_id)).or_insert((*post, index));
        if before != *post {
            let promise = format!(
                "a post has one number, but of {client_id} it was said to be {before} and {post}."
            );
            found.push(violation("I2", user, promise, [first, index].map(Evidence::Operation)));
        }
        let (other, first) = *numbers.entry((user, *post)).or_insert((client_id, index));
        if other != client_id {
            let promise =
                format!("a number is one post's, but {post} was said of {other} and {client_id}.");
            found.push(violation("I2", user, promise, [first, index].map(Evidence::Operation)));
        }
    }
    found
}

/// What its author posted after something was acknowledged has the greater number.
fn out_of_order(book: &Book<'_>) -> Vec<Violation> {
    let mut last: BTreeMap<&str, (u64, u64, usize)> = BTreeMap::new();
    let mut all: Vec<_> = book
        .told()
        .filter_map(|(author, _, one)| Some((author, one.called_ms, one.told?)))
        .collect();
    all.sort_by_key(|(_, called_ms, told)| (*called_ms, told.2));
    let mut found = Vec::new();
    for (author, called_ms, told) in all {
        let (post, _, operation) = told;
        if let Some((before, told_ms, other)) = last.get(author).copied()
            && told_ms < called_ms
            && before > post
        {
            let promise = format!(
                "what is posted after something was acknowledged is newer, but {post} was posted after \
                 {before}."
            );
            let proof = [other, operation].map(Evidence::Operation);
            found.push(violation("I1", format!("everyone who reads {author}"), promise, proof));
        }
        last.insert(author, told);
    }
    found
}

/// Newest first, each once.
fn is_a_page(author: &str, posts: &[Item], found: &mut Vec<Violation>) {
    let pairs = posts.iter().zip(posts.iter().skip(1));
    for (one, next) in pairs.filter(|(one, next)| one.post <= next.post) {
        let promise = format!(
            "a page of posts is newest first, each once, but {} comes after {}.",
            next.post, one.post
        );
        found.push(violation("I1", format!("everyone who reads {author}"), promise, []));
    }
}

fn is_what_was_posted(book: &Book<'_>, author: &str, kept: &Kept, found: &mut Vec<Violation>) {
    let whom = || format!("{author}, and everyone who reads them");
    let mut by_body: BTreeMap<&str, &Item> = BTreeMap::new();
    for item in &kept.posts {
        if let Some(before) = by_body.insert(&item.body, item) {
            let proof = attempts(book, author, item).map(Evidence::Operation);
            let promise = format!(
                "a post is there once for its client id, but {} is there as {} and as {}.",
                item.body, before.post, item.post
            );
            found.push(violation("I2", whom(), promise, proof));
        } else if attempts(book, author, item).next().is_none() {
            let promise = format!(
                "nothing is there that nobody posted, but {} says {}.",
                item.post, item.body
            );
            found.push(violation("I1", whom(), promise, []));
        }
        if let Some(delete) = book.was_gone(author, item.post, u64::MAX) {
            let promise = format!("what was taken back stays so, but {} is there.", item.post);
            found.push(violation("I1", whom(), promise, [Evidence::Operation(delete)]));
        }
    }
    for (by, post, posted) in book.told() {
        let there = kept.posts.iter().find(|item| item.post == post);
        let is_it = there.is_some_and(|item| posted.bodies.contains(&item.body.as_str()));
        if by == author && !is_it && !book.may_be_gone(author, post, u64::MAX) {
            let there = there.map_or("nothing".to_owned(), |item| item.body.clone());
            let promise = format!("what was acknowledged is there, but at {post} is {there}.");
            let told = posted.told.map(|(_, _, operation)| Evidence::Operation(operation));
            found.push(violation("I1", whom(), promise, told));
        }
    }
}

/// The attempts that may have posted it.
fn attempts<'b>(
    book: &'b Book<'_>,
    author: &'b str,
    item: &'b Item,
) -> impl Iterator<Item = usize> + 'b {
    let of_author = book.posts.iter().filter(move |((by, _), _)| *by == author);
    let such = of_author.filter(|(_, posted)| posted.bodies.contains(&item.body.as_str()));
    such.flat_map(|(_, posted)| posted.attempts.iter().copied())
}

/// What a page counts is what is there.
fn is_counted(author: &str, kept: &Kept, found: &mut Vec<Violation>) {
    let is = [kept.posts.len(), kept.followers.len(), kept.following.len()].map(|one| one as u64);
    if is != kept.counted {
        let promise = format!(
            "posts, followers and followed are counted exactly, but {:?} are said to be {:?}.",
            is, kept.counted
        );
        found.push(violation("I13", format!("everyone who reads {author}"), promise, []));
    }
}
