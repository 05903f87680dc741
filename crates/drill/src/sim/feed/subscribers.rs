//! Subscribers, who follow what comes to a timeline at whichever node they meet and go on from where they
//! were; and somebody who looks at who follows whom.

use super::{USERS, World, asking};
use crate::history::feed::{self, Delivery, Seen, Settled};
use evenkeel_domains::feed::{ArrivalView, ArrivalsPage, Found, Listed, Order, Start, What};
use evenkeel_engine::Position;
use evenkeel_log::{Incarnation, Offset};

/// Arrivals that one read looks at: few, and many of them are for others.
const LOOKED_AT_MAX: usize = 8;

pub(super) struct Subscriber {
    /// The last sequence that was looked at.
    last: u64,
    /// Its session: it reads only from a node that has applied this.
    session: Offset,
}

impl World {
    pub(super) fn subscribe(&mut self, user: &str) {
        self.history.subscribers.push(feed::Subscriber { user: user.to_owned(), is_at_end: false });
        self.subscribers.push(Subscriber { last: 0, session: Offset(0) });
    }

    pub(super) fn observe(&mut self) {
        for number in 0..USERS.len() {
            self.follow(number);
            self.look_at_followers(number);
        }
    }

    fn follow(&mut self, number: usize) {
        let nodes = self.machines.nodes_of(self.places[number]);
        let node = self.machines.rng.usize(nodes);
        let limit = self.machines.rng.usize(1..LOOKED_AT_MAX);
        let Some(partition) = &self.machines.nodes[node].partition else { return };
        let offset = partition.tail().offset;
        let Subscriber { last, session } = self.subscribers[number];
        if offset < session {
            return;
        }
        let after = match last {
            0 => Start::Oldest,
            sequence => Start::After(Position { incarnation: Incarnation(1), sequence }),
        };
        let Some(page) = self.arrivals(node, number, after, limit) else { return };
        if page.reset {
            self.sees(number, page.next.sequence, Delivery::Reset);
        }
        for event in page.events {
            let ArrivalView { position, author, post, body } = event;
            let what = match body {
                Some(body) => Delivery::Posted { author, post, body: asking::said(&body) },
                None => Delivery::Deleted { author, post },
            };
            self.sees(number, position.sequence, what);
        }
        self.subscribers[number] = Subscriber { last: page.next.sequence, session: offset };
    }

    fn sees(&mut self, subscriber: usize, sequence: u64, what: Delivery) {
        let at_ms = self.now_ms();
        self.history.seen.push(Seen { subscriber, at_ms, sequence, what });
    }

    fn arrivals(
        &self,
        node: usize,
        number: usize,
        after: Start,
        limit: usize,
    ) -> Option<ArrivalsPage> {
        match self.find(node, USERS[number], What::Arrivals { after, limit })? {
            Found::Arrivals(page) => Some(page),
            _ => unreachable!("what came is answered"),
        }
    }

    /// Whether a subscriber has looked at all that there is at a node.
    pub(super) fn has_all(&self, node: usize, number: usize) -> bool {
        let now = self.arrivals(node, number, Start::Now, 1);
        now.is_some_and(|page| page.next.sequence == self.subscribers[number].last)
    }

    fn look_at_followers(&mut self, author: usize) {
        let nodes = self.machines.nodes_of(self.places[author]);
        let node = self.machines.rng.usize(nodes);
        let Some(followers) = self.people(node, USERS[author], Listed::Followers) else { return };
        let at_ms = self.now_ms();
        for follower in followers {
            let author = USERS[author].to_owned();
            let is_known = |one: &Settled| (&one.follower, &one.author) == (&follower, &author);
            if !self.history.settled.iter().any(is_known) {
                self.history.settled.push(Settled { follower, author, at_ms });
            }
        }
    }

    /// Everybody in a list.
    pub(super) fn people(&self, node: usize, user: &str, listed: Listed) -> Option<Vec<String>> {
        let (order, limit) = (Order::Ascending, usize::MAX);
        match self.find(node, user, What::People { listed, after: None, order, limit })? {
            Found::People(people, _) => Some(people.into_iter().map(|one| one.user).collect()),
            _ => unreachable!("users are answered"),
        }
    }
}
