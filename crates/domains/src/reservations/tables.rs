//! The tables of reservations: key layouts and row types, nowhere else.
//!
//! | id | table | key | row |
//! |---|---|---|---|
//! | 0x20 | `Resources` | tenant, name | `Resource` |
//! | 0x21 | `ResourceNames` | resource id | `ResourceName` |
//! | 0x22 | `ResourceCounter` | — | the next resource id |
//! | 0x23 | `Holds` | resource id, fence | `Hold` |
//! | 0x24 | `Due` | resource id, time, fence | — |
//! | 0x25 | `Seats` | resource id, seat name | `Seat` |

use super::{HoldState, Places, SeatState};
use crate::tables::tables;
use evenkeel_engine::{Entity, StreamHead, TenantId, Time};
use evenkeel_state::row;
use serde::{Deserialize, Serialize};

/// Resolved holds and events are kept this long: 7 days.
pub const RETENTION_MS: u64 = 7 * 24 * 3_600_000;

/// What a resource is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Named places.
    Seats,
    /// Counted places.
    Quantity,
    /// One place that fences something.
    Lock,
}

/// A resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// Its number in this partition.
    pub id: u64,
    /// What it is.
    pub kind: Kind,
    /// All places.
    pub capacity: u64,
    /// Places held.
    pub held: u64,
    /// Places confirmed.
    pub confirmed: u64,
    /// The sequence of the next hold's fence.
    pub next_fence: u64,
    /// Its events.
    pub events: StreamHead,
    /// When its timer is set; never later than the first thing due.
    pub timer: Option<Time>,
    /// Of a lock: the invariant that it protects.
    pub protects: Option<String>,
}
row!(Resource, version = 1);

impl Resource {
    /// Places that nobody has.
    #[must_use]
    pub fn available(&self) -> u64 {
        self.capacity - self.held - self.confirmed
    }

    pub(super) fn entity(&self) -> Entity {
        Entity { domain: super::DOMAIN, id: self.id }
    }
}

/// Whose a resource is and what it is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ResourceName {
    pub(super) tenant: TenantId,
    pub(super) name: String,
}
row!(ResourceName, version = 1);

/// The next resource id.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Counter(pub(super) u64);
row!(Counter, version = 1);

/// A hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Where it is in its life.
    pub state: HoldState,
    /// Who took it.
    pub holder: String,
    /// What it takes.
    pub places: Places,
    /// When it was taken.
    pub created_at: Time,
    /// Until when it is held.
    pub expires_at: Time,
    /// When it was resolved.
    pub resolved_at: Option<Time>,
    /// The hold that took the same places again.
    pub reacquired_as: Option<u64>,
}
row!(Hold, version = 1);

impl Hold {
    /// Whether it is held at `now`. One that is due but not yet expired is not.
    #[must_use]
    pub fn is_live(&self, now: Time) -> bool {
        self.state == HoldState::Held && now < self.expires_at
    }
}

/// A seat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seat {
    pub(super) state: SeatState,
    pub(super) hold: u64,
}
row!(Seat, version = 1);

/// What happened to a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReservationEvent {
    /// It was created.
    Created {
        /// With so many places.
        capacity: u64,
    },
    /// Its places changed.
    CapacityChanged {
        /// To so many.
        capacity: u64,
    },
    /// A hold was taken, or changed.
    Hold {
        /// What it is now.
        change: HoldChange,
        /// Which hold.
        fence: u64,
        /// Whose.
        holder: String,
        /// Of what.
        places: Places,
        /// Until when it is, or was, held.
        expires_at: Time,
    },
}

impl ReservationEvent {
    /// The event's type, as subscribers see it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Created { .. } => "reservations.created",
            Self::CapacityChanged { .. } => "reservations.capacity_changed",
            Self::Hold { change, .. } => change.name(),
        }
    }
}

/// What happened to a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HoldChange {
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

impl HoldChange {
    /// The event's type, as subscribers see it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Held => "reservations.held",
            Self::Confirmed => "reservations.confirmed",
            Self::Released => "reservations.released",
            Self::Expired => "reservations.expired",
            Self::Extended => "reservations.extended",
            Self::Cancelled => "reservations.cancelled",
        }
    }
}

tables! {
    Resources, 0x20, "resources", (TenantId, String), Resource;
    ResourceNames, 0x21, "resource_names", u64, ResourceName;
    ResourceCounter, 0x22, "resource_counter", (), Counter;
    Holds, 0x23, "holds", (u64, u64), Hold;
    Due, 0x24, "due", (u64, u64, u64), ();
    Seats, 0x25, "seats", (u64, String), Seat;
}
