//! A minimal HTTP/1.1 client: one connection, one request in flight, replies read in place.
//!
//! Not a general client: no TLS, no redirects, no pool, no retries. Reconnecting is the
//! caller's decision, because only the caller knows whether a request may be sent again.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::chunked::Chunked;
use super::connection::{BUFFER_BYTES, Connection};
use super::events::EventStream;

/// A reply's head or body beyond this is refused.
pub(super) const REPLY_BYTES_MAX: usize = 16 * 1024 * 1024;
const HEAD_BYTES_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 64;

/// Why a request got no usable reply.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection: the request was not sent.
    #[error("cannot connect: {0}")]
    Connect(#[source] io::Error),
    /// No connection in time: the request was not sent.
    #[error("cannot connect in time")]
    ConnectTimedOut,
    /// No whole reply in time.
    #[error("no reply in time")]
    TimedOut,
    /// The peer closed the connection before the reply was whole.
    #[error("the connection was closed before the reply was whole")]
    Closed,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[source] io::Error),
    /// The reply is not HTTP/1.1.
    #[error("the reply is malformed: {0}")]
    Malformed(&'static str),
    /// The reply is larger than this client takes.
    #[error("the reply is larger than {bytes_max} bytes")]
    TooLarge {
        /// The limit.
        bytes_max: usize,
    },
    /// A stream was asked for and the answer was another status.
    #[error("the stream was refused with status {status}: {body}")]
    StreamRefused {
        /// The HTTP status.
        status: u16,
        /// The body as text.
        body: String,
    },
    /// An earlier request on this connection failed or asked to close it.
    #[error("the connection is no longer usable")]
    Unusable,
}

impl ClientError {
    /// True when the request cannot have reached the server. Everything else leaves its
    /// effect unknown.
    #[must_use]
    pub fn has_no_side_effects(&self) -> bool {
        matches!(self, Self::Connect(_) | Self::ConnectTimedOut | Self::Unusable)
    }
}

/// One connection that carries one request at a time.
pub struct Client {
    connection: Connection,
    decoded: Vec<u8>,
    timeout: Duration,
    usable: bool,
}

/// A whole reply, borrowed from the connection's buffer until the next request.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The body, with any transfer coding removed.
    pub body: &'a [u8],
    head: &'a [u8],
}

impl<'a> Reply<'a> {
    /// The first header of that name, whatever its case. Parses the head again: the callers
    /// that need no header pay nothing for them.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        response.parse(self.head).ok()?;
        let found =
            response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok()
    }

    /// True for 200–299.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl Client {
    /// Connects, with `TCP_NODELAY`. `timeout` bounds the connect and then each request.
    ///
    /// # Errors
    /// [`ClientError::Connect`] or [`ClientError::ConnectTimedOut`].
    pub async fn connect(address: SocketAddr, timeout: Duration) -> Result<Self, ClientError> {
        Ok(Self {
            connection: Connection::open(address, timeout, BUFFER_BYTES).await?,
            decoded: Vec::new(),
            timeout,
            usable: true,
        })
    }

    /// False once a request failed, was dropped half-way, or the server asked to close: then
    /// only a new connection helps.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.usable
    }

    /// Sends the bytes of one request (see [`super::RequestWriter`]) and reads its reply.
    ///
    /// # Errors
    /// Any [`ClientError`]; afterwards the connection is unusable.
    pub async fn call(&mut self, request: &[u8]) -> Result<Reply<'_>, ClientError> {
        if !self.usable {
            return Err(ClientError::Unusable);
        }
        // Stays so if this future is dropped: a late reply must not answer the next request.
        self.usable = false;
        self.connection.start_timer(self.timeout);
        self.connection.send(request).await?;
        let head = self.read_head().await?;
        let in_place = self.read_body(&head).await?;
        self.usable = head.keep_alive;
        let bytes = self.connection.bytes();
        Ok(Reply {
            status: head.status,
            head: &bytes[..head.bytes],
            body: match in_place {
                Some(length) => &bytes[head.bytes..head.bytes + length],
                None => &self.decoded,
            },
        })
    }

    /// Sends a request whose reply is a Server-Sent Events stream.
    ///
    /// # Errors
    /// [`ClientError::StreamRefused`] for any status but 200, and what [`Client::call`] answers.
    pub async fn subscribe(mut self, request: &[u8]) -> Result<EventStream, ClientError> {
        if !self.usable {
            return Err(ClientError::Unusable);
        }
        self.connection.start_timer(self.timeout);
        self.connection.send(request).await?;
        let head = self.read_head().await?;
        if head.status != 200 {
            let in_place = self.read_body(&head).await?;
            let body = match in_place {
                Some(length) => &self.connection.bytes()[head.bytes..head.bytes + length],
                None => &self.decoded,
            };
            return Err(ClientError::StreamRefused {
                status: head.status,
                body: String::from_utf8_lossy(body).into_owned(),
            });
        }
        self.connection.consume(head.bytes);
        Ok(EventStream::new(self.connection, head.framing, self.timeout))
    }

    async fn read_head(&mut self) -> Result<Head, ClientError> {
        self.connection.clear();
        loop {
            if self.connection.fill(HEAD_BYTES_MAX).await? == 0 {
                return Err(ClientError::Closed);
            }
            while let Some(head) = Head::parse(self.connection.bytes())? {
                if !head.is_interim() {
                    return Ok(head);
                }
                self.connection.consume(head.bytes);
            }
        }
    }

    /// Answers the body's length when it lies in the connection's buffer behind the head, or
    /// none when it was put together in `decoded`.
    async fn read_body(&mut self, head: &Head) -> Result<Option<usize>, ClientError> {
        match head.framing {
            Framing::Length(length) => {
                let whole = head.bytes.saturating_add(length);
                if whole > REPLY_BYTES_MAX {
                    return Err(ClientError::TooLarge { bytes_max: REPLY_BYTES_MAX });
                }
                while self.connection.bytes().len() < whole {
                    if self.connection.fill(REPLY_BYTES_MAX).await? == 0 {
                        return Err(ClientError::Closed);
                    }
                }
                if self.connection.bytes().len() > whole {
                    return Err(ClientError::Malformed("bytes follow the reply"));
                }
                Ok(Some(length))
            }
            Framing::Chunked => self.read_chunked(head.bytes).await.map(|()| None),
            Framing::UntilClose => {
                while self.connection.fill(REPLY_BYTES_MAX).await? > 0 {}
                Ok(Some(self.connection.bytes().len() - head.bytes))
            }
        }
    }

    async fn read_chunked(&mut self, head_bytes: usize) -> Result<(), ClientError> {
        self.decoded.clear();
        let mut chunked = Chunked::new();
        let mut at = head_bytes;
        loop {
            let bytes = self.connection.bytes();
            at += chunked.decode(&bytes[at..], &mut self.decoded)?;
            if chunked.is_done() {
                break;
            }
            if self.connection.fill(REPLY_BYTES_MAX).await? == 0 {
                return Err(ClientError::Closed);
            }
        }
        if at != self.connection.bytes().len() {
            return Err(ClientError::Malformed("bytes follow the reply"));
        }
        Ok(())
    }
}

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

struct Head {
    status: u16,
    bytes: usize,
    framing: Framing,
    keep_alive: bool,
}

impl Head {
    /// None until the head is whole.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, ClientError> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let parsed = response
            .parse(bytes)
            .map_err(|_| ClientError::Malformed("the head is not HTTP/1.1"))?;
        let httparse::Status::Complete(head_bytes) = parsed else {
            return Ok(None);
        };
        let status = response.code.unwrap_or(0);
        let mut keep_alive = response.version == Some(1);
        let mut framing = Framing::UntilClose;
        for header in response.headers.iter() {
            if header.name.eq_ignore_ascii_case("content-length") {
                if framing != Framing::Chunked {
                    framing = Framing::Length(parse_length(header.value)?);
                }
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                if !header.value.eq_ignore_ascii_case(b"chunked") {
                    return Err(ClientError::Malformed("an unknown transfer coding"));
                }
                framing = Framing::Chunked;
            } else if header.name.eq_ignore_ascii_case("connection") {
                keep_alive &= !header.value.eq_ignore_ascii_case(b"close");
            }
        }
        if status < 200 || status == 204 || status == 304 {
            framing = Framing::Length(0);
        }
        Ok(Some(Self {
            status,
            bytes: head_bytes,
            keep_alive: keep_alive && framing != Framing::UntilClose,
            framing,
        }))
    }

    /// An interim reply (100–199) precedes the real one and has no body.
    fn is_interim(&self) -> bool {
        self.status < 200
    }
}

fn parse_length(value: &[u8]) -> Result<usize, ClientError> {
    std::str::from_utf8(value)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .ok_or(ClientError::Malformed("the content length is not a number"))
}

#[cfg(test)]
mod tests {
    use super::super::canned::{Canned, serve};
    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    const LIMIT: Duration = Duration::from_secs(10);

    async fn client(replies: Vec<Canned>) -> Client {
        Client::connect(serve(replies).await, LIMIT).await.unwrap()
    }

    #[tokio::test]
    async fn reads_length_and_chunked_bodies_on_one_connection_however_they_are_split() {
        let length = "HTTP/1.1 201 Created\r\nContent-Length: 5\r\nX-Name: Value\r\n\r\nhello";
        let chunked =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        let empty = "HTTP/1.1 204 No Content\r\n\r\n";
        let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        for piece in [1, 7, 4096] {
            let replies = [length, chunked, empty, interim];
            let mut client =
                client(replies.iter().map(|r| Canned::pieces(r, piece)).collect()).await;
            let reply = client.call(REQUEST).await.unwrap();
            assert_eq!((reply.status, reply.body), (201, &b"hello"[..]));
            assert_eq!(reply.header("x-name"), Some("Value"));
            assert_eq!(reply.header("absent"), None);
            assert_eq!(client.call(REQUEST).await.unwrap().body, b"abcde");
            assert_eq!(client.call(REQUEST).await.unwrap().status, 204);
            let last = client.call(REQUEST).await.unwrap();
            assert_eq!((last.status, last.body), (200, &b"ok"[..]));
            assert!(client.is_usable());
        }
    }

    #[tokio::test]
    async fn a_body_larger_than_the_buffer_is_whole() {
        let body = "x".repeat(300_000);
        let reply = format!("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n{body}");
        let mut client = client(vec![Canned::pieces(&reply, 1 << 20)]).await;
        assert_eq!(client.call(REQUEST).await.unwrap().body, body.as_bytes());
    }

    #[tokio::test]
    async fn a_server_that_closes_makes_the_connection_unusable() {
        let reply = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end";
        let mut client = client(vec![Canned::pieces(reply, 4), Canned::Close]).await;
        assert_eq!(client.call(REQUEST).await.unwrap().body, b"to the end");
        assert!(!client.is_usable());
        let error = client.call(REQUEST).await.unwrap_err();
        assert!(matches!(error, ClientError::Unusable) && error.has_no_side_effects());
    }

    #[tokio::test]
    async fn a_cut_reply_is_an_error_whose_effect_is_unknown() {
        let cut = "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort";
        let mut client = client(vec![Canned::pieces(cut, 4096), Canned::Close]).await;
        let error = client.call(REQUEST).await.unwrap_err();
        assert!(matches!(error, ClientError::Closed | ClientError::Io(_)));
        assert!(!error.has_no_side_effects() && !client.is_usable());
    }

    #[tokio::test]
    async fn malformed_replies_are_refused() {
        for reply in [
            "SSH-2.0-OpenSSH\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
        ] {
            let mut client = client(vec![Canned::pieces(reply, 4096)]).await;
            let error = client.call(REQUEST).await.unwrap_err();
            assert!(matches!(error, ClientError::Malformed(_)), "{reply}");
        }
        let huge = "HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n";
        let mut client = client(vec![Canned::pieces(huge, 4096)]).await;
        let error = client.call(REQUEST).await.unwrap_err();
        assert!(matches!(error, ClientError::TooLarge { .. }));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_at_the_timeout() {
        let mut client = client(vec![Canned::Silence]).await;
        let error = client.call(REQUEST).await.unwrap_err();
        assert!(matches!(error, ClientError::TimedOut));
        assert!(!client.is_usable());
    }

    #[tokio::test]
    async fn a_closed_port_refuses() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = Client::connect(address, LIMIT).await.err().unwrap();
        assert!(error.has_no_side_effects());
    }
}
