//! Reservations as naively as they can be written: what is right one operation after another.

use crate::script::{RESOURCE, TTL_MS, id};
use evenkeel_drill::history::{Answer, Capacity, Operation, Outcome, Places, Refusal, Request};
use std::collections::BTreeSet;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Held,
    Confirmed,
    Gone,
    Expired,
}

struct Hold {
    places: Places,
    state: State,
    expires_at_ms: u64,
}

/// One resource, whose holds are numbered from 1.
pub(crate) struct Reference {
    capacity: Capacity,
    now_ms: u64,
    holds: Vec<Hold>,
}

/// What one random operation is made of.
pub(crate) type Choice = (u8, u8, u8);

impl Reference {
    pub(crate) fn new(capacity: Capacity) -> Self {
        Self { capacity, now_ms: 1_000, holds: Vec::new() }
    }

    /// Does something random, some time later.
    pub(crate) fn does(&mut self, (what, which, later_ms): Choice) -> (Request, Outcome) {
        self.now_ms += u64::from(later_ms) % 40;
        for hold in &mut self.holds {
            if hold.state == State::Held && hold.expires_at_ms <= self.now_ms {
                hold.state = State::Expired;
            }
        }
        let request = self.request(what, usize::from(which));
        let at_ms = Some(self.now_ms);
        let outcome = match self.decide(&request) {
            Ok(answer) => Outcome::Ok { answer, replayed: false, at_ms },
            Err(refusal) => Outcome::Refused { refusal, at_ms },
        };
        (request, outcome)
    }

    fn request(&self, what: u8, which: usize) -> Request {
        let fence = which as u64 % (self.holds.len() as u64 + 2);
        let hold = id(fence);
        match what % 10 {
            0..=3 => Request::Hold { places: self.some_places(which), ttl_ms: TTL_MS },
            4 | 5 => Request::Confirm { hold, reacquire: which.is_multiple_of(3) },
            6 => Request::Release { hold },
            7 => Request::Extend { hold, ttl_ms: TTL_MS / 2 },
            8 => Request::Cancel { hold },
            _ => Request::Read,
        }
    }

    fn some_places(&self, which: usize) -> Places {
        match &self.capacity {
            Capacity::Quantity(_) => Places::Quantity(1 + which as u64 % 3),
            Capacity::Seats(seats) => {
                let first = which % seats.len();
                Places::Seats(seats.iter().skip(first).take(1 + which % 2).cloned().collect())
            }
        }
    }

    fn sum(&self, state: State) -> u64 {
        let holds = self.holds.iter().filter(|hold| hold.state == state);
        holds.map(|hold| hold.places.units()).sum()
    }

    fn available(&self) -> u64 {
        self.capacity.places() - self.sum(State::Held) - self.sum(State::Confirmed)
    }

    fn decide(&mut self, request: &Request) -> Result<Answer, Refusal> {
        match request {
            Request::Hold { places, ttl_ms } => {
                let expires_at_ms = self.now_ms + ttl_ms;
                let fence = self.take(places.clone(), State::Held, expires_at_ms)?;
                Ok(Answer::Held { hold: id(fence), fence, expires_at_ms })
            }
            Request::Confirm { hold, reacquire } => {
                let index = self.find(hold)?;
                let fence = index as u64 + 1;
                match self.holds[index].state {
                    State::Held | State::Confirmed => self.holds[index].state = State::Confirmed,
                    State::Expired if *reacquire => return self.reacquire(index),
                    State::Expired => return Err(Refusal::HoldExpired),
                    State::Gone => return Err(Refusal::WrongState),
                }
                Ok(Answer::Confirmed { hold: hold.clone(), fence })
            }
            Request::Release { hold } => {
                self.held(hold)?.state = State::Gone;
                Ok(Answer::Released)
            }
            Request::Extend { hold, ttl_ms } => {
                let expires_at_ms = self.now_ms + ttl_ms;
                self.held(hold)?.expires_at_ms = expires_at_ms;
                Ok(Answer::Extended { expires_at_ms })
            }
            Request::Cancel { hold } => {
                let index = self.find(hold)?;
                if self.holds[index].state != State::Confirmed {
                    return Err(Refusal::WrongState);
                }
                self.holds[index].state = State::Gone;
                Ok(Answer::Cancelled)
            }
            Request::Read => Ok(Answer::Counted {
                available: self.available(),
                held: self.sum(State::Held),
                confirmed: self.sum(State::Confirmed),
            }),
        }
    }

    fn reacquire(&mut self, index: usize) -> Result<Answer, Refusal> {
        let places = self.holds[index].places.clone();
        let fence = self.take(places, State::Confirmed, self.now_ms)?;
        // Asked again, the old hold is one of which nothing is left.
        self.holds[index].state = State::Gone;
        Ok(Answer::Confirmed { hold: id(fence), fence })
    }

    fn take(&mut self, places: Places, state: State, expires_at_ms: u64) -> Result<u64, Refusal> {
        if let Places::Seats(seats) = &places {
            let live = self.holds.iter();
            let live = live.filter(|hold| matches!(hold.state, State::Held | State::Confirmed));
            let taken: BTreeSet<&String> = live
                .flat_map(|hold| match &hold.places {
                    Places::Seats(seats) => seats.as_slice(),
                    Places::Quantity(_) => &[],
                })
                .collect();
            let taken: Vec<String> =
                seats.iter().filter(|seat| taken.contains(seat)).cloned().collect();
            if !taken.is_empty() {
                return Err(Refusal::SeatTaken(taken));
            }
        }
        if places.units() > self.available() {
            return Err(Refusal::SoldOut);
        }
        self.holds.push(Hold { places, state, expires_at_ms });
        Ok(self.holds.len() as u64)
    }

    fn find(&self, hold: &str) -> Result<usize, Refusal> {
        (0..self.holds.len()).find(|index| id(*index as u64 + 1) == hold).ok_or(Refusal::NoHold)
    }

    fn held(&mut self, hold: &str) -> Result<&mut Hold, Refusal> {
        let index = self.find(hold)?;
        match self.holds[index].state {
            State::Held => Ok(&mut self.holds[index]),
            State::Expired => Err(Refusal::HoldExpired),
            State::Confirmed | State::Gone => Err(Refusal::WrongState),
        }
    }
}

/// One operation of the resource, from `called` to `returned`.
pub(crate) fn operation(
    request: Request,
    key: Option<String>,
    called: u64,
    returned: Option<(u64, Outcome)>,
) -> Operation {
    Operation { client: called, resource: RESOURCE.to_owned(), key, request, called, returned }
}
