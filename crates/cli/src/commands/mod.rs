//! One file a subcommand; each has its arguments and its `run`.

pub(crate) mod bench;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod contracts;
mod demo;
pub(crate) mod dev;
pub(crate) mod drill;
mod envoy;
pub(crate) mod explain;
pub(crate) mod import;
pub(crate) mod jobs;
pub(crate) mod key;
pub(crate) mod log;
mod running;
pub(crate) mod serve;
mod stop;
pub(crate) mod token_key;
pub(crate) mod top;
mod traffic;
pub(crate) mod worker;
