//! The bodies that callers get.

use crate::time::Rfc3339;
use evenkeel_domains::reservations::{
    HoldState, HoldView, Kind, Places, ResourceView, SeatState, SeatView,
};
use evenkeel_log::Incarnation;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

/// A hold.
#[derive(Serialize, ToSchema)]
#[schema(as = Hold)]
pub(crate) struct HoldBody<'h> {
    /// Its name: its fence, in decimal.
    #[schema(value_type = String)]
    hold: Decimal,
    /// Grows with every hold on the resource: what a lock's holder shows to whatever it writes to.
    fence: u64,
    /// held, confirmed, released, expired or cancelled.
    #[schema(value_type = String)]
    state: &'static str,
    /// Who took it.
    holder: &'h str,
    /// On what.
    resource: &'h str,
    /// Of kind seats: which.
    #[serde(skip_serializing_if = "Option::is_none")]
    seats: Option<&'h [String]>,
    /// Of kind quantity: how many.
    #[serde(skip_serializing_if = "Option::is_none")]
    quantity: Option<u64>,
    /// When it was taken.
    #[schema(value_type = String, format = DateTime)]
    created_at: Rfc3339,
    /// Until when it is, or would have been, held.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Rfc3339,
    /// When it was confirmed, released, expired or cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    resolved_at: Option<Rfc3339>,
    /// The hold that took the same places again after this one had expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    reacquired_as: Option<Decimal>,
}

impl<'h> HoldBody<'h> {
    pub(crate) fn new(resource: &'h str, hold: &'h HoldView) -> Self {
        let (seats, quantity) = places(&hold.places);
        Self {
            hold: Decimal(hold.fence),
            fence: hold.fence,
            state: hold_state(hold.state),
            holder: &hold.holder,
            resource,
            seats,
            quantity,
            created_at: Rfc3339(hold.created_at),
            expires_at: Rfc3339(hold.expires_at),
            resolved_at: hold.resolved_at.map(Rfc3339),
            reacquired_as: hold.reacquired_as.map(Decimal),
        }
    }
}

/// A resource.
#[derive(Serialize, ToSchema)]
#[schema(as = Resource)]
pub(crate) struct ResourceBody<'r> {
    /// Its name.
    resource: &'r str,
    /// seats, quantity or lock.
    #[schema(value_type = String)]
    kind: &'static str,
    /// Of a lock: the invariant that it protects.
    #[serde(skip_serializing_if = "Option::is_none")]
    protects: Option<&'r str>,
    /// All places.
    capacity: u64,
    /// Those that nobody has.
    available: u64,
    /// Those taken until their holds resolve.
    held: u64,
    /// Those taken for good.
    confirmed: u64,
    /// Its newest event: follow its stream from here.
    position: String,
}

impl<'r> ResourceBody<'r> {
    pub(crate) fn new(resource: &'r ResourceView, incarnation: Incarnation) -> Self {
        Self {
            resource: &resource.resource,
            kind: kind(resource.kind),
            protects: resource.protects.as_deref(),
            capacity: resource.capacity,
            available: resource.capacity - resource.held - resource.confirmed,
            held: resource.held,
            confirmed: resource.confirmed,
            position: format!("{incarnation}.{}", resource.sequence),
        }
    }
}

/// A seat.
#[derive(Serialize, ToSchema)]
#[schema(as = Seat)]
pub(crate) struct SeatBody<'s> {
    /// Its name.
    seat: &'s str,
    /// free, held or confirmed.
    #[schema(value_type = String)]
    state: &'static str,
    /// Whose it is; null if nobody's.
    #[schema(value_type = Option<String>)]
    hold: Option<Decimal>,
}

impl<'s> SeatBody<'s> {
    pub(crate) fn new(seat: &'s SeatView) -> Self {
        Self { seat: &seat.seat, state: seat_state(seat.state), hold: seat.hold.map(Decimal) }
    }
}

macro_rules! lists {
    ($($list:ident of $item:ident;)*) => {$(
        /// A page of a list.
        #[derive(Serialize, ToSchema)]
        pub(crate) struct $list<'i> {
            pub(crate) items: Vec<$item<'i>>,
            /// Where the list goes on; null only at its end.
            pub(crate) cursor: Option<String>,
        }
    )*};
}
lists! {
    HoldList of HoldBody;
    SeatList of SeatBody;
    ResourceList of ResourceBody;
}

/// A number written as a string, since it is a name.
pub(crate) struct Decimal(pub(crate) u64);

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// What a hold takes, as the two fields that say it.
pub(crate) fn places(places: &Places) -> (Option<&[String]>, Option<u64>) {
    match places {
        Places::Seats(seats) => (Some(seats), None),
        Places::Quantity(quantity) => (None, Some(*quantity)),
        Places::Lock => (None, None),
    }
}

macro_rules! words {
    ($($function:ident, $parse:ident, $type:ident { $($variant:ident = $word:literal),* })*) => {$(
        pub(crate) fn $function(value: $type) -> &'static str {
            match value { $($type::$variant => $word),* }
        }

        pub(crate) fn $parse(word: &str) -> Option<$type> {
            match word { $($word => Some($type::$variant),)* _ => None }
        }
    )*};
}
words! {
    hold_state, hold_state_from, HoldState {
        Held = "held", Confirmed = "confirmed", Released = "released", Expired = "expired",
        Cancelled = "cancelled"
    }
    seat_state, seat_state_from, SeatState { Free = "free", Held = "held", Confirmed = "confirmed" }
}

pub(crate) fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Seats => "seats",
        Kind::Quantity => "quantity",
        Kind::Lock => "lock",
    }
}
