//! The seam between this edge and what decides. The edge knows bytes, connections and keys; who
//! implements [`Limits`] knows limits.

use bytes::Bytes;
use evenkeel_domains::limits::{LeaseId, Policy};
use evenkeel_engine::Time;
use evenkeel_node::{MetaView, Tenant, Verdict};
use smallvec::SmallVec;
use std::{borrow::Cow, future::Future, sync::Arc};

/// The code of a request that is wrong in itself.
pub(super) const INVALID_REQUEST: &str = "invalid_request";

/// What decides: [`Counted`](super::counted::Counted), and in tests of connections nobody.
pub(super) trait Limits: Send + Sync + 'static {
    /// Carries out the requests of `batch`, one after the other as far as one can tell, and puts
    /// an outcome for each, in their order, into `batch`. A request whose outcome is missing is
    /// answered as failed inside. What it waits for must be bounded: the connection waits along.
    fn decide(&self, caller: &Caller, batch: &mut Batch) -> impl Future<Output = ()> + Send;

    /// Carries out a request about the limits themselves. Everything that the same connection
    /// asked before has been answered by then.
    fn manage(&self, caller: &Caller, request: Manage) -> impl Future<Output = Managed> + Send;

    /// The current copy of keys and tenants, and where it is from: asked before each batch, so it
    /// must be cheap.
    fn meta(&self) -> Arc<MetaView>;

    /// Record time.
    fn now(&self) -> Time;
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    /// Whose limits are meant.
    pub(super) tenant: Tenant,
    /// The public half of their key; `None` where nobody needs one.
    pub(super) key: Option<Arc<str>>,
}

/// Requests that came together, and what became of them.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// What is asked. May be emptied by who decides it.
    pub(super) requests: Vec<Request>,
    /// What became of each, in the same order. Empty at first.
    pub(super) outcomes: Vec<Outcome>,
}

/// The name of a limit or a scope: 1 to 128 of `A-Z a-z 0-9 . _ : @ -`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Name(Bytes);

impl Name {
    /// The name that `bytes` are, if they are one.
    pub(super) fn new(bytes: Bytes) -> Option<Self> {
        let legal = std::str::from_utf8(&bytes).is_ok_and(crate::text::is_name);
        legal.then_some(Self(bytes))
    }

    /// The name as text.
    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("it was checked when it was made")
    }
}

impl std::fmt::Debug for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_str().fmt(f)
    }
}

/// What is asked of the state of limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    /// `CL.THROTTLE`: a check whose policy is in its arguments.
    Throttle(Throttle),
    /// `LIMIT.CHECK` and `LIMIT.PEEK`: all limits admit and are counted, or none is counted.
    Check(Check),
    /// `LIMIT.REFUND`: gives back what a check counted.
    Refund {
        /// What it counted, and the id under which it is given back once.
        check: Check,
        /// What its answer said.
        counted_at: Time,
    },
    /// `LIMIT.RESET`: forgets what was counted.
    Reset(Check),
    /// `LIMIT.RELEASE`: gives a slot back.
    Release(LeaseId),
    /// `LIMIT.RENEW`: keeps a slot.
    Renew {
        /// Which.
        lease: LeaseId,
        /// For so long from now: 1 to
        /// [`PERIOD_MS_MAX`](evenkeel_domains::limits::PERIOD_MS_MAX).
        ttl_ms: u64,
    },
}

/// The arguments of `CL.THROTTLE`: nothing is negative but a `max_burst` of -1, which leaves room
/// for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Throttle {
    /// What is limited: at most 512 bytes.
    pub(super) key: Bytes,
    /// How much beyond an even flow is admitted at once.
    pub(super) max_burst: i64,
    /// So much…
    pub(super) count: i64,
    /// …in so many seconds.
    pub(super) period_s: i64,
    /// How much is asked for; 0 looks and counts nothing.
    pub(super) quantity: i64,
}

/// Limits that are asked together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Check {
    /// At least one, and at most [`CHECKS_MAX`](evenkeel_domains::limits::CHECKS_MAX).
    pub(super) costs: SmallVec<[Cost; 1]>,
    /// Only look; count nothing.
    pub(super) peek: bool,
    /// `ONCE`: an idempotency key, of 1 to 255 printable ASCII characters. A refund has one.
    pub(super) once: Option<Bytes>,
}

/// So much of one limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cost {
    /// Which.
    pub(super) subject: Subject,
    /// How much.
    pub(super) cost: u64,
}

/// One key of one limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subject {
    /// The limit's name.
    pub(super) limit: Name,
    /// Within which scope, if the limit has scopes.
    pub(super) scope: Option<Name>,
    /// What is limited: at most 512 bytes.
    pub(super) key: Bytes,
}

/// What became of a [`Request`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Of a throttle, a check, a peek, a refund or a reset: a verdict for each cost, in order.
    Checked {
        /// Whether all of it is admitted.
        allowed: bool,
        /// What a refund of it names, if it was counted.
        counted_at: Option<Time>,
        /// What each limit says.
        verdicts: SmallVec<[Verdict; 1]>,
    },
    /// Of a release: whether there was such a lease.
    Released(bool),
    /// Of a renewal: when the lease ends now, if there was one.
    Renewed(Option<Time>),
    /// It was not carried out.
    Failed(Failure),
}

/// Why something was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// A code of the table of problems, such as `overloaded`; answered in capitals.
    pub(super) code: &'static str,
    /// A sentence.
    pub(super) detail: Cow<'static, str>,
}

/// What is asked about limits themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Manage {
    /// `LIMIT.PUT`: creates or changes a limit.
    Put {
        /// Its name.
        limit: Name,
        /// What it says from now on. Whether that is legal is for who manages it to say.
        policy: Policy,
    },
    /// `LIMIT.GET`.
    Get {
        /// Its name.
        limit: Name,
    },
    /// `LIMIT.DEL`.
    Delete {
        /// Its name.
        limit: Name,
    },
    /// `LIMIT.LIST`: in the order of names.
    List {
        /// Only those after this one.
        after: Option<Name>,
        /// At most so many.
        count: usize,
    },
}

/// What became of a [`Manage`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Managed {
    /// Of a put.
    Done,
    /// Of a deletion: whether there was one.
    Deleted(bool),
    /// Of a get: the policy, if there is one.
    Found(Option<Policy>),
    /// Of a list.
    Listed(Vec<(Name, Policy)>),
    /// It was not carried out.
    Failed(Failure),
}
