//! The bodies that callers send, and what is checked about each before a partition sees it.

use crate::{json::Document, problem::Problem, text::is_name};
use evenkeel_domains::reservations::{
    Action, CAPACITY_MAX, HOLD_SEATS_MAX, Late, Places, QUANTITY_MAX, SEATS_A_CALL_MAX, Spec,
    TTL_MS_MAX, TTL_MS_MIN,
};
use serde::Deserialize;
use std::collections::HashSet;
use utoipa::ToSchema;

const NAME_RULE: &str = "must be 1 to 128 of A-Z a-z 0-9 . _ : @ -";
/// The longest sentence about what a lock protects.
const PROTECTS_BYTES_MAX: usize = 500;

/// What a resource is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PutRequest {
    kind: KindName,
    /// Of kind seats: their names, at most 1,000 a call.
    seats: Option<Vec<String>>,
    /// Of kind quantity: how many places there are.
    capacity: Option<u64>,
    /// Of kind lock: the invariant that it protects, as a sentence.
    protects: Option<String>,
}

/// The kinds of resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KindName {
    Seats,
    Quantity,
    Lock,
}

/// Seats to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SeatsRequest {
    /// Their names, at most 1,000 a call.
    seats: Vec<String>,
}

/// Places to hold: seats, a quantity, or neither for a lock.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HoldRequest {
    /// Who takes them.
    holder: String,
    /// For how long: 1 ms to 7 days.
    ttl_ms: u64,
    /// Of kind seats: which, at most 100; all or none of them.
    seats: Option<Vec<String>>,
    /// Of kind quantity: how many.
    quantity: Option<u64>,
}

/// What a confirmation does if it is late.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfirmRequest {
    late: Option<LateName>,
}

/// What to do about a hold that has expired.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LateName {
    Refuse,
    Reacquire,
}

/// How long a hold is to stand from now.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExtendRequest {
    /// 1 ms to 7 days.
    ttl_ms: u64,
}

/// Nothing, or an empty object.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EmptyRequest {}

macro_rules! documents {
    ($($type:ident [$($field:literal),*] $absent:expr;)*) => {$(
        impl Document for $type {
            const FIELDS: &'static [&'static str] = &[$($field),*];

            fn absent() -> Option<Self> {
                $absent
            }
        }
    )*};
}
documents! {
    PutRequest ["kind", "seats", "capacity", "protects"] None;
    SeatsRequest ["seats"] None;
    HoldRequest ["holder", "ttl_ms", "seats", "quantity"] None;
    ConfirmRequest ["late"] Some(Self::default());
    ExtendRequest ["ttl_ms"] None;
    EmptyRequest [] Some(Self::default());
}

impl PutRequest {
    pub(crate) fn action(self) -> Result<Action, Problem> {
        let Self { kind, seats, capacity, protects } = self;
        let foreign = [
            ("seats", seats.is_some() && kind != KindName::Seats),
            ("capacity", capacity.is_some() && kind != KindName::Quantity),
            ("protects", protects.is_some() && kind != KindName::Lock),
        ];
        if let Some((field, _)) = foreign.into_iter().find(|(_, foreign)| *foreign) {
            return Err(Problem::field(field, "does not go with this kind"));
        }
        let spec = match kind {
            KindName::Seats => {
                let seats = seats.ok_or_else(|| Problem::field("seats", "must be given"))?;
                Spec::Seats(checked_seats(seats, SEATS_A_CALL_MAX)?)
            }
            KindName::Quantity => {
                let capacity =
                    capacity.ok_or_else(|| Problem::field("capacity", "must be given"))?;
                if capacity > CAPACITY_MAX {
                    return Err(Problem::field(
                        "capacity",
                        &format!("may be at most {CAPACITY_MAX}"),
                    ));
                }
                Spec::Quantity(capacity)
            }
            KindName::Lock => Spec::Lock { protects: checked_protects(protects)? },
        };
        Ok(Action::Put(spec))
    }
}

impl SeatsRequest {
    pub(crate) fn action(self) -> Result<Action, Problem> {
        Ok(Action::AddSeats(checked_seats(self.seats, SEATS_A_CALL_MAX)?))
    }
}

impl HoldRequest {
    pub(crate) fn action(self) -> Result<Action, Problem> {
        let Self { holder, ttl_ms, seats, quantity } = self;
        if !is_name(&holder) {
            return Err(Problem::field("holder", NAME_RULE));
        }
        let places = match (seats, quantity) {
            (Some(_), Some(_)) => {
                return Err(Problem::field("quantity", "does not go together with seats"));
            }
            (Some(seats), None) => Places::Seats(checked_seats(seats, HOLD_SEATS_MAX)?),
            (None, Some(quantity)) if (1..=QUANTITY_MAX).contains(&quantity) => {
                Places::Quantity(quantity)
            }
            (None, Some(_)) => {
                return Err(Problem::field("quantity", &format!("must be 1 to {QUANTITY_MAX}")));
            }
            (None, None) => Places::Lock,
        };
        Ok(Action::Hold { holder, ttl_ms: checked_ttl(ttl_ms)?, places })
    }
}

impl ConfirmRequest {
    pub(crate) fn action(&self, hold: u64) -> Action {
        let late = match self.late {
            Some(LateName::Reacquire) => Late::Reacquire,
            Some(LateName::Refuse) | None => Late::Refuse,
        };
        Action::Confirm { hold, late }
    }
}

impl ExtendRequest {
    pub(crate) fn action(&self, hold: u64) -> Result<Action, Problem> {
        Ok(Action::Extend { hold, ttl_ms: checked_ttl(self.ttl_ms)? })
    }
}

fn checked_ttl(ttl_ms: u64) -> Result<u64, Problem> {
    if !(TTL_MS_MIN..=TTL_MS_MAX).contains(&ttl_ms) {
        let rule = format!("must be {TTL_MS_MIN} to {TTL_MS_MAX}");
        return Err(Problem::field("ttl_ms", &rule));
    }
    Ok(ttl_ms)
}

fn checked_seats(seats: Vec<String>, count_max: usize) -> Result<Vec<String>, Problem> {
    if seats.is_empty() || seats.len() > count_max {
        return Err(Problem::field("seats", &format!("must be 1 to {count_max} names")));
    }
    if let Some(at) = seats.iter().position(|seat| !is_name(seat)) {
        return Err(Problem::field(
            "seats",
            &format!("has a name at {at} that breaks the rule: it {NAME_RULE}"),
        ));
    }
    let mut seen = HashSet::with_capacity(seats.len());
    if let Some(twice) = seats.iter().find(|seat| !seen.insert(seat.as_str())) {
        return Err(Problem::field("seats", &format!("names {twice} twice")));
    }
    Ok(seats)
}

fn checked_protects(protects: Option<String>) -> Result<String, Problem> {
    let protects = protects.unwrap_or_default();
    let legal = !protects.trim().is_empty()
        && protects.len() <= PROTECTS_BYTES_MAX
        && !protects.chars().any(char::is_control);
    if legal {
        return Ok(protects);
    }
    let rule = format!(
        "must say in 1 to {PROTECTS_BYTES_MAX} bytes which invariant the lock protects; a lock that \
         protects none should not exist"
    );
    Err(Problem::field("protects", &rule))
}
