//! Those who follow everything and do not read for a while.

use super::{
    Phase, Told,
    follower::{BUFFER_BYTES, Follower},
    talker::PATH,
};
use crate::load::{Endpoint, WebSocket, WebSocketError};
use fastrand::Rng;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// The server closes a connection with this when too much waits for it.
const SLOW: u16 = 3008;
const TICK: Duration = Duration::from_millis(20);
const READS_MS: std::ops::Range<u64> = 10..200;
const SLEEPS_MS: std::ops::Range<u64> = 1_000..2_500;
const RECONNECT: Duration = Duration::from_millis(20);

pub(super) struct Slow {
    rng: Rng,
    endpoint: Endpoint,
    follower: Follower,
}

impl Slow {
    pub(super) fn new(name: &str, seed: u64, endpoint: &Endpoint, told: &Arc<Told>) -> Self {
        let follower = Follower::new(told, name, None);
        Self { rng: Rng::with_seed(seed), endpoint: endpoint.clone(), follower }
    }

    /// Until all is over.
    pub(super) async fn run(mut self) {
        while !self.follower.told.is_past(Phase::Quiet) {
            if let Ok(mut socket) = self.endpoint.connect_websocket(PATH, BUFFER_BYTES).await
                && let Err(WebSocketError::Closed { code: SLOW, .. }) = self.read(&mut socket).await
            {
                self.follower.told.counts.closed_for_being_slow();
            }
            tokio::time::sleep(RECONNECT).await;
        }
    }

    async fn read(&mut self, socket: &mut WebSocket) -> Result<(), WebSocketError> {
        self.follower.follow(socket);
        loop {
            let reads = Duration::from_millis(self.rng.u64(READS_MS));
            let began = Instant::now();
            while began.elapsed() < reads {
                self.follower.exchange(socket, TICK).await?;
            }
            if self.follower.told.is_past(Phase::Quiet) {
                return Ok(());
            }
            if !self.follower.told.is_past(Phase::Calm) {
                let sleeps = self.rng.u64(SLEEPS_MS);
                tokio::time::sleep(Duration::from_millis(sleeps)).await;
            }
        }
    }
}
