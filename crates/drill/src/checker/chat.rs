//! A conversation has one dense order, the same for every reader (I6); a message is sent once (I2) and
//! is not lost (I1); whoever resumes is sent what follows, once and in order (I7); inboxes are exact once
//! quiet (I12); what waits for a reader is bounded (I14); and whoever is shown as present is.
//!
//! It is judged from what users were told, what readers were sent, and what is there in the end.

mod inboxes;
mod order;
mod readers;
mod sends;

use super::{Evidence, Violation};
use crate::history::chat::{ChatHistory, Event, Happened};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

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
    let sequences = Sequences::of(history);
    let mut violations = sends::check(history, &sequences);
    violations.extend(order::check(history, &sequences));
    let (wrong, delivered, resumed) = readers::check(history, &sequences);
    violations.extend(wrong);
    violations.extend(inboxes::check(history, &sequences));
    let messages = sequences.0.values().flat_map(|sequence| sequence.events.values());
    let messages = messages.filter(|event| matches!(event.happened, Happened::Message { .. }));
    ChatReport {
        violations,
        messages: messages.count() as u64,
        delivered,
        resumed,
        inboxes: history.end.as_ref().map_or(0, |end| end.inboxes.len() as u64),
    }
}

/// What is there of each conversation in the end.
struct Sequences<'h>(BTreeMap<&'h str, Sequence<'h>>);

#[derive(Default)]
struct Sequence<'h> {
    events: BTreeMap<u64, &'h Event>,
    /// Messages that were taken back: what they said is nowhere any more.
    deleted: BTreeSet<u64>,
}

impl<'h> Sequences<'h> {
    fn of(history: &'h ChatHistory) -> Self {
        let ends = history.end.iter().flat_map(|end| &end.conversations);
        let sequences = ends.map(|(name, events)| {
            let mut sequence = Sequence::default();
            for event in events {
                sequence.events.insert(event.seq, event);
                if let Happened::Deleted { message } = event.happened {
                    sequence.deleted.insert(message);
                }
            }
            (name.as_str(), sequence)
        });
        Self(sequences.collect())
    }

    /// None: nobody knows what is there of it.
    fn get(&self, conversation: &str) -> Option<&Sequence<'h>> {
        self.0.get(conversation)
    }
}

impl Sequence<'_> {
    /// Whether `seen` is what is there, but for what was taken back since.
    fn agrees(&self, seen: &Event) -> bool {
        let Some(there) = self.events.get(&seen.seq) else { return false };
        let blank = |event: &Event| {
            let mut event = event.clone();
            match &mut event.happened {
                Happened::Message { body, .. } if self.deleted.contains(&event.seq) => body.clear(),
                Happened::Edited { message, body } if self.deleted.contains(message) => {
                    body.clear();
                }
                _ => {}
            }
            event
        };
        **there == *seen || **there == blank(seen)
    }

    fn last(&self) -> u64 {
        self.events.last_key_value().map_or(0, |(seq, _)| *seq)
    }
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
