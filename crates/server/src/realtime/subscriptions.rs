//! What one connection follows.

use bytes::Bytes;
use evenkeel_domains::chat::{EventView, Start};
use evenkeel_engine::Entity;
use evenkeel_node::Follow;
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

/// Conversations that one connection may follow.
pub(super) const SUBSCRIPTIONS_MAX: usize = 1_024;

/// Typing is not told again so soon.
const TYPING_EVERY: Duration = Duration::from_secs(1);

/// A conversation that is followed.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) conversation: Arc<str>,
    /// For as long as this lives, what comes is sent.
    pub(super) follow: Arc<Follow>,
    /// Known once its first page was read.
    pub(super) entity: Option<Entity>,
    /// What its client called the wish for it; taken when that is answered.
    pub(super) id: super::frames::Id,
    pub(super) is_announced: bool,
    /// What was last said of typing, and when.
    pub(super) typed: Option<(bool, Instant)>,
}

impl Subscription {
    /// Whether what is said of typing was said a moment ago: everybody who is there hears of it, and need not
    /// hear it again so soon.
    pub(super) fn says_again(&mut self, is_so: bool) -> bool {
        let now = Instant::now();
        let again = self.typed.is_some_and(|(said, at)| said == is_so && now < at + TYPING_EVERY);
        if !again {
            self.typed = Some((is_so, now));
        }
        again
    }
}

/// All of a connection's.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    all: HashMap<u32, Subscription>,
    by_name: HashMap<Arc<str>, u32>,
    last: u32,
    /// Those that have something to read before they are sent what comes, and from where.
    pub(super) behind: VecDeque<(u32, Start)>,
}

impl Subscriptions {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn get(&self, number: u32) -> Option<&Subscription> {
        self.all.get(&number)
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Subscription> {
        self.all.get_mut(&number)
    }

    pub(super) fn named(&self, conversation: &str) -> Option<&Subscription> {
        self.all.get(self.by_name.get(conversation)?)
    }

    pub(super) fn named_mut(&mut self, conversation: &str) -> Option<&mut Subscription> {
        self.all.get_mut(self.by_name.get(conversation)?)
    }

    /// Those whose conversations are not like this.
    pub(super) fn numbers_unless(&self, may: impl Fn(&str) -> bool) -> Vec<u32> {
        let others = self.all.iter().filter(|(_, one)| !may(&one.conversation));
        others.map(|(number, _)| *number).collect()
    }

    pub(super) fn next_number(&mut self) -> u32 {
        self.last = self.last.wrapping_add(1);
        self.last
    }

    pub(super) fn insert(&mut self, number: u32, subscription: Subscription, after: Start) {
        self.by_name.insert(Arc::clone(&subscription.conversation), number);
        self.all.insert(number, subscription);
        self.behind.push_back((number, after));
    }

    pub(super) fn remove(&mut self, number: u32) -> Option<Subscription> {
        let gone = self.all.remove(&number)?;
        self.by_name.remove(&gone.conversation);
        self.behind.retain(|(behind, _)| *behind != number);
        Some(gone)
    }

    pub(super) fn remove_named(&mut self, conversation: &str) -> Option<Subscription> {
        let number = *self.by_name.get(conversation)?;
        self.remove(number)
    }

    pub(super) fn drain(&mut self) -> impl Iterator<Item = Subscription> {
        self.by_name.clear();
        self.behind.clear();
        self.all.drain().map(|(_, subscription)| subscription)
    }
}

/// An event as a client gets it.
pub(super) fn event_text(conversation: &str, view: &EventView) -> Bytes {
    let body = crate::chat::event_body(conversation, view);
    serde_json::to_vec(&body).expect("structs of strings and numbers serialise").into()
}
