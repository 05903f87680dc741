//! A connection of one client or worker, and what it asks written down.

use super::{Told, answers};
use crate::{
    history::jobs::{Outcome, Request},
    load::{Client, ClientError, Endpoint, RequestWriter},
};
use std::{sync::Arc, time::Duration};

/// Before somebody asks again.
const RETRY: Duration = Duration::from_millis(25);

pub(super) struct Caller {
    pub(super) id: u64,
    pub(super) told: Arc<Told>,
    endpoint: Endpoint,
    writer: RequestWriter,
    connection: Option<Client>,
}

impl Caller {
    pub(super) fn new(id: u64, endpoint: &Endpoint, told: &Arc<Told>) -> Self {
        let (endpoint, writer) = (endpoint.clone(), endpoint.writer());
        Self { id, told: Arc::clone(told), endpoint, writer, connection: None }
    }

    /// Asks once, as soon as there is a server.
    pub(super) async fn ask(&mut self, retry_key: Option<&str>, request: &Request) -> Outcome {
        let worker = format!("worker-{}", self.id);
        let Some((path, body)) = answers::request(&worker, request) else {
            return Outcome::Refused("nobody is asked for it".into());
        };
        let path = format!("/v1/queues/{}/{path}", self.told.queue);
        let mut client = loop {
            if let Some(client) = self.connection.take().filter(Client::is_usable) {
                break client;
            }
            match self.endpoint.connect().await {
                Ok(client) => break client,
                Err(_) => tokio::time::sleep(RETRY).await,
            }
        };
        let bytes = self.writer.post(&path, retry_key, body.to_string().as_bytes());
        let operation = self.told.call(self.id, retry_key, request.clone());
        let outcome = match client.call(bytes).await {
            Ok(reply) => {
                let outcome = answers::outcome(request, &reply, self.told.heard_ms());
                self.connection = Some(client);
                outcome
            }
            // Whoever was asked may yet do it.
            Err(ClientError::TimedOut) => return Outcome::Unknown,
            Err(_) => Outcome::Unknown,
        };
        self.told.returns(operation, outcome.clone());
        outcome
    }

    /// Asks until it is known what came of it.
    pub(super) async fn carry_out(
        &mut self,
        retry_key: Option<&str>,
        request: &Request,
    ) -> Outcome {
        loop {
            match self.ask(retry_key, request).await {
                Outcome::Unknown | Outcome::TurnedAway(_) | Outcome::BacklogFull => {
                    tokio::time::sleep(RETRY).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// Is somebody else from now on, whom nobody has answered yet.
    pub(super) fn become_another(&mut self, id: u64) {
        self.id = id;
        self.connection = None;
    }
}
