//! `import` against a real server.

use crate::process::{Server, run};
use serde_json::{Value, json};
use std::{fs, path::PathBuf};
use tempfile::TempDir;

struct Import {
    directory: TempDir,
    server: Server,
}

impl Import {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let server = Server::serve(&directory.path().join("data"), &["--init"]);
        Self { directory, server }
    }

    fn file(&self, lines: &[String]) -> PathBuf {
        let path = self.directory.path().join("lines.ndjson");
        fs::write(&path, lines.join("\n")).unwrap();
        path
    }

    fn run(&self, lines: &[String], args: &[&str]) -> crate::process::Ended {
        let path = self.file(lines);
        let mut all = vec!["import", path.to_str().unwrap()];
        all.extend(args);
        self.server.run(&all)
    }

    fn resource(&self, name: &str) -> (u16, Value) {
        self.server.ask("GET", &format!("/v1/resources/{name}"), None)
    }
}

fn quantity(name: &str, capacity: u64) -> String {
    json!({ "resource": name, "kind": "quantity", "capacity": capacity }).to_string()
}

fn seats(name: &str, count: usize) -> String {
    let seats: Vec<_> = (0..count).map(|seat| format!("S{seat}")).collect();
    json!({ "resource": name, "kind": "seats", "seats": seats }).to_string()
}

#[test]
fn everything_is_there_and_running_it_again_changes_nothing() {
    let import = Import::new();
    let lock = json!({ "resource": "export", "kind": "lock", "protects": "one at a time" });
    let mut lines: Vec<_> = (0..500).map(|index| quantity(&format!("q{index}"), index)).collect();
    lines.extend([seats("small", 3), seats("large", 2_345), lock.to_string(), String::new()]);
    for (created, existing) in [(503, 0), (0, 503)] {
        let summary = import.run(&lines, &["--json"]).succeeds().json();
        assert_eq!(
            (&summary["created"], &summary["existing"]),
            (&json!(created), &json!(existing))
        );
        assert_eq!((&summary["bad"], &summary["stopped"]), (&json!(0), &Value::Null));
        assert_eq!(import.resource("q499").1["capacity"], 499);
        assert_eq!(import.resource("small").1["capacity"], 3);
        assert_eq!(import.resource("large").1["capacity"], 2_345);
        assert_eq!(import.resource("export").1["protects"], "one at a time");
    }
}

#[test]
fn the_first_bad_line_ends_it_and_says_how_far_it_came() {
    let import = Import::new();
    let lines = [quantity("a", 1), "{\"resource\":\"b\"".into(), quantity("c", 1)];
    let stopped = import.run(&lines, &["--connections", "1"]);
    let stopped =
        stopped.fails(1, &["line 2: EOF", "stopped after 1 resources", "safe to run it again"]);
    assert!(stopped.out.contains("imported 1 resources"), "{stopped:?}");
    assert_eq!((import.resource("a").0, import.resource("c").0), (200, 404));
}

#[test]
fn bad_lines_are_passed_over_when_asked_with_what_is_wrong_about_each() {
    let import = Import::new();
    let lines = [
        quantity("a", 1),
        "nonsense".into(),
        // Legal in itself; the server knows that `a` is no seat map.
        seats("a", 2),
        quantity("b", 1),
    ];
    let summary = import.run(&lines, &["--skip-bad", "--connections", "1", "--json"]);
    let summary = summary.succeeds().json();
    assert_eq!((&summary["done"], &summary["bad"]), (&json!(2), &json!(2)));
    assert_eq!(summary["bad_lines"][0]["line"], 2);
    assert_eq!(summary["bad_lines"][1]["line"], 3);
    let reason = summary["bad_lines"][1]["reason"].as_str().unwrap();
    assert!(reason.contains("wrong_kind"), "{reason}");
    assert_eq!(import.resource("b").0, 200);
}

#[test]
fn a_refused_key_ends_it_whatever_is_skipped() {
    let mut import = Import::new();
    import.server.key = None;
    let lines: Vec<_> = (0..50).map(|index| quantity(&format!("q{index}"), 1)).collect();
    import.run(&lines, &["--skip-bad"]).fails(1, &["stopped after 0 resources", "unauthenticated"]);
}

#[test]
fn without_a_server_or_a_file_nothing_begins() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("lines.ndjson");
    run(&["import", path.to_str().unwrap()]).fails(1, &["cannot read", "lines.ndjson"]);
    fs::write(&path, quantity("a", 1)).unwrap();
    let args = ["import", path.to_str().unwrap(), "--url", "http://127.0.0.1:1"];
    run(&args).fails(1, &["nothing was imported: no server at http://127.0.0.1:1"]);
}
