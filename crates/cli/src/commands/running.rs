//! What `dev` and `serve` share: a node over a directory, a socket, and the end of both.

use super::{
    envoy::Envoy,
    stop::{INTERRUPTED, Stop, stop_signal},
};
use crate::{
    config::{SWITCH, Settings},
    failure::Failure,
};
use evenkeel_node::Node;
use evenkeel_server::{
    Auth, Meters, ServeError, ServerOptions,
    push::{self, PushOptions, Pushes, Reach},
    resp, serve_beside,
};
use std::{io::ErrorKind, net::SocketAddr, path::Path};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

/// Where everything is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Directory<'d> {
    pub(crate) path: &'d Path,
    /// Whether an empty one may become a new database.
    pub(crate) init: bool,
    /// Whether it must be gone afterwards, however the process is told to end. Its owner removes
    /// it; here only what its owner would not live to see is taken care of.
    pub(crate) throw_away: bool,
}

/// A server that is about to answer.
pub(crate) struct Running {
    pub(crate) node: Node,
    pub(crate) address: SocketAddr,
    listener: TcpListener,
    resp: Option<TcpListener>,
    resp_options: resp::RespOptions,
    envoy: Option<Envoy>,
    options: ServerOptions,
    push: PushOptions,
    stop: Stop,
}

impl Running {
    /// Opens the node, then the socket. In this order, because of two processes on one directory
    /// the second should hear who has the directory, not that the port is taken.
    pub(crate) async fn open(
        settings: &Settings,
        directory: Directory<'_>,
        auth: Auth,
    ) -> Result<Self, Failure> {
        let throw_away = directory.throw_away.then(|| directory.path.to_owned());
        let mut stop = stop_signal(throw_away)?;
        let mut options = settings.node.clone();
        options.data = directory.path.to_owned();
        options.init = directory.init;
        let node = tokio::select! {
            opened = Node::open(options) => opened?,
            // Nothing was begun that would have to be finished.
            () = &mut stop => return Err(Failure::Ended(INTERRUPTED)),
        };
        let bound = async {
            let http = bind(settings.http, "--http").await?;
            let resp = match settings.resp {
                Some(address) => Some(bind(address, "--resp").await?),
                None => None,
            };
            Ok((http, resp, Envoy::open(settings, auth).await?))
        };
        let (listener, resp, envoy) = match bound.await {
            Ok(bound) => bound,
            Err(failure) => {
                node.shutdown().await;
                return Err(failure);
            }
        };
        let address = listener.local_addr()?;
        let rules = envoy.as_ref().map(Envoy::standing);
        let pushes = Pushes::new(reach(settings, auth));
        let options = ServerOptions { auth, rules, pushes, ..settings.server.clone() };
        let push = settings.push.clone();
        let resp_options = resp::RespOptions { auth, ..settings.resp_options.clone() };
        Ok(Self { node, address, listener, resp, resp_options, envoy, options, push, stop })
    }

    /// Where a browser or a client on this machine finds it.
    pub(crate) fn url(&self) -> String {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        format!("http://{address}")
    }

    /// Where Redis's protocol is served, if it is.
    pub(crate) fn resp_address(&self) -> Option<SocketAddr> {
        self.resp.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Where Envoy's rate limit service is served, if it is.
    pub(crate) fn grpc_address(&self) -> Option<SocketAddr> {
        self.envoy.as_ref().and_then(Envoy::address)
    }

    /// Answers until it is told to stop, then drains; or until the log fails, which ends it at
    /// once.
    pub(crate) async fn serve(self) -> Result<(), Failure> {
        let Self { node, listener, resp, resp_options, envoy, options, push, stop, .. } = self;
        let meters = Meters::new(&node);
        let (stopping, told) = watch::channel(false);
        let mut edges = Edges::new();
        if let Some(listener) = resp {
            let (node, meters, told) = (node.clone(), meters.clone(), until(told.clone()));
            let served = resp::serve(listener, resp_options, node, meters, told);
            edges.spawn(async move {
                served.await;
                Ok(())
            });
        }
        if let Some(envoy) = envoy {
            let served = envoy.serve(node.clone(), meters.clone(), until(told.clone()));
            edges.spawn(async move {
                served.await;
                Ok(())
            });
        }
        let pushed = push::serve(node.clone(), push, options.pushes.clone(), until(told.clone()));
        edges.spawn(async move {
            pushed.await;
            Ok(())
        });
        edges.spawn(serve_beside(listener, options, node.clone(), meters, until(told)));
        let ended = serve_all(edges, stop, stopping).await?;
        node.shutdown().await;
        ended
    }
}

/// Where jobs may be pushed to. Who may ask without a key is on this machine, and whoever is there may
/// call it by themselves.
fn reach(settings: &Settings, auth: Auth) -> Reach {
    match auth {
        _ if settings.allow_private == SWITCH[1] => Reach::Any,
        Auth::Open => Reach::Loopback,
        Auth::Keys => Reach::Public,
    }
}

/// What serves the node, each in its own way, until it is told to stop.
type Edges = JoinSet<Result<(), ServeError>>;

/// Has all of `edges` serve until `stop` or until one of them ends, then tells all of them at once
/// and waits for all: they drain side by side. The outer error is the log's, after which there is
/// nothing to finish; the inner one an edge's that ended unasked.
async fn serve_all(
    mut edges: Edges,
    stop: impl Future<Output = ()>,
    stopping: watch::Sender<bool>,
) -> Result<Result<(), Failure>, ServeError> {
    let unasked = tokio::select! {
        () = stop => None,
        ended = edges.join_next() => ended,
    };
    stopping.send_replace(true);
    let what = "an address is not served any more, which nobody asked for";
    let mut result = match unasked {
        None => Ok(()),
        Some(Ok(ended)) => {
            ended?;
            Err(Failure::failed(what))
        }
        Some(Err(panic)) => Err(Failure::because(what, panic)),
    };
    while let Some(ended) = edges.join_next().await {
        match ended {
            Ok(ended) => ended?,
            Err(panic) => result = result.and(Err(Failure::because(what, panic))),
        }
    }
    Ok(result)
}

/// Completes once `told` is true.
async fn until(mut told: watch::Receiver<bool>) {
    // An error says that there is nobody left to tell.
    let _ = told.wait_for(|told| *told).await;
}

pub(crate) async fn bind(address: SocketAddr, flag: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| not_bound(address, flag, error))
}

fn not_bound(address: SocketAddr, flag: &str, error: std::io::Error) -> Failure {
    let what = match error.kind() {
        ErrorKind::AddrInUse => format!(
            "{address} is taken, perhaps by another evenkeel; choose another with {flag}, such as \
             {flag} 127.0.0.1:0 for any free port"
        ),
        _ => format!("cannot listen on {address}"),
    };
    Failure::because(what, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};
    use std::sync::Arc;
    use tokio::sync::Barrier;

    #[tokio::test]
    async fn one_stop_ends_all_and_they_drain_side_by_side() {
        let (stopping, told) = watch::channel(false);
        let drained = Arc::new(Barrier::new(2));
        let mut edges = Edges::new();
        for _ in 0..2 {
            let (told, drained) = (told.clone(), Arc::clone(&drained));
            edges.spawn(async move {
                until(told).await;
                drained.wait().await;
                Ok(())
            });
        }
        assert!(serve_all(edges, ready(()), stopping).await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn an_edge_that_ends_unasked_ends_the_others_and_is_a_failure() {
        for panics in [false, true] {
            let (stopping, told) = watch::channel(false);
            let mut edges = Edges::new();
            edges.spawn(async move {
                assert!(!panics, "the test wants a panic here");
                Ok(())
            });
            edges.spawn(async move {
                until(told).await;
                Ok(())
            });
            assert!(serve_all(edges, pending(), stopping).await.unwrap().is_err(), "{panics}");
        }
    }

    #[tokio::test]
    async fn a_log_that_failed_leaves_nothing_to_wait_for() {
        let (stopping, _) = watch::channel(false);
        let mut edges = Edges::new();
        edges.spawn(pending());
        edges.spawn(ready(Err(ServeError::LogFailed("it is gone".to_owned()))));
        let ServeError::LogFailed(why) = serve_all(edges, pending(), stopping).await.unwrap_err();
        assert_eq!(why, "it is gone");
    }
}
