//! A timeline: one's own posts and the copies of those whom one follows, merged, newest first.
//!
//! A merge of sources, each in order. How new each one's newest post can be is known from a row of its
//! own, so that of those whose turn does not come nothing else is read.

use super::{
    queries::{PostView, TimelineItem, TimelinePage},
    tables::{AuthorHeads, CopiedCounts, Copies, Follows, PostCounts, Posts, User},
};
use crate::reservations::{PAGE_BYTES_MAX, PAGE_ROWS_MAX};
use evenkeel_engine::Time;
use evenkeel_state::{Order, Read, StateError};
use std::{
    cmp::Ordering,
    collections::{BinaryHeap, VecDeque},
};

/// Posts of one source that are read at once, at first; each time thereafter four times as many.
const AHEAD: usize = 2;
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
        if source.ahead.is_empty() {
            // It was in its place by what it could have.
            source.read_ahead(read)?;
        } else {
            if items.len() == limit || bytes > PAGE_BYTES_MAX {
                let next = items.last().map(|item| (item.post.post, item.author.clone()));
                return Ok(TimelinePage { items, next, filling_since });
            }
            let item = source.take(read)?;
            bytes += ITEM_BYTES + item.post.body.len();
            items.push(item);
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
    let own = Source::new(name.to_owned(), user.id, true, newest(user.newest, name));
    let (mut sources, mut filling_since) = (vec![own], None::<Time>);
    let follows = (user.id, String::new())..(user.id + 1, String::new());
    for ((_, author), follow) in read.scan::<Follows>(follows, Order::Ascending, usize::MAX)? {
        if !follow.is_muted
            && let Some(head) = read.get::<AuthorHeads>(&follow.author)?
        {
            // Those who followed before it began to come may have to wait for it too.
            filling_since = [filling_since, head.filling_since].into_iter().flatten().min();
            let newest = newest(head.newest, &author);
            sources.push(Source::new(author, follow.author, false, newest));
        }
    }
    Ok((sources.into_iter().filter(|source| !source.is_at_end()).collect(), filling_since))
}

/// The posts of one author, newest first.
struct Source {
    author: String,
    id: u64,
    /// Whether they are the user's own: then they are read where they were decided.
    is_own: bool,
    /// None of those that are not read yet is newer; 0 if there is none.
    newest: u64,
    ahead: VecDeque<(u64, String)>,
    step: usize,
}

impl Source {
    fn new(author: String, id: u64, is_own: bool, newest: u64) -> Self {
        Self { author, id, is_own, newest, ahead: VecDeque::new(), step: AHEAD }
    }

    fn is_at_end(&self) -> bool {
        self.ahead.is_empty() && self.newest == 0
    }

    /// The newest that it has, or can have.
    fn place(&self) -> (u64, &str) {
        let next = self.ahead.front().map_or(self.newest, |(post, _)| *post);
        (next, &self.author)
    }

    /// Reads some posts. Of some that it could have, there may be none.
    fn read_ahead(&mut self, read: &impl Read) -> Result<(), StateError> {
        let (range, limit) = ((self.id, 0)..=(self.id, self.newest), self.step);
        let (found, last) = if self.is_own {
            let rows = read.scan::<Posts>(range, Order::Descending, limit)?;
            let last = rows.last().map(|((_, post), _)| *post).filter(|_| rows.len() == limit);
            let kept = rows.into_iter().filter(|(_, row)| !row.is_deleted);
            (kept.map(|((_, post), row)| (post, row.body)).collect(), last)
        } else {
            let rows = read.scan::<Copies>(range, Order::Descending, limit)?;
            let last = rows.last().map(|((_, post), _)| *post).filter(|_| rows.len() == limit);
            (rows.into_iter().map(|((_, post), row)| (post, row.body)).collect(), last)
        };
        self.ahead = found;
        self.newest = last.map_or(0, |last| last - 1);
        self.step = (4 * self.step).min(AHEAD_MAX);
        Ok(())
    }

    /// The next of those that were read.
    fn take(&mut self, read: &impl Read) -> Result<TimelineItem, StateError> {
        let (post, body) = self.ahead.pop_front().expect("it is asked for what was read");
        let key = (self.id, post);
        let counts = if self.is_own {
            read.get::<PostCounts>(&key)?
        } else {
            read.get::<CopiedCounts>(&key)?
        };
        let reactions = counts.unwrap_or_default().kinds;
        Ok(TimelineItem { author: self.author.clone(), post: PostView { post, body, reactions } })
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
