//! One operation as its domain declares it: why it exists, in prose, and what its code does, as
//! facts. Not what an operator may change: that is [`Settings`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::settings::{Level, Refusals, Settings};

/// A path: one operation that clients call, declared once as a `static`.
///
/// The prose fields are in the order in which a path should be thought about: the user's action
/// and the promise first, storage and failure after.
#[derive(Debug, Clone, Copy)]
pub struct Path {
    /// `domain.operation`, such as `reservations.hold`.
    pub name: &'static str,
    /// Verb and route, for display: `POST /v1/resources/{r}/holds`.
    pub route: &'static str,
    /// Whether it can change anything.
    pub access: Access,
    /// What someone is doing when a product calls this.
    pub user_action: &'static str,
    /// What the product promises about it.
    pub promise: &'static str,
    /// The read that grows with traffic.
    pub hot_read: &'static str,
    /// The write that grows with traffic.
    pub hot_write: &'static str,
    /// What is stored.
    pub data: &'static str,
    /// How data moves between the parts.
    pub moves: &'static str,
    /// The first failure to expect.
    pub first_failure: &'static str,
    /// The first thing to saturate as load grows.
    pub first_bottleneck: &'static str,
    /// The side of the trade-off that is kept, and why that is right for this action.
    pub kept: &'static str,
    /// The side that is given up.
    pub given_up: &'static str,
    /// What may be stale because of this path, and who may see it.
    pub blast_radius: BlastRadius,
    /// What this path does while parts cannot reach each other.
    pub during_partition: &'static str,
    /// What has happened by the time the caller is answered.
    pub inline: &'static str,
    /// What happens afterwards.
    pub later: &'static str,
    /// How it comes back after a crash.
    pub recovery: &'static str,
    /// What can be replayed, and what replaying does.
    pub replay: &'static str,
    /// Metrics to watch beside those that every path has (see [`crate::metric::EVERY_PATH`]).
    pub watch: &'static [&'static str],
    /// A request to copy, against a local server without keys.
    pub curl: &'static str,
    /// The settings that hold until somebody changes them.
    pub defaults: Settings,
    /// What the code knows about itself; computed from it, never typed beside it.
    pub facts: Facts,
}

/// What may be stale, and who may see it. *How long* is not prose: it follows from the settings.
#[derive(Debug, Clone, Copy)]
pub struct BlastRadius {
    /// Which answer or view may lag.
    pub what: &'static str,
    /// Which action of whom may see it, and why that is harmless there.
    pub who: &'static str,
}

/// What the code of a path does, whatever its settings say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// What decides which partition a request belongs to.
    pub partition_key: PartitionKey,
    /// Which order its effects or answers have.
    pub order: Order,
    /// What an answer says about power loss and crashes.
    pub durability: Durability,
    /// Consistency levels that it can serve; empty for writes.
    pub levels: &'static [Level],
    /// How its refusals may be answered; empty for paths that change nothing.
    pub refusals: &'static [Refusals],
    /// Codes of its domain refusals, such as `sold_out`: a "no" that is not an error.
    pub refusal_codes: &'static [&'static str],
    /// What it changes, row by row and event by event; empty for reads.
    pub side_effects: &'static [&'static str],
    /// What a repeated request does.
    pub idempotency: Idempotency,
    /// How large one request can become.
    pub bounds: Bounds,
}

/// Whether a path can change anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Changes nothing.
    Read,
    /// Appends to the log.
    Write,
}

/// What decides which partition a request belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PartitionKey {
    /// A name in the request, such as `resource`.
    Key(&'static str),
    /// None: every partition is asked and the answers are merged.
    All,
    /// The one partition of tenants, keys and contracts, which every node follows.
    Meta,
}

/// Which order effects or answers have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// One order for everything of one partition key, the same for every reader.
    PerKey,
    /// As `PerKey`, and numbered without gaps.
    Dense,
    /// Ordered by name, for paging; says nothing about time.
    ByName,
    /// None is promised.
    None,
}

/// What an answer says about power loss and crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Answered only when the record it rests on is durable in the log.
    Logged,
    /// Answered before its record is durable: a crash may lose the last moments.
    Buffered,
    /// Changes nothing, so there is nothing to lose.
    NotLogged,
}

/// What a repeated request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Idempotency {
    /// Reads: nothing to repeat.
    Read,
    /// The same request again arrives at the same state, without a key.
    Natural,
    /// With an `Idempotency-Key`, the stored answer and no second effect.
    Keyed,
    /// Each call is a new one by its meaning (as a lease of the next job), and takes no key.
    Exempt,
}

/// How large one request can become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Bounds {
    /// Rows changed by a write, or answered by a read.
    pub rows_max: u32,
    /// Bytes of effects of a write, or of the answer of a read.
    pub bytes_max: u32,
}

/// How much coordination one call of a path spends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Coordination {
    /// None: any replica answers from what it has.
    None,
    /// Some: it waits for a replica that is recent enough, or answers before its record is durable.
    Some,
    /// The answer rests on a confirmed place in the log.
    Linearizable,
}

impl fmt::Display for Coordination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "none",
            Self::Some => "some",
            Self::Linearizable => "linearizable",
        })
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Read => "read",
            Self::Write => "write",
        })
    }
}
