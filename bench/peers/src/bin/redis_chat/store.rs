//! Messages in Redis Streams: numbered here, stored and published in pipelines, in order.

use std::collections::HashMap;
use std::future::Future as _;
use std::sync::Arc;
use std::task::Poll;

use redis::aio::MultiplexedConnection;
use redis::{Client, Pipeline, RedisError, RedisResult, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::AnyError;
use crate::frames::{SendFrame, now, tail};
use crate::socket::Out;

/// Sends that wait to be stored; a socket that has one too many waits.
const QUEUE_MAX: usize = 4096;
/// In one pipeline.
const BATCH_MAX: usize = 512;
/// Pipelines under way: one is with Redis while the next is written and the last is read.
const PIPELINES_MAX: usize = 4;

/// A message on its way.
struct Send {
    conversation: String,
    /// Written once its number is known.
    parts: Parts,
    answer: Answer,
}

struct Parts {
    client_id: String,
    sender: String,
    body: Box<serde_json::value::RawValue>,
}

/// Who is told that it is durable.
pub(crate) enum Answer {
    /// A socket's send of this id.
    Socket { id: u64, outbox: mpsc::Sender<Out> },
    /// A request: the number, and the instant.
    Http(oneshot::Sender<Result<(u64, String), String>>),
}

/// The way to Redis.
pub(crate) struct Store {
    sends: mpsc::Sender<Send>,
    reads: MultiplexedConnection,
}

impl Store {
    pub(crate) async fn start(client: &Client) -> Result<Self, AnyError> {
        let (sends, queue) = mpsc::channel(QUEUE_MAX);
        let writes = client.get_multiplexed_async_connection().await?;
        tokio::spawn(Writer::new(writes).run(queue));
        // Apart from the writes: a reply waits for all before it, and those wait for a sync.
        let reads = client.get_multiplexed_async_connection().await?;
        Ok(Self { sends, reads })
    }

    pub(crate) async fn send(&self, send: &SendFrame<'_>, answer: Answer) {
        let send = Send {
            conversation: send.conversation.to_owned(),
            parts: Parts {
                client_id: send.client_id.to_owned(),
                sender: send.sender.unwrap_or_default().to_owned(),
                body: send.body.to_owned(),
            },
            answer,
        };
        // The writer ends with the process alone.
        let _ = self.sends.send(send).await;
    }

    /// The number of the last message; 0 of none.
    pub(crate) async fn last(&self, conversation: &str) -> RedisResult<u64> {
        let mut reads = self.reads.clone();
        let rows = last_command(conversation).query_async(&mut reads).await?;
        Ok(last_of(rows))
    }

    /// Numbers and tails behind this number, in order.
    pub(crate) async fn since(
        &self,
        conversation: &str,
        number: u64,
    ) -> RedisResult<Vec<(u64, String)>> {
        let mut command = redis::cmd("XRANGE");
        command.arg(key(conversation)).arg(format!("(0-{number}")).arg("+");
        let rows: Rows = command.query_async(&mut self.reads.clone()).await?;
        Ok(numbered(rows))
    }

    /// Numbers and tails before this number, the latest first.
    pub(crate) async fn before(
        &self,
        conversation: &str,
        number: u64,
        count: u64,
    ) -> RedisResult<Vec<(u64, String)>> {
        let mut command = redis::cmd("XREVRANGE");
        command.arg(key(conversation)).arg(format!("(0-{number}")).arg("-");
        command.arg("COUNT").arg(count);
        let rows: Rows = command.query_async(&mut self.reads.clone()).await?;
        Ok(numbered(rows))
    }
}

type Rows = Vec<(String, Vec<String>)>;

fn numbered(rows: Rows) -> Vec<(u64, String)> {
    let numbered = rows
        .into_iter()
        .filter_map(|(id, mut fields)| Some((id.strip_prefix("0-")?.parse().ok()?, fields.pop()?)));
    numbered.collect()
}

fn last_of(rows: Rows) -> u64 {
    numbered(rows).first().map_or(0, |(number, _)| *number)
}

fn last_command(conversation: &str) -> redis::Cmd {
    let mut command = redis::cmd("XREVRANGE");
    command.arg(key(conversation)).arg("+").arg("-").arg("COUNT").arg(1);
    command
}

/// A conversation's stream, and its channel.
pub(crate) fn key(conversation: &str) -> String {
    format!("c:{conversation}")
}

/// The one that numbers messages.
struct Writer {
    connection: MultiplexedConnection,
    last: HashMap<String, u64>,
    pipelines: Arc<Semaphore>,
}

/// Sends of a pipeline, with their numbers.
type Numbered = Vec<(u64, Answer)>;

impl Writer {
    fn new(connection: MultiplexedConnection) -> Self {
        let pipelines = Arc::new(Semaphore::new(PIPELINES_MAX));
        Self { connection, last: HashMap::new(), pipelines }
    }

    async fn run(mut self, mut queue: mpsc::Receiver<Send>) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            let Ok(permit) = Arc::clone(&self.pipelines).acquire_owned().await else { return };
            if queue.recv_many(&mut batch, BATCH_MAX).await == 0 {
                return;
            }
            if let Err(error) = self.learn_numbers(&batch).await {
                for send in batch.drain(..) {
                    tokio::spawn(send.answer.fail(error.to_string()));
                }
                continue;
            }
            self.write(&mut batch, permit).await;
        }
    }

    /// Of conversations that were not written to since the start.
    async fn learn_numbers(&mut self, batch: &[Send]) -> RedisResult<()> {
        let unknown = |send: &&Send| !self.last.contains_key(&send.conversation);
        let names: Vec<&str> =
            batch.iter().filter(unknown).map(|send| send.conversation.as_str()).collect();
        if names.is_empty() {
            return Ok(());
        }
        let mut pipeline = redis::pipe();
        for name in &names {
            pipeline.add_command(last_command(name));
        }
        let found: Vec<Rows> = pipeline.query_async(&mut self.connection).await?;
        for (name, rows) in names.into_iter().zip(found) {
            self.last.insert(name.to_owned(), last_of(rows));
        }
        Ok(())
    }

    /// Hands the batch to the connection; its answers are given in a task of their own.
    async fn write(&mut self, batch: &mut Vec<Send>, permit: OwnedSemaphorePermit) {
        let at: Arc<str> = now().into();
        let mut pipeline = redis::pipe();
        let mut numbered = Vec::with_capacity(batch.len());
        for send in batch.drain(..) {
            let Some(last) = self.last.get_mut(&send.conversation) else { continue };
            *last += 1;
            push(&mut pipeline, &send, *last, &at);
            numbered.push((*last, send.answer));
        }
        let mut connection = self.connection.clone();
        let commands = numbered.len() * 2;
        let replies = async move { connection.send_packed_commands(&pipeline, 0, commands).await };
        let mut written = Box::pin(replies);
        // The first poll puts it behind the pipeline before: numbers must reach Redis in order.
        let first = std::future::poll_fn(|context| Poll::Ready(written.as_mut().poll(context)));
        match first.await {
            Poll::Ready(replies) => {
                tokio::spawn(answer(replies, numbered, at));
            }
            Poll::Pending => {
                tokio::spawn(async move {
                    let replies = written.await;
                    drop(permit);
                    answer(replies, numbered, at).await;
                });
            }
        }
    }
}

fn push(pipeline: &mut Pipeline, send: &Send, number: u64, at: &str) {
    let parts = &send.parts;
    let frame = SendFrame {
        conversation: &send.conversation,
        client_id: &parts.client_id,
        sender: Some(&parts.sender),
        body: &parts.body,
    };
    let tail = tail(number, at, &frame);
    let key = key(&send.conversation);
    pipeline.cmd("XADD").arg(&key).arg(format!("0-{number}")).arg("m").arg(&tail);
    pipeline.cmd("PUBLISH").arg(&key).arg(format!("{number} {tail}"));
}

/// Every other reply is that of an `XADD`.
async fn answer(replies: Result<Vec<Value>, RedisError>, numbered: Numbered, at: Arc<str>) {
    let mut replies = match replies {
        Ok(replies) => replies.into_iter().step_by(2),
        Err(error) => {
            for (_, answer) in numbered {
                answer.fail(error.to_string()).await;
            }
            return;
        }
    };
    for (number, answer) in numbered {
        match replies.next() {
            Some(Value::BulkString(_)) => answer.succeed(number, &at).await,
            other => answer.fail(format!("{other:?}")).await,
        }
    }
}

impl Answer {
    async fn succeed(self, number: u64, at: &str) {
        match self {
            Self::Socket { id, outbox } => {
                let ack = format!(r#"{{"ack":{id},"seq":{number},"at":"{at}"}}"#);
                // Whoever has gone does not ask any more; likewise below.
                let _ = outbox.send(Out::Text(ack.into())).await;
            }
            Self::Http(answer) => {
                let _ = answer.send(Ok((number, at.to_owned())));
            }
        }
    }

    async fn fail(self, detail: String) {
        match self {
            Self::Socket { id, outbox } => {
                let frame = serde_json::json!({"error": id, "code": "unavailable",
                    "detail": detail, "retryable": true, "side_effects": "unknown"});
                let _ = outbox.send(Out::Text(frame.to_string().into())).await;
            }
            Self::Http(answer) => {
                let _ = answer.send(Err(detail));
            }
        }
    }
}
