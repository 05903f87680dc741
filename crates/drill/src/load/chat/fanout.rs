//! `fanout`: conversations with many subscribers each, timed from send to arrival at every one.
//!
//! In the closed loop a message counts as under way until all its subscribers have it, and so many as
//! there are senders are under way at once: the rate is what the readers can take. In the open loop
//! sends are due on a schedule, and latency counts from there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::super::driver::{DriveError, Pace, Plan};
use super::super::endpoint::Endpoint;
use super::super::pacer::Pacer;
use super::super::report::{OpenRun, Report, Run};
use super::super::request::KeyMint;
use super::super::websocket::{WebSocket, WebSocketError};
use super::conversations::Conversations;
use super::ledger::Ledger;
use super::options::ChatBenchError;
use super::run::{Phase, Room, Shared, Tally};
use super::talker::{BUFFER_BYTES, Talker, connect, refuse};
use super::wire::{Heard, write_send};

/// Senders beside subscribers.
pub(super) struct Fanout {
    pub(super) endpoint: Endpoint,
    pub(super) conversations: Conversations,
    /// Of each conversation, each on its own connection.
    pub(super) subscribers: usize,
    pub(super) drain_max: Duration,
}

impl Fanout {
    /// The report's rate and latencies are those of deliveries.
    pub(super) async fn run(self, plan: Plan) -> Result<Report, ChatBenchError> {
        self.conversations.put(&self.endpoint).await?;
        let mut runs = Vec::with_capacity(plan.repeats as usize);
        for _ in 0..plan.repeats {
            runs.push(self.run_once(&plan).await?);
        }
        let (count, each) = (self.conversations.count(), self.subscribers);
        let name = format!("chat deliveries, {count} conversations with {each} subscribers each");
        Ok(Report::new(name, &plan, runs))
    }

    async fn run_once(&self, plan: &Plan) -> Result<Run, ChatBenchError> {
        let ledger = Ledger::new(self.conversations.count(), self.subscribers);
        let room = match plan.pace {
            Pace::Closed => Some(Room::new(plan.connections, self.subscribers)),
            Pace::Open { .. } => None,
        };
        let shared = Arc::new(Shared::new(ledger, room));
        let mut tasks = JoinSet::new();
        for talker in self.listeners(&shared).await? {
            tasks.spawn(talker.run());
        }
        let mut senders = Vec::with_capacity(plan.connections);
        for _ in 0..plan.connections {
            senders.push(connect(&self.endpoint, &self.conversations, &[], BUFFER_BYTES).await?);
        }
        let pacer = match plan.pace {
            Pace::Closed => None,
            Pace::Open { rate_per_s } => {
                Some(Arc::new(Pacer::start(rate_per_s).map_err(DriveError::Pacer)?))
            }
        };
        for (number, socket) in senders.into_iter().enumerate() {
            let sender = Sender {
                socket,
                number,
                conversations: self.conversations.clone(),
                shared: Arc::clone(&shared),
                pacer: pacer.clone(),
                tally: Tally::default(),
            };
            tasks.spawn(sender.run());
        }
        let window = shared.window(plan).await;
        let backlog = pacer.as_ref().map_or(0, |pacer| pacer.backlog());
        if let Some(pacer) = &pacer {
            pacer.stop();
        }
        let tally = shared.finish(tasks, self.drain_max).await?;
        let open = OpenRun::of(plan, window, backlog, tally.lag_max);
        Ok(tally.into_delivery_run(window, open))
    }

    async fn listeners(&self, shared: &Arc<Shared>) -> Result<Vec<Talker>, ChatBenchError> {
        let mut listeners = Vec::new();
        for number in 0..self.conversations.count() {
            for subscriber in 0..self.subscribers {
                let numbers = [number];
                let socket =
                    connect(&self.endpoint, &self.conversations, &numbers, BUFFER_BYTES).await?;
                let conversations = self.conversations.clone();
                let shared = Arc::clone(shared);
                listeners.push(Talker::listener(socket, conversations, shared, subscriber));
            }
        }
        Ok(listeners)
    }
}

/// A connection that sends one after the other.
struct Sender {
    socket: WebSocket,
    number: usize,
    conversations: Conversations,
    shared: Arc<Shared>,
    pacer: Option<Arc<Pacer>>,
    tally: Tally,
}

impl Sender {
    async fn run(mut self) -> Tally {
        let mut client_ids = KeyMint::new();
        let mut frame = Vec::new();
        let mut sends = self.number as u64;
        let count = u64::from(self.conversations.count());
        while let Some(due) = self.next_due().await {
            let conversation = (sends % count) as u32;
            sends += 1;
            self.tally.lag_max = self.tally.lag_max.max(due.elapsed());
            write_send(
                &mut frame,
                sends,
                self.conversations.name(conversation),
                client_ids.mint(),
                self.conversations.sender(conversation),
                self.shared.micros(due),
            );
            self.socket.push(&frame);
            self.shared.ledger().begin();
            if let Err(error) = self.answer(sends, conversation, due).await {
                self.shared.ledger().fail(conversation, true);
                self.tally.fail(&error);
                break;
            }
        }
        self.tally
    }

    /// When the next send is or was due; none once no more are.
    async fn next_due(&self) -> Option<Instant> {
        if self.shared.phase() != Phase::Send {
            return None;
        }
        if let Some(pacer) = &self.pacer {
            return pacer.next().await.map(|(_, due)| due);
        }
        match &self.shared.room {
            Some(room) => room.take().await.then(Instant::now),
            None => Some(Instant::now()),
        }
    }

    async fn answer(
        &mut self,
        id: u64,
        conversation: u32,
        due: Instant,
    ) -> Result<(), WebSocketError> {
        loop {
            match Heard::parse(self.socket.next().await?) {
                Some(Heard::Ack { id: acked, seq }) if acked == id => {
                    self.shared.ledger().ack(conversation, seq);
                    if self.shared.counts(self.shared.micros(due)) {
                        self.tally.sends.succeed(due.elapsed());
                    }
                    return Ok(());
                }
                Some(Heard::Refused { refusal, .. }) => {
                    self.shared.ledger().fail(conversation, refusal.unknown);
                    // What was refused reaches nobody, and its room is free again.
                    self.shared.delivered(self.shared.room.as_ref().map_or(0, Room::a_message));
                    refuse(&mut self.tally, &refusal);
                    return Ok(());
                }
                Some(_) => {}
                None => return Err(WebSocketError::Malformed("not a frame of the protocol")),
            }
        }
    }
}
