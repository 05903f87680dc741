//! `evenkeel bench chat`: sends, fan-out, resumes and pages.

use super::Measurement;
use crate::{client::ServerArgs, failure::Failure};
use clap::ValueEnum;
use evenkeel_drill::load::chat::{ChatBench, ChatReport, ChatWorkload};

/// What is done in conversations.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Row {
    /// Each connection sends to random conversations and is subscribed to its share of them.
    Sends,
    /// All send to one conversation.
    Hot,
    /// The sends by HTTP.
    Http,
    /// From a send to its arrival at every subscriber; at --rate, or as fast as they take it.
    Fanout,
    /// A subscriber that was away gets what it missed.
    Resume,
    /// Store messages, for history.
    Fill,
    /// Random pages of what fill stored.
    History,
    /// What connections that do nothing cost the server whose --pid is given.
    Idle,
}

/// Measure conversations, which it puts there first.
#[derive(Debug, clap::Args)]
pub(super) struct Chat {
    /// What is done in conversations.
    #[arg(value_enum)]
    row: Row,
    /// What the names of the conversations begin with.
    #[arg(long, default_value = "bench")]
    name: String,
    /// How many conversations; 10,000 if not given, and 1 for fanout.
    #[arg(long)]
    conversations: Option<u32>,
    /// The conversations are there already, or the server needs none to be put.
    #[arg(long)]
    conversations_exist: bool,
    /// sends, hot: sends in flight on each connection; 1 if not given, and 64 for fill.
    #[arg(long)]
    depth: Option<usize>,
    /// hot, fanout: connections that are subscribed; none if not given, and 100 for fanout.
    #[arg(long)]
    subscribers: Option<usize>,
    /// resume, fill, history: messages; 1,000 if not given, and 1,000,000 for fill and history.
    #[arg(long)]
    messages: Option<u64>,
    /// history: messages a page.
    #[arg(long, default_value_t = 50)]
    page: u64,
    /// idle: connections that are held, for --duration-s.
    #[arg(long, default_value_t = 10_000)]
    sockets: u32,
    /// The server's process on this machine, to see what it uses.
    #[arg(long)]
    pid: Option<u32>,
    #[command(flatten)]
    pub(super) measurement: Measurement,
    #[command(flatten)]
    server: ServerArgs,
}

const CONVERSATIONS: u32 = 10_000;
const SUBSCRIBERS: usize = 100;
const MISSED: u64 = 1_000;
const STORED: u64 = 1_000_000;
const FILL_DEPTH: usize = 64;

pub(super) async fn chat(args: Chat) -> Result<ChatReport, Failure> {
    let mut depth = 1;
    let mut conversations = CONVERSATIONS;
    let workload = match args.row {
        Row::Sends => ChatWorkload::Sends,
        Row::Hot => ChatWorkload::Hot { subscribers: args.subscribers.unwrap_or(0) },
        Row::Http => ChatWorkload::Http,
        Row::Fanout => {
            conversations = 1;
            ChatWorkload::Fanout { subscribers: args.subscribers.unwrap_or(SUBSCRIBERS) }
        }
        Row::Resume => ChatWorkload::Resume { messages: args.messages.unwrap_or(MISSED) },
        Row::Fill => {
            depth = FILL_DEPTH;
            ChatWorkload::Fill { messages: args.messages.unwrap_or(STORED) }
        }
        Row::History => {
            let messages = args.messages.unwrap_or(STORED);
            ChatWorkload::History { messages, page: args.page }
        }
        Row::Idle => ChatWorkload::Idle { sockets: args.sockets },
    };
    let bench = ChatBench {
        api_key: args.server.api_key()?,
        timeout: args.server.timeout(),
        target: args.server.url,
        plan: args.measurement.plan()?,
        workload,
        name: args.name,
        conversations: args.conversations.unwrap_or(conversations),
        create: !args.conversations_exist,
        depth: args.depth.unwrap_or(depth),
        pid: args.pid,
    };
    Ok(bench.run().await?)
}
