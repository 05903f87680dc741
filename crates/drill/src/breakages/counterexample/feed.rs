//! A history of feeds in plain words.

use crate::{
    checker::{Evidence, Violation},
    history::feed::{Bond, Delivery, FeedHistory, Item, Operation, Outcome, Page, Request, Seen},
};
use std::collections::BTreeSet;

/// What the users that a violation is about asked, and what the subscribers that it is about were sent, in
/// order of time, up to the last thing that proves it. What was there before is told if it proves something.
pub(super) fn describe(told: &FeedHistory, violation: Option<&Violation>) -> Vec<String> {
    let proof = violation.map_or(&[][..], |violation| &violation.events);
    let (mut users, mut subscribers, mut until_ms) = (BTreeSet::new(), BTreeSet::new(), None);
    for evidence in proof {
        let at_ms = match evidence {
            Evidence::Operation(index) => {
                let operation = &told.operations[*index];
                users.insert(operation.user.as_str());
                operation.returned.as_ref().map_or(operation.called_ms, |(at_ms, _)| *at_ms)
            }
            Evidence::Event(index) => {
                let seen = &told.seen[*index];
                subscribers.insert(seen.subscriber);
                seen.at_ms
            }
        };
        until_ms = until_ms.max(Some(at_ms));
    }
    let operations = told.operations.iter().enumerate();
    let asked = operations.filter(|(index, one)| {
        proof.contains(&Evidence::Operation(*index))
            || one.called_ms > 0 && (users.is_empty() || users.contains(one.user.as_str()))
    });
    let asked = asked.map(|(index, one)| (one.called_ms, operation(index, one)));
    let seen = told.seen.iter().filter(|one| subscribers.contains(&one.subscriber));
    let seen = seen.map(|one| (one.at_ms, sent(told, one)));
    let mut lines: Vec<(u64, String)> = asked.chain(seen).collect();
    lines.retain(|(at_ms, _)| until_ms.is_none_or(|until_ms| *at_ms <= until_ms));
    lines.sort_by_key(|(at_ms, _)| *at_ms);
    lines.into_iter().map(|(_, line)| line).collect()
}

fn operation(index: usize, operation: &Operation) -> String {
    let Operation { user, request, called_ms, returned } = operation;
    let asked = match request {
        Request::Post { client_id, body } => format!("posts {body} as {client_id}"),
        Request::Delete { post } => format!("takes {post} back"),
        Request::Set { bond, other, on } => {
            let verb = match bond {
                Bond::Follow => "follow",
                Bond::Block => "block",
                Bond::Mute => "mute",
            };
            if *on {
                format!("{verb}s {other}")
            } else {
                format!("does not {verb} {other} any more")
            }
        }
        Request::React { author, post, kind, on } => {
            let verb = if *on { "reacts" } else { "does not react any more" };
            format!("{verb} with {kind} to {post} of {author}")
        }
        Request::Read { of, before, in_session, .. } => {
            let from = before.as_ref().map_or("the newest".to_owned(), |(post, author)| {
                format!("what is before {post} of {author}")
            });
            let session = if *in_session { "" } else { ", whatever they have seen" };
            format!("reads the timeline of {of} from {from}{session}")
        }
    };
    let (when, heard) = match returned {
        None => ("?".to_owned(), "never heard of it again".to_owned()),
        Some((at_ms, outcome)) => (at_ms.to_string(), words(outcome)),
    };
    format!("{index:>2}. [{called_ms:>4}–{when:>4} ms] {user} {asked}: {heard}")
}

fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Posted { post, duplicate: false } => format!("it is {post}"),
        Outcome::Posted { post, duplicate: true } => format!("it was there, as {post}"),
        Outcome::Done { changed: true } => "done".to_owned(),
        Outcome::Done { changed: false } => "it was so already".to_owned(),
        Outcome::Page(page) => read(page),
        Outcome::Refused(code) => format!("no: {code}"),
        Outcome::TurnedAway(why) => format!("turned away, no effect: {why}"),
        Outcome::Unknown => "no answer; it may or may not have happened".to_owned(),
    }
}

fn read(Page { items, is_last, offset, complete_to_ms }: &Page) -> String {
    let items: Vec<String> =
        items.iter().map(|Item { post, body, .. }| format!("{post} {body}")).collect();
    let more = if *is_last { "" } else { ", and more" };
    let complete = complete_to_ms.map(|at_ms| format!(", with all that is older than {at_ms} ms"));
    let offset = offset.map(|offset| format!(" (offset {offset})"));
    let (complete, offset) = (complete.unwrap_or_default(), offset.unwrap_or_default());
    format!("[{}{more}]{complete}{offset}", items.join(", "))
}

fn sent(told: &FeedHistory, Seen { subscriber, at_ms, sequence, what }: &Seen) -> String {
    let user = &told.subscribers[*subscriber].user;
    let what = match what {
        Delivery::Posted { author, post, body } => format!("{author} posted {body}, {post}"),
        Delivery::Deleted { author, post } => format!("{author} took {post} back"),
        Delivery::Reset => "what follows is gone".to_owned(),
    };
    format!("    [{at_ms:>9} ms] {user}, who follows, is sent {sequence}: {what}")
}
