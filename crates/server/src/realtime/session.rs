//! One connection, from its first frame to its last: one task and one loop, in which frames are read,
//! answers and events written, and the connection watched.

use super::{
    close::Why,
    frames::{self, Id, Wish},
    sends::Sends,
    subscriptions::{Subscription, Subscriptions},
    timelines::{Timelines, Turned},
    watch::{Due, Watch},
    who::Who,
};
use crate::{
    auth::{CHAT_READ, CHAT_WRITE},
    code::Code,
    edge::Edge,
    problem::Problem,
};
use evenkeel_domains::chat::Action;
use evenkeel_node::{NoticeKind, Outlet, Waiting};
use futures_util::{FutureExt, SinkExt, StreamExt};
use std::{
    future::poll_fn,
    io,
    pin::pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::Poll,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Bytes, Error, Message, Utf8Bytes,
        protocol::{Role, WebSocketConfig},
    },
};

/// Bytes of one frame, and of one message of several frames.
const FRAME_BYTES_MAX: usize = 64 * 1_024;
/// The buffer that frames are read into: there is one for every connection, however idle.
const READ_BUFFER_BYTES: usize = 2 * 1_024;
/// What is written is gathered up to this before it is sent.
const WRITE_BUFFER_BYTES: usize = 16 * 1_024;
/// Frames that are read before others get their turn.
const FRAMES_A_TURN: usize = 64;
/// Reads of what a client still sends once its connection ends.
const LAST_READS_MAX: usize = 256;
/// How long somebody is shown typing who says nothing more.
const TYPING_MS: u64 = 5_000;
/// Frames that make no sense, before the connection is closed.
const NONSENSE_MAX: u32 = 64;

/// Why a session ends.
pub(super) enum End {
    /// Its client is told.
    Because(Why),
    /// Its client has said so, and hears it back.
    Closed,
    /// There is nobody to tell.
    Gone,
}

impl From<Why> for End {
    fn from(why: Why) -> Self {
        Self::Because(why)
    }
}

/// What a session wakes up for.
enum Turn {
    Filled,
    Timeline(Turned),
    Frame(Option<Result<Message, Error>>),
    Alarm,
}

/// One connection.
pub(super) struct Session {
    pub(super) edge: Arc<Edge>,
    socket: WebSocketStream<TcpStream>,
    pub(super) outlet: Arc<Outlet>,
    pub(super) who: Option<Who>,
    pub(super) subscriptions: Subscriptions,
    pub(super) timelines: Timelines,
    /// A page is being read for one of those behind.
    pub(super) is_reading: bool,
    pub(super) sends: Sends,
    waiting: Waiting,
    /// Bytes that were written since the last flush.
    unflushed: usize,
    watch: Watch,
    nonsense: u32,
    stopping: watch::Receiver<bool>,
}

impl Session {
    pub(super) fn new(edge: Arc<Edge>, stream: TcpStream, read: Vec<u8>, who: Option<Who>) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(WRITE_BUFFER_BYTES)
            .max_message_size(Some(FRAME_BYTES_MAX))
            .max_frame_size(Some(FRAME_BYTES_MAX));
        let socket = WebSocketStream::from_partially_read(stream, read, Role::Server, Some(config));
        Self {
            // Made by a future that is ready at once.
            socket: socket.now_or_never().expect("a socket is made without waiting"),
            outlet: Arc::default(),
            who,
            subscriptions: Subscriptions::default(),
            timelines: Timelines::default(),
            is_reading: false,
            sends: Sends::new(edge.meter("chat.send"), edge.meter("chat.read")),
            waiting: Waiting::default(),
            unflushed: 0,
            watch: Watch::new(&edge.options, Instant::now()),
            nonsense: 0,
            stopping: edge.stopping.clone(),
            edge,
        }
    }

    pub(super) async fn run(mut self) {
        let end = self.converse().await;
        let gone: Vec<Subscription> = self.subscriptions.drain().collect();
        self.part(gone);
        let why = match end {
            Err(End::Because(why)) => Some(why),
            Ok(()) | Err(End::Closed) => None,
            Err(End::Gone) => return,
        };
        if let Some(why) = why {
            tracing::debug!(?why, "a connection is closed");
            self.edge.counters.realtime_closed.count(why);
        }
        let farewell = tokio::time::timeout(self.edge.options.refused_timeout, self.part_with(why));
        let _ = farewell.await;
    }

    /// Says why, or answers what the client said, and takes what it still sends: what is not read when a
    /// connection ends may take the last word with it.
    async fn part_with(&mut self, why: Option<Why>) -> io::Result<()> {
        let said = match why {
            Some(why) => self.socket.close(Some(why.frame())).await,
            None => self.socket.flush().await,
        };
        if matches!(said, Err(Error::Io(_))) {
            return Ok(());
        }
        let stream = self.socket.get_mut();
        stream.shutdown().await?;
        let mut buffer = [0; 1_024];
        for _ in 0..LAST_READS_MAX {
            if stream.read(&mut buffer).await? == 0 {
                break;
            }
        }
        Ok(())
    }

    async fn converse(&mut self) -> Result<(), End> {
        if let Some(who) = &self.who {
            self.watch.known(who.expires_at());
        }
        let mut alarm = pin!(sleep_until(self.watch.next()));
        loop {
            self.read_on();
            let turn = tokio::select! {
                () = self.outlet.filled() => Turn::Filled,
                turned = self.timelines.next() => Turn::Timeline(turned),
                frame = self.socket.next(), if self.sends.has_room() => {
                    Turn::Frame(frame)
                }
                () = alarm.as_mut() => Turn::Alarm,
                () = stopped(&mut self.stopping) => return Err(Why::Stopping.into()),
            };
            match turn {
                Turn::Filled => self.deliver().await?,
                Turn::Timeline(turned) => self.turn_timeline(turned).await?,
                Turn::Frame(frame) => self.hear(frame).await?,
                Turn::Alarm => self.look().await?,
            }
            self.flush().await?;
            // Set for sooner it is set at once; for later, when it fires.
            if self.watch.next() < alarm.deadline() || alarm.is_elapsed() {
                alarm.as_mut().reset(self.watch.next());
            }
        }
    }

    /// Sends what was written. A client that takes nothing for long is closed.
    async fn flush(&mut self) -> Result<(), End> {
        self.unflushed = 0;
        in_time(self.edge.options.slow_timeout, self.socket.flush()).await
    }

    pub(super) async fn write(&mut self, text: impl Into<Utf8Bytes>) -> Result<(), End> {
        let text = text.into();
        self.unflushed += text.len();
        self.feed(Message::Text(text)).await?;
        if self.unflushed > WRITE_BUFFER_BYTES { self.flush().await } else { Ok(()) }
    }

    /// Writes a frame to the buffer, which is sent if it is full.
    async fn feed(&mut self, message: Message) -> Result<(), End> {
        in_time(self.edge.options.slow_timeout, self.socket.feed(message)).await
    }

    /// Now and then: whether the client is still there and still welcome.
    async fn look(&mut self) -> Result<(), End> {
        match self.watch.due(Instant::now()) {
            Due::Nothing => Ok(()),
            Due::Gone => Err(End::Gone),
            Due::Unknown => Err(Why::Unauthenticated.into()),
            Due::Expired => Err(Why::Expired.into()),
            Due::Review => self.review().await,
            Due::Ping => self.feed(Message::Ping(Bytes::new())).await,
        }
    }

    /// Reads a frame, and what else has come with it.
    async fn hear(&mut self, first: Option<Result<Message, Error>>) -> Result<(), End> {
        let mut next = Some(first);
        let mut left = FRAMES_A_TURN;
        while let Some(frame) = next.take() {
            self.watch.heard(Instant::now());
            match frame {
                Some(Ok(Message::Text(text))) => self.obey(&text).await?,
                Some(Ok(Message::Binary(_))) => return Err(Why::NotText.into()),
                Some(Ok(Message::Close(_))) | None => return Err(End::Closed),
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    return Err(Why::of(&error).map_or(End::Gone, End::Because));
                }
            }
            left -= 1;
            // What is read is dealt with: nothing more is, if this is not the time for it.
            if left == 0 || !self.sends.has_room() {
                break;
            }
            next = self.socket.next().now_or_never();
        }
        Ok(())
    }

    /// Does what a frame says.
    async fn obey(&mut self, text: &str) -> Result<(), End> {
        let user = self.who.as_ref().and_then(|who| who.user.clone());
        let (id, wish) = frames::parse(text, user.as_deref());
        let done = match wish {
            Ok(wish) => self.fulfil(&id, wish).await?,
            Err(problem) => Err(problem),
        };
        if let Err(problem) = done {
            if problem.code == Code::InvalidRequest {
                self.nonsense += 1;
                self.edge.counters.realtime_nonsense.fetch_add(1, Relaxed);
            }
            self.write(frames::failed(id.as_deref(), &problem)).await?;
            if self.who.is_none() {
                return Err(Why::Unauthenticated.into());
            }
            if self.nonsense >= NONSENSE_MAX {
                return Err(Why::BadRequests.into());
            }
        }
        Ok(())
    }

    async fn fulfil(&mut self, id: &Id, wish: Wish) -> Result<Result<(), Problem>, End> {
        if let Wish::Auth(credentials) = wish {
            return self.authenticate(id, &credentials).await;
        }
        let Some(who) = &self.who else {
            let detail = "the first frame must be {\"auth\": …}";
            return Ok(Err(Problem::new(Code::Unauthenticated, detail)));
        };
        let may = match &wish {
            Wish::Send { conversation, .. } | Wish::Read { conversation, .. } => {
                who.check(&self.edge, CHAT_WRITE, conversation)
            }
            Wish::Subscribe { conversation, .. } | Wish::Typing { conversation, .. } => {
                who.check(&self.edge, CHAT_READ, conversation)
            }
            Wish::SubscribeTimeline { user, .. } => who.check_timeline(&self.edge, user),
            Wish::Auth(_)
            | Wish::Unsubscribe { .. }
            | Wish::UnsubscribeTimeline { .. }
            | Wish::Ping(_) => Ok(()),
        };
        if let Err(problem) = may {
            return Ok(Err(problem));
        }
        match wish {
            Wish::Auth(_) => unreachable!("it is answered above"),
            Wish::Subscribe { conversation, since, user, presence } => {
                let present = user.filter(|_| presence);
                Ok(self.subscribe(id.clone(), &conversation, since.start(), present))
            }
            Wish::Unsubscribe { conversation } => {
                if let Some(gone) = self.subscriptions.remove_named(&conversation) {
                    self.part(vec![gone]);
                }
                let topic = frames::conversation(&conversation);
                self.write(frames::unsubscribed(&topic, "asked", id.as_deref())).await.map(Ok)
            }
            Wish::SubscribeTimeline { user, since } => {
                Ok(self.subscribe_timeline(id.clone(), &user, since.start()))
            }
            Wish::UnsubscribeTimeline { user } => {
                self.timelines.remove(&user);
                let topic = frames::timeline(&user);
                self.write(frames::unsubscribed(&topic, "asked", id.as_deref())).await.map(Ok)
            }
            Wish::Send { conversation, outgoing } => {
                Ok(self.send(id, conversation, Action::Send(outgoing)))
            }
            Wish::Read { conversation, seq, user } => {
                Ok(self.send(id, conversation, Action::Read { user, seq }))
            }
            Wish::Typing { conversation, stopped } => Ok(self.type_in(&conversation, !stopped)),
            Wish::Ping(payload) => self.write(frames::pong(&payload)).await.map(Ok),
        }
    }

    async fn authenticate(
        &mut self,
        id: &Id,
        credentials: &str,
    ) -> Result<Result<(), Problem>, End> {
        match Who::of_credentials(&self.edge, credentials) {
            Ok(who) if self.who.as_ref().is_some_and(|known| !known.is_same(&who)) => {
                let detail = "a connection is one user's: open another one for another";
                self.refuse(id, &Problem::new(Code::Unauthenticated, detail)).await
            }
            Ok(who) => {
                let user = who.user.clone();
                let text =
                    frames::authenticated(&who.tenant().name, user.as_deref(), id.as_deref());
                self.watch.known(who.expires_at());
                self.who = Some(who);
                self.write(text).await?;
                self.review().await.map(Ok)
            }
            Err(problem) => {
                self.edge.counters.unauthenticated.fetch_add(1, Relaxed);
                self.refuse(id, &problem).await
            }
        }
    }

    /// Ends what its client may not follow any more, or all of it if nobody knows them any more.
    async fn review(&mut self) -> Result<(), End> {
        let Some(who) = &self.who else { return Ok(()) };
        if !who.is_welcome(&self.edge) {
            return Err(Why::Expired.into());
        }
        let may = |conversation: &str| who.check(&self.edge, CHAT_READ, conversation).is_ok();
        let may_read = |user: &str| who.check_timeline(&self.edge, user).is_ok();
        let timelines = self.timelines.unless(may_read);
        for number in self.subscriptions.numbers_unless(may) {
            self.end_subscription(number, "forbidden").await?;
        }
        for user in timelines {
            self.timelines.remove(&user);
            let topic = frames::timeline(&user);
            self.write(frames::unsubscribed(&topic, "forbidden", None)).await?;
        }
        Ok(())
    }

    /// Says that whoever wants to be known is not, and ends.
    async fn refuse<T>(&mut self, id: &Id, problem: &Problem) -> Result<T, End> {
        self.write(frames::failed(id.as_deref(), problem)).await?;
        Err(Why::Unauthenticated.into())
    }

    /// Writes all that waits.
    async fn deliver(&mut self) -> Result<(), End> {
        let mut waiting = std::mem::take(&mut self.waiting);
        self.outlet.take(&mut waiting);
        // What was there comes before what has happened since.
        for (number, page) in waiting.pages.drain(..) {
            self.turn_page(number, page).await?;
        }
        for (number, event) in waiting.events.drain(..) {
            self.write_event(number, &event).await?;
        }
        for answered in waiting.answers.drain(..) {
            self.write_answer(answered).await?;
        }
        for ((number, kind, user), is_so) in std::mem::take(&mut waiting.notices) {
            let Some(subscription) = self.subscriptions.get(number) else { continue };
            let conversation = &subscription.conversation;
            let text = match kind {
                NoticeKind::Presence => frames::presence(conversation, &user, is_so),
                NoticeKind::Typing => {
                    frames::typing(conversation, &user, if is_so { TYPING_MS } else { 0 })
                }
            };
            self.write(text).await?;
        }
        let is_overfull = std::mem::take(&mut waiting.is_overfull);
        self.waiting = waiting;
        if is_overfull { Err(Why::Slow.into()) } else { Ok(()) }
    }
}

/// What a client must take within `limit`, or it is slow.
async fn in_time<E>(limit: Duration, work: impl Future<Output = Result<(), E>>) -> Result<(), End> {
    let mut work = pin!(work);
    // Mostly there is room at once, and no clock has to be asked.
    let at_once = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await;
    let done = match at_once {
        Poll::Ready(done) => Ok(done),
        Poll::Pending => tokio::time::timeout(limit, work).await,
    };
    match done {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::Gone),
        Err(_) => Err(Why::Slow.into()),
    }
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // If nobody can say so any more, nobody will.
    if stopping.wait_for(|stopping| *stopping).await.is_err() {
        std::future::pending::<()>().await;
    }
}
