//! I1: what happens to messages and members was asked for, and what was acknowledged of it is so.

use super::{
    Book, Standings,
    book::{Sequence, Wish},
    violation,
};
use crate::{
    checker::{Evidence, Violation},
    history::chat::{Event, Happened, Operation, Outcome, Request},
};
use std::collections::BTreeMap;

pub(super) fn check(book: &Book<'_>, standings: &BTreeMap<&str, Standings<'_>>) -> Vec<Violation> {
    let mut found = Vec::new();
    for (name, sequence) in &book.sequences {
        found.extend(unasked(book, name, sequence));
        found.extend(sequence.events.values().filter_map(|event| kept(name, sequence, event)));
    }
    for (index, operation) in book.history.operations.iter().enumerate() {
        if let Some(standings) = standings.get(operation.conversation.as_str()) {
            found.extend(forgotten(book, standings, (index, operation)));
        }
    }
    found
}

/// Each event is some operation's, and no operation has two.
fn unasked<'h>(book: &Book<'h>, name: &'h str, sequence: &Sequence<'h>) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut count: BTreeMap<Wish<'_>, usize> = BTreeMap::new();
    for event in sequence.events.values() {
        let wish = match Wish::of_event(event) {
            // These are looked at elsewhere: by their names, and by where markers may be.
            None | Some(Wish::Message { .. } | Wish::Read { .. }) => continue,
            // What it said nobody knows any more.
            Some(Wish::Edited { message, .. })
                if sequence.is_blank(event) && book.asked_to_edit(name, message) =>
            {
                continue;
            }
            Some(wish) => wish,
        };
        let count = count.entry(wish).or_default();
        *count += 1;
        let asked = book.asked(name, wish);
        if *count > asked.len() {
            found.push(violation(
                "I1",
                format!("everyone who reads {name}"),
                format!(
                    "nothing happens more often than somebody asked for it, but {} is {:?}, which was \
                     asked for {} times.",
                    event.seq,
                    event.happened,
                    asked.len()
                ),
                asked.iter().copied().map(Evidence::Operation),
            ));
        }
    }
    found
}

/// What was taken back says nothing any more.
fn kept(name: &str, sequence: &Sequence<'_>, event: &Event) -> Option<Violation> {
    let (Happened::Message { body, .. } | Happened::Edited { body, .. }) = &event.happened else {
        return None;
    };
    (sequence.is_blank(event) && !body.is_empty()).then(|| {
        let promise =
            format!("what is taken back is kept nowhere, but {} still says {body}.", event.seq);
        violation("I1", format!("everyone who reads {name}"), promise, [])
    })
}

/// An answer about a marker or a member that is true at no time, or not in the end.
fn forgotten(
    book: &Book<'_>,
    standings: &Standings<'_>,
    (index, operation): (usize, &Operation),
) -> Option<Violation> {
    let user = operation.user.as_str();
    let promise = match (&operation.request, &operation.returned) {
        (_, Some((_, Outcome::Read { seq, unread }))) => {
            let was_so = standings.ever.contains(&(user, *seq, *unread));
            (!was_so).then(|| {
                format!(
                    "a marker is where it was said to be, but {unread} unread after {seq} was never \
                     so."
                )
            })
        }
        (request @ (Request::Join | Request::Leave), Some((_, Outcome::Done { .. }))) => {
            let is_member = standings.last.contains_key(user);
            let joined = *request == Request::Join;
            let is_last = || !may_be_undone(book, operation);
            (is_member != joined && is_last()).then(|| {
                let (is, said) = if joined { ("no", "a") } else { ("a", "no") };
                format!("who was said to be {said} member is, but in the end they are {is} member.")
            })
        }
        _ => None,
    }?;
    Some(violation("I1", user, promise, [Evidence::Operation(index)]))
}

/// Whether the opposite may have happened after it.
fn may_be_undone(book: &Book<'_>, operation: &Operation) -> bool {
    let user = operation.user.as_str();
    let opposite = match operation.request {
        Request::Join => Wish::Left { user },
        _ => Wish::Joined { user },
    };
    book.asked(&operation.conversation, opposite).iter().any(|index| {
        match book.history.operations[*index].returned {
            Some((returned_ms, Outcome::Done { .. })) => returned_ms >= operation.called_ms,
            // It may yet come.
            _ => true,
        }
    })
}
