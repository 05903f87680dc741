//! Reads of committed state.

use super::{
    EventView, HoldState, HoldView, Places, Refusal, Resource, ResourceView, SeatState, SeatView,
    decide::describe,
    lifecycle::view,
    tables::{Holds, Resources, Seats},
};
use evenkeel_engine::{Entity, Position, Stop, TenantId, Time, read_events};
use evenkeel_log::Incarnation;
use evenkeel_state::{Order, Read, StateError};
use std::ops::Bound;

/// Items of one page at most, whatever is asked for.
pub const PAGE_ROWS_MAX: usize = 1_000;
/// Bytes of one page's items as answered: a page that would take more ends early, with a cursor.
pub const PAGE_BYTES_MAX: usize = 1 << 20;
/// Rows that one page looks at: a filter that matches little ends a page early, with a cursor.
const PAGE_SCAN_MAX: usize = 1_000;
/// What an item takes beside its seats: field names, numbers, times, two names.
const ITEM_BYTES: usize = 640;
/// What a seat in a list takes beside its name.
const SEAT_BYTES: usize = 3;

/// What can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// One resource.
    Resource {
        /// Its name.
        resource: String,
    },
    /// The tenant's resources in this partition, by name.
    Resources {
        /// After this name.
        after: Option<String>,
        /// At most so many.
        limit: usize,
    },
    /// A resource's seats, by name.
    Seats {
        /// The resource.
        resource: String,
        /// Only those in this state.
        state: Option<SeatState>,
        /// After this name.
        after: Option<String>,
        /// At most so many.
        limit: usize,
    },
    /// One hold.
    Hold {
        /// The resource.
        resource: String,
        /// The hold's fence.
        hold: u64,
    },
    /// A resource's holds, oldest first.
    Holds {
        /// The resource.
        resource: String,
        /// Only those in this state.
        state: Option<HoldState>,
        /// After this fence.
        after: Option<u64>,
        /// At most so many.
        limit: usize,
    },
    /// A resource's events, oldest first.
    Events {
        /// The resource.
        resource: String,
        /// After this one; without it, the page is empty and says where the stream ends.
        after: Option<Position>,
        /// From the oldest that is kept, whatever `after` says.
        from_start: bool,
        /// At most so many.
        limit: usize,
    },
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// One resource.
    Resource(ResourceView),
    /// Resources, and the last name looked at if there may be more.
    Resources(Vec<ResourceView>, Option<String>),
    /// Seats, and the last name looked at if there may be more.
    Seats(Vec<SeatView>, Option<String>),
    /// One hold.
    Hold(HoldView),
    /// Holds, and the last fence looked at if there may be more.
    Holds(Vec<HoldView>, Option<u64>),
    /// Events.
    Events(EventsPage),
}

/// A part of a resource's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventsPage {
    /// What to watch for more.
    pub entity: Entity,
    /// The events after the position asked for.
    pub events: Vec<EventView>,
    /// The position after which to read on.
    pub next: Position,
    /// The position asked for is not one of this stream's, or what follows it is gone.
    pub reset: bool,
}

/// Reads; a refusal here only ever says that something does not exist.
pub fn query(
    read: &impl Read,
    now: Time,
    incarnation: Incarnation,
    tenant: TenantId,
    query: &Query,
) -> Result<Found, Stop<Refusal>> {
    match query {
        Query::Resource { resource } => {
            let row = find(read, tenant, resource)?;
            Ok(Found::Resource(describe(resource, &row)))
        }
        Query::Resources { after, limit } => resources(read, tenant, after.as_deref(), *limit),
        Query::Seats { resource, state, after, limit } => {
            let id = find(read, tenant, resource)?.id;
            seats(read, id, *state, after.as_deref(), *limit)
        }
        Query::Hold { resource, hold } => {
            let id = find(read, tenant, resource)?.id;
            let row = read.get::<Holds>(&(id, *hold))?.ok_or(Stop::Refused(Refusal::NoHold))?;
            Ok(Found::Hold(as_of(now, view(*hold, row))))
        }
        Query::Holds { resource, state, after, limit } => {
            let id = find(read, tenant, resource)?.id;
            holds(read, now, id, *state, *after, *limit)
        }
        Query::Events { resource, after, from_start, limit } => {
            let row = find(read, tenant, resource)?;
            let after = if *from_start {
                Some(Position { incarnation, sequence: row.events.first - 1 })
            } else {
                *after
            };
            events(read, incarnation, &row, after, *limit)
        }
    }
}

fn find(read: &impl Read, tenant: TenantId, name: &str) -> Result<Resource, Stop<Refusal>> {
    let row = read.get::<Resources>(&(tenant, name.to_owned()))?;
    row.ok_or(Stop::Refused(Refusal::NoResource))
}

fn resources(
    read: &impl Read,
    tenant: TenantId,
    after: Option<&str>,
    limit: usize,
) -> Result<Found, Stop<Refusal>> {
    let limit = limit.min(PAGE_ROWS_MAX);
    let from = Bound::Excluded((tenant, after.unwrap_or_default().to_owned()));
    let to = Bound::Excluded((TenantId(tenant.0.saturating_add(1)), String::new()));
    let rows = read.scan::<Resources>((from, to), Order::Ascending, limit)?;
    let next = (rows.len() == limit).then(|| rows.last().map(|(key, _)| key.1.clone())).flatten();
    Ok(Found::Resources(rows.iter().map(|(key, row)| describe(&key.1, row)).collect(), next))
}

fn seats(
    read: &impl Read,
    id: u64,
    state: Option<SeatState>,
    after: Option<&str>,
    limit: usize,
) -> Result<Found, Stop<Refusal>> {
    let limit = limit.min(PAGE_ROWS_MAX);
    let from = Bound::Excluded((id, after.unwrap_or_default().to_owned()));
    let to = Bound::Excluded((id + 1, String::new()));
    let scan = if state.is_none() { limit } else { PAGE_SCAN_MAX };
    let rows = read.scan::<Seats>((from, to), Order::Ascending, scan)?;
    let whole = rows.len() < scan;
    let mut page = Page::new(limit);
    for ((_, seat), row) in rows {
        let matches = state.is_none_or(|state| state == row.state);
        let hold = (row.state != SeatState::Free).then_some(row.hold);
        let item = matches.then(|| SeatView { seat: seat.clone(), state: row.state, hold });
        if page.offer(seat, item, ITEM_BYTES) {
            break;
        }
    }
    let (items, next) = page.finish(whole);
    Ok(Found::Seats(items, next))
}

fn holds(
    read: &impl Read,
    now: Time,
    id: u64,
    state: Option<HoldState>,
    after: Option<u64>,
    limit: usize,
) -> Result<Found, Stop<Refusal>> {
    let limit = limit.min(PAGE_ROWS_MAX);
    let from = Bound::Excluded((id, after.unwrap_or_default()));
    let to = Bound::Excluded((id + 1, 0));
    let scan = if state.is_none() { limit } else { PAGE_SCAN_MAX };
    let rows = read.scan::<Holds>((from, to), Order::Ascending, scan)?;
    let whole = rows.len() < scan;
    let mut page = Page::new(limit);
    for ((_, fence), row) in rows {
        let hold = as_of(now, view(fence, row));
        let matches = state.is_none_or(|state| state == hold.state);
        let bytes = ITEM_BYTES + seats_bytes(&hold.places);
        if page.offer(fence, matches.then_some(hold), bytes) {
            break;
        }
    }
    let (items, next) = page.finish(whole);
    Ok(Found::Holds(items, next))
}

fn events(
    read: &impl Read,
    incarnation: Incarnation,
    resource: &Resource,
    after: Option<Position>,
    limit: usize,
) -> Result<Found, Stop<Refusal>> {
    let head = resource.events;
    let end = Position { incarnation, sequence: head.next - 1 };
    let after = after.unwrap_or(end);
    let known = after.incarnation == incarnation && after.sequence <= end.sequence;
    let reset = !known || after.sequence.saturating_add(1) < head.first;
    let rows = if reset || after.sequence == end.sequence {
        Vec::new()
    } else {
        read_events(read, resource.entity(), after.sequence, limit.min(PAGE_ROWS_MAX))?
    };
    let mut bytes = 0;
    let events: Vec<EventView> = rows
        .into_iter()
        .take_while(|(_, row)| {
            bytes += ITEM_BYTES + row.data.len() * 2;
            bytes <= PAGE_BYTES_MAX
        })
        .map(|(sequence, row)| {
            // To leave out an event that cannot be read would be a gap that nobody is told of.
            let event =
                postcard::from_bytes(&row.data).map_err(|_| StateError::Row { table: "events" })?;
            Ok(EventView { position: Position { incarnation, sequence }, at: row.at, event })
        })
        .collect::<Result<_, StateError>>()?;
    let next = if reset { end } else { events.last().map_or(after, |event| event.position) };
    Ok(Found::Events(EventsPage { entity: resource.entity(), events, next, reset }))
}

fn seats_bytes(places: &Places) -> usize {
    match places {
        Places::Seats(seats) => seats.iter().map(|seat| seat.len() + SEAT_BYTES).sum(),
        Places::Quantity(_) | Places::Lock => 0,
    }
}

/// What a hold is at `now`: one that is due has expired, even if nothing has touched it since.
fn as_of(now: Time, mut hold: HoldView) -> HoldView {
    if hold.state == HoldState::Held && hold.expires_at <= now {
        hold.state = HoldState::Expired;
    }
    hold
}

/// Collects one page of a filtered scan.
struct Page<C, I> {
    items: Vec<I>,
    last: Option<C>,
    limit: usize,
    bytes: usize,
    full: bool,
}

impl<C, I> Page<C, I> {
    fn new(limit: usize) -> Self {
        Self { items: Vec::new(), last: None, limit, bytes: 0, full: false }
    }

    /// Looks at the next row, whose item takes `bytes`; answers whether the page is full.
    fn offer(&mut self, at: C, item: Option<I>, bytes: usize) -> bool {
        if let Some(item) = item {
            self.bytes += bytes;
            if self.bytes > PAGE_BYTES_MAX {
                self.full = true;
                return true;
            }
            self.items.push(item);
        }
        self.last = Some(at);
        self.full = self.items.len() == self.limit;
        self.full
    }

    /// The items, and where to go on unless the `whole` range was looked at.
    fn finish(self, whole: bool) -> (Vec<I>, Option<C>) {
        let next = if whole && !self.full { None } else { self.last };
        (self.items, next)
    }
}
