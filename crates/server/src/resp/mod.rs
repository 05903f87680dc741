//! The RESP edge: limits for whoever speaks Redis's protocol. Reads commands, finds out who asks,
//! has what decides decide, and answers as Redis and redis-cell would.
//!
//! [`serve`] is all of it, over an implementation of [`Limits`]. It is no Redis: there are no
//! values to get or set. Bytes become commands in `parser`, commands are listed in `table`, their
//! arguments become requests in `arguments`, and what became of those is answered by `answers`.
//! `connection` carries it all, and is the only place here that waits.

mod answers;
mod arguments;
mod commands;
mod connection;
mod counted;
mod docs;
mod inline;
mod options;
mod parser;
mod reply;
mod server;
mod service;
mod session;
mod table;
mod words;

pub use counted::Counted;
pub use options::RespOptions;
pub use reply::{Protocol, Replies};
pub use server::serve;
pub use service::{
    Batch, Caller, Check, Cost, Failure, Limits, Manage, Managed, Name, Outcome, Request, Subject,
    Throttle, Verdict,
};
