//! A history of conversations in plain words.

use crate::{
    checker::{Evidence, Violation},
    history::chat::{ChatHistory, Delivery, Event, Happened, Operation, Outcome, Request, Seen},
};
use std::collections::BTreeSet;

/// What users asked of the conversations that a violation is about and what the readers that it is about
/// were sent, in order of time, up to the last thing that proves it.
pub(super) fn describe(told: &ChatHistory, violation: Option<&Violation>) -> Vec<String> {
    let proof = violation.map_or(&[][..], |violation| &violation.events);
    let about = About::of(told, proof);
    let operations = told.operations.iter().enumerate();
    let asked = operations.filter(|(_, one)| about.is_in(&one.conversation));
    let asked = asked.map(|(index, one)| (one.called_ms, operation(index, one)));
    let seen = told.seen.iter().filter(|one| about.readers.contains(&one.reader));
    let seen = seen.map(|one| (one.at_ms, sent(told, one)));
    let mut lines: Vec<(u64, String)> = asked.chain(seen).collect();
    lines.retain(|(at_ms, _)| about.until_ms.is_none_or(|until_ms| *at_ms <= until_ms));
    // What is of the same moment stays as it is: what was asked, then what was sent.
    lines.sort_by_key(|(at_ms, _)| *at_ms);
    lines.into_iter().map(|(_, line)| line).collect()
}

/// What a violation is about.
#[derive(Default)]
struct About<'h> {
    /// None: all.
    conversations: BTreeSet<&'h str>,
    readers: BTreeSet<usize>,
    until_ms: Option<u64>,
}

impl<'h> About<'h> {
    fn of(told: &'h ChatHistory, proof: &[Evidence]) -> Self {
        let mut about = Self::default();
        for evidence in proof {
            let (conversation, at_ms) = match evidence {
                Evidence::Operation(index) => {
                    let operation = &told.operations[*index];
                    let returned_ms = operation.returned.as_ref().map(|(at_ms, _)| *at_ms);
                    (&operation.conversation, returned_ms.unwrap_or(operation.called_ms))
                }
                Evidence::Event(index) => {
                    let seen = &told.seen[*index];
                    about.readers.insert(seen.reader);
                    (&told.readers[seen.reader].conversation, seen.at_ms)
                }
            };
            about.conversations.insert(conversation);
            about.until_ms = about.until_ms.max(Some(at_ms));
        }
        about
    }

    fn is_in(&self, conversation: &str) -> bool {
        self.conversations.is_empty() || self.conversations.contains(conversation)
    }
}

fn operation(index: usize, operation: &Operation) -> String {
    let Operation { user, conversation, request, called_ms, returned } = operation;
    let asked = match request {
        Request::Send { client_id, body } => {
            format!("says {body} in {conversation} as {client_id}")
        }
        Request::Edit { message, body } => format!("has {message} of {conversation} say {body}"),
        Request::Delete { message } => format!("takes {message} of {conversation} back"),
        Request::Read { message } => format!("has read {conversation} up to {message}"),
        Request::Join => format!("joins {conversation}"),
        Request::Leave => format!("leaves {conversation}"),
    };
    let (when, heard) = match returned {
        None => ("?".to_owned(), "never heard of it again".to_owned()),
        Some((at_ms, outcome)) => (at_ms.to_string(), words(outcome)),
    };
    format!("{index:>2}. [{called_ms:>4}–{when:>4} ms] {user} {asked}: {heard}")
}

fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Sent { seq, duplicate: false } => format!("it is {seq}"),
        Outcome::Sent { seq, duplicate: true } => format!("it was there, as {seq}"),
        Outcome::Done { seq: Some(seq) } => format!("done, by {seq}"),
        Outcome::Done { seq: None } => "it is so".to_owned(),
        Outcome::Read { seq, unread } => format!("up to {seq}, and {unread} are unread"),
        Outcome::Refused(code) => format!("no: {code}"),
        Outcome::TurnedAway(why) => format!("turned away, no effect: {why}"),
        Outcome::Unknown => "no answer; it may or may not have happened".to_owned(),
    }
}

fn sent(told: &ChatHistory, Seen { reader, at_ms, what }: &Seen) -> String {
    let reader = &told.readers[*reader].name;
    let what = match what {
        Delivery::Began { after: 0 } => "asks for everything".to_owned(),
        Delivery::Began { after } => format!("asks for what follows {after}"),
        Delivery::Event(Event { seq, happened, .. }) => {
            format!("is sent {seq}: {}", event(happened))
        }
        Delivery::Reset { seq } => format!("is told that it is gone, and to go on after {seq}"),
        Delivery::Ended => "is told that nothing more comes".to_owned(),
    };
    format!("    [{at_ms:>9} ms] {reader} {what}")
}

fn event(happened: &Happened) -> String {
    match happened {
        Happened::Created { .. } => "the conversation is new".to_owned(),
        Happened::Message { sender, body, .. } => format!("{sender} says {body}"),
        Happened::Edited { message, body } => format!("{message} says {body}"),
        Happened::Deleted { message } => format!("{message} was taken back"),
        Happened::Read { user, message } => format!("{user} has read up to {message}"),
        Happened::Joined { user } => format!("{user} is a member"),
        Happened::Left { user } => format!("{user} is no member any more"),
        Happened::Other(name) => name.clone(),
    }
}
