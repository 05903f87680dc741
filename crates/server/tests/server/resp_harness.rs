//! A RESP server on a free port over a node with a directory of its own, and a client that sends
//! and reads bytes.

use evenkeel_domains::{Command, meta};
use evenkeel_engine::TenantId;
use evenkeel_node::{CallOptions, Node, NodeOptions, Tenant};
use evenkeel_server::{
    Auth, Meters,
    resp::{RespOptions, serve},
};
use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{net::TcpListener, runtime::Runtime, sync::oneshot, task::JoinHandle};

/// A test that waits longer than this for a byte has hung.
const HANG: Duration = Duration::from_secs(30);
/// What a masked number is larger than: times, in answers of limits that last a day.
const MASKED_ABOVE: i64 = 1_000;

pub(crate) struct RespServer {
    node: Node,
    address: SocketAddr,
    runtime: Runtime,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
    _data: TempDir,
}

impl RespServer {
    /// A server that asks for no keys.
    pub(crate) fn open() -> Self {
        Self::start(RespOptions::new(Auth::Open))
    }

    pub(crate) fn keyed() -> Self {
        Self::start(RespOptions::new(Auth::Keys))
    }

    pub(crate) fn start(options: RespOptions) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let data = tempfile::tempdir().unwrap();
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
        Self { node, address, runtime, stop, served, _data: data }
    }

    /// A key of `tenant` with these scopes, as its holder sends it.
    pub(crate) fn add_key(&self, id: &str, tenant: &str, scopes: &[&str]) -> String {
        let secret = format!("secret-of-{id}-{}", scopes.len());
        self.change_meta(meta::Action::CreateKey {
            id: id.to_owned(),
            secret_hash: *blake3::hash(secret.as_bytes()).as_bytes(),
            tenant: tenant.to_owned(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            label: String::new(),
        });
        format!("ek_{id}_{secret}")
    }

    pub(crate) fn revoke_key(&self, id: &str) {
        self.change_meta(meta::Action::RevokeKey { id: id.to_owned(), tenant: None });
    }

    /// Records in all partitions together.
    pub(crate) fn records(&self) -> u64 {
        self.node.stats().partitions.iter().map(|partition| partition.offset).sum()
    }

    fn change_meta(&self, action: meta::Action) {
        let command = Command::Meta(meta::Command { action });
        let tenant = Tenant { id: TenantId(0), name: "default".into() };
        let options = CallOptions::default();
        self.runtime.block_on(self.node.command(&tenant, command, options)).unwrap();
    }

    pub(crate) fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(HANG)).unwrap();
        stream.set_write_timeout(Some(HANG)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream }
    }

    /// Stops it gracefully.
    pub(crate) fn stop(self) {
        self.stop.send(()).unwrap();
        self.runtime.block_on(async {
            self.served.await.unwrap();
            self.node.shutdown().await;
        });
    }
}

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
}

impl Client {
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Reads exactly `expected`.
    #[track_caller]
    pub(crate) fn hear(&mut self, expected: impl AsRef<[u8]>) {
        let expected = expected.as_ref();
        let mut heard = vec![0; expected.len()];
        let mut length = 0;
        while length < expected.len() && expected.starts_with(&heard[..length]) {
            match self.stream.read(&mut heard[length..]) {
                Ok(0) | Err(_) => break,
                Ok(bytes) => length += bytes,
            }
        }
        let show = |bytes| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(show(&heard[..length]), show(expected));
    }

    /// Sends `line` as it is typed, and reads exactly `expected`, whose lines are there apart.
    #[track_caller]
    pub(crate) fn ask(&mut self, line: &str, expected: &str) {
        self.send(format!("{line}\r\n"));
        self.hear(format!("{}\r\n", expected.replace('\n', "\r\n")));
    }

    /// Reads what has as many lines as `expected`, and must be that once numbers above 1,000 are
    /// written as `+`: times, of which nobody knows how many have passed.
    #[track_caller]
    pub(crate) fn hear_masked(&mut self, expected: &str) {
        let lines = expected.split('\n').map(|_| self.line());
        let masked = lines.map(|line| match line.strip_prefix(':').map(str::parse::<i64>) {
            Some(Ok(number)) if number > MASKED_ABOVE => ":+".to_owned(),
            _ => line,
        });
        assert_eq!(masked.collect::<Vec<_>>().join("\n"), expected);
    }

    /// Sends `line` as it is typed, and reads `expected`, in which times are `+`.
    #[track_caller]
    pub(crate) fn ask_masked(&mut self, line: &str, expected: &str) {
        self.send(format!("{line}\r\n"));
        self.hear_masked(expected);
    }

    /// Reads one line, without its end.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        let mut heard = Vec::new();
        while !heard.ends_with(b"\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).unwrap();
            heard.push(byte[0]);
        }
        String::from_utf8(heard[..heard.len() - 2].to_vec()).unwrap()
    }

    /// Changes to version 3 of the protocol.
    pub(crate) fn speak_3(&mut self) {
        self.send("HELLO 3\r\n");
        while self.line() != "modules" {}
        assert_eq!(self.line(), "*0");
    }

    /// Reads until the server closes; what came.
    pub(crate) fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        // A reset is a closed connection too; one that is left open is not.
        if let Err(error) = self.stream.read_to_end(&mut bytes) {
            let hung = [ErrorKind::WouldBlock, ErrorKind::TimedOut];
            assert!(!hung.contains(&error.kind()), "it was not closed");
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Everything that is said to `text`, up to the end of a conversation.
    pub(crate) fn whole(mut self, text: &str) -> String {
        self.send(format!("{text}QUIT\r\n"));
        let said = self.rest();
        said.strip_suffix("+OK\r\n").unwrap_or_else(|| panic!("no goodbye in {said:?}")).to_owned()
    }
}

/// A command as clients send it.
pub(crate) fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}
