//! Connections: accepted up to a bound, and drained at the end. What is said on them is not here.

use super::{
    connection::{Connection, Shared, refuse},
    counted::Counted,
    options::RespOptions,
};
use crate::meters::Meters;
use evenkeel_node::Node;
use socket2::{SockRef, TcpKeepalive};
use std::{convert::Infallible, future::Future, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::{JoinError, JoinSet},
};

/// Connections beyond the bound that are being told so; those beyond are closed at once.
const REFUSALS_MAX: usize = 64;
/// How long to wait after the system could not give a connection (too many open files).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// After how long without a word the system asks a client's whether it is still there. Redis has
/// the same.
const KEEP_ALIVE: Duration = Duration::from_secs(300);

/// Serves the limits of `node` on `listener` until `shutdown` completes, counting into `meters`;
/// then answers what has been read, within [`RespOptions::drain_timeout`].
pub async fn serve(
    listener: TcpListener,
    options: RespOptions,
    node: Node,
    meters: Meters,
    shutdown: impl Future<Output = ()>,
) {
    let (stop, stopping) = watch::channel(false);
    let drain_timeout = options.drain_timeout;
    let limits = Arc::new(Counted::new(node, meters));
    let mut server = Server {
        admitted: Arc::new(Semaphore::new(options.connections_max)),
        refused: Arc::new(Semaphore::new(REFUSALS_MAX)),
        shared: Arc::new(Shared { limits, options, stopping }),
        connections: JoinSet::new(),
        last_id: 0,
    };
    tokio::pin!(shutdown);
    tokio::select! {
        () = &mut shutdown => {}
        never = server.accept(&listener) => match never {},
    }
    drop(listener);
    stop.send_replace(true);
    let drained = async {
        while let Some(ended) = server.connections.join_next().await {
            note(ended);
        }
    };
    if tokio::time::timeout(drain_timeout, drained).await.is_err() {
        let left = server.connections.len();
        tracing::warn!(left, "connections did not finish in time and are closed");
        server.connections.shutdown().await;
    }
}

struct Server {
    shared: Arc<Shared<Counted>>,
    admitted: Arc<Semaphore>,
    refused: Arc<Semaphore>,
    connections: JoinSet<()>,
    last_id: u64,
}

impl Server {
    async fn accept(&mut self, listener: &TcpListener) -> Infallible {
        loop {
            let stream = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(ended) = self.connections.join_next() => {
                    note(ended);
                    continue;
                }
            };
            match stream {
                Ok((stream, peer)) => self.admit(stream, peer),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn admit(&mut self, stream: TcpStream, peer: SocketAddr) {
        // Answers are small and complete: waiting to fill a packet only delays them.
        let alive =
            SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEP_ALIVE));
        if let Err(error) = stream.set_nodelay(true).and(alive) {
            tracing::debug!(%error, "a connection was gone before it began");
            return;
        }
        if let Ok(permit) = Arc::clone(&self.admitted).try_acquire_owned() {
            self.last_id += 1;
            let shared = Arc::clone(&self.shared);
            let connection = Connection::new(self.last_id, peer, stream, shared);
            self.connections.spawn(async move {
                connection.serve().await;
                drop(permit);
            });
        } else if let Ok(permit) = Arc::clone(&self.refused).try_acquire_owned() {
            tracing::debug!(%peer, "one connection too many is told so");
            self.connections.spawn(async move {
                refuse(stream).await;
                drop(permit);
            });
        }
    }
}

/// A connection's task ends by itself, or it has a fault that must be seen.
fn note(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task failed; the others go on");
    }
}
