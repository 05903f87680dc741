//! The edge as its callers meet it: a real server on a loopback port, driven over TCP.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by failing")]

mod access;
mod chat;
mod chat_access;
mod events;
mod feeds;
mod harness;
mod hostile;
mod jobs;
mod jobs_told;
mod limits;
mod limits_across;
mod ops;
mod problems;
mod push;
mod realtime;
mod realtime_ends;
mod realtime_frames;
mod realtime_harness;
mod realtime_timelines;
mod reservations;
mod resp_access;
mod resp_harness;
mod resp_hostile;
mod resp_limits;
mod resp_protocol;
mod resp_transactions;
mod schedules;
mod tokens;
