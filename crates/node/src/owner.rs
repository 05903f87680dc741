//! One partition on this node: carries messages into the engine and its outputs out of it.

use crate::{
    Clock,
    appends::Appends,
    call::NodeError,
    maintenance::Flusher,
    meta::MetaCell,
    stats::Gauges,
};
use evenkeel_domains::{Domains, Found, Query, meta};
use evenkeel_engine::{
    Answer, Delivered, Entity, Failure, Output, Partition, Request, Role, Stop, TenantId, Time,
};
use evenkeel_log::{Log, Offset, PartitionId, Record, Tail};
use std::{
    collections::HashMap,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::sync::{oneshot, watch};

/// While something waits for the log, deadlines are looked at this often.
const TICK_MS: u64 = 20;
/// Bytes that are read from the log at once when catching up.
const CATCH_UP_BYTES: usize = 4 << 20;

pub(crate) type CommandTicket = oneshot::Sender<Answer<Domains>>;

/// A read on its way.
pub(crate) struct ReadTicket {
    pub(crate) tenant: TenantId,
    pub(crate) query: Query,
    pub(crate) reply: oneshot::Sender<Result<(Found, Delivered), NodeError>>,
}

/// What an owner is told.
pub(crate) enum Message {
    Command(Request<Domains, CommandTicket>),
    Read { ticket: ReadTicket, linearizable: bool },
    Watch { entity: Entity, reply: oneshot::Sender<watch::Receiver<()>> },
    /// Flush everything, and say when that is done.
    Flush { done: oneshot::Sender<()> },
    /// Finish what waits, flush, and end.
    Stop { done: oneshot::Sender<()> },
}

pub(crate) struct Owner<L> {
    pub(crate) partition: Partition<Domains, CommandTicket, ReadTicket>,
    pub(crate) log: Arc<L>,
    pub(crate) clock: Clock,
    pub(crate) flusher: Flusher,
    pub(crate) gauges: Arc<Gauges>,
    /// Of the owner of `meta`: where its copy is published.
    pub(crate) meta: Option<MetaCell>,
    pub(crate) appends: Appends,
    pub(crate) watchers: HashMap<Entity, watch::Sender<()>>,
    pub(crate) flush_waiters: Vec<oneshot::Sender<()>>,
    pub(crate) stopping: Option<oneshot::Sender<()>>,
    pub(crate) ended: bool,
    pub(crate) touched: bool,
}

impl<L: Log> Owner<L> {
    /// Something happened: the next [`Self::step`] looks at it.
    pub(crate) fn touch(&mut self) {
        self.touched = true;
    }

    /// Takes in what appends and flushes have come to, if any has.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Option<()> {
        while let Poll::Ready((id, outcome)) = self.appends.poll(context) {
            self.partition.appended(id, outcome);
            self.touch();
        }
        if let Poll::Ready(result) = self.flusher.poll(context) {
            self.flusher.settle(&mut self.partition, result);
            self.touch();
        }
        self.touched.then_some(())
    }

    /// Decides what can be decided and carries it out, if anything happened.
    pub(crate) async fn step(&mut self, now: Time) {
        if !std::mem::take(&mut self.touched) {
            return;
        }
        self.flusher.consider(&mut self.partition);
        self.partition.poll(now);
        if self.carry_out() {
            self.take_over().await;
        }
        self.publish();
        if self.may_end()
            && let Some(done) = self.stopping.take()
        {
            self.ended = true;
            let _ = done.send(());
        }
    }

    /// Whether it leads, or is known not to be served.
    pub(crate) fn is_settled(&self) -> bool {
        self.partition.role() == Role::Owner || self.gauges.is_quarantined()
    }

    /// Whether it was told to stop and has.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    pub(crate) fn accept(&mut self, message: Message) {
        self.touch();
        match message {
            Message::Command(request) => self.partition.submit(request),
            Message::Read { ticket, linearizable } => {
                if linearizable {
                    self.partition.read(ticket);
                } else if self.partition.role() == Role::Owner {
                    self.answer_read(ticket);
                } else {
                    lost(ticket);
                }
            }
            Message::Watch { entity, reply } => {
                let sender = self.watchers.entry(entity).or_insert_with(|| watch::Sender::new(()));
                let _ = reply.send(sender.subscribe());
            }
            Message::Flush { done } => {
                self.flusher.demand(&mut self.partition);
                self.flush_waiters.push(done);
            }
            Message::Stop { done } => {
                self.flusher.demand(&mut self.partition);
                self.stopping = Some(done);
            }
        }
    }

    /// Does what the engine wants done; answers whether leadership was lost.
    fn carry_out(&mut self) -> bool {
        let mut lost_lead = false;
        let outputs = self.partition.outputs();
        self.publish_meta(&outputs);
        for output in outputs {
            match output {
                Output::Append { id, attempt, record } => {
                    self.appends.submit(Arc::clone(&self.log), id, attempt, record);
                }
                Output::Answer(ticket, answer) => {
                    // A caller that has gone away needs no answer.
                    let _ = ticket.send(answer);
                }
                Output::Read(ticket) => self.answer_read(ticket),
                Output::Changed(entity) => self.notify(entity),
                Output::Flush(frozen) => self.flusher.start(frozen),
                Output::SteppedDown(why) => {
                    tracing::warn!(partition = %self.partition.id(), why, "stepped down");
                    lost_lead = true;
                }
            }
        }
        self.partition.lost_reads().into_iter().for_each(lost);
        lost_lead
    }

    /// Whoever is answered about a change of `meta` must find it in force.
    fn publish_meta(&self, outputs: &[Output<Domains, CommandTicket, ReadTicket>]) {
        let Some(cell) = &self.meta else { return };
        let answered = outputs.iter().any(|output| matches!(output, Output::Answer(..)));
        if answered {
            match meta::load(&self.partition.view()) {
                Ok(meta) => cell.set(meta),
                Err(error) => tracing::error!(%error, "meta cannot be read"),
            }
        }
    }

    fn answer_read(&self, ticket: ReadTicket) {
        let delivered = self.partition.delivered_now();
        let found = evenkeel_domains::query(
            &self.partition.view(),
            delivered.at,
            self.partition.incarnation(),
            ticket.tenant,
            &ticket.query,
        );
        let result = match found {
            Ok(found) => Ok((found, delivered)),
            Err(Stop::Refused(refusal)) => Err(Failure::Refused(refusal).into()),
            Err(Stop::State(error)) => Err(Failure::Unavailable(error.to_string()).into()),
        };
        let _ = ticket.reply.send(result);
    }

    fn notify(&mut self, entity: Entity) {
        if let Some(sender) = self.watchers.get(&entity)
            && sender.send(()).is_err()
        {
            self.watchers.remove(&entity);
        }
    }

    /// Follows the log to its end, then announces; the log decides whether that counts.
    pub(crate) async fn take_over(&mut self) {
        if let Err(why) = self.catch_up().await {
            tracing::error!(partition = %self.partition.id(), why, "not served");
            return self.gauges.quarantine(why);
        }
        if let Some(cell) = &self.meta
            && let Ok(meta) = meta::load(&self.partition.view())
        {
            cell.set(meta);
        }
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

    fn publish(&mut self) {
        self.gauges.set(
            self.partition.role(),
            self.partition.tail().offset.0,
            self.partition.waiting(),
            self.partition.memtable_bytes(),
        );
        if self.flusher.is_idle(&self.partition) {
            for done in self.flush_waiters.drain(..) {
                let _ = done.send(());
            }
        }
    }

    fn may_end(&self) -> bool {
        self.stopping.is_some()
            && !self.partition.is_in_flight()
            && self.partition.waiting() == 0
            && self.flusher.is_idle(&self.partition)
    }

    /// When [`Self::touch`] is due even if nothing else happens.
    pub(crate) fn wake_after_ms(&self, now: Time) -> u64 {
        let busy = self.partition.is_in_flight() || self.partition.waiting() > 0;
        let tick = if busy || self.flusher.waits_to_retry() { TICK_MS } else { u64::MAX };
        self.partition.next_wake().map_or(tick, |due| due.0.saturating_sub(now.0).min(tick))
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

fn lost(ticket: ReadTicket) {
    let failure = Failure::Unavailable("this node does not lead the partition".into());
    let _ = ticket.reply.send(Err(failure.into()));
}
