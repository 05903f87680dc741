//! The binary as people meet it: what it prints, how it exits, what it keeps.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod asking;
mod clients;
mod drilling;
#[cfg(feature = "grpc")]
mod envoy;
mod examples;
mod help;
mod importing;
mod jobs;
mod logs;
mod moving;
mod process;
mod proxied;
mod pushing;
mod serving;
mod settings;
mod throttling;
mod working;
