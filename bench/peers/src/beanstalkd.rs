//! beanstalkd over its own protocol: put, reserve, delete. One command is one write to its log and,
//! as it is started here, one fsync.
//!
//! It has no batches: a batch here is a hundred commands sent at once, before the first answer.

use evenkeel_drill::load::{Done, Outcome, Workload, WorkloadError};
use std::fmt::Write as _;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;

const TIMEOUT: Duration = Duration::from_secs(10);
const JOB_BYTES_MAX: usize = 65_536;
/// Jobs that a batch has.
const BATCH: usize = 100;

/// Each connection puts, reserves and deletes so many, each step in one write.
pub(crate) struct Jobs {
    target: String,
    count: usize,
}

impl Jobs {
    pub(crate) fn cycle(target: &str) -> Self {
        Self { target: target.to_owned(), count: 1 }
    }

    pub(crate) fn batch(target: &str) -> Self {
        Self { target: target.to_owned(), count: BATCH }
    }
}

/// One connection.
pub(crate) struct Connection {
    stream: BufStream<TcpStream>,
    request: String,
    line: String,
    body: Vec<u8>,
    reserved: Vec<u64>,
}

impl Workload for Jobs {
    type Conn = Connection;

    fn name(&self) -> String {
        format!("beanstalkd, {} a write", self.count)
    }

    fn operations_per_call(&self) -> u64 {
        self.count as u64
    }

    async fn connect(&self, _: usize) -> Result<Connection, WorkloadError> {
        let failed = |error: std::io::Error| WorkloadError(error.to_string());
        let stream = TcpStream::connect(&self.target).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        Ok(Connection {
            stream: BufStream::new(stream),
            request: String::new(),
            line: String::new(),
            body: Vec::new(),
            reserved: Vec::new(),
        })
    }

    async fn call(&self, connection: &mut Connection, call: u64) -> Done {
        let cycle = connection.cycle(call, self.count);
        let outcome = match tokio::time::timeout(TIMEOUT, cycle).await {
            Ok(Ok(())) => Outcome::Ok,
            Ok(Err(error)) => Outcome::Error(error.to_string().into()),
            Err(_) => Outcome::Error("no reply in time".into()),
        };
        Done { kind: 0, outcome }
    }
}

impl Connection {
    async fn cycle(&mut self, call: u64, count: usize) -> std::io::Result<()> {
        self.request.clear();
        for _ in 0..count {
            let payload = format!(r#"{{"order":"o-{call}","amount_cents":4200,"sent_ms":0}}"#);
            let _ = write!(self.request, "put 4 0 60 {}\r\n{payload}\r\n", payload.len());
        }
        self.send().await?;
        for _ in 0..count {
            self.answer("INSERTED ").await?;
        }
        self.request.clear();
        for _ in 0..count {
            self.request.push_str("reserve-with-timeout 5\r\n");
        }
        self.send().await?;
        for _ in 0..count {
            self.reserve().await?;
        }
        self.request.clear();
        for job in self.reserved.drain(..) {
            let _ = write!(self.request, "delete {job}\r\n");
        }
        self.send().await?;
        for _ in 0..count {
            self.answer("DELETED").await?;
        }
        Ok(())
    }

    async fn send(&mut self) -> std::io::Result<()> {
        self.stream.write_all(self.request.as_bytes()).await?;
        self.stream.flush().await
    }

    /// Reads a line that must begin so, and answers the rest of it.
    async fn answer(&mut self, begin: &str) -> std::io::Result<&str> {
        self.line.clear();
        self.stream.read_line(&mut self.line).await?;
        let line = self.line.trim_end();
        line.strip_prefix(begin)
            .ok_or_else(|| std::io::Error::other(format!("beanstalkd says `{line}`")))
    }

    async fn reserve(&mut self) -> std::io::Result<()> {
        let unclear = || std::io::Error::other("beanstalkd reserves something unclear");
        let answer = self.answer("RESERVED ").await?;
        let (job, bytes) = answer.split_once(' ').ok_or_else(unclear)?;
        let job: u64 = job.parse().map_err(|_| unclear())?;
        let bytes: usize = bytes.parse().map_err(|_| unclear())?;
        if bytes > JOB_BYTES_MAX {
            return Err(unclear());
        }
        self.body.resize(bytes + 2, 0);
        self.stream.read_exact(&mut self.body).await?;
        self.reserved.push(job);
        Ok(())
    }
}
