//! What `evenkeel bench chat` can be asked, and the run itself.

use std::sync::Arc;
use std::time::Duration;

use super::super::driver::{CONNECTIONS_MAX, DriveError, Pace, Plan, drive};
use super::super::endpoint::{Endpoint, EndpointError};
use super::super::process::Process;
use super::super::websocket::WebSocketError;
use super::conversations::Conversations;
use super::fanout::Fanout;
use super::history::History;
use super::http::HttpSends;
use super::idle::Idle;
use super::report::ChatReport;
use super::resume::Resume;
use super::sends::{Audience, Sends};

/// Sends in flight on one connection: what is written at once stays within a socket's buffer.
const DEPTH_MAX: usize = 256;
const CONVERSATIONS_MAX: u32 = 1_000_000;
/// How long what was sent may still take to arrive after the last send.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChatWorkload {
    /// Sends to random conversations by those who are subscribed to them.
    Sends,
    /// The same with one conversation.
    Hot {
        /// Connections that are subscribed to it, beside those that send.
        subscribers: usize,
    },
    /// Sends by HTTP.
    Http,
    /// From a send to its arrival at every subscriber; the plan may have a rate.
    Fanout {
        /// Of each conversation, each on its own connection.
        subscribers: usize,
    },
    /// A subscriber that comes back.
    Resume {
        /// How many messages it missed.
        messages: u64,
    },
    /// Stores messages, as many in each conversation.
    Fill {
        /// How many in all.
        messages: u64,
    },
    /// Random pages of what is stored.
    History {
        /// How many messages there are in all.
        messages: u64,
        /// How many a page.
        page: u64,
    },
    /// Connections that do nothing.
    Idle {
        /// How many.
        sockets: u32,
    },
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ChatBenchError {
    /// The options contradict themselves.
    #[error("{0}")]
    Options(&'static str),
    /// The target names no server.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// A WebSocket cannot be opened, or broke before the run.
    #[error(transparent)]
    WebSocket(#[from] WebSocketError),
    /// The run could not begin or broke.
    #[error(transparent)]
    Drive(#[from] DriveError),
    /// The server's process cannot be looked at.
    #[error("cannot read what process {pid} uses: {source}")]
    Process {
        /// Which.
        pid: u32,
        /// What happened.
        source: std::io::Error,
    },
    /// A task panicked.
    #[error("a worker panicked: {0}")]
    Worker(#[source] tokio::task::JoinError),
    /// The server did not do what was asked.
    #[error("{0}")]
    Server(String),
}

/// A run against a server that is up.
#[derive(Debug, Clone)]
pub struct ChatBench {
    /// `host:port` or `http://host:port`.
    pub target: String,
    /// Sent as a bearer token, with the handshake too.
    pub api_key: Option<String>,
    /// Bounds a connect and each request.
    pub timeout: Duration,
    /// How to measure.
    pub plan: Plan,
    /// What to measure.
    pub workload: ChatWorkload,
    /// What the names of the conversations begin with.
    pub name: String,
    /// How many of them.
    pub conversations: u32,
    /// Whether they are put there first.
    pub create: bool,
    /// Sends in flight on each connection.
    pub depth: usize,
    /// The server's process, if it is on this machine.
    pub pid: Option<u32>,
}

impl ChatBench {
    /// Puts the conversations and measures.
    ///
    /// # Errors
    /// [`ChatBenchError`]; sends that fail are counted in the report.
    pub async fn run(self) -> Result<ChatReport, ChatBenchError> {
        self.check()?;
        let key = self.api_key.as_deref();
        let endpoint = Endpoint::resolve(&self.target, key, self.timeout).await?;
        let plan = self.plan;
        Ok(match self.workload {
            ChatWorkload::Sends => {
                let sends = self.sends(endpoint, "", Audience::Senders);
                ChatReport::Load(sends.run("sends", plan).await?)
            }
            ChatWorkload::Hot { subscribers } => {
                let sends = self.sends(endpoint, "-hot", Audience::Others(subscribers));
                ChatReport::Load(sends.run("sends to one conversation", plan).await?)
            }
            ChatWorkload::Http => {
                let conversations = self.conversations("");
                conversations.put(&endpoint).await?;
                let sends = HttpSends { endpoint, conversations };
                ChatReport::Load(drive(Arc::new(sends), plan).await?)
            }
            ChatWorkload::Fanout { subscribers } => {
                let conversations = self.conversations("-fanout");
                let drain_max = DRAIN_MAX;
                let fanout = Fanout { endpoint, conversations, subscribers, drain_max };
                ChatReport::Load(fanout.run(plan).await?)
            }
            ChatWorkload::Resume { messages } => {
                let conversations = self.conversations("-resume");
                let drain_max = DRAIN_MAX;
                let resume = Resume { endpoint, conversations, messages, drain_max };
                ChatReport::Resume(resume.run(plan).await?)
            }
            ChatWorkload::Fill { messages } => {
                let fill = self.sends(endpoint, "-history", Audience::Others(0));
                ChatReport::Fill(fill.fill(messages, plan.connections).await?)
            }
            ChatWorkload::History { messages, page } => {
                let conversations = self.conversations("-history");
                let messages = messages / u64::from(conversations.count());
                let history = History { endpoint, conversations, messages, page };
                ChatReport::Load(drive(Arc::new(history), plan).await?)
            }
            ChatWorkload::Idle { sockets } => {
                let conversations = self.conversations("-idle");
                let process = Process(self.pid.ok_or(MISSING_PID)?);
                let idle = Idle { endpoint, conversations, sockets, process };
                ChatReport::Idle(idle.run(plan).await?)
            }
        })
    }

    /// Each workload has its own, so that one does not find what another left.
    fn conversations(&self, kind: &str) -> Conversations {
        let count = match self.workload {
            ChatWorkload::Hot { .. } | ChatWorkload::Resume { .. } => 1,
            _ => self.conversations,
        };
        Conversations::new(&format!("{}{kind}", self.name), count, self.create)
    }

    fn sends(&self, endpoint: Endpoint, kind: &str, audience: Audience) -> Sends {
        let conversations = self.conversations(kind);
        Sends { endpoint, conversations, audience, depth: self.depth, drain_max: DRAIN_MAX }
    }

    fn check(&self) -> Result<(), ChatBenchError> {
        let options = |problem| Err(ChatBenchError::Options(problem));
        if !(1..=CONNECTIONS_MAX).contains(&self.plan.connections) {
            return options("connections must be 1 to 16,384");
        }
        if !(1..=DEPTH_MAX).contains(&self.depth) {
            return options("the depth must be 1 to 256");
        }
        if !(1..=CONVERSATIONS_MAX).contains(&self.conversations) {
            return options("conversations must be 1 to 1,000,000");
        }
        if self.plan.repeats == 0 || self.plan.duration.is_zero() {
            return options("it measures nothing");
        }
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if self.name.is_empty() || !self.name.bytes().all(is_name) {
            return options("a name is of letters, digits, - and _");
        }
        let open = matches!(self.plan.pace, Pace::Open { .. });
        match self.workload {
            ChatWorkload::Fanout { subscribers: 0 } => options("a fan-out needs subscribers"),
            ChatWorkload::Fanout { .. } | ChatWorkload::Http | ChatWorkload::History { .. } => {
                self.check_history()
            }
            _ if open => options("a rate is for fanout, http and history"),
            ChatWorkload::Idle { .. } if self.pid.is_none() => Err(MISSING_PID),
            _ => Ok(()),
        }
    }

    fn check_history(&self) -> Result<(), ChatBenchError> {
        match self.workload {
            ChatWorkload::History { messages, page }
                if messages < u64::from(self.conversations) || page == 0 =>
            {
                Err(ChatBenchError::Options("each conversation needs a message, and a page one"))
            }
            _ => Ok(()),
        }
    }
}

const MISSING_PID: ChatBenchError =
    ChatBenchError::Options("idle connections need the id of the server's process");
