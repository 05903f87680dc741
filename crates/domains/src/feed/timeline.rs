//! A timeline: one's own posts and the copies of those whom one follows, merged, newest first.
//!
//! A merge of sources, each in order. How new each one's newest post can be is known from a row of its
//! own, so that of those whose turn does not come nothing else is read. Whom one follows, how new an author's posts are
//! and the newest of them are memos: most timelines are made of what others are made of.

use super::{
    queries::{PostView, TimelineItem, TimelinePage},
    tables::{AuthorHeads, CopiedCounts, Copies, Counts, Follows, Head, PostCounts, Posts, User},
};
use crate::reservations::{PAGE_BYTES_MAX, PAGE_ROWS_MAX};
use evenkeel_engine::Time;
use evenkeel_state::{Memo, Order, Read, StateError, Table};
use std::{cmp::Ordering, collections::BinaryHeap, sync::Arc};

/// Posts of one author that are kept as a memo, the newest.
const NEWEST: usize = 3;
/// Posts of one source that are read at once beyond those; each time thereafter four times as many.
const AHEAD: usize = 8;
const AHEAD_MAX: usize = 128;
/// What an item takes beside its body.
pub(super) const ITEM_BYTES: usize = 512;

/// A place in a timeline: a post and its author. The greater comes first.
pub(super) type Place = (u64, String);

/// Up to `limit` items after a place.
pub(super) fn page(
    read: &impl Read,
    name: &str,
    user: &User,
    before: Option<&Place>,
    limit: usize,
) -> Result<TimelinePage, StateError> {
    let limit = limit.min(PAGE_ROWS_MAX);
    let (mut sources, filling_since) = sources(read, name, user, before)?;
    let (mut items, mut bytes) = (Vec::<TimelineItem>::new(), 0);
    while let Some(mut source) = sources.pop() {
        if let Some(post) = source.peek() {
            if items.len() == limit || bytes > PAGE_BYTES_MAX {
                let next = items.last().map(|item| (item.post.post, item.author.clone()));
                return Ok(TimelinePage { items, next, filling_since });
            }
            bytes += ITEM_BYTES + post.body.len();
            items.push(TimelineItem { author: source.author.to_string(), post: post.clone() });
            source.at += 1;
        } else {
            // It was in its place by what it could have.
            source.read_ahead(read)?;
        }
        if !source.is_at_end() {
            sources.push(source);
        }
    }
    Ok(TimelinePage { items, next: None, filling_since })
}

/// All sources that can have something after a place; and since when some of it may not have come.
fn sources(
    read: &impl Read,
    name: &str,
    user: &User,
    before: Option<&Place>,
) -> Result<(BinaryHeap<Source>, Option<Time>), StateError> {
    // Of an author who comes after the one of that place, the post of the same number is still to come.
    let newest = |newest: u64, author: &str| match before {
        Some((post, last)) if author < last.as_str() => newest.min(*post),
        Some((post, _)) => newest.min(post.saturating_sub(1)),
        None => newest,
    };
    let own = Source::new(name.into(), user.id, true, newest(user.newest, name));
    let (mut sources, mut filling_since) = (vec![own], None::<Time>);
    for (author, id) in &*read.memo::<Followed>(user.id)?.0 {
        if let Some(head) = read.memo::<KnownHead>(*id)?.0 {
            // Those who followed before it began to come may have to wait for it too.
            filling_since = [filling_since, head.filling_since].into_iter().flatten().min();
            let newest = newest(head.newest, author);
            sources.push(Source::new(Arc::clone(author), *id, false, newest));
        }
    }
    Ok((sources.into_iter().filter(|source| !source.is_at_end()).collect(), filling_since))
}

/// Whom a user follows and has not muted, by name, and as the partition knows them.
struct Followed(Box<[(Arc<str>, u64)]>);

impl Memo for Followed {
    const KIND: u8 = 1;
    const TABLES: &'static [u8] = &[Follows::ID];

    fn make(read: &impl Read, user: u64) -> Result<Self, StateError> {
        let follows = (user, String::new())..(user + 1, String::new());
        let follows = read.scan::<Follows>(follows, Order::Ascending, usize::MAX)?;
        let followed = follows.into_iter().filter(|(_, follow)| !follow.is_muted);
        // Boxed: a vector may keep the room that the rows took.
        Ok(Self(followed.map(|((_, author), follow)| (author.into(), follow.author)).collect()))
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(|(author, _)| author.len() + 48).sum()
    }
}

/// Where the copies of an author's posts begin and end.
struct KnownHead(Option<Head>);

impl Memo for KnownHead {
    const KIND: u8 = 2;
    const TABLES: &'static [u8] = &[AuthorHeads::ID];

    fn make(read: &impl Read, author: u64) -> Result<Self, StateError> {
        read.get::<AuthorHeads>(&author).map(Self)
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
    }
}

/// Some posts of an author, newest first.
struct Block {
    posts: Vec<PostView>,
    /// None of those that come after these is newer; 0 if there is none.
    next: u64,
}

/// The newest copies of an author's posts.
impl Memo for Block {
    const KIND: u8 = 3;
    const TABLES: &'static [u8] = &[Copies::ID, CopiedCounts::ID];

    fn make(read: &impl Read, author: u64) -> Result<Self, StateError> {
        Self::of_copies(read, author, u64::MAX, NEWEST)
    }

    fn bytes(&self) -> usize {
        let kinds = |post: &PostView| -> usize {
            post.reactions.iter().map(|(kind, _)| kind.len() + 32).sum()
        };
        self.posts.iter().map(|post| post.body.len() + kinds(post) + 64).sum()
    }
}

impl Block {
    /// Up to `limit` copies of an author's posts, from one on.
    fn of_copies(
        read: &impl Read,
        author: u64,
        newest: u64,
        limit: usize,
    ) -> Result<Self, StateError> {
        let range = (author, 0)..=(author, newest);
        let rows = read.scan::<Copies>(range, Order::Descending, limit)?;
        let next = next(&rows, limit);
        let bodies = rows.into_iter().map(|(key, row)| (key, row.body));
        Self::of(bodies, next, |key| read.get::<CopiedCounts>(key))
    }

    /// The same of a user's own, which are read where they were decided.
    fn of_own(read: &impl Read, user: u64, newest: u64, limit: usize) -> Result<Self, StateError> {
        let range = (user, 0)..=(user, newest);
        let rows = read.scan::<Posts>(range, Order::Descending, limit)?;
        let next = next(&rows, limit);
        let kept = rows.into_iter().filter(|(_, row)| !row.is_deleted);
        Self::of(kept.map(|(key, row)| (key, row.body)), next, |key| read.get::<PostCounts>(key))
    }

    fn of(
        bodies: impl Iterator<Item = (PostKey, String)>,
        next: u64,
        counts: impl Fn(&PostKey) -> Result<Option<Counts>, StateError>,
    ) -> Result<Self, StateError> {
        let posts = bodies.map(|(key, body)| {
            let reactions = counts(&key)?.unwrap_or_default().kinds;
            Ok(PostView { post: key.1, body, reactions })
        });
        Ok(Self { posts: posts.collect::<Result<_, StateError>>()?, next })
    }
}

/// Whose, and its number.
type PostKey = (u64, u64);

/// None of those that come after these is newer; if these are not as many as were asked for, there is none.
fn next<R>(rows: &[(PostKey, R)], limit: usize) -> u64 {
    let last = rows.last().filter(|_| rows.len() == limit);
    last.map_or(0, |((_, post), _)| post - 1)
}

/// The posts of one author, newest first.
struct Source {
    author: Arc<str>,
    id: u64,
    /// Whether they are the user's own.
    is_own: bool,
    /// What was read, and how far it was taken.
    block: Option<Arc<Block>>,
    at: usize,
    /// None of those that are not read yet is newer; 0 if there is none.
    newest: u64,
    step: usize,
}

impl Source {
    fn new(author: Arc<str>, id: u64, is_own: bool, newest: u64) -> Self {
        Self { author, id, is_own, block: None, at: 0, newest, step: AHEAD }
    }

    fn peek(&self) -> Option<&PostView> {
        self.block.as_ref()?.posts.get(self.at)
    }

    fn is_at_end(&self) -> bool {
        self.peek().is_none() && self.newest == 0
    }

    /// The newest that it has, or can have.
    fn place(&self) -> (u64, &str) {
        (self.peek().map_or(self.newest, |post| post.post), &self.author)
    }

    /// Reads some posts. Of some that it could have, there may be none.
    fn read_ahead(&mut self, read: &impl Read) -> Result<(), StateError> {
        let block = match (&self.block, self.is_own) {
            (None, false) => read.memo(self.id)?,
            (Some(_), false) => Block::of_copies(read, self.id, self.newest, self.step)?.into(),
            (_, true) => Block::of_own(read, self.id, self.newest, self.step)?.into(),
        };
        if self.is_own || self.block.is_some() {
            self.step = (4 * self.step).min(AHEAD_MAX);
        }
        self.at = block.posts.partition_point(|post| post.post > self.newest);
        self.newest = self.newest.min(block.next);
        self.block = Some(block);
        Ok(())
    }
}

impl Ord for Source {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

impl PartialOrd for Source {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Source {}
