//! Server-Sent Events (the WHATWG HTML standard, "Server-sent events"), read as they come.

use std::collections::VecDeque;
use std::time::Duration;

use super::chunked::Chunked;
use super::client::{ClientError, Framing};
use super::connection::Connection;

/// One event, with all that it carries, beyond this is refused.
const EVENT_BYTES_MAX: usize = 1024 * 1024;
const READ_BYTES_MAX: usize = 64 * 1024;

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// The last `id` seen on the stream; send it as `Last-Event-ID` to resume behind it.
    pub id: String,
    /// The event's type; empty when the server named none.
    pub event: String,
    /// The `data` lines, joined by line feeds.
    pub data: String,
}

/// A stream of events on its own connection.
pub struct EventStream {
    connection: Connection,
    body: Body,
    parser: Parser,
    quiet_max: Duration,
    ended: bool,
}

enum Body {
    Plain { left: Option<usize> },
    Chunked(Chunked),
}

impl EventStream {
    pub(super) fn new(connection: Connection, framing: Framing, quiet_max: Duration) -> Self {
        let body = match framing {
            Framing::Chunked => Body::Chunked(Chunked::new()),
            Framing::Length(length) => Body::Plain { left: Some(length) },
            Framing::UntilClose => Body::Plain { left: None },
        };
        Self { connection, body, parser: Parser::default(), quiet_max, ended: false }
    }

    /// How long [`EventStream::next`] waits while nothing at all arrives, not even a comment.
    pub fn set_quiet_max(&mut self, quiet_max: Duration) {
        self.quiet_max = quiet_max;
    }

    /// The next event; none when the server ended the stream properly.
    ///
    /// # Errors
    /// [`ClientError::TimedOut`] after a silence (the stream goes on: call again), and what
    /// breaks a connection: then resume on a new one from the last event's id.
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            if let Some(event) = self.parser.events.pop_front() {
                return Ok(Some(event));
            }
            if self.ended {
                return Ok(None);
            }
            self.take_buffered()?;
            if self.ended || !self.parser.events.is_empty() {
                continue;
            }
            self.connection.start_timer(self.quiet_max);
            if self.connection.fill(READ_BYTES_MAX).await? == 0 {
                if !matches!(self.body, Body::Plain { left: None }) {
                    return Err(ClientError::Closed);
                }
                self.ended = true;
            }
        }
    }

    /// Moves what was read through the body's framing into the parser.
    fn take_buffered(&mut self) -> Result<(), ClientError> {
        let bytes = self.connection.bytes();
        let used = match &mut self.body {
            Body::Chunked(chunked) => {
                let used = chunked.decode(bytes, &mut self.parser.text)?;
                self.ended = chunked.is_done();
                used
            }
            Body::Plain { left } => {
                let used = left.map_or(bytes.len(), |left| left.min(bytes.len()));
                self.parser.text.extend_from_slice(&bytes[..used]);
                if let Some(left) = left {
                    *left -= used;
                    self.ended = *left == 0;
                }
                used
            }
        };
        self.connection.consume(used);
        self.parser.parse()
    }
}

#[derive(Default)]
struct Parser {
    text: Vec<u8>,
    open: Event,
    has_data: bool,
    events: VecDeque<Event>,
}

impl Parser {
    /// Takes the whole lines out of `text`. Lines end in LF or CR LF; a lone CR, which the
    /// standard allows, does not end a line here.
    fn parse(&mut self) -> Result<(), ClientError> {
        let text = std::mem::take(&mut self.text);
        let mut rest = text.as_slice();
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line = &rest[..end];
            rest = &rest[end + 1..];
            let line = std::str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line))
                .map_err(|_| ClientError::Malformed("the stream is not UTF-8"))?;
            self.take_line(line);
        }
        if rest.len() + self.open.data.len() > EVENT_BYTES_MAX {
            return Err(ClientError::TooLarge { bytes_max: EVENT_BYTES_MAX });
        }
        self.text = rest.to_vec();
        Ok(())
    }

    fn take_line(&mut self, line: &str) {
        if line.is_empty() {
            if self.has_data {
                self.events.push_back(self.open.clone());
            }
            self.open.event.clear();
            self.open.data.clear();
            self.has_data = false;
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" if !value.contains('\0') => value.clone_into(&mut self.open.id),
            "event" => value.clone_into(&mut self.open.event),
            "data" => {
                if self.has_data {
                    self.open.data.push('\n');
                }
                self.open.data.push_str(value);
                self.has_data = true;
            }
            // A comment, `retry`, or a field of a later standard.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::canned::{Canned, serve};
    use super::super::client::Client;
    use super::*;

    const REQUEST: &[u8] = b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n";
    const LIMIT: Duration = Duration::from_secs(10);

    async fn stream(reply: &str, piece: usize) -> Result<EventStream, ClientError> {
        let address = serve(vec![Canned::pieces(reply, piece), Canned::Close]).await;
        let client = Client::connect(address, LIMIT).await.unwrap();
        client.subscribe(REQUEST).await
    }

    fn event(id: &str, event: &str, data: &str) -> Event {
        Event { id: id.into(), event: event.into(), data: data.into() }
    }

    #[tokio::test]
    async fn reads_events_in_any_split_and_framing() {
        let text = ": hello\n\nid: 1.1\nevent: held\ndata: {\"a\":1}\n\ndata:x\r\ndata: y\r\n\r\nevent: nothing\n\n";
        let chunk = format!("{:x}\r\n{text}\r\n0\r\n\r\n", text.len());
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";
        for reply in [
            format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunk}"),
            format!("{head}Content-Length: {}\r\n\r\n{text}", text.len()),
            format!("{head}Connection: close\r\n\r\n{text}"),
        ] {
            for piece in [1, 5, 4096] {
                let mut stream = stream(&reply, piece).await.unwrap();
                let first = stream.next().await.unwrap().unwrap();
                assert_eq!(first, event("1.1", "held", "{\"a\":1}"));
                let second = stream.next().await.unwrap().unwrap();
                assert_eq!(second, event("1.1", "", "x\ny"));
                assert_eq!(stream.next().await.unwrap(), None);
                assert_eq!(stream.next().await.unwrap(), None);
            }
        }
    }

    #[tokio::test]
    async fn a_cut_stream_is_an_error_not_an_end() {
        let reply = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n";
        let mut stream = stream(reply, 4096).await.unwrap();
        assert_eq!(stream.next().await.unwrap().unwrap().data, "a");
        assert!(stream.next().await.is_err());
    }

    #[tokio::test]
    async fn a_refusal_carries_its_body() {
        let reply = "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone";
        let error = stream(reply, 4096).await.err().unwrap();
        assert!(
            matches!(error, ClientError::StreamRefused { status: 404, body } if body == "gone")
        );
    }

    #[tokio::test]
    async fn an_endless_event_is_refused() {
        let body = format!("data: {}", "x".repeat(EVENT_BYTES_MAX + 1));
        let reply = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{body}");
        let mut stream = stream(&reply, 1 << 20).await.unwrap();
        let error = stream.next().await.unwrap_err();
        assert!(matches!(error, ClientError::TooLarge { .. }));
    }
}
