//! Fan-out within the process: one Pub/Sub connection, and who reads which conversation here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt as _;
use redis::aio::{PubSubSink, PubSubStream};
use redis::{Client, RedisResult};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::AnyError;
use crate::frames::event;
use crate::socket::Out;
use crate::store::key;

/// A socket that reads a conversation.
#[derive(Clone)]
pub(crate) struct Reader {
    /// The socket's number, and that of its subscription.
    pub(crate) socket: u64,
    pub(crate) subscription: usize,
    pub(crate) outbox: mpsc::Sender<Out>,
    /// Set once its outbox was full: it has lost something and is closed.
    pub(crate) slow: Arc<AtomicBool>,
}

type Readers = Arc<Mutex<HashMap<String, Vec<Reader>>>>;

/// Everyone who reads, by channel.
pub(crate) struct Hub {
    readers: Readers,
    sink: tokio::sync::Mutex<PubSubSink>,
}

impl Hub {
    pub(crate) async fn start(client: &Client) -> Result<Self, AnyError> {
        let (sink, stream) = client.get_async_pubsub().await?.split();
        let readers = Readers::default();
        tokio::spawn(pump(stream, Arc::clone(&readers)));
        Ok(Self { readers, sink: tokio::sync::Mutex::new(sink) })
    }

    /// From the return of this on the reader gets what is published.
    pub(crate) async fn subscribe(&self, conversation: &str, reader: Reader) -> RedisResult<()> {
        // Held until Redis has confirmed: a second reader must not believe an unconfirmed one.
        let mut sink = self.sink.lock().await;
        let channel = key(conversation);
        let is_first = {
            let mut readers = lock(&self.readers);
            let readers = readers.entry(channel.clone()).or_default();
            readers.push(reader);
            readers.len() == 1
        };
        if is_first { sink.subscribe(channel).await } else { Ok(()) }
    }

    pub(crate) async fn unsubscribe(&self, conversation: &str, socket: u64) -> RedisResult<()> {
        let mut sink = self.sink.lock().await;
        let channel = key(conversation);
        let is_last = {
            let mut readers = lock(&self.readers);
            let Some(of_channel) = readers.get_mut(&channel) else { return Ok(()) };
            of_channel.retain(|reader| reader.socket != socket);
            let is_last = of_channel.is_empty();
            if is_last {
                readers.remove(&channel);
            }
            is_last
        };
        if is_last { sink.unsubscribe(channel).await } else { Ok(()) }
    }
}

fn lock(readers: &Readers) -> MutexGuard<'_, HashMap<String, Vec<Reader>>> {
    readers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Encodes each message once and passes it on.
async fn pump(mut stream: PubSubStream, readers: Readers) {
    while let Some(message) = stream.next().await {
        let channel = message.get_channel_name();
        let Ok(payload) = std::str::from_utf8(message.get_payload_bytes()) else { continue };
        let Some((number, tail)) = payload.split_once(' ') else { continue };
        let Ok(number) = number.parse() else { continue };
        let conversation = channel.strip_prefix("c:").unwrap_or(channel);
        let text = Utf8Bytes::from(event(conversation, number, tail));
        if let Some(readers) = lock(&readers).get_mut(channel) {
            readers.retain(|reader| {
                let subscription = reader.subscription;
                let out = Out::Event { subscription, number, text: text.clone() };
                let sent = reader.outbox.try_send(out).is_ok();
                if !sent {
                    reader.slow.store(true, Ordering::Relaxed);
                }
                sent
            });
        }
    }
}
