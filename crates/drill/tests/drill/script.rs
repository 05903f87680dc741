//! A short hand for writing histories down.

use evenkeel_drill::history::{Answer, Capacity, History, Outcome, Places, Refusal, Request};

/// The one resource of these histories.
pub(crate) const RESOURCE: &str = "r";
pub(crate) const TTL_MS: u64 = 100;

pub(crate) fn counted(capacity: u64) -> History {
    History::new([(RESOURCE.to_owned(), Capacity::Quantity(capacity))])
}

pub(crate) fn seats(names: &[&str]) -> History {
    let seats = names.iter().map(|name| (*name).to_owned()).collect();
    History::new([(RESOURCE.to_owned(), Capacity::Seats(seats))])
}

pub(crate) fn units(quantity: u64) -> Request {
    Request::Hold { places: Places::Quantity(quantity), ttl_ms: TTL_MS }
}

pub(crate) fn seat(name: &str) -> Request {
    Request::Hold { places: Places::Seats(vec![name.to_owned()]), ttl_ms: TTL_MS }
}

pub(crate) fn confirm(fence: u64) -> Request {
    Request::Confirm { hold: id(fence), reacquire: false }
}

pub(crate) fn reacquire(fence: u64) -> Request {
    Request::Confirm { hold: id(fence), reacquire: true }
}

pub(crate) fn release(fence: u64) -> Request {
    Request::Release { hold: id(fence) }
}

pub(crate) fn extend(fence: u64, ttl_ms: u64) -> Request {
    Request::Extend { hold: id(fence), ttl_ms }
}

pub(crate) fn cancel(fence: u64) -> Request {
    Request::Cancel { hold: id(fence) }
}

pub(crate) fn id(fence: u64) -> String {
    format!("h{fence}")
}

/// The hold with this fence was taken at this time.
pub(crate) fn held(fence: u64, at_ms: u64) -> Outcome {
    ok(Answer::Held { hold: id(fence), fence, expires_at_ms: at_ms + TTL_MS }, at_ms)
}

pub(crate) fn confirmed(fence: u64, at_ms: u64) -> Outcome {
    ok(Answer::Confirmed { hold: id(fence), fence }, at_ms)
}

pub(crate) fn counts(available: u64, held: u64, confirmed: u64, at_ms: u64) -> Outcome {
    ok(Answer::Counted { available, held, confirmed }, at_ms)
}

pub(crate) fn ok(answer: Answer, at_ms: u64) -> Outcome {
    Outcome::Ok { answer, replayed: false, at_ms: Some(at_ms) }
}

pub(crate) fn refused(refusal: Refusal, at_ms: u64) -> Outcome {
    Outcome::Refused { refusal, at_ms: Some(at_ms) }
}

pub(crate) fn replayed(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Ok { answer, at_ms, .. } => Outcome::Ok { answer, at_ms, replayed: true },
        other => other,
    }
}

pub(crate) trait Script {
    /// Asks and hears at once, before anything else happens.
    fn does(&mut self, client: u64, request: Request, outcome: Outcome);
    /// Asks; what it hears comes later.
    fn asks(&mut self, client: u64, request: Request) -> usize;
    /// As [`Script::does`], with a key.
    fn keyed(&mut self, client: u64, key: &str, request: Request, outcome: Outcome);
}

impl Script for History {
    fn does(&mut self, client: u64, request: Request, outcome: Outcome) {
        let operation = self.asks(client, request);
        self.returns(operation, outcome);
    }

    fn asks(&mut self, client: u64, request: Request) -> usize {
        self.call(client, RESOURCE, None, request)
    }

    fn keyed(&mut self, client: u64, key: &str, request: Request, outcome: Outcome) {
        let operation = self.call(client, RESOURCE, Some(key), request);
        self.returns(operation, outcome);
    }
}
