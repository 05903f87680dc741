//! The examples do what their texts say.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// Runs an example with this binary, to its end, which must be a good one; what it printed.
fn run(example: &str, args: &[&str]) -> String {
    let mut command = Command::new(root().join("examples").join(example).join("run"));
    // Beside what is built: target/debug/evenkeel.
    let binary = Path::new(env!("CARGO_BIN_EXE_evenkeel"));
    command.env("EVENKEEL", binary).env("CARGO_TARGET_DIR", binary.ancestors().nth(2).unwrap());
    let done = command.args(args).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{out} {err}");
    out.into_owned()
}

#[test]
fn a_pipeline_that_was_killed_is_resumed_with_the_same_result() {
    let file = |name: &str| root().join(name).to_string_lossy().into_owned();
    let files = ["LICENSE", "docs/reservations.md"].map(file);
    let out = run("pipeline", &[&files[0], &files[1]]);
    assert!(out.contains("without a crash: 7 jobs, 7 attempts, 0 of them cut off"), "{out}");
    assert!(out.contains("with a crash:    7 jobs, "), "{out}");
    assert!(!out.contains("with a crash:    7 jobs, 7 attempts"), "{out}");
    assert!(out.contains("the results are the same"), "{out}");
}

/// `make clients` installs what it needs. The consumer in Rust would be built first: it is left to who
/// runs the example.
#[test]
fn the_safe_consumer_credits_once_and_the_broken_one_twice() {
    let out = run("consumer", &["python"]);
    let balances: Vec<_> = out.lines().filter_map(|line| line.rsplit("  ").next()).collect();
    let expected = ["BALANCE", " 100, once", " 100, once", " 100, once", " 200, TWICE"];
    let trimmed = |lines: &[&str]| lines.iter().map(|line| line.trim().to_owned()).collect();
    let (balances, expected): (Vec<String>, Vec<String>) = (trimmed(&balances), trimmed(&expected));
    assert_eq!(balances, expected, "{out}");
}
