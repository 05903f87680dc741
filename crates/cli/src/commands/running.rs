//! What `dev` and `serve` share: a node over a directory, a socket, and the end of both.

use super::stop::stop_signal;
use crate::{config::Settings, failure::Failure};
use evenkeel_node::Node;
use evenkeel_server::{Auth, ServerOptions};
use std::{
    io::ErrorKind,
    net::SocketAddr,
    path::{Path, PathBuf},
};
use tokio::net::TcpListener;

/// A server that is about to answer.
pub(crate) struct Running {
    pub(crate) node: Node,
    pub(crate) address: SocketAddr,
    listener: TcpListener,
    options: ServerOptions,
}

impl Running {
    /// Opens the node in `data`, then the socket. In this order, because of two processes on one
    /// directory the second should hear who has the directory, not that the port is taken.
    pub(crate) async fn open(
        settings: &Settings,
        data: &Path,
        init: bool,
        auth: Auth,
    ) -> Result<Self, Failure> {
        let mut options = settings.node.clone();
        options.data = data.to_owned();
        options.init = init;
        let node = Node::open(options).await?;
        let listener = match TcpListener::bind(settings.http).await {
            Ok(listener) => listener,
            Err(error) => {
                node.shutdown().await;
                return Err(not_bound(settings.http, error));
            }
        };
        let address = listener.local_addr()?;
        let options = ServerOptions {
            auth,
            ..settings.server.clone()
        };
        Ok(Self {
            node,
            address,
            listener,
            options,
        })
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

    /// Answers until it is told to stop, then drains; or until the log fails, which ends it at
    /// once. What is in `throw_away` is removed even if the process is told to end at once.
    pub(crate) async fn serve(self, throw_away: Option<PathBuf>) -> Result<(), Failure> {
        let stop = stop_signal(throw_away)?;
        Ok(evenkeel_server::serve(self.listener, self.options, self.node, stop).await?)
    }
}

fn not_bound(http: SocketAddr, error: std::io::Error) -> Failure {
    let what = match error.kind() {
        ErrorKind::AddrInUse => format!(
            "{http} is taken, perhaps by another evenkeel; choose another with --http, such as \
             --http 127.0.0.1:0 for any free port"
        ),
        _ => format!("cannot listen on {http}"),
    };
    Failure::because(what, error)
}
