//! How posts come to where they are read: one copy to each partition that holds a follower.
//!
//! What fits goes with the record of the post. The rest is *work*, a row that says how far it has come,
//! and the partition's timer goes on with what waits longest, as far as a step may. A step sends how a post
//! stands at that moment, so that it does not matter which of several comes first. How old the oldest
//! work is, is how late timelines elsewhere are.
//!
//! Counts of reactions are told in batches: a post whose counts change is due once, within
//! [`COUNTS_EVERY_MS`], however many react meanwhile. Timelines are as late as counts are beyond that.

use super::{
    copies::{Copied, Counted, Item},
    subject::{Subject, next_number},
    tables::{
        Audience, Counts, CountsDue, FeedPace, FeedWork, Pace, Place, PostCounts, Posts, User, Work,
    },
};
use evenkeel_engine::{Context, Entity, TenantId, Time};
use evenkeel_log::PartitionId;
use evenkeel_state::{Order, Read, StateError};
use std::{collections::BTreeMap, ops::Range};

/// Counts of a post that others see are no older than this, and what the outbox needs.
pub const COUNTS_EVERY_MS: u64 = 500;
/// Posts whose counts change within so long are told together, at most twice as long after.
const COUNTS_TOGETHER_MS: u64 = 150;
/// The rest of [`COUNTS_EVERY_MS`] is for timers that are late; if they are later, so are timelines.
const COUNTS_MAY_WAIT_MS: u64 = COUNTS_EVERY_MS - 2 * COUNTS_TOGETHER_MS;
/// Bytes that go with the record of a post.
const STEP_BYTES: usize = 96 * 1_024;
/// Bytes that one step sends of posts that are new, and of those from before.
const SPREAD_BYTES: usize = 64 * 1_024;
const REFILL_BYTES: usize = 48 * 1_024;
/// How long what waits for a destination without room waits.
const HELD_UP_MS: u64 = 100;
/// Items that one step sends.
const STEP_ITEMS: usize = 128;
/// Posts that one item carries.
const ITEM_POSTS: usize = 64;
/// What an item takes beside its bodies.
const ITEM_BYTES: usize = 192;
/// Works, or posts with counts, that one step looks at.
const STEP_ROWS: usize = 128;

/// The entities of the timers; no user has one of these.
pub(super) const WORK_TIMER: u64 = 1;
pub(super) const COUNTS_TIMER: u64 = 2;
/// What is told when there is work, or less of it.
pub const WORK: Entity = Entity { domain: super::DOMAIN, id: WORK_TIMER };

/// Kinds of work: posts that are new go before those from before, which must not wait for ever either.
const SPREADS: u8 = 0;
const REFILLS: u8 = 1;

/// What a step may still send.
struct Room {
    bytes: usize,
    items: usize,
    /// Whether a destination that has no room is waited for: a command is refused instead.
    may_wait: bool,
    /// Something waits for one.
    is_held_up: bool,
}

impl Room {
    const fn of(bytes: usize) -> Self {
        Self { bytes, items: STEP_ITEMS, may_wait: true, is_held_up: false }
    }

    /// Whether it must wait until `to` has room.
    fn waits_for(&mut self, ctx: &Context<'_, '_>, to: u16) -> Result<bool, StateError> {
        let waits = self.may_wait && !ctx.has_room(PartitionId(to))?;
        self.is_held_up |= waits;
        Ok(waits)
    }

    fn is_spent(&self) -> bool {
        self.bytes == 0 || self.items == 0
    }

    fn spend(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes + ITEM_BYTES);
        self.items = self.items.saturating_sub(1);
    }
}

/// Has the audience know how a post stands: what fits of it now.
pub(super) fn begin(subject: &mut Subject<'_, '_, '_>, post: u64) -> Result<(), StateError> {
    let now = subject.ctx.now();
    let room = &mut Room { may_wait: false, ..Room::of(STEP_BYTES) };
    match spread(subject.ctx, &subject.key, &subject.row, (post, 0), room)? {
        Some(from) => {
            let number = next_number(subject.ctx)?;
            let work = Work::Spread { user: subject.row.id, post, from };
            put_work(subject.ctx, (SPREADS, now.0, number), &work)
        }
        None => Ok(()),
    }
}

/// Sends how a post stands to the audience from a partition on. Answers where to go on, if there may be more.
fn spread(
    ctx: &mut Context<'_, '_>,
    (tenant, author): &(TenantId, String),
    user: &User,
    (post, from): (u64, u16),
    room: &mut Room,
) -> Result<Option<u16>, StateError> {
    let (audience, next) = audience(ctx, user.id, from)?;
    if audience.is_empty() {
        return Ok(None);
    }
    let row = ctx.tx.get::<Posts>(&(user.id, post))?.filter(|row| !row.is_deleted);
    let counts = ctx.tx.get::<PostCounts>(&(user.id, post))?.unwrap_or_default().kinds;
    let bytes = row.as_ref().map_or(0, |row| row.body.len() + counts_bytes(&counts));
    let (author, oldest) = (author.clone(), user.oldest);
    let item = crate::Item::Feed(match row {
        Some(row) => {
            let posts = vec![Copied { post, body: row.body, counts }];
            Item::Posts { author, posts, oldest, is_new: true }
        }
        None => Item::Gone { author, post, oldest },
    });
    for place in audience {
        if room.is_spent() || room.waits_for(ctx, place)? {
            return Ok(Some(place));
        }
        ctx.send(PartitionId(place), *tenant, &item)?;
        room.spend(bytes);
    }
    Ok(next)
}

/// Some partitions that hold followers, from one on, and from which to go on if there may be more.
fn audience(
    ctx: &Context<'_, '_>,
    user: u64,
    from: u16,
) -> Result<(Vec<u16>, Option<u16>), StateError> {
    let range = (user, from)..(user + 1, 0);
    let rows = ctx.tx.scan::<Audience>(range, Order::Ascending, STEP_ITEMS)?;
    let places: Vec<_> = rows.into_iter().map(|((_, place), _)| place).collect();
    let next = places.last().filter(|_| places.len() == STEP_ITEMS).map(|last| last + 1);
    Ok((places, next))
}

/// A partition has its first follower, since then: begins anew there. Answers the number of what brings the
/// posts from before; timelines there know that they have not come yet.
pub(super) fn begin_refill(
    subject: &mut Subject<'_, '_, '_>,
    to: PartitionId,
    since: Time,
) -> Result<u64, StateError> {
    let (author, oldest) = (subject.key.1.clone(), subject.row.oldest);
    let item = crate::Item::Feed(Item::Begin { author, oldest, since });
    subject.ctx.send(to, subject.key.0, &item)?;
    let number = next_number(subject.ctx)?;
    let before = subject.row.newest + 1;
    let work = Work::Refill { user: subject.row.id, to: to.0, before, number };
    let now = subject.ctx.now();
    put_work(subject.ctx, (REFILLS, now.0, number), &work)?;
    Ok(number)
}

/// Sends posts before one, the newest first, and in the end that these were all. Answers the last that was
/// sent, if there may be more.
fn refill(
    ctx: &mut Context<'_, '_>,
    (tenant, author): &(TenantId, String),
    user: &User,
    (to, number, mut before): (u16, u64, u64),
    room: &mut Room,
) -> Result<Option<u64>, StateError> {
    let listeners = ctx.tx.get::<Audience>(&(user.id, to))?;
    let Some(listeners) = listeners.filter(|listeners| listeners.refill == number) else {
        return Ok(None);
    };
    loop {
        if room.is_spent() || room.waits_for(ctx, to)? {
            return Ok(Some(before));
        }
        let range = (user.id, user.oldest)..(user.id, before.max(user.oldest));
        let rows = ctx.tx.scan::<Posts>(range, Order::Descending, ITEM_POSTS)?;
        let (mut posts, mut bytes, mut is_last) = (Vec::new(), 0, rows.len() < ITEM_POSTS);
        for ((_, post), row) in rows {
            let counts = ctx.tx.get::<PostCounts>(&(user.id, post))?.unwrap_or_default().kinds;
            let more = row.body.len() + counts_bytes(&counts) + ITEM_BYTES;
            if bytes > 0 && bytes + more > room.bytes {
                is_last = false;
                break;
            }
            before = post;
            if !row.is_deleted {
                bytes += more;
                posts.push(Copied { post, body: row.body, counts });
            }
        }
        let (author, oldest) = (author.clone(), user.oldest);
        if !posts.is_empty() {
            let item = Item::Posts { author: author.clone(), posts, oldest, is_new: false };
            ctx.send(PartitionId(to), *tenant, &crate::Item::Feed(item))?;
            room.spend(bytes);
        }
        if is_last {
            let item = Item::Filled { author, since: listeners.since };
            ctx.send(PartitionId(to), *tenant, &crate::Item::Feed(item))?;
            return Ok(None);
        }
    }
}

fn counts_bytes(counts: &[(String, u64)]) -> usize {
    counts.iter().map(|(kind, _)| kind.len() + 10).sum()
}

/// Has the partition's timer go on with `work`.
fn put_work(ctx: &mut Context<'_, '_>, key: (u8, u64, u64), work: &Work) -> Result<(), StateError> {
    ctx.tx.put::<FeedWork>(&key, work);
    let mut pace = ctx.tx.get::<FeedPace>(&())?.unwrap_or_default();
    let from = &mut pace.work_from[usize::from(key.0)];
    if Time(key.1) < *from {
        *from = Time(key.1);
        ctx.tx.put::<FeedPace>(&(), &pace);
    }
    go_on(ctx, 1);
    Ok(())
}

/// Sets the timer for the next step. Several that are due at once are one.
fn go_on(ctx: &mut Context<'_, '_>, after_ms: u64) {
    ctx.touch(WORK);
    ctx.set_timer(ctx.now().plus_ms(after_ms), super::DOMAIN, WORK_TIMER);
}

/// Since when timelines of other partitions may not know what was posted in this one, or not count what was
/// counted [`COUNTS_EVERY_MS`] before, which may be a time to come; none if they know all that is not in the
/// outbox, but for posts from before somebody's first follower, of which they know themselves.
pub fn behind_since(read: &impl Read) -> Result<Option<Time>, StateError> {
    let pace = read.get::<FeedPace>(&())?.unwrap_or_default();
    let counts = first_due(read, &pace)?.map(|due| due.plus_ms(COUNTS_MAY_WAIT_MS));
    Ok([oldest(read, &pace, SPREADS)?, counts].into_iter().flatten().min())
}

fn oldest(read: &impl Read, pace: &Pace, kind: u8) -> Result<Option<Time>, StateError> {
    let first = read.scan::<FeedWork>(works(pace, kind), Order::Ascending, 1)?;
    Ok(first.first().map(|((_, since, _), _)| Time(*since)))
}

/// The keys of one kind of work.
fn works(pace: &Pace, kind: u8) -> Range<(u8, u64, u64)> {
    (kind, pace.work_from[usize::from(kind)].0, 0)..(kind + 1, 0, 0)
}

/// The timer is due: goes on with the works of each kind that wait longest.
pub(super) fn step(ctx: &mut Context<'_, '_>) -> Result<(), StateError> {
    let mut pace = ctx.tx.get::<FeedPace>(&())?.unwrap_or_default();
    let (mut is_left, mut is_held_up) = (false, false);
    for (kind, bytes) in [(SPREADS, SPREAD_BYTES), (REFILLS, REFILL_BYTES)] {
        let rows = ctx.tx.scan::<FeedWork>(works(&pace, kind), Order::Ascending, STEP_ROWS)?;
        let room = &mut Room::of(bytes);
        for (key, work) in rows {
            if room.is_spent() {
                break;
            }
            match do_some(ctx, work, room)? {
                Some(rest) => ctx.tx.put::<FeedWork>(&key, &rest),
                None => ctx.tx.delete::<FeedWork>(&key),
            }
        }
        let first = oldest(&*ctx.tx, &pace, kind)?;
        pace.work_from[usize::from(kind)] = first.unwrap_or(ctx.now());
        is_left |= first.is_some();
        is_held_up |= room.is_held_up;
    }
    ctx.tx.put::<FeedPace>(&(), &pace);
    ctx.touch(WORK);
    if is_left {
        go_on(ctx, if is_held_up { HELD_UP_MS } else { 1 });
    }
    Ok(())
}

/// Does some of a work. Answers what is left of it.
fn do_some(
    ctx: &mut Context<'_, '_>,
    work: Work,
    room: &mut Room,
) -> Result<Option<Work>, StateError> {
    let (Work::Spread { user, .. } | Work::Refill { user, .. }) = work;
    let Some(Subject { ctx, key, row, .. }) = Subject::of_id(ctx, user)? else { return Ok(None) };
    Ok(match work {
        Work::Spread { post, from, .. } => {
            let rest = spread(ctx, &key, &row, (post, from), room)?;
            rest.map(|from| Work::Spread { user, post, from })
        }
        Work::Refill { to, before, number, .. } => {
            let rest = refill(ctx, &key, &row, (to, number, before), room)?;
            rest.map(|before| Work::Refill { user, to, before, number })
        }
    })
}

/// A post's counts have changed: has its audience told, soon and once.
pub(super) fn counted(
    ctx: &mut Context<'_, '_>,
    (user, post): (u64, u64),
    counts: &mut Counts,
) -> Result<(), StateError> {
    match counts.due {
        None => {
            let due = (ctx.now().0 / COUNTS_TOGETHER_MS + 2) * COUNTS_TOGETHER_MS;
            counts.due = Some(Time(due));
            ctx.tx.put::<CountsDue>(&(due, user, post), &Place(0));
            ctx.touch(WORK);
            ctx.set_timer(Time(due), super::DOMAIN, COUNTS_TIMER);
        }
        // Those who have been told already were told less.
        Some(due) if due <= ctx.now() => {
            let from = ctx.tx.get::<CountsDue>(&(due.0, user, post))?;
            counts.again |= from.is_some_and(|Place(from)| from > 0);
        }
        Some(_) => {}
    }
    Ok(())
}

/// Counts that go to one partition together.
type Telling = BTreeMap<(TenantId, u16), Vec<Counted>>;

/// The timer is due: tells the counts that are.
pub(super) fn tell_counts(ctx: &mut Context<'_, '_>) -> Result<(), StateError> {
    let mut pace = ctx.tx.get::<FeedPace>(&())?.unwrap_or_default();
    let from = (pace.counts_from.0, 0, 0);
    let now = ctx.now();
    let rows = ctx.tx.scan::<CountsDue>(
        from..=(now.0, u64::MAX, u64::MAX),
        Order::Ascending,
        STEP_ROWS,
    )?;
    let (room, mut telling) =
        (&mut Room { items: usize::MAX, ..Room::of(STEP_BYTES) }, Telling::new());
    for (key, Place(from)) in rows {
        if room.is_spent() {
            break;
        }
        match tell_count(ctx, (key.1, key.2), from, room, &mut telling)? {
            Some(next) => ctx.tx.put::<CountsDue>(&key, &Place(next)),
            None => ctx.tx.delete::<CountsDue>(&key),
        }
    }
    for ((tenant, place), counts) in telling {
        for counts in counts.chunks(ITEM_POSTS) {
            let item = crate::Item::Feed(Item::Counts(counts.to_vec()));
            ctx.send(PartitionId(place), tenant, &item)?;
        }
    }
    let first = first_due(&*ctx.tx, &pace)?;
    pace.counts_from = first.unwrap_or(now).min(now);
    ctx.tx.put::<FeedPace>(&(), &pace);
    ctx.touch(WORK);
    if first.is_some_and(|due| due <= now) {
        ctx.set_timer(now.plus_ms(1), super::DOMAIN, COUNTS_TIMER);
    }
    Ok(())
}

/// When the first counts are due, of whatever is due.
fn first_due(read: &impl Read, pace: &Pace) -> Result<Option<Time>, StateError> {
    let from = (pace.counts_from.0, 0, 0);
    let first = read.scan::<CountsDue>(from.., Order::Ascending, 1)?;
    Ok(first.first().map(|((due, ..), _)| Time(*due)))
}

/// Adds a post's counts to what is told to its audience from a partition on. Answers where to go on, if
/// there may be more.
fn tell_count(
    ctx: &mut Context<'_, '_>,
    (user, post): (u64, u64),
    from: u16,
    room: &mut Room,
    telling: &mut Telling,
) -> Result<Option<u16>, StateError> {
    let Some(mut counts) = ctx.tx.get::<PostCounts>(&(user, post))? else { return Ok(None) };
    let Some(Subject { ctx, key: (tenant, author), .. }) = Subject::of_id(ctx, user)? else {
        return Ok(None);
    };
    let (audience, mut next) = audience(ctx, user, from)?;
    let bytes = counts_bytes(&counts.kinds);
    for place in audience {
        if room.is_spent() {
            next = Some(place);
            break;
        }
        if room.waits_for(ctx, place)? {
            // The others do not wait for it: it is told when they are told again.
            counts.again = true;
            continue;
        }
        let counted = Counted { author: author.clone(), post, counts: counts.kinds.clone() };
        telling.entry((tenant, place)).or_default().push(counted);
        room.spend(bytes);
    }
    if next.is_none() {
        counts.due = None;
        if std::mem::take(&mut counts.again) {
            counted(ctx, (user, post), &mut counts)?;
        }
    }
    ctx.tx.put::<PostCounts>(&(user, post), &counts);
    Ok(next)
}
