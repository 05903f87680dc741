//! Creates resources before a run, several at once but never without bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Deserialize;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::super::client::{Client, ClientError, Reply};
use super::super::endpoint::Endpoint;
use super::super::request::RequestWriter;

const CONNECTIONS: u64 = 16;
/// How long a busy server is asked again for one resource, so a flood of creates waits for what it
/// fills (a mailbox, the state that is not flushed yet) instead of failing.
const RETRY_FOR: Duration = Duration::from_secs(60);
/// The pause before that, unless the server says how long.
const BUSY_PAUSE: Duration = Duration::from_millis(100);

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
    /// The server stayed busy.
    #[error(
        "the server is too busy to create the resource `{resource}`, asked again for {} s: \
         {status} {body}", RETRY_FOR.as_secs()
    )]
    Busy {
        /// Which.
        resource: String,
        /// The last HTTP status.
        status: u16,
        /// The beginning of its body.
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
        client = Some(put(endpoint, &mut writer, client, &describe(index)).await?);
    }
}

/// Puts one resource, again while the server is busy; answers the connection for the next one.
async fn put(
    endpoint: &Endpoint,
    writer: &mut RequestWriter,
    mut client: Option<Client>,
    resource: &Resource,
) -> Result<Client, SetupError> {
    let failed = |source| SetupError::Client { resource: resource.name.clone(), source };
    let path = format!("/v1/resources/{}", resource.name);
    let give_up_at = Instant::now() + RETRY_FOR;
    loop {
        let mut open = match client.take().filter(Client::is_usable) {
            Some(open) => open,
            None => endpoint.connect().await.map_err(failed)?,
        };
        let reply = open.call(writer.put(&path, resource.body.as_bytes())).await.map_err(failed)?;
        if reply.is_success() {
            return Ok(open);
        }
        let name = resource.name.clone();
        let (status, body) = (reply.status, beginning(reply.body));
        let Some(pause) = busy(&reply) else {
            return Err(SetupError::Refused { resource: name, status, body });
        };
        if Instant::now() + pause > give_up_at {
            return Err(SetupError::Busy { resource: name, status, body });
        }
        tokio::time::sleep(pause).await;
        client = Some(open);
    }
}

/// How long to wait before asking again, if the server says that this may help.
fn busy(reply: &Reply<'_>) -> Option<Duration> {
    #[derive(Deserialize)]
    struct Problem {
        retryable: bool,
    }
    let retryable = matches!(reply.status, 429 | 503)
        && serde_json::from_slice(reply.body).is_ok_and(|problem: Problem| problem.retryable);
    let asked = || reply.header("retry-after")?.parse().ok().map(Duration::from_secs);
    retryable.then(|| asked().unwrap_or(BUSY_PAUSE))
}

fn beginning(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::super::canned::{Canned, serve};
    use super::*;

    const BUSY: &str = r#"{"code":"unavailable","status":503,"retryable":true,
        "detail":"the state is not flushed as fast as it changes"}"#;

    fn reply(status: u16, headers: &str, body: &str) -> Canned {
        let length = body.len();
        let text =
            format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
        Canned::pieces(&text, 4096)
    }

    /// What comes of creating one resource on a server that gives these answers, then none.
    async fn created(mut replies: Vec<Canned>) -> Result<(), SetupError> {
        replies.push(Canned::Close);
        let target = serve(replies).await.to_string();
        let endpoint = Endpoint::resolve(&target, None, Duration::from_secs(10)).await.unwrap();
        create_resources(&endpoint, 1, |_| Resource { name: "r".into(), body: "{}".into() }).await
    }

    #[tokio::test]
    async fn a_server_that_is_busy_is_asked_again() {
        let now = "Retry-After: 0\r\n";
        let overloaded = r#"{"code":"overloaded","retryable":true}"#;
        let replies =
            vec![reply(503, now, BUSY), reply(429, now, overloaded), reply(201, "", "{}")];
        created(replies).await.unwrap();
    }

    #[tokio::test]
    async fn a_server_that_stays_busy_is_given_up() {
        let error = created(vec![reply(503, "Retry-After: 61\r\n", BUSY)]).await.unwrap_err();
        assert!(matches!(error, SetupError::Busy { status: 503, .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("asked again for 60 s: 503") && text.contains("flushed"), "{text}");
    }

    #[tokio::test]
    async fn what_does_not_help_to_repeat_is_not_repeated() {
        let now = "Retry-After: 0\r\n";
        for (status, body) in [
            (503, r#"{"code":"unavailable","retryable":false}"#),
            (503, "a proxy's page"),
            (409, r#"{"code":"capacity_in_use","retryable":true}"#),
        ] {
            let error = created(vec![reply(status, now, body)]).await.unwrap_err();
            let SetupError::Refused { status: told, body: said, .. } = error else {
                panic!("{status} {body}: {error}");
            };
            assert_eq!((told, said.as_str()), (status, body));
        }
    }

    #[tokio::test]
    async fn the_pause_is_the_servers_or_a_short_one() {
        for (headers, expected) in [
            ("", BUSY_PAUSE),
            ("Retry-After: 7\r\n", Duration::from_secs(7)),
            ("Retry-After: soon\r\n", BUSY_PAUSE),
        ] {
            let address = serve(vec![reply(429, headers, BUSY)]).await;
            let mut client = Client::connect(address, Duration::from_secs(10)).await.unwrap();
            let reply = client.call(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            assert_eq!(busy(&reply), Some(expected), "{headers}");
        }
    }
}
