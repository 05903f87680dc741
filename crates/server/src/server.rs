//! Connections: accepted up to a bound, watched for those that dawdle, drained at the end. What is
//! said on them is the edge's business.

use crate::{
    connection::{Activity, Watched, watch_over},
    edge::Edge,
    meters::Meters,
    options::ServerOptions,
    realtime,
};
use evenkeel_node::Node;
use hyper::{body::Incoming, header::UPGRADE, server::conn::http1, service::service_fn};
use std::{convert::Infallible, future::Future, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
};

/// Connections beyond the bound that are being told so at once.
const REFUSALS_MAX: usize = 64;
/// How long to wait after the system could not give a connection (too many open files).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why a server ended other than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The log failed for good: nothing can be promised any more, and the process must end.
    #[error("the log failed, so nothing more can be acknowledged: {0}")]
    LogFailed(String),
}

/// Serves `node` on `listener` until `shutdown` completes, counting into `meters`; then finishes what was begun, within
/// [`ServerOptions::drain_timeout`], and shuts the node down.
pub async fn serve(
    listener: TcpListener,
    options: ServerOptions,
    node: Node,
    meters: Meters,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    serve_beside(listener, options, node.clone(), meters, shutdown).await?;
    node.shutdown().await;
    Ok(())
}

/// The same of a node that is served in other ways as well: whoever waits for all of them shuts it
/// down.
pub async fn serve_beside(
    listener: TcpListener,
    options: ServerOptions,
    node: Node,
    meters: Meters,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let (stop, stopping) = watch::channel(false);
    let drain_timeout = options.drain_timeout;
    let mut server = Server {
        admitted: Arc::new(Semaphore::new(options.connections_max)),
        refused: Arc::new(Semaphore::new(REFUSALS_MAX)),
        edge: Arc::new(Edge::new(node.clone(), options, meters, stopping)),
        connections: JoinSet::new(),
    };
    let failed = {
        tokio::pin!(shutdown);
        let failed = node.failed();
        tokio::pin!(failed);
        tokio::select! {
            () = &mut shutdown => None,
            why = &mut failed => Some(why),
            never = server.accept(&listener) => match never {},
        }
    };
    drop(listener);
    if let Some(why) = failed {
        tracing::error!(why, "the log failed for good");
        server.connections.abort_all();
        return Err(ServeError::LogFailed(why));
    }
    stop.send_replace(true);
    let open = server.connections.len();
    tracing::info!(open, "stopping: no new connections, finishing what was begun");
    let drained = async { while server.connections.join_next().await.is_some() {} };
    if tokio::time::timeout(drain_timeout, drained).await.is_err() {
        let left = server.connections.len();
        tracing::warn!(left, "connections did not finish in time and are closed");
        server.connections.shutdown().await;
    }
    Ok(())
}

struct Server {
    edge: Arc<Edge>,
    admitted: Arc<Semaphore>,
    refused: Arc<Semaphore>,
    connections: JoinSet<()>,
}

impl Server {
    async fn accept(&mut self, listener: &TcpListener) -> Infallible {
        loop {
            let stream = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(_) = self.connections.join_next() => continue,
            };
            match stream {
                Ok((stream, _)) => self.admit(stream).await,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn admit(&mut self, stream: TcpStream) {
        // Answers are small and complete: waiting to fill a packet only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection was gone before it began");
            return;
        }
        let place = place(&self.admitted, &self.refused).await;
        self.connections.spawn(converse(Arc::clone(&self.edge), stream, place));
    }
}

/// What a connection occupies.
struct Place {
    _permit: OwnedSemaphorePermit,
    /// Whether its requests are answered, or only told that there are too many.
    admitted: bool,
}

/// A place for a connection: to be served if there is one, else to be told that there is none.
/// Without either, nothing is accepted until any connection has ended.
async fn place(admitted: &Arc<Semaphore>, refused: &Arc<Semaphore>) -> Place {
    let (permit, admitted) = tokio::select! {
        biased;
        permit = Arc::clone(admitted).acquire_owned() => (permit, true),
        permit = Arc::clone(refused).acquire_owned() => (permit, false),
    };
    Place { _permit: permit.expect("the semaphores are never closed"), admitted }
}

/// One connection, from its first request to its last.
async fn converse(edge: Arc<Edge>, stream: TcpStream, place: Place) {
    let admitted = place.admitted;
    let activity = Arc::new(Activity::default());
    let stream = Watched::new(stream, Arc::clone(&activity));
    let options = edge.options.clone();
    let stopping = edge.stopping.clone();
    let during = Arc::clone(&activity);
    let slot = realtime::Slot::default();
    let going_on = (Arc::clone(&edge), slot.clone());
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        let edge = Arc::clone(&edge);
        if request.headers().contains_key(UPGRADE) {
            request.extensions_mut().insert(slot.clone());
        }
        let request_activity = during.begin();
        async move {
            let mut response = if admitted { edge.serve(request).await } else { edge.full() };
            response.body_mut().keep(request_activity);
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .keep_alive(admitted)
        .max_buf_size(options.head_bytes_max.max(8 * 1_024))
        .max_headers(options.headers_max)
        .header_read_timeout(None)
        .half_close(false)
        .serve_connection(stream, service)
        .with_upgrades();
    let watched = watch_over(connection, &activity, &options, stopping);
    if admitted {
        watched.await;
        let (edge, slot) = going_on;
        realtime::go_on(edge, slot).await;
    } else if tokio::time::timeout(options.refused_timeout, watched).await.is_err() {
        tracing::debug!("a connection beyond the bound asked nothing and is closed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        pin::{Pin, pin},
        task::{Context, Poll, Waker},
    };

    /// The place, if there is one now.
    fn now(waiting: Pin<&mut impl Future<Output = Place>>) -> Option<Place> {
        match waiting.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(place) => Some(place),
            Poll::Pending => None,
        }
    }

    #[test]
    fn silent_connections_beyond_the_bound_do_not_keep_others_from_being_served() {
        let (admitted, refused) = (Arc::new(Semaphore::new(1)), Arc::new(Semaphore::new(1)));
        let first = now(pin!(place(&admitted, &refused))).unwrap();
        let silent = now(pin!(place(&admitted, &refused))).unwrap();
        assert!(first.admitted && !silent.admitted);
        let mut next = pin!(place(&admitted, &refused));
        assert!(now(next.as_mut()).is_none(), "both are at their bounds");
        drop(first);
        assert!(now(next).is_some_and(|place| place.admitted));
        assert!(!silent.admitted, "and is still there");
    }
}
