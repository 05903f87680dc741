//! I12: what comes to a timeline comes to whoever follows it once, in the order in which it came, and all of
//! it.

use super::{Book, FeedReport, book::Posted, changes::Known, violation};
use crate::{
    checker::{Evidence, Violation},
    history::feed::{Bond, Delivery, Seen},
};
use std::collections::BTreeMap;

/// What a subscriber was sent of a post: by which delivery.
#[derive(Default)]
struct Sent {
    posted: Option<usize>,
    deleted: Option<usize>,
}

pub(super) fn check(book: &Book<'_>, report: &mut FeedReport) {
    for (number, subscriber) in book.history.subscribers.iter().enumerate() {
        let user = subscriber.user.as_str();
        let seen = book.history.seen.iter().enumerate();
        let seen: Vec<_> = seen.filter(|(_, one)| one.subscriber == number).collect();
        report.delivered += seen.len() as u64;
        let sent = sent(book, user, &seen, &mut report.violations);
        if subscriber.is_at_end {
            missed(book, user, &sent, report);
        }
    }
}

fn wrong(user: &str, promise: String, proof: impl IntoIterator<Item = Evidence>) -> Violation {
    violation("I12", format!("{user}, who follows their timeline"), promise, proof)
}

/// What came, each once and in order.
fn sent<'h>(
    book: &Book<'h>,
    user: &str,
    seen: &[(usize, &'h Seen)],
    found: &mut Vec<Violation>,
) -> BTreeMap<(&'h str, u64), Sent> {
    let mut all: BTreeMap<(&str, u64), Sent> = BTreeMap::new();
    let mut last: Option<(u64, usize)> = None;
    for (index, one) in seen {
        let proof = |other: Option<usize>| {
            other.into_iter().chain([*index]).map(Evidence::Event).collect::<Vec<_>>()
        };
        let before = last.replace((one.sequence, *index));
        if let Some((sequence, other)) = before.filter(|(sequence, _)| *sequence >= one.sequence) {
            let promise = format!(
                "what came later is sent later, but {} came after {sequence}.",
                one.sequence
            );
            found.push(wrong(user, promise, proof(Some(other))));
        }
        let (author, post, twice) = match &one.what {
            Delivery::Reset => {
                let promise = "what has come can be read, but it was said to be gone.".to_owned();
                found.push(wrong(user, promise, proof(None)));
                continue;
            }
            Delivery::Posted { author, post, body } => {
                if is_other(book, author, *post, body) {
                    let promise =
                        format!("a post says what was posted, but {post} of {author} was {body}.");
                    found.push(wrong(user, promise, proof(None)));
                }
                let sent = all.entry((author, *post)).or_default();
                (author, *post, sent.posted.replace(*index).or(sent.deleted))
            }
            Delivery::Deleted { author, post } => {
                let sent = all.entry((author, *post)).or_default();
                (author, *post, sent.deleted.replace(*index))
            }
        };
        if let Some(other) = twice {
            let promise = format!(
                "a post comes once, and is taken back once and then gone, but {post} of {author} came \
                 again."
            );
            found.push(wrong(user, promise, proof(Some(other))));
        }
        if author != user
            && !book.bonds.of_two(user, author, Bond::Follow).may_have_been(true, one.at_ms)
        {
            let promise =
                format!("nothing comes of {author}, who is not followed, but {post} did.");
            found.push(wrong(user, promise, proof(None)));
        }
    }
    all
}

fn is_other(book: &Book<'_>, author: &str, post: u64, body: &str) -> bool {
    let client_id = book.numbers.get(&(author, post));
    let posted = client_id.and_then(|client_id| book.posts.get(&(author, *client_id)));
    posted.is_some_and(|posted| !posted.bodies.contains(&body))
}

/// What had to come and did not, by the end.
fn missed(
    book: &Book<'_>,
    user: &str,
    sent: &BTreeMap<(&str, u64), Sent>,
    report: &mut FeedReport,
) {
    for (author, post, posted) in book.told() {
        if !is_for(book, user, author, posted) {
            continue;
        }
        report.expected += 1;
        let sent = sent.get(&(author, post));
        let gone = book.was_gone(author, post, u64::MAX);
        let told = posted.told.map(|(_, _, operation)| operation);
        let proof = told.into_iter().chain(gone).map(Evidence::Operation);
        if gone.is_some() && sent.is_none_or(|sent| sent.deleted.is_none()) {
            let promise =
                format!("word comes of what is taken back, but none came of {post} of {author}.");
            report.violations.push(wrong(user, promise, proof));
        } else if sent.is_none() {
            let promise =
                format!("every post comes, but {post} of {author} did not, who was followed then.");
            report.violations.push(wrong(user, promise, proof));
        }
    }
}

/// Whether it had to come: it is the user's own, or of somebody whom they followed throughout, as far as
/// their side had heard when it was posted.
fn is_for(book: &Book<'_>, user: &str, author: &str, posted: &Posted<'_>) -> bool {
    if author == user {
        // What was there when the run began is older than all that is kept for subscribers, or is not.
        return posted.called_ms > 0;
    }
    let settled = book.history.settled.iter();
    let mut settled = settled.filter(|one| one.follower == user && one.author == author);
    let Some(settled) = settled.next().filter(|one| one.at_ms < posted.called_ms) else {
        return false;
    };
    // Who ever stopped to follow may have missed something until word was there that they had begun again.
    let steady = !book.bonds.of_two(user, author, Bond::Follow).may_have_been(false, u64::MAX);
    let muted = book.bonds.of_two(user, author, Bond::Mute).known(settled.at_ms, u64::MAX);
    steady
        && muted == Known::Off
        && book.bonds.follows(user, author, settled.at_ms, u64::MAX).is_some()
}
