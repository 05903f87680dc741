//! One running Evenkeel, asked over HTTP/1.1: connections that are kept and bounded, and a deadline
//! for each question. Without TLS, as the server is.

use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::{Body, Incoming},
    client::conn::http1::{SendRequest, handshake},
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, RETRY_AFTER},
    http::{self, uri::Authority},
};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{net::TcpStream, sync::Semaphore, time::timeout};

/// Connections at once; who finds none free waits for one, within the deadline.
const CONNECTIONS_MAX: usize = 64;
/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 64 * 1_024;

const PATH: &str = "/v1/limits/check";
const DEADLINE: HeaderName = HeaderName::from_static("evenkeel-deadline-ms");
/// What a caller may be told of an answer's headers.
const TOLD: [HeaderName; 3] = [
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("ratelimit-policy"),
    RETRY_AFTER,
];

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is not that of a server.
    #[error("an address is host:port, perhaps after http://, and not {0:?}")]
    Address(String),
    /// The key cannot be sent.
    #[error("an API key is printable text without blanks")]
    Key,
}

/// Why a check has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The check itself is wrong: its key is too long, say, or its scope is missing.
    #[error("the check is not valid: {0}")]
    Invalid(String),
    /// Evenkeel could not be reached, or the connection broke.
    #[error("Evenkeel could not be asked")]
    Connection(#[source] io::Error),
    /// What came is not an answer of Evenkeel, or it broke off.
    #[error("the answer was not understood")]
    Answer(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Evenkeel would not say: the limit is not there, the key may not ask, nobody can count.
    #[error("Evenkeel answered {status}: {detail}")]
    Refused {
        /// The status.
        status: StatusCode,
        /// The detail of the problem.
        detail: String,
    },
    /// No answer within the deadline. The check may have been counted.
    #[error("there was no answer within {0:?}")]
    DeadlineExceeded(Duration),
}

/// A question: one unit of `key` of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Check<'a> {
    /// The name of the limit.
    pub limit: &'a str,
    /// The scope, of a limit that is `scoped`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<&'a str>,
    /// What is counted together.
    pub key: &'a str,
}

/// What was decided about a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whether it fits. If not, nothing was counted.
    pub allowed: bool,
    /// Whether nobody could count it, so that the limit's own `on_unavailable` was the answer.
    pub degraded: bool,
    /// `RateLimit`, `RateLimit-Policy` and `Retry-After`, as far as they were there.
    pub headers: HeaderMap,
}

/// A running Evenkeel. Clones share their connections.
#[derive(Clone)]
pub struct Client {
    authority: Authority,
    authorization: Option<HeaderValue>,
    connections: Arc<Connections>,
}

struct Connections {
    places: Semaphore,
    /// Those that nobody uses now, the latest last.
    kept: Mutex<Vec<SendRequest<String>>>,
}

impl Client {
    /// Of the server at `address`, `host:port`. It is not asked before the first check.
    pub fn new(address: &str) -> Result<Self, ClientError> {
        let wrong = || ClientError::Address(address.to_owned());
        let authority = address.strip_prefix("http://").unwrap_or(address).trim_end_matches('/');
        let authority: Authority = authority.parse().map_err(|_| wrong())?;
        if authority.port_u16().is_none() || authority.as_str().contains('@') {
            return Err(wrong());
        }
        let connections =
            Connections { places: Semaphore::new(CONNECTIONS_MAX), kept: Mutex::default() };
        Ok(Self { authority, authorization: None, connections: Arc::new(connections) })
    }

    /// The same with an API key, which needs the scope `limits:write`.
    pub fn api_key(mut self, key: &str) -> Result<Self, ClientError> {
        let graphic = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
        let bearer = HeaderValue::try_from(format!("Bearer {key}")).ok().filter(|_| graphic);
        let mut bearer = bearer.ok_or(ClientError::Key)?;
        bearer.set_sensitive(true);
        self.authorization = Some(bearer);
        Ok(self)
    }

    /// Asks whether `check` fits, and has it counted if it does; within `deadline`.
    pub async fn check(&self, check: &Check<'_>, deadline: Duration) -> Result<Answer, CheckError> {
        let request = self.request(check, deadline)?;
        timeout(deadline, self.ask(request))
            .await
            .unwrap_or(Err(CheckError::DeadlineExceeded(deadline)))
    }

    fn request(
        &self,
        check: &Check<'_>,
        deadline: Duration,
    ) -> Result<Request<String>, CheckError> {
        let body = serde_json::json!({ "checks": [check] }).to_string();
        let deadline_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        let mut request = Request::post(PATH)
            .header(HOST, self.authority.as_str())
            .header(CONTENT_TYPE, "application/json")
            .header(DEADLINE, deadline_ms.clamp(1, DEADLINE_MS_MAX));
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        request.body(body).map_err(|error: http::Error| CheckError::Answer(error.into()))
    }

    async fn ask(&self, mut request: Request<String>) -> Result<Answer, CheckError> {
        let _place =
            self.connections.places.acquire().await.expect("the semaphore is never closed");
        while let Some(mut kept) = self.kept() {
            // The server may have ended it meanwhile: what was not sent goes over another.
            if kept.ready().await.is_err() {
                continue;
            }
            match kept.try_send_request(request).await {
                Ok(response) => return self.hear(kept, response).await,
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(broken(error.into_error())),
                },
            }
        }
        let mut fresh = self.connect().await?;
        let response = fresh.send_request(request).await.map_err(broken)?;
        self.hear(fresh, response).await
    }

    fn kept(&self) -> Option<SendRequest<String>> {
        self.connections.kept.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    async fn connect(&self) -> Result<SendRequest<String>, CheckError> {
        let stream =
            TcpStream::connect(self.authority.as_str()).await.map_err(CheckError::Connection)?;
        stream.set_nodelay(true).map_err(CheckError::Connection)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // It ends once its sender is dropped, or the server ends it.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to Evenkeel broke");
            }
        });
        Ok(sender)
    }

    /// Reads an answer to its end; then its connection can be used again.
    async fn hear(
        &self,
        connection: SendRequest<String>,
        response: Response<Incoming>,
    ) -> Result<Answer, CheckError> {
        let (head, body) = response.into_parts();
        let body = whole(body).await?;
        if !connection.is_closed() {
            let mut kept = self.connections.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.push(connection);
        }
        understand(head.status, &head.headers, &body)
    }
}

/// The longest deadline that Evenkeel understands.
const DEADLINE_MS_MAX: u64 = 3_600_000;

fn broken(error: hyper::Error) -> CheckError {
    CheckError::Connection(io::Error::other(error))
}

/// All of `body`, if it is no longer than an answer can be.
async fn whole(mut body: Incoming) -> Result<Vec<u8>, CheckError> {
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        if bytes.len() + data.len() > ANSWER_BYTES_MAX {
            let why = format!("it is longer than {ANSWER_BYTES_MAX} bytes");
            return Err(CheckError::Answer(why.into()));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

fn understand(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<Answer, CheckError> {
    #[derive(Deserialize)]
    struct Decided {
        allowed: bool,
        degraded: bool,
    }
    #[derive(Default, Deserialize)]
    struct Problem {
        detail: String,
    }
    if status != StatusCode::OK {
        let Problem { detail } = serde_json::from_slice(body).unwrap_or_default();
        return Err(match status {
            StatusCode::BAD_REQUEST => CheckError::Invalid(detail),
            _ => CheckError::Refused { status, detail },
        });
    }
    let Decided { allowed, degraded } =
        serde_json::from_slice(body).map_err(|error| CheckError::Answer(error.into()))?;
    let told = TOLD.into_iter().filter_map(|name| Some((headers.get(&name)?.clone(), name)));
    Ok(Answer { allowed, degraded, headers: told.map(|(value, name)| (name, value)).collect() })
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("address", &self.authority.as_str()).finish_non_exhaustive()
    }
}
