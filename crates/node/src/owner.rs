//! One partition on this node: carries messages into the engine and its outputs out of it.

use crate::{
    Clock,
    appends::Appends,
    call::{NodeError, SessionToken},
    flush::Flusher,
    following::{self, Forward},
    heavy::Heavy,
    host::Couriers,
    jobs::ReadyMap,
    lateness::{Lateness, View},
    live::{FollowTicket, Live},
    meta::{Decisive, MetaCell, MetaKeeper},
    stats::Gauges,
    ticket::{CommandTicket, ReadTicket},
};
use evenkeel_domains::{Domains, Found, Query, chat, is_view, jobs};
use evenkeel_engine::{
    Answer, Delivered, Delivery, Entity, Failure, Mark, Outcome, Output, Partition, Request, Role,
    Stop, TenantId, Time,
};
use evenkeel_log::{Hash, Log, Offset, PartitionId, Record, Tail};
use evenkeel_state::StateError;
use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};
use tokio::sync::{mpsc, oneshot, watch};

/// While something waits for the log or the store, it is looked at this often.
const TICK_MS: u64 = 20;
/// After the log has refused a record, nothing is decided for so long: a full disk is asked again
/// and again, but not all the time.
const REFUSED_REST_MS: u64 = 50;
/// The memtables of the node take all the memory that they may.
const BEHIND: &str = "the state is not flushed as fast as it changes, and its memory is used up";
/// Bytes that are read from the log at once when catching up.
const CATCH_UP_BYTES: usize = 4 << 20;

/// What an owner is told.
pub(crate) enum Message {
    Command(Request<Domains, CommandTicket>),
    /// Answer from what is committed, in its turn.
    Read(ReadTicket),
    /// Answer so once the log has said that this partition is still led here.
    ReadConfirmed(ReadTicket),
    Watch {
        entity: Entity,
        reply: oneshot::Sender<watch::Receiver<()>>,
    },
    /// Follow a conversation.
    Follow(FollowTicket),
    /// Some who followed these conversations are gone.
    Unfollow {
        conversations: Vec<u64>,
    },
    /// Tell those who follow a conversation that somebody types, or has stopped.
    Typing {
        conversation: u64,
        user: Arc<str>,
        is_so: bool,
    },
    /// Hash the committed state: as long as reading all of it takes.
    Hash {
        reply: oneshot::Sender<Result<(Offset, Hash), NodeError>>,
    },
    /// Say which kinds of jobs there are.
    Kinds {
        max: usize,
        reply: oneshot::Sender<Vec<(TenantId, String, String, jobs::Kind)>>,
    },
    /// Work of another partition, of the same node.
    Deliver(Delivery),
    /// Another partition has done this one's work, as far as this.
    Acknowledge {
        by: PartitionId,
        through: Mark,
    },
    /// Flush everything, and say when that is done.
    Flush {
        done: oneshot::Sender<()>,
    },
    /// Finish what waits, flush, and end.
    Stop {
        done: oneshot::Sender<()>,
    },
}

/// What is called with each view that has changed, and how far its partition's log is then, once that is committed
/// and before anybody is answered. Set once, or never.
pub(crate) type OnChange = Arc<OnceLock<Box<dyn Fn(Entity, Offset) + Send + Sync>>>;

/// What all owners of a node share.
pub(crate) struct Shared<L> {
    pub(crate) log: Arc<L>,
    pub(crate) clock: Clock,
    pub(crate) meta: MetaCell,
    /// What is told how much there is to lease.
    pub(crate) ready: ReadyMap,
    pub(crate) couriers: Couriers,
    pub(crate) on_change: OnChange,
    pub(crate) forward: Forward,
}

pub(crate) struct Owner<L> {
    pub(crate) partition: Partition<Domains, CommandTicket, ReadTicket>,
    pub(crate) gauges: Arc<Gauges>,
    log: Arc<L>,
    pub(crate) clock: Clock,
    flusher: Flusher,
    /// Of the owner of `meta`: what publishes its copy.
    meta: Option<MetaKeeper>,
    ready: ReadyMap,
    /// Whether that was told all there is since this node leads.
    ready_told: bool,
    /// What decisions need of that.
    decisive: Decisive,
    couriers: Couriers,
    pub(crate) on_change: OnChange,
    pub(crate) forward: Forward,
    appends: Appends,
    pub(crate) watchers: HashMap<Entity, watch::Sender<()>>,
    pub(crate) watchers_swept_at: usize,
    pub(crate) live: Live,
    /// Of each view.
    pub(crate) lateness: [Lateness; View::ALL.len()],
    confirmed: Vec<ReadTicket>,
    flush_waiters: Vec<oneshot::Sender<()>>,
    /// Whom to tell that it has ended: somebody once it is to.
    pub(crate) stopping: Vec<oneshot::Sender<()>>,
    ended: bool,
    touched: bool,
    /// A query could not read the store, or a copy of `meta` could not be made.
    pub(crate) read_failed: bool,
    /// Until then nothing is decided: see [`REFUSED_REST_MS`].
    rest_until: Time,
    /// Leadership was lost, and is to be taken again.
    deposed: bool,
    pub(crate) timers_counted_at: Time,
    heavy: Heavy,
}

impl<L: Log> Owner<L> {
    pub(crate) fn new(
        partition: Partition<Domains, CommandTicket, ReadTicket>,
        shared: &Shared<L>,
        flusher: Flusher,
    ) -> Self {
        let Shared { log, clock, meta, ready, couriers, on_change, forward } = shared;
        let is_meta = partition.id() == PartitionId::META;
        Self {
            decisive: meta.decisive(),
            couriers: couriers.clone(),
            on_change: Arc::clone(on_change),
            forward: forward.clone(),
            gauges: Arc::new(Gauges::of_one_of(partition.app().partitions)),
            partition,
            log: Arc::clone(log),
            clock: *clock,
            flusher,
            meta: is_meta.then(|| MetaKeeper::new(meta.clone())),
            ready: ready.clone(),
            ready_told: false,
            appends: Appends::default(),
            watchers: HashMap::new(),
            watchers_swept_at: following::WATCHERS_SWEPT_AT,
            live: Live::default(),
            lateness: Default::default(),
            confirmed: Vec::new(),
            flush_waiters: Vec::new(),
            stopping: Vec::new(),
            ended: false,
            touched: true,
            read_failed: false,
            rest_until: Time(0),
            deposed: false,
            timers_counted_at: Time(0),
            heavy: Heavy::default(),
        }
    }

    /// Something happened: the next [`Self::step`] looks at it.
    pub(crate) fn touch(&mut self) {
        self.touched = true;
    }

    /// Takes in what appends and flushes have come to, if any has.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Option<()> {
        while let Poll::Ready((id, outcome)) = self.appends.poll(context) {
            if matches!(outcome, Outcome::Refused(_)) {
                self.rest_until = self.clock.now().plus_ms(REFUSED_REST_MS);
            }
            self.partition.appended(id, outcome);
            self.publish_offset();
            self.touch();
        }
        if let Poll::Ready(result) = self.flusher.poll(context) {
            self.flusher.settle(&mut self.partition, result);
            self.touch();
        }
        self.touched.then_some(())
    }

    /// Decides what can be decided and carries it out, if anything happened. Answers whether the
    /// partition is to be taken over again.
    pub(crate) fn step(&mut self, now: Time) -> bool {
        if !std::mem::take(&mut self.touched) {
            return false;
        }
        let resting = now < self.rest_until;
        if self.partition.take_store_failure() | std::mem::take(&mut self.read_failed) {
            self.flusher.demand_reopening();
        }
        if let Some(meta) = self.decisive.newer() {
            self.partition.app_mut().meta = meta;
        }
        if !resting && !self.ended {
            self.flusher.consider(&mut self.partition);
            self.partition.poll(now);
        }
        self.carry_out();
        self.flusher.check_asked(&self.partition);
        self.publish(now);
        self.ended |= self.may_end();
        self.deposed && !resting && !self.ended
    }

    /// Whether it leads, or is known not to be served for now.
    pub(crate) fn is_settled(&self) -> bool {
        self.partition.role() == Role::Owner || self.deposed || self.gauges.quarantined().is_some()
    }

    /// Whether it was told to stop and has.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    pub(crate) fn accept(&mut self, message: Message) {
        self.touch();
        match message {
            Message::Command(request) if self.ended => refuse(request, "the node is stopping"),
            Message::Command(request) if self.flusher.is_behind() => refuse(request, BEHIND),
            Message::Command(request) => {
                self.heavy.count(request.tenant, &request.command);
                self.partition.submit(request);
            }
            Message::Read(ticket) => self.answer(ticket),
            Message::ReadConfirmed(ticket) => {
                if let Some(ticket) = self.partition.read(ticket) {
                    ticket.refuse(Failure::Overloaded);
                }
            }
            Message::Watch { entity, reply } => self.watch(entity, reply),
            Message::Follow(ticket) => self.follow_live(ticket),
            Message::Unfollow { conversations } => self.live.part(conversations),
            Message::Typing { conversation, user, is_so } => {
                self.live.typing(conversation, &user, is_so);
            }
            // It will come again, here or in the next life.
            Message::Deliver(_) if !self.stopping.is_empty() || self.flusher.is_behind() => {}
            Message::Deliver(delivery) => self.partition.deliver(delivery),
            Message::Acknowledge { by, through } => self.partition.acknowledged(by, through),
            Message::Hash { reply } => {
                let hash = self.partition.state_hash();
                let hash = hash.map(|hash| (self.partition.tail().offset, hash));
                let _ = reply
                    .send(hash.map_err(|error| Failure::Unavailable(error.to_string()).into()));
            }
            Message::Kinds { max, reply } => {
                let kinds = jobs::all_kinds(&self.partition.view(), max);
                let _ = reply.send(kinds.unwrap_or_else(|error| {
                    self.not_ready(&error);
                    Vec::new()
                }));
            }
            Message::Flush { done } => {
                self.flusher.demand_all(&self.partition);
                self.flush_waiters.push(done);
            }
            Message::Stop { done } => {
                self.flusher.demand_rows(&self.partition);
                self.stopping.push(done);
            }
        }
    }

    /// Does what the engine wants done.
    fn carry_out(&mut self) {
        let outputs = self.partition.outputs();
        let published = self.publish_meta();
        self.tell_all_ready();
        // Before anybody is answered, or told that their work is done.
        for output in &outputs {
            if let Output::Changed(entity) = output {
                self.tell_views(*entity);
            }
        }
        self.publish_lateness();
        let decided = outputs.iter().filter(|output| is_decision(output)).count();
        if decided > 0 {
            self.gauges.count_batch(decided);
        }
        for output in outputs {
            match output {
                Output::Append { id, attempt, record } => {
                    if let Some(keeper) = &mut self.meta {
                        keeper.submitted(&record);
                    }
                    self.appends.submit(Arc::clone(&self.log), id, attempt, record);
                }
                // Its ticket's end says that nobody knows.
                Output::Answer(..) if !published => {}
                Output::Answer(ticket, answer) => ticket.send(answer),
                Output::Read(ticket) => self.confirmed.push(ticket),
                Output::Changed(entity) if is_view(entity) => {}
                Output::Changed(entity) => self.notify(entity),
                Output::Deliver { to, delivery } => {
                    self.couriers.carry(to, Message::Deliver(delivery));
                }
                Output::Acknowledge { to, through } => {
                    let by = self.partition.id();
                    self.couriers.carry(to, Message::Acknowledge { by, through });
                }
                Output::Flush(frozen) => self.flusher.start(frozen),
                Output::SteppedDown(why) => {
                    tracing::warn!(partition = %self.partition.id(), why, "stepped down");
                    self.deposed = true;
                    self.ready_told = false;
                    self.give_up_ready();
                    self.live.give_up();
                }
            }
        }
        self.partition.lost_reads().into_iter().for_each(ReadTicket::lost);
    }

    /// Whoever is answered about a change of `meta` must find it in force; so as long as it cannot
    /// be read, nobody is.
    fn publish_meta(&mut self) -> bool {
        let tail = self.partition.tail();
        let as_of = self.token(tail.offset);
        let Some(keeper) = &mut self.meta else { return true };
        // What was read before damage is of another time: a key that was revoked may be in it.
        if self.gauges.quarantined().is_some() {
            return true;
        }
        match keeper.publish(&self.partition.view(), tail, as_of) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%error, "meta cannot be read");
                self.read_failed = true;
                false
            }
        }
    }

    fn token(&self, offset: Offset) -> SessionToken {
        let (partition, incarnation) = (self.partition.id(), self.partition.incarnation());
        SessionToken { partition, incarnation, offset }
    }

    /// Linearizable reads that may be answered now, or later.
    pub(crate) fn confirmed(&mut self) -> Vec<ReadTicket> {
        std::mem::take(&mut self.confirmed)
    }

    /// Answers from what is committed.
    pub(crate) fn answer(&mut self, ticket: ReadTicket) {
        if self.partition.role() != Role::Owner {
            return ticket.lost();
        }
        let ReadTicket { tenant, query, reply, .. } = ticket;
        // Who has gone meanwhile needs no answer.
        if !reply.is_closed() {
            let _ = reply.send(self.find(tenant, &query));
        }
    }

    /// A read that panics is an internal error, and nobody else's trouble.
    pub(crate) fn find(
        &mut self,
        tenant: TenantId,
        query: &Query,
    ) -> Result<(Found, Delivered), NodeError> {
        self.partition.advance(self.clock.now());
        let delivered = self.partition.delivered_now();
        let incarnation = self.partition.incarnation();
        let view = self.partition.view();
        let found = catch_unwind(AssertUnwindSafe(|| {
            evenkeel_domains::query(&view, delivered.at, incarnation, tenant, query)
        }));
        match found {
            Ok(Ok(found)) => Ok((found, delivered)),
            Ok(Err(Stop::Refused(refusal))) => {
                Err(NodeError::Refused { refusal, as_of: self.token(delivered.offset) })
            }
            // A row that no try will read: to open the store again helps nobody.
            Ok(Err(Stop::State(error))) if !error.is_store_failure() => {
                Err(Failure::Internal.into())
            }
            Ok(Err(Stop::State(error))) => {
                self.read_failed = true;
                Err(Failure::Unavailable(error.to_string()).into())
            }
            Err(_) => Err(Failure::Internal.into()),
        }
    }

    /// Whoever begins to lead says how much there is to lease of every queue; from then on, of those
    /// that change.
    fn tell_all_ready(&mut self) {
        if self.ready_told || self.partition.role() != Role::Owner {
            return;
        }
        match jobs::all_readiness(&self.partition.view()) {
            Ok(queues) => {
                self.ready_told = true;
                let (id, now) = (self.partition.id(), self.clock.now());
                queues.into_iter().for_each(|queue| self.ready.begin(id, queue, now));
                self.lateness.iter_mut().for_each(|lateness| lateness.begin(now));
                View::ALL.into_iter().for_each(|view| self.untold_changed(view));
                self.publish_lateness();
            }
            Err(error) => self.not_ready(&error),
        }
    }

    /// Nothing is leased here any more.
    pub(crate) fn give_up_ready(&self) {
        self.ready.forget(self.partition.id());
    }

    fn tell_ready(&mut self, entity: Entity) {
        match jobs::readiness(&self.partition.view(), entity) {
            Ok(Some(queue)) => self.ready.learn(self.partition.id(), queue, self.clock.now()),
            Ok(None) => {}
            Err(error) => self.not_ready(&error),
        }
    }

    /// All of it is told again once the store can be read.
    fn not_ready(&mut self, error: &StateError) {
        tracing::error!(partition = %self.partition.id(), %error, "queues cannot be read");
        self.ready_told = false;
        self.read_failed |= error.is_store_failure();
    }

    fn notify(&mut self, entity: Entity) {
        match entity.domain {
            jobs::DOMAIN => self.tell_ready(entity),
            _ if following::view_told_by(entity).is_some() => {}
            chat::DOMAIN => self.send_live(entity.id),
            _ => {}
        }
        if let Some(sender) = self.watchers.get(&entity)
            && sender.send(()).is_err()
        {
            self.watchers.remove(&entity);
        }
    }

    /// Applies `records` as they come; stops at one that cannot be applied.
    pub(crate) async fn follow(mut self, mut records: mpsc::Receiver<Record>) -> Self {
        while let Some(record) = records.recv().await {
            if self.partition.follow(&record).is_err() {
                break;
            }
            self.flusher.catch_up(&mut self.partition).await;
        }
        self
    }

    /// Of the owner of `meta`: what decisions need of it, before anybody decides.
    pub(crate) async fn read_meta_ahead(&mut self) {
        let Some(keeper) = &self.meta else { return };
        let cell = keeper.cell();
        // Why it cannot be read to the end is said when it is to be led.
        let _ = self.catch_up().await;
        match evenkeel_domains::meta::load(&self.partition.view()) {
            Ok(meta) => cell.set_decisive(&meta),
            Err(error) => tracing::error!(%error, "meta cannot be read"),
        }
    }

    /// Follows the log to its end, then announces; the log decides whether that counts.
    pub(crate) async fn take_over(&mut self) {
        self.deposed = false;
        self.touch();
        if let Err(why) = self.catch_up().await {
            tracing::error!(partition = %self.partition.id(), why, "not served");
            return self.gauges.quarantine(why);
        }
        self.publish_offset();
        self.partition.announce(self.clock.now());
        self.carry_out();
    }

    async fn catch_up(&mut self) -> Result<(), String> {
        loop {
            let from = self.partition.tail().offset.next();
            let id = self.partition.id();
            let records = self.log.read(id, from, CATCH_UP_BYTES).await;
            let records: Vec<Record> = records.map_err(|error| error.to_string())?;
            if records.is_empty() {
                let state = self.partition.tail();
                return check_tail(&*self.log, id, state).await;
            }
            for record in records {
                self.partition.follow(&record).map_err(|error| error.to_string())?;
            }
            self.flusher.catch_up(&mut self.partition).await;
            tokio::task::yield_now().await;
        }
    }

    /// Wherever the tail moves: all answers come after that.
    fn publish_offset(&self) {
        self.gauges.set_offset(self.partition.tail().offset);
    }

    fn publish(&mut self, now: Time) {
        self.live.sweep(now);
        self.gauges.set(
            self.partition.role(),
            self.partition.waiting(),
            self.partition.memtable_bytes(),
        );
        self.count_late_timers(now);
        self.publish_outbox();
        if let Some(heaviest) = self.heavy.turn(now) {
            self.gauges.set_heaviest(heaviest);
        }
        if self.flusher.is_idle(&self.partition) {
            for done in self.flush_waiters.drain(..) {
                let _ = done.send(());
            }
        }
    }

    fn publish_outbox(&mut self) {
        let stats = self.partition.outbox_stats();
        self.publish_lateness();
        let dead_before = self.gauges.set_outbox(&stats);
        // Not each of many.
        if stats.dead.checked_ilog2() > dead_before.checked_ilog2() {
            let (partition, dead) = (self.partition.id(), stats.dead);
            tracing::error!(%partition, dead, "deliveries could not be done");
        }
    }

    fn may_end(&self) -> bool {
        !self.stopping.is_empty()
            && !self.partition.is_in_flight()
            && self.partition.waiting() == 0
            && self.flusher.is_idle(&self.partition)
    }

    /// When [`Self::touch`] is due even if nothing else happens.
    pub(crate) fn wake_after_ms(&self, now: Time) -> u64 {
        if now < self.rest_until {
            return self.rest_until.0 - now.0;
        }
        let busy = self.partition.is_in_flight() || self.partition.waiting() > 0;
        let tick = if busy || self.deposed || self.read_failed { TICK_MS } else { u64::MAX };
        let due = [self.partition.next_wake(), self.live.sweep_at()].into_iter().flatten().min();
        due.map_or(tick, |due| due.0.saturating_sub(now.0).min(tick))
    }
}

/// The log must end where the state does, or something acknowledged is missing from it.
async fn check_tail<L: Log>(log: &L, id: PartitionId, state: Tail) -> Result<(), String> {
    let log = log.tail(id).await.map_err(|error| error.to_string())?;
    if log == state && log.offset > Offset(0) {
        return Ok(());
    }
    Err(format!(
        "the log ends at offset {} ({}), the state rests on offset {} ({})",
        log.offset, log.hash, state.offset, state.hash
    ))
}

/// Whether it answers a command that was decided: yes, no, or not durable in time.
fn is_decision(output: &Output<Domains, CommandTicket, ReadTicket>) -> bool {
    use Failure::{DeadlineExceeded, Overloaded, Unavailable};
    let Output::Answer(_, answer) = output else { return false };
    !matches!(answer.outcome, Err(DeadlineExceeded | Overloaded | Unavailable(_)))
}

/// Nothing of it is decided.
fn refuse(request: Request<Domains, CommandTicket>, why: &str) {
    let outcome = Err(Failure::Unavailable(why.into()));
    request.ticket.send(Answer { outcome, delivered: Delivered::default() });
}
