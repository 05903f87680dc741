//! What was observed beside the clients' answers: events, holds at the end, subscriptions.

use crate::history::Places;

/// What became of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// It was taken.
    Held,
    /// It was made permanent.
    Confirmed,
    /// It was given back.
    Released,
    /// Its time passed.
    Expired,
    /// It was given more time.
    Extended,
    /// It was given back after it had been confirmed.
    Cancelled,
}

/// What an event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    /// The resource has so many places from now on.
    Capacity(u64),
    /// Something became of a hold.
    Hold {
        /// What.
        change: Change,
        /// Its id.
        hold: String,
        /// Its fence.
        fence: u64,
        /// The idempotency key it was asked for with, if the recorder can tell, for example
        /// because it names holders after keys.
        key: Option<String>,
        /// What it takes.
        places: Places,
        /// Until when it is held, in record time.
        expires_at_ms: u64,
    },
}

/// One event of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Whose.
    pub resource: String,
    /// Its place in the resource's stream; the first is 1.
    pub seq: u64,
    /// Its record time.
    pub at_ms: u64,
    /// What it says.
    pub happened: Happened,
}

/// Where a hold is at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FinalState {
    /// Taken until it expires.
    Held,
    /// Taken for good.
    Confirmed,
    /// Given back before it was confirmed.
    Released,
    /// Given back by time.
    Expired,
    /// Given back after it was confirmed.
    Cancelled,
}

/// A hold in the dump at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinalHold {
    /// Of which resource.
    pub resource: String,
    /// Its id.
    pub hold: String,
    /// Where it is in its life.
    pub state: FinalState,
}

/// What a subscriber was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// An event.
    Event(Event),
    /// History is gone; the next event is the one after `seq`.
    Reset {
        /// The last that is skipped.
        seq: u64,
    },
}

/// One subscriber to one resource, over all its connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Who.
    pub subscriber: String,
    /// To what.
    pub resource: String,
    /// It asked for what comes after this event.
    pub after: u64,
    /// It was given time to see everything up to this event.
    pub until: u64,
    /// What it was sent, in order, resumed as often as it liked.
    pub received: Vec<Delivery>,
}

/// What was observed of all resources, from their first event on and after all faults were over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// Every event; those of one resource in the order of its stream.
    pub events: Vec<Event>,
    /// Every hold at the end, if they were read.
    pub holds: Option<Vec<FinalHold>>,
    /// Who subscribed.
    pub subscriptions: Vec<Subscription>,
}
