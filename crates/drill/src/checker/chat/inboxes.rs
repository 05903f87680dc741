//! I12: once quiet, an inbox has what a count of the conversation gives, once.

use super::{Book, Standings, violation};
use crate::{checker::Violation, history::chat::InboxEntry};
use std::collections::BTreeMap;

pub(super) fn check(book: &Book<'_>, standings: &BTreeMap<&str, Standings<'_>>) -> Vec<Violation> {
    let Some(end) = &book.history.end else { return Vec::new() };
    let mut found = Vec::new();
    let mut told: BTreeMap<(&str, &str), &InboxEntry> = BTreeMap::new();
    for entry in &end.inboxes {
        let key = (entry.conversation.as_str(), entry.user.as_str());
        if told.insert(key, entry).is_some() {
            found.push(wrong(&entry.user, &entry.conversation, "it is there twice"));
        }
    }
    for (conversation, sequence) in &book.sequences {
        let members = standings.get(conversation).into_iter().flat_map(|all| &all.last);
        for (user, stands) in members {
            let Some(entry) = told.remove(&(*conversation, *user)) else {
                found.push(wrong(user, conversation, "it is not there"));
                continue;
            };
            let InboxEntry { unread, read, last, .. } = entry;
            if *unread != stands.unread || !stands.read.contains(read) {
                let (is_unread, after) = (stands.unread, stands.read.end());
                let how = format!(
                    "it says that {unread} are unread after {read}, and {is_unread} are after {after}"
                );
                found.push(wrong(user, conversation, &how));
            } else if !(stands.told..=sequence.last()).contains(last) {
                let how = format!(
                    "it knows of what is up to {last}, and was to be told of {} and there is no \
                     more than {}",
                    stands.told,
                    sequence.last()
                );
                found.push(wrong(user, conversation, &how));
            }
        }
    }
    for (conversation, user) in told.into_keys() {
        found.push(wrong(user, conversation, "they are no member of it"));
    }
    found
}

fn wrong(user: &str, conversation: &str, how: &str) -> Violation {
    violation(
        "I12",
        user,
        format!("once quiet, an inbox says exactly what is unread, but of {conversation} {how}."),
        [],
    )
}
