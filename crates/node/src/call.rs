//! What a request brings along, and what it takes home.

use evenkeel_contract::{Level, Settings};
use evenkeel_domains::Refusal;
use evenkeel_engine::{Failure, Priority, TenantId, Time};
use evenkeel_log::{Incarnation, Offset, PartitionId};
use std::{fmt, str::FromStr, sync::Arc, time::Duration};

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// The number under which its rows are stored.
    pub id: TenantId,
    /// The name by which it is routed.
    pub name: Arc<str>,
}

/// What a command brings along. What is `None` comes from the path's contract.
#[derive(Debug, Clone, Default)]
pub struct CallOptions {
    /// Makes a retry safe.
    pub idempotency_key: Option<String>,
    /// How long to wait for an answer.
    pub deadline: Option<Duration>,
    /// What is refused first.
    pub priority: Option<Priority>,
    /// What the caller has seen.
    pub session: Vec<SessionToken>,
}

/// What a read brings along. What is `None` comes from the path's contract.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// How fresh the answer must be.
    pub level: Option<Level>,
    /// At [`Level::Bounded`], how old it may be.
    pub max_staleness_ms: Option<u64>,
    /// How long to wait for an answer.
    pub deadline: Option<Duration>,
    /// What is refused first.
    pub priority: Option<Priority>,
    /// What the caller has seen.
    pub session: Vec<SessionToken>,
}

/// What a caller is given of what the contract says.
impl ReadOptions {
    pub(crate) fn level_by(&self, settings: &Settings) -> Level {
        self.level.or(settings.consistency).unwrap_or(Level::Linearizable)
    }

    pub(crate) fn priority_by(&self, settings: &Settings) -> Priority {
        priority(self.priority, settings)
    }

    /// How long it waits.
    #[must_use]
    pub fn deadline_ms_by(&self, settings: &Settings) -> u64 {
        deadline_ms(self.deadline, settings)
    }

    /// How stale an answer may be; `None` if not at all.
    #[must_use]
    pub fn may_be_stale_ms_by(&self, settings: &Settings) -> Option<u64> {
        match self.level_by(settings) {
            Level::Eventual => Some(u64::MAX),
            Level::Bounded => {
                Some(self.max_staleness_ms.or(settings.max_staleness_ms).unwrap_or(u64::MAX))
            }
            Level::Session | Level::Linearizable => None,
        }
    }
}

/// What a caller asks for, at most what the contract gives.
pub(crate) fn deadline_ms(asked: Option<Duration>, settings: &Settings) -> u64 {
    asked.map_or(settings.deadline_ms, |asked| {
        u64::try_from(asked.as_millis()).unwrap_or(u64::MAX).min(settings.deadline_ms)
    })
}

/// What a caller asks for, or else what the contract says.
pub(crate) fn priority(asked: Option<Priority>, settings: &Settings) -> Priority {
    asked.unwrap_or(match settings.priority {
        evenkeel_contract::Priority::Critical => Priority::Critical,
        evenkeel_contract::Priority::Default => Priority::Default,
        evenkeel_contract::Priority::Sheddable => Priority::Sheddable,
    })
}

/// An answer and what was delivered with it.
#[derive(Debug, Clone)]
pub struct Called<A> {
    /// The answer.
    pub answer: A,
    /// Whether it is the stored reply of an earlier request.
    pub replayed: bool,
    /// What it rests on: a place in every partition that was asked.
    pub as_of: Vec<SessionToken>,
    /// At most so old. 0: the owner answered.
    pub staleness_ms: u64,
    /// The record time at which it was decided or read: of what several partitions answered the
    /// earliest, of what none did when that was known.
    pub at: Time,
}

impl<A> Called<A> {
    /// The same with another answer.
    pub fn map<B>(self, other: impl FnOnce(A) -> B) -> Called<B> {
        let Self { answer, replayed, as_of, staleness_ms, at } = self;
        Called { answer: other(answer), replayed, as_of, staleness_ms, at }
    }
}

/// A place in a partition's log that a caller has seen: `partition.incarnation.offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionToken {
    /// The partition.
    pub partition: PartitionId,
    /// The life of the log.
    pub incarnation: Incarnation,
    /// Everything up to here was seen.
    pub offset: Offset,
}

impl fmt::Display for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.partition.0, self.incarnation, self.offset)
    }
}

impl FromStr for SessionToken {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.splitn(3, '.');
        let mut next = || parts.next().ok_or(());
        Ok(Self {
            partition: PartitionId(next()?.parse().map_err(|_| ())?),
            incarnation: Incarnation(next()?.parse().map_err(|_| ())?),
            offset: Offset(next()?.parse().map_err(|_| ())?),
        })
    }
}

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// The domain says no, and this is what the no rests on.
    #[error("refused: {}", refusal.code())]
    Refused {
        /// The no.
        refusal: Refusal,
        /// Where the partition was when it was decided.
        as_of: SessionToken,
    },
    /// The idempotency key was used for another request: that is known of the partition, so it
    /// rests on something, as a no does.
    #[error("{}", Failure::<Refusal>::IdempotencyConflict)]
    IdempotencyConflict {
        /// Where the partition was when the key was looked up.
        as_of: SessionToken,
    },
    /// The partition answered, but decided nothing. Neither a refusal nor an idempotency conflict
    /// is ever in here.
    #[error(transparent)]
    Failed(#[from] Failure<Refusal>),
    /// One of several partitions failed so, and others have done their part, or nobody knows whether
    /// they have. Never nested.
    #[error("{0}; other partitions may have done their part")]
    Partly(Box<NodeError>),
    /// A session token names what this node's log has never held: it is of another life of it.
    #[error("the session token is of another life of the log")]
    SessionReset,
    /// What was asked is a view that is further behind than the caller takes.
    #[error("the view is {late_ms} ms late, which is more than was asked for")]
    NotUpToBound {
        /// By how much.
        late_ms: u64,
    },
    /// There is no queue of this name.
    #[error("there is no such queue")]
    NoQueue,
    /// The tenant's name is not known.
    #[error("there is no such tenant")]
    NoTenant,
}

impl NodeError {
    /// The partition is not served here, or not any more.
    #[must_use]
    pub fn not_served() -> Self {
        Failure::Unavailable("the partition is not served by this node".into()).into()
    }
}
