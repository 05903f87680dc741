//! When nothing happens any more, and what is there then.

use super::{
    super::{judge, node::SimNode},
    CONVERSATIONS, Client, PARTITIONS, USERS, World, asking, observer,
};
use crate::history::chat::{End, InboxEntry, Presence};
use evenkeel_domains::{Found, Query, chat};
use evenkeel_engine::{Delivered, Time};
use evenkeel_log::{Offset, PartitionId};
use std::collections::BTreeSet;

impl World {
    fn owner(&self, partition: u16) -> Option<&SimNode> {
        judge::owner_of(&self.machines, PartitionId(partition))
    }

    /// How many events a conversation has, if anybody knows.
    fn last(&self, place: usize) -> Option<u64> {
        let owner = self.owner(u16::try_from(place).ok()?)?;
        let query =
            chat::Query::Conversation { conversation: CONVERSATIONS[place].to_owned(), by: None };
        match owner.query(&Query::Chat(query), delivered(self.machines.now_ms))? {
            Found::Chat(chat::Found::Conversation(view)) => Some(view.last),
            _ => unreachable!("a conversation is answered"),
        }
    }

    /// What is still to come. None: nobody wants anything, everybody has everything, inboxes were told and
    /// nobody is shown who is gone.
    pub(super) fn restless(&self) -> Option<&'static str> {
        let wants = |client: &Client| client.current.is_some() || client.steps.len() > 0;
        let places = || 0..CONVERSATIONS.len();
        if self.clients.iter().any(wants) {
            return Some("a user was always about to ask something");
        }
        if !self.machines.outboxes_are_empty() {
            return Some("something never came from one partition to another");
        }
        if !(0..PARTITIONS).all(|partition| self.has_told(partition)) {
            return Some("an inbox was never told what is new");
        }
        if !places().all(|place| self.is_read(place)) {
            return Some("somebody never had all that they may read");
        }
        let is_shown = self.presence().iter().all(|one| one.told == one.there);
        (!is_shown).then_some("somebody was never shown who is there")
    }

    fn has_told(&self, partition: u16) -> bool {
        let owner = self.owner(partition).and_then(|owner| owner.partition.as_ref());
        owner.is_some_and(|owner| matches!(chat::behind_since(&owner.view()), Ok(None)))
    }

    fn is_read(&self, place: usize) -> bool {
        let Some(last) = self.last(place) else { return false };
        let is_member = |user: &str| self.is_member(place, user);
        self.observers[place].last == last
            && self.devices.iter().all(|device| {
                device.is_at(place, last) || !is_member(device.user()) && !device.is_live(place)
            })
    }

    fn is_member(&self, place: usize, user: &str) -> bool {
        let query = chat::Query::Conversation {
            conversation: CONVERSATIONS[place].to_owned(),
            by: Some(user.to_owned()),
        };
        let owner = u16::try_from(place).ok().and_then(|partition| self.owner(partition));
        let delivered = delivered(self.machines.now_ms);
        owner.is_some_and(|owner| owner.query(&Query::Chat(query), delivered).is_some())
    }

    /// Of every device that is shown who is there: what it was told, and what is so.
    fn presence(&self) -> Vec<Presence> {
        let mut all = Vec::new();
        for place in 0..CONVERSATIONS.len() {
            let live = self.devices.iter().filter(|device| device.is_live(place));
            let there: BTreeSet<String> =
                live.clone().map(|device| device.user().to_owned()).collect();
            all.extend(live.map(|device| {
                let (reader, told) = device.presence(place);
                Presence { reader, told: told.clone(), there: there.clone() }
            }));
        }
        all
    }

    /// What is there in the end; and marks those who read to it.
    pub(super) fn end(&mut self) -> Option<End> {
        let now_ms = self.machines.now_ms;
        let mut end = End { presence: self.presence(), ..End::default() };
        for (place, conversation) in CONVERSATIONS.iter().enumerate() {
            let owner = self.owner(u16::try_from(place).ok()?)?;
            let page = observer::events(owner, place, 0, usize::MAX, now_ms)?;
            let events = page.events.iter().map(asking::event).collect();
            end.conversations.insert((*conversation).to_owned(), events);
            let members = self.devices.iter().filter(|one| self.is_member(place, one.user()));
            let readers: Vec<usize> = members
                .map(|device| device.presence(place).0)
                .chain([self.observers[place].reader])
                .collect();
            for reader in readers {
                self.history.readers[reader].is_at_end = true;
            }
        }
        for partition in 0..PARTITIONS {
            let owner = self.owner(partition)?;
            for user in USERS {
                end.inboxes.extend(inbox(owner, user, now_ms)?);
            }
        }
        Some(end)
    }
}

fn inbox(node: &SimNode, user: &str, now_ms: u64) -> Option<Vec<InboxEntry>> {
    let query = chat::Query::Inbox { user: user.to_owned(), after: None, limit: usize::MAX };
    let Found::Chat(chat::Found::Inbox(views, _)) =
        node.query(&Query::Chat(query), delivered(now_ms))?
    else {
        unreachable!("an inbox is answered")
    };
    let entry = |view: chat::InboxView| InboxEntry {
        user: user.to_owned(),
        conversation: view.conversation,
        unread: view.told.unread,
        read: view.told.read,
        last: view.told.last,
    };
    Some(views.into_iter().map(entry).collect())
}

fn delivered(now_ms: u64) -> Delivered {
    Delivered { offset: Offset(0), at: Time(now_ms), replayed: false }
}
