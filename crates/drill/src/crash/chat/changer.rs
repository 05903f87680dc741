//! What is done over HTTP: messages edited and taken back, markers moved, members who leave and join.

use super::{CONVERSATIONS, Known, Phase, Told, USERS};
use crate::{
    history::chat::{Outcome, Request},
    load::{Client, Endpoint, Reply, RequestWriter},
};
use fastrand::Rng;
use serde::Deserialize;
use serde_json::json;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

const ADMITS_WITHIN: Duration = Duration::from_secs(30);
const PACE_MS: std::ops::Range<u64> = 10..60;
/// The last of the users come and go.
const STAY: usize = 4;

#[derive(Deserialize)]
struct ChangedBody {
    seq: Option<u64>,
}

#[derive(Deserialize)]
struct ReadBody {
    seq: u64,
    unread: u64,
}

#[derive(Deserialize)]
struct ProblemBody {
    code: String,
    side_effects: String,
    retryable: bool,
}

pub(super) struct Changer {
    id: u64,
    rng: Rng,
    told: Arc<Told>,
    endpoint: Endpoint,
    writer: RequestWriter,
    connection: Option<Client>,
    edits: u64,
}

/// A request over HTTP.
struct Asked {
    method: &'static str,
    path: String,
    body: Option<String>,
}

impl Changer {
    pub(super) fn new(id: u64, seed: u64, endpoint: &Endpoint, told: &Arc<Told>) -> Self {
        Self {
            id,
            rng: Rng::with_seed(seed),
            told: Arc::clone(told),
            endpoint: endpoint.clone(),
            writer: endpoint.writer(),
            connection: None,
            edits: 0,
        }
    }

    /// Until nothing more is to be said.
    pub(super) async fn run(mut self) {
        while !self.told.is_past(Phase::Calm) {
            let pause = self.rng.u64(PACE_MS);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let Some(known) = self.told.recent(&mut self.rng) else { continue };
            let (user, place, request) = self.next(known);
            self.carry_out(user, place, request).await;
        }
    }

    fn next(&mut self, known: Known) -> (&'static str, usize, Request) {
        let Known { place, seq: message, sender } = known;
        let comes_and_goes = USERS[self.rng.usize(STAY..USERS.len())];
        let place_of_theirs = self.rng.usize(0..CONVERSATIONS.len());
        match self.rng.u8(0..16) {
            0..6 => (USERS[self.rng.usize(0..USERS.len())], place, Request::Read { message }),
            6..10 => {
                self.edits += 1;
                let body = format!("{sender} corrects {message}, {}-{}", self.id, self.edits);
                (sender, place, Request::Edit { message, body })
            }
            10..13 => (sender, place, Request::Delete { message }),
            13 => (comes_and_goes, place_of_theirs, Request::Leave),
            _ => (comes_and_goes, place_of_theirs, Request::Join),
        }
    }

    /// Has somebody be a member of all conversations; answers whether that was done in time.
    pub(super) async fn admit(mut self, user: &str) -> bool {
        let began = Instant::now();
        for place in 0..CONVERSATIONS.len() {
            while !self.carry_out(user, place, Request::Join).await {
                if began.elapsed() > ADMITS_WITHIN {
                    return false;
                }
                tokio::time::sleep(Duration::from_millis(PACE_MS.start)).await;
            }
        }
        true
    }

    /// Asks once; answers whether it was done. What is not answered may have happened.
    async fn carry_out(&mut self, user: &str, place: usize, request: Request) -> bool {
        let Some(Asked { method, path, body }) = asked(user, place, &request) else {
            return false;
        };
        let mut client = match self.connection.take().filter(Client::is_usable) {
            Some(client) => client,
            None => match self.endpoint.connect().await {
                Ok(client) => client,
                Err(_) => return false,
            },
        };
        let bytes = self.writer.write(method, &path, &[], body.as_deref().map(str::as_bytes));
        let operation = self.told.call(user, place, request.clone());
        let outcome = match client.call(bytes).await {
            Ok(reply) => {
                let outcome = outcome(&request, &reply);
                self.connection = Some(client);
                outcome
            }
            Err(_) => Outcome::Unknown,
        };
        let is_done = matches!(outcome, Outcome::Done { .. } | Outcome::Read { .. });
        self.told.returns(operation, outcome);
        is_done
    }
}

/// None if it is not asked over HTTP.
fn asked(user: &str, place: usize, request: &Request) -> Option<Asked> {
    let conversation = format!("/v1/conversations/{}", CONVERSATIONS[place]);
    let (method, path, body) = match request {
        Request::Edit { message, body } => {
            ("PATCH", format!("messages/{message}"), Some(json!({"by": user, "body": body})))
        }
        Request::Delete { message } => ("DELETE", format!("messages/{message}?by={user}"), None),
        Request::Read { message } => ("PUT", format!("read/{user}"), Some(json!({"seq": message}))),
        Request::Join => ("PUT", format!("members/{user}"), Some(json!({"role": "writer"}))),
        Request::Leave => ("DELETE", format!("members/{user}"), None),
        Request::Send { .. } => return None,
    };
    let body = body.map(|body| body.to_string());
    Some(Asked { method, path: format!("{conversation}/{path}"), body })
}

fn outcome(request: &Request, reply: &Reply<'_>) -> Outcome {
    if reply.is_success() {
        return match request {
            Request::Edit { .. } | Request::Delete { .. } => {
                serde_json::from_slice::<ChangedBody>(reply.body)
                    .map_or(Outcome::Unknown, |changed| Outcome::Done { seq: changed.seq })
            }
            Request::Read { .. } => serde_json::from_slice::<ReadBody>(reply.body)
                .map_or(Outcome::Unknown, |ReadBody { seq, unread }| Outcome::Read { seq, unread }),
            // Where that is in the sequence is not said.
            _ => Outcome::Done { seq: None },
        };
    }
    match serde_json::from_slice::<ProblemBody>(reply.body) {
        Ok(problem) if problem.side_effects != "none" => Outcome::Unknown,
        Ok(problem) if problem.retryable => Outcome::TurnedAway(problem.code),
        Ok(problem) => Outcome::Refused(problem.code),
        Err(_) => Outcome::Unknown,
    }
}
