//! I6: one dense order, in which what was answered before something else was asked comes before it.

use super::{Sequence, Sequences, violation};
use crate::{
    checker::{Evidence, Violation},
    history::chat::{ChatHistory, Outcome, Request},
};
use std::collections::BTreeMap;

pub(super) fn check(history: &ChatHistory, sequences: &Sequences<'_>) -> Vec<Violation> {
    let dense = sequences.0.iter().filter_map(|(name, sequence)| is_dense(name, sequence));
    dense.chain(follows(history)).collect()
}

fn is_dense(conversation: &str, sequence: &Sequence<'_>) -> Option<Violation> {
    let events = sequence.events.values();
    let wrong = events.clone().zip(events.skip(1)).find_map(|(one, next)| {
        if next.seq != one.seq + 1 {
            Some(format!("a sequence is dense, but event {} follows {}.", next.seq, one.seq))
        } else if next.at_ms < one.at_ms {
            let (at, before) = (next.at_ms, one.at_ms);
            Some(format!(
                "time does not go back, but event {} is of {at} ms and the one before of {before}.",
                next.seq
            ))
        } else {
            None
        }
    })?;
    Some(violation("I6", format!("everyone who reads {conversation}"), wrong, []))
}

/// A message as its sender knows it: all attempts under one client id.
#[derive(Clone, Copy)]
struct Known {
    seq: u64,
    /// When it was first asked for.
    called_ms: u64,
    /// When it was first said to be there, and by which operation.
    told_ms: u64,
    operation: usize,
}

/// A message that was asked for after another was acknowledged comes after it.
fn follows(history: &ChatHistory) -> Vec<Violation> {
    let mut found = Vec::new();
    for (conversation, messages) in known(history) {
        let mut by_call: Vec<Known> = messages.clone();
        by_call.sort_by_key(|known| known.called_ms);
        let mut by_told = messages;
        by_told.sort_by_key(|known| known.told_ms);
        let mut told = by_told.iter().peekable();
        let mut last: Option<Known> = None;
        for known in by_call {
            while let Some(before) = told.next_if(|before| before.told_ms < known.called_ms) {
                last = last.filter(|last| last.seq > before.seq).or(Some(*before));
            }
            if let Some(before) = last.filter(|before| before.seq >= known.seq) {
                found.push(violation(
                    "I6",
                    format!("everyone who reads {conversation}"),
                    format!(
                        "what is sent after a message was acknowledged comes after it, but {} was \
                         given to one that was sent once {} was acknowledged.",
                        known.seq, before.seq
                    ),
                    [before.operation, known.operation].map(Evidence::Operation),
                ));
                break;
            }
        }
    }
    found
}

fn known(history: &ChatHistory) -> BTreeMap<&str, Vec<Known>> {
    let mut groups: BTreeMap<(&str, &str, &str), (u64, Option<Known>)> = BTreeMap::new();
    for (index, operation) in history.operations.iter().enumerate() {
        let Request::Send { client_id, .. } = &operation.request else { continue };
        let key = (operation.conversation.as_str(), operation.user.as_str(), client_id.as_str());
        let (called_ms, known) = groups.entry(key).or_insert((operation.called_ms, None));
        *called_ms = operation.called_ms.min(*called_ms);
        if let Some((told_ms, Outcome::Sent { seq, .. })) = operation.returned
            && known.is_none_or(|known| told_ms < known.told_ms)
        {
            *known = Some(Known { seq, called_ms: *called_ms, told_ms, operation: index });
        }
    }
    let mut of_conversations: BTreeMap<&str, Vec<Known>> = BTreeMap::new();
    for ((conversation, ..), (called_ms, known)) in groups {
        if let Some(known) = known {
            of_conversations.entry(conversation).or_default().push(Known { called_ms, ..known });
        }
    }
    of_conversations
}
