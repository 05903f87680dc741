//! What the cache promises: its core against a model of the store behind it, then the front for tasks.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bounds;
mod model;
mod store;
mod tasks;
