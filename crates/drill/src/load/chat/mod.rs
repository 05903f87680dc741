//! Workloads against the chat API, over WebSocket and HTTP, and the bench that runs them.
//!
//! - `sends`: connections that send to random ones of many conversations and are subscribed to their
//!   share of them; each message reaches one;
//! - `hot`: the same with one conversation, subscribed by none or by some;
//! - `http`: the same sends by HTTP;
//! - `fanout`: conversations with many subscribers each, from send to arrival at each;
//! - `resume`: how long until a subscriber that was away has what it missed;
//! - `history`: random pages; `fill` puts in what they are of;
//! - `idle`: what connections that do nothing cost the server.
//!
//! What the sends check is that every message that was acknowledged arrives where it should, once
//! and in its conversation's order. More than that is the drills' to judge.

mod conversations;
mod fanout;
mod history;
mod http;
mod idle;
mod ledger;
mod options;
mod report;
mod resume;
mod run;
mod sends;
mod talker;
mod wire;

pub use idle::IdleReport;
pub use options::{ChatBench, ChatBenchError, ChatWorkload};
pub use report::ChatReport;
pub use resume::ResumeReport;
pub use sends::FillReport;

#[cfg(test)]
mod fake_server;
#[cfg(test)]
mod tests;
