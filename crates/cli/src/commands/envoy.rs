//! Envoy's rate limit service beside HTTP: its rules, its socket, and a plain word where this build
//! has none.

use crate::{config::Settings, failure::Failure};
use evenkeel_node::Node;
use evenkeel_server::{Auth, Meters, Standing};
use std::net::SocketAddr;

/// The service, about to answer.
pub(super) use with_grpc::Envoy;

#[cfg(feature = "grpc")]
mod with_grpc {
    use super::{Auth, Failure, Meters, Node, Settings, SocketAddr, Standing};
    use crate::{
        commands::running::bind,
        config::{SWITCH, WINDOWS},
    };
    use evenkeel_server::grpc::{self, Directory, GrpcOptions, Windows};
    use std::sync::Arc;
    use tokio::net::TcpListener;

    pub(in super::super) struct Envoy {
        listener: TcpListener,
        rules: Arc<Directory>,
        options: GrpcOptions,
    }

    impl Envoy {
        /// Reads the rules, then opens the socket, if one is to be had.
        pub(in super::super) async fn open(
            settings: &Settings,
            auth: Auth,
        ) -> Result<Option<Self>, Failure> {
            let (address, rules) = match (settings.grpc, &settings.envoy_rules) {
                (None, None) => return Ok(None),
                (Some(address), Some(rules)) => (address, rules),
                _ => {
                    return Err(Failure::Usage(
                        "--grpc says where Envoy asks and --envoy-rules what it is told: give both"
                            .to_owned(),
                    ));
                }
            };
            let rules = Directory::open(rules).map_err(|error| {
                Failure::because("there are no rules for Envoy, and none to fall back on", error)
            })?;
            let options = GrpcOptions {
                windows: match settings.envoy_windows == WINDOWS[0] {
                    true => Windows::Rolling,
                    false => Windows::Calendar,
                },
                response_headers: settings.envoy_headers == SWITCH[1],
                connections_max: settings.server.connections_max,
                drain_timeout: settings.server.drain_timeout,
                ..GrpcOptions::new(auth)
            };
            let listener = bind(address, "--grpc").await?;
            Ok(Some(Self { listener, rules: Arc::new(rules), options }))
        }

        pub(in super::super) fn address(&self) -> Option<SocketAddr> {
            self.listener.local_addr().ok()
        }

        pub(in super::super) fn standing(&self) -> Standing {
            self.rules.standing()
        }

        /// Answers until `stopped`, then drains.
        pub(in super::super) async fn serve(
            self,
            node: Node,
            meters: Meters,
            stopped: impl Future<Output = ()>,
        ) {
            let Self { listener, rules, options } = self;
            grpc::serve(listener, options, node, meters, rules, stopped).await;
        }
    }
}

#[cfg(not(feature = "grpc"))]
mod with_grpc {
    use super::{Auth, Failure, Meters, Node, Settings, SocketAddr, Standing};
    use std::convert::Infallible;

    pub(in super::super) struct Envoy(Infallible);

    impl Envoy {
        pub(in super::super) async fn open(
            settings: &Settings,
            _: Auth,
        ) -> Result<Option<Self>, Failure> {
            if settings.grpc.is_none() && settings.envoy_rules.is_none() {
                return Ok(None);
            }
            Err(Failure::Usage(
                "this evenkeel was built without gRPC, which --grpc and --envoy-rules need; build \
                 it with --features grpc"
                    .to_owned(),
            ))
        }

        pub(in super::super) fn address(&self) -> Option<SocketAddr> {
            match self.0 {}
        }

        pub(in super::super) fn standing(&self) -> Standing {
            match self.0 {}
        }

        pub(in super::super) async fn serve(self, _: Node, _: Meters, _: impl Future<Output = ()>) {
            match self.0 {}
        }
    }
}
