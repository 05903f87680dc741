//! The clients: each asks, waits, and asks again with the same key until it knows.

use super::{CrashError, Recorder, answers};
use crate::{
    history::{Answer, Capacity, Outcome, Places, Request},
    load::{Client, Endpoint, RequestWriter},
};
use fastrand::Rng;
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

/// A resource is used for so many rounds.
pub(super) const ROUNDS_A_RESOURCE: u32 = 2;
/// Between two requests of a client.
const PACE: Duration = Duration::from_millis(3);
/// Before a client asks again.
const RETRY: Duration = Duration::from_millis(10);

/// Creates the resources.
pub(super) async fn create(
    endpoint: &Endpoint,
    inventory: &[(String, Capacity)],
) -> Result<(), CrashError> {
    let mut client = endpoint.connect().await?;
    let mut writer = endpoint.writer();
    for (name, capacity) in inventory {
        let body = match capacity {
            Capacity::Quantity(_) if name.starts_with("lock") => {
                json!({"kind": "lock", "protects": "the drill"})
            }
            Capacity::Quantity(quantity) => json!({"kind": "quantity", "capacity": quantity}),
            Capacity::Seats(seats) => json!({"kind": "seats", "seats": seats}),
        };
        let path = format!("/v1/resources/{name}");
        let reply = client.call(writer.put(&path, body.to_string().as_bytes())).await?;
        if !reply.is_success() {
            let body = String::from_utf8_lossy(reply.body);
            return Err(CrashError::Answer(format!("PUT {path}: {} {body}", reply.status)));
        }
    }
    Ok(())
}

/// One client.
pub(super) struct Worker {
    id: u64,
    rng: Rng,
    endpoint: Endpoint,
    writer: RequestWriter,
    connection: Option<Client>,
    recorder: Arc<Recorder>,
    requests: u64,
    /// Its latest hold and the resource that it is of.
    hold: Option<(String, String)>,
}

impl Worker {
    pub(super) fn new(id: u64, seed: u64, endpoint: Endpoint, recorder: &Arc<Recorder>) -> Self {
        let writer = endpoint.writer();
        Self {
            id,
            rng: Rng::with_seed(seed.wrapping_mul(1_000).wrapping_add(id)),
            endpoint,
            writer,
            connection: None,
            recorder: Arc::clone(recorder),
            requests: 0,
            hold: None,
        }
    }

    /// Asks until the drill ends, and then until the last request is answered.
    pub(super) async fn run(mut self, inventory: Vec<(String, Capacity)>, round: Arc<AtomicU32>) {
        while !self.recorder.stopped() {
            let generation = (round.load(Ordering::Relaxed) / ROUNDS_A_RESOURCE) as usize;
            let (name, capacity) = &inventory[generation * 3 + self.rng.usize(0..3)];
            let (resource, request) = self.next_request(name, capacity);
            self.carry_out(&resource, request).await;
            tokio::time::sleep(PACE).await;
        }
    }

    fn next_request(&mut self, name: &str, capacity: &Capacity) -> (String, Request) {
        if let Some((resource, hold)) = self.hold.clone() {
            let hold_of = |request| (resource.clone(), request);
            let ttl_ms = self.rng.u64(200..4_000);
            let confirms = !resource.starts_with("lock");
            match self.rng.u8(0..10) {
                0..=2 if confirms => {
                    let reacquire = self.rng.bool();
                    return hold_of(Request::Confirm { hold, reacquire });
                }
                3..=5 => return hold_of(Request::Release { hold }),
                6 if confirms => return hold_of(Request::Cancel { hold }),
                7 => return hold_of(Request::Extend { hold, ttl_ms }),
                8 => return (resource, Request::Read),
                _ => {}
            }
        }
        let places = match capacity {
            Capacity::Quantity(1) => Places::Quantity(1),
            Capacity::Quantity(_) => Places::Quantity(self.rng.u64(1..4)),
            Capacity::Seats(seats) => {
                let wanted = self.rng.usize(1..4);
                Places::Seats(self.rng.choose_multiple(seats.iter().cloned(), wanted))
            }
        };
        let ttl_ms = if self.rng.u8(0..3) == 0 { 300 } else { 30_000 };
        (name.to_owned(), Request::Hold { places, ttl_ms })
    }

    /// Asks until there is an answer that decides it. Every attempt is an operation.
    async fn carry_out(&mut self, resource: &str, request: Request) {
        self.requests += 1;
        let key = format!("c{}-{}", self.id, self.requests);
        loop {
            let operation = self.recorder.call(self.id, resource, &key, request.clone());
            let outcome = self.ask(resource, &key, &request).await;
            let decided = matches!(outcome, Outcome::Ok { .. } | Outcome::Refused { .. });
            if let Outcome::Ok {
                answer: Answer::Held { hold, .. } | Answer::Confirmed { hold, .. },
                ..
            } = &outcome
            {
                self.hold = Some((resource.to_owned(), hold.clone()));
            }
            self.recorder.returns(operation, outcome);
            if decided {
                return;
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn ask(&mut self, resource: &str, key: &str, request: &Request) -> Outcome {
        let mut client = match self.connection.take().filter(Client::is_usable) {
            Some(client) => client,
            None => match self.endpoint.connect().await {
                Ok(client) => client,
                Err(error) => return Outcome::TurnedAway(error.to_string()),
            },
        };
        let bytes = answers::request(&mut self.writer, resource, key, request);
        match client.call(bytes).await {
            Ok(reply) => {
                let outcome = answers::outcome(request, &reply);
                self.connection = Some(client);
                outcome
            }
            Err(error) if error.has_no_side_effects() => Outcome::TurnedAway(error.to_string()),
            Err(_) => Outcome::Unknown,
        }
    }
}
