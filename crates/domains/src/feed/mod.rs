//! Feeds: what people post, whom they follow, and the timeline that comes of it.
//!
//! A user is decided in the partition of their name, by one thread: what they post, whom they follow,
//! block and mute, who reacted. A post is copied once to each partition that holds a follower of its author,
//! however many followers are there, and a timeline is read where its user is: a merge of the copies of
//! those whom they follow, newest first. So a post by somebody with a million followers costs as much
//! as any other, and a follow, an unfollow or a block changes no timeline but its own.
//!
//! `spread` carries posts to partitions, and says how late they are; `copies` is what arrives there;
//! `timeline` merges it.
//!
//! What it is *not*: a ranking. The order is that of time, which everybody can check.

mod commands;
pub mod contract;
mod copies;
mod decide;
mod lists;
mod posts;
mod queries;
mod reactions;
mod spread;
mod subject;
mod tables;
mod ties;
mod timeline;

pub use commands::{
    Action, Command, FOLLOWING_MAX, POST_BYTES_MAX, POSTS_MAX, PostedView, REACTION_KINDS_MAX,
    Refusal, Reply, TIES_MAX, Tie,
};
pub use contract::PATHS;
pub(crate) use copies::deliver;
pub use copies::{ARRIVALS, ARRIVALS_KEPT, Item};
pub(crate) use decide::{decide, timer};
pub use posts::at as post_at;
pub(crate) use queries::query;
pub use queries::{
    ArrivalView, ArrivalsPage, Found, Listed, Order, PersonView, PostView, Query, Start,
    TimelineItem, TimelinePage, UserView, What,
};
pub use spread::{COUNTS_EVERY_MS, WORK, behind_since};
pub(crate) use tables::table_name;

/// The number by which the engine knows this domain. Never reused.
pub const DOMAIN: u8 = 6;
