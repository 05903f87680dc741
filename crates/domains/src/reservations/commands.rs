//! What can be asked of a resource, and what is answered.

use evenkeel_engine::{Position, Time};
use serde::{Deserialize, Serialize};

/// Seats in one call that creates or adds them.
pub const SEATS_A_CALL_MAX: usize = 1_000;
/// Seats in one hold.
pub const HOLD_SEATS_MAX: usize = 100;
/// Units in one hold.
pub const QUANTITY_MAX: u64 = 1_000_000_000;
/// Units of one resource.
pub const CAPACITY_MAX: u64 = 1_000_000_000_000;
/// The shortest hold.
pub const TTL_MS_MIN: u64 = 1;
/// The longest hold: 7 days.
pub const TTL_MS_MAX: u64 = 7 * 24 * 3_600_000;

/// A change to one resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// The resource: the partition key.
    pub resource: String,
    /// What to do with it.
    pub action: Action,
}

/// What to do with a resource. The edge has checked names and bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Create it, or make an existing one match.
    Put(Spec),
    /// Add seats; those that exist already stay as they are.
    AddSeats(Vec<String>),
    /// Take places, all or nothing, for a time.
    Hold {
        /// Who takes them.
        holder: String,
        /// For how long.
        ttl_ms: u64,
        /// Which.
        places: Places,
    },
    /// Make a hold permanent.
    Confirm {
        /// The hold's fence.
        hold: u64,
        /// What to do if it has expired.
        late: Late,
    },
    /// Give back a hold that is not confirmed.
    Release {
        /// The hold's fence.
        hold: u64,
    },
    /// Have a hold expire `ttl_ms` from now.
    Extend {
        /// The hold's fence.
        hold: u64,
        /// From now.
        ttl_ms: u64,
    },
    /// Give back a confirmed hold.
    Cancel {
        /// The hold's fence.
        hold: u64,
    },
}

/// What a resource is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Spec {
    /// Named places.
    Seats(Vec<String>),
    /// Places without names.
    Quantity(u64),
    /// One place, whose holds exist to fence something.
    Lock {
        /// The invariant that it protects.
        protects: String,
    },
}

/// What a hold takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Places {
    /// These seats.
    Seats(Vec<String>),
    /// So many units.
    Quantity(u64),
    /// The lock.
    Lock,
}

impl Places {
    /// How many units that is.
    #[must_use]
    pub fn units(&self) -> u64 {
        match self {
            Self::Seats(seats) => seats.len() as u64,
            Self::Quantity(quantity) => *quantity,
            Self::Lock => 1,
        }
    }
}

/// What a confirmation does that comes after the hold has expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Late {
    /// It is refused.
    Refuse,
    /// It takes the same places again, if they are still free, as a new and confirmed hold.
    Reacquire,
}

/// Where a hold is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HoldState {
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

/// A hold as answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldView {
    /// Its fence, which is also its name: grows with every hold on the resource.
    pub fence: u64,
    /// Where it is in its life.
    pub state: HoldState,
    /// Who took it.
    pub holder: String,
    /// What it takes.
    pub places: Places,
    /// When it was taken.
    pub created_at: Time,
    /// Until when it is held. Of a confirmed one, until when it would have been.
    pub expires_at: Time,
    /// When it was confirmed, released, expired or cancelled.
    pub resolved_at: Option<Time>,
    /// The hold that took the same places again after this one had expired.
    pub reacquired_as: Option<u64>,
}

/// A resource as answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceView {
    /// Its name.
    pub resource: String,
    /// What it is.
    pub kind: super::Kind,
    /// Of a lock: what it protects.
    pub protects: Option<String>,
    /// All places.
    pub capacity: u64,
    /// Places held.
    pub held: u64,
    /// Places confirmed.
    pub confirmed: u64,
    /// Its latest event.
    pub sequence: u64,
}

/// A seat's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SeatState {
    /// Nobody's.
    Free,
    /// Held until its hold resolves.
    Held,
    /// Taken for good.
    Confirmed,
}

/// A seat as answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeatView {
    /// Its name.
    pub seat: String,
    /// Whether it is taken.
    pub state: SeatState,
    /// By which hold.
    pub hold: Option<u64>,
}

/// An event as answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventView {
    /// Where it is in the resource's stream.
    pub position: Position,
    /// When it was decided.
    pub at: Time,
    /// What happened.
    pub event: super::tables::ReservationEvent,
}

/// A yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The resource as it is now, and whether it is new.
    Resource(ResourceView, bool),
    /// The hold as it is now.
    Hold(HoldView),
}

/// A no: the command had no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such resource.
    NoResource,
    /// There is no such hold, or it was resolved longer ago than holds are kept.
    NoHold,
    /// The resource has no seats of these names.
    NoSeat(Vec<String>),
    /// Fewer places are free than asked for.
    SoldOut {
        /// So many are free.
        available: u64,
    },
    /// These seats are not free.
    SeatTaken(Vec<String>),
    /// The request is for another kind of resource.
    WrongKind(super::Kind),
    /// The new capacity or seats would take away places that are held or confirmed.
    CapacityInUse {
        /// So many are taken.
        taken: u64,
    },
    /// A seat map this large can only be added to.
    TooManySeats,
    /// The hold has expired.
    HoldExpired,
    /// The hold is not held any more.
    NotHeld(HoldState),
    /// The hold is not confirmed.
    NotConfirmed(HoldState),
    /// A lock is held and released, never confirmed.
    LockNotConfirmable,
}

impl Refusal {
    /// The code under which it is answered and counted.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoResource | Self::NoHold | Self::NoSeat(_) => "not_found",
            Self::SoldOut { .. } => "sold_out",
            Self::SeatTaken(_) => "seat_taken",
            Self::WrongKind(_) => "wrong_kind",
            Self::CapacityInUse { .. } => "capacity_in_use",
            Self::TooManySeats => "too_many_seats",
            Self::HoldExpired => "hold_expired",
            Self::NotHeld(_) => "not_held",
            Self::NotConfirmed(_) => "not_confirmed",
            Self::LockNotConfirmable => "lock_not_confirmable",
        }
    }
}
