//! I1, I2: what was acknowledged is there, once, and nothing is there that nobody asked for.

use super::{
    Book,
    book::{Sequence, Wish},
    violation,
};
use crate::{
    checker::{Evidence, Violation},
    history::chat::{ChatHistory, Event, Happened, Operation, Outcome, Request},
};
use std::collections::BTreeMap;

/// A message by its sender's name for it: conversation, sender, client id.
type Name<'h> = (&'h str, &'h str, &'h str);

/// What was asked and answered under a name.
#[derive(Default)]
struct Asked<'h> {
    body: &'h str,
    /// Attempts that may have had an effect.
    attempts: Vec<usize>,
    /// Where it was said to be, by which operation.
    told: Option<(u64, usize)>,
}

pub(super) fn check(book: &Book<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    let asked = asked(book.history, &mut found);
    found.extend(lost(book));
    let mut there: BTreeMap<Name<'_>, u64> = BTreeMap::new();
    for (conversation, sequence) in &book.sequences {
        for event in sequence.events.values() {
            let Happened::Message { sender, client_id, body } = &event.happened else { continue };
            let name = (*conversation, sender.as_str(), client_id.as_str());
            let known = asked.get(&name);
            let attempts = known.map(|asked| asked.attempts.as_slice()).unwrap_or_default();
            let evidence = attempts.iter().copied().map(Evidence::Operation);
            if let Some(before) = there.insert(name, event.seq) {
                found.push(violation(
                    "I2",
                    format!("everyone who reads {conversation}, and {sender}"),
                    format!(
                        "a message is sent once for its client id, but {client_id} of {sender} is \
                         there as {before} and as {}.",
                        event.seq
                    ),
                    evidence,
                ));
            } else if known.is_none_or(|asked| asked.attempts.is_empty()) {
                found.push(violation(
                    "I1",
                    format!("everyone who reads {conversation}"),
                    format!(
                        "nothing is said that nobody said, but {client_id} of {sender} is there as \
                         {}.",
                        event.seq
                    ),
                    [],
                ));
            } else if known.is_some_and(|asked| asked.body != body)
                && !sequence.deleted.contains(&event.seq)
            {
                found.push(violation(
                    "I1",
                    sender.as_str(),
                    format!("a message says what was sent, but {} says {body}.", event.seq),
                    evidence,
                ));
            }
        }
    }
    found
}

/// What was asked, and by the way whether one name was told two places.
fn asked<'h>(
    history: &'h ChatHistory,
    found: &mut Vec<Violation>,
) -> BTreeMap<Name<'h>, Asked<'h>> {
    let mut all: BTreeMap<Name<'_>, Asked<'_>> = BTreeMap::new();
    for (index, operation) in history.operations.iter().enumerate() {
        let Request::Send { client_id, body } = &operation.request else { continue };
        let name = (operation.conversation.as_str(), operation.user.as_str(), client_id.as_str());
        let asked = all.entry(name).or_default();
        asked.body = body;
        if operation.may_have_happened() {
            asked.attempts.push(index);
        }
        if let Some((_, Outcome::Sent { seq, .. })) = operation.returned {
            match asked.told {
                Some((before, other)) if before != seq => found.push(violation(
                    "I2",
                    operation.user.as_str(),
                    format!(
                        "a message has one place, but of {client_id} it was said to be {before} and \
                         {seq}."
                    ),
                    [other, index].map(Evidence::Operation),
                )),
                _ => asked.told = Some((seq, index)),
            }
        }
    }
    all
}

/// What was acknowledged is there.
fn lost(book: &Book<'_>) -> Vec<Violation> {
    let operations = book.history.operations.iter().enumerate();
    let lost = operations.filter_map(|(index, operation)| {
        let (_, outcome) = operation.returned.as_ref()?;
        let sequence = book.sequences.get(operation.conversation.as_str())?;
        let seq = match (operation.seq(), outcome) {
            (Some(seq), _) => seq,
            (None, Outcome::Done { .. }) => {
                return (!is_so(sequence, operation)).then(|| {
                    let promise = "what was said to be so already is, but it never was.";
                    gone(index, operation, promise.to_owned())
                });
            }
            _ => return None,
        };
        let there = sequence.events.get(&seq).copied();
        let is_it = there.is_some_and(|there| match (Wish::of_event(there), &operation.request) {
            // What it says is looked at with the message, and by the name it may be another's.
            (
                Some(Wish::Message { sender, client_id, .. }),
                Request::Send { client_id: as_, .. },
            ) => sender == operation.user && client_id == as_,
            (Some(Wish::Edited { message, body }), Request::Edit { message: of, body: asked }) => {
                message == *of && (body == asked || sequence.is_blank(there))
            }
            (wish, _) => wish == Some(Wish::of_operation(operation)),
        });
        (!is_it).then(|| {
            let there = there.map_or("nothing".to_owned(), |there| format!("{:?}", there.happened));
            let promise = format!(
                "what was acknowledged is there, but at {seq} of {} is {there}.",
                operation.conversation
            );
            gone(index, operation, promise)
        })
    });
    lost.collect()
}

/// Whether a change that was said to be no change can have been none. Who is a member is looked at with
/// members.
fn is_so(sequence: &Sequence<'_>, operation: &Operation) -> bool {
    let says = |event: &Event, message: u64, as_: &str| match &event.happened {
        Happened::Message { body, .. } => event.seq == message && body == as_,
        Happened::Edited { message: of, body } => *of == message && body == as_,
        _ => false,
    };
    match &operation.request {
        Request::Edit { message, body } => {
            sequence.deleted.contains(message)
                || sequence.events.values().any(|event| says(event, *message, body))
        }
        Request::Delete { message } => sequence.deleted.contains(message),
        _ => true,
    }
}

fn gone(index: usize, operation: &Operation, promise: String) -> Violation {
    violation("I1", operation.user.as_str(), promise, [Evidence::Operation(index)])
}
