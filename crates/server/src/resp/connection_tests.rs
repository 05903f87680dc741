//! A connection on a stream that the test holds in its hands: what it takes while nobody reads its
//! answers, and what it hands on together.

use super::*;
use crate::{
    options::Auth,
    resp::{
        parser::COMMAND_BYTES_MAX,
        service::{Caller, Failure, Manage, Managed, Outcome},
    },
};
use evenkeel_contract::Registry;
use evenkeel_domains::meta::Meta;
use evenkeel_engine::Time;
use std::{
    future::Future,
    sync::Mutex,
    task::{Context, Poll, Waker},
};
use tokio::io::ReadBuf;

/// Decides nothing, and remembers how much it was asked at once.
#[derive(Debug, Default)]
struct Nobody {
    batches: Mutex<Vec<usize>>,
}

impl Limits for Nobody {
    async fn decide(&self, _: &Caller, batch: &mut Batch) {
        self.batches.lock().unwrap().push(batch.requests.len());
        let failure = Failure { code: "unavailable", detail: "nobody is here".into() };
        batch.outcomes.resize(batch.requests.len(), Outcome::Failed(failure));
    }

    async fn manage(&self, _: &Caller, _: Manage) -> Managed {
        self.batches.lock().unwrap().push(0);
        Managed::Done
    }

    fn meta(&self) -> Arc<MetaView> {
        let registry = Registry::new(evenkeel_domains::paths()).unwrap();
        Arc::new(MetaView { meta: Meta::default(), registry, as_of: None })
    }

    fn now(&self) -> Time {
        Time(0)
    }
}

/// Gives `text` again and again until `left` bytes of it are given, and takes so many answers.
struct Hose {
    text: &'static [u8],
    left: usize,
    accepts: usize,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    given: usize,
    said: Vec<u8>,
    largest_write: usize,
    writes: usize,
    closed: bool,
}

impl AsyncRead for Hose {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let seen = Arc::clone(&self.seen);
        let mut seen = seen.lock().unwrap();
        if self.left == 0 {
            // Who is told goodbye says goodbye.
            return if seen.closed { Poll::Ready(Ok(())) } else { Poll::Pending };
        }
        while buffer.remaining() > 0 && self.left > 0 {
            buffer.put_slice(&[self.text[seen.given % self.text.len()]]);
            seen.given += 1;
            self.left -= 1;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Hose {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let seen = Arc::clone(&self.seen);
        let mut seen = seen.lock().unwrap();
        seen.largest_write = seen.largest_write.max(bytes.len());
        let taken = bytes.len().min(self.accepts);
        if taken == 0 {
            return Poll::Pending;
        }
        self.accepts -= taken;
        seen.writes += 1;
        seen.said.extend_from_slice(&bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.seen.lock().unwrap().closed = true;
        Poll::Ready(Ok(()))
    }
}

/// What a connection shares with others where nobody decides, and who tells it to stop.
fn shared() -> (watch::Sender<bool>, Shared<Nobody>) {
    let (stop, stopping) = watch::channel(false);
    let options = RespOptions::new(Auth::Open);
    (stop, Shared { limits: Arc::default(), options, stopping })
}

fn connection(hose: Hose, shared: &Arc<Shared<Nobody>>) -> Connection<Hose, Nobody> {
    Connection::new(1, ([127, 0, 0, 1], 1).into(), hose, Arc::clone(shared))
}

/// Drives `work` until nothing moves any more.
fn drive(work: impl Future) {
    let mut work = std::pin::pin!(work);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..100 {
        if work.as_mut().poll(&mut context).is_ready() {
            break;
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

/// What came of `bytes` bytes of `text` where `accepts` bytes of answers are taken, once nothing
/// moves any more; and how much was asked at once.
fn hosed(text: &'static [u8], bytes: usize, accepts: usize) -> (Seen, Vec<usize>) {
    let runtime = runtime();
    let _inside = runtime.enter();
    let (_stop, shared) = shared();
    let shared = Arc::new(shared);
    let seen = Arc::new(Mutex::new(Seen::default()));
    let hose = Hose { text, left: bytes, accepts, seen: Arc::clone(&seen) };
    drive(connection(hose, &shared).serve());
    let batches = shared.limits.batches.lock().unwrap().clone();
    (mem::take(&mut seen.lock().unwrap()), batches)
}

/// What was said last would else be thrown away with what is not read.
#[test]
fn who_is_closed_is_heard_out() {
    let runtime = runtime();
    let _inside = runtime.enter();
    let seen = Arc::new(Mutex::new(Seen::default()));
    let hose = |text, left| Hose { text, left, accepts: usize::MAX, seen: Arc::clone(&seen) };

    let (stop, stopped) = shared();
    stop.send_replace(true);
    drive(connection(hose(b"PING\r\n", usize::MAX), &Arc::new(stopped)).serve());
    let heard = mem::take(&mut *seen.lock().unwrap());
    assert!(heard.closed && heard.given >= LINGER_BYTES_MAX, "{} bytes were heard", heard.given);

    let text = b"PING\r\nECHO ";
    let (_stop, mut slow) = shared();
    slow.options.command_timeout = Duration::ZERO;
    runtime.block_on(connection(hose(text, text.len()), &Arc::new(slow)).serve());
    let heard = mem::take(&mut *seen.lock().unwrap());
    assert!(heard.closed, "its other half stays open for a while");
    assert_eq!(heard.said, b"+PONG\r\n");
}

#[test]
fn room_for_something_large_is_given_back() {
    static TEXT: &[u8] = b"*2\r\n$4\r\nECHO\r\n$500000\r\n";
    let runtime = runtime();
    let _inside = runtime.enter();
    let (_stop, shared) = shared();
    let shared = Arc::new(shared);
    let seen = Arc::new(Mutex::new(Seen::default()));
    // The large one ends with as many bytes of the same again; what follows is no line's end.
    let hose = Hose { text: TEXT, left: usize::MAX, accepts: usize::MAX, seen: Arc::clone(&seen) };
    let mut connection = connection(hose, &shared);
    connection.stream.left = TEXT.len() + 400_000;
    drive(connection.converse());
    assert!(connection.input.capacity() > 400_000, "it is coming");
    connection.input.truncate(TEXT.len() + 400_000);
    connection.input.extend_from_slice(&[b'x'; 100_000]);
    connection.input.extend_from_slice(b"\r\n");
    drive(connection.converse());
    assert_eq!(seen.lock().unwrap().said.len(), "$500000\r\n\r\n".len() + 500_000);
    let kept = connection.input.capacity();
    assert!(kept <= INPUT_KEPT_BYTES, "{kept} bytes are kept");
    assert!(connection.input_bytes <= INPUT_KEPT_BYTES);
}

#[test]
fn who_never_reads_is_not_read() {
    for (text, reply_bytes_max) in [
        (&b"PING\r\n"[..], 7),
        (b"*1\r\n$4\r\nPING\r\n", 7),
        (b"FOO a b\r\n", 200),
        (b"CL.THROTTLE k 1 2 3\r\n", 200),
        (b"LIMIT.CHECK k\r\n", 200),
        // Few bytes that ask for many.
        (b"COMMAND DOCS\r\n", 64 * 1_024),
        (b"COMMAND\r\n", 64 * 1_024),
    ] {
        let (seen, _) = hosed(text, usize::MAX, 0);
        assert!(seen.given <= 2 * READ_BYTES_MAX, "{} bytes were taken", seen.given);
        let largest = seen.largest_write;
        assert!(largest <= REPLY_BYTES_MAX + reply_bytes_max, "{largest} bytes wait");
        assert!(largest > 0 && seen.said.is_empty());
    }
}

#[test]
fn reading_goes_on_as_answers_are_read() {
    let pings = 100_000;
    let (seen, _) = hosed(b"PING\r\n", pings * 6, usize::MAX);
    assert_eq!(seen.said.len(), pings * 7);
    assert!(seen.said.chunks(7).all(|reply| reply == b"+PONG\r\n"));
}

#[test]
fn a_command_that_is_coming_is_no_reason_to_take_more() {
    // The largest there may be, of which the end is missing.
    static TEXT: &[u8] = b"*2\r\n$4\r\nECHO\r\n$524284\r\n";
    let (seen, _) = hosed(TEXT, TEXT.len() + COMMAND_BYTES_MAX - 4 - 1, usize::MAX);
    assert!(seen.said.is_empty() && seen.largest_write == 0);
    let (seen, _) = hosed(b"*1\r\n$524289\r\n", usize::MAX, usize::MAX);
    assert!(seen.given <= READ_BYTES_MAX + LINGER_BYTES_MAX + 1_024, "{}", seen.given);
    assert!(seen.given > READ_BYTES_MAX, "it is heard out, or the error would be lost");
    assert_eq!(seen.said, b"-ERR Protocol error: invalid bulk length\r\n");
}

#[test]
fn a_pipeline_of_limits_is_one_batch_and_one_write() {
    static TEXT: &[u8] = b"CL.THROTTLE a 1 2 3\r\nLIMIT.CHECK api b\r\nLIMIT.CHECK\r\nFOO\r\n\
        CL.THROTTLE a 1\r\nLIMIT.RESET api b\r\nPING\r\nCL.THROTTLE a 1 2 3\r\n\
        LIMIT.GET api\r\nLIMIT.PEEK api b\r\n";
    let (seen, batches) = hosed(TEXT, TEXT.len(), usize::MAX);
    let said = String::from_utf8(seen.said).unwrap();
    let unavailable = "-UNAVAILABLE nobody is here";
    let expected = [
        unavailable,
        unavailable,
        "-ERR wrong number of arguments for 'limit.check' command",
        "-ERR unknown command 'FOO', with args beginning with: ",
        "-Cell error: Usage: cl.throttle <key> <max_burst> <count per period> <period> [<quantity>]",
        unavailable,
        "+PONG",
        unavailable,
        "+OK",
        unavailable,
        "",
    ];
    assert_eq!(said.split("\r\n").collect::<Vec<_>>(), expected);
    assert_eq!(batches, [3, 1, 0, 1], "what is asked about limits stands alone");
    assert_eq!(seen.writes, 1);
}

#[test]
fn a_long_pipeline_is_several_batches() {
    static TEXT: &[u8] = b"CL.THROTTLE k 1 2 3\r\n";
    let (_, batches) = hosed(TEXT, 10_000 * TEXT.len(), usize::MAX);
    assert_eq!(batches.iter().sum::<usize>(), 10_000);
    assert!(batches.iter().all(|batch| *batch <= 1_024));
    assert!(batches.len() < 30, "{batches:?}");
}
