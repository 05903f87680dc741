//! The RESP edge: limits for whoever speaks Redis's protocol. Reads commands, finds out who asks,
//! has what decides decide, and answers as Redis and redis-cell would.
//!
//! [`serve`] is all of it. It is no Redis: there are no values to get or set. Bytes become
//! commands in `parser`, commands are listed in `table`, their arguments become requests in
//! `arguments`, and what became of those is answered by `answers`. `counted` has the node decide,
//! and `connection` carries it all: these two and `server` are where anything waits.

mod answers;
mod arguments;
mod clock;
mod commands;
mod connection;
mod counted;
mod docs;
mod inline;
mod metered;
mod options;
mod parser;
mod reply;
mod server;
mod service;
mod session;
mod table;
mod words;

pub use options::RespOptions;
pub use server::serve;
