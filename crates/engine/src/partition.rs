//! One partition: who leads it, what waits, and when it decides. What becomes of its records is in
//! `in_flight`.

use crate::{
    Answer, App, Barrier, Delivered, Delivery, Entity, Failure, Mailbox, Mark, Options, Refused,
    Request, Time,
    idempotency::Totals,
    in_flight::{InFlight, Open, Waiting},
    inbox::Arrivals,
    outbox::Lanes,
};
use evenkeel_log::{Epoch, Hash, Header, Incarnation, Kind, Offset, PartitionId, Record, Tail};
use evenkeel_state::{ApplyError, Frozen, Layer, State, StateError, View};
use std::collections::VecDeque;

/// While nothing can be decided, waiting requests are looked through for passed deadlines this
/// often, so that a stalled log does not make every poll scan the mailbox.
const SWEEP_EVERY_MS: u64 = 10;

/// What a partition is doing on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Applies what others append.
    Follower,
    /// Has submitted its `Announce` and may not serve yet.
    Candidate,
    /// The owner, as far as it knows; the log decides at each append.
    Owner,
}

/// What the engine wants done.
#[derive(Debug)]
pub enum Output<A: App, T, R> {
    /// Append this and report the outcome under `id`. `attempt` counts resubmissions: wait a
    /// little before those.
    Append {
        /// Names this append in [`Partition::appended`].
        id: u64,
        /// How often these bytes were submitted before.
        attempt: u32,
        /// The record.
        record: Record,
    },
    /// Tell a caller.
    Answer(T, Answer<A>),
    /// A read may be answered from [`Partition::view`], now, as of [`Partition::delivered_now`].
    Read(R),
    /// An entity's stream has grown.
    Changed(Entity),
    /// Carry this to the owner of `to`, for [`Partition::deliver`]. If it is lost it is asked for again.
    Deliver {
        /// Where it is to be done.
        to: PartitionId,
        /// The work.
        delivery: Delivery,
    },
    /// Tell the owner of `to` in [`Partition::acknowledged`] that its work is done as far as `through`.
    Acknowledge {
        /// Whose work it was.
        to: PartitionId,
        /// The last that was done.
        through: Mark,
    },
    /// Write this to the store, then call [`Partition::flushed`].
    Flush(Frozen),
    /// Another owner was faster: follow the log again from [`Partition::tail`].
    SteppedDown(String),
}

/// One partition on one node. `T` is where an answer goes, `R` names a read.
pub struct Partition<A: App, T, R> {
    pub(crate) id: PartitionId,
    pub(crate) app: A,
    pub(crate) options: Options,
    pub(crate) state: State,
    pub(crate) role: Role,
    pub(crate) epoch: Epoch,
    pub(crate) mailbox: Mailbox<Request<A, T>>,
    pub(crate) in_flight: VecDeque<InFlight<A, T, R>>,
    /// What comes behind those in flight.
    pub(crate) open: Option<Open>,
    pub(crate) reads: Vec<R>,
    /// Never later than the earliest timer; `None` if there is none.
    pub(crate) next_timer: Option<Time>,
    /// Timers wait until then, since the state could not be read.
    pub(crate) timers_resume: Time,
    pub(crate) next_id: u64,
    pub(crate) next_sweep: Time,
    pub(crate) time: Time,
    pub(crate) checkpoint_wanted: bool,
    /// Somebody was answered in the last record before it was durable.
    pub(crate) buffered: bool,
    /// The log took nothing of what was last in flight. Until it takes a record again nobody is
    /// answered before that, or a log that refuses for long would take back one answer after the other.
    pub(crate) refusing: bool,
    pub(crate) store_failed: bool,
    pub(crate) totals: Totals,
    pub(crate) lanes: Lanes,
    pub(crate) arrivals: Arrivals,
    /// Dead deliveries, as committed.
    pub(crate) dead: u64,
    pub(crate) poisoned: VecDeque<Hash>,
    pub(crate) outputs: Vec<Output<A, T, R>>,
}

impl<A: App, T, R> Partition<A, T, R> {
    /// A follower with `state`; feed it the log from [`Self::tail`] on.
    pub fn new(id: PartitionId, app: A, options: Options, state: State) -> Self {
        let time = Time(state.applied().time_ms);
        Self {
            id,
            app,
            mailbox: Mailbox::new(options.mailbox_max),
            options,
            role: Role::Follower,
            epoch: state.applied().epoch,
            state,
            in_flight: VecDeque::new(),
            open: None,
            reads: Vec::new(),
            next_timer: None,
            timers_resume: time,
            next_id: 0,
            next_sweep: time,
            time,
            checkpoint_wanted: false,
            buffered: false,
            refusing: false,
            store_failed: false,
            totals: Totals::default(),
            lanes: Lanes::default(),
            arrivals: Arrivals::default(),
            dead: 0,
            poisoned: VecDeque::new(),
            outputs: Vec::new(),
        }
    }

    /// The record that brings a partition into being.
    #[must_use]
    pub fn genesis(id: PartitionId, incarnation: Incarnation, now: Time) -> Record {
        let header = Header {
            kind: Kind::Genesis,
            partition: id,
            incarnation,
            epoch: Epoch(0),
            offset: Offset(1),
            time_ms: now.0,
            writer: 0,
            prev: Hash::ZERO,
        };
        Record::new(header, &[])
    }

    /// Which partition this is.
    #[must_use]
    pub fn id(&self) -> PartitionId {
        self.id
    }

    /// What it decides with.
    #[must_use]
    pub fn app(&self) -> &A {
        &self.app
    }

    /// What decides: for what it is to know of the world outside from now on.
    pub fn app_mut(&mut self) -> &mut A {
        &mut self.app
    }

    /// What it is doing.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The last record that its state rests on.
    #[must_use]
    pub fn tail(&self) -> Tail {
        self.state.applied().tail
    }

    /// The life of the log that its state rests on.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.state.applied().incarnation
    }

    /// The last time it knows of.
    #[must_use]
    pub fn time(&self) -> Time {
        self.time
    }

    /// How many requests wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.mailbox.len()
    }

    /// Whether something was decided that is not resolved.
    #[must_use]
    pub fn is_in_flight(&self) -> bool {
        !self.in_flight.is_empty() || self.open.is_some()
    }

    /// Unflushed state, in bytes.
    #[must_use]
    pub fn memtable_bytes(&self) -> usize {
        self.state.memtable_bytes()
    }

    /// The committed state.
    pub fn view(&self) -> View<'_> {
        self.state.view()
    }

    /// The hash of the committed state; as costly as reading all of it.
    pub fn state_hash(&self) -> Result<Hash, StateError> {
        self.state.hash()
    }

    /// When it must be polled even if nothing else happens.
    #[must_use]
    pub fn next_wake(&self) -> Option<Time> {
        let timer = self.next_timer.map(|due| due.max(self.timers_resume));
        let due = timer.into_iter().chain(self.seal_due()).chain(self.lanes.wake).min();
        due.filter(|_| self.role == Role::Owner)
    }

    /// What there is to do, in order.
    pub fn outputs(&mut self) -> Vec<Output<A, T, R>> {
        std::mem::take(&mut self.outputs)
    }

    /// Applies a record that the log holds. Followers only.
    pub fn follow(&mut self, record: &Record) -> Result<(), ApplyError> {
        assert!(self.role == Role::Follower, "an owner appends; it does not follow");
        self.state.apply(record)?;
        self.epoch = record.header().epoch;
        self.time = self.time.max(Time(record.header().time_ms));
        Ok(())
    }

    /// Tries to take over, from a state that has caught up with the log.
    pub fn announce(&mut self, now: Time) {
        assert!(self.role == Role::Follower, "only a follower takes over");
        assert!(self.tail().offset > Offset(0), "a log without Genesis is never led");
        let now = self.advance_time(now);
        self.role = Role::Candidate;
        self.epoch = Epoch(self.epoch.0 + 1);
        self.submit_record(Kind::Announce, (now, now), Layer::default(), Waiting::default());
    }

    /// Offers a request. It is answered by an [`Output::Answer`], whatever happens.
    pub fn submit(&mut self, request: Request<A, T>) {
        if self.role != Role::Owner {
            return self.fail(request, Failure::Unavailable("this node does not lead it".into()));
        }
        if self.state.memtable_bytes() > self.options.memtable_bytes_max {
            let why = "the state cannot be flushed and its memory is used up";
            return self.fail(request, Failure::Unavailable(why.into()));
        }
        if self.lanes.is_overfull {
            return self.fail(request, Failure::Overloaded);
        }
        let (tenant, priority) = (request.tenant, request.priority);
        if let Err(Refused(request)) = self.mailbox.push(tenant, priority, request) {
            self.fail(request, Failure::Overloaded);
        }
    }

    /// Offers a linearizable read. [`Output::Read`] says when it may be answered; a read that is
    /// dropped because leadership was lost is named by [`Self::lost_reads`]. Answers the read if
    /// too many wait already: then its caller is told that there is no room.
    pub fn read(&mut self, read: R) -> Option<R> {
        let fenced =
            self.options.barrier == Barrier::Free || self.options.switches.unfenced_refusal;
        if self.role == Role::Owner && fenced {
            self.outputs.push(Output::Read(read));
        } else if self.waiting_reads() >= self.options.reads_max {
            return Some(read);
        } else {
            self.reads.push(read);
        }
        None
    }

    /// Reads that wait for a barrier: for the next one, or for one that is on its way.
    fn waiting_reads(&self) -> usize {
        self.reads.len() + self.in_flight.iter().map(|entry| entry.reads.len()).sum::<usize>()
    }

    /// Reads that cannot be answered because this node does not lead.
    pub fn lost_reads(&mut self) -> Vec<R> {
        if self.role == Role::Owner { Vec::new() } else { std::mem::take(&mut self.reads) }
    }

    /// Has the next record be a checkpoint, after which the memtable is frozen and flushed.
    pub fn request_checkpoint(&mut self) {
        self.checkpoint_wanted = true;
    }

    /// Sets the memtable aside to be flushed, as a follower that reads a long log must. An owner
    /// does so at checkpoints only.
    pub fn freeze(&mut self) -> Option<Frozen> {
        assert!(self.role == Role::Follower, "an owner freezes at checkpoints");
        self.state.freeze()
    }

    /// Whether the store could not be read since this was last asked.
    pub fn take_store_failure(&mut self) -> bool {
        std::mem::take(&mut self.store_failed)
    }

    /// The store holds what was frozen. Answers it, to be freed where nobody waits for that.
    pub fn flushed(&mut self) -> Result<Option<Frozen>, StateError> {
        self.state.flushed()
    }

    /// The store could not take what was frozen: `None` if there is nothing to try again.
    pub fn retry_flush(&mut self) -> Option<Frozen> {
        self.state.flush_failed();
        self.state.frozen().cloned()
    }

    /// Decides what can be decided at `now`.
    pub fn poll(&mut self, now: Time) {
        let now = self.advance_time(now);
        self.expire_answers(now);
        if self.role != Role::Owner {
            return;
        }
        while self.may_decide() && self.has_work(now) {
            self.decide_batch(now);
        }
        if self.lanes.wake.is_some_and(|due| due <= now) {
            self.drive_outbox(now);
        }
        if !self.mailbox.is_empty() && now >= self.next_sweep {
            self.sweep(now);
        }
    }

    /// The tail once everything in flight has landed.
    pub(crate) fn newest_tail(&self) -> Tail {
        self.in_flight.back().map_or(self.tail(), |entry| entry.record.tail())
    }

    /// Lets time pass without deciding anything, so that reads do not stop where the last decision
    /// was.
    pub fn advance(&mut self, now: Time) {
        self.advance_time(now);
    }

    /// What a read of the committed state is complete as of: now, or the moment before the oldest
    /// decision that is not durable.
    pub fn delivered_now(&self) -> Delivered {
        let in_flight = self.in_flight.front().map(|entry| entry.since);
        let undecided = in_flight.or(self.open.as_ref().map(|open| open.since));
        let at = undecided.unwrap_or(self.time);
        Delivered { offset: self.tail().offset, at, replayed: false }
    }

    pub(crate) fn fail(&mut self, request: Request<A, T>, failure: Failure<A::Refusal>) {
        let answer = Answer { outcome: Err(failure), delivered: self.delivered_now() };
        self.outputs.push(Output::Answer(request.ticket, answer));
    }

    fn advance_time(&mut self, now: Time) -> Time {
        self.time = self.time.max(now);
        self.time
    }

    fn may_decide(&self) -> bool {
        let Options { depth, depth_buffered, .. } = self.options;
        self.in_flight.len() < if self.buffered { depth_buffered } else { depth }
            && self.in_flight.iter().all(|entry| entry.attempt == 0)
    }

    fn has_work(&self, now: Time) -> bool {
        !self.mailbox.is_empty()
            || !self.reads.is_empty()
            || self.checkpoint_wanted
            || self.next_timer.is_some_and(|due| due.max(self.timers_resume) <= now)
            || self.seal_due().is_some_and(|due| due <= now)
            || !self.arrivals.is_empty()
            || self.lanes.must_trim(now)
    }

    /// When what is open becomes a record at the latest.
    fn seal_due(&self) -> Option<Time> {
        self.open.as_ref().map(|open| open.due)
    }

    /// Answers those whose deadline passed while they waited for a decision.
    fn sweep(&mut self, now: Time) {
        self.next_sweep = now.plus_ms(SWEEP_EVERY_MS);
        let late = self
            .mailbox
            .remove_if(|request| request.deadline.is_some_and(|deadline| deadline <= now));
        for request in late {
            self.fail(request, Failure::DeadlineExceeded);
        }
    }
}
