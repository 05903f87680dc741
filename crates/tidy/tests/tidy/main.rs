//! The checks. Each collects everything that is wrong before it fails, so that one run shows all.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod bounds;
mod generated;
mod packages;
mod source;
mod style;
mod texts;
mod tree;

/// Fails with everything that was found.
#[track_caller]
fn report(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}\n  {}\n", found.join("\n  "));
}
