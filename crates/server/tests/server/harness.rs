//! A server on a free port with a directory of its own, and a small blocking client.

use evenkeel_node::{Node, NodeOptions};
use evenkeel_server::{
    AdminKey, Auth, Meters, ServeError, ServerOptions,
    push::{self, PushOptions, Pushes, Reach},
    serve,
};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{net::TcpListener, runtime::Runtime, sync::oneshot, task::JoinHandle};

/// A test that waits longer than this for a byte has hung.
const HANG: Duration = Duration::from_secs(30);

pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) node: Node,
    runtime: Runtime,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), ServeError>>,
    data: TempDir,
}

impl TestServer {
    /// A server that asks for no keys.
    pub(crate) fn open() -> Self {
        Self::start(ServerOptions::new(Auth::Open))
    }

    pub(crate) fn start(options: ServerOptions) -> Self {
        Self::start_on(tempfile::tempdir().unwrap(), options)
    }

    pub(crate) fn start_on(data: TempDir, options: ServerOptions) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let mut node_options = NodeOptions::new(data.path().join("data"));
        node_options.init = true;
        node_options.partitions = 4;
        node_options.segment_bytes = 4 << 20;
        let (node, listener) = runtime.block_on(async {
            let node = Node::open(node_options).await.unwrap();
            (node, TcpListener::bind("127.0.0.1:0").await.unwrap())
        });
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            let _ = stopped.await;
        };
        let meters = Meters::new(&node);
        let served = runtime.spawn(serve(listener, options, node.clone(), meters, shutdown));
        Self { address, node, runtime, stop, served, data }
    }

    /// One that asks for no keys and pushes jobs, to this machine too.
    pub(crate) fn pushing() -> Self {
        let pushes = Pushes::new(Reach::Loopback);
        let options = ServerOptions { pushes: pushes.clone(), ..ServerOptions::new(Auth::Open) };
        let server = Self::start(options);
        let node = server.node.clone();
        let never = std::future::pending();
        server.runtime.spawn(push::serve(node, PushOptions::new(), pushes, never));
        server
    }

    /// A key that may do everything as the tenant `default`.
    pub(crate) fn admin_key(&self) -> String {
        let key = AdminKey::mint();
        self.runtime.block_on(key.store(&self.node)).unwrap();
        key.shown()
    }

    /// Stops it gracefully; the directory stays.
    pub(crate) fn stop(self) -> TempDir {
        self.stop.send(()).unwrap();
        self.runtime.block_on(self.served).unwrap().unwrap();
        self.data
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(HANG)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Sends `bytes` as they are, and reads one answer.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Answer {
        let mut stream = self.connect();
        stream.write_all(bytes).unwrap();
        Answer::read(&mut BufReader::new(stream))
    }

    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Answer {
        self.raw(request(method, path, headers, body).as_bytes())
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], None)
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> Answer {
        self.send("POST", path, &[], Some(body))
    }

    pub(crate) fn put(&self, path: &str, body: &str) -> Answer {
        self.send("PUT", path, &[], Some(body))
    }

    /// A hold on what `places` says, which must be granted; its name.
    pub(crate) fn hold(&self, resource: &str, places: &str) -> String {
        let body = format!("{{\"holder\":\"u1\",\"ttl_ms\":600000{places}}}");
        let answer = self.post(&format!("/v1/resources/{resource}/holds"), &body);
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.json()["hold"].as_str().unwrap().to_owned()
    }
}

/// The bytes of a request.
pub(crate) fn request(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&str>,
) -> String {
    let mut text = format!("{method} {path} HTTP/1.1\r\n");
    if !headers.iter().any(|(name, _)| *name == "Host") {
        text.push_str("Host: 127.0.0.1:7480\r\n");
    }
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(body) = body {
        text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    } else {
        text.push_str("\r\n");
    }
    text
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    /// Reads the head of an answer and, if it says how long it is, its body.
    pub(crate) fn read(reader: &mut impl BufRead) -> Self {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).unwrap_or_else(|| panic!("no status in {line:?}"));
        let status = status.parse().unwrap();
        let mut headers = Vec::new();
        loop {
            line.clear();
            reader.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let mut answer = Self { status, headers, body: String::new() };
        if let Some(length) = answer.header("content-length") {
            let mut bytes = vec![0; length.parse().unwrap()];
            reader.read_exact(&mut bytes).unwrap();
            answer.body = String::from_utf8(bytes).unwrap();
        }
        answer
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }

    /// The code of a problem, which must be whole.
    pub(crate) fn code(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        assert_eq!(problem["request_id"].as_str(), self.header("evenkeel-request-id"));
        for member in ["type", "title", "detail", "retryable", "side_effects"] {
            assert!(!problem[member].is_null(), "{member} of {problem}");
        }
        problem["code"].as_str().unwrap().to_owned()
    }
}
