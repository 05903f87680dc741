//! Readers who page through a conversation at whichever node they meet, and go on from where they were.

use super::{CONVERSATIONS, World, asking};
use crate::history::chat::{Delivery, Happened};
use crate::sim::node::SimNode;
use evenkeel_domains::{
    Found, Query,
    chat::{self, EventsPage, Start},
};
use evenkeel_engine::{Delivered, Position, Time};
use evenkeel_log::{Incarnation, Offset};

pub(super) struct Observer {
    pub(super) reader: usize,
    /// The last sequence that was looked at.
    pub(super) last: u64,
    /// Its session: it reads only from a node that has applied this.
    session: Offset,
    /// By the breakage `order-by-wall-clock`: the last time that was dealt with, and the last of that time.
    stamp: (u64, u64),
}

impl Observer {
    pub(super) fn new(reader: usize) -> Self {
        Self { reader, last: 0, session: Offset(0), stamp: (0, 0) }
    }
}

/// Events of a conversation after this one, as a node has them.
pub(super) fn events(
    node: &SimNode,
    place: usize,
    after: u64,
    limit: usize,
    now_ms: u64,
) -> Option<EventsPage> {
    let position = Position { incarnation: Incarnation(1), sequence: after };
    let query = chat::Query::Events {
        conversation: CONVERSATIONS[place].to_owned(),
        by: None,
        after: if after == 0 { Start::Oldest } else { Start::After(position) },
        limit,
    };
    let delivered = Delivered { offset: Offset(0), at: Time(now_ms), replayed: false };
    match node.query(&Query::Chat(query), delivered)? {
        Found::Chat(chat::Found::Events(page)) => Some(page),
        _ => unreachable!("events are answered"),
    }
}

impl World {
    pub(super) fn observe(&mut self) {
        for place in 0..CONVERSATIONS.len() {
            let nodes = self.machines.nodes_of(place);
            let node = self.machines.rng.usize(nodes);
            let limit = self.machines.rng.usize(1..4);
            let Some(partition) = &self.machines.nodes[node].partition else { continue };
            let offset = partition.tail().offset;
            if offset < self.observers[place].session {
                continue;
            }
            if self.broken.chat.by_wall_clock {
                self.observe_by_stamp(place, node);
                continue;
            }
            let Observer { reader, last, .. } = self.observers[place];
            let node = &self.machines.nodes[node];
            let Some(page) = events(node, place, last, limit, self.machines.now_ms) else {
                continue;
            };
            if page.reset {
                self.sees(reader, Delivery::Reset { seq: page.next.sequence });
            }
            for view in &page.events {
                self.sees(reader, Delivery::Event(asking::event(view)));
            }
            let observer = &mut self.observers[place];
            observer.session = offset;
            observer.last = page.next.sequence;
        }
    }

    /// What many build by hand: everything that is later than the latest that one has, by the time that
    /// whoever took a message wrote on it.
    fn observe_by_stamp(&mut self, place: usize, node: usize) {
        let node = &self.machines.nodes[node];
        let Some(page) = events(node, place, 0, usize::MAX, self.machines.now_ms) else { return };
        let mut latest = 0;
        let stamped = page.events.iter().map(|view| {
            let event = asking::event(view);
            // What is no message has nothing written on it, and is taken to be as late as what is before it.
            if let Happened::Message { sender, client_id, .. } = &event.happened {
                let name = (sender.clone(), client_id.clone());
                latest = self.stamps.get(&name).copied().unwrap_or_default();
            }
            ((latest, event.seq), event)
        });
        let seen = self.observers[place].stamp;
        let mut events: Vec<_> = stamped.filter(|(stamp, _)| *stamp > seen).collect();
        events.sort_by_key(|(stamp, _)| *stamp);
        let reader = self.observers[place].reader;
        for (stamp, event) in events {
            self.observers[place].stamp = stamp;
            self.sees(reader, Delivery::Event(event));
        }
        self.observers[place].last = page.next.sequence;
    }
}
