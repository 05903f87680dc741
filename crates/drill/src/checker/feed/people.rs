//! Once quiet, both sides of a follow agree, nobody follows across a block, and what was last said of a bond
//! is so.

use super::{Book, FeedReport, changes::Known, violation};
use crate::{
    checker::Evidence,
    history::feed::{Bond, Kept},
};
use std::collections::BTreeMap;

pub(super) fn check(book: &Book<'_>, report: &mut FeedReport) {
    let Some(end) = &book.history.end else { return };
    for (user, kept) in end {
        for other in end.keys().filter(|other| *other != user) {
            let found = agree(end, user, other).map(|how| {
                let of = [(user, other), (other, user)].map(|(one, two)| {
                    [Bond::Follow, Bond::Block].map(|bond| book.bonds.of_two(one, two, bond).last())
                });
                let proof = of.into_iter().flatten().flatten().map(Evidence::Operation);
                violation("I13", format!("{user} and {other}"), how, proof)
            });
            report.violations.extend(found);
            report.violations.extend(is_as_was_said(book, user, other, kept));
        }
    }
}

/// What is wrong between two users, if anything.
fn agree(end: &BTreeMap<String, Kept>, user: &str, other: &str) -> Option<String> {
    let (one, two) = (&end[user], &end[other]);
    let (follows, is_followed) = (one.following.contains(other), two.followers.contains(user));
    if follows != is_followed {
        return Some(format!(
            "once quiet both sides of a follow agree, but {user} follows {other}: {follows}, and {other} is \
             followed by {user}: {is_followed}."
        ));
    }
    let apart = one.blocks.contains(other) || two.blocks.contains(user);
    (follows && apart).then(|| {
        format!(
            "nobody follows across a block, but {user} follows {other}, of whom one has blocked."
        )
    })
}

/// What was last answered about a bond of `user` with `other` is so, unless something may have changed it.
fn is_as_was_said(
    book: &Book<'_>,
    user: &str,
    other: &str,
    kept: &Kept,
) -> Vec<crate::checker::Violation> {
    let bonds =
        [(Bond::Follow, &kept.following), (Bond::Block, &kept.blocks), (Bond::Mute, &kept.mutes)];
    let wrong = bonds.into_iter().filter_map(|(bond, there)| {
        let is_so = there.contains(other);
        let should = match book.bonds.of_two(user, other, bond).known(u64::MAX, u64::MAX) {
            Known::On(_) => true,
            Known::Off => false,
            Known::Unsure => return None,
        };
        // A block ends following, on both sides.
        let may_be_undone = bond == Bond::Follow && book.bonds.may_be_apart(user, other, u64::MAX);
        if is_so == should || (should && may_be_undone) {
            return None;
        }
        let promise = format!(
            "what was acknowledged is so, but {user} has the bond {bond:?} with {other}: {is_so}."
        );
        let last = book.bonds.of_two(user, other, bond).last().map(Evidence::Operation);
        Some(violation("I1", user, promise, last))
    });
    wrong.collect()
}
