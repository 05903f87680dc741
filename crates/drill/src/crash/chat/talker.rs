//! A user: follows everything, is seen to be there, and says things, several at a time, each until it
//! is acknowledged.

use super::{
    CONVERSATIONS, Phase, Told,
    follower::{BUFFER_BYTES, Follower},
    wire::{self, FILLER, Heard},
};
use crate::{
    history::chat::{Outcome, Request},
    load::{Endpoint, WebSocket, WebSocketError},
};
use fastrand::Rng;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

pub(super) const PATH: &str = "/v1/realtime";
/// Sends at most that are not answered.
const DEPTH: usize = 8;
/// One who hears nothing for so long says something, or looks whether it is over.
const TICK: Duration = Duration::from_millis(4);
/// Between two sends; and how much sooner the next one comes when there are no more kills.
const PACE_MS: std::ops::Range<u64> = 12..80;
const CALM_TIMES: u64 = 8;
/// Before a connection is made again.
const RECONNECT_MS: std::ops::Range<u64> = 1..60;
/// How long a connection lasts that a client drops.
const CONNECTED_MS: std::ops::Range<u64> = 40..600;
/// How much room a large body takes.
const LARGE_BYTES: usize = 28 * 1024;

/// Something to be said.
struct Message {
    place: usize,
    client_id: String,
    body: String,
}

/// Something that was said, and by which operation.
struct Said {
    operation: usize,
    message: Message,
}

/// How a connection ends.
enum Ended {
    /// Another follows.
    Broke,
    /// None does.
    ForGood,
}

pub(super) struct Talker {
    user: &'static str,
    rng: Rng,
    endpoint: Endpoint,
    follower: Follower,
    /// By the id of their frames.
    unanswered: BTreeMap<u64, Said>,
    /// To be said again: whether it was heard is not known.
    again: VecDeque<Message>,
    next: u64,
    /// Leaves once there is nothing more to say, and is not there in the end.
    leaves: bool,
    is_done: bool,
}

impl Talker {
    pub(super) fn new(
        user: &'static str,
        seed: u64,
        endpoint: &Endpoint,
        told: &Arc<Told>,
        leaves: bool,
    ) -> Self {
        Self {
            user,
            rng: Rng::with_seed(seed),
            endpoint: endpoint.clone(),
            follower: Follower::new(told, user, Some(user)),
            unanswered: BTreeMap::new(),
            again: VecDeque::new(),
            next: 0,
            leaves,
            is_done: false,
        }
    }

    /// Until all is over.
    pub(super) async fn run(mut self) {
        while !self.follower.told.is_past(Phase::Quiet) {
            if let Ok(mut socket) = self.endpoint.connect_websocket(PATH, BUFFER_BYTES).await {
                let ended = self.talk(&mut socket).await;
                drop(socket);
                self.give_up();
                if matches!(ended, Ok(Ended::ForGood)) {
                    return;
                }
            }
            let pause = self.rng.u64(RECONNECT_MS);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    /// On one connection, until it breaks or is dropped.
    async fn talk(&mut self, socket: &mut WebSocket) -> Result<Ended, WebSocketError> {
        let drops_at = Instant::now() + Duration::from_millis(self.rng.u64(CONNECTED_MS));
        self.follower.follow(socket);
        while self.unanswered.len() < DEPTH && self.repeat(socket) {}
        let mut says_at = Instant::now();
        loop {
            let now = Instant::now();
            if !self.follower.told.is_past(Phase::Kills) && now >= drops_at {
                self.follower.told.counts.disconnect();
                return Ok(Ended::Broke);
            }
            if self.unanswered.len() < DEPTH && now >= says_at {
                let times = if self.follower.told.is_past(Phase::Kills) { CALM_TIMES } else { 1 };
                says_at = now + Duration::from_millis(self.rng.u64(PACE_MS) / times);
                if !self.repeat(socket) && !self.follower.told.is_past(Phase::Calm) {
                    let message = self.think();
                    self.say(socket, message);
                }
            }
            for heard in self.follower.exchange(socket, TICK).await? {
                self.hears(heard);
            }
            if self.is_over() {
                return Ok(Ended::ForGood);
            }
        }
    }

    /// Whether there is no more to do, even to follow.
    fn is_over(&mut self) -> bool {
        let told = &self.follower.told;
        let has_said_all = self.unanswered.is_empty() && self.again.is_empty();
        if told.is_past(Phase::Calm) && has_said_all && !self.is_done {
            self.is_done = true;
            told.counts.has_said_all();
        }
        self.is_done && self.leaves || told.is_past(Phase::Quiet)
    }

    fn think(&mut self) -> Message {
        self.next += 1;
        let client_id = format!("{}-{}", self.user, self.next);
        let mut body = format!("{} says {}", self.user, self.next);
        let one_in = if self.follower.told.is_past(Phase::Kills) { 2 } else { 40 };
        if self.rng.u8(0..one_in) == 0 {
            body.extend(std::iter::repeat_n(FILLER, LARGE_BYTES));
        }
        Message { place: self.rng.usize(0..CONVERSATIONS.len()), client_id, body }
    }

    /// Says again what was not acknowledged; false if there is nothing.
    fn repeat(&mut self, socket: &mut WebSocket) -> bool {
        let message = self.again.pop_front();
        message.is_some_and(|message| {
            self.say(socket, message);
            true
        })
    }

    fn say(&mut self, socket: &mut WebSocket, message: Message) {
        let Message { place, client_id, body } = &message;
        let request = Request::Send { client_id: client_id.clone(), body: wire::said(body) };
        let operation = self.follower.told.call(self.user, *place, request);
        let id = operation as u64;
        socket.push(&wire::send(id, *place, self.user, client_id, body));
        self.unanswered.insert(id, Said { operation, message });
    }

    fn hears(&mut self, heard: Heard) {
        let told = Arc::clone(&self.follower.told);
        match heard {
            Heard::Acked { id, seq, duplicate } => {
                let Some(said) = self.unanswered.remove(&id) else { return };
                told.returns(said.operation, Outcome::Sent { seq, duplicate });
                told.knows(said.message.place, seq, self.user);
            }
            Heard::Refused { id: Some(id), code, retryable, unknown } => {
                let Some(said) = self.unanswered.remove(&id) else { return };
                let (outcome, again) = match (unknown, retryable) {
                    (true, _) => (Outcome::Unknown, true),
                    (false, true) => (Outcome::TurnedAway(code), true),
                    (false, false) => (Outcome::Refused(code), false),
                };
                told.returns(said.operation, outcome);
                if again {
                    self.again.push_back(said.message);
                }
            }
            _ => {}
        }
    }

    /// Nothing that was said on a connection is answered any more.
    fn give_up(&mut self) {
        for (_, said) in std::mem::take(&mut self.unanswered) {
            self.follower.told.returns(said.operation, Outcome::Unknown);
            self.again.push_back(said.message);
        }
    }
}
