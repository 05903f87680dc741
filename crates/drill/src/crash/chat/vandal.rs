//! Somebody who sends what makes no sense, and vanishes. Nobody else may notice.

use super::{Phase, Server, Told};
use fastrand::Rng;
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const PAUSE: Duration = Duration::from_millis(60);
/// A server that takes or says nothing any more is left.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);
/// How long it looks at what comes back, at most.
const READS_MS: u64 = 100;
const HANDSHAKE: &str = "GET /v1/realtime HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// How the answer to that begins.
const SWITCHED: &[u8; 12] = b"HTTP/1.1 101";

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const PING: u8 = 0x89;

pub(super) struct Vandal {
    rng: Rng,
    address: String,
    /// A header that says who it is.
    key: String,
    told: Arc<Told>,
}

impl Vandal {
    pub(super) fn new(seed: u64, server: &Server, told: &Arc<Told>) -> Self {
        let key = server.key().map(|key| format!("Authorization: Bearer {key}\r\n"));
        Self {
            rng: Rng::with_seed(seed),
            address: server.address().to_owned(),
            key: key.unwrap_or_default(),
            told: Arc::clone(told),
        }
    }

    /// Until nothing more is to be said.
    pub(super) async fn run(mut self) {
        while !self.told.is_past(Phase::Calm) {
            tokio::time::sleep(PAUSE).await;
            if self.spoil().await.is_some() {
                self.told.counts.spoiled();
            }
        }
    }

    /// None if there was no WebSocket to be spoiled.
    async fn spoil(&mut self) -> Option<()> {
        let kind = self.rng.u8(0..9);
        if kind == 0 {
            // A connection of which the head never ends.
            let mut stream = TcpStream::connect(&self.address).await.ok()?;
            stream.write_all(&HANDSHAKE.as_bytes()[..60]).await.ok()?;
            return None;
        }
        let nonsense = self.nonsense(kind);
        let mut stream = TcpStream::connect(&self.address).await.ok()?;
        // A stranger's frames are read no further than to where they should say who they are.
        let key = if self.rng.bool() { &*self.key } else { "" };
        stream.write_all(format!("{HANDSHAKE}{key}\r\n").as_bytes()).await.ok()?;
        let mut head = [0; SWITCHED.len()];
        let read = timeout(ANSWERS_WITHIN, stream.read_exact(&mut head)).await;
        read.ok()?.ok().filter(|_| head == *SWITCHED)?;
        // It may be closed at any byte.
        let _ = timeout(ANSWERS_WITHIN, stream.write_all(&nonsense)).await;
        let reads = Duration::from_millis(self.rng.u64(0..READS_MS));
        let mut answer = Vec::new();
        let _ = timeout(reads, stream.read_to_end(&mut answer)).await;
        Some(())
    }

    fn nonsense(&mut self, kind: u8) -> Vec<u8> {
        let mask = self.rng.u32(..).to_be_bytes();
        let frame = |opcode: u8, payload: &[u8]| frame(opcode, payload, Some(mask));
        match kind {
            1 => frame(BINARY, b"\x00\x01\x02"),
            2 => (0..80).flat_map(|_| frame(TEXT, br#"{"subscribe": "#)).collect(),
            3 => frame(TEXT, &vec![b'x'; 80 * 1024]),
            4 => frame(TEXT, b"{\"ping\":\"\xff\xfe\"}"),
            // Half a frame, and nothing more.
            5 => frame(TEXT, &[b' '; 1_000])[..500].to_vec(),
            6 => self::frame(TEXT, br#"{"ping":1}"#, None),
            7 => (0..200)
                .flat_map(|number| {
                    let topic = format!(r#"{{"subscribe":"conversation:nowhere-{number}"}}"#);
                    frame(TEXT, topic.as_bytes())
                })
                .collect(),
            _ => (0..2_000).flat_map(|_| frame(PING, b"are you there?")).collect(),
        }
    }
}

/// A frame of RFC 6455; unmasked, which no client may send, without a mask.
fn frame(first: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..126 => bytes.push(masked | short as u8),
        middle @ 126..65_536 => {
            bytes.push(masked | 126);
            bytes.extend((middle as u16).to_be_bytes());
        }
        long => {
            bytes.push(masked | 127);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    let mask = mask.inspect(|mask| bytes.extend(mask)).unwrap_or_default();
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}
