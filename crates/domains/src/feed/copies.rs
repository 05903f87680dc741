//! What partitions send each other, and what arrives where followers are: copies of posts, which their
//! timelines are merged from.

use super::{
    subject::{Subject, next_number},
    tables::{
        Arrival, ArrivalCounter, Arrivals, Author, AuthorHeads, Authors, CopiedCounts, Copies,
        Copy, Counts, Head, Number,
    },
    ties,
};
use crate::Domains;
use evenkeel_engine::{Context, Entity, TenantId, Time};
use evenkeel_state::{Order, Read, StateError};
use serde::{Deserialize, Serialize};

/// Arrivals that a partition keeps at least: who comes back within so many is sent what they missed.
pub const ARRIVALS_KEPT: u64 = SEGMENTS * SEGMENT;
/// Arrivals that are forgotten together.
const SEGMENT: u64 = 4_096;
const SEGMENTS: u64 = 16;
/// Copies that are too old and go with each that comes: more than come, so that none stays.
const TRIMMED_MAX: usize = 32;

/// What is told when something comes to the timelines of a partition.
pub const ARRIVALS: Entity = Entity { domain: super::DOMAIN, id: 3 };

/// Work that another partition sent. Stored on its way: variants are added at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Item {
    /// To where an author is: somebody follows them.
    Follow {
        /// The author.
        author: String,
        /// Who.
        follower: String,
        /// Since when.
        since: Time,
    },
    /// To where an author is: somebody follows them no more.
    Unfollow {
        /// The author.
        author: String,
        /// Who.
        follower: String,
    },
    /// To where a user is: somebody has blocked them, or does not any more.
    Blocked {
        /// The user.
        user: String,
        /// Who has.
        by: String,
        /// Whether they have.
        is_blocked: bool,
    },
    /// To where followers are: what is there of an author is forgotten, what is kept follows.
    Begin {
        /// The author.
        author: String,
        /// No post before this one is kept.
        oldest: u64,
        /// Since when somebody there follows them.
        since: Time,
    },
    /// To where followers are: posts of one author.
    Posts {
        /// The author.
        author: String,
        /// The posts.
        posts: Vec<Copied>,
        /// No post before this one is kept.
        oldest: u64,
        /// Whether they have just been posted.
        is_new: bool,
    },
    /// To where followers are: a post was taken back.
    Gone {
        /// Whose.
        author: String,
        /// Which.
        post: u64,
        /// No post before this one is kept.
        oldest: u64,
    },
    /// To where followers are: how many reactions posts have.
    Counts(Vec<Counted>),
    /// To where followers are: all posts from before have come.
    Filled {
        /// The author.
        author: String,
        /// For those who follow since then, or before.
        since: Time,
    },
    /// To where followers are: nothing comes any more, as none there is known to follow.
    Ended {
        /// The author.
        author: String,
        /// Since when.
        since: Time,
    },
}

/// A post on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// Which.
    pub post: u64,
    /// JSON.
    pub body: String,
    /// How many reactions of each kind it has, by kind.
    pub counts: Vec<(String, u64)>,
}

/// How many reactions a post has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Whose post.
    pub author: String,
    /// Which.
    pub post: u64,
    /// How many of each kind, by kind.
    pub counts: Vec<(String, u64)>,
}

/// One user more of this partition follows an author. Answers the number that the partition has for them.
pub(super) fn one_more(
    ctx: &mut Context<'_, '_>,
    key: &(TenantId, String),
) -> Result<u64, StateError> {
    let mut author = match ctx.tx.get::<Authors>(key)? {
        Some(author) => author,
        None => {
            let id = next_number(ctx)?;
            let filling_since = Some(ctx.now());
            ctx.tx.put::<AuthorHeads>(&id, &Head { filling_since, ..Head::default() });
            Author { id, followers: 0 }
        }
    };
    author.followers += 1;
    ctx.tx.put::<Authors>(key, &author);
    Ok(author.id)
}

/// One user less does. Nothing is kept of an author whom nobody follows.
pub(super) fn one_less(
    ctx: &mut Context<'_, '_>,
    key: &(TenantId, String),
) -> Result<(), StateError> {
    let Some(mut author) = ctx.tx.get::<Authors>(key)? else { return Ok(()) };
    author.followers -= 1;
    if author.followers > 0 {
        ctx.tx.put::<Authors>(key, &author);
        return Ok(());
    }
    ctx.tx.delete::<Authors>(key);
    forget(ctx, author.id);
    Ok(())
}

/// Nothing of an author comes any more since then. Whoever still follows them here has said so, and all comes
/// anew once that has arrived.
fn end(ctx: &mut Context<'_, '_>, key: &(TenantId, String), since: Time) -> Result<(), StateError> {
    if let Some(Author { id, .. }) = ctx.tx.get::<Authors>(key)? {
        let head = ctx.tx.get::<AuthorHeads>(&id)?.unwrap_or_default();
        let filling_since = Some(head.filling_since.map_or(since, |filling| filling.min(since)));
        ctx.tx.put::<AuthorHeads>(&id, &Head { filling_since, ..head });
    }
    Ok(())
}

fn forget(ctx: &mut Context<'_, '_>, author: u64) {
    ctx.tx.delete::<AuthorHeads>(&author);
    ctx.tx.drop_prefix::<Copies>(&(author,));
    ctx.tx.drop_prefix::<CopiedCounts>(&(author,));
}

/// Does what other partitions sent.
pub(crate) fn deliver(
    ctx: &mut Context<'_, '_>,
    domains: &Domains,
    tenant: TenantId,
    item: &Item,
) -> Result<(), StateError> {
    match item {
        Item::Follow { author, follower, since } => {
            let mut subject = Subject::of_name(ctx, (tenant, author.clone()))?;
            ties::gain_follower(&mut subject, domains, follower, *since)?;
            subject.save();
        }
        Item::Unfollow { author, follower } => {
            if let Some(mut subject) = Subject::find(ctx, (tenant, author.clone()))? {
                ties::lose_follower(&mut subject, domains, follower)?;
                subject.save();
            }
        }
        Item::Blocked { user, by, is_blocked } => {
            let mut subject = Subject::of_name(ctx, (tenant, user.clone()))?;
            ties::be_blocked(&mut subject, domains, by, *is_blocked)?;
            subject.save();
        }
        Item::Begin { author, oldest, since } => {
            if let Some(Author { id, .. }) = ctx.tx.get::<Authors>(&(tenant, author.clone()))? {
                forget(ctx, id);
                let (newest, oldest, filling_since) = (0, *oldest, Some(*since));
                ctx.tx.put::<AuthorHeads>(&id, &Head { newest, oldest, filling_since });
            }
        }
        Item::Filled { author, since } => {
            if let Some(Author { id, .. }) = ctx.tx.get::<Authors>(&(tenant, author.clone()))?
                && let Some(mut head) = ctx.tx.get::<AuthorHeads>(&id)?
                && head.filling_since.is_some_and(|filling| filling <= *since)
            {
                head.filling_since = None;
                ctx.tx.put::<AuthorHeads>(&id, &head);
            }
        }
        Item::Ended { author, since } => end(ctx, &(tenant, author.clone()), *since)?,
        Item::Posts { author, posts, oldest, is_new } => {
            let key = (tenant, author.clone());
            let Some(Author { id, .. }) = ctx.tx.get::<Authors>(&key)? else { return Ok(()) };
            for copied in posts {
                put(ctx, id, copied)?;
                if *is_new {
                    arrive(ctx, &of_followed(&key, copied.post, false))?;
                }
            }
            let newest = posts.iter().map(|copied| copied.post).max().unwrap_or_default();
            advance(ctx, id, newest, *oldest)?;
        }
        Item::Gone { author, post, oldest } => {
            let key = (tenant, author.clone());
            let Some(Author { id, .. }) = ctx.tx.get::<Authors>(&key)? else { return Ok(()) };
            if ctx.tx.contains::<Copies>(&(id, *post))? {
                remove(ctx, (id, *post));
                arrive(ctx, &of_followed(&key, *post, true))?;
            }
            advance(ctx, id, *post, *oldest)?;
        }
        Item::Counts(all) => {
            for Counted { author, post, counts } in all {
                let author = ctx.tx.get::<Authors>(&(tenant, author.clone()))?;
                let Some(Author { id, .. }) = author else { continue };
                if ctx.tx.contains::<Copies>(&(id, *post))? {
                    let counts = Counts { kinds: counts.clone(), ..Counts::default() };
                    ctx.tx.put::<CopiedCounts>(&(id, *post), &counts);
                }
            }
        }
    }
    Ok(())
}

fn of_followed((tenant, author): &(TenantId, String), post: u64, is_gone: bool) -> Arrival {
    Arrival { tenant: *tenant, author: author.clone(), post, is_gone, is_own: false }
}

fn put(ctx: &mut Context<'_, '_>, author: u64, copied: &Copied) -> Result<(), StateError> {
    let key = (author, copied.post);
    ctx.tx.put::<Copies>(&key, &Copy { body: copied.body.clone() });
    if !copied.counts.is_empty() {
        let counts = Counts { kinds: copied.counts.clone(), ..Counts::default() };
        ctx.tx.put::<CopiedCounts>(&key, &counts);
    }
    Ok(())
}

fn remove(ctx: &mut Context<'_, '_>, key: (u64, u64)) {
    ctx.tx.delete::<Copies>(&key);
    ctx.tx.delete::<CopiedCounts>(&key);
}

/// An author's newest post is this one or a later one, and none before `oldest` is kept.
fn advance(
    ctx: &mut Context<'_, '_>,
    author: u64,
    newest: u64,
    oldest: u64,
) -> Result<(), StateError> {
    let before = ctx.tx.get::<AuthorHeads>(&author)?.unwrap_or_default();
    let mut head = Head { newest: before.newest.max(newest), ..before };
    if oldest > head.oldest {
        let old = (author, head.oldest)..(author, oldest);
        let old = ctx.tx.scan::<Copies>(old, Order::Ascending, TRIMMED_MAX)?;
        head.oldest = match old.last() {
            Some(((_, last), _)) if old.len() == TRIMMED_MAX => last + 1,
            _ => oldest,
        };
        for (key, _) in old {
            remove(ctx, key);
        }
    }
    if head != before {
        ctx.tx.put::<AuthorHeads>(&author, &head);
    }
    Ok(())
}

/// Something has come to timelines of this partition.
pub(super) fn arrive(ctx: &mut Context<'_, '_>, arrival: &Arrival) -> Result<(), StateError> {
    let Number(last) = ctx.tx.get::<ArrivalCounter>(&())?.unwrap_or_default();
    let sequence = last + 1;
    ctx.tx.put::<ArrivalCounter>(&(), &Number(sequence));
    ctx.tx.put::<Arrivals>(&arrival_key(sequence), arrival);
    if sequence.is_multiple_of(SEGMENT)
        && let Some(old) = (sequence / SEGMENT).checked_sub(SEGMENTS + 1)
    {
        ctx.tx.drop_prefix::<Arrivals>(&(old,));
    }
    ctx.touch(ARRIVALS);
    Ok(())
}

/// The key of an arrival: its segment, its sequence.
pub(super) fn arrival_key(sequence: u64) -> (u64, u64) {
    (sequence / SEGMENT, sequence)
}

/// The sequence of the first arrival that is kept, if this is the last.
pub(super) fn first_arrival(last: u64) -> u64 {
    (last / SEGMENT).saturating_sub(SEGMENTS) * SEGMENT
}
