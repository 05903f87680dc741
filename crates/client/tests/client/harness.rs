//! A server to ask, one with answers that were written before, and a service that is limited.

use axum::{Router, body::Body, extract::Request, routing::get};
use evenkeel_client::{Client, RateLimitLayer};
use evenkeel_domains::{Command, limits::Policy, meta};
use evenkeel_node::{CallOptions, Node, NodeOptions};
use evenkeel_server::{AdminKey, Auth, Meters, ServerOptions, serve};
use hyper::{HeaderMap, StatusCode};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};
use tempfile::TempDir;
use tower_service::Service;

/// A running server, with a directory of its own.
pub(crate) struct Evenkeel {
    node: Node,
    address: SocketAddr,
    _data: TempDir,
}

impl Evenkeel {
    /// One that asks for no keys.
    pub(crate) async fn open() -> Self {
        Self::start(Auth::Open).await
    }

    pub(crate) async fn keyed() -> Self {
        Self::start(Auth::Keys).await
    }

    async fn start(auth: Auth) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut options = NodeOptions::new(data.path().join("data"));
        (options.init, options.partitions, options.segment_bytes) = (true, 2, 1 << 20);
        let node = Node::open(options).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (meters, options) = (Meters::new(&node), ServerOptions::new(auth));
        // It ends with the test's runtime.
        tokio::spawn(serve(listener, options, node.clone(), meters, std::future::pending()));
        Self { node, address, _data: data }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.address.to_string()).unwrap()
    }

    /// A key that may do everything.
    pub(crate) async fn key(&self) -> String {
        let key = AdminKey::mint();
        key.store(&self.node).await.unwrap();
        key.shown()
    }

    /// Makes a limit of `quantity` at once, and as many an hour.
    pub(crate) async fn limit(&self, name: &str, quantity: u64, scoped: bool) {
        let mut policy = Policy::gcra(quantity, 3_600_000, quantity - 1);
        policy.scoped = scoped;
        let tenant = self.node.tenant("default").unwrap();
        let action = meta::Action::PutLimit { tenant: tenant.id, name: name.to_owned(), policy };
        let command = Command::Meta(meta::Command { action });
        self.node.command(&tenant, command, CallOptions::default()).await.unwrap();
    }
}

/// A service with one route under `limit`, and how often it was called.
pub(crate) fn service(limit: RateLimitLayer) -> (Router, impl Fn() -> usize) {
    let calls = Arc::new(AtomicUsize::new(0));
    let called = Arc::clone(&calls);
    let hello = || async move {
        calls.fetch_add(1, Ordering::Relaxed);
        "hello"
    };
    (Router::new().route("/", get(hello)).layer(limit), move || called.load(Ordering::Relaxed))
}

/// A response that was read whole.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: StatusCode,
    pub(crate) body: String,
    headers: HeaderMap,
}

impl Said {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn problem(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// Asks `app` for `/`.
pub(crate) async fn ask(app: &Router, headers: &[(&str, &str)]) -> Said {
    let mut request = Request::builder();
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::empty()).unwrap();
    let (head, body) = app.clone().call(request).await.unwrap().into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let body = String::from_utf8(body.into()).unwrap();
    Said { status: head.status, headers: head.headers, body }
}

/// The bytes of an answer.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// A server that gives answers which were written before, and ends each connection after its last.
pub(crate) struct Canned {
    address: SocketAddr,
    served: JoinHandle<usize>,
}

impl Canned {
    /// The answers of each connection, in order.
    pub(crate) fn start(connections: Vec<Vec<String>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let served = thread::spawn(move || {
            for answers in &connections {
                let (stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream);
                for answer in answers {
                    read_request(&mut reader);
                    reader.get_mut().write_all(answer.as_bytes()).unwrap();
                }
            }
            connections.len()
        });
        Self { address, served }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.address.to_string()).unwrap()
    }

    /// How many connections were used, once all are.
    pub(crate) fn connections(self) -> usize {
        self.served.join().unwrap()
    }
}

fn read_request(reader: &mut impl BufRead) {
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    reader.read_exact(&mut vec![0; length]).unwrap();
}
