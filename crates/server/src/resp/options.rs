//! The limits and switches of this edge.

use crate::options::Auth;
use std::time::Duration;

/// How the RESP edge runs. Everything that could grow has a bound here or beside what it bounds.
#[derive(Debug, Clone)]
pub struct RespOptions {
    /// Who may ask.
    pub auth: Auth,
    /// Connections served at once; the next is told so and closed.
    pub connections_max: usize,
    /// Commands of one connection that are read, and handed on, together.
    pub pipeline_max: usize,
    /// How long a connection may take to say who it is.
    pub stranger_timeout: Duration,
    /// How long a command may take from its first byte to its last.
    pub command_timeout: Duration,
    /// How long a caller whom we know may say nothing; 0 is for ever. The system asks now and then
    /// whether it is still there.
    pub idle_timeout: Duration,
    /// How long a caller may take to read its replies; then it is closed.
    pub write_timeout: Duration,
    /// How long what was begun may take once the server is told to stop.
    pub drain_timeout: Duration,
}

impl RespOptions {
    /// The defaults.
    #[must_use]
    pub fn new(auth: Auth) -> Self {
        Self {
            auth,
            connections_max: 4_096,
            pipeline_max: 1_024,
            stranger_timeout: Duration::from_secs(10),
            command_timeout: Duration::from_secs(30),
            idle_timeout: Duration::ZERO,
            write_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(10),
        }
    }
}
