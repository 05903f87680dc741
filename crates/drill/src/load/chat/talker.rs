//! One WebSocket that sends to random conversations, several at a time, and hears what comes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::super::endpoint::Endpoint;
use super::super::request::KeyMint;
use super::super::websocket::{WebSocket, WebSocketError};
use super::conversations::Conversations;
use super::options::ChatBenchError;
use super::run::{Phase, Shared, Tally};
use super::wire::{Heard, Refusal, subscription, write_send};

const PATH: &str = "/v1/realtime";
/// A task that hears nothing for so long looks whether the run is over.
const QUIET: Duration = Duration::from_millis(20);
/// A server that turns sends away is left alone for so long.
const BUSY_PAUSE: Duration = Duration::from_millis(5);
/// An answer to one of many sends comes within this.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// Subscriptions that are asked for before the first is answered.
const SUBSCRIPTIONS_AT_ONCE: usize = 64;
/// What the buffer of a connection that carries messages begins with.
pub(super) const BUFFER_BYTES: usize = 16 * 1024;

/// Opens a connection that is subscribed to these from now on.
pub(super) async fn connect(
    endpoint: &Endpoint,
    conversations: &Conversations,
    numbers: &[u32],
    buffer_bytes: usize,
) -> Result<WebSocket, ChatBenchError> {
    let mut socket = endpoint.connect_websocket(PATH, buffer_bytes).await?;
    for some in numbers.chunks(SUBSCRIPTIONS_AT_ONCE) {
        for number in some {
            socket.push(&subscription(conversations.name(*number), None));
        }
        for _ in some {
            await_subscribed(&mut socket).await?;
        }
    }
    Ok(socket)
}

/// Waits until a subscription stands; answers its position.
pub(super) async fn await_subscribed(socket: &mut WebSocket) -> Result<String, ChatBenchError> {
    loop {
        match Heard::parse(socket.next().await?) {
            Some(Heard::Subscribed { position }) => return Ok(position),
            Some(Heard::Refused { refusal, .. }) => {
                return Err(ChatBenchError::Server(format!(
                    "a subscription was refused: {refusal}"
                )));
            }
            Some(Heard::Unsubscribed { reason }) => {
                return Err(ChatBenchError::Server(format!("a subscription ended: {reason}")));
            }
            _ => {}
        }
    }
}

/// How conversations are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// Any, for as long as the run lasts.
    Random,
    /// Each in turn, this many sends over all connections.
    InTurn(u64),
    /// None: it only listens.
    Silent,
}

/// A send that was not yet answered.
struct Pending {
    id: u64,
    conversation: u32,
    at: Instant,
}

/// A connection with its sends.
pub(super) struct Talker {
    pub(super) socket: WebSocket,
    conversations: Conversations,
    shared: Arc<Shared>,
    choice: Choice,
    /// Its number among the subscribers of each conversation that it hears.
    subscriber: usize,
    /// One a send that may be in flight.
    pending: Vec<Option<Pending>>,
    free: Vec<usize>,
    /// Conversations whose send was turned away.
    again: Vec<u32>,
    random: fastrand::Rng,
    client_ids: KeyMint,
    next_id: u64,
    frame: Vec<u8>,
    is_busy: bool,
    acked: u64,
    tally: Tally,
}

impl Talker {
    pub(super) fn new(
        socket: WebSocket,
        conversations: Conversations,
        shared: Arc<Shared>,
        choice: Choice,
        depth: usize,
    ) -> Self {
        Self {
            socket,
            conversations,
            shared,
            choice,
            subscriber: 0,
            pending: (0..depth).map(|_| None).collect(),
            free: (0..depth).collect(),
            again: Vec::new(),
            random: fastrand::Rng::new(),
            client_ids: KeyMint::new(),
            next_id: 0,
            frame: Vec::new(),
            is_busy: false,
            acked: 0,
            tally: Tally::default(),
        }
    }

    /// A connection that only listens, of this number among each conversation's subscribers.
    pub(super) fn listener(
        socket: WebSocket,
        conversations: Conversations,
        shared: Arc<Shared>,
        subscriber: usize,
    ) -> Self {
        let talker = Self::new(socket, conversations, shared, Choice::Silent, 0);
        Self { subscriber, ..talker }
    }

    /// Until the run is over, or the connection is.
    pub(super) async fn run(mut self) -> Tally {
        if let Err(error) = self.talk().await {
            self.tally.fail(&error);
            let mut ledger = self.shared.ledger();
            for pending in self.pending.iter().flatten() {
                ledger.fail(pending.conversation, true);
            }
        }
        self.tally
    }

    /// Until all its sends are answered; how many were acknowledged, and what went wrong.
    pub(super) async fn until_answered(mut self) -> (u64, Option<String>) {
        let ended = loop {
            self.send_what_is_free();
            if self.free.len() == self.pending.len() {
                break Ok(());
            }
            if let Err(error) = self.exchange(ANSWER_MAX).await {
                break Err(error);
            }
        };
        if let Err(error) = ended {
            self.tally.fail(&error);
        }
        (self.acked, self.tally.first_error)
    }

    async fn talk(&mut self) -> Result<(), WebSocketError> {
        loop {
            match self.shared.phase() {
                Phase::Send => self.send_what_is_free(),
                Phase::Drain => {}
                Phase::Stop => return Ok(()),
            }
            match self.exchange(QUIET).await {
                Err(error) if error.is_timeout() && !self.socket.has_outbound() => {}
                other => other?,
            }
        }
    }

    /// Writes what is to be sent, reads once, and takes what came.
    async fn exchange(&mut self, limit: Duration) -> Result<(), WebSocketError> {
        self.socket.fill(limit).await?;
        self.hear()?;
        if std::mem::take(&mut self.is_busy) {
            tokio::time::sleep(BUSY_PAUSE).await;
        }
        Ok(())
    }

    fn send_what_is_free(&mut self) {
        if self.free.is_empty() {
            return;
        }
        let now = Instant::now();
        let sent_us = self.shared.micros(now);
        while let Some(conversation) = self.choose() {
            let Some(slot) = self.free.pop() else { break };
            let id = self.next_id * self.pending.len() as u64 + slot as u64;
            self.next_id += 1;
            write_send(
                &mut self.frame,
                id,
                self.conversations.name(conversation),
                self.client_ids.mint(),
                self.conversations.sender(conversation),
                sent_us,
            );
            self.socket.push(&self.frame);
            self.pending[slot] = Some(Pending { id, conversation, at: now });
            self.shared.ledger().begin();
        }
    }

    /// The conversation of the next send, if there is room for one.
    fn choose(&mut self) -> Option<u32> {
        if self.free.is_empty() {
            return None;
        }
        if let Some(conversation) = self.again.pop() {
            return Some(conversation);
        }
        let count = self.conversations.count();
        match self.choice {
            Choice::Silent => None,
            Choice::Random => Some(self.random.u32(0..count)),
            Choice::InTurn(sends) => {
                let number = self.shared.begun.fetch_add(1, Ordering::Relaxed);
                (number < sends).then_some((number % u64::from(count)) as u32)
            }
        }
    }

    /// Takes all that has arrived.
    fn hear(&mut self) -> Result<(), WebSocketError> {
        let now = Instant::now();
        let now_us = self.shared.micros(now);
        let shared = Arc::clone(&self.shared);
        let mut ledger = shared.ledger();
        let mut delivered = 0;
        while let Some(text) = self.socket.take()? {
            match Heard::parse(text) {
                Some(Heard::Message { conversation, seq, sent_us, .. }) => {
                    delivered += 1;
                    ledger.deliver(conversation, self.subscriber, seq);
                    if shared.counts(sent_us) {
                        let latency = Duration::from_micros(now_us.saturating_sub(sent_us));
                        self.tally.deliveries.succeed(latency);
                    }
                }
                Some(Heard::Ack { id, seq }) => {
                    let Some(pending) = answered(&mut self.pending, &mut self.free, id) else {
                        self.tally.fail(&format_args!("send {id} was answered again"));
                        continue;
                    };
                    self.acked += 1;
                    ledger.ack(pending.conversation, seq);
                    if shared.counts(shared.micros(pending.at)) {
                        self.tally.sends.succeed(now - pending.at);
                    }
                }
                Some(Heard::Refused { id, refusal }) => {
                    let pending = id.and_then(|id| answered(&mut self.pending, &mut self.free, id));
                    if let Some(pending) = pending {
                        ledger.fail(pending.conversation, refusal.unknown);
                        if refusal.retryable && !refusal.unknown {
                            self.again.push(pending.conversation);
                            self.is_busy = true;
                        }
                    }
                    refuse(&mut self.tally, &refusal);
                }
                Some(Heard::Unsubscribed { reason }) => {
                    self.tally.fail(&format_args!("a subscription ended: {reason}"));
                }
                Some(Heard::Subscribed { .. } | Heard::Other) => {}
                None => return Err(WebSocketError::Malformed("not a frame of the protocol")),
            }
        }
        drop(ledger);
        shared.delivered(delivered);
        Ok(())
    }
}

/// The send that this answers, whose place is then free.
fn answered(pending: &mut [Option<Pending>], free: &mut Vec<usize>, id: u64) -> Option<Pending> {
    let slot = usize::try_from(id % (pending.len() as u64).max(1)).ok()?;
    let found = pending.get_mut(slot)?.take_if(|pending| pending.id == id)?;
    free.push(slot);
    Some(found)
}

/// Counts a refusal, and says what an unexpected one was.
pub(super) fn refuse(tally: &mut Tally, refusal: &Refusal) {
    if refusal.unknown {
        tally.fail(refusal);
    } else if refusal.retryable {
        tally.sends.shed += 1;
    } else {
        tally.sends.refused += 1;
        tally.first_error.get_or_insert_with(|| refusal.to_string());
    }
}
