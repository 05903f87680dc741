//! The limits and switches of the edge.

use crate::{push::Pushes, standing::Standing};
use serde::Serialize;
use std::{collections::BTreeMap, time::Duration};

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// Whoever has an API key.
    Keys,
    /// Anyone who can reach it, as the tenant `default` with all scopes: for a loopback address.
    /// Requests with a foreign `Host` or `Origin` are refused, so that no web page that somebody
    /// on this machine opens can ask anything.
    Open,
}

/// A file that is served as it is, beside the interface: a page that asks it, or a part of one. It has no
/// secrets, since nobody needs a key to get it.
#[derive(Debug, Clone, Copy)]
pub struct StaticFile {
    /// Its address.
    pub path: &'static str,
    /// Its media type.
    pub content_type: &'static str,
    /// What is in it.
    pub text: &'static str,
}

/// What there is to play with: the page at `/` shows it beside the contracts.
#[derive(Debug, Clone, Serialize)]
pub struct Demo {
    /// Addresses of what moves, by product, as the page expects them.
    pub watch: BTreeMap<&'static str, Vec<String>>,
    /// What can be taken away, to see what it was for.
    pub breakages: Vec<DemoBreakage>,
}

/// A guarantee that can be taken away.
#[derive(Debug, Clone, Serialize)]
pub struct DemoBreakage {
    /// The product that shows it.
    pub product: &'static str,
    /// What is taken away.
    pub takes_away: &'static str,
    /// What that guarantee is for.
    pub protects: &'static str,
    /// The command that does it.
    pub command: String,
}

/// How the edge runs. Everything that could grow has a bound here.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Who may ask.
    pub auth: Auth,
    /// How rules stand that another edge reads from files, if one does: for `/readyz` and the metrics.
    pub rules: Option<Standing>,
    /// The queues that this node pushes, if it does.
    pub pushes: Pushes,
    /// What is served at addresses where nothing else is.
    pub files: &'static [StaticFile],
    /// What there is to play with, if there is.
    pub demo: Option<Demo>,
    /// Bytes of a request's body.
    pub body_bytes_max: usize,
    /// Bytes of a request's line and headers. At least 8 KiB.
    pub head_bytes_max: usize,
    /// Headers of a request.
    pub headers_max: usize,
    /// Connections served at once. The next few are answered `unavailable` and closed, and those
    /// after them wait unaccepted.
    pub connections_max: usize,
    /// Event streams open at once; the next is answered `overloaded`.
    pub streams_max: usize,
    /// WebSockets open at once; the next is answered `overloaded`. Fewer than connections, so that there is
    /// always one to ask by.
    pub realtime_max: usize,
    /// Bytes of answers that are kept for a moment: timelines, availability, heads of conversations.
    pub read_cache_bytes: u64,
    /// How long a connection beyond the bound may take to ask, and to hear that it is one too many.
    pub refused_timeout: Duration,
    /// How long a request's head may take from its first byte, give or take half of it.
    pub head_timeout: Duration,
    /// How long a request's body may take.
    pub body_timeout: Duration,
    /// How long a connection may be idle.
    pub idle_timeout: Duration,
    /// How long a quiet event stream goes without a comment.
    pub heartbeat: Duration,
    /// How long a WebSocket's client may take to say who it is.
    pub auth_timeout: Duration,
    /// How long a WebSocket may be silent before it is asked whether anybody is there.
    pub ping_every: Duration,
    /// How long an answer to that may take, before its client counts as gone.
    pub pong_timeout: Duration,
    /// How long a WebSocket's client may take nothing of what is sent.
    pub slow_timeout: Duration,
    /// How long requests may take to finish once the server is told to stop.
    pub drain_timeout: Duration,
}

impl ServerOptions {
    /// The defaults.
    #[must_use]
    pub fn new(auth: Auth) -> Self {
        Self {
            auth,
            rules: None,
            pushes: Pushes::default(),
            files: &[],
            demo: None,
            body_bytes_max: 256 * 1_024,
            head_bytes_max: 32 * 1_024,
            headers_max: 64,
            connections_max: 16_384,
            streams_max: 1_024,
            realtime_max: 14_336,
            read_cache_bytes: 32 << 20,
            refused_timeout: Duration::from_secs(2),
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            heartbeat: Duration::from_secs(15),
            auth_timeout: Duration::from_secs(10),
            ping_every: Duration::from_secs(25),
            pong_timeout: Duration::from_secs(10),
            slow_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(10),
        }
    }
}
