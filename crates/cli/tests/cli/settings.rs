//! Settings: written, checked, shown, refused.

use crate::process::{ended, evenkeel, run};
use serde_json::json;
use std::fs;
use tempfile::TempDir;

#[test]
fn init_writes_a_file_that_is_right_and_leaves_an_existing_one() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("e.toml");
    let file = file.to_str().unwrap();
    run(&["config", "init", file]).succeeds();
    run(&["config", "check", file]).succeeds();
    run(&["config", "init", file]).fails(1, &["exists, and is left as it is"]);
    let printed = run(&["config", "init", "-"]).succeeds().out;
    assert_eq!(printed, fs::read_to_string(file).unwrap());
}

#[test]
fn the_environment_overrides_the_file() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("e.toml");
    fs::write(&file, "[server]\nconnections_max = 7\nheaders_max = 70\n").unwrap();
    let mut command = evenkeel(&["config", "show", "--json", "--config", file.to_str().unwrap()]);
    command.env("EVENKEEL_SERVER__CONNECTIONS_MAX", "8");
    let shown = ended(command).succeeds().json();
    let server = &shown["server"];
    let variable = json!({ "value": 8, "origin": "EVENKEEL_SERVER__CONNECTIONS_MAX" });
    assert_eq!(server["connections_max"], variable);
    assert_eq!(server["headers_max"], json!({ "value": 70, "origin": file.to_str().unwrap() }));
    assert_eq!(server["http"], json!({ "value": "127.0.0.1:7480", "origin": "default" }));
}

#[test]
fn what_is_wrong_is_refused_with_a_suggestion() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("e.toml");
    fs::write(&file, "[server]\nconection_max = 7\n[paths.\"reservations.hodl\"]\n").unwrap();
    let file = file.to_str().unwrap();
    let says = [
        "e.toml",
        "has no setting \"conection_max\"; did you mean \"connections_max\"?",
        "there is no path \"reservations.hodl\"; did you mean \"reservations.hold\"?",
    ];
    run(&["config", "check", file]).fails(1, &says);
    run(&["config", "show", "--config", file]).fails(1, &says);
    run(&["serve", "--data", "nowhere", "--config", file]).fails(1, &says);
    run(&["config", "check", "missing.toml"]).fails(1, &["missing.toml: cannot read it"]);
}

#[test]
fn the_schema_knows_every_setting_and_every_path() {
    let schema = run(&["config", "schema"]).succeeds().json();
    let shown = run(&["config", "show", "--json"]).succeeds().json();
    for section in ["server", "node", "log"] {
        let keys: Vec<_> = shown[section].as_object().unwrap().keys().collect();
        let known = schema["properties"][section]["properties"].as_object().unwrap();
        assert_eq!(keys, known.keys().collect::<Vec<_>>());
    }
    let hold = &schema["properties"]["paths"]["properties"]["reservations.hold"];
    assert_eq!(hold["properties"]["deadline_ms"]["type"], "integer");
    assert_eq!(schema["additionalProperties"], false);
}
