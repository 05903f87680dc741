//! Clients that people use, as they are, against the real binary. `make clients` installs them.

use crate::process::Server;
use std::{path::Path, process::Command};
use tempfile::TempDir;

const READY: &str = "Redis's protocol for rate limits at ";
const MISSING: &str = "a client that this test drives is missing: `make clients` installs it";

/// A server with keys, where it is, and a key.
fn server(directory: &Path) -> (Server, String, String, String) {
    let server = Server::serve(directory, &["--init", "--resp", "127.0.0.1:0"]);
    let address = server.welcome.lines().find_map(|line| line.strip_prefix(READY)).unwrap();
    let (host, port) = address.split_once(':').unwrap();
    let (host, port) = (host.to_owned(), port.to_owned());
    let key = server.key.clone().expect("the first start makes a key");
    (server, host, port, key)
}

/// Runs a client, which must be there, to its end, which must be a good one; what it printed.
fn run(mut command: Command) -> String {
    let done = command.output().unwrap_or_else(|error| panic!("{MISSING}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{out} {err}");
    out.into_owned()
}

#[test]
fn redis_cli_is_answered() {
    let directory = TempDir::new().unwrap();
    let (server, host, port, key) = server(directory.path());
    let cli = |args: &[&str]| {
        let mut command = Command::new("redis-cli");
        command.args(["-h", &host, "-p", &port, "--user", "default", "--pass", &key]);
        command.arg("--no-auth-warning").args(args);
        run(command)
    };
    assert_eq!(cli(&["PING"]), "PONG\n");
    assert_eq!(cli(&["CL.THROTTLE", "k", "9", "1", "86400"]).lines().next(), Some("0"));
    let peek = cli(&["CL.THROTTLE", "k", "9", "1", "86400", "0"]);
    assert_eq!(peek.lines().take(4).collect::<Vec<_>>(), ["0", "10", "9", "-1"]);
    let put = ["LIMIT.PUT", "api", "ALGORITHM", "gcra", "QUANTITY", "1", "PERIOD-MS", "1000"];
    assert_eq!(cli(&put), "OK\n");
    let policy = cli(&["-3", "LIMIT.GET", "api"]);
    assert!(policy.contains("algorithm gcra\n"), "{policy}");
    assert!(cli(&["INFO"]).contains("server_name:evenkeel"));
    assert!(cli(&["COMMAND", "DOCS", "limit.check"]).contains("Admits an action if all limits do"));
    let unknown = cli(&["GET", "k"]);
    assert_eq!(unknown, "ERR unknown command 'GET', with args beginning with: 'k' \n\n");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn redis_benchmark_is_answered() {
    let directory = TempDir::new().unwrap();
    let (server, host, port, key) = server(directory.path());
    for pipeline in ["1", "16"] {
        let mut command = Command::new("redis-benchmark");
        command.args(["-h", &host, "-p", &port, "-a", &key, "-n", "2000", "-c", "20", "-r", "100"]);
        // Without -q it would print a line for each step of time.
        command.args(["-q", "-P", pipeline, "CL.THROTTLE", "key:__rand_int__", "15", "30", "60"]);
        let said = run(command);
        assert!(said.contains("requests per second") && !said.contains("rror"), "{said}");
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn redis_py_is_answered() {
    let directory = TempDir::new().unwrap();
    let (server, host, port, key) = server(directory.path());
    // Beside what is built: target/debug/evenkeel, target/clients.
    let built = Path::new(env!("CARGO_BIN_EXE_evenkeel")).ancestors().nth(2).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/redis_py.py");
    let mut command = Command::new(built.join("clients/bin/python"));
    command.arg(script).args([&host, &port, &key]);
    assert_eq!(run(command), "ok\n");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn ioredis_is_answered() {
    let directory = TempDir::new().unwrap();
    let (server, host, port, key) = server(directory.path());
    let built = Path::new(env!("CARGO_BIN_EXE_evenkeel")).ancestors().nth(2).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/ioredis.js");
    let mut command = Command::new("node");
    command.env("NODE_PATH", built.join("clients-node/node_modules"));
    command.arg(script).args([&host, &port, &key]);
    assert_eq!(run(command), "ok\n");
    assert_eq!(server.stop(), Some(0));
}

/// `dev`'s page of two users who chat, in a browser, while the server is killed.
#[test]
fn the_chat_page_loses_nothing_in_a_crash() {
    browse("chat_page.js");
}

/// `dev`'s page of the products, in a browser, and every command that it shows.
#[test]
fn the_page_of_dev_shows_all_five_moving_and_its_commands_work() {
    browse("dev_page.js");
}

#[track_caller]
fn browse(script: &str) {
    let scratch = TempDir::new().unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_evenkeel"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script);
    let mut command = Command::new("node");
    let built = binary.ancestors().nth(2).unwrap();
    command.env("NODE_PATH", built.join("clients-node/node_modules"));
    command.arg(script).arg(binary).arg(scratch.path());
    assert_eq!(run(command), "ok\n");
}
