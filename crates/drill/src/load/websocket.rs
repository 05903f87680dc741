//! A WebSocket client (RFC 6455): text messages over one connection, written together and read in
//! place.
//!
//! The codec of frame headers is `tungstenite`'s; around it is what costs a load generator least: one
//! buffer each way, one write for all that waits to be sent, no copy of what arrives.
//! Not a general client: no TLS, no extensions, no messages in fragments.

use std::io::Cursor;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::client::{ClientError, REPLY_BYTES_MAX};
use super::connection::Connection;
use super::request::RequestWriter;

/// The handshake's key and its answer, as section 1.3 of the RFC has them. The answer shows that the
/// server speaks WebSocket; a key that differs each time would show no more here, and cost a SHA-1.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(super) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const HEAD_BYTES_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 64;
/// A refusal's body is quoted so far.
const QUOTE_BYTES_MAX: usize = 300;

/// Why a WebSocket cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum WebSocketError {
    /// The connection failed, or nothing came in time.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The server does not change to WebSocket.
    #[error("the WebSocket was refused with status {status}: {body}")]
    Refused {
        /// Of HTTP.
        status: u16,
        /// What it says, as far as it came with the head.
        body: String,
    },
    /// What came is no WebSocket, or one that this client does not speak.
    #[error("the WebSocket is malformed: {0}")]
    Malformed(&'static str),
    /// The server closed it.
    #[error("the WebSocket was closed with {code}: {reason}")]
    Closed {
        /// Of the close frame; 1005 if it had none.
        code: u16,
        /// What it says.
        reason: String,
    },
}

impl WebSocketError {
    /// True when nothing came in time: the connection goes on.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Client(ClientError::TimedOut))
    }
}

/// One open connection. Writing and reading take turns: a caller that has less in flight than the
/// sockets' buffers hold cannot be blocked by that.
pub struct WebSocket {
    connection: Connection,
    /// How much of what the connection holds was given out.
    taken: usize,
    outbound: Vec<u8>,
    masks: fastrand::Rng,
    timeout: Duration,
}

impl WebSocket {
    /// Connects and shakes hands; `timeout` bounds that, and then each write and each read.
    ///
    /// # Errors
    /// [`WebSocketError`]; no message was sent.
    pub async fn open(
        address: SocketAddr,
        timeout: Duration,
        writer: &mut RequestWriter,
        path: &str,
        buffer_bytes: usize,
    ) -> Result<Self, WebSocketError> {
        let mut connection = Connection::open(address, timeout, buffer_bytes).await?;
        let headers = [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", KEY),
        ];
        connection.start_timer(timeout);
        connection.send(writer.write("GET", path, &headers, None)).await?;
        let head_bytes = loop {
            if connection.fill(HEAD_BYTES_MAX).await? == 0 {
                return Err(ClientError::Closed.into());
            }
            if let Some(head_bytes) = check_head(connection.bytes())? {
                break head_bytes;
            }
        };
        Ok(Self {
            connection,
            taken: head_bytes,
            outbound: Vec::new(),
            masks: fastrand::Rng::new(),
            timeout,
        })
    }

    /// Adds a text message to what the next [`WebSocket::flush`] sends.
    pub fn push(&mut self, text: &[u8]) {
        self.push_frame(OpCode::Data(Data::Text), text);
    }

    fn push_frame(&mut self, opcode: OpCode, payload: &[u8]) {
        let mask = self.masks.u32(..).to_ne_bytes();
        let header = FrameHeader { opcode, mask: Some(mask), ..FrameHeader::default() };
        header
            .format(payload.len() as u64, &mut self.outbound)
            .expect("writing to memory does not fail");
        let begin = self.outbound.len();
        self.outbound.extend_from_slice(payload);
        let mut words = self.outbound[begin..].chunks_exact_mut(4);
        let of_word = u32::from_ne_bytes(mask);
        for word in words.by_ref() {
            let masked = u32::from_ne_bytes([word[0], word[1], word[2], word[3]]) ^ of_word;
            word.copy_from_slice(&masked.to_ne_bytes());
        }
        for (byte, mask) in words.into_remainder().iter_mut().zip(mask) {
            *byte ^= mask;
        }
    }

    /// True when something was added and could not be sent whole.
    #[must_use]
    pub fn has_outbound(&self) -> bool {
        !self.outbound.is_empty()
    }

    /// Sends what was added.
    ///
    /// # Errors
    /// [`WebSocketError::Client`]; what was sent and not acknowledged may have arrived.
    pub async fn flush(&mut self) -> Result<(), WebSocketError> {
        if !self.outbound.is_empty() {
            self.connection.start_timer(self.timeout);
            self.connection.send(&self.outbound).await?;
            self.outbound.clear();
        }
        Ok(())
    }

    /// The next message if it has arrived whole; reads nothing.
    ///
    /// # Errors
    /// [`WebSocketError::Closed`] when the server ended it, and what it may not send.
    pub fn take(&mut self) -> Result<Option<&[u8]>, WebSocketError> {
        let text = self.take_text()?;
        Ok(text.map(|range| &self.connection.bytes()[range]))
    }

    /// Waits for the next message, and sends first what was added.
    ///
    /// # Errors
    /// As [`WebSocket::take`] and [`WebSocket::fill`].
    pub async fn next(&mut self) -> Result<&[u8], WebSocketError> {
        let text = loop {
            if let Some(text) = self.take_text()? {
                break text;
            }
            self.fill(self.timeout).await?;
        };
        Ok(&self.connection.bytes()[text])
    }

    /// Sends what was added and reads once.
    ///
    /// # Errors
    /// [`WebSocketError::is_timeout`] when nothing came within `limit`; else the connection broke.
    pub async fn fill(&mut self, limit: Duration) -> Result<(), WebSocketError> {
        self.flush().await?;
        self.connection.consume(self.taken);
        self.taken = 0;
        self.connection.start_timer(limit);
        match self.connection.fill(REPLY_BYTES_MAX).await? {
            0 => Err(ClientError::Closed.into()),
            _ => Ok(()),
        }
    }

    /// Where the next whole message lies. Pings are answered with the next flush.
    fn take_text(&mut self) -> Result<Option<Range<usize>>, WebSocketError> {
        loop {
            let mut unread = Cursor::new(&self.connection.bytes()[self.taken..]);
            let header = FrameHeader::parse(&mut unread);
            let header = header.map_err(|_| WebSocketError::Malformed("an unknown frame"))?;
            let Some((header, length)) = header else { return Ok(None) };
            if length > REPLY_BYTES_MAX as u64 {
                return Err(ClientError::TooLarge { bytes_max: REPLY_BYTES_MAX }.into());
            }
            let begin = self.taken + unread.position() as usize;
            let end = begin + length as usize;
            if end > self.connection.bytes().len() {
                return Ok(None);
            }
            if header.mask.is_some() {
                return Err(WebSocketError::Malformed("a server masks nothing"));
            }
            self.taken = end;
            match header.opcode {
                OpCode::Data(Data::Text) if header.is_final => return Ok(Some(begin..end)),
                OpCode::Data(_) => {
                    return Err(WebSocketError::Malformed("a message is not one frame of text"));
                }
                OpCode::Control(Control::Ping) => {
                    let payload = self.connection.bytes()[begin..end].to_vec();
                    self.push_frame(OpCode::Control(Control::Pong), &payload);
                }
                OpCode::Control(Control::Close) => {
                    return Err(closed(&self.connection.bytes()[begin..end]));
                }
                OpCode::Control(_) => {}
            }
        }
    }
}

/// A close frame's payload as an error.
fn closed(payload: &[u8]) -> WebSocketError {
    let (code, reason) = match payload {
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
        _ => (1005, &[][..]),
    };
    WebSocketError::Closed { code, reason: String::from_utf8_lossy(reason).into_owned() }
}

/// The length of a whole head that agrees to the change of protocol; none until it is whole.
fn check_head(bytes: &[u8]) -> Result<Option<usize>, WebSocketError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response
        .parse(bytes)
        .map_err(|_| WebSocketError::Malformed("the handshake is not HTTP/1.1"))?;
    let httparse::Status::Complete(head_bytes) = parsed else { return Ok(None) };
    let status = response.code.unwrap_or(0);
    if status != 101 {
        let body = &bytes[head_bytes..bytes.len().min(head_bytes + QUOTE_BYTES_MAX)];
        let body = String::from_utf8_lossy(body).into_owned();
        return Err(WebSocketError::Refused { status, body });
    }
    let accepts = response.headers.iter().any(|header| {
        header.name.eq_ignore_ascii_case("sec-websocket-accept")
            && header.value == ACCEPT.as_bytes()
    });
    if !accepts {
        return Err(WebSocketError::Malformed("the handshake's answer does not fit its key"));
    }
    Ok(Some(head_bytes))
}

#[cfg(test)]
mod tests {
    use super::super::canned::{Canned, serve};
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn head() -> Vec<u8> {
        format!("HTTP/1.1 101 X\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\r\n")
            .into_bytes()
    }

    fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len()).unwrap();
        let mut bytes = vec![0x80 | opcode];
        if length < 126 {
            bytes.push(length as u8);
        } else {
            bytes.push(126);
            bytes.extend(length.to_be_bytes());
        }
        bytes.extend(payload);
        bytes
    }

    async fn open(bytes: Vec<u8>, piece: usize) -> Result<WebSocket, WebSocketError> {
        // Then silence: a close while a pong is unread could overtake what was sent before.
        let address = serve(vec![Canned::Bytes { bytes, piece }, Canned::Silence]).await;
        let mut writer = RequestWriter::new("x", None);
        WebSocket::open(address, LIMIT, &mut writer, "/v1/realtime", 16).await
    }

    #[tokio::test]
    async fn messages_are_whole_however_they_are_split() {
        let long = "x".repeat(5_000);
        let frames = [frame(1, b"one"), frame(9, b"ping"), frame(1, long.as_bytes())];
        let end = frame(8, &[&3008_u16.to_be_bytes()[..], b"slow"].concat());
        let bytes = [head(), frames.concat(), end].concat();
        for piece in [1, 7, 100_000] {
            let mut socket = open(bytes.clone(), piece).await.unwrap();
            assert_eq!(socket.next().await.unwrap(), b"one");
            assert_eq!(socket.next().await.unwrap(), long.as_bytes());
            let closed = socket.next().await.unwrap_err();
            let WebSocketError::Closed { code: 3008, reason } = closed else { panic!("{closed}") };
            assert_eq!(reason, "slow");
        }
    }

    #[tokio::test]
    async fn what_is_sent_is_masked_and_pings_are_answered() {
        let mut socket = open([head(), frame(9, b"p")].concat(), 4096).await.unwrap();
        while socket.outbound.is_empty() {
            let text = socket.take().unwrap();
            assert_eq!(text, None);
            if socket.outbound.is_empty() {
                socket.fill(LIMIT).await.unwrap();
            }
        }
        let pong = socket.outbound.split_off(0);
        assert_eq!((pong[0], pong[1], pong[6] ^ pong[2]), (0x8a, 0x81, b'p'));
        for length in [0, 3, 4, 5, 125, 126, 70_000] {
            socket.outbound.clear();
            let text: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            socket.push(&text);
            let mut sent = Cursor::new(&socket.outbound);
            let (header, found) = FrameHeader::parse(&mut sent).unwrap().unwrap();
            let at = sent.position() as usize;
            let mask = header.mask.unwrap();
            let payload = socket.outbound[at..].iter().zip(mask.iter().cycle());
            assert_eq!(found, length as u64);
            assert_eq!(payload.map(|(byte, mask)| byte ^ mask).collect::<Vec<u8>>(), text);
        }
    }

    #[tokio::test]
    async fn what_is_no_websocket_is_refused() {
        let refusal = b"HTTP/1.1 401 X\r\nContent-Length: 2\r\n\r\nno".to_vec();
        let error = open(refusal, 4096).await.err().unwrap();
        assert!(matches!(error, WebSocketError::Refused { status: 401, body } if body == "no"));
        let other = b"HTTP/1.1 101 X\r\nSec-WebSocket-Accept: x\r\n\r\n".to_vec();
        let error = open(other, 4096).await.err().unwrap();
        assert!(matches!(error, WebSocketError::Malformed(_)));
        for bytes in [vec![0x83, 0], vec![0x01, 1, b'a'], vec![0x81, 0x81, 1, 2, 3, 4, b'a']] {
            let mut socket = open([head(), bytes].concat(), 4096).await.unwrap();
            let error = socket.next().await.unwrap_err();
            assert!(matches!(error, WebSocketError::Malformed(_)), "{error}");
        }
        let huge = [&[0x81, 127][..], &u64::MAX.to_be_bytes()].concat();
        let mut socket = open([head(), huge].concat(), 4096).await.unwrap();
        let error = socket.next().await.unwrap_err();
        assert!(matches!(error, WebSocketError::Client(ClientError::TooLarge { .. })));
    }
}
