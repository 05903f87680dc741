//! The tables of feeds: key layouts and row types, nowhere else.
//!
//! In the partition of a user:
//!
//! | id | table | key | row |
//! |---|---|---|---|
//! | 0x70 | `Users` | tenant, user | `User` |
//! | 0x71 | `UserNames` | user id | `UserName` |
//! | 0x72 | `FeedCounter` | — | the last id of users, authors and work |
//! | 0x73 | `Posts` | user id, post | `Post` |
//! | 0x74 | `PostIds` | user id, hash of client id | `PostId` |
//! | 0x75 | `Follows` | user id, author | `Follow` |
//! | 0x76 | `Ties` | user id, other | `Tied` |
//! | 0x77 | `Followers` | user id, follower | since when |
//! | 0x78 | `Audience` | user id, partition | `Listeners`: the followers who are there |
//! | 0x79 | `PostReactions` | user id, post, kind, user | — |
//! | 0x7a | `PostCounts` | user id, post | `Counts` |
//! | 0x7b | `FeedWork` | kind, since, number | `Work`: posts are to be carried to partitions |
//! | 0x7c | `CountsDue` | due, user id, post | the next partition that is to be told the counts |
//! | 0x7d | `FeedPace` | — | `Pace` |
//! | 0x84 | `Blockers` | user id, who has blocked them | — |
//!
//! In the partition of those who follow:
//!
//! | id | table | key | row |
//! |---|---|---|---|
//! | 0x7e | `Authors` | tenant, author | `Author` |
//! | 0x7f | `AuthorHeads` | author id | `Head` |
//! | 0x80 | `Copies` | author id, post | body |
//! | 0x81 | `CopiedCounts` | author id, post | `Counts` |
//! | 0x82 | `Arrivals` | segment, sequence | `Arrival` |
//! | 0x83 | `ArrivalCounter` | — | the last sequence |
//!
//! A post is named by the microsecond of its time, made unique among its author's: the order of its
//! numbers is that of time, so that one key serves to find a post, to read backwards and to merge.

use crate::tables::tables;
use evenkeel_engine::{TenantId, Time};
use evenkeel_state::row;
use serde::{Deserialize, Serialize};

/// A user, as far as it is theirs to decide.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct User {
    pub(super) id: u64,
    /// The newest post that there ever was; 0 if there was none.
    pub(super) newest: u64,
    /// No post before this one is kept.
    pub(super) oldest: u64,
    /// Posts that are kept, with those that were deleted; and without.
    pub(super) kept: u64,
    pub(super) posts: u64,
    pub(super) followers: u64,
    pub(super) following: u64,
    pub(super) ties: u64,
    /// Users who have blocked them.
    pub(super) blockers: u64,
}
row!(User, version = 1);

/// Whose feed it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UserName {
    pub(super) tenant: TenantId,
    pub(super) name: String,
}
row!(UserName, version = 1);

/// A number that only grows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Number(pub(super) u64);
row!(Number, version = 1);

/// A partition to go on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place(pub(super) u16);
row!(Place, version = 1);

/// A post.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Post {
    pub(super) client_id: String,
    /// JSON; empty once it is deleted.
    pub(super) body: String,
    pub(super) is_deleted: bool,
}
row!(Post, version = 1);

/// What was posted under a client id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PostId {
    pub(super) post: u64,
    /// A hash of what was posted: a repeat is told from something else by it, also once it is deleted.
    pub(super) fingerprint: u64,
}
row!(PostId, version = 1);

/// That somebody follows somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Follow {
    pub(super) at: Time,
    /// The author as this partition knows them.
    pub(super) author: u64,
    pub(super) is_muted: bool,
}
row!(Follow, version = 1);

/// What a user has with another beside following them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tied {
    pub(super) blocked_at: Option<Time>,
    pub(super) muted_at: Option<Time>,
}
row!(Tied, version = 1);

/// A time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Since(pub(super) Time);
row!(Since, version = 1);

/// The followers in one partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Listeners {
    pub(super) count: u64,
    /// Since when the first of them follows: what brings earlier posts there is for that alone.
    pub(super) since: Time,
    /// The number of what brings them.
    pub(super) refill: u64,
}
row!(Listeners, version = 1);

/// How many reactions of each kind a post has, by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) kinds: Vec<(String, u64)>,
    /// Where the post is: when its audience is told next, if it is to be. Nothing in copies.
    pub(super) due: Option<Time>,
    /// Where the post is: whether it is told once more thereafter, as not all are told how many there are now.
    pub(super) again: bool,
}
row!(Counts, version = 1);

/// What is left to be carried to partitions. Stored: variants are added at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Work {
    /// How a post stands, to the audience from a partition on.
    Spread { user: u64, post: u64, from: u16 },
    /// A user's posts before one, the newest first, to a partition that has its first follower: for as long
    /// as this is the number of what brings them.
    Refill { user: u64, to: u16, before: u64, number: u64 },
}
row!(Work, version = 1);

/// Where the partition's work begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pace {
    /// No work is older, of either kind: a scan that began before would look through all rows that are gone.
    pub(super) work_from: [Time; 2],
    /// No counts are due before.
    pub(super) counts_from: Time,
}
row!(Pace, version = 1);

/// Somebody whom users of this partition follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Author {
    pub(super) id: u64,
    /// Users of this partition who follow them.
    pub(super) followers: u64,
}
row!(Author, version = 1);

/// Where the copies of an author's posts begin and end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// None is newer.
    pub(super) newest: u64,
    /// None is older.
    pub(super) oldest: u64,
    /// Since when somebody here follows them, if not all of their earlier posts have come since.
    pub(super) filling_since: Option<Time>,
}
row!(Head, version = 1);

/// A copy of a post.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Copy {
    pub(super) body: String,
}
row!(Copy, version = 1);

/// Something that came to this partition's timelines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Arrival {
    pub(super) tenant: TenantId,
    pub(super) author: String,
    pub(super) post: u64,
    /// Whether it was taken back.
    pub(super) is_gone: bool,
    /// Whether it is for the author alone, or else for those who follow.
    pub(super) is_own: bool,
}
row!(Arrival, version = 1);

tables! {
    Users, 0x70, "feed_users", (TenantId, String), User;
    UserNames, 0x71, "feed_user_names", u64, UserName;
    FeedCounter, 0x72, "feed_counter", (), Number;
    Posts, 0x73, "posts", (u64, u64), Post;
    PostIds, 0x74, "post_ids", (u64, [u8; 16]), PostId;
    Follows, 0x75, "follows", (u64, String), Follow;
    Ties, 0x76, "ties", (u64, String), Tied;
    Followers, 0x77, "followers", (u64, String), Since;
    Audience, 0x78, "audience", (u64, u16), Listeners;
    PostReactions, 0x79, "post_reactions", (u64, u64, String, String), ();
    PostCounts, 0x7a, "post_counts", (u64, u64), Counts;
    FeedWork, 0x7b, "feed_work", (u8, u64, u64), Work;
    CountsDue, 0x7c, "counts_due", (u64, u64, u64), Place;
    FeedPace, 0x7d, "feed_pace", (), Pace;
    Authors, 0x7e, "authors", (TenantId, String), Author;
    AuthorHeads, 0x7f, "author_heads", u64, Head;
    Copies, 0x80, "copies", (u64, u64), Copy;
    CopiedCounts, 0x81, "copied_counts", (u64, u64), Counts;
    Arrivals, 0x82, "arrivals", (u64, u64), Arrival;
    ArrivalCounter, 0x83, "arrival_counter", (), Number;
    Blockers, 0x84, "blockers", (u64, String), ();
}
