//! A simulated client: carries its steps out one by one, asks again when it is not told, and
//! writes down what it did and heard.

use super::plan::{Intent, Step, inventory, seat};
use crate::history::{Answer, Capacity, Outcome, Places, Refusal, Request};
use evenkeel_domains::{
    Command, Domains, Reply,
    reservations::{self, Action, HoldState, Late},
};
use evenkeel_engine::{self as engine, Failure};

/// Attempts of one step, the first included. Beyond them a client gives up.
pub(super) const ATTEMPTS_MAX: u32 = 60;

pub(super) struct Client {
    pub(super) id: u64,
    pub(super) steps: std::vec::IntoIter<Step>,
    /// Its latest hold on each resource.
    pub(super) holds: Vec<Option<String>>,
    pub(super) current: Option<Attempt>,
    pub(super) step_number: u64,
    /// The node that it asks.
    pub(super) node: usize,
}

/// A request under way.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub(super) operation: usize,
    pub(super) resource: usize,
    pub(super) request: Request,
    pub(super) key: Option<String>,
    pub(super) number: u32,
}

impl Client {
    pub(super) fn new(id: u64, steps: Vec<Step>) -> Self {
        let holds = vec![None; inventory().len()];
        let steps = steps.into_iter();
        Self { id, steps, holds, current: None, step_number: 0, node: 0 }
    }

    /// The next step that can be carried out: what, on which resource, under which key.
    pub(super) fn next_request(&mut self) -> Option<(u64, usize, Request, Option<String>)> {
        loop {
            let step = self.steps.next()?;
            self.step_number += 1;
            let Some(request) = self.request(&step) else { continue };
            let key = step.keyed.then(|| format!("c{}-{}", self.id, self.step_number));
            let key = if request == Request::Read { None } else { key };
            return Some((step.pause_ms, step.resource, request, key));
        }
    }

    fn request(&self, step: &Step) -> Option<Request> {
        let hold = || self.holds[step.resource].clone();
        Some(match &step.intent {
            Intent::Hold { places, ttl_ms } => {
                let places = match &inventory()[step.resource].1 {
                    Capacity::Quantity(_) => Places::Quantity(places.len() as u64),
                    Capacity::Seats(_) => {
                        Places::Seats(places.iter().map(|number| seat(*number)).collect())
                    }
                };
                Request::Hold { places, ttl_ms: *ttl_ms }
            }
            Intent::Confirm { reacquire } => {
                Request::Confirm { hold: hold()?, reacquire: *reacquire }
            }
            Intent::Release => Request::Release { hold: hold()? },
            Intent::Extend { ttl_ms } => Request::Extend { hold: hold()?, ttl_ms: *ttl_ms },
            Intent::Cancel => Request::Cancel { hold: hold()? },
            Intent::Read => Request::Read,
            Intent::Check { .. }
            | Intent::Refund
            | Intent::Enqueue(_)
            | Intent::CancelJob
            | Intent::Work { .. }
            | Intent::Talk(_)
            | Intent::Feed(_) => return None,
        })
    }

    /// Takes note of an answer that names a hold.
    pub(super) fn learn(&mut self, resource: usize, outcome: &Outcome) {
        if let Outcome::Ok {
            answer: Answer::Held { hold, .. } | Answer::Confirmed { hold, .. },
            ..
        } = outcome
        {
            self.holds[resource] = Some(hold.clone());
        }
    }
}

/// The holder of holds that were asked for without a key.
pub(super) const NO_KEY: &str = "nobody";

/// The command that asks for `request`; `None` for a read. Holders are named after keys, so that
/// an event tells which request it came from.
pub(super) fn command(resource: &str, key: Option<&str>, request: &Request) -> Option<Command> {
    let fence = |hold: &str| hold.parse().expect("holds are named by their fence");
    let action = match request {
        Request::Hold { places, ttl_ms } => Action::Hold {
            holder: key.unwrap_or(NO_KEY).to_owned(),
            ttl_ms: *ttl_ms,
            places: match places {
                Places::Quantity(_) if resource == "lock" => reservations::Places::Lock,
                Places::Quantity(quantity) => reservations::Places::Quantity(*quantity),
                Places::Seats(seats) => reservations::Places::Seats(seats.clone()),
            },
        },
        Request::Confirm { hold, reacquire } => Action::Confirm {
            hold: fence(hold),
            late: if *reacquire { Late::Reacquire } else { Late::Refuse },
        },
        Request::Release { hold } => Action::Release { hold: fence(hold) },
        Request::Extend { hold, ttl_ms } => Action::Extend { hold: fence(hold), ttl_ms: *ttl_ms },
        Request::Cancel { hold } => Action::Cancel { hold: fence(hold) },
        Request::Read => return None,
    };
    Some(Command::Reservations(reservations::Command { resource: resource.to_owned(), action }))
}

/// What an answer says, in the words of a history.
pub(super) fn outcome(request: &Request, answer: engine::Answer<Domains>) -> Outcome {
    let replayed = answer.delivered.replayed;
    let at_ms = (!replayed).then_some(answer.delivered.at.0);
    match answer.outcome {
        Ok(Reply::Reservations(reservations::Reply::Hold(view))) => {
            let hold = view.fence.to_string();
            let answer = match request {
                Request::Hold { .. } => {
                    Answer::Held { hold, fence: view.fence, expires_at_ms: view.expires_at.0 }
                }
                Request::Confirm { .. } => Answer::Confirmed { hold, fence: view.fence },
                Request::Release { .. } => Answer::Released,
                Request::Extend { .. } => Answer::Extended { expires_at_ms: view.expires_at.0 },
                Request::Cancel { .. } => Answer::Cancelled,
                Request::Read => unreachable!("a read is no command"),
            };
            Outcome::Ok { answer, replayed, at_ms }
        }
        Ok(_) => unreachable!("a hold is answered by a hold"),
        Err(Failure::Refused(evenkeel_domains::Refusal::Reservations(refusal))) => {
            Outcome::Refused { refusal: self::refusal(refusal), at_ms }
        }
        Err(Failure::OutcomeUnknown) => Outcome::Unknown,
        Err(failure) => Outcome::TurnedAway(failure.to_string()),
    }
}

/// What a count says, in the words of a history. It claims no record time: what is due may not
/// have been decided yet.
pub(super) fn counted(view: &reservations::ResourceView) -> Outcome {
    let answer = Answer::Counted {
        available: view.capacity - view.held - view.confirmed,
        held: view.held,
        confirmed: view.confirmed,
    };
    Outcome::Ok { answer, replayed: false, at_ms: None }
}

fn refusal(refusal: reservations::Refusal) -> Refusal {
    use reservations::Refusal as No;
    match refusal {
        No::SoldOut { .. } => Refusal::SoldOut,
        No::SeatTaken(seats) => Refusal::SeatTaken(seats),
        No::HoldExpired | No::NotHeld(HoldState::Expired) => Refusal::HoldExpired,
        No::NoHold | No::NoResource | No::NoSeat(_) => Refusal::NoHold,
        No::NotHeld(_)
        | No::NotConfirmed(_)
        | No::LockNotConfirmable
        | No::WrongKind(_)
        | No::CapacityInUse { .. }
        | No::TooManySeats => Refusal::WrongState,
    }
}
