//! Reads of committed state.

use super::{
    Cursor, DeadFilter, JobDetail, JobId, JobView, Next, Note, PRIORITY_MAX, QueueEvent, Refusal,
    State, Totals, WaitingFor,
    replay::is_meant,
    tables::{
        ByState, Job, JobBodies, JobIndex, JobKinds, JobNotes, Jobs, KeyHash, Kind, LANE_SLOTS,
        NoteKind, OrderKeys, Queue, Queues, lane_slot,
    },
};
use crate::reservations::{PAGE_BYTES_MAX, PAGE_ROWS_MAX};
use evenkeel_engine::{Entity, Position, Stop, TenantId, Time, read_events};
use evenkeel_log::Incarnation;
use evenkeel_state::{Order, Read, StateError};
use std::ops::Bound;

/// Rows that one page looks at: a filter that matches little ends a page early, with a cursor.
const PAGE_SCAN_MAX: usize = 1_000;
/// What an item takes beside its error: field names, numbers, times, names.
const ITEM_BYTES: usize = 768;

/// What can be read, of one queue in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// One job.
    Job {
        /// The queue.
        queue: String,
        /// The job.
        job: JobId,
    },
    /// Jobs, by state, and within it in the order in which something is done with them.
    Jobs {
        /// The queue.
        queue: String,
        /// Only those in this state.
        state: Option<State>,
        /// Only those of this kind.
        kind: Option<String>,
        /// After this one.
        after: Option<Cursor>,
        /// At most so many.
        limit: usize,
    },
    /// Dead letters, in the order in which they died.
    Dead {
        /// The queue.
        queue: String,
        /// Which.
        filter: DeadFilter,
        /// After this one.
        after: Option<Cursor>,
        /// At most so many.
        limit: usize,
    },
    /// How many jobs there are, and what is next.
    Queue {
        /// The queue.
        queue: String,
        /// Kinds after this one.
        after: Option<String>,
    },
    /// What happened to the queue that somebody may ask about later, oldest first.
    Events {
        /// The queue.
        queue: String,
        /// After this one; without it, from the oldest that is kept.
        after: Option<Position>,
        /// At most so many.
        limit: usize,
    },
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// One job.
    Job(Box<JobDetail>),
    /// Jobs, and the last one looked at if there may be more.
    Jobs(Vec<JobView>, Option<Cursor>),
    /// The queue in this partition.
    Queue(Box<QueueView>),
    /// Events, and whether what follows the position asked for is gone.
    Events(Vec<EventView>, bool),
}

/// A queue in one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueView {
    /// What to watch to know when there is more to lease.
    pub entity: Option<Entity>,
    /// How many jobs are in each state, in the order of [`State::ALL`].
    pub counts: ByState,
    /// Each kind, by name.
    pub kinds: Vec<(String, Kind)>,
    /// The last kind, if there may be more.
    pub next_kind: Option<String>,
    /// Since when the oldest job is ready that is.
    pub oldest_ready: Option<Time>,
    /// What there is to lease.
    pub next: Option<Next>,
    /// What has happened.
    pub totals: Totals,
    /// When a worker last got a job.
    pub leased_at: Option<Time>,
}

/// An event as answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventView {
    /// Where it is in the queue's stream.
    pub position: Position,
    /// When it was decided.
    pub at: Time,
    /// What happened.
    pub event: QueueEvent,
}

/// Reads; a refusal here only ever says that a job does not exist. Of a queue of which nothing has
/// been here, nothing is found.
pub fn query(
    read: &impl Read,
    now: Time,
    incarnation: Incarnation,
    tenant: TenantId,
    query: &Query,
) -> Result<Found, Stop<Refusal>> {
    let find = |queue: &String| read.get::<Queues>(&(tenant, queue.clone()));
    match query {
        Query::Job { queue, job } => {
            let queue = find(queue)?.ok_or(Stop::Refused(Refusal::NoJob))?;
            let found = detail(read, now, &queue, job.number)?;
            let found = found.ok_or(Stop::Refused(Refusal::NoJob))?;
            Ok(Found::Job(Box::new(found)))
        }
        Query::Jobs { queue, state, kind, after, limit } => {
            let Some(queue) = find(queue)? else { return Ok(Found::Jobs(Vec::new(), None)) };
            let filter = DeadFilter { kind: kind.clone(), ..DeadFilter::default() };
            let slots = slots(*state);
            Ok(jobs(read, &queue, &slots, &filter, *after, *limit)?)
        }
        Query::Dead { queue, filter, after, limit } => {
            let Some(queue) = find(queue)? else { return Ok(Found::Jobs(Vec::new(), None)) };
            let slots = slots(Some(State::Dead));
            Ok(jobs(read, &queue, &slots, filter, *after, *limit)?)
        }
        Query::Queue { queue, after } => match find(queue)? {
            Some(queue) => Ok(Found::Queue(Box::new(describe(read, &queue, after.as_ref())?))),
            None => Ok(Found::Queue(Box::default())),
        },
        Query::Events { queue, after, limit } => match find(queue)? {
            Some(queue) => Ok(events(read, incarnation, &queue, *after, *limit)?),
            None => Ok(Found::Events(Vec::new(), false)),
        },
    }
}

/// The parts of the index, in their order.
fn slots(state: Option<State>) -> Vec<u8> {
    let lanes = (0..=PRIORITY_MAX).rev().map(lane_slot);
    match state {
        Some(State::Ready) => lanes.collect(),
        Some(state) => vec![state as u8],
        None => {
            let others = State::ALL.into_iter().filter(|state| *state != State::Ready);
            others.map(|state| state as u8).chain(lanes).collect()
        }
    }
}

/// Where a slot begins: what is before is gone, and not worth passing over.
fn slot_start(queue: &Queue, slot: u8) -> Option<(u64, u64)> {
    if slot >= LANE_SLOTS {
        let lane = queue.lanes[usize::from(PRIORITY_MAX - (slot - LANE_SLOTS))];
        return (lane.count > 0).then_some((lane.first.0.0, lane.first.1));
    }
    queue.first[usize::from(slot)].map(|first| (first.0, 0))
}

fn jobs(
    read: &impl Read,
    queue: &Queue,
    slots: &[u8],
    filter: &DeadFilter,
    after: Option<Cursor>,
    limit: usize,
) -> Result<Found, StateError> {
    let limit = limit.min(PAGE_ROWS_MAX);
    let from = filter.from.map_or(0, |from| from.0);
    let until = filter.until.map_or(u64::MAX, |until| until.0);
    let (mut page, mut bytes, mut looked_at) = (Vec::new(), 0, 0);
    let mut last = after;
    for slot in slots.iter().copied() {
        let Some((at, number)) = slot_start(queue, slot) else { continue };
        let mut start =
            Bound::Included((queue.id, slot, at, number).max((queue.id, slot, from, 0)));
        if let Some(cursor) = after {
            if slot < cursor.slot {
                continue;
            }
            if slot == cursor.slot {
                start = Bound::Excluded((queue.id, slot, cursor.at, cursor.number));
            }
        }
        let end = Bound::Included((queue.id, slot, u64::MAX, u64::MAX));
        let scan = PAGE_SCAN_MAX - looked_at;
        for ((_, _, at, number), ()) in
            read.scan::<JobIndex>((start, end), Order::Ascending, scan)?
        {
            if at >= until {
                break;
            }
            looked_at += 1;
            if let Some(job) = read.get::<Jobs>(&number)? {
                let error = note(read, number, &job, NoteKind::Error)?;
                if is_meant(&job, error.as_ref(), filter) {
                    bytes += ITEM_BYTES + error.as_ref().map_or(0, |error| error.text.len());
                    if page.len() == limit || bytes > PAGE_BYTES_MAX {
                        return Ok(Found::Jobs(page, last));
                    }
                    page.push(view(number, job, error));
                }
            }
            last = Some(Cursor { slot, at, number });
        }
        if looked_at == PAGE_SCAN_MAX {
            return Ok(Found::Jobs(page, last));
        }
    }
    Ok(Found::Jobs(page, None))
}

fn note(
    read: &impl Read,
    number: u64,
    job: &Job,
    kind: NoteKind,
) -> Result<Option<Note>, StateError> {
    if job.notes & kind.bit() == 0 {
        return Ok(None);
    }
    read.get::<JobNotes>(&(number, kind as u8))
}

fn view(number: u64, job: Job, error: Option<Note>) -> JobView {
    JobView {
        job: number,
        state: job.state,
        kind: job.kind,
        priority: job.priority,
        attempt: job.attempt,
        failures: job.failures,
        crashes: job.crashes,
        created_at: job.created_at,
        at: job.at,
        lease: job.worker.map(|worker| (job.fence, worker)),
        cancel: job.cancel,
        error,
    }
}

fn detail(
    read: &impl Read,
    now: Time,
    queue: &Queue,
    number: u64,
) -> Result<Option<JobDetail>, StateError> {
    let job = read.get::<Jobs>(&number)?.filter(|job| job.queue == queue.id);
    let (Some(job), Some(body)) = (job, read.get::<JobBodies>(&number)?) else {
        return Ok(None);
    };
    let waiting_for = waiting_for(read, now, queue, number, &job, &body.after)?;
    let error = note(read, number, &job, NoteKind::Error)?;
    let result = note(read, number, &job, NoteKind::Result)?;
    let progress = note(read, number, &job, NoteKind::Progress)?;
    Ok(Some(JobDetail {
        job: view(number, job, error),
        payload: body.payload,
        unique_key: body.unique_key,
        ordering_key: body.ordering_key,
        after: body.after,
        trace: body.trace,
        result,
        progress,
        waiting_for,
    }))
}

/// The first thing in its way.
fn waiting_for(
    read: &impl Read,
    now: Time,
    queue: &Queue,
    number: u64,
    job: &Job,
    after: &[JobId],
) -> Result<Option<WaitingFor>, StateError> {
    if job.state.is_final() || job.state == State::Leased {
        return Ok(None);
    }
    if job.pending > 0 {
        let first = first_pending(read, queue.partition, after)?;
        return Ok(Some(WaitingFor::Jobs { count: job.pending, first }));
    }
    if let Some(hash) = job.ordering
        && let Some((head, state)) = head(read, queue, hash)?
        && head != number
    {
        return Ok(Some(WaitingFor::OrderingKey { job: head, state }));
    }
    if matches!(job.state, State::Scheduled | State::Retry) && job.at > now {
        return Ok(Some(WaitingFor::Due(job.at)));
    }
    if queue.settings.paused {
        return Ok(Some(WaitingFor::Paused));
    }
    match queue.settings.concurrency_limit {
        Some(limit) if queue.slots() == 0 => Ok(Some(WaitingFor::Limit { limit })),
        _ => Ok(Some(WaitingFor::Worker { since: queue.leased_at })),
    }
}

/// The first that is here and not done; if there is none, the first that is elsewhere, of which nobody
/// here knows more than that it may be the one.
fn first_pending(read: &impl Read, own: u16, after: &[JobId]) -> Result<Option<JobId>, StateError> {
    for id in after.iter().filter(|id| id.partition == own) {
        if read.get::<Jobs>(&id.number)?.is_some_and(|job| job.state != State::Done) {
            return Ok(Some(*id));
        }
    }
    Ok(after.iter().find(|id| id.partition != own).copied())
}

fn head(
    read: &impl Read,
    queue: &Queue,
    hash: KeyHash,
) -> Result<Option<(u64, State)>, StateError> {
    let Some(key) = read.get::<OrderKeys>(&(queue.id, hash))? else { return Ok(None) };
    Ok(read.get::<Jobs>(&key.head)?.map(|job| (key.head, job.state)))
}

fn describe(
    read: &impl Read,
    queue: &Queue,
    after: Option<&String>,
) -> Result<QueueView, StateError> {
    let from = Bound::Excluded((queue.id, after.cloned().unwrap_or_default()));
    let to = Bound::Excluded((queue.id.saturating_add(1), String::new()));
    let rows = read.scan::<JobKinds>((from, to), Order::Ascending, PAGE_ROWS_MAX)?;
    let next_kind =
        (rows.len() == PAGE_ROWS_MAX).then(|| rows.last().map(|(key, _)| key.1.clone())).flatten();
    let mut oldest_ready: Option<Time> = None;
    for slot in slots(Some(State::Ready)) {
        let Some((at, number)) = slot_start(queue, slot) else { continue };
        let lane = (queue.id, slot, at, number)..=(queue.id, slot, u64::MAX, u64::MAX);
        for ((_, _, at, _), ()) in read.scan::<JobIndex>(lane, Order::Ascending, 1)? {
            oldest_ready = Some(oldest_ready.map_or(Time(at), |oldest| oldest.min(Time(at))));
        }
    }
    Ok(QueueView {
        entity: Some(queue.entity()),
        counts: queue.counts,
        kinds: rows.into_iter().map(|((_, name), kind)| (name, kind)).collect(),
        next_kind,
        oldest_ready,
        next: Some(Next { leasable: queue.leasable(), due: queue.next_due() }),
        totals: queue.totals,
        leased_at: queue.leased_at,
    })
}

fn events(
    read: &impl Read,
    incarnation: Incarnation,
    queue: &Queue,
    after: Option<Position>,
    limit: usize,
) -> Result<Found, StateError> {
    let head = queue.events;
    let after = after.unwrap_or(Position { incarnation, sequence: head.first - 1 });
    let known = after.incarnation == incarnation && after.sequence < head.next;
    if !known || after.sequence + 1 < head.first {
        return Ok(Found::Events(Vec::new(), true));
    }
    // An event has an error of a few kilobytes at most, so that rows bound the bytes too.
    let limit = limit.min(PAGE_ROWS_MAX / 8);
    let rows = read_events(read, queue.entity(), after.sequence, limit)?;
    let events: Result<Vec<EventView>, StateError> = rows
        .into_iter()
        .map(|(sequence, row)| {
            let event =
                postcard::from_bytes(&row.data).map_err(|_| StateError::Row { table: "events" })?;
            Ok(EventView { position: Position { incarnation, sequence }, at: row.at, event })
        })
        .collect();
    Ok(Found::Events(events?, false))
}
