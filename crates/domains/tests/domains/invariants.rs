//! What holds at every prefix of a log, whatever was asked: I3, I4, and streams without gaps.

use crate::driver::{ID, TENANT};
use evenkeel_domains::{
    Found, Query,
    reservations::{
        self, HoldChange, HoldState, HoldView, Places, ReservationEvent, ResourceView, SeatState,
        SeatView,
    },
};
use evenkeel_engine::{EVENTS_ID, Time};
use evenkeel_log::{Incarnation, Record};
use evenkeel_state::{Effect, Layer, Read, State, Store};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that a view shows of reservations.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Everything {
    pub(crate) resource: ResourceView,
    pub(crate) seats: Vec<SeatView>,
    pub(crate) holds: Vec<HoldView>,
}

/// Reads all of it, a few items a page.
pub(crate) fn everything(view: &impl Read, now: Time) -> Vec<Everything> {
    let ask = |query: reservations::Query| {
        let query = Query::Reservations(query);
        let found = evenkeel_domains::query(view, now, Incarnation(1), TENANT, &query);
        let Ok(Found::Reservations(found)) = found else { panic!("it exists") };
        found
    };
    let limit = 2;
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let query = reservations::Query::Resources { after, limit };
        let reservations::Found::Resources(page, next) = ask(query) else { panic!("resources") };
        for resource in page {
            let name = || resource.resource.clone();
            let (mut seats, mut holds) = (Vec::new(), Vec::new());
            let (mut after_seat, mut after_hold) = (None, None);
            loop {
                let (resource, after) = (name(), after_seat);
                let query = reservations::Query::Seats { resource, state: None, after, limit };
                let reservations::Found::Seats(page, next) = ask(query) else { panic!("seats") };
                seats.extend(page);
                after_seat = next;
                if after_seat.is_none() {
                    break;
                }
            }
            loop {
                let (resource, after) = (name(), after_hold);
                let query = reservations::Query::Holds { resource, state: None, after, limit };
                let reservations::Found::Holds(page, next) = ask(query) else { panic!("holds") };
                holds.extend(page);
                after_hold = next;
                if after_hold.is_none() {
                    break;
                }
            }
            all.push(Everything { resource, seats, holds });
        }
        after = next;
        if after.is_none() {
            return all;
        }
    }
}

/// Replays `log`, and looks at the rows after every record.
pub(crate) fn check_rows(log: &[Record]) {
    let store = Store::memory().unwrap();
    let mut state = State::open(&store, ID).unwrap();
    for record in log {
        state.apply(record).unwrap();
        // At time 0 nothing that is due is shown as expired: the rows as they are.
        for one in everything(&state.view(), Time(0)) {
            check_resource(&one);
        }
    }
}

fn check_resource(one: &Everything) {
    let Everything { resource, seats, holds } = one;
    let in_state = |state: HoldState| holds.iter().filter(move |hold| hold.state == state);
    let units = |state| in_state(state).map(|hold| hold.places.units()).sum::<u64>();
    assert_eq!(resource.held, units(HoldState::Held));
    assert_eq!(resource.confirmed, units(HoldState::Confirmed));
    assert!(resource.held + resource.confirmed <= resource.capacity, "I3: {resource:?}");
    if resource.kind != reservations::Kind::Seats {
        return;
    }
    assert_eq!(resource.capacity, seats.len() as u64);
    let mut owners = BTreeMap::new();
    for (state, shown) in
        [(HoldState::Held, SeatState::Held), (HoldState::Confirmed, SeatState::Confirmed)]
    {
        for hold in in_state(state) {
            let Places::Seats(taken) = &hold.places else { panic!("seats are held by name") };
            for seat in taken {
                let twice = owners.insert(seat.clone(), (shown, hold.fence));
                assert!(twice.is_none(), "I3: seat {seat} has two owners");
            }
        }
    }
    for seat in seats {
        let owner = (seat.state != SeatState::Free).then(|| (seat.state, seat.hold.unwrap()));
        assert_eq!(owners.remove(&seat.seat), owner, "seat {}", seat.seat);
    }
    assert!(owners.is_empty(), "held, and not there: {owners:?}");
}

/// Folds the events in `log` alone, as a subscriber would, and looks after every one.
pub(crate) fn check_events(log: &[Record]) -> BTreeMap<u64, Vec<ReservationEvent>> {
    let mut streams: BTreeMap<u64, Vec<ReservationEvent>> = BTreeMap::new();
    for record in log {
        let layer = Layer::decode(record.body()).unwrap();
        for effect in layer.effects() {
            let Effect::Put { key: [EVENTS_ID, _, rest @ ..], row } = effect else { continue };
            let (entity, sequence) = rest.split_first_chunk::<8>().unwrap();
            let sequence = u64::from_be_bytes(sequence.try_into().unwrap());
            let stream = streams.entry(u64::from_be_bytes(*entity)).or_default();
            assert_eq!(sequence, stream.len() as u64 + 1, "dense");
            // A version, a time, then the event.
            assert_eq!(row[1..9], record.header().time_ms.to_be_bytes());
            stream.push(postcard::from_bytes(&row[9..]).unwrap());
        }
    }
    for stream in streams.values() {
        Folded::default().fold(stream);
    }
    streams
}

/// What a subscriber knows.
#[derive(Default)]
struct Folded {
    capacity: u64,
    held: BTreeMap<u64, Places>,
    confirmed: BTreeMap<u64, Places>,
    resolved: BTreeSet<u64>,
}

impl Folded {
    fn fold(mut self, stream: &[ReservationEvent]) {
        for event in stream {
            match event {
                ReservationEvent::Created { capacity }
                | ReservationEvent::CapacityChanged { capacity } => self.capacity = *capacity,
                ReservationEvent::Hold { change, fence, places, .. } => {
                    self.change(*change, *fence, places);
                }
            }
            let taken = self.held.values().chain(self.confirmed.values());
            let units = taken.clone().map(Places::units).sum::<u64>();
            assert!(units <= self.capacity, "I3: {units} of {}", self.capacity);
            let mut owned = BTreeSet::new();
            for places in taken {
                let Places::Seats(seats) = places else { continue };
                assert!(seats.iter().all(|seat| owned.insert(seat)), "I3: a seat has one owner");
            }
        }
    }

    fn change(&mut self, change: HoldChange, fence: u64, places: &Places) {
        match change {
            HoldChange::Held => {
                let newest = self.held.keys().chain(&self.resolved).all(|other| *other < fence);
                assert!(newest, "fences grow");
                self.held.insert(fence, places.clone());
            }
            HoldChange::Extended => assert!(self.held.contains_key(&fence), "held still"),
            HoldChange::Confirmed | HoldChange::Released | HoldChange::Expired => {
                let held = self.held.remove(&fence).expect("I4: it was held");
                assert!(self.resolved.insert(fence), "I4: resolved once");
                assert_eq!(&held, places);
                if change == HoldChange::Confirmed {
                    self.confirmed.insert(fence, held);
                }
            }
            HoldChange::Cancelled => {
                assert_eq!(self.confirmed.remove(&fence).as_ref(), Some(places), "once");
            }
        }
    }
}
