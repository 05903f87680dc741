//! Devices: what a connection's session does, over the node's own outlets.

use super::{CONVERSATIONS, Event, World, asking};
use crate::{
    history::chat::{Delivery, Waited},
    sim::run::BrokenChat,
};
use evenkeel_domains::{
    Found, Query, Refusal,
    chat::{self, EventsPage, Start},
};
use evenkeel_engine::{Entity, Failure, Position, Role, TenantId, Time};
use evenkeel_log::Incarnation;
use evenkeel_node::{
    Follow, FollowTicket, Followed, Live, NodeError, NoticeKind, OUTLET_BYTES_MAX,
    OUTLET_NOTICES_MAX, Outlet, Room, Waiting,
};
use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

/// Few, so that it is soon full.
const OUTLET_EVENTS: usize = 6;
/// Longest pause between two looks of a device that is awake.
const HEARS_WITHIN_MS: u64 = 25;
/// A user who may not follow, or whose wish came to nobody, wishes again after this.
const WISHES_AGAIN_MS: u64 = 120;

/// What a user holds in their hand.
pub(super) struct Device {
    user: Arc<str>,
    /// Takes nothing before.
    pub(super) sleeps_until_ms: u64,
    /// Which connection this is.
    connection: u64,
    outlet: Arc<Outlet>,
    room: Room,
    subscriptions: u32,
    places: [Place; CONVERSATIONS.len()],
}

/// A conversation on a device.
struct Place {
    reader: usize,
    /// The last sequence that was dealt with.
    last: u64,
    /// Which node is asked.
    asks: usize,
    following: Option<Following>,
    /// Who is there, as was told.
    present: BTreeSet<String>,
}

struct Following {
    follow: Arc<Follow>,
    node: usize,
    /// Known once something was read.
    entity: Option<Entity>,
    is_live: bool,
}

impl Device {
    pub(super) fn new(
        user: &str,
        readers: [usize; CONVERSATIONS.len()],
        broken: BrokenChat,
    ) -> Self {
        let events = if broken.unbounded_buffer { usize::MAX } else { OUTLET_EVENTS };
        let room = Room { events, bytes: OUTLET_BYTES_MAX, notices: OUTLET_NOTICES_MAX };
        let place =
            |reader| Place { reader, last: 0, asks: 0, following: None, present: BTreeSet::new() };
        Self {
            user: user.into(),
            sleeps_until_ms: 0,
            connection: 1,
            outlet: Arc::new(Outlet::with(room)),
            room,
            subscriptions: 0,
            places: readers.map(place),
        }
    }

    /// The last sequence of a conversation that it has.
    pub(super) fn last(&self, place: usize) -> u64 {
        self.places[place].last
    }

    /// Whether it is sent what happens in a conversation, and was sent everything.
    pub(super) fn is_at(&self, place: usize, last: u64) -> bool {
        self.is_live(place) && self.places[place].last == last
    }

    pub(super) fn is_live(&self, place: usize) -> bool {
        self.places[place].following.as_ref().is_some_and(|one| one.is_live)
    }

    pub(super) fn presence(&self, place: usize) -> (usize, &BTreeSet<String>) {
        (self.places[place].reader, &self.places[place].present)
    }

    pub(super) fn user(&self) -> &str {
        &self.user
    }
}

impl World {
    /// A device has a new connection, by which it follows everything that it followed.
    pub(super) fn connect_all(&mut self, device: usize, after_ms: u64) {
        let connection = self.devices[device].connection;
        for place in 0..CONVERSATIONS.len() {
            self.machines.later(after_ms, Event::Connect { device, connection, place });
        }
    }

    /// A device's connection is gone; the server hears of it, or does not. It makes another.
    pub(super) fn vanish(&mut self, device: usize, with_a_word: bool) {
        for place in 0..CONVERSATIONS.len() {
            self.unfollow(device, place, with_a_word);
        }
        let device_ = &mut self.devices[device];
        device_.outlet = Arc::new(Outlet::with(device_.room));
        device_.connection += 1;
        let pause = self.machines.rng.u64(1..120);
        self.connect_all(device, pause);
    }

    fn unfollow(&mut self, device: usize, place: usize, with_a_word: bool) {
        let place = &mut self.devices[device].places[place];
        place.present.clear();
        let Some(Following { node, entity, .. }) = place.following.take() else { return };
        if let Some(entity) = entity.filter(|_| with_a_word) {
            let delay = self.machines.travel_ms();
            self.machines.later(delay, Event::Unfollow { node, entity: entity.id });
        }
    }

    /// A device asks to follow a conversation after what it has dealt with.
    pub(super) fn connect(&mut self, device: usize, connection: u64, place: usize) {
        let one = &mut self.devices[device];
        if one.connection != connection || one.places[place].following.is_some() {
            return;
        }
        one.subscriptions += 1;
        let follow = Arc::new(Follow {
            outlet: Arc::clone(&one.outlet),
            subscription: one.subscriptions,
            present: Some(Arc::clone(&one.user)),
        });
        let nodes = self.machines.nodes_of(place);
        let node = nodes.start + one.places[place].asks % nodes.len();
        let (reader, after) = (one.places[place].reader, one.places[place].last);
        let following = Following { follow, node, entity: None, is_live: false };
        one.places[place].following = Some(following);
        self.sees(reader, Delivery::Began { after });
        let skipped = u64::from(after > 0 && self.broken.chat.off_by_one);
        self.wish(device, place, after + skipped);
    }

    fn wish(&mut self, device: usize, place: usize, after: u64) {
        let one = &self.devices[device];
        let Some(Following { follow, node, .. }) = &one.places[place].following else { return };
        let start = match after {
            0 => Start::Oldest,
            sequence => Start::After(Position { incarnation: Incarnation(1), sequence }),
        };
        let by = Some(&*one.user);
        let ticket = FollowTicket::new(TenantId(0), CONVERSATIONS[place], by, start, follow);
        let node = *node;
        // One that is lost says so when it is dropped.
        if !self.machines.loses(4) {
            let delay = self.machines.travel_ms();
            self.machines.later(delay, Event::Follow { node, ticket });
        }
    }

    /// A wish has come to a node.
    pub(super) fn follow(&mut self, node: usize, ticket: FollowTicket) {
        let (_, query) = ticket.wants();
        let page = self.read(node, query);
        let now = Time(self.machines.now_ms);
        self.live(node).follow(ticket, page, now);
    }

    /// What a node answers to a read, if it leads.
    fn read(&self, node: usize, query: chat::Query) -> Result<EventsPage, NodeError> {
        let unavailable = || Failure::Unavailable("it does not lead".into());
        let found = &self.machines.nodes[node];
        let partition = found.partition.as_ref();
        let partition =
            partition.filter(|one| one.role() == Role::Owner).ok_or_else(unavailable)?;
        let (view, incarnation) = (partition.view(), partition.incarnation());
        let (query, at) = (Query::Chat(query), Time(self.machines.now_ms));
        match evenkeel_domains::query(&view, at, incarnation, TenantId(0), &query) {
            Ok(Found::Chat(chat::Found::Events(page))) => Ok(page),
            Ok(_) => unreachable!("events are answered"),
            Err(_) => Err(Failure::<Refusal>::Internal.into()),
        }
    }

    /// A conversation has something new at a node.
    pub(super) fn send_live(&mut self, node: usize, id: u64) {
        while let Some((_, query)) = self.live(node).wants(id, Incarnation(1)) {
            match self.read(node, query) {
                Ok(page) => {
                    if !self.live(node).send(id, page) {
                        return;
                    }
                }
                Err(_) => return self.live(node).give_up(),
            }
        }
    }

    /// Who follows at a node: nobody of those who did in an earlier life of it.
    pub(super) fn live(&mut self, node: usize) -> &mut Live {
        let life = self.machines.nodes[node].life;
        let (lived, live) = &mut self.lives[node];
        if *lived != life {
            *lived = life;
            *live = Live::default();
        }
        live
    }

    /// Lets those go who are gone without a word, and those who followed where nobody is any more.
    pub(super) fn sweep(&mut self) {
        let now = Time(self.machines.now_ms);
        for node in 0..self.lives.len() {
            self.live(node).sweep(now);
        }
    }

    /// A device takes what waits, unless it is asleep.
    pub(super) fn hear(&mut self, device: usize) {
        let pause = self.machines.rng.u64(1..HEARS_WITHIN_MS);
        self.machines.later(pause, Event::Hear(device));
        let one = &self.devices[device];
        if one.sleeps_until_ms > self.machines.now_ms {
            return;
        }
        let (outlet, waited) = (Arc::clone(&one.outlet), one.outlet.events());
        for reader in one.places.each_ref().map(|place| place.reader) {
            let before = self.history.readers[reader].waited.map_or(0, |waited| waited.max);
            let max = waited.max(before);
            self.history.readers[reader].waited = Some(Waited { max, room: OUTLET_EVENTS });
        }
        let mut waiting = Waiting::default();
        outlet.take(&mut waiting);
        for (subscription, page) in std::mem::take(&mut waiting.pages) {
            self.take_page(device, subscription, page);
        }
        let mut events: VecDeque<_> = std::mem::take(&mut waiting.events);
        while let Some((subscription, event)) = events.pop_front() {
            let Some(place) = self.place_of_subscription(device, subscription) else { continue };
            self.take_event(device, place, &event.view);
            // As a connection's session does it. One that reads what was before may be a member again.
            if event.view.event.removed() == Some(&*self.devices[device].user) {
                let reader = self.devices[device].places[place].reader;
                self.sees(reader, Delivery::Ended);
                self.wish_again(device, place);
            }
        }
        for ((subscription, kind, user), is_so) in std::mem::take(&mut waiting.notices) {
            let place = self.place_of_subscription(device, subscription);
            if let Some(place) = place.filter(|_| kind == NoticeKind::Presence) {
                let present = &mut self.devices[device].places[place].present;
                if is_so {
                    present.insert(user.to_string());
                } else {
                    present.remove(&*user);
                }
            }
        }
        if waiting.is_overfull {
            self.vanish(device, true);
        }
    }

    fn place_of_subscription(&self, device: usize, subscription: u32) -> Option<usize> {
        self.devices[device].places.iter().position(|place| {
            place.following.as_ref().is_some_and(|one| one.follow.subscription == subscription)
        })
    }

    fn take_page(&mut self, device: usize, subscription: u32, page: Result<Followed, NodeError>) {
        let Some(place) = self.place_of_subscription(device, subscription) else { return };
        let Ok(Followed { page, is_live }) = page else {
            // No member, not the owner, or lost on its way.
            self.devices[device].places[place].asks += 1;
            return self.wish_again(device, place);
        };
        let (reader, next) = (self.devices[device].places[place].reader, page.next.sequence);
        if page.reset {
            self.sees(reader, Delivery::Reset { seq: next });
            self.devices[device].places[place].last = next;
        }
        for view in &page.events {
            self.take_event(device, place, view);
        }
        let Some(following) = &mut self.devices[device].places[place].following else { return };
        following.entity = Some(page.entity);
        following.is_live = is_live;
        if !is_live {
            self.wish(device, place, next);
        }
    }

    fn take_event(&mut self, device: usize, place: usize, view: &chat::EventView) {
        let one = &mut self.devices[device].places[place];
        let reader = one.reader;
        one.last = view.position.sequence;
        self.sees(reader, Delivery::Event(asking::event(view)));
    }

    /// Somebody does not follow any more, and wishes to later.
    fn wish_again(&mut self, device: usize, place: usize) {
        self.unfollow(device, place, true);
        let connection = self.devices[device].connection;
        self.machines.later(WISHES_AGAIN_MS, Event::Connect { device, connection, place });
    }
}
