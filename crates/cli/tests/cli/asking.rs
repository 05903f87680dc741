//! Contracts and explanations, with a server and without.

use crate::process::{Server, ended, run};
use std::{
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
};
use tempfile::TempDir;

/// Nobody listens there.
const NOBODY: &str = "http://127.0.0.1:1";

#[test]
fn explain_needs_no_server() {
    for path in ["reservations.hold", "reservations.resource"] {
        let explained = run(&["explain", path, "--url", NOBODY]).succeeds();
        assert!(explained.err.contains("without live numbers"), "{explained:?}");
        insta::assert_snapshot!(path, explained.out);
        let json = run(&["explain", path, "--json", "--url", NOBODY]).succeeds().json();
        assert_eq!(json["path"], path);
        assert!(json["delivered"].is_null());
    }
}

#[test]
fn a_mistyped_path_gets_a_suggestion() {
    run(&["explain", "reservations.hodl"]).fails(1, &["did you mean \"reservations.hold\"?"]);
    run(&["explain", "reservations"]).fails(1, &["reservations.confirm, "]);
    run(&["explain", "x"]).fails(1, &["there is no path \"x\"", "evenkeel contracts"]);
}

#[test]
fn contracts_are_listed_without_a_server_and_without_colours_in_a_pipe() {
    let listed = run(&["contracts", "--url", NOBODY]).succeeds();
    assert!(listed.err.contains("no answer from http://127.0.0.1:1"), "{listed:?}");
    assert!(!listed.out.contains('\x1b') && !listed.out.contains("RATE/S"));
    let json = run(&["contracts", "--json", "--url", NOBODY]).succeeds().json();
    let contracts = json.as_array().unwrap();
    assert_eq!(listed.out.lines().count(), contracts.len() + 1);
    assert!(contracts.iter().any(|contract| contract["path"] == "reservations.hold"));
    run(&["contracts", "--live", "--url", NOBODY]).fails(1, &["no answer"]);
}

#[test]
fn with_a_server_there_are_numbers_and_its_own_settings() {
    let directory = TempDir::new().unwrap();
    let config = directory.path().join("e.toml");
    fs::write(&config, "[paths.\"reservations.hold\"]\ndeadline_ms = 700\n").unwrap();
    let data = directory.path().join("data");
    let server = Server::serve(&data, &["--init", "--config", config.to_str().unwrap()]);
    let (status, _) =
        server.ask("PUT", "/v1/resources/r", Some(r#"{"kind":"quantity","capacity":1}"#));
    assert_eq!(status, 201);
    let explained = server.run(&["explain", "reservations.create"]).succeeds();
    assert!(explained.out.contains("ok 1") && explained.err.is_empty(), "{explained:?}");
    let deadline = |server: &Server| {
        let json = server.run(&["explain", "reservations.hold", "--json"]).succeeds().json();
        json["promised"]["deadline_ms"].as_u64()
    };
    assert_eq!(deadline(&server), Some(700));
    assert!(server.run(&["contracts"]).succeeds().out.contains("RATE/S"));

    // The settings were stored: they hold without the file, and until a file has others.
    let key = server.key.clone();
    assert_eq!(server.stop(), Some(0));
    let mut server = Server::serve(&data, &[]);
    assert_eq!(server.key, None, "the first key is shown once");
    server.key.clone_from(&key);
    assert_eq!(deadline(&server), Some(700));
    assert_eq!(server.stop(), Some(0));
    fs::write(&config, "[paths]\n").unwrap();
    let mut server = Server::serve(&data, &["--config", config.to_str().unwrap()]);
    server.key = key;
    assert_ne!(deadline(&server), Some(700));
}

#[test]
fn live_asks_again_until_it_is_interrupted() {
    let directory = TempDir::new().unwrap();
    let server = Server::serve(directory.path(), &["--init"]);
    let mut live = server.command(&["contracts", "--live", "--json"]);
    let mut live = live.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(live.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        let line = lines.next().unwrap().unwrap();
        assert!(serde_json::from_str::<serde_json::Value>(&line).unwrap().is_array());
    }
    let pid = rustix::process::Pid::from_child(&live);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(live.wait().unwrap().code(), Some(0));
}

#[test]
fn top_names_what_is_busy() {
    let directory = TempDir::new().unwrap();
    let server = Server::serve(directory.path(), &["--init"]);
    let look = || server.run(&["top", "--once", "--json"]).succeeds().json()["top"].clone();
    let put = r#"{"algorithm":"gcra","quantity":1000,"period_ms":1000,"burst":100000}"#;
    server.ask("PUT", "/v1/limits/calls", Some(put));
    let check = r#"{"checks":[{"limit":"calls","key":"ada"}]}"#;
    // What is shown is the last whole window, so that takes as long as a window at most.
    let hottest = loop {
        server.ask("POST", "/v1/limits/check", Some(check));
        let top = look();
        let partitions = top["partitions"].as_array().unwrap().clone();
        let hot = |partition: &serde_json::Value| partition["keys"][0].as_object().cloned();
        if let Some(hottest) = partitions.iter().find_map(hot) {
            break hottest;
        }
    };
    assert_eq!((&hottest["tenant"], &hottest["key"]), (&"default".into(), &"calls ada".into()));
    let shown = server.run(&["top", "--once"]).succeeds().out;
    for part in ["records/s", "limits.check", "PARTITION", "TENANT", "KEY"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn keys_are_created_listed_and_revoked() {
    let directory = TempDir::new().unwrap();
    let mut server = Server::serve(&directory.path().join("data"), &["--init"]);
    let created = server.run(&["key", "create", "--label", "till"]).succeeds();
    let key = created.out.trim().to_owned();
    assert!(key.starts_with("ek_") && !key.contains(char::is_whitespace), "{created:?}");
    assert!(!created.err.contains(&key), "the key is on stdout only");
    let listed = server.run(&["key", "list", "--json"]).succeeds();
    assert_eq!(listed.json().as_array().unwrap().len(), 2);
    let secret = key.rsplit('_').next().unwrap();
    assert!(listed.out.contains("till") && !listed.out.contains(secret));

    let admin = server.key.replace(key.clone());
    server.run(&["key", "list"]).fails(1, &["forbidden"]);
    let file = directory.path().join("key");
    fs::write(&file, format!("{}\n", admin.unwrap())).unwrap();
    let with_file = |args: &[&str]| {
        let mut command = server.command(args);
        command.args(["--key-file", file.to_str().unwrap()]);
        ended(command)
    };
    let id = key.split('_').nth(1).unwrap();
    with_file(&["key", "revoke", id]).succeeds();
    with_file(&["key", "revoke", id]).fails(1, &["not revoked", "not_found"]);
    with_file(&["key", "revoke", "../resources"]).fails(2, &["no key's id"]);
    server.run(&["key", "list"]).fails(1, &["unauthenticated", "EVENKEEL_KEY"]);
}

#[test]
fn token_keys_are_created_listed_and_revoked() {
    let directory = TempDir::new().unwrap();
    let server = Server::serve(&directory.path().join("data"), &["--init"]);
    let created = server.run(&["token-key", "create", "--label", "web"]).succeeds();
    let [kid, secret] = created.out.lines().collect::<Vec<_>>()[..] else { panic!("{created:?}") };
    assert!(kid.starts_with("tk_") && secret.len() == 43, "{created:?}");
    assert!(!created.err.contains(secret), "the secret is on stdout only");

    let file = directory.path().join("secret");
    fs::write(&file, format!("{secret}\n")).unwrap();
    let brought = ["token-key", "create", "--secret-file", file.to_str().unwrap(), "--json"];
    let brought = server.run(&brought).succeeds();
    assert!(!brought.out.contains(secret) && !brought.err.contains(secret), "{brought:?}");
    let public = ["token-key", "create", "--public-key", secret, "--json"];
    assert_eq!(server.run(&public).succeeds().json()["algorithm"], "EdDSA");
    let both = [&public[..], &["--secret-file", "x"]].concat();
    server.run(&both).fails(2, &["cannot be used with"]);
    let missing = ["token-key", "create", "--secret-file", "no-such-file"];
    server.run(&missing).fails(1, &["no-such-file"]);

    let listed = server.run(&["token-key", "list"]).succeeds().out;
    assert!(listed.contains("web") && listed.contains("EdDSA") && !listed.contains(secret));
    assert_eq!(
        server.run(&["token-key", "list", "--json"]).succeeds().json().as_array().unwrap().len(),
        3
    );
    server.run(&["token-key", "revoke", kid]).succeeds();
    server.run(&["token-key", "revoke", kid]).fails(1, &["not revoked", "not_found"]);
    server.run(&["token-key", "revoke", "../keys"]).fails(2, &["no token key's kid"]);
}
