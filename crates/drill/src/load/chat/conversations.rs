//! The conversations that are measured: their names, their members, and how they are put there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;
use tokio::task::JoinSet;

use super::super::endpoint::Endpoint;
use super::options::ChatBenchError;

/// Puts at once, each on its own connection.
const PUTS: usize = 64;

/// So many conversations of two members each, numbered from 0.
#[derive(Debug, Clone)]
pub(super) struct Conversations {
    /// Whether they are put there first.
    pub(super) create: bool,
    names: Arc<[String]>,
    users: Arc<[String]>,
}

impl Conversations {
    /// Their names are this one and a number.
    pub(super) fn new(name: &str, count: u32, create: bool) -> Self {
        let numbered = |kind: &str, count: u32| {
            (0..count).map(|number| format!("{name}{kind}-{number}")).collect()
        };
        // Each user is in two of them, so that none has an inbox that everybody writes to.
        Self { create, names: numbered("", count), users: numbered("-user", count.max(2)) }
    }

    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.names.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn name(&self, number: u32) -> &str {
        &self.names[number as usize]
    }

    /// A member who may send to it.
    pub(super) fn sender(&self, number: u32) -> &str {
        &self.users[number as usize]
    }

    fn members(&self, number: u32) -> [&str; 2] {
        let other = (number as usize + 1) % self.users.len();
        [self.sender(number), &self.users[other]]
    }

    /// Puts all of them there; those that are there already stay.
    pub(super) async fn put(&self, endpoint: &Endpoint) -> Result<(), ChatBenchError> {
        if !self.create {
            return Ok(());
        }
        let next = Arc::new(AtomicU32::new(0));
        let mut puts = JoinSet::new();
        for _ in 0..PUTS.min(self.names.len()) {
            puts.spawn(put(self.clone(), endpoint.clone(), Arc::clone(&next)));
        }
        while let Some(ended) = puts.join_next().await {
            ended.map_err(ChatBenchError::Worker)?.map_err(|error| {
                ChatBenchError::Server(format!("a conversation cannot be put: {error}"))
            })?;
        }
        Ok(())
    }
}

async fn put(
    conversations: Conversations,
    endpoint: Endpoint,
    next: Arc<AtomicU32>,
) -> Result<(), String> {
    let mut client = endpoint.connect().await.map_err(|error| error.to_string())?;
    let mut writer = endpoint.writer();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= conversations.count() {
            return Ok(());
        }
        let path = format!("/v1/conversations/{}", conversations.name(number));
        let body = json!({"members": conversations.members(number)}).to_string();
        let reply = client.call(writer.put(&path, body.as_bytes())).await;
        let reply = reply.map_err(|error| error.to_string())?;
        // A conflict is one that is there with other members, of whom the sender may be one.
        if !reply.is_success() && reply.status != 409 {
            let body = String::from_utf8_lossy(reply.body);
            return Err(format!("status {}: {body}", reply.status));
        }
    }
}
