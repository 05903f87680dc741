//! `log inspect` and `log verify` over what a server left behind.

use crate::process::{Server, run};
use serde_json::Value;
use std::{fs, path::Path};
use tempfile::TempDir;

/// A directory that a server has used and left.
fn used() -> TempDir {
    let directory = TempDir::new().unwrap();
    let server = Server::serve(directory.path(), &["--init", "--insecure-no-auth"]);
    for index in 0..20 {
        let path = format!("/v1/resources/r{index}");
        let (status, _) = server.ask("PUT", &path, Some(r#"{"kind":"quantity","capacity":5}"#));
        assert_eq!(status, 201);
    }
    assert_eq!(server.stop(), Some(0));
    directory
}

fn inspect(directory: &Path, args: &[&str]) -> Vec<Value> {
    let mut all = vec!["log", "inspect", directory.to_str().unwrap(), "--json"];
    all.extend(args);
    let shown = run(&all).succeeds();
    shown.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn records_are_shown_with_their_headers_and_effects() {
    let directory = used();
    let all = inspect(directory.path(), &[]);
    assert_eq!(all.iter().filter(|record| record["kind"] == "genesis").count(), 17);
    let meta = inspect(directory.path(), &["--partition", "meta", "--from", "2"]);
    assert!(meta.iter().all(|record| record["partition"] == "meta"), "{meta:?}");
    assert_eq!((&meta[0]["kind"], &meta[0]["offset"]), (&"announce".into(), &2.into()));
    assert_eq!(inspect(directory.path(), &["--limit", "3"]).len(), 3);
    let with_effects = inspect(directory.path(), &["--effects"]);
    let resource = hex(b"r7");
    let put = with_effects.iter().filter_map(|record| record["effects"].as_array()).flatten().find(
        |effect| effect["table"] == "0x20" && effect["key"].as_str().unwrap().contains(&resource),
    );
    assert_eq!(put.unwrap()["effect"], "put");
    let text = run(&["log", "inspect", directory.path().to_str().unwrap(), "--effects"]);
    assert!(text.succeeds().out.contains("  put    0x20 "));
}

/// What is printed is shown to others, and those are not to sign with it.
#[test]
fn what_webhooks_and_tokens_are_signed_with_is_not_shown() {
    const PUSH: &str = r#"{"push":{"url":"http://127.0.0.1:9/hook",
        "secret":"whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"}}"#;
    const TOKEN_KEY: &str = r#"{"algorithm":"HS256",
        "secret":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"}"#;
    let directory = TempDir::new().unwrap();
    let server = Server::serve(directory.path(), &["--init", "--insecure-no-auth"]);
    assert_eq!(server.ask("PUT", "/v1/queues/q", Some(PUSH)).0, 201);
    assert_eq!(server.ask("POST", "/v1/token-keys", Some(TOKEN_KEY)).0, 201);
    assert_eq!(server.stop(), Some(0));
    let path = directory.path().to_str().unwrap();
    let text = run(&["log", "inspect", path, "--effects"]).succeeds().out;
    let json = run(&["log", "inspect", path, "--effects", "--json"]).succeeds().out;
    for shown in [text, json] {
        assert_eq!(shown.matches("not shown: it holds a secret").count(), 2, "{shown}");
        assert!(!shown.contains(&hex(b"secret-secret")), "{shown}");
    }
}

#[test]
fn a_whole_log_verifies_and_a_damaged_one_says_where() {
    let directory = used();
    let path = directory.path().to_str().unwrap();
    let whole = run(&["log", "verify", path, "--json"]).succeeds().json();
    assert_eq!((&whole["whole"], &whole["torn"]), (&true.into(), &Value::Null));
    assert!(run(&["log", "verify", path]).succeeds().out.ends_with("whole\n"));

    let batch = inspect(directory.path(), &[])
        .into_iter()
        .find(|record| record["kind"] == "batch" && record["partition"] != "meta")
        .unwrap();
    let segment = batch["segment"].as_str().unwrap();
    let file = directory.path().join("log").join(segment);
    let mut bytes = fs::read(&file).unwrap();
    // Behind the header's 88 bytes: in what the record puts.
    bytes[batch["position"].as_u64().unwrap() as usize + 90] ^= 1;
    fs::write(&file, bytes).unwrap();

    let partition =
        format!("partition {} would not be served", batch["partition"].as_str().unwrap());
    let damaged = run(&["log", "verify", path]).fails(1, &["damaged", segment, &partition]);
    assert!(damaged.out.ends_with("DAMAGED\n"), "{damaged:?}");
    run(&["log", "inspect", path]).fails(1, &[segment]);
    let json = run(&["log", "verify", path, "--json"]).fails(1, &[segment]).json();
    assert_eq!(json["damage"][0]["segment"], segment);
}

#[test]
fn what_is_no_log_or_in_use_is_refused() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().to_str().unwrap();
    run(&["log", "verify", path]).fails(1, &["holds no log"]);
    run(&["log", "inspect", "no-such-directory"]).fails(1, &["cannot open no-such-directory"]);
    run(&["log", "inspect", path, "--partition", "x"]).fails(2, &["`meta`"]);
    let server = Server::serve(directory.path(), &["--init"]);
    let pid = server.pid().to_string();
    run(&["log", "verify", path]).fails(1, &["in use", &pid]);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
