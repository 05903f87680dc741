//! What a Rust service asks of a running Evenkeel.
//!
//! For services that limit their requests: [`Client`] asks whether a request fits a limit, and
//! `RateLimitLayer` (the cargo feature `tower`, on by default) does so for every request of a tower
//! service and answers those that do not. Not for anything else that Evenkeel does, and no node: it
//! speaks HTTP to one, and depends on none of Evenkeel's other crates.
//!
//! A service limits its routes in five lines:
//!
//! ```
//! # use evenkeel_domains::{Command, limits::Policy, meta};
//! # use evenkeel_node::{CallOptions, Node, NodeOptions};
//! # use evenkeel_server::{Auth, Meters, ServerOptions, serve};
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let mut options = NodeOptions::new(directory.path().join("data"));
//! # (options.init, options.partitions, options.segment_bytes) = (true, 2, 1 << 20);
//! # let node = Node::open(options).await?;
//! # let tenant = node.tenant("default").unwrap();
//! # let policy = Policy::gcra(1, 3_600_000, 0);
//! # let action = meta::Action::PutLimit { tenant: tenant.id, name: "hello".into(), policy };
//! # node.command(&tenant, Command::Meta(meta::Command { action }), CallOptions::default()).await?;
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let address = listener.local_addr()?.to_string();
//! # let (meters, options) = (Meters::new(&node), ServerOptions::new(Auth::Open));
//! # tokio::spawn(serve(listener, options, node, meters, std::future::pending()));
//! use axum::{Router, routing::get};
//! use evenkeel_client::{Client, RateLimitLayer};
//!
//! let evenkeel = Client::new(&address)?; // 127.0.0.1:7480, say
//! let limit = RateLimitLayer::new(&evenkeel, "hello").key(|head| head.uri.path().to_owned());
//! let app = Router::new().route("/", get(|| async { "hello" })).layer(limit);
//! # let mut statuses = Vec::new();
//! # for _ in 0..2 {
//! #     let request = axum::extract::Request::new(axum::body::Body::empty());
//! #     let mut service = app.clone();
//! #     statuses.push(tower_service::Service::call(&mut service, request).await?.status().as_u16());
//! # }
//! # assert_eq!(statuses, [200, 429]);
//! # Ok(())
//! # }
//! ```

mod client;
#[cfg(feature = "tower")]
mod layer;

pub use client::{Answer, Check, CheckError, Client, ClientError};
#[cfg(feature = "tower")]
pub use layer::{OnUnavailable, RateLimit, RateLimitLayer};
