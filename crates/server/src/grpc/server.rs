//! Connections: accepted up to a bound, kept while they live, and drained at the end. What is said on
//! them is not here.

use super::{
    descriptors,
    directory::Directory,
    options::GrpcOptions,
    routes::{Routes, SERVICE},
    service::Decider,
};
use crate::meters::Meters;
use evenkeel_node::Node;
use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::{MissedTickBehavior, Sleep, interval, sleep},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Server, server::Connected};
use tonic_health::ServingStatus;

/// How often the rules' files are looked at.
const RELOAD_EVERY: Duration = Duration::from_secs(1);
/// How long to wait after the system could not give a connection (too many open files).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a connection may take to say that it speaks HTTP/2.
const PREFACE_MAX: Duration = Duration::from_secs(10);
/// Bytes in which it does.
const PREFACE_BYTES: usize = 24;
/// Bytes of requests that a connection may send before they are taken up.
const WINDOW_BYTES: u32 = 1_024 * 1_024;

/// Serves Envoy's rate limit service on `listener` until `shutdown` completes; then answers what has
/// been asked, within [`GrpcOptions::drain_timeout`]. Meanwhile it keeps `rules` as their files are, and counts
/// into `meters`.
pub async fn serve(
    listener: TcpListener,
    options: GrpcOptions,
    node: Node,
    meters: Meters,
    rules: Arc<Directory>,
    shutdown: impl Future<Output = ()>,
) {
    let (health, health_server) = tonic_health::server::health_reporter();
    health.set_service_status(SERVICE, ServingStatus::Serving).await;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_file_descriptor_set(descriptors::files())
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let routes = Routes {
        decider: Arc::new(Decider {
            node,
            rules: Arc::clone(&rules),
            windows: options.windows,
            response_headers: options.response_headers,
            meter: meters.get("limits.check").expect("every path of the domains has a meter"),
            meters,
        }),
        auth: options.auth,
        request_bytes_max: options.request_bytes_max,
        health: health_server.max_decoding_message_size(options.request_bytes_max),
        reflection: reflection()
            .build_v1()
            .expect("the descriptors name what they have")
            .max_decoding_message_size(options.request_bytes_max),
        reflection_alpha: reflection()
            .build_v1alpha()
            .expect("the descriptors name what they have")
            .max_decoding_message_size(options.request_bytes_max),
    };
    let (sender, connections) = mpsc::channel(1);
    let accepting = tokio::spawn(accept(listener, options.connections_max, sender));
    let reloading = tokio::spawn(keep(rules));
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = Server::builder()
        .timeout(options.request_timeout)
        .max_concurrent_streams(options.requests_max)
        .initial_stream_window_size(u32::try_from(options.request_bytes_max).ok())
        .initial_connection_window_size(WINDOW_BYTES)
        .http2_max_header_list_size(options.head_bytes_max)
        .http2_keepalive_interval(Some(options.keepalive_interval))
        .http2_keepalive_timeout(Some(options.keepalive_timeout))
        .serve_with_incoming_shutdown(routes, ReceiverStream::new(connections), async {
            let _ = stopped.await;
        });
    tokio::pin!(serving);
    let ended = tokio::select! {
        () = shutdown => None,
        ended = &mut serving => Some(ended),
    };
    accepting.abort();
    reloading.abort();
    if let Some(ended) = ended {
        tracing::error!(?ended, "the gRPC edge ended by itself");
        return;
    }
    health.set_service_status(SERVICE, ServingStatus::NotServing).await;
    health.set_service_status("", ServingStatus::NotServing).await;
    drop(stop);
    if tokio::time::timeout(options.drain_timeout, serving).await.is_err() {
        tracing::warn!("gRPC connections did not finish in time and are closed");
    }
}

/// Looks at the rules' files, again and again.
async fn keep(rules: Arc<Directory>) {
    let mut ticks = interval(RELOAD_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let rules = Arc::clone(&rules);
        if let Err(error) = tokio::task::spawn_blocking(move || rules.reload()).await {
            tracing::error!(%error, "reading the rules failed; it is tried again");
        }
    }
}

/// Accepts connections while there is a place for them, and hands them on.
async fn accept(
    listener: TcpListener,
    connections_max: usize,
    connections: mpsc::Sender<io::Result<Admitted>>,
) {
    let places = Arc::new(Semaphore::new(connections_max));
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let place = place.expect("the semaphore is never closed");
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Answers are small and complete: waiting to fill a packet only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection was gone before it began");
            continue;
        }
        let preface = Some((Box::pin(sleep(PREFACE_MAX)), 0));
        if connections.send(Ok(Admitted { stream, preface, _place: place })).await.is_err() {
            return;
        }
    }
}

/// A connection that has a place. It is told off if it does not begin: tonic would wait for ever.
struct Admitted {
    stream: TcpStream,
    /// Until its first bytes are here: how long they may take, and how many have come.
    preface: Option<(Pin<Box<Sleep>>, usize)>,
    _place: OwnedSemaphorePermit,
}

impl Connected for Admitted {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Admitted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let Some((until, bytes)) = &mut self.preface else { return read };
        *bytes += buffer.filled().len() - before;
        if *bytes >= PREFACE_BYTES {
            self.preface = None;
        } else if until.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl AsyncWrite for Admitted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
