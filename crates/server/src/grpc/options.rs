//! The limits and switches of this edge.

use super::windows::Windows;
use crate::options::Auth;
use std::time::Duration;

/// How the gRPC edge runs. Everything that could grow has a bound here or beside what it bounds.
#[derive(Debug, Clone)]
pub struct GrpcOptions {
    /// Who may ask.
    pub auth: Auth,
    /// Where a limit's unit of time begins.
    pub windows: Windows,
    /// Whether answers have `ratelimit-limit`, `ratelimit-remaining` and `ratelimit-reset` added to
    /// the response that Envoy passes on.
    pub response_headers: bool,
    /// Connections served at once; those beyond wait unaccepted.
    pub connections_max: usize,
    /// Requests of a connection underway at once.
    pub requests_max: u32,
    /// Bytes of a request.
    pub request_bytes_max: usize,
    /// How long a request may take to come and be answered, whatever its caller says: more
    /// than any contract's deadline.
    pub request_timeout: Duration,
    /// Bytes of a request's headers.
    pub head_bytes_max: u32,
    /// How long a connection may say nothing before it is asked whether it is there.
    pub keepalive_interval: Duration,
    /// How long it may take to say so; then it is closed.
    pub keepalive_timeout: Duration,
    /// How long what was begun may take once the server is told to stop.
    pub drain_timeout: Duration,
}

impl GrpcOptions {
    /// The defaults.
    #[must_use]
    pub fn new(auth: Auth) -> Self {
        Self {
            auth,
            windows: Windows::Rolling,
            response_headers: false,
            connections_max: 4_096,
            requests_max: 1_024,
            request_bytes_max: 64 * 1_024,
            request_timeout: Duration::from_secs(70),
            head_bytes_max: 16 * 1_024,
            keepalive_interval: Duration::from_secs(60),
            keepalive_timeout: Duration::from_secs(20),
            drain_timeout: Duration::from_secs(10),
        }
    }
}
