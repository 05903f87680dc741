//! A simulated subscriber: reads a resource's stream from whichever node it meets, and resumes
//! from its position.

use super::node::SimNode;
use crate::checker::{Change, Delivery, Event, Happened};
use crate::history::Places;
use evenkeel_domains::{
    Found, Query,
    reservations::{self, EventView, HoldChange, ReservationEvent},
};
use evenkeel_engine::{Delivered, Position, Time};
use evenkeel_log::{Incarnation, Offset};

pub(super) struct Subscriber {
    pub(super) resource: String,
    pub(super) received: Vec<Delivery>,
    position: Position,
    /// Its session: it reads only from a node that has applied this.
    session: Offset,
}

impl Subscriber {
    pub(super) fn new(resource: String) -> Self {
        let position = Position { incarnation: Incarnation(1), sequence: 0 };
        Self { resource, received: Vec::new(), position, session: Offset(0) }
    }

    /// Reads at most `limit` events from `node`, if that has caught up with what was seen.
    pub(super) fn read(&mut self, node: &SimNode, limit: usize, now_ms: u64) {
        let Some(partition) = &node.partition else { return };
        let offset = partition.tail().offset;
        if offset < self.session {
            return;
        }
        let query = Query::Reservations(reservations::Query::Events {
            resource: self.resource.clone(),
            after: Some(self.position),
            from_start: false,
            limit,
        });
        let delivered = Delivered { offset, at: Time(now_ms), replayed: false };
        let Some(Found::Reservations(reservations::Found::Events(page))) =
            node.query(&query, delivered)
        else {
            return;
        };
        self.session = offset;
        if page.reset {
            self.received.push(Delivery::Reset { seq: page.next.sequence });
        }
        let events = page.events.into_iter().map(|view| event(&self.resource, view));
        self.received.extend(events.map(Delivery::Event));
        self.position = page.next;
    }
}

/// An event in the words of the checker.
pub(super) fn event(resource: &str, view: EventView) -> Event {
    let happened = match view.event {
        ReservationEvent::Created { capacity } | ReservationEvent::CapacityChanged { capacity } => {
            Happened::Capacity(capacity)
        }
        ReservationEvent::Hold { change, fence, holder, places, expires_at } => Happened::Hold {
            change: match change {
                HoldChange::Held => Change::Held,
                HoldChange::Confirmed => Change::Confirmed,
                HoldChange::Released => Change::Released,
                HoldChange::Expired => Change::Expired,
                HoldChange::Extended => Change::Extended,
                HoldChange::Cancelled => Change::Cancelled,
            },
            hold: fence.to_string(),
            fence,
            key: (holder != super::client::NO_KEY).then_some(holder),
            places: match places {
                reservations::Places::Seats(seats) => Places::Seats(seats),
                reservations::Places::Quantity(quantity) => Places::Quantity(quantity),
                reservations::Places::Lock => Places::Quantity(1),
            },
            expires_at_ms: expires_at.0,
        },
    };
    Event { resource: resource.to_owned(), seq: view.position.sequence, at_ms: view.at.0, happened }
}
