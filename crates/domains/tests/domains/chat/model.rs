//! What a conversation is, without any of what makes it fast.

use super::House;
use evenkeel_domains::chat::{ChatEvent, From, Role};
use evenkeel_engine::Time;
use std::collections::{BTreeMap, BTreeSet};

/// A message.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) seq: u64,
    pub(crate) sender: String,
    pub(crate) body: String,
    pub(crate) deleted: bool,
    pub(crate) reactions: BTreeSet<(String, String)>,
}

/// Somebody in it.
#[derive(Debug, Clone)]
pub(crate) struct In {
    pub(crate) role: Role,
    pub(crate) marker: u64,
    pub(crate) joined_at: Time,
}

/// A conversation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Talk {
    /// Kinds of events, in order; the first is number 1.
    pub(crate) events: Vec<&'static str>,
    pub(crate) said: Vec<Said>,
    pub(crate) members: BTreeMap<String, In>,
    pub(crate) last_message_at: Time,
}

impl Talk {
    /// Something happens; answers its number.
    pub(crate) fn happen(&mut self, kind: &'static str) -> u64 {
        self.events.push(kind);
        self.events.len() as u64
    }

    pub(crate) fn enter(&mut self, user: &str, role: Role, now: Time) {
        let marker = self.events.len() as u64;
        self.members.insert(user.to_owned(), In { role, marker, joined_at: now });
    }

    /// By definition.
    pub(crate) fn unread(&self, user: &str) -> u64 {
        let marker = self.members[user].marker;
        let counts = |said: &&Said| said.seq > marker && said.sender != user && !said.deleted;
        self.said.iter().filter(counts).count() as u64
    }

    pub(crate) fn message(&mut self, seq: u64) -> Option<&mut Said> {
        self.said.iter_mut().find(|said| said.seq == seq)
    }

    /// Compares everything that can be read of it, `kept` events of which the newest are.
    pub(crate) fn check(&self, name: &str, house: &House) {
        let members = house.members(name);
        assert_eq!(members.keys().collect::<Vec<_>>(), self.members.keys().collect::<Vec<_>>());
        for (user, view) in &members {
            let known = &self.members[user];
            assert_eq!((view.role, view.read), (known.role, known.marker), "{user}");
            assert_eq!(view.unread, self.unread(user), "unread of {user} in {name}: {self:?}");
        }
        let events = house.all_events(name, 3);
        let first = self.events.len() + 1 - events.len();
        for (at, view) in events.iter().enumerate() {
            let number = first + at;
            assert_eq!(super::seq(view), number as u64, "dense");
            assert_eq!(kind(&view.event), self.events[number - 1], "the same for every reader");
        }
        self.check_history(name, house, first as u64);
    }

    fn check_history(&self, name: &str, house: &House, first: u64) {
        let kept: Vec<&Said> = self.said.iter().filter(|said| said.seq >= first).collect();
        let upwards = house.all_messages(name, From::After(0));
        let mut downwards = house.all_messages(name, From::Before(u64::MAX));
        downwards.reverse();
        assert_eq!(upwards, downwards, "both ways are the same");
        assert_eq!(upwards.len(), kept.len(), "no message is passed over");
        for (view, said) in upwards.iter().zip(kept) {
            assert_eq!(view.seq, said.seq);
            assert_eq!(view.message.is_deleted(), said.deleted);
            let body = if said.deleted { "" } else { said.body.as_str() };
            assert_eq!(view.message.body, body, "what it says now");
            let mut counts: BTreeMap<String, u64> = BTreeMap::new();
            for (kind, _) in &said.reactions {
                *counts.entry(kind.clone()).or_default() += 1;
            }
            assert_eq!(view.reactions, counts.into_iter().collect::<Vec<_>>());
        }
    }
}

/// The kind of an event, by a word.
pub(crate) fn kind(event: &ChatEvent) -> &'static str {
    use evenkeel_domains::chat::What;
    match event {
        ChatEvent::Message(_) => "message",
        ChatEvent::Happening(happening) => match happening.what {
            What::Created { .. } => "created",
            What::Edited { .. } => "edited",
            What::Deleted { .. } => "deleted",
            What::Reacted { .. } => "reacted",
            What::Unreacted { .. } => "unreacted",
            What::Read { .. } => "read",
            What::MemberAdded { .. } => "added",
            What::MemberChanged { .. } => "changed",
            What::MemberRemoved { .. } => "removed",
            What::RetentionChanged { .. } => "retention",
        },
    }
}
