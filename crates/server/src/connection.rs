//! One connection, watched: ended when its client dawdles over a request's head or says nothing
//! for long, and finished gracefully when the server stops. One timer a connection, not one a
//! request: it ticks seldom and looks at what has happened since.

use crate::options::ServerOptions;
use bytes::Bytes;
use hyper::{
    body::Incoming,
    rt::{Read, ReadBufCursor, Write},
    server::conn::http1::UpgradeableConnection,
    service::HttpService,
};
use hyper_util::rt::TokioIo;
use std::{
    error::Error,
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{net::TcpStream, sync::watch, time::sleep};

/// What has happened on a connection. Only its own task touches it, hence no ordering.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    begun: AtomicU64,
    ended: AtomicU64,
    /// Whether bytes have come since the last request began.
    received: AtomicBool,
}

/// A request that is being answered, until this is dropped.
pub(crate) struct InFlight(Arc<Activity>);

impl Activity {
    pub(crate) fn begin(self: &Arc<Self>) -> InFlight {
        self.begun.fetch_add(1, Relaxed);
        self.received.store(false, Relaxed);
        InFlight(Arc::clone(self))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Relaxed);
        // What came while it was answered was its body.
        self.0.received.store(false, Relaxed);
    }
}

/// Looks at a connection's activity now and then.
struct Watch {
    begun: u64,
    head_ticks: u32,
    idle: Duration,
}

impl Watch {
    /// Whether the connection may stay, a tick later.
    fn may_stay(&mut self, activity: &Activity, tick: Duration, idle_timeout: Duration) -> bool {
        let begun = activity.begun.load(Relaxed);
        let answering = begun != activity.ended.load(Relaxed);
        if answering || begun != self.begun {
            *self = Self { begun, head_ticks: 0, idle: Duration::ZERO };
            return true;
        }
        self.idle += tick;
        self.head_ticks = if activity.received.load(Relaxed) { self.head_ticks + 1 } else { 0 };
        // The first of three ticks may have come right after the first byte.
        self.head_ticks < 3 && self.idle < idle_timeout
    }
}

/// Drives `connection` to its end.
pub(crate) async fn watch_over<S, B>(
    connection: UpgradeableConnection<Watched, S>,
    activity: &Activity,
    options: &ServerOptions,
    mut stopping: watch::Receiver<bool>,
) where
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: hyper::body::Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let tick = (options.head_timeout / 2).max(Duration::from_millis(1));
    let mut watch = Watch { begun: 0, head_ticks: 0, idle: Duration::ZERO };
    let mut connection = pin!(connection);
    let mut timer = pin!(sleep(tick));
    let mut told = false;
    loop {
        tokio::select! {
            biased;
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(%error, "a connection ended badly");
                }
                return;
            }
            _ = stopping.wait_for(|stopping| *stopping), if !told => {
                told = true;
                connection.as_mut().graceful_shutdown();
            }
            () = timer.as_mut() => {
                if !watch.may_stay(activity, tick, options.idle_timeout) {
                    tracing::debug!("a connection that said nothing whole is closed");
                    return;
                }
                timer.set(sleep(tick));
            }
        }
    }
}

/// A stream that notes when bytes arrive.
pub(crate) struct Watched {
    stream: TokioIo<TcpStream>,
    activity: Arc<Activity>,
}

impl Watched {
    pub(crate) fn new(stream: TcpStream, activity: Arc<Activity>) -> Self {
        Self { stream: TokioIo::new(stream), activity }
    }
}

impl Watched {
    /// The bare stream.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream.into_inner()
    }
}

impl Read for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        if poll.is_ready() {
            self.activity.received.store(true, Relaxed);
        }
        poll
    }
}

impl Write for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
}
