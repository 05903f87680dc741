//! `serve` and `dev`: when they start, when they refuse to, what they keep.

use crate::process::{LAST_LINE_OF_DEV, Server, ended, evenkeel, run};
use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Stdio,
};
use tempfile::TempDir;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn an_empty_or_missing_directory_is_refused_with_the_reason() {
    let directory = TempDir::new().unwrap();
    let missing = directory.path().join("missing");
    for path in [directory.path(), &missing] {
        run(&["serve", "--data", text(path)]).fails(1, &["--init", "not mounted"]);
    }
    assert!(!missing.exists(), "refusing leaves nothing behind");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    run(&["serve"]).fails(2, &["--data"]);
}

#[test]
fn without_keys_only_this_machine_is_served() {
    let directory = TempDir::new().unwrap();
    let data = text(directory.path());
    let open = ["serve", "--data", data, "--init", "--insecure-no-auth", "--http", "0.0.0.0:0"];
    run(&open).fails(2, &["--insecure-no-auth", "0.0.0.0"]);
    run(&["dev", "--http", "0.0.0.0:0"]).fails(2, &["this machine only"]);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    let server = Server::serve(directory.path(), &["--init", "--insecure-no-auth"]);
    assert!(server.stderr().contains("WARNING"), "{}", server.stderr());
    assert_eq!(server.key, None);
    assert_eq!(server.ask("GET", "/v1/resources", None).0, 200);
    assert_eq!(server.ask("GET", "/examples/chat/", None).0, 404, "the page is of dev alone");
}

#[test]
fn the_second_process_on_a_directory_hears_who_has_it() {
    let directory = TempDir::new().unwrap();
    let server = Server::serve(directory.path(), &["--init"]);
    let pid = server.pid().to_string();
    let again = ["serve", "--data", text(directory.path()), "--http", "127.0.0.1:0"];
    run(&again).fails(1, &["in use", &pid]);
    assert_eq!(server.ask("GET", "/healthz", None).0, 200, "the first goes on");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let directory = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let serve = ["serve", "--data", text(directory.path()), "--init", "--http", &address];
    for args in [&serve[..], &["dev", "--http", &address]] {
        run(args).fails(1, &[&address, "is taken", "--http 127.0.0.1:0"]);
    }
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let directory = TempDir::new().unwrap();
    let server = Server::serve(directory.path(), &["--init"]);
    let key = server.key.clone();
    assert!(key.is_some(), "the first start makes a key");
    server.ask("PUT", "/v1/resources/r", Some(r#"{"kind":"quantity","capacity":5}"#));
    let hold = r#"{"holder":"u","quantity":2,"ttl_ms":86400000}"#;
    let (status, held) = server.ask("POST", "/v1/resources/r/holds", Some(hold));
    assert_eq!(status, 201);
    server.kill();

    let mut server = Server::serve(directory.path(), &[]);
    assert_eq!(server.key, None, "the key was shown once");
    assert_eq!(server.ask("GET", "/v1/resources/r", None).0, 401);
    server.key = key;
    assert_eq!(server.ask("GET", "/v1/resources/r", None).1["available"], 3);
    let path = format!("/v1/resources/r/holds/{}", held["hold"].as_str().unwrap());
    assert_eq!(server.ask("GET", &path, None).1, held);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn whenever_nobody_can_make_keys_a_start_makes_one_that_can() {
    let directory = TempDir::new().unwrap();
    let server = Server::serve(directory.path(), &["--init"]);
    let admin = server.key.clone().unwrap();
    server.run(&["key", "create", "--scope", "reservations:read"]).succeeds();
    let id = admin.split('_').nth(1).unwrap();
    server.run(&["key", "revoke", id]).succeeds();
    assert_eq!(server.ask("GET", "/v1/keys", None).0, 401);
    assert_eq!(server.stop(), Some(0));

    let server = Server::serve(directory.path(), &[]);
    let (status, keys) = server.ask("GET", "/v1/keys", None);
    assert_eq!((status, keys["items"].as_array().unwrap().len()), (200, 2), "{keys}");
}

#[test]
fn an_admin_key_that_nobody_could_read_is_not_made() {
    let directory = TempDir::new().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut unheard = evenkeel(&["serve", "--http", "127.0.0.1:0", "--init", "--data"]);
    unheard.arg(directory.path()).stdout(writer).stderr(Stdio::piped());
    let ended = unheard.spawn().unwrap().wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("nobody reads stdout"), "{said}");

    let server = Server::serve(directory.path(), &[]);
    let (status, keys) = server.ask("GET", "/v1/keys", None);
    assert_eq!((status, keys["items"].as_array().unwrap().len()), (200, 1), "{keys}");
}

#[test]
fn dev_has_a_demo_and_the_request_that_it_prints_works() {
    let temporary = TempDir::new().unwrap();
    let mut command = evenkeel(&["dev", "--http", "127.0.0.1:0"]);
    command.env("TMPDIR", temporary.path());
    let server = Server::start(command, LAST_LINE_OF_DEV);
    let curl = server.welcome.lines().find(|line| line.trim().starts_with("curl ")).unwrap();
    let path = curl.split_whitespace().find_map(|word| word.strip_prefix(&server.url)).unwrap();
    let body = curl.split_once("--json '").unwrap().1.trim_end_matches('\'');
    let (status, held) = server.ask("POST", path, Some(body));
    assert_eq!((status, &held["state"]), (201, &"held".into()), "{held}");
    for (resource, capacity) in [("gig", 100), ("hall", 30), ("nightly-export", 1)] {
        let (_, found) = server.ask("GET", &format!("/v1/resources/{resource}"), None);
        assert_eq!(found["capacity"], capacity, "{found}");
    }
    let (_, said) = server.ask("GET", "/v1/conversations/general/messages", None);
    assert_eq!(said["items"][0]["sender"], "ada", "{said}");
    let page = server.welcome.lines().find(|line| line.contains("two users chatting")).unwrap();
    let page = page.split_whitespace().find_map(|word| word.strip_prefix(&server.url)).unwrap();
    for file in ["", "chat.css", "chat.js", "connection.js"] {
        assert_eq!(server.ask("GET", &format!("{page}{file}"), None).0, 200, "{file}");
    }
    let explain = server.welcome.lines().find(|line| line.contains("evenkeel explain")).unwrap();
    let args: Vec<_> = explain.split_whitespace().skip(1).collect();
    assert!(run(&args).succeeds().out.contains("Delivered in the last"));

    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 1);
    assert_eq!(server.stop(), Some(0));
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0, "its data was throw-away");
}

#[test]
fn a_second_signal_ends_it_at_once_and_throw_away_data_is_gone_all_the_same() {
    let temporary = TempDir::new().unwrap();
    let mut command = evenkeel(&["dev", "--http", "127.0.0.1:0"]);
    command.env("TMPDIR", temporary.path());
    let mut server = Server::start(command, LAST_LINE_OF_DEV);
    // A request that does not end keeps the first signal from ending the process.
    let address = server.url.strip_prefix("http://").unwrap();
    let mut endless = TcpStream::connect(address).unwrap();
    let head =
        format!("PUT /v1/resources/r HTTP/1.1\r\nHost: {address}\r\nExpect: 100-continue\r\n");
    write!(endless, "{head}Content-Length: 10\r\n\r\n").unwrap();
    // The server asks for the body, so it has begun.
    let mut interim = [0; 12];
    endless.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100");
    server.terminate();
    while !server.stderr().contains("interrupt again") {
        std::thread::yield_now();
    }
    server.terminate();
    assert_eq!(server.wait(), Some(130));
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[test]
fn dev_keeps_what_it_is_told_to_keep_and_its_demo_does_not_undo_it() {
    let directory = TempDir::new().unwrap();
    let start = || {
        let args = ["dev", "--http", "127.0.0.1:0", "--data", text(directory.path())];
        Server::start(evenkeel(&args), LAST_LINE_OF_DEV)
    };
    let server = start();
    let (status, _) =
        server.ask("PUT", "/v1/resources/gig", Some(r#"{"kind":"quantity","capacity":7}"#));
    assert_eq!(status, 200);
    assert_eq!(server.stop(), Some(0));
    let server = start();
    assert_eq!(server.ask("GET", "/v1/resources/gig", None).1["capacity"], 7);
}

#[test]
fn logs_are_json_when_asked_for() {
    let directory = TempDir::new().unwrap();
    let server = Server::serve(directory.path(), &["--init", "--log-format", "json"]);
    let logged = server.stderr();
    let line = logged.lines().find(|line| line.starts_with('{')).expect("something is logged");
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["level"], "INFO");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn bench_measures_a_server() {
    let directory = TempDir::new().unwrap();
    let server = Server::serve(directory.path(), &["--init"]);
    let bench = ["bench", "reservations", "--connections", "2", "--repeats", "1"];
    let short = ["--warmup-s", "0", "--duration-s", "0.2", "--json"];
    let report = server.run(&[&bench[..], &short].concat()).succeeds().json();
    assert_eq!(report["summary"]["errors"], 0, "{report}");
    assert!(report["summary"]["ok"].as_u64() > Some(0), "{report}");
    let limits = ["bench", "limits", "--keys", "3", "--durability", "buffered"];
    let fewer = ["--connections", "2", "--repeats", "1"];
    let report = server.run(&[&limits[..], &fewer, &short].concat()).succeeds().json();
    assert_eq!(report["summary"]["errors"], 0, "{report}");
    assert!(report["summary"]["ok"].as_u64() > Some(0), "{report}");
    server.run(&["bench", "limits", "--keys", "0"]).fails(1, &["keys must be 1 to"]);
    for workload in ["cycle", "batch", "ordered"] {
        let jobs = ["bench", "jobs", "--workload", workload, "--queue", workload];
        let report = server.run(&[&jobs[..], &fewer, &short].concat()).succeeds().json();
        assert_eq!(report["summary"]["errors"], 0, "{report}");
        assert!(report["summary"]["ok"].as_u64() > Some(0), "{report}");
    }
    server.run(&["bench", "jobs", "--workload", "idle-polls"]).fails(1, &["the id of the server"]);
    let mut nobody = evenkeel(&bench);
    nobody.args(["--url", "http://127.0.0.1:1"]);
    ended(nobody).fails(1, &["connect"]);
}
