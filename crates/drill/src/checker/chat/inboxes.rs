//! I12: once quiet, an inbox has what a count of the conversation gives, once.

use super::{Sequence, Sequences, violation};
use crate::{
    checker::Violation,
    history::chat::{ChatHistory, Happened, InboxEntry},
};
use std::collections::BTreeMap;

pub(super) fn check(history: &ChatHistory, sequences: &Sequences<'_>) -> Vec<Violation> {
    let Some(end) = &history.end else { return Vec::new() };
    let mut found = Vec::new();
    let mut told: BTreeMap<(&str, &str), &InboxEntry> = BTreeMap::new();
    for entry in &end.inboxes {
        let key = (entry.conversation.as_str(), entry.user.as_str());
        if told.insert(key, entry).is_some() {
            found.push(wrong(&entry.user, &entry.conversation, "it is there twice"));
        }
    }
    for (conversation, sequence) in &sequences.0 {
        for (user, (unread, read)) in members(sequence) {
            let last = sequence.last();
            match told.remove(&(*conversation, user)) {
                None => found.push(wrong(user, conversation, "it is not there")),
                Some(entry) if (entry.unread, entry.read) != (unread, read) => {
                    found.push(wrong(
                        user,
                        conversation,
                        &format!(
                            "it says that {} are unread after {}, of {}, and {unread} are after \
                             {read}, of {last}",
                            entry.unread, entry.read, entry.last
                        ),
                    ));
                }
                Some(_) => {}
            }
        }
    }
    for (conversation, user) in told.into_keys() {
        found.push(wrong(user, conversation, "they are no member of it"));
    }
    found
}

/// Every member, what is unread to them, and their marker: by counting.
fn members<'s>(sequence: &'s Sequence<'_>) -> BTreeMap<&'s str, (u64, u64)> {
    let mut markers: BTreeMap<&str, u64> = BTreeMap::new();
    for event in sequence.events.values() {
        match &event.happened {
            Happened::Created { members } => {
                markers.extend(members.iter().map(|user| (user.as_str(), event.seq - 1)));
            }
            Happened::Joined { user } => {
                markers.insert(user, event.seq - 1);
            }
            Happened::Left { user } => {
                markers.remove(user.as_str());
            }
            Happened::Read { user, message } => {
                markers.insert(user, *message);
            }
            _ => {}
        }
    }
    let unread = |user: &str, marker: u64| {
        let after = sequence.events.range(marker + 1..);
        let unread = after.filter(|(seq, event)| {
            let is_others = matches!(&event.happened, Happened::Message { sender, .. }
                if sender != user);
            is_others && !sequence.deleted.contains(seq)
        });
        unread.count() as u64
    };
    markers.into_iter().map(|(user, marker)| (user, (unread(user, marker), marker))).collect()
}

fn wrong(user: &str, conversation: &str, how: &str) -> Violation {
    violation(
        "I12",
        user,
        format!("once quiet, an inbox says exactly what is unread, but of {conversation} {how}."),
        [],
    )
}
