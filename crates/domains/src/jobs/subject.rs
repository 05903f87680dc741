//! A queue while a command changes it. Every change of its counters, of the index and of when its
//! timer is due is made here, so that what is counted is always what is there.

use super::{
    Next, PRIORITY_MAX, Settings, State,
    tables::{
        ByState, Counters, EVENT_RETENTION_MS, Job, JobBodies, JobCounters, JobIndex, JobKinds,
        JobNotes, Jobs, Kind, Lane, Note, NoteKind, Queue, QueueEvent, QueueName, QueueNames,
        Queues, Totals, lane_slot,
    },
};
use evenkeel_engine::{Context, StreamHead, TenantId, Time};
use evenkeel_state::{Read, StateError};
use std::collections::BTreeMap;

/// A queue in this partition; [`Subject::save`] writes it back.
pub(super) struct Subject<'s, 'c, 't> {
    pub(super) ctx: &'s mut Context<'c, 't>,
    pub(super) key: (TenantId, String),
    pub(super) queue: Queue,
    /// Whether there is anything to write back: a lease that finds nothing costs no append.
    pub(super) changed: bool,
    before: (u64, ByState, Totals),
    /// By how much each kind differs.
    kinds: BTreeMap<String, Kind>,
}

impl<'s, 'c, 't> Subject<'s, 'c, 't> {
    /// The queue, if this partition has heard of it.
    pub(super) fn open(
        ctx: &'s mut Context<'c, 't>,
        key: (TenantId, String),
    ) -> Result<Option<Self>, StateError> {
        let queue = ctx.tx.get::<Queues>(&key)?;
        Ok(queue.map(|queue| Self::of(ctx, key, queue)))
    }

    /// The queue, by its number.
    pub(super) fn by_id(ctx: &'s mut Context<'c, 't>, id: u32) -> Result<Option<Self>, StateError> {
        match ctx.tx.get::<QueueNames>(&id)? {
            Some(QueueName { tenant, name }) => Self::open(ctx, (tenant, name)),
            None => Ok(None),
        }
    }

    /// The queue; a new one if there is none.
    pub(super) fn open_or_create(
        ctx: &'s mut Context<'c, 't>,
        key: (TenantId, String),
        partition: u16,
        settings: &Settings,
    ) -> Result<Self, StateError> {
        if let Some(queue) = ctx.tx.get::<Queues>(&key)? {
            return Ok(Self::of(ctx, key, queue));
        }
        let mut counters = counters(ctx)?;
        let id = counters.queue;
        counters.queue += 1;
        ctx.tx.put::<JobCounters>(&(), &counters);
        let name = QueueName { tenant: key.0, name: key.1.clone() };
        ctx.tx.put::<QueueNames>(&id, &name);
        let queue = Queue {
            id,
            partition,
            settings: *settings,
            next_fence: 1,
            counts: ByState::default(),
            lanes: [Lane::default(); PRIORITY_MAX as usize + 1],
            first: [None; State::ALL.len()],
            over: 0,
            over_from: 0,
            timer: None,
            events: StreamHead::default(),
            totals: Totals::default(),
            leased_at: None,
        };
        let mut subject = Self::of(ctx, key, queue);
        subject.changed = true;
        Ok(subject)
    }

    fn of(ctx: &'s mut Context<'c, 't>, key: (TenantId, String), queue: Queue) -> Self {
        let before = (queue.leasable(), queue.counts, queue.totals);
        Self { ctx, key, queue, changed: false, before, kinds: BTreeMap::new() }
    }

    /// Writes it back; whoever watches the queue is told if there is more or less to lease, or if jobs
    /// came, went or changed their states.
    pub(super) fn save(mut self) -> Result<&'s mut Context<'c, 't>, StateError> {
        for (kind, difference) in std::mem::take(&mut self.kinds) {
            self.change_kind(kind, &difference)?;
        }
        if !self.changed {
            return Ok(self.ctx);
        }
        if let Some(at) = self.next_timer()
            && self.queue.timer.is_none_or(|timer| at < timer)
        {
            self.rearm(Some(at));
        }
        self.ctx.tx.put::<Queues>(&self.key, &self.queue);
        if (self.queue.leasable(), self.queue.counts, self.queue.totals) != self.before {
            self.ctx.touch(self.queue.entity());
        }
        Ok(self.ctx)
    }
}

impl Subject<'_, '_, '_> {
    /// Keeps these settings, if they are later than those that are known.
    pub(super) fn learn(&mut self, settings: &Settings) {
        if settings.version > self.queue.settings.version {
            self.queue.settings = *settings;
            self.changed = true;
        }
    }

    fn change_kind(&mut self, name: String, difference: &Kind) -> Result<(), StateError> {
        if *difference == Kind::default() {
            return Ok(());
        }
        let key = (self.queue.id, name);
        let mut kind = self.ctx.tx.get::<JobKinds>(&key)?.unwrap_or_default();
        kind.join(difference);
        if kind.counts == ByState::default() {
            self.ctx.tx.delete::<JobKinds>(&key);
        } else {
            self.ctx.tx.put::<JobKinds>(&key, &kind);
        }
        Ok(())
    }

    /// By how much the kind of `job` differs, so far.
    pub(super) fn kind(&mut self, job: &Job) -> &mut Kind {
        if !self.kinds.contains_key(&job.kind) {
            self.kinds.insert(job.kind.clone(), Kind::default());
        }
        self.kinds.get_mut(&job.kind).expect("it was put there if it was not")
    }

    /// Counts something that happened to `job`, of its queue and of its kind.
    pub(super) fn total(&mut self, job: &Job, total: fn(&mut Totals) -> &mut u64) {
        *total(&mut self.queue.totals) += 1;
        *total(&mut self.kind(job).totals) += 1;
    }

    /// Counts the end of a lease.
    pub(super) fn ran(&mut self, job: &Job) {
        let run_ms = self.ctx.now().0.saturating_sub(job.leased_at.0);
        self.kind(job).run_ms += run_ms;
    }

    pub(super) fn next(&self) -> Next {
        Next { leasable: self.queue.leasable(), due: self.queue.next_due() }
    }

    /// The number of a job that is taken in now.
    pub(super) fn new_number(&mut self) -> Result<u64, StateError> {
        let mut counters = counters(self.ctx)?;
        let number = self.ctx.fence(counters.job);
        counters.job += 1;
        self.ctx.tx.put::<JobCounters>(&(), &counters);
        Ok(number)
    }

    /// Puts a job into the index, and its row.
    pub(super) fn put_in(&mut self, number: u64, job: &mut Job, state: State, at: Time) {
        job.state = state;
        job.at = at;
        let index = state as usize;
        let there = self.queue.counts[index] > 0;
        self.queue.counts[index] += 1;
        let first = &mut self.queue.first[index];
        *first = Some(first.filter(|first| there && *first < at).unwrap_or(at));
        if state == State::Ready {
            let lane = &mut self.queue.lanes[usize::from(job.priority.min(PRIORITY_MAX))];
            let key = (at, number);
            lane.first = if lane.count > 0 { lane.first.min(key) } else { key };
            lane.count += 1;
        }
        self.count(job, 1);
        self.ctx.tx.put::<JobIndex>(&(self.queue.id, job.slot(), at.0, number), &());
        self.ctx.tx.put::<Jobs>(&number, job);
    }

    /// Takes a job out of the index; its row stays as it is.
    pub(super) fn take_out(&mut self, number: u64, job: &Job) {
        let index = job.state as usize;
        let count = self.queue.counts[index].checked_sub(1);
        self.queue.counts[index] = count.expect("I9: a job is counted where it is");
        if self.queue.counts[index] == 0 {
            self.queue.first[index] = None;
        }
        if job.state == State::Ready {
            let lane = &mut self.queue.lanes[usize::from(job.priority.min(PRIORITY_MAX))];
            lane.count = lane.count.checked_sub(1).expect("I9: a job is counted in its lane");
        }
        self.count(job, 1_u64.wrapping_neg());
        self.ctx.tx.delete::<JobIndex>(&(self.queue.id, job.slot(), job.at.0, number));
    }

    /// Moves a job to another state, or to another time in its own, and writes its row.
    pub(super) fn shift(&mut self, number: u64, job: &mut Job, state: State, at: Time) {
        self.take_out(number, job);
        self.put_in(number, job, state, at);
    }

    /// Deletes all rows of a job that is not in the index any more.
    pub(super) fn delete(&mut self, number: u64, job: &Job) {
        self.ctx.tx.delete::<Jobs>(&number);
        self.ctx.tx.delete::<JobBodies>(&number);
        for kind in NoteKind::ALL {
            if job.notes & kind.bit() != 0 {
                self.ctx.tx.delete::<JobNotes>(&(number, kind as u8));
            }
        }
    }

    fn count(&mut self, job: &Job, difference: u64) {
        self.changed = true;
        let count = &mut self.kind(job).counts[job.state as usize];
        *count = count.wrapping_add(difference);
    }

    /// Says something about a job, whose row is yet to be written.
    pub(super) fn note(&mut self, number: u64, job: &mut Job, kind: NoteKind, text: String) {
        job.notes |= kind.bit();
        let note = Note { at: self.ctx.now(), text };
        self.ctx.tx.put::<JobNotes>(&(number, kind as u8), &note);
    }

    pub(super) fn emit(&mut self, event: &QueueEvent) {
        self.changed = true;
        let data = postcard::to_stdvec(event).expect("an event is plain data: it encodes");
        let entity = self.queue.entity();
        self.ctx.emit(entity, &mut self.queue.events, data);
    }

    /// From when on a job of a state is over its time: now, or what its retention says.
    pub(super) fn due_until(&self, state: State) -> Time {
        self.ctx.now().minus_ms(self.kept_ms(state))
    }

    fn kept_ms(&self, state: State) -> u64 {
        match state {
            State::Done | State::Cancelled => self.queue.settings.retention_ms,
            State::Dead => self.queue.settings.dead_retention_ms,
            _ => 0,
        }
    }

    /// When something is due next, at the earliest.
    fn next_timer(&self) -> Option<Time> {
        let due = |state: State| {
            let first = self.queue.first[state as usize]?;
            Some(first.plus_ms(self.kept_ms(state)))
        };
        let jobs = TIMED.into_iter().chain(KEPT).filter_map(due);
        let over = (self.queue.over > 0).then(|| self.ctx.now());
        let events = &self.queue.events;
        let event = (!events.is_empty()).then(|| events.first_at.plus_ms(EVENT_RETENTION_MS));
        jobs.chain(over).chain(event).min()
    }

    /// Has the timer set for what is due next.
    pub(super) fn rearm_for_next(&mut self) {
        self.rearm(self.next_timer());
    }

    fn rearm(&mut self, at: Option<Time>) {
        self.changed = true;
        let entity = u64::from(self.queue.id);
        if let Some(old) = self.queue.timer.take() {
            self.ctx.clear_timer(old, super::DOMAIN, entity);
        }
        if let Some(at) = at {
            self.ctx.set_timer(at, super::DOMAIN, entity);
            self.queue.timer = Some(at);
        }
    }

    /// Where the lane of `priority` begins in the index.
    pub(super) fn lane_start(&self, priority: u8) -> (u32, u8, u64, u64) {
        let (at, number) = self.queue.lanes[usize::from(priority)].first;
        (self.queue.id, lane_slot(priority), at.0, number)
    }
}

/// The states in which a job waits for a time, in the order in which that is looked at.
pub(super) const TIMED: [State; 3] = [State::Leased, State::Scheduled, State::Retry];
/// The states in which it is kept for a time.
pub(super) const KEPT: [State; 3] = [State::Done, State::Cancelled, State::Dead];

fn counters(ctx: &Context<'_, '_>) -> Result<Counters, StateError> {
    let counters = ctx.tx.get::<JobCounters>(&())?;
    Ok(counters.unwrap_or(Counters { queue: 1, job: 1 }))
}
