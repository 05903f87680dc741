//! `seats`: customers of an airline, after the SEATS benchmark (Stonebraker and Pavlo):
//! 60 % look up a flight; the others hold, confirm, change and cancel. Some walk away from
//! their hold, some confirm it too late, and now and then a crowd wants one flight.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::super::driver::{Done, Outcome, Workload, WorkloadError};
use super::super::endpoint::Endpoint;
use super::customer::{Customer, outcome};
use super::inventory::{Inventory, Places};

/// A customer's connection remembers this many bookings of each sort; it begins no more.
const BOOKINGS_MAX: usize = 64;
/// Of 10,000 calls in a row, the last 1,000 are a crowd on one flight.
const CROWD_EVERY: u64 = 10_000;
const CROWD_CALLS: u64 = 1_000;

const TTL_MS: u64 = 120_000;
/// Those who walk away: their places come back within the run.
const TTL_ABANDONED_MS: u64 = 5_000;
/// Those who will pay too late.
const TTL_LATE_MS: u64 = 500;
/// How long after its expiry a late hold is confirmed, at the earliest.
const LATE_BY: Duration = Duration::from_millis(200);

const KINDS: [&str; 6] = ["find", "hold", "confirm", "late confirm", "change", "cancel"];

/// Index into [`KINDS`].
#[derive(Clone, Copy)]
enum Action {
    Find,
    Hold,
    Confirm,
    ConfirmLate,
    Change,
    Cancel,
}

/// A call, with the booking that it is about.
enum Next {
    Find,
    Hold,
    Confirm(Booking),
    ConfirmLate(Booking),
    Change(Booking),
    Cancel(Booking),
}

/// What becomes of a hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Intent {
    Confirm,
    ConfirmLate,
    WalkAway,
}

struct Booking {
    flight: usize,
    hold: String,
}

struct LateBooking {
    booking: Booking,
    confirm_at: Instant,
}

/// The mix, on an inventory that exists on the server.
pub(super) struct Seats {
    endpoint: Endpoint,
    inventory: Arc<Inventory>,
}

/// One connection, with the bookings that were made over it.
pub(super) struct SeatsConn {
    customer: Customer,
    random: fastrand::Rng,
    path: String,
    body: String,
    held: VecDeque<Booking>,
    late: VecDeque<LateBooking>,
    confirmed: VecDeque<Booking>,
}

impl Seats {
    /// On flights that exist already.
    pub(super) fn new(endpoint: Endpoint, inventory: Arc<Inventory>) -> Self {
        Self { endpoint, inventory }
    }

    /// Half of the customers fly on the day that has seat maps; a crowd wants one flight.
    fn pick_flight(&self, random: &mut fastrand::Rng, call: u64) -> usize {
        let (all, mapped) = (self.inventory.flights().len(), self.inventory.seat_maps());
        if call % CROWD_EVERY >= CROWD_EVERY - CROWD_CALLS {
            // Another flight each time, the same for all customers.
            return (call / CROWD_EVERY) as usize % if mapped > 0 { mapped } else { all };
        }
        if mapped > 0 && (mapped == all || random.bool()) {
            random.usize(..mapped)
        } else {
            random.usize(mapped..all)
        }
    }
}

impl Workload for Seats {
    type Conn = SeatsConn;

    fn name(&self) -> String {
        format!(
            "reservations seats ({} flights, {} with a seat map)",
            self.inventory.flights().len(),
            self.inventory.seat_maps()
        )
    }

    fn kinds(&self) -> &'static [&'static str] {
        &KINDS
    }

    async fn connect(&self, _: usize) -> Result<SeatsConn, WorkloadError> {
        Ok(SeatsConn {
            customer: Customer::connect(&self.endpoint).await?,
            random: fastrand::Rng::new(),
            path: String::new(),
            body: String::new(),
            held: VecDeque::new(),
            late: VecDeque::new(),
            confirmed: VecDeque::new(),
        })
    }

    async fn call(&self, conn: &mut SeatsConn, call: u64) -> Done {
        let flight = self.pick_flight(&mut conn.random, call);
        let (action, outcome) = match conn.next_action() {
            Next::Find => (Action::Find, self.find(conn, flight).await),
            Next::Hold => {
                let intent = conn.next_intent();
                (Action::Hold, self.hold(conn, flight, intent).await)
            }
            Next::Confirm(booking) => (Action::Confirm, self.confirm(conn, booking, b"{}").await),
            Next::ConfirmLate(booking) => {
                (Action::ConfirmLate, self.confirm(conn, booking, br#"{"late":"reacquire"}"#).await)
            }
            Next::Change(booking) => (Action::Change, self.change(conn, &booking, flight).await),
            Next::Cancel(booking) => {
                (Action::Cancel, self.give_back(conn, &booking, "cancel").await)
            }
        };
        Done { kind: action as usize, outcome }
    }
}

impl Seats {
    async fn find(&self, conn: &mut SeatsConn, flight: usize) -> Outcome {
        let resource = &self.inventory.flights()[flight].resource;
        conn.path.clear();
        let _ = write!(conn.path, "/v1/resources/{resource}");
        outcome(&conn.customer.get(&conn.path).await)
    }

    async fn hold(&self, conn: &mut SeatsConn, flight: usize, intent: Intent) -> Outcome {
        let found = &self.inventory.flights()[flight];
        let ttl_ms = match intent {
            Intent::Confirm => TTL_MS,
            Intent::ConfirmLate => TTL_LATE_MS,
            Intent::WalkAway => TTL_ABANDONED_MS,
        };
        conn.path.clear();
        conn.body.clear();
        let _ = write!(conn.path, "/v1/resources/{}/holds", found.resource);
        let _ = write!(conn.body, r#"{{"holder":"u1","ttl_ms":{ttl_ms},"#);
        conn.write_places(&found.places);
        let reply = conn.customer.post(&conn.path, conn.body.as_bytes()).await;
        let outcome = outcome(&reply);
        let Ok(reply) = reply else { return outcome };
        if outcome != Outcome::Ok || intent == Intent::WalkAway {
            return outcome;
        }
        let Some(hold) = parse_hold(reply.body) else {
            return Outcome::Error("a hold was answered without its id".into());
        };
        conn.remember(Booking { flight, hold }, intent);
        outcome
    }

    /// A late confirmation answers another hold: the old one is expired for good.
    async fn confirm(&self, conn: &mut SeatsConn, booking: Booking, body: &[u8]) -> Outcome {
        conn.write_hold_path(&self.inventory, &booking, "confirm");
        let reply = conn.customer.post(&conn.path, body).await;
        let outcome = outcome(&reply);
        let Ok(reply) = reply else { return outcome };
        if outcome != Outcome::Ok {
            return outcome;
        }
        let Some(hold) = parse_hold(reply.body) else {
            return Outcome::Error("a confirmation was answered without its hold".into());
        };
        if conn.confirmed.len() < BOOKINGS_MAX {
            let flight = booking.flight;
            conn.confirmed.push_back(Booking { flight, hold });
        }
        outcome
    }

    /// Gives the held place back and holds one on another flight: two requests.
    async fn change(&self, conn: &mut SeatsConn, booking: &Booking, flight: usize) -> Outcome {
        match self.give_back(conn, booking, "release").await {
            Outcome::Ok => self.hold(conn, flight, Intent::Confirm).await,
            other => other,
        }
    }

    async fn give_back(&self, conn: &mut SeatsConn, booking: &Booking, verb: &str) -> Outcome {
        conn.write_hold_path(&self.inventory, booking, verb);
        outcome(&conn.customer.post(&conn.path, b"{}").await)
    }
}

impl SeatsConn {
    /// 60 % find; of the others, who would pay late comes first once the time has come, and
    /// whoever has nothing to confirm, change or cancel holds.
    fn next_action(&mut self) -> Next {
        let roll = self.random.u32(..100);
        if roll < 60 {
            return Next::Find;
        }
        let now = Instant::now();
        if let Some(late) = self.late.pop_front_if(|late| late.confirm_at <= now) {
            return Next::ConfirmLate(late.booking);
        }
        let next = match roll {
            60..80 if self.held.len() < BOOKINGS_MAX => None,
            60..92 => self.held.pop_front().map(Next::Confirm),
            92..96 => self.held.pop_front().map(Next::Change),
            _ => self.confirmed.pop_front().map(Next::Cancel),
        };
        next.unwrap_or(Next::Hold)
    }

    /// One in six walks away, one in twelve pays late.
    fn next_intent(&mut self) -> Intent {
        match self.random.u32(..12) {
            0 | 1 => Intent::WalkAway,
            2 if self.late.len() < BOOKINGS_MAX => Intent::ConfirmLate,
            _ => Intent::Confirm,
        }
    }

    /// One or two places; seats may be taken already.
    fn write_places(&mut self, places: &Places) {
        match places {
            Places::Quantity { capacity } => {
                let quantity = self.random.u32(1..=2).min(*capacity);
                let _ = write!(self.body, r#""quantity":{quantity}}}"#);
            }
            Places::Seats { seats } => {
                let first = self.random.usize(..seats.len());
                let _ = write!(self.body, r#""seats":["{}""#, seats[first]);
                if first + 1 < seats.len() && self.random.bool() {
                    let _ = write!(self.body, r#","{}""#, seats[first + 1]);
                }
                self.body.push_str("]}");
            }
        }
    }

    fn write_hold_path(&mut self, inventory: &Inventory, booking: &Booking, verb: &str) {
        let resource = &inventory.flights()[booking.flight].resource;
        self.path.clear();
        let _ = write!(self.path, "/v1/resources/{resource}/holds/{}/{verb}", booking.hold);
    }

    fn remember(&mut self, booking: Booking, intent: Intent) {
        if intent == Intent::ConfirmLate {
            let confirm_at = Instant::now() + Duration::from_millis(TTL_LATE_MS) + LATE_BY;
            self.late.push_back(LateBooking { booking, confirm_at });
        } else if self.held.len() < BOOKINGS_MAX {
            self.held.push_back(booking);
        }
    }
}

fn parse_hold(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Held {
        hold: String,
    }
    serde_json::from_slice::<Held>(body).ok().map(|held| held.hold)
}
