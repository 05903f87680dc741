//! The runtime: drives partitions over a log and a store, on tokio.
//!
//! A [`Node`] recovers every partition from its store and log, leads it, and then carries
//! requests to the partition they belong to and answers back. It owns the clock, the flushes, the
//! snapshots and the copy of `meta` that requests are checked against. It decides nothing:
//! decisions are the engine's and the domains'.

mod appends;
mod archive;
mod call;
mod chat;
mod clock;
mod feed;
mod flush;
mod following;
mod heavy;
mod host;
mod jobs;
mod lateness;
mod limits;
mod lists;
mod live;
mod meta;
mod node;
mod open;
mod options;
mod owner;
mod recovery;
mod replay;
mod stats;
mod ticket;

pub use call::{CallOptions, Called, NodeError, ReadOptions, SessionToken, Tenant};
pub use clock::Clock;
pub use heavy::{Heaviest, HeavyHitter, SHOWN_MAX, SLOTS, WINDOW_MS};
pub use jobs::{
    Given, JobsOf, JobsPage, LeaseRequest, QueueEvents, QueueReport, QueueState, Replay,
    ReplayPage, ReplayPlace, Taken, Told,
};
pub use lateness::{Lateness, SURVEY_ROUNDS, Survey, Surveyed, Wanted};
pub use limits::{Answered, Ask, CheckFailure, Checked, Verdict};
pub use live::{
    Answered as AnsweredSend, Follow, FollowTicket, Followed, Live, LiveEvent, NoticeKind,
    OUTLET_BYTES_MAX, OUTLET_EVENTS_MAX, OUTLET_NOTICES_MAX, Outlet, PRESENT_MAX, Room, Waiting,
};
pub use meta::MetaView;
pub use node::Node;
pub use options::{NodeOptions, OpenError};
pub use stats::{BATCH_BUCKETS, BatchStats, NodeStats, PartitionStats};
