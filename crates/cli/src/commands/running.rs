//! What `dev` and `serve` share: a node over a directory, a socket, and the end of both.

use super::{
    envoy::Envoy,
    stop::{INTERRUPTED, Stop, stop_signal},
};
use crate::{config::Settings, failure::Failure};
use evenkeel_node::Node;
use evenkeel_server::{Auth, ServerOptions, resp};
use std::{io::ErrorKind, net::SocketAddr, path::Path, sync::Arc};
use tokio::{net::TcpListener, sync::oneshot};

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
    envoy: Option<Envoy>,
    options: ServerOptions,
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
        let options = ServerOptions { auth, rules, ..settings.server.clone() };
        Ok(Self { node, address, listener, resp, envoy, options, stop })
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
        let Self { node, listener, resp, envoy, options, stop, .. } = self;
        let (stop_resp, resp_stopped) = oneshot::channel::<()>();
        let resp = resp.map(|listener| {
            let (options, limits) =
                (resp::RespOptions::new(options.auth), Arc::new(resp::Counted(node.clone())));
            tokio::spawn(resp::serve(listener, options, limits, async {
                let _ = resp_stopped.await;
            }))
        });
        let (stop_envoy, envoy_stopped) = oneshot::channel::<()>();
        let envoy = envoy.map(|envoy| tokio::spawn(envoy.serve(node.clone(), envoy_stopped)));
        // They drain beside HTTP, before the node is closed.
        let stopped = async move {
            stop.await;
            drop((stop_resp, stop_envoy));
            for edge in [resp, envoy].into_iter().flatten() {
                let _ = edge.await;
            }
        };
        Ok(evenkeel_server::serve(listener, options, node, stopped).await?)
    }
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
