//! One WebSocket: a task that reads frames, and writes all that waits in one flush.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::frames::{Frame, event, id_field, number_of};
use crate::hub::Reader;
use crate::store::Answer;
use crate::{AnyError, Server};

/// Frames that wait for their socket; a reader that lets more gather is too slow.
const OUTBOX_MAX: usize = 1024;
/// Written in one flush at most.
const FLUSH_MAX: usize = 256;
const READ_BUFFER_BYTES: usize = 4 * 1024;
const WRITE_BUFFER_BYTES: usize = 32 * 1024;

/// What goes to a client.
pub(crate) enum Out {
    /// A message of one of its subscriptions.
    Event { subscription: usize, number: u64, text: Utf8Bytes },
    /// Anything else.
    Text(Utf8Bytes),
}

/// A subscription: its conversation, and the last message that was written.
struct Subscription {
    conversation: String,
    last: u64,
}

struct Socket {
    number: u64,
    server: Arc<Server>,
    stream: WebSocketStream<TcpStream>,
    outbox: mpsc::Sender<Out>,
    slow: Arc<AtomicBool>,
    subscriptions: Vec<Subscription>,
    by_name: HashMap<String, usize>,
}

/// Until the client goes. The handshake is done.
pub(crate) async fn serve(stream: TcpStream, read: Vec<u8>, server: Arc<Server>) {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES);
    let stream =
        WebSocketStream::from_partially_read(stream, read, Role::Server, Some(config)).await;
    let (outbox, waiting) = mpsc::channel(OUTBOX_MAX);
    let mut socket = Socket {
        number: NEXT.fetch_add(1, Ordering::Relaxed),
        server,
        stream,
        outbox,
        slow: Arc::default(),
        subscriptions: Vec::new(),
        by_name: HashMap::new(),
    };
    // Whatever broke it, the client sees a closed connection.
    let _ = socket.run(waiting).await;
    for (conversation, _) in socket.by_name.drain() {
        let _ = socket.server.hub.unsubscribe(&conversation, socket.number).await;
    }
}

impl Socket {
    async fn run(&mut self, mut waiting: mpsc::Receiver<Out>) -> Result<(), AnyError> {
        let mut batch = Vec::with_capacity(FLUSH_MAX);
        loop {
            tokio::select! {
                message = self.stream.next() => match message.transpose()? {
                    Some(Message::Text(text)) => self.take(&text).await?,
                    Some(Message::Close(_)) | None => return Ok(()),
                    Some(_) => {}
                },
                _ = waiting.recv_many(&mut batch, FLUSH_MAX) => {
                    for out in batch.drain(..) {
                        if let Some(text) = self.due(out) {
                            self.stream.feed(Message::Text(text)).await?;
                        }
                    }
                    self.stream.flush().await?;
                }
            }
            if self.slow.load(Ordering::Relaxed) {
                let frame = CloseFrame { code: CloseCode::from(3008), reason: "slow".into() };
                return Ok(self.stream.close(Some(frame)).await?);
            }
        }
    }

    /// The text, if it was not written with what came before the subscription stood.
    fn due(&mut self, out: Out) -> Option<Utf8Bytes> {
        match out {
            Out::Text(text) => Some(text),
            Out::Event { subscription, number, text } => {
                let last = &mut self.subscriptions.get_mut(subscription)?.last;
                let is_new = number > *last;
                *last = number.max(*last);
                is_new.then_some(text)
            }
        }
    }

    async fn take(&mut self, text: &str) -> Result<(), AnyError> {
        let frame: Frame<'_> = match serde_json::from_str(text) {
            Ok(frame) => frame,
            Err(error) => return self.refuse(None, "bad_request", &error.to_string()).await,
        };
        if let Some(send) = frame.send {
            let outbox = self.outbox.clone();
            let answer = Answer::Socket { id: frame.id.unwrap_or(0), outbox };
            self.server.store.send(&send, answer).await;
            return Ok(());
        }
        if let Some(entity) = frame.subscribe {
            return self.subscribe(entity, frame.since, frame.id).await;
        }
        if let Some(entity) = frame.unsubscribe {
            let conversation = entity.strip_prefix("conversation:").unwrap_or(entity);
            if let Some(at) = self.by_name.remove(conversation) {
                let name = std::mem::take(&mut self.subscriptions[at].conversation);
                self.subscriptions[at].last = u64::MAX;
                self.server.hub.unsubscribe(&name, self.number).await?;
            }
            let id = id_field(frame.id);
            return self
                .say(format!(r#"{{"unsubscribed":"{entity}","reason":"asked"{id}}}"#))
                .await;
        }
        if frame.auth.is_some() {
            return self.say(r#"{"authenticated":{"tenant":"default"}}"#.to_owned()).await;
        }
        match frame.ping {
            Some(ping) => self.say(format!(r#"{{"pong":{ping}}}"#)).await,
            None => self.refuse(frame.id, "bad_request", "not supported here").await,
        }
    }

    /// Joins first and reads then, so that nothing falls between; what comes both ways is told
    /// apart by its number.
    async fn subscribe(
        &mut self,
        entity: &str,
        since: Option<&str>,
        id: Option<u64>,
    ) -> Result<(), AnyError> {
        let Some(name) = entity.strip_prefix("conversation:") else {
            return self.refuse(id, "bad_request", "not a conversation").await;
        };
        if self.by_name.contains_key(name) {
            return self.refuse(id, "bad_request", "subscribed already").await;
        }
        let at = self.subscriptions.len();
        let reader = Reader {
            socket: self.number,
            subscription: at,
            outbox: self.outbox.clone(),
            slow: Arc::clone(&self.slow),
        };
        self.by_name.insert(name.to_owned(), at);
        self.server.hub.subscribe(name, reader).await?;
        let mut missed = Vec::new();
        let from = match since.map(number_of) {
            None => self.server.store.last(name).await?,
            Some(Some(number)) => {
                missed = self.server.store.since(name, number).await?;
                number
            }
            Some(None) => return self.refuse(id, "bad_request", "not a position").await,
        };
        let last = missed.last().map_or(from, |(number, _)| *number);
        self.subscriptions.push(Subscription { conversation: name.to_owned(), last });
        let id = id_field(id);
        let reply = format!(r#"{{"subscribed":"{entity}","position":"1.{from}"{id}}}"#);
        self.stream.feed(Message::text(reply)).await?;
        for (number, tail) in missed {
            self.stream.feed(Message::text(event(name, number, &tail))).await?;
        }
        Ok(self.stream.flush().await?)
    }

    async fn refuse(&mut self, id: Option<u64>, code: &str, why: &str) -> Result<(), AnyError> {
        let frame = serde_json::json!({"error": id, "code": code, "detail": why,
            "retryable": false, "side_effects": "none"});
        self.say(frame.to_string()).await
    }

    async fn say(&mut self, text: String) -> Result<(), AnyError> {
        Ok(self.stream.send(Message::text(text)).await?)
    }
}
