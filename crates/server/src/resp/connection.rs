//! One connection: reads what is there, answers every whole command of it in order, and writes the
//! answers in one go. While answers wait to be read, nothing further is read: who sends and never
//! reads is held up by that, and after a while closed. What commands mean is not here.

use super::{
    answers::{self, Awaited},
    arguments::{self, Wrong},
    clock::Heard,
    commands::{self, Asked, Next},
    options::RespOptions,
    parser::{Bounds, Command, Parser, Pipeline, ProtocolError, Queue},
    reply::Replies,
    service::{Batch, Limits},
    session::Session,
    table::{Spec, Transact, Verb},
};
use bytes::{BufMut, BytesMut};
use evenkeel_node::MetaView;
use std::{convert::Infallible, io, mem, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::watch,
    time::{Instant, Sleep, sleep, timeout},
};

/// Bytes that are read at once.
const READ_BYTES_MAX: usize = 16 * 1_024;
/// Room for fewer bytes than this is not worth reading into.
const READ_BYTES_WORTH: usize = 4 * 1_024;
/// What a connection that asks nothing keeps room for, of what it once asked.
const INPUT_KEPT_BYTES: usize = 64 * 1_024;
/// Bytes of answers that wait at most, beside the last of them; they are kept room for.
const REPLY_BYTES_MAX: usize = 64 * 1_024;
/// Requests of a batch that room is kept for.
const BATCH_KEPT: usize = 128;
/// How long a connection that is over may take to hear why.
const LINGER_MAX: Duration = Duration::from_secs(2);
/// What it may say meanwhile.
const LINGER_BYTES_MAX: usize = 1024 * 1_024;

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared<L> {
    pub(super) limits: Arc<L>,
    pub(super) options: RespOptions,
    /// Changes, once, when the server is told to stop.
    pub(super) stopping: watch::Receiver<bool>,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("its client closed it")]
    Closed,
    #[error("its client said goodbye")]
    Quit,
    #[error("it said nothing whole for too long")]
    Idle,
    #[error("it did not read its answers")]
    SlowReader,
    #[error("it spoke HTTP")]
    Http,
    #[error("the server is stopping")]
    Stopping,
    #[error("protocol error: {0}")]
    Protocol(#[from] ProtocolError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A connection and what of it is underway.
pub(super) struct Connection<S, L> {
    stream: S,
    shared: Arc<Shared<L>>,
    stopping: watch::Receiver<bool>,
    session: Session,
    input: BytesMut,
    /// The most that `input` may have taken of the memory.
    input_bytes: usize,
    parser: Parser,
    replies: Replies,
    /// What the commands of `batch`, and the wrong ones among them, will be answered with.
    awaited: Vec<Awaited>,
    batch: Batch,
    /// What came since `MULTI`.
    queue: Option<Transaction>,
    heard: Heard,
    /// One a connection, not one a command: when it ends it is looked at what has happened since.
    timer: Pin<Box<Sleep>>,
}

/// Commands that wait for `EXEC`.
#[derive(Debug, Default)]
struct Transaction {
    commands: Queue,
    /// Whether one of them was refused: then none is done.
    broken: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin, L: Limits> Connection<S, L> {
    pub(super) fn new(id: u64, peer: SocketAddr, stream: S, shared: Arc<Shared<L>>) -> Self {
        let session = Session::new(id, peer, shared.options.auth, &shared.limits.meta());
        Self {
            stream,
            stopping: shared.stopping.clone(),
            session,
            input: BytesMut::new(),
            input_bytes: 0,
            parser: Parser::default(),
            replies: Replies::default(),
            awaited: Vec::new(),
            batch: Batch::default(),
            queue: None,
            heard: Heard::nothing(),
            timer: Box::pin(sleep(shared.options.stranger_timeout)),
            shared,
        }
    }

    /// From its first command to its last.
    pub(super) async fn serve(mut self) {
        let end = match self.converse().await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        tracing::debug!(id = self.session.id, peer = %self.session.peer, %end, "a connection ended");
    }

    async fn converse(&mut self) -> Result<Infallible, End> {
        let mut pipeline = Pipeline::default();
        loop {
            let bounds = match self.session.is_known() {
                true => Bounds::known(self.shared.options.pipeline_max),
                false => Bounds::stranger(),
            };
            let read = self.parser.read(&mut self.input, bounds, &mut pipeline);
            let nothing = pipeline.is_empty();
            if !nothing {
                self.answer(&pipeline).await?;
                pipeline.clear();
            }
            if let Err(error) = read {
                self.replies.error(&[b"ERR Protocol error: ", &error.said()]);
                return Err(self.end(error.into()).await);
            }
            self.heard.note(!nothing, !self.input.is_empty(), self.session.is_known());
            if nothing {
                self.flush().await?;
                if let Err(end) = self.receive().await {
                    return Err(match end {
                        // It may be in the middle of a word, and should still hear what was said.
                        End::Idle | End::Stopping => self.end(end).await,
                        gone => gone,
                    });
                }
            }
        }
    }

    /// Answers all commands of `pipeline`, in order.
    async fn answer(&mut self, pipeline: &Pipeline) -> Result<(), End> {
        let meta = self.shared.limits.meta();
        self.session.refresh(&meta);
        for n in 0..pipeline.len() {
            let command = pipeline.command(n);
            match (commands::find(command, &self.session), &mut self.queue) {
                (Ok(&Spec { verb: Verb::Transact(verb), .. }), _) => {
                    self.settle().await?;
                    self.transact(verb, &meta).await?;
                }
                (Err(_), _) if commands::is_http(command) => {
                    tracing::warn!(peer = %self.session.peer, "a connection that speaks HTTP is closed");
                    return Err(End::Http);
                }
                (found, Some(queue)) if !ends_queue(found.as_ref().ok()) => {
                    queue.push(command, found, &mut self.replies);
                    self.flush_beyond(REPLY_BYTES_MAX).await?;
                }
                (found, _) => self.take(command, found, &meta).await?,
            }
        }
        self.settle().await
    }

    /// Begins, does or forgets what waits for `EXEC`. Nothing else waits by then.
    async fn transact(&mut self, verb: Transact, meta: &MetaView) -> Result<(), End> {
        match (verb, self.queue.take()) {
            (Transact::Multi, None) => {
                self.queue = Some(Transaction::default());
                self.replies.simple("OK");
            }
            (Transact::Multi, begun) => {
                self.queue = begun;
                self.replies.error(&[b"ERR MULTI calls can not be nested"]);
            }
            (Transact::Exec, None) => self.replies.error(&[b"ERR EXEC without MULTI"]),
            (Transact::Discard, None) => self.replies.error(&[b"ERR DISCARD without MULTI"]),
            (Transact::Discard, Some(_)) => self.replies.simple("OK"),
            (Transact::Exec, Some(Transaction { broken: true, .. })) => {
                self.replies
                    .error(&[b"EXECABORT Transaction discarded because of previous errors."]);
            }
            (Transact::Exec, Some(Transaction { commands, .. })) => {
                let pipeline = commands.together();
                self.replies.array(pipeline.len());
                for n in 0..pipeline.len() {
                    let command = pipeline.command(n);
                    let found = commands::find(command, &self.session);
                    self.take(command, found, meta).await?;
                }
                self.settle().await?;
            }
        }
        self.flush_beyond(REPLY_BYTES_MAX).await
    }

    /// Answers a command, or has it wait for others that one batch is made of.
    async fn take(
        &mut self,
        command: Command<'_>,
        found: Result<&Spec, Wrong>,
        meta: &MetaView,
    ) -> Result<(), End> {
        match found {
            Ok(&Spec { verb: Verb::Decide(verb), .. }) => {
                let request = arguments::decide(verb, command);
                self.awaited.push(match &request {
                    Ok(request) => Awaited::by(request),
                    Err(wrong) => Awaited::Nothing(wrong.clone()),
                });
                self.batch.requests.extend(request);
            }
            Ok(spec) => {
                self.settle().await?;
                self.other(spec, command, meta).await?;
            }
            Err(wrong) => self.awaited.push(Awaited::Nothing(wrong)),
        }
        if self.awaited.len() < self.shared.options.pipeline_max {
            return Ok(());
        }
        self.settle().await
    }

    /// Answers a command that no batch is made of.
    async fn other(
        &mut self,
        spec: &Spec,
        command: Command<'_>,
        meta: &MetaView,
    ) -> Result<(), End> {
        let next = match spec.verb {
            Verb::Manage(verb) => {
                match arguments::manage(verb, command) {
                    Ok(request) => {
                        let caller = self.session.caller().expect("only who is known gets here");
                        let managed = self.shared.limits.manage(caller, request).await;
                        answers::managed(&managed, &mut self.replies);
                    }
                    Err(Wrong(text)) => self.replies.error(&[&text]),
                }
                Next::GoOn
            }
            _ => {
                if spec.verb == Verb::Reset {
                    self.queue = None;
                }
                let now = self.shared.limits.now();
                let (session, replies) = (&mut self.session, &mut self.replies);
                Asked { session, replies, meta, now }.answer(spec, command)
            }
        };
        match next {
            Next::GoOn => self.flush_beyond(REPLY_BYTES_MAX).await,
            Next::Close => Err(self.end(End::Quit).await),
        }
    }

    /// Has the batch decided, if there is one, and answers everything that waits for it.
    async fn settle(&mut self) -> Result<(), End> {
        if self.awaited.is_empty() {
            return Ok(());
        }
        let mut batch = mem::take(&mut self.batch);
        if !batch.requests.is_empty() {
            let caller = self.session.caller().expect("only who is known gets here");
            self.shared.limits.decide(caller, &mut batch).await;
        }
        let mut awaited = mem::take(&mut self.awaited);
        let mut outcomes = batch.outcomes.drain(..);
        for awaited in awaited.drain(..) {
            let outcome = match awaited {
                Awaited::Nothing(_) => None,
                _ => outcomes.next(),
            };
            answers::outcome(&awaited, outcome, &mut self.replies);
            self.flush_beyond(REPLY_BYTES_MAX).await?;
        }
        drop(outcomes);
        batch.requests.clear();
        batch.requests.shrink_to(BATCH_KEPT);
        batch.outcomes.shrink_to(BATCH_KEPT);
        awaited.shrink_to(BATCH_KEPT);
        (self.batch, self.awaited) = (batch, awaited);
        Ok(())
    }

    /// Sends what waits if that is more than `bytes`.
    async fn flush_beyond(&mut self, bytes: usize) -> Result<(), End> {
        if self.replies.as_bytes().len() > bytes { self.flush().await } else { Ok(()) }
    }

    /// Sends what waits.
    async fn flush(&mut self) -> Result<(), End> {
        if self.replies.as_bytes().is_empty() {
            return Ok(());
        }
        let writing = self.stream.write_all(self.replies.as_bytes());
        match timeout(self.shared.options.write_timeout, writing).await {
            Ok(written) => written?,
            Err(_) => return Err(End::SlowReader),
        }
        self.replies.clear(REPLY_BYTES_MAX);
        Ok(())
    }

    /// Reads what is there, waiting for it.
    async fn receive(&mut self) -> Result<(), End> {
        if self.stopping.has_changed().unwrap_or(true) {
            return Err(End::Stopping);
        }
        self.make_room();
        let until = self.heard.until(&self.shared.options);
        if let Some(until) = until {
            // Also of one whose bytes keep coming, so that the timer never gets its turn.
            if until <= Instant::now() {
                return Err(End::Idle);
            }
            if until < self.timer.deadline() {
                self.timer.as_mut().reset(until);
            }
        }
        let mut room = (&mut self.input).limit(READ_BYTES_MAX);
        let reading = self.stream.read_buf(&mut room);
        tokio::pin!(reading);
        loop {
            tokio::select! {
                biased;
                read = &mut reading => match read? {
                    0 => return Err(End::Closed),
                    _ => return Ok(()),
                },
                () = self.timer.as_mut(), if until.is_some() => match until {
                    Some(until) if until > Instant::now() => self.timer.as_mut().reset(until),
                    _ => return Err(End::Idle),
                },
                _ = self.stopping.changed() => return Err(End::Stopping),
            }
        }
    }

    /// Makes room for what comes next, and gives back what only something large took.
    fn make_room(&mut self) {
        if self.input.is_empty() && self.input_bytes > INPUT_KEPT_BYTES {
            self.input = BytesMut::new();
            self.input_bytes = 0;
        }
        if self.input.capacity() - self.input.len() < READ_BYTES_WORTH {
            self.input.reserve(READ_BYTES_MAX);
        }
        self.input_bytes = self.input_bytes.max(self.input.capacity());
    }

    /// Sends what waits, and lets the client read it.
    async fn end(&mut self, end: End) -> End {
        if let Err(worse) = self.flush().await {
            return worse;
        }
        linger(&mut self.stream).await;
        end
    }
}

/// Whether it is not kept for `EXEC`, but done at once.
fn ends_queue(spec: Option<&&Spec>) -> bool {
    spec.is_some_and(|spec| matches!(spec.verb, Verb::Quit | Verb::Reset))
}

impl Transaction {
    /// Puts `command` behind the others, if it is `found`, and says so.
    fn push(&mut self, command: Command<'_>, found: Result<&Spec, Wrong>, replies: &mut Replies) {
        match found {
            Ok(_) if self.commands.push(command) => return replies.simple("QUEUED"),
            Ok(_) => replies.error(&[b"ERR too much waits for EXEC: send it in smaller parts"]),
            Err(Wrong(text)) => replies.error(&[&text]),
        }
        self.broken = true;
    }
}

/// Closes our half, then listens for a while: what comes unheard would have the system throw away
/// what we said last.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    let listening = async {
        let mut left = LINGER_BYTES_MAX;
        let mut unheard = [0; 1_024];
        if stream.shutdown().await.is_err() {
            return;
        }
        while let Ok(bytes @ 1..) = stream.read(&mut unheard).await {
            left = left.saturating_sub(bytes);
            if left == 0 {
                return;
            }
        }
    };
    // Over the time, it is over all the same.
    let _ = timeout(LINGER_MAX, listening).await;
}

/// Tells a client that there are too many.
pub(super) async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let mut replies = Replies::default();
    replies.error(&[b"ERR max number of clients reached"]);
    let writing = stream.write_all(replies.as_bytes());
    if let Ok(Ok(())) = timeout(LINGER_MAX, writing).await {
        linger(&mut stream).await;
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
