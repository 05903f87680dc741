//! Redis with a Lua script, over a RESP writer and reader that cost as little as ours over
//! HTTP: one write and one read a call, one reused buffer.

use std::time::Duration;

use evenkeel_drill::load::{Done, KeyMint, Outcome, Workload, WorkloadError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const TIMEOUT: Duration = Duration::from_secs(10);
const REPLY_BYTES_MAX: usize = 4096;

/// The fewest commands that keep the promises: the key decides once, the count never falls
/// below zero, the hold is stored, its expiry is indexed.
const SCRIPT: &str = "
if not redis.call('SET', KEYS[2], KEYS[3], 'NX', 'EX', 86400) then return 2 end
if redis.call('DECRBY', KEYS[1], ARGV[1]) < 0 then
  redis.call('INCRBY', KEYS[1], ARGV[1])
  redis.call('DEL', KEYS[2])
  return 0
end
redis.call('HSET', KEYS[3], 'holder', ARGV[2], 'quantity', ARGV[1], 'expires', ARGV[3])
redis.call('ZADD', KEYS[4], ARGV[3], KEYS[3])
return 1";

/// One counted resource that everyone wants.
pub(crate) struct Hot {
    target: String,
}

impl Hot {
    pub(crate) fn new(target: &str) -> Self {
        Self {
            target: target.to_owned(),
        }
    }
}

pub(crate) struct Connection {
    resp: Resp,
    script: String,
    keys: KeyMint,
    names: [String; 2],
}

impl Workload for Hot {
    type Conn = Connection;

    fn name(&self) -> String {
        "redis hot".into()
    }

    async fn prepare(&self, _: u32) -> Result<(), WorkloadError> {
        let mut resp = Resp::connect(&self.target).await?;
        resp.call(&[b"FLUSHALL"]).await?;
        resp.call(&[b"SET", b"remaining", b"1000000000000"]).await?;
        Ok(())
    }

    async fn connect(&self, _: usize) -> Result<Connection, WorkloadError> {
        let mut resp = Resp::connect(&self.target).await?;
        let loaded = resp.call(&[b"SCRIPT", b"LOAD", SCRIPT.as_bytes()]).await?;
        let script = loaded.lines().nth(1).unwrap_or_default().to_owned();
        Ok(Connection {
            resp,
            script,
            keys: KeyMint::new(),
            names: [String::new(), String::new()],
        })
    }

    async fn call(&self, conn: &mut Connection, _: u64) -> Done {
        let key = conn.keys.mint();
        for (name, prefix) in conn.names.iter_mut().zip(["key:", "hold:"]) {
            name.clear();
            name.push_str(prefix);
            name.push_str(key);
        }
        let [key, hold] = &conn.names;
        let reply = conn
            .resp
            .call(&[
                b"EVALSHA",
                conn.script.as_bytes(),
                b"4",
                b"remaining",
                key.as_bytes(),
                hold.as_bytes(),
                b"expiry",
                b"1",
                b"u1",
                b"1900000000000",
            ])
            .await;
        let outcome = match reply {
            Ok(":1\r\n") => Outcome::Ok,
            Ok(":0\r\n") => Outcome::Refused,
            Ok(other) => Outcome::Error(other.into()),
            Err(error) => Outcome::Error(error.0.into()),
        };
        Done { kind: 0, outcome }
    }
}

struct Resp {
    stream: TcpStream,
    request: Vec<u8>,
    reply: Vec<u8>,
}

impl Resp {
    async fn connect(target: &str) -> Result<Self, WorkloadError> {
        let stream = TcpStream::connect(target).await.map_err(|e| failed(&e))?;
        stream.set_nodelay(true).map_err(|e| failed(&e))?;
        Ok(Self {
            stream,
            request: Vec::with_capacity(512),
            reply: vec![0; REPLY_BYTES_MAX],
        })
    }

    /// One command, one reply: a line, or a bulk string of one line.
    async fn call(&mut self, words: &[&[u8]]) -> Result<&str, WorkloadError> {
        let request = &mut self.request;
        request.clear();
        push_length(request, b'*', words.len());
        for word in words {
            push_length(request, b'$', word.len());
            request.extend_from_slice(word);
            request.extend_from_slice(b"\r\n");
        }
        let filled = tokio::time::timeout(TIMEOUT, self.exchange())
            .await
            .map_err(|_| WorkloadError("no reply in time".into()))?
            .map_err(|e| failed(&e))?;
        let reply = std::str::from_utf8(&self.reply[..filled])
            .map_err(|error| WorkloadError(error.to_string()))?;
        match reply.strip_prefix('-') {
            Some(refusal) => Err(WorkloadError(refusal.trim_end().to_owned())),
            None => Ok(reply),
        }
    }

    async fn exchange(&mut self) -> std::io::Result<usize> {
        self.stream.write_all(&self.request).await?;
        let mut filled = 0;
        loop {
            if filled == self.reply.len() {
                return Err(std::io::ErrorKind::FileTooLarge.into());
            }
            let count = self.stream.read(&mut self.reply[filled..]).await?;
            if count == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            filled += count;
            let reply = &self.reply[..filled];
            let lines = if reply[0] == b'$' { 2 } else { 1 };
            let ends = reply.iter().filter(|byte| **byte == b'\n').count();
            if reply.ends_with(b"\r\n") && ends >= lines {
                return Ok(filled);
            }
        }
    }
}

/// `*3\r\n` or `$3\r\n`.
fn push_length(out: &mut Vec<u8>, sign: u8, length: usize) {
    out.push(sign);
    if length >= 10 {
        out.extend_from_slice(length.to_string().as_bytes());
    } else {
        out.push(b'0' + length as u8);
    }
    out.extend_from_slice(b"\r\n");
}

fn failed(error: &std::io::Error) -> WorkloadError {
    WorkloadError(error.to_string())
}
