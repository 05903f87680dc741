//! The log's integration tests: one binary, a module a subject.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod log {
    mod conformance;
    mod corruption;
    mod fixtures;
    mod full_disk;
    mod fuzz;
    mod golden;
    mod io_errors;
    mod local;
    mod lock;
    mod power_loss;
    mod record;
    mod replay;
    mod sim;
    mod trim;
}
