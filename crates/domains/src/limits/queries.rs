//! Reads of committed state. Policies are read from the copy of `meta`, not from here.

use super::{Check, CheckResult, decide};
use evenkeel_engine::{TenantId, Time};
use evenkeel_state::{Read, StateError};

/// What can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// What a check would be answered, without asking for it.
    Peek {
        /// The check.
        check: Check,
    },
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The answer that a check would get. Of a subject that was never counted, or is full again, that
    /// it is full.
    Peeked(CheckResult),
}

/// Reads.
pub fn query(
    read: &impl Read,
    now: Time,
    tenant: TenantId,
    query: &Query,
) -> Result<Found, StateError> {
    match query {
        Query::Peek { check } => decide::peek(read, now, tenant, check).map(Found::Peeked),
    }
}
