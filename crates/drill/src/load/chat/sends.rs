//! `sends`, `hot` and `fill`: sends over WebSockets, several in flight on each.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::task::JoinSet;

use super::super::driver::Plan;
use super::super::endpoint::Endpoint;
use super::super::report::{Report, Run};
use super::super::websocket::WebSocket;
use super::conversations::Conversations;
use super::ledger::Ledger;
use super::options::ChatBenchError;
use super::run::{Phase, Shared};
use super::talker::{BUFFER_BYTES, Choice, Talker, connect};

/// Who hears what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    /// Each sender its share of the conversations: a message reaches exactly one.
    Senders,
    /// So many connections beside them, each all of it.
    Others(usize),
}

/// Connections that send.
pub(super) struct Sends {
    pub(super) endpoint: Endpoint,
    pub(super) conversations: Conversations,
    pub(super) audience: Audience,
    pub(super) depth: usize,
    pub(super) drain_max: Duration,
}

impl Sends {
    pub(super) async fn run(self, name: &str, plan: Plan) -> Result<Report, ChatBenchError> {
        self.conversations.put(&self.endpoint).await?;
        let mut runs = Vec::with_capacity(plan.repeats as usize);
        for _ in 0..plan.repeats {
            runs.push(self.run_once(&plan).await?);
        }
        let name = format!("chat {name}, {} in flight each", self.depth);
        Ok(Report::new(name, &plan, runs))
    }

    async fn run_once(&self, plan: &Plan) -> Result<Run, ChatBenchError> {
        let subscribers = match self.audience {
            Audience::Senders => 1,
            Audience::Others(count) => count,
        };
        let ledger = Ledger::new(self.conversations.count(), subscribers);
        let shared = Arc::new(Shared::new(ledger, None));
        let talkers = self.connect(plan.connections, Choice::Random, &shared).await?;
        let mut tasks = JoinSet::new();
        for talker in talkers {
            tasks.spawn(talker.run());
        }
        let window = shared.window(plan).await;
        let tally = shared.finish(tasks, self.drain_max).await?;
        Ok(tally.into_run(window))
    }

    /// All of them, before any sends.
    async fn connect(
        &self,
        connections: usize,
        choice: Choice,
        shared: &Arc<Shared>,
    ) -> Result<Vec<Talker>, ChatBenchError> {
        let all: Vec<u32> = (0..self.conversations.count()).collect();
        let (listeners, shares) = match self.audience {
            Audience::Senders => (0, connections),
            Audience::Others(count) => (count, 0),
        };
        let mut talkers = Vec::with_capacity(connections + listeners);
        for sender in 0..connections {
            let share = all.iter().copied().skip(sender).step_by(connections);
            let share: Vec<u32> = if shares > 0 { share.collect() } else { Vec::new() };
            let socket = self.open(&share).await?;
            let conversations = self.conversations.clone();
            let shared = Arc::clone(shared);
            talkers.push(Talker::new(socket, conversations, shared, choice, self.depth));
        }
        for listener in 0..listeners {
            let socket = self.open(&all).await?;
            let conversations = self.conversations.clone();
            talkers.push(Talker::listener(socket, conversations, Arc::clone(shared), listener));
        }
        Ok(talkers)
    }

    async fn open(&self, numbers: &[u32]) -> Result<WebSocket, ChatBenchError> {
        connect(&self.endpoint, &self.conversations, numbers, BUFFER_BYTES).await
    }

    /// Stores so many messages, as many in each conversation, as fast as it goes.
    pub(super) async fn fill(
        self,
        messages: u64,
        connections: usize,
    ) -> Result<FillReport, ChatBenchError> {
        self.conversations.put(&self.endpoint).await?;
        let ledger = Ledger::new(self.conversations.count(), 0);
        let shared = Arc::new(Shared::new(ledger, None));
        let talkers = self.connect(connections, Choice::InTurn(messages), &shared).await?;
        let begun = Instant::now();
        let mut tasks = JoinSet::new();
        for talker in talkers {
            tasks.spawn(talker.until_answered());
        }
        let mut stored = 0;
        let mut first_error = None;
        while let Some(ended) = tasks.join_next().await {
            let (acked, error) = ended.map_err(ChatBenchError::Worker)?;
            stored += acked;
            first_error = first_error.or(error);
        }
        shared.enter(Phase::Stop);
        if stored < messages {
            let why = first_error.unwrap_or_else(|| "some were refused".to_owned());
            return Err(ChatBenchError::Server(format!("{stored} of {messages} stored: {why}")));
        }
        let fill_per_s = messages as f64 / begun.elapsed().as_secs_f64().max(1e-9);
        let conversations = self.conversations.count();
        Ok(FillReport { workload: "chat fill", messages, conversations, fill_per_s })
    }
}

/// What was put in.
#[derive(Debug, Clone, Serialize)]
pub struct FillReport {
    /// The workload's name.
    pub workload: &'static str,
    /// How many are there now beside what was before.
    pub messages: u64,
    /// Over how many conversations, as many in each.
    pub conversations: u32,
    /// How many a second.
    pub fill_per_s: f64,
}

impl fmt::Display for FillReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { workload, messages, conversations, fill_per_s } = self;
        writeln!(
            out,
            "{workload} · {messages} messages over {conversations} conversations at {fill_per_s:.0}/s"
        )
    }
}
