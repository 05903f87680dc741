//! One directory, one process.

use evenkeel_log::{LocalLog, LocalOptions, LockError, RealFiles, WalError, verify};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

const DIRECTORY: &str = "EVENKEEL_TEST_LOCKED_DIRECTORY";

fn options() -> LocalOptions {
    LocalOptions { init: true, segment_bytes: 64 * 1024, ..LocalOptions::default() }
}

/// Not a test of its own: what the other process does, when the test below starts it.
#[test]
fn the_other_process() {
    let Ok(directory) = std::env::var(DIRECTORY) else {
        return;
    };
    let _log = LocalLog::open(Path::new(&directory), &options()).unwrap();
    let mut out = std::io::stdout();
    out.write_all(b"\nlocked\n").unwrap();
    out.flush().unwrap();
    // Holds the directory until the test closes the pipe.
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn the_second_process_learns_who_is_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "log::lock::the_other_process", "--nocapture"])
        .env(DIRECTORY, directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "locked"), "the other process opens the log");

    let error = LocalLog::open(directory.path(), &options()).map(drop).unwrap_err();
    assert!(matches!(error, WalError::Lock(LockError::Held { .. })), "{error:?}");
    assert!(error.to_string().contains(&format!("process {},", child.id())), "{error}");
    let looking = verify(&RealFiles::open(directory.path()).unwrap()).unwrap_err();
    assert!(matches!(looking, WalError::Lock(LockError::Held { .. })), "{looking:?}");

    drop(child.stdin.take());
    lines.for_each(drop);
    assert!(child.wait().unwrap().success());
    assert!(verify(&RealFiles::open(directory.path()).unwrap()).unwrap().is_whole());
    LocalLog::open(directory.path(), &options()).unwrap();
}

#[test]
fn an_empty_directory_is_no_log_and_stays_empty() {
    let directory = tempfile::tempdir().unwrap();
    let refused = LocalOptions { init: false, ..options() };
    for path in [directory.path().to_owned(), directory.path().join("missing")] {
        let error = LocalLog::open(&path, &refused).map(drop).unwrap_err();
        assert!(matches!(error, WalError::NotInitialized), "{error:?}");
        assert!(verify(&RealFiles::open(directory.path()).unwrap()).is_err());
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}
