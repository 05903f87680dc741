//! A consumer of webhooks that does as its test says, down to the bytes: it answers, dawdles, breaks
//! off, or never says a word.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Received {
    pub(super) path: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

impl Received {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The job that it is for.
    pub(super) fn job(&self) -> &str {
        self.header("evenkeel-job")
    }
}

/// What is done about a request.
#[derive(Debug, Clone)]
pub(super) enum Reaction {
    /// Status, further headers, body.
    Answer(u16, &'static str, String),
    /// These bytes, then the end of the connection.
    Raw(Vec<u8>),
    /// A whole answer that does not say that the connection ends with it.
    AnswerAndClose(u16),
    /// An answer once so many requests are there at once.
    AnswerWhenTogether(usize),
    /// An answer once the consumer is told so.
    AnswerWhenTold(u16),
    /// The head of an answer, and never all of its body.
    Dawdle,
    /// Nothing.
    Hang,
    /// The connection is reset in the middle of an answer.
    Reset,
}

pub(super) fn ok() -> Reaction {
    Reaction::Answer(200, "", "{}".to_owned())
}

pub(super) fn status(status: u16) -> Reaction {
    Reaction::Answer(status, "", String::new())
}

type Script = Box<dyn Fn(usize, &Received) -> Reaction + Send + Sync>;

struct State {
    script: Script,
    received: Mutex<Vec<Received>>,
    /// Requests that came, connections that were made, requests there now, the most there were.
    seen: watch::Sender<Seen>,
    told: watch::Sender<bool>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    pub(super) requests: usize,
    pub(super) connections: usize,
    pub(super) present: usize,
    pub(super) present_max: usize,
    /// Connections that were closed under a request that had no answer yet.
    pub(super) given_up: usize,
}

pub(super) struct Consumer {
    pub(super) address: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Consumer {
    /// One that reacts to its nth request, counted from 0, as `script` says.
    pub(super) async fn start(
        script: impl Fn(usize, &Received) -> Reaction + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::start_on(listener, script)
    }

    pub(super) fn start_on(
        listener: TcpListener,
        script: impl Fn(usize, &Received) -> Reaction + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            script: Box::new(script),
            received: Mutex::default(),
            seen: watch::Sender::new(Seen::default()),
            told: watch::Sender::new(false),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&state)));
        Self { address, state, accepting }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/hook?token=hidden", self.address)
    }

    pub(super) fn received(&self) -> Vec<Received> {
        self.state.received.lock().unwrap().clone()
    }

    /// Has those answer that wait to be told.
    pub(super) fn tell(&self) {
        self.state.told.send_replace(true);
    }

    pub(super) fn seen(&self) -> Seen {
        *self.state.seen.borrow()
    }

    pub(super) async fn until(&self, wanted: impl FnMut(&Seen) -> bool) -> Seen {
        *super::soon(self.state.seen.subscribe().wait_for(wanted)).await.unwrap()
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        state.seen.send_modify(|seen| seen.connections += 1);
        connections.spawn(converse(stream, Arc::clone(&state)));
    }
}

/// Answers what comes until the connection ends.
async fn converse(mut stream: TcpStream, state: Arc<State>) {
    let mut buffer = Vec::new();
    while let Some(received) = read(&mut stream, &mut buffer).await {
        let number = {
            let mut all = state.received.lock().unwrap();
            all.push(received.clone());
            all.len() - 1
        };
        state.seen.send_modify(|seen| {
            seen.requests += 1;
            seen.present += 1;
            seen.present_max = seen.present_max.max(seen.present);
        });
        let goes_on = react(&mut stream, &state, (state.script)(number, &received)).await;
        state.seen.send_modify(|seen| seen.present -= 1);
        if !goes_on {
            return;
        }
    }
}

/// Whether the connection goes on.
async fn react(stream: &mut TcpStream, state: &State, reaction: Reaction) -> bool {
    match reaction {
        Reaction::Answer(status, headers, body) => answer(stream, status, headers, &body).await,
        Reaction::Raw(bytes) => {
            let _ = stream.write_all(&bytes).await;
            false
        }
        Reaction::AnswerAndClose(status) => {
            answer(stream, status, "", "").await;
            false
        }
        Reaction::AnswerWhenTogether(count) => {
            let mut seen = state.seen.subscribe();
            let _ = seen.wait_for(|seen| seen.present_max >= count).await;
            answer(stream, 200, "", "").await
        }
        Reaction::AnswerWhenTold(status) => {
            let mut told = state.told.subscribe();
            let told = tokio::select! {
                _ = told.wait_for(|told| *told) => true,
                () = closed(stream) => false,
            };
            if !told {
                state.seen.send_modify(|seen| seen.given_up += 1);
                return false;
            }
            answer(stream, status, "", "").await
        }
        Reaction::Dawdle => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{").await;
            closed(stream).await;
            false
        }
        Reaction::Hang => {
            closed(stream).await;
            state.seen.send_modify(|seen| seen.given_up += 1);
            false
        }
        Reaction::Reset => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{").await;
            // What is closed with a zero linger is reset.
            let _ = socket2::SockRef::from(&*stream).set_linger(Some(std::time::Duration::ZERO));
            false
        }
    }
}

async fn answer(stream: &mut TcpStream, status: u16, headers: &str, body: &str) -> bool {
    let length = body.len();
    let text = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\n\r\n{body}");
    stream.write_all(text.as_bytes()).await.is_ok()
}

async fn closed(stream: &mut TcpStream) {
    let mut byte = [0; 64];
    while stream.read(&mut byte).await.is_ok_and(|read| read > 0) {}
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Received> {
    loop {
        if let Some((received, length)) = parse(buffer) {
            buffer.drain(..length);
            return Some(received);
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

fn parse(buffer: &[u8]) -> Option<(Received, usize)> {
    let head_end = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
    let head = str::from_utf8(&buffer[..head_end]).unwrap();
    let mut lines = head.lines();
    let path = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = head_end + headers["content-length"].parse::<usize>().unwrap();
    let body = String::from_utf8(buffer.get(head_end..length)?.to_vec()).unwrap();
    Some((Received { path, headers, body }, length))
}
