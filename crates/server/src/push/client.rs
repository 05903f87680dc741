//! What calls one destination: HTTP/1.1 over connections that are used again. A name is resolved for
//! each new connection, and the address that was found to be allowed is the one that is connected to.
//! Redirects are answers like any other; there is no proxy, and no cookie.

use super::{address::Reach, target::Target};
use crate::answer::Body;
use bytes::{Bytes, BytesMut};
use hyper::{
    HeaderMap, Request, StatusCode,
    body::{Body as _, Incoming},
    client::conn::http1::{Builder, SendRequest},
};
use hyper_util::rt::TokioIo;
use std::{
    future::poll_fn,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    task::JoinHandle,
};

/// Connections of a destination that are kept while nobody uses them.
const IDLE_MAX: usize = 16;
/// How long.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;
/// How long one of them may take to be connected to.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of an answer's head.
const HEAD_BYTES_MAX: usize = 32 * 1_024;
/// Headers of an answer.
const HEADERS_MAX: usize = 100;

/// What a destination has answered.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Its body, up to so many bytes as were asked for.
    pub(super) body: Bytes,
    /// Whether that is all of it.
    pub(super) whole: bool,
}

/// Why there is no answer. What it says names neither path nor query, which may hold a secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// The name says nothing.
    #[error("the host's name cannot be resolved: {0}")]
    Resolve(io::Error),
    /// All of its addresses are kept out.
    #[error("{0} is not of the public internet, and webhooks may not go there")]
    Private(IpAddr),
    /// Nobody is there.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// Those who are there do not prove who they are, or speak no TLS.
    #[cfg(feature = "tls")]
    #[error("no TLS: {0}")]
    Tls(io::Error),
    /// The connection was lost, or what came was no HTTP.
    #[error("no whole answer: {0}")]
    CutOff(hyper::Error),
    /// Time was over.
    #[error("no whole answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// Time was over, and nobody had been reached.
    #[error("nobody was reached within {} ms", .0.as_millis())]
    NotReached(Duration),
}

/// Calls one destination.
pub(super) struct Client {
    target: Target,
    reach: Reach,
    #[cfg(feature = "tls")]
    tls: super::tls::Tls,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

/// A connection, and the task that drives it as long as this exists.
struct Connection {
    sender: SendRequest<Body>,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Both kinds of connections.
trait Wire: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Wire for T {}

impl Client {
    pub(super) fn new(
        target: Target,
        reach: Reach,
        #[cfg(feature = "tls")] tls: super::tls::Tls,
    ) -> Self {
        Self {
            target,
            reach,
            #[cfg(feature = "tls")]
            tls,
            idle: Mutex::new(Vec::new()),
        }
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// Sends `payload` under `headers` and waits for the answer, of which at most `bytes_max` bytes of
    /// the body are read; all of that within `timeout`.
    pub(super) async fn call(
        &self,
        headers: &HeaderMap,
        payload: Bytes,
        bytes_max: usize,
        timeout: Duration,
    ) -> Result<Answered, CallError> {
        let mut reached = false;
        let call = self.call_reaching(headers, payload, bytes_max, &mut reached);
        match tokio::time::timeout(timeout, call).await {
            Ok(called) => called,
            Err(_) if reached => Err(CallError::TimedOut(timeout)),
            Err(_) => Err(CallError::NotReached(timeout)),
        }
    }

    async fn call_reaching(
        &self,
        headers: &HeaderMap,
        payload: Bytes,
        bytes_max: usize,
        reached: &mut bool,
    ) -> Result<Answered, CallError> {
        // One that was idle may have been closed just now: then a fresh one is what was asked for.
        // The consumer, who may see a request twice anyway, hardly ever does because of this.
        if let Some(connection) = self.take_idle() {
            *reached = true;
            match exchange(connection, self.request(headers, payload.clone()), bytes_max).await {
                Ok(exchanged) => return Ok(self.keep(exchanged)),
                Err(Lost { begun: true, error }) => return Err(CallError::CutOff(error)),
                Err(Lost { begun: false, .. }) => *reached = false,
            }
        }
        let connection = self.connect().await?;
        *reached = true;
        match exchange(connection, self.request(headers, payload), bytes_max).await {
            Ok(exchanged) => Ok(self.keep(exchanged)),
            Err(Lost { error, .. }) => Err(CallError::CutOff(error)),
        }
    }

    fn request(&self, headers: &HeaderMap, payload: Bytes) -> Request<Body> {
        let mut request = Request::new(Body::Whole(payload));
        *request.method_mut() = hyper::Method::POST;
        *request.uri_mut() = self.target.path.parse().expect("it is part of a URL that was parsed");
        *request.headers_mut() = headers.clone();
        request
    }

    /// One that is idle and still there, the latest first. The others are closed.
    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|idle| {
            idle.since.elapsed() < IDLE_TIMEOUT && idle.connection.sender.is_ready()
        });
        Some(idle.pop()?.connection)
    }

    fn keep(&self, (answered, connection): (Answered, Option<Connection>)) -> Answered {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = connection.filter(|_| idle.len() < IDLE_MAX) {
            idle.push(Idle { connection, since: Instant::now() });
        }
        answered
    }

    async fn connect(&self) -> Result<Connection, CallError> {
        let stream = self.reach_host().await?;
        // Requests are written at once: waiting to fill a packet only delays them.
        stream.set_nodelay(true).map_err(CallError::Connect)?;
        #[cfg(feature = "tls")]
        if self.target.https {
            let stream =
                self.tls.connect(&self.target.host, stream).await.map_err(CallError::Tls)?;
            return handshake(stream).await;
        }
        handshake(stream).await
    }

    /// Connects to the first of the host's addresses that is allowed and answers.
    async fn reach_host(&self) -> Result<TcpStream, CallError> {
        let host = (self.target.host.as_str(), self.target.port);
        let found: Vec<SocketAddr> = lookup_host(host).await.map_err(CallError::Resolve)?.collect();
        let allowed = found.iter().filter(|address| self.reach.allows(address.ip()));
        let mut failed = None;
        for address in allowed.take(ADDRESSES_MAX) {
            let connecting = TcpStream::connect(address);
            let error = match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => error,
                Err(_) => io::ErrorKind::TimedOut.into(),
            };
            failed = Some(error);
        }
        Err(match (failed, found.first()) {
            (Some(error), _) => CallError::Connect(error),
            (None, Some(address)) => CallError::Private(address.ip()),
            (None, None) => CallError::Resolve(io::ErrorKind::NotFound.into()),
        })
    }
}

async fn handshake(stream: impl Wire) -> Result<Connection, CallError> {
    let (sender, connection) = Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(CallError::CutOff)?;
    let driver = tokio::spawn(async move {
        // What goes wrong is said to whoever waits for the answer.
        let _ = connection.await;
    });
    Ok(Connection { sender, driver })
}

/// There is no answer.
struct Lost {
    /// Whether one had begun.
    begun: bool,
    error: hyper::Error,
}

/// Sends a request and reads the answer; with it the connection, if it can be used again.
async fn exchange(
    mut connection: Connection,
    request: Request<Body>,
    bytes_max: usize,
) -> Result<(Answered, Option<Connection>), Lost> {
    let lost = |begun| move |error| Lost { begun, error };
    poll_fn(|cx| connection.sender.poll_ready(cx)).await.map_err(lost(false))?;
    let response = connection.sender.send_request(request).await.map_err(lost(false))?;
    let (head, body) = response.into_parts();
    let (body, whole) = read(body, bytes_max).await.map_err(lost(true))?;
    let answered = Answered { status: head.status, headers: head.headers, body, whole };
    Ok((answered, whole.then_some(connection)))
}

/// Reads a body as far as `bytes_max`, and whether that is its end.
async fn read(mut body: Incoming, bytes_max: usize) -> Result<(Bytes, bool), hyper::Error> {
    let mut read = BytesMut::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(piece) = frame?.into_data() else { continue };
        let room = bytes_max - read.len();
        read.extend_from_slice(&piece[..piece.len().min(room)]);
        if piece.len() > room {
            return Ok((read.freeze(), false));
        }
    }
    Ok((read.freeze(), true))
}
