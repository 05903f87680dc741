//! A run: what is switched off for it, and what it left behind.

use super::{
    chat, feed, jobs, judge, limits,
    plan::{Plan, Product},
    world,
};
use crate::history::{
    History, chat::ChatHistory, feed::FeedHistory, jobs::JobHistory, limits::LimitHistory,
};
use evenkeel_domains::Switches as DomainSwitches;
use evenkeel_engine::Switches;

/// What is switched off for a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is one named, independent breakage")]
pub struct Broken {
    /// In the engine.
    pub engine: Switches,
    /// In the domains.
    pub domains: DomainSwitches,
    /// The log appends without looking at its tail.
    pub no_tail_check: bool,
    /// The disk says "synced" and is not.
    pub no_fsync: bool,
    /// Time is what the node's wall clock says.
    pub wall_clock: bool,
    /// A process that starts forgets what limits have counted.
    pub window_reset: bool,
    /// Edges take and keep more tokens of leased limits than they may.
    pub unbounded_lease: bool,
    /// Refunds are passed on without their idempotency key.
    pub refund_twice: bool,
    /// In how jobs are enqueued and worked on.
    pub jobs: BrokenJobs,
    /// In how conversations are read.
    pub chat: BrokenChat,
    /// In what is kept of timelines.
    pub kept: BrokenKept,
}

/// What is switched off of what clients and workers of jobs, and their queue's settings, do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is one named, independent breakage")]
pub struct BrokenJobs {
    /// What workers write to does not compare fences.
    pub no_fence: bool,
    /// Workers complete a job before they do what it is for.
    pub ack_first: bool,
    /// Retries wait as long as each other.
    pub no_jitter: bool,
    /// As many jobs may wait as will.
    pub unbounded_backlog: bool,
    /// Workers ask whether an effect has happened before the transaction in which it does.
    pub check_outside: bool,
}

/// What is switched off of what those do who read conversations, and of what waits for them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BrokenChat {
    /// Who resumes asks for what follows the event after the last that they have.
    pub off_by_one: bool,
    /// Conversations are read in the order of what wall clocks said.
    pub by_wall_clock: bool,
    /// As many events wait for a connection as will.
    pub unbounded_buffer: bool,
}

/// What is switched off of what a node keeps of what it has read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BrokenKept {
    /// What is read is kept though a write has overtaken it.
    pub fill_after_invalidate: bool,
    /// Whoever finds nothing reads, also while somebody else does.
    pub no_coalescing: bool,
    /// What is kept is for everybody, whatever they have seen.
    pub ignore_session: bool,
}

/// What clients did and heard.
pub enum Told {
    /// About resources.
    Reservations(History),
    /// About limits.
    Limits(LimitHistory),
    /// About jobs.
    Jobs(JobHistory),
    /// About conversations.
    Chat(ChatHistory),
    /// About feeds.
    Feed(FeedHistory),
}

impl Told {
    /// Requests.
    #[must_use]
    pub fn operations(&self) -> usize {
        match self {
            Self::Reservations(history) => history.operations.len(),
            Self::Limits(history) => history.operations.len(),
            Self::Jobs(history) => history.operations.len(),
            Self::Chat(history) => history.operations.len(),
            Self::Feed(history) => history.operations.len(),
        }
    }
}

/// What a run left behind.
pub struct Run {
    /// What clients did and heard.
    pub told: Told,
    /// What else was seen, and what is wrong.
    pub verdict: judge::Verdict,
    /// A hash over the log's bytes and the history: the same seed gives the same.
    pub fingerprint: evenkeel_log::Hash,
    /// What happened, in words, for a counterexample.
    pub trace: Vec<String>,
}

/// Runs `plan`.
#[must_use]
pub fn run(plan: &Plan, broken: Broken) -> Run {
    match plan.product {
        Product::Reservations => world::run(plan, broken),
        Product::Limits => limits::run(plan, broken),
        Product::Jobs => jobs::run(plan, broken),
        Product::Chat => chat::run(plan, broken),
        Product::Feed => feed::run(plan, broken),
    }
}
