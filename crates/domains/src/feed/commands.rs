//! What can be asked of feeds, and what is answered.

use evenkeel_engine::Time;
use serde::{Deserialize, Serialize};

/// Bytes of a post's body, which is JSON.
pub const POST_BYTES_MAX: usize = 32 * 1_024;
/// Posts of one user that are kept: the newest, with those that were deleted among them.
pub const POSTS_MAX: u64 = 2_000;
/// Users that one user can follow.
pub const FOLLOWING_MAX: u64 = 10_000;
/// Users that one user can have blocked or muted.
pub const TIES_MAX: u64 = 10_000;
/// Kinds of reactions that one post can have at once.
pub const REACTION_KINDS_MAX: usize = 32;

/// Something that a user does, or that is done to a post of theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Whose feed.
    pub user: String,
    /// The user who asks. `None`: the product's own back end, which may do everything.
    pub by: Option<String>,
    /// What to do.
    pub action: Action,
}

/// What to do. The edge has checked names and bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Post something, once for each `client_id`.
    Post {
        /// Names it among all that this user ever posts: a repeat is told from a new post by it.
        client_id: String,
        /// JSON, at most [`POST_BYTES_MAX`] bytes; nobody here reads it.
        body: String,
    },
    /// Take a post back. What it said is kept nowhere.
    Delete {
        /// Which.
        post: u64,
    },
    /// Follow somebody, or do not any more.
    Follow {
        /// Whom.
        author: String,
        /// Whether to.
        on: bool,
    },
    /// Have a tie with somebody, or not any more.
    Tie {
        /// With whom.
        other: String,
        /// Which.
        tie: Tie,
        /// Whether to.
        on: bool,
    },
    /// Have somebody's reaction be there, or not.
    React {
        /// To which post.
        post: u64,
        /// Which kind.
        kind: String,
        /// Whose.
        reactor: String,
        /// Whether it is to be there.
        on: bool,
    },
}

/// What one user has with another beside following them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Tie {
    /// Neither follows the other, nor can.
    Block,
    /// Their posts are not in one's timeline, though one may follow them.
    Mute,
}

/// A yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Where the post is.
    Posted(PostedView),
    /// The post is gone; whether it was there until now.
    Deleted(bool),
    /// It is as was asked; whether it is new.
    Set(bool),
}

/// A post's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostedView {
    /// Its number: the microsecond of its time, made unique among its author's.
    pub post: u64,
    /// When it was decided.
    pub at: Time,
    /// Whether it was there already.
    pub duplicate: bool,
}

/// A no: the command had no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such post, or it is not kept any more.
    NoPost,
    /// Nobody may act for somebody else, or read their timeline.
    NotYours,
    /// Nobody follows, blocks or mutes themselves.
    Oneself,
    /// One of the two has blocked the other.
    Blocked,
    /// The user has posted something else under the same client id.
    ClientIdTaken {
        /// What has it.
        post: u64,
    },
    /// The user follows as many as may be.
    TooManyFollowed,
    /// The user has as many ties as may be.
    TooManyTies,
    /// The post has as many kinds of reactions as may be.
    TooManyReactions,
}

impl Refusal {
    /// The code under which it is answered and counted.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoPost => "not_found",
            Self::NotYours => "forbidden",
            Self::Oneself => "oneself",
            Self::Blocked => "blocked",
            Self::ClientIdTaken { .. } => "idempotency_conflict",
            Self::TooManyFollowed => "too_many_followed",
            Self::TooManyTies => "too_many_ties",
            Self::TooManyReactions => "too_many_reactions",
        }
    }
}
