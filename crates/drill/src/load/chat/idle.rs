//! `idle`: what connections that are subscribed and hear nothing cost the server.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinSet;

use super::super::driver::Plan;
use super::super::endpoint::Endpoint;
use super::super::process::Process;
use super::super::websocket::WebSocket;
use super::conversations::Conversations;
use super::options::ChatBenchError;
use super::talker::connect;

/// Connections that are opened at once.
const OPENERS: usize = 32;
/// What a connection holds that hears nothing: enough for the answers to its handshake.
const BUFFER_BYTES: usize = 512;

/// Connections, each subscribed to a conversation of its own as far as there are as many.
pub(super) struct Idle {
    pub(super) endpoint: Endpoint,
    pub(super) conversations: Conversations,
    pub(super) sockets: u32,
    pub(super) process: Process,
}

/// What they cost.
#[derive(Debug, Clone, Serialize)]
pub struct IdleReport {
    /// The workload's name.
    pub workload: &'static str,
    /// How many were open.
    pub sockets: u32,
    /// For how long.
    pub held_ms: u64,
    /// How many were still open then.
    pub open: u32,
    /// Resident memory of the server before they came.
    pub before_bytes: u64,
    /// The most that was seen while they were there.
    pub with_bytes: u64,
    /// The difference for each.
    pub bytes_each: u64,
    /// Percent of one core that the server used while they were there.
    pub cpu_percent: f64,
    /// What the first that was lost said.
    pub first_error: Option<String>,
}

impl Idle {
    /// Opens them, and holds them for the plan's duration.
    pub(super) async fn run(self, plan: Plan) -> Result<IdleReport, ChatBenchError> {
        self.conversations.put(&self.endpoint).await?;
        tokio::time::sleep(plan.warmup).await;
        let before_bytes = self.resident_bytes()?;
        let mut sockets = self.open().await?;
        tokio::time::sleep(plan.warmup).await;
        let used = || self.process.cpu_time().map_err(|error| self.unreadable(error));
        let cpu_before = used()?;
        let mut with_bytes = self.resident_bytes()?;
        tokio::time::sleep(plan.duration).await;
        with_bytes = with_bytes.max(self.resident_bytes()?);
        let cpu = used()?.saturating_sub(cpu_before);
        let mut open = 0;
        let mut first_error = None;
        for socket in &mut sockets {
            match still_open(socket).await {
                None => open += 1,
                lost => first_error = first_error.or(lost),
            }
        }
        let bytes_each = with_bytes.saturating_sub(before_bytes) / u64::from(self.sockets.max(1));
        Ok(IdleReport {
            workload: "chat idle",
            sockets: self.sockets,
            held_ms: u64::try_from(plan.duration.as_millis()).unwrap_or(u64::MAX),
            open,
            before_bytes,
            with_bytes,
            bytes_each,
            cpu_percent: cpu.as_secs_f64() / plan.duration.as_secs_f64().max(1e-9) * 100.0,
            first_error,
        })
    }

    fn resident_bytes(&self) -> Result<u64, ChatBenchError> {
        self.process.resident_bytes().map_err(|error| self.unreadable(error))
    }

    fn unreadable(&self, source: std::io::Error) -> ChatBenchError {
        ChatBenchError::Process { pid: self.process.0, source }
    }

    async fn open(&self) -> Result<Vec<WebSocket>, ChatBenchError> {
        let next = Arc::new(AtomicU32::new(0));
        let mut openers = JoinSet::new();
        for _ in 0..OPENERS {
            let (endpoint, conversations) = (self.endpoint.clone(), self.conversations.clone());
            let (next, sockets) = (Arc::clone(&next), self.sockets);
            openers.spawn(open_some(endpoint, conversations, next, sockets));
        }
        let mut all = Vec::with_capacity(self.sockets as usize);
        while let Some(opened) = openers.join_next().await {
            all.extend(opened.map_err(ChatBenchError::Worker)??);
        }
        Ok(all)
    }
}

async fn open_some(
    endpoint: Endpoint,
    conversations: Conversations,
    next: Arc<AtomicU32>,
    sockets: u32,
) -> Result<Vec<WebSocket>, ChatBenchError> {
    let mut opened = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= sockets {
            return Ok(opened);
        }
        let numbers = [number % conversations.count()];
        opened.push(connect(&endpoint, &conversations, &numbers, BUFFER_BYTES).await?);
    }
}

/// Why it is not, if it is not. What came meanwhile, pings for example, is taken.
async fn still_open(socket: &mut WebSocket) -> Option<String> {
    loop {
        match socket.take() {
            Ok(Some(_)) => {}
            Ok(None) => match socket.fill(Duration::ZERO).await {
                Ok(()) => {}
                Err(error) if error.is_timeout() => return None,
                Err(error) => return Some(error.to_string()),
            },
            Err(error) => return Some(error.to_string()),
        }
    }
}

impl fmt::Display for IdleReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "{} · {} connections held for {} ms, {} open in the end",
            self.workload, self.sockets, self.held_ms, self.open
        )?;
        writeln!(
            out,
            "resident {:.1} MiB before, {:.1} MiB with them: {} bytes each; {:.2} % of one core",
            self.before_bytes as f64 / 1_048_576.0,
            self.with_bytes as f64 / 1_048_576.0,
            self.bytes_each,
            self.cpu_percent
        )?;
        if let Some(error) = &self.first_error {
            writeln!(out, "first error: {error}")?;
        }
        Ok(())
    }
}
