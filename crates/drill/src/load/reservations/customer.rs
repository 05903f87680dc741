//! One connection of a workload: the client, its request buffer and its keys.

use super::super::client::{Client, ClientError, Reply};
use super::super::driver::{Outcome, WorkloadError};
use super::super::endpoint::Endpoint;
use super::super::request::{KeyMint, RequestWriter};

const QUOTE_BYTES_MAX: usize = 300;

/// What every workload's connection has.
pub(super) struct Customer {
    endpoint: Endpoint,
    client: Client,
    writer: RequestWriter,
    keys: KeyMint,
}

impl Customer {
    pub(super) async fn connect(endpoint: &Endpoint) -> Result<Self, WorkloadError> {
        let client = endpoint.connect().await.map_err(|error| WorkloadError(error.to_string()))?;
        Ok(Self {
            endpoint: endpoint.clone(),
            client,
            writer: endpoint.writer(),
            keys: KeyMint::new(),
        })
    }

    /// A POST with a fresh idempotency key.
    pub(super) async fn post(&mut self, path: &str, body: &[u8]) -> Result<Reply<'_>, ClientError> {
        self.reconnect_if_closed().await?;
        let request = self.writer.post(path, Some(self.keys.mint()), body);
        self.client.call(request).await
    }

    pub(super) async fn get(&mut self, path: &str) -> Result<Reply<'_>, ClientError> {
        self.reconnect_if_closed().await?;
        self.client.call(self.writer.get(path)).await
    }

    /// A server may end a connection after any reply.
    async fn reconnect_if_closed(&mut self) -> Result<(), ClientError> {
        if !self.client.is_usable() {
            self.client = self.endpoint.connect().await?;
        }
        Ok(())
    }
}

/// What a reply means for the count.
pub(super) fn outcome(reply: &Result<Reply<'_>, ClientError>) -> Outcome {
    match reply {
        Ok(reply) if reply.is_success() => Outcome::Ok,
        Ok(reply) if reply.status == 409 || reply.status == 410 => Outcome::Refused,
        Ok(reply) if reply.status == 429 => Outcome::Shed,
        Ok(reply) => {
            let body = &reply.body[..reply.body.len().min(QUOTE_BYTES_MAX)];
            let body = String::from_utf8_lossy(body);
            Outcome::Error(format!("status {}: {body}", reply.status).into())
        }
        Err(error) => Outcome::Error(error.to_string().into()),
    }
}
