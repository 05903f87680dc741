//! Envoy's rate limit service on the real binary, asked by a Python client with Envoy's own messages:
//! `clients/rls_client.py`, which has the scenarios. `make clients` installs what it needs.

use crate::process::{Server, run};
use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};
use tempfile::TempDir;

const READY: &str = "Envoy's rate limit service at ";
const RULES: &str = include_str!("../clients/rls_rules.yaml");

/// A server over a directory of data and one of rules.
struct Fixture {
    server: Server,
    rules: TempDir,
    data: TempDir,
}

impl Fixture {
    fn new(args: &[&str]) -> Self {
        let (data, rules) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        std::fs::write(rules.path().join("edge.yaml"), RULES).unwrap();
        Self::over(data, rules, args)
    }

    fn over(data: TempDir, rules: TempDir, args: &[&str]) -> Self {
        let path = rules.path().to_str().unwrap();
        let mut all = vec!["--init", "--grpc", "127.0.0.1:0", "--envoy-rules", path];
        all.extend(args);
        let server = Server::serve(data.path(), &all);
        Self { server, rules, data }
    }

    /// The same directories after a kill.
    fn killed(self, args: &[&str]) -> Self {
        let Self { server, rules, data } = self;
        server.kill();
        Self::over(data, rules, args)
    }

    /// Runs a scenario to its end.
    fn passes(self, scenario: &str) {
        let mut client = Client::start(&self, scenario);
        assert_eq!(client.says(), "done", "{scenario}");
        assert_eq!(self.server.stop(), Some(0));
    }
}

/// A scenario underway.
struct Client {
    child: Child,
    out: BufReader<ChildStdout>,
    stdin: ChildStdin,
}

impl Client {
    fn start(fixture: &Fixture, scenario: &str) -> Self {
        let server = &fixture.server;
        let address = server.welcome.lines().find_map(|line| line.strip_prefix(READY));
        let key = server.key.as_deref().unwrap_or_default();
        let mut child = Command::new(python())
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/rls_client.py"))
            .args([address.expect("it says where"), key])
            .arg(fixture.rules.path())
            .arg(scenario)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the client is missing: `make clients` installs it");
        let out = BufReader::new(child.stdout.take().unwrap());
        let stdin = child.stdin.take().unwrap();
        Self { child, out, stdin }
    }

    /// The next line that it prints; nothing if it failed.
    fn says(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    fn go_on(&mut self) {
        writeln!(self.stdin).unwrap();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Only what a failing test left running is still there.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn python() -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_evenkeel"));
    binary.ancestors().nth(2).unwrap().join("venv-grpc/bin/python")
}

#[test]
fn descriptors_meet_their_rules() {
    Fixture::new(&["--insecure-no-auth"]).passes("semantics");
}

#[test]
fn hits_are_added_looked_at_and_given_back() {
    Fixture::new(&[]).passes("hits");
}

#[test]
fn what_is_wrong_is_refused_and_strangers_are() {
    Fixture::new(&[]).passes("errors");
}

#[test]
fn health_and_reflection_describe_the_service() {
    Fixture::new(&[]).passes("described");
}

#[test]
fn what_was_counted_stays_counted_through_a_kill() {
    let open = ["--insecure-no-auth"];
    let fixture = Fixture::new(&open);
    assert_eq!(Client::start(&fixture, "use_up").says(), "done");
    fixture.killed(&open).passes("used_up");
}

#[test]
fn windows_of_the_clock_end_with_it() {
    Fixture::new(&["--insecure-no-auth", "--envoy-windows", "calendar"]).passes("calendar");
}

#[test]
fn headers_are_added_where_they_are_wanted() {
    let config = TempDir::new().unwrap();
    let file = config.path().join("evenkeel.toml");
    std::fs::write(&file, "[server]\nenvoy_headers = \"on\"\n").unwrap();
    let file = file.to_str().unwrap();
    Fixture::new(&["--insecure-no-auth", "--config", file]).passes("headers");
}

#[test]
fn changed_rules_take_hold_and_wrong_ones_do_not() {
    let fixture = Fixture::new(&["--insecure-no-auth"]);
    let standing = |fixture: &Fixture| {
        let (status, ready) = fixture.server.ask("GET", "/readyz", None);
        assert_eq!(status, 200, "{ready}");
        let checks = ready["checks"].as_array().unwrap();
        let rules = checks.iter().find(|check| check["name"] == "envoy rules").unwrap();
        rules["detail"].as_str().unwrap().to_owned()
    };
    assert_eq!(standing(&fixture), "9 descriptors of 1 domains, from 1 files");
    let mut client = Client::start(&fixture, "reload");
    assert_eq!(client.says(), "broken");
    // The file is looked at once a second; each look here is a request.
    let looks = (0..1_000_000).map(|_| standing(&fixture));
    let detail = looks.into_iter().find(|detail| detail.starts_with("older rules"));
    let detail = detail.expect("it says that something is wrong");
    assert!(detail.contains("reloaded.yaml") && detail.contains("line 2"), "{detail}");
    client.go_on();
    assert_eq!(client.says(), "done");
    assert_eq!(standing(&fixture), "10 descriptors of 2 domains, from 2 files");
    assert_eq!(fixture.server.stop(), Some(0));
}

#[test]
fn without_right_rules_it_does_not_start() {
    let (data, rules) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (data, path) = (data.path().to_str().unwrap(), rules.path().to_str().unwrap());
    let serve = |rest: &[&str]| {
        let mut all = vec!["serve", "--init", "--data", data, "--http", "127.0.0.1:0"];
        all.extend(rest);
        run(&all)
    };
    let grpc = ["--grpc", "127.0.0.1:0"];
    serve(&grpc).fails(2, &["--envoy-rules"]);
    serve(&["--envoy-rules", path]).fails(2, &["give both"]);
    let both = [grpc[0], grpc[1], "--envoy-rules", path];
    serve(&both).fails(1, &["has no file *.yaml"]);
    std::fs::write(rules.path().join("a.yaml"), "domain: d\nrules: []\n").unwrap();
    serve(&both).fails(1, &["a.yaml", "rules", "line 2"]);
    let open = ["--insecure-no-auth", "--grpc", "0.0.0.0:0", "--envoy-rules", path];
    serve(&open).fails(2, &["anyone who reaches 0.0.0.0:0"]);
    let unknown = [both.as_slice(), &["--envoy-windows", "sliding"]].concat();
    serve(&unknown).fails(1, &["rolling, calendar"]);
}
