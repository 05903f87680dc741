//! What goes into a partition and what comes out: requests and their answers.

use crate::{App, Idempotency};
use evenkeel_log::Offset;
use serde::{Deserialize, Serialize};

/// Record time: milliseconds since 1970 that never go back within a partition. It is no wall
/// clock: whoever drives the engine anchors it and then only adds what a monotonic clock says.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Time(pub u64);

impl Time {
    /// This time and `ms` more.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// This time less `ms`.
    #[must_use]
    pub fn minus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_sub(ms))
    }
}

/// A tenant, by the number that `meta` gave its name.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct TenantId(pub u32);

impl evenkeel_state::KeyCodec for TenantId {
    fn encode(&self, out: &mut evenkeel_state::KeyBytes) {
        self.0.encode(out);
    }

    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        u32::decode(bytes).map(Self)
    }
}

/// What is refused first when there is too much; the order of the variants is the order of rank.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum Priority {
    /// Refused first.
    Sheddable,
    /// Everything that says nothing else.
    #[default]
    Default,
    /// Refused last.
    Critical,
}

/// A command on its way to a decision.
#[derive(Debug)]
pub struct Request<A: App, T> {
    /// Given back with the answer: where to deliver it.
    pub ticket: T,
    /// Who asks.
    pub tenant: TenantId,
    /// What is refused first.
    pub priority: Priority,
    /// After this it is dropped undecided; once decided, its caller is told `OutcomeUnknown`.
    pub deadline: Option<Time>,
    /// What makes a retry safe.
    pub idempotency: Option<Idempotency>,
    /// What is asked.
    pub command: A::Command,
}

/// A yes or a no, with what it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<A: App> {
    /// What was decided.
    pub outcome: Result<A::Reply, Failure<A::Refusal>>,
    /// What was delivered with it.
    pub delivered: Delivered,
}

/// What an answer rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delivered {
    /// The offset that held when it was given: everything up to it is durable.
    pub offset: Offset,
    /// The record time at which it was decided.
    pub at: Time,
    /// Whether it is the stored reply of an earlier request with the same idempotency key.
    pub replayed: bool,
}

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure<R> {
    /// The domain says no. It had no effect, and the no is as well founded as a yes.
    #[error("refused")]
    Refused(R),
    /// The idempotency key was used for another request.
    #[error("the idempotency key was already used for a different request")]
    IdempotencyConflict,
    /// The tenant's share of remembered keys is used up.
    #[error("the tenant's idempotency keys take all the space they may; try without or later")]
    QuotaExceeded,
    /// The command's effects are more than one command may have.
    #[error("the command would change more rows or bytes than one command may")]
    TooLarge,
    /// There is no room to wait.
    #[error("too many requests are waiting")]
    Overloaded,
    /// It waited too long and was dropped undecided.
    #[error("the deadline passed before the request was decided")]
    DeadlineExceeded,
    /// It was decided, but nobody knows yet whether that became durable. Ask again with the same
    /// idempotency key.
    #[error("whether the request took effect is not known")]
    OutcomeUnknown,
    /// Certainly no effect: this partition does not take writes here and now.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// The decision panicked, and the same request is refused from now on; or it came upon a row that
    /// cannot be read. It had no effect.
    #[error("an internal error; the request had no effect")]
    Internal,
}
