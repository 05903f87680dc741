//! A conversation has one dense order, the same for every reader (I6); a message is sent once (I2), what is
//! acknowledged is not lost and nothing happens that nobody asked for (I1); whoever resumes is sent what
//! follows, once and in order (I7); inboxes are exact once quiet (I12); what waits for a reader, and who
//! waits for an answer, is bounded (I14); and whoever is shown as present is.
//!
//! It is judged from what users were told, what readers were sent, and what is there in the end.

mod book;
mod changes;
mod inboxes;
mod order;
mod readers;
mod sends;
mod standing;

use super::{Evidence, Violation};
use crate::history::chat::{ChatHistory, Happened};
use book::Book;
use serde::Serialize;
use standing::Standings;
use std::collections::BTreeSet;

/// What a history says about conversations.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ChatReport {
    /// Promises that were broken.
    pub violations: Vec<Violation>,
    /// Messages that are there in the end.
    pub messages: u64,
    /// Events that readers were sent.
    pub delivered: u64,
    /// Times that readers asked for what follows.
    pub resumed: u64,
    /// Conversations of inboxes that were compared.
    pub inboxes: u64,
}

/// Judges the history of conversations.
#[must_use]
pub fn check_chat(history: &ChatHistory) -> ChatReport {
    let book = Book::of(history);
    let mut violations = sends::check(&book);
    violations.extend(order::check(&book));
    let (standings, wrong) = Standings::of_all(&book);
    violations.extend(wrong);
    violations.extend(changes::check(&book, &standings));
    let (wrong, delivered, resumed) = readers::check(&book, &standings);
    violations.extend(wrong);
    violations.extend(inboxes::check(&book, &standings));
    violations.extend(waits(history));
    violations.extend(unread(&book));
    let messages = book.sequences.values().flat_map(|sequence| sequence.events.values());
    let messages = messages.filter(|event| matches!(event.happened, Happened::Message { .. }));
    ChatReport {
        violations,
        messages: messages.count() as u64,
        delivered,
        resumed,
        inboxes: history.end.as_ref().map_or(0, |end| end.inboxes.len() as u64),
    }
}

/// Who waited for an answer for longer than they may, whatever it was.
fn waits(history: &ChatHistory) -> Option<Violation> {
    let within_ms = history.answers_within_ms?;
    let waited = |returned_ms: u64, called_ms: u64| returned_ms.saturating_sub(called_ms);
    let waits = history.operations.iter().enumerate().filter_map(|(index, operation)| {
        let (returned_ms, _) = operation.returned.as_ref()?;
        Some((waited(*returned_ms, operation.called_ms), index))
    });
    let (longest_ms, index) = waits.max().filter(|(longest_ms, _)| *longest_ms > within_ms)?;
    Some(violation(
        "I14",
        history.operations[index].user.as_str(),
        format!(
            "what is asked is answered within {within_ms} ms, but somebody waited for {longest_ms} ms."
        ),
        [Evidence::Operation(index)],
    ))
}

/// Conversations of which nobody knows what there is: nothing was proved of them.
fn unread(book: &Book<'_>) -> Vec<Violation> {
    let asked = book.history.operations.iter().map(|operation| &operation.conversation);
    let read = book.history.readers.iter().map(|reader| &reader.conversation);
    let all: BTreeSet<&str> = asked.chain(read).map(String::as_str).collect();
    let unread = all.into_iter().filter(|name| !book.sequences.contains_key(name));
    let wrong = unread.map(|name| {
        let promise = format!("what is there of {name} can be read in the end, but nobody has.");
        violation("I1", format!("everyone who reads {name}"), promise, [])
    });
    wrong.collect()
}

fn violation(
    invariant: &'static str,
    whom: impl Into<String>,
    promise: String,
    events: impl IntoIterator<Item = Evidence>,
) -> Violation {
    let events: BTreeSet<Evidence> = events.into_iter().collect();
    Violation { invariant, promise, whom: whom.into(), events: events.into_iter().collect() }
}
