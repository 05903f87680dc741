//! Creates resources before a run, several at once but never without bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use super::super::client::ClientError;
use super::super::endpoint::Endpoint;

const CONNECTIONS: u64 = 16;
/// A busy server is asked again this often, so a flood of creates waits instead of failing.
const BUSY_TRIES_MAX: u32 = 500;
const BUSY_PAUSE: Duration = Duration::from_millis(20);

/// One resource to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Its name.
    pub name: String,
    /// The body of its PUT.
    pub body: String,
}

/// Why a resource was not created.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The request got no usable reply.
    #[error("cannot create the resource `{resource}`: {source}")]
    Client {
        /// Which.
        resource: String,
        /// What happened.
        source: ClientError,
    },
    /// The server said no.
    #[error("the server refused to create the resource `{resource}`: {status} {body}")]
    Refused {
        /// Which.
        resource: String,
        /// The HTTP status.
        status: u16,
        /// The beginning of the body.
        body: String,
    },
    /// A task panicked.
    #[error("creating resources panicked: {0}")]
    Worker(#[source] tokio::task::JoinError),
}

/// Puts the resources `describe(0..count)`; answers when all are there. A PUT is naturally
/// idempotent, so an interrupted setup is simply run again.
///
/// # Errors
/// The first [`SetupError`]; the others in flight are dropped.
pub async fn create_resources(
    endpoint: &Endpoint,
    count: u64,
    describe: impl Fn(u64) -> Resource + Send + Sync + 'static,
) -> Result<(), SetupError> {
    let next = Arc::new(AtomicU64::new(0));
    let describe = Arc::new(describe);
    let mut workers = JoinSet::new();
    for _ in 0..CONNECTIONS.min(count) {
        let (endpoint, next) = (endpoint.clone(), Arc::clone(&next));
        let describe = Arc::clone(&describe);
        workers.spawn(async move { create(&endpoint, &next, count, &*describe).await });
    }
    while let Some(ended) = workers.join_next().await {
        ended.map_err(SetupError::Worker)??;
    }
    Ok(())
}

async fn create(
    endpoint: &Endpoint,
    next: &AtomicU64,
    count: u64,
    describe: &(impl Fn(u64) -> Resource + Sync),
) -> Result<(), SetupError> {
    let mut writer = endpoint.writer();
    let mut client = None;
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        if index >= count {
            return Ok(());
        }
        let resource = describe(index);
        let failed = |source| SetupError::Client { resource: resource.name.clone(), source };
        let path = format!("/v1/resources/{}", resource.name);
        for attempt in 1.. {
            let mut open = match client.take() {
                Some(open) => open,
                None => endpoint.connect().await.map_err(failed)?,
            };
            let reply =
                open.call(writer.put(&path, resource.body.as_bytes())).await.map_err(failed)?;
            let success = reply.is_success();
            let busy = reply.status == 429 && attempt < BUSY_TRIES_MAX;
            if !success && !busy {
                return Err(SetupError::Refused {
                    resource: resource.name.clone(),
                    status: reply.status,
                    body: String::from_utf8_lossy(&reply.body[..reply.body.len().min(300)])
                        .into_owned(),
                });
            }
            client = Some(open).filter(super::super::client::Client::is_usable);
            if success {
                break;
            }
            tokio::time::sleep(BUSY_PAUSE).await;
        }
    }
}
