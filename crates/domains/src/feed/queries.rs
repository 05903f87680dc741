//! Reads of committed state.

use super::{
    Refusal, Tie,
    copies::{ARRIVALS, arrival_key, first_arrival},
    lists, posts,
    tables::{
        ArrivalCounter, Arrivals, Copies, Follows, Number, PostCounts, PostReactions, Posts, User,
        Users,
    },
    ties, timeline,
};
use crate::reservations::{PAGE_BYTES_MAX, PAGE_ROWS_MAX};
use evenkeel_engine::{Entity, Position, Stop, TenantId, Time};
use evenkeel_log::Incarnation;
use evenkeel_state::{Read, StateError};
use std::ops::Bound;

pub use crate::chat::Start;
pub use evenkeel_state::Order;

/// What can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Whose feed.
    pub user: String,
    /// The user who asks; `None` if the back end does.
    pub by: Option<String>,
    /// What of it.
    pub what: What,
}

/// What can be read of a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// How many posts, followers and followed.
    User,
    /// The user's own posts, newest first.
    Posts {
        /// Before this one.
        before: Option<u64>,
        /// At most so many.
        limit: usize,
    },
    /// One post.
    Post {
        /// Which.
        post: u64,
    },
    /// Who reacted to a post, by kind and name.
    Reactors {
        /// Which.
        post: u64,
        /// After this kind and name.
        after: Option<(String, String)>,
        /// At most so many.
        limit: usize,
    },
    /// Users whom one has something with, by name.
    People {
        /// Whom.
        listed: Listed,
        /// Beyond this name.
        after: Option<String>,
        /// Which way.
        order: Order,
        /// At most so many.
        limit: usize,
    },
    /// One's own posts and those of the followed, newest first.
    Timeline {
        /// After the post of this number and author.
        before: Option<(u64, String)>,
        /// At most so many.
        limit: usize,
    },
    /// What comes to the timeline, oldest first.
    Arrivals {
        /// Where to begin.
        after: Start,
        /// At most so many are looked at.
        limit: usize,
    },
}

/// Who is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Listed {
    /// Those who follow the user.
    Followers,
    /// Those whom the user follows.
    Following,
    /// Those with whom the user has this tie.
    Tied(Tie),
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A user.
    User(UserView),
    /// Posts, and the last if there may be more.
    Posts(Vec<PostView>, Option<u64>),
    /// One post.
    Post(PostView),
    /// Kind and user of reactions, and the last if there may be more.
    Reactors(Vec<(String, String)>, Option<(String, String)>),
    /// Users, and the last name looked at if there may be more.
    People(Vec<PersonView>, Option<String>),
    /// A timeline.
    Timeline(TimelinePage),
    /// What came.
    Arrivals(ArrivalsPage),
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserView {
    /// Posts that are kept and not deleted.
    pub posts: u64,
    /// Those who follow them, as far as their partition has heard.
    pub followers: u64,
    /// Those whom they follow.
    pub following: u64,
}

/// A post as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostView {
    /// Its number.
    pub post: u64,
    /// JSON.
    pub body: String,
    /// How many reactions of each kind it has.
    pub reactions: Vec<(String, u64)>,
}

impl PostView {
    /// When it was decided.
    #[must_use]
    pub fn at(&self) -> Time {
        posts::at(self.post)
    }
}

/// A post in a timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineItem {
    /// Whose it is.
    pub author: String,
    /// The post.
    pub post: PostView,
}

/// A page of a timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelinePage {
    /// Newest first.
    pub items: Vec<TimelineItem>,
    /// The last of them, if there may be more.
    pub next: Option<(u64, String)>,
    /// Since when the user follows somebody of whom not all posts from before have come; none if all have.
    pub filling_since: Option<Time>,
}

/// Somebody in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonView {
    /// Who.
    pub user: String,
    /// Since when they are in it.
    pub since: Time,
}

/// Something that came to a timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrivalView {
    /// Where it is among all that came to the partition.
    pub position: Position,
    /// Whose post.
    pub author: String,
    /// Its number.
    pub post: u64,
    /// What it says; none if it was taken back.
    pub body: Option<String>,
}

/// A part of what came to a timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrivalsPage {
    /// What to watch for more.
    pub entity: Entity,
    /// What came after the position asked for.
    pub events: Vec<ArrivalView>,
    /// The position after which to read on.
    pub next: Position,
    /// Nothing follows yet.
    pub is_last: bool,
    /// The position asked for is not one of this sequence's, or what follows it is gone.
    pub reset: bool,
}

/// Answers `query`.
pub(crate) fn query(
    read: &impl Read,
    incarnation: Incarnation,
    tenant: TenantId,
    query: &Query,
) -> Result<Found, Stop<Refusal>> {
    let Query { user: name, by, what } = query;
    let user = read.get::<Users>(&(tenant, name.clone()))?;
    let_in(read, name, user.as_ref(), by.as_deref(), what)?;
    let Some(user) = user else { return nothing(read, incarnation, what) };
    match what {
        What::User => {
            let User { posts, followers, following, .. } = user;
            Ok(Found::User(UserView { posts, followers, following }))
        }
        What::Posts { before, limit } => Ok(posts_page(read, &user, *before, *limit)?),
        What::Post { post } => {
            let row = posts::get(read, user.id, *post)?;
            Ok(Found::Post(view(read, user.id, *post, row.body)?))
        }
        What::Reactors { post, after, limit } => {
            posts::get(read, user.id, *post)?;
            Ok(reactors(read, (user.id, *post), after.clone(), *limit)?)
        }
        What::People { listed, after, order, limit } => {
            let (people, next) =
                lists::page(read, user.id, *listed, after.as_deref(), *order, *limit)?;
            Ok(Found::People(people, next))
        }
        What::Timeline { before, limit } => {
            Ok(Found::Timeline(timeline::page(read, name, &user, before.as_ref(), *limit)?))
        }
        What::Arrivals { after, limit } => {
            let whose = (tenant, name.as_str(), user.id);
            Ok(Found::Arrivals(arrivals(read, incarnation, whose, *after, *limit)?))
        }
    }
}

/// Whether `by` may read that: everybody what is public, unless they were blocked; the rest is the user's.
fn let_in(
    read: &impl Read,
    name: &str,
    user: Option<&User>,
    by: Option<&str>,
    what: &What,
) -> Result<(), Stop<Refusal>> {
    let Some(by) = by.filter(|by| *by != name) else { return Ok(()) };
    match what {
        What::Timeline { .. }
        | What::Arrivals { .. }
        | What::People { listed: Listed::Tied(_), .. } => Err(Stop::Refused(Refusal::NotYours)),
        _ => match user {
            Some(user) if ties::are_apart(read, user.id, by)? => {
                Err(Stop::Refused(Refusal::Blocked))
            }
            _ => Ok(()),
        },
    }
}

/// What there is of somebody who never did anything.
fn nothing(
    read: &impl Read,
    incarnation: Incarnation,
    what: &What,
) -> Result<Found, Stop<Refusal>> {
    Ok(match what {
        What::User => Found::User(UserView { posts: 0, followers: 0, following: 0 }),
        What::Posts { .. } => Found::Posts(Vec::new(), None),
        What::Post { .. } | What::Reactors { .. } => return Err(Stop::Refused(Refusal::NoPost)),
        What::People { .. } => Found::People(Vec::new(), None),
        What::Timeline { .. } => {
            Found::Timeline(TimelinePage { items: Vec::new(), next: None, filling_since: None })
        }
        What::Arrivals { after, limit } => {
            // No user has this name or this number: what came is passed by.
            let nobody = (TenantId::default(), "", 0);
            Found::Arrivals(arrivals(read, incarnation, nobody, *after, *limit)?)
        }
    })
}

fn view(read: &impl Read, user: u64, post: u64, body: String) -> Result<PostView, StateError> {
    let counts = read.get::<PostCounts>(&(user, post))?.unwrap_or_default();
    Ok(PostView { post, body, reactions: counts.kinds })
}

fn posts_page(
    read: &impl Read,
    user: &User,
    before: Option<u64>,
    limit: usize,
) -> Result<Found, StateError> {
    let limit = limit.min(PAGE_ROWS_MAX);
    let (mut before, mut views, mut bytes) = (before.unwrap_or(u64::MAX), Vec::new(), 0);
    loop {
        // Deleted ones are passed by: a page is empty at the end only.
        let rows = (user.id, user.oldest)..(user.id, before.max(user.oldest));
        let rows = read.scan::<Posts>(rows, Order::Descending, limit)?;
        let is_last = rows.len() < limit;
        for ((_, post), row) in rows {
            if views.len() == limit || bytes > PAGE_BYTES_MAX {
                return Ok(Found::Posts(views, Some(before)));
            }
            before = post;
            if !row.is_deleted {
                bytes += timeline::ITEM_BYTES + row.body.len();
                views.push(view(read, user.id, post, row.body)?);
            }
        }
        if is_last {
            return Ok(Found::Posts(views, None));
        }
    }
}

fn reactors(
    read: &impl Read,
    (user, post): (u64, u64),
    after: Option<(String, String)>,
    limit: usize,
) -> Result<Found, StateError> {
    let limit = limit.min(PAGE_ROWS_MAX);
    let (kind, name) = after.unwrap_or_default();
    let after = Bound::Excluded((user, post, kind, name));
    let end = Bound::Excluded((user, post + 1, String::new(), String::new()));
    let rows = read.scan::<PostReactions>((after, end), Order::Ascending, limit)?;
    let more = rows.len() == limit;
    let pairs: Vec<_> = rows.into_iter().map(|((_, _, kind, user), ())| (kind, user)).collect();
    let next = pairs.last().filter(|_| more).cloned();
    Ok(Found::Reactors(pairs, next))
}

/// What came to this partition since a position, as far as it is for one user.
fn arrivals(
    read: &impl Read,
    incarnation: Incarnation,
    whose: (TenantId, &str, u64),
    start: Start,
    limit: usize,
) -> Result<ArrivalsPage, StateError> {
    let Number(last) = read.get::<ArrivalCounter>(&())?.unwrap_or_default();
    let page = |events, sequence, reset| ArrivalsPage {
        entity: ARRIVALS,
        events,
        next: Position { incarnation, sequence },
        is_last: sequence == last,
        reset,
    };
    let first = first_arrival(last);
    let after = match start {
        Start::Now => return Ok(page(Vec::new(), last, false)),
        Start::Oldest => first.saturating_sub(1),
        Start::After(position) => {
            let gone = position.sequence.saturating_add(1) < first || position.sequence > last;
            if position.incarnation != incarnation || gone {
                return Ok(page(Vec::new(), last, true));
            }
            position.sequence
        }
    };
    let rows = arrival_key(after + 1)..=arrival_key(last);
    let rows = read.scan::<Arrivals>(rows, Order::Ascending, limit.min(PAGE_ROWS_MAX))?;
    let (mut events, mut next, mut bytes) = (Vec::new(), after, 0);
    for ((_, sequence), arrival) in rows {
        if bytes > PAGE_BYTES_MAX {
            break;
        }
        next = sequence;
        if arrival.tenant != whose.0 {
            continue;
        }
        let Some(body) = body_of(read, whose, &arrival)? else { continue };
        bytes += timeline::ITEM_BYTES + body.as_ref().map_or(0, String::len);
        let position = Position { incarnation, sequence };
        let (author, post) = (arrival.author, arrival.post);
        events.push(ArrivalView { position, author, post, body });
    }
    Ok(page(events, next, false))
}

/// What an arrival says to a user: nothing if it is not for them, or if the post is gone again, which
/// another arrival says.
fn body_of(
    read: &impl Read,
    (_, name, user): (TenantId, &str, u64),
    arrival: &super::tables::Arrival,
) -> Result<Option<Option<String>>, StateError> {
    let is_authors = arrival.author == name;
    if arrival.is_own || is_authors {
        if !(arrival.is_own && is_authors) {
            return Ok(None);
        }
        if arrival.is_gone {
            return Ok(Some(None));
        }
        let row = read.get::<Posts>(&(user, arrival.post))?.filter(|row| !row.is_deleted);
        return Ok(row.map(|row| Some(row.body)));
    }
    match read.get::<Follows>(&(user, arrival.author.clone()))? {
        Some(follow) if !follow.is_muted => {
            if arrival.is_gone {
                return Ok(Some(None));
            }
            let row = read.get::<Copies>(&(follow.author, arrival.post))?;
            Ok(row.map(|row| Some(row.body)))
        }
        _ => Ok(None),
    }
}
