//! Reads of committed state. Policies are read from the copy of `meta`, not from here.

use super::{Check, CheckResult, decide};
use evenkeel_engine::{TenantId, Time};
use evenkeel_state::{Read, StateError};

/// What can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// What checks would be answered, without asking for it.
    Peek {
        /// At least one, whose partition is the same.
        checks: Vec<Check>,
    },
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The answers that the checks would get. Of a subject that was never counted, or is full again,
    /// that it is full.
    Peeked(Vec<CheckResult>),
}

/// Reads.
pub fn query(
    read: &impl Read,
    now: Time,
    tenant: TenantId,
    query: &Query,
) -> Result<Found, StateError> {
    match query {
        Query::Peek { checks } => decide::peek(read, now, tenant, checks).map(Found::Peeked),
    }
}
