//! What users of feeds asked and were told, and what came to those who follow timelines, for
//! [`check_feed`](crate::checker::check_feed).
//!
//! Times are milliseconds of one clock, the recorder's.

use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A place in a timeline: a post's number and its author. The greater comes first.
pub type Place = (u64, String);

/// A post, as somebody was shown it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Whose it is.
    pub author: String,
    /// Its number, among its author's.
    pub post: u64,
    /// What it says.
    pub body: String,
    /// How many reactions of each kind it has.
    pub reactions: BTreeMap<String, u64>,
}

impl Item {
    /// Where it is in a timeline.
    #[must_use]
    pub fn place(&self) -> Place {
        (self.post, self.author.clone())
    }
}

/// What one user can have with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bond {
    /// Their posts are in one's timeline.
    Follow,
    /// Neither follows the other, nor can.
    Block,
    /// Their posts are not in one's timeline, though one may follow them.
    Mute,
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Post something.
    Post {
        /// The author's name for it.
        client_id: String,
        /// What.
        body: String,
    },
    /// Take a post of one's own back.
    Delete {
        /// Which.
        post: u64,
    },
    /// Have a bond with somebody, or not any more.
    Set {
        /// Which.
        bond: Bond,
        /// With whom.
        other: String,
        /// Whether to.
        on: bool,
    },
    /// Have one's reaction to a post be there, or not.
    React {
        /// Whose post.
        author: String,
        /// Which.
        post: u64,
        /// Which kind.
        kind: String,
        /// Whether it is to be there.
        on: bool,
    },
    /// Read a timeline, newest first. That of somebody else is read for the product's back end.
    Read {
        /// Whose.
        of: String,
        /// After this place; none: from the newest on.
        before: Option<Place>,
        /// Items at most.
        limit: usize,
        /// Whether it goes along what the user has seen so far: everything that they were answered in
        /// a session.
        in_session: bool,
    },
}

/// A part of a timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Page {
    /// Newest first.
    pub items: Vec<Item>,
    /// Nothing follows.
    pub is_last: bool,
    /// How far the user's partition was, if that was said.
    pub offset: Option<u64>,
    /// Everything that happened anywhere before is in it, as was said; none if nothing was said.
    pub complete_to_ms: Option<u64>,
}

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The post is there.
    Posted {
        /// Its number.
        post: u64,
        /// It was there already.
        duplicate: bool,
    },
    /// It is as was asked.
    Done {
        /// And was not before.
        changed: bool,
    },
    /// Read.
    Page(Page),
    /// No, and no effect.
    Refused(String),
    /// No effect.
    TurnedAway(String),
    /// It may or may not have happened.
    Unknown,
}

/// One attempt of a user, who asks one thing after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Operation {
    /// Who.
    pub user: String,
    /// What.
    pub request: Request,
    /// When it was sent.
    pub called_ms: u64,
    /// When an answer came, and which. None: it was still awaited in the end.
    pub returned: Option<(u64, Outcome)>,
}

impl Operation {
    /// Whether it may have had an effect.
    #[must_use]
    pub fn may_have_happened(&self) -> bool {
        !matches!(self.returned, Some((_, Outcome::Refused(_) | Outcome::TurnedAway(_))))
    }

    /// What was read, and when the answer came.
    #[must_use]
    pub fn page(&self) -> Option<(u64, &Page)> {
        match &self.returned {
            Some((at_ms, Outcome::Page(page))) => Some((*at_ms, page)),
            _ => None,
        }
    }
}

/// Whoever follows their own timeline, over as many connections as that takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Subscriber {
    /// As whom.
    pub user: String,
    /// Whether they read to the end, once nothing happened any more.
    pub is_at_end: bool,
}

/// Something that a subscriber was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// The subscriber, by number.
    pub subscriber: usize,
    /// When.
    pub at_ms: u64,
    /// The sequence of their position thereafter.
    pub sequence: u64,
    /// What.
    pub what: Delivery,
}

/// What a subscriber can be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// Something was posted.
    Posted {
        /// By whom.
        author: String,
        /// Its number.
        post: u64,
        /// What it says.
        body: String,
    },
    /// A post was taken back.
    Deleted {
        /// Whose.
        author: String,
        /// Which.
        post: u64,
    },
    /// What follows their position is not kept: they are to go on after another.
    Reset,
}

/// Somebody looked at who follows an author, and the follower was among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Settled {
    /// Who follows.
    pub follower: String,
    /// Whom.
    pub author: String,
    /// When the answer came, for the first time.
    pub at_ms: u64,
}

/// That a node read a timeline to keep it for others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Load {
    /// Whose.
    pub of: String,
    /// For whoever asked first.
    pub operation: usize,
    /// From then.
    pub began_ms: u64,
    /// Until then; none if it never ended.
    pub ended_ms: Option<u64>,
}

/// What there is of a user once nothing happens any more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Their own posts, newest first.
    pub posts: Vec<Item>,
    /// By post: kind and user of each reaction.
    pub reactors: BTreeMap<u64, BTreeSet<(String, String)>>,
    /// Whom they follow.
    pub following: BTreeSet<String>,
    /// Who follows them.
    pub followers: BTreeSet<String>,
    /// Whom they have blocked.
    pub blocks: BTreeSet<String>,
    /// Whom they have muted.
    pub mutes: BTreeSet<String>,
    /// Posts, followers and followed, as they are counted.
    pub counted: [u64; 3],
    /// Their timeline, newest first.
    pub timeline: Vec<Item>,
}

/// What all were asked, told and sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FeedHistory {
    /// In the order of calls.
    pub operations: Vec<Operation>,
    /// Who follows their timeline.
    pub subscribers: Vec<Subscriber>,
    /// What they were sent, in the order in which it came.
    pub seen: Vec<Seen>,
    /// Who was seen to follow whom.
    pub settled: Vec<Settled>,
    /// What was read to be kept, as far as that is known.
    pub loads: Vec<Load>,
    /// By user. None if the end was never reached.
    pub end: Option<BTreeMap<String, Kept>>,
}

impl FeedHistory {
    /// Somebody asks; answers the operation's index.
    pub fn call(&mut self, operation: Operation) -> usize {
        self.operations.push(operation);
        self.operations.len() - 1
    }

    /// It is answered.
    pub fn returns(&mut self, operation: usize, at_ms: u64, outcome: Outcome) {
        self.operations[operation].returned = Some((at_ms, outcome));
    }
}
