//! What the domains decide, through the same engine that runs them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bounds;
mod chat;
mod driver;
mod facts;
mod feed;
mod golden;
mod invariants;
mod jobs;
mod late;
mod limits;
mod model;
mod plan;
mod properties;
mod rules;
mod schedules;
mod token_keys;
