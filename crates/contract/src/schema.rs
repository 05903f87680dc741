//! The JSON schema of the `[paths]` table, written from the same table of rules that checks it,
//! for editors that complete and check TOML. One rule is beyond a schema and only the program
//! checks it: `slo.latency_p99_ms` is at most `deadline_ms`.

use serde_json::{Map, Value, json};

use crate::path::Path;
use crate::rules::{RULES, SLO, Shape};
use crate::settings::Level;

/// The schema of a table that has the names of `paths` as its keys.
pub(crate) fn of_paths(paths: impl Iterator<Item = &'static Path>) -> Value {
    let properties: Map<String, Value> =
        paths.map(|path| (path.name.to_owned(), of_path(path))).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "paths",
        "description": "The contract of each path, where it differs from the default.",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    })
}

fn of_path(path: &Path) -> Value {
    let defaults = serde_json::to_value(path.defaults).unwrap_or(Value::Null);
    let mut properties = Map::new();
    let mut slo = Map::new();
    for rule in &RULES {
        let Ok(shape) = (rule.legal)(path) else {
            continue;
        };
        let inner = rule.key.strip_prefix(SLO).and_then(|rest| rest.strip_prefix('.'));
        let default = match inner {
            Some(key) => &defaults[SLO][key],
            None => &defaults[rule.key],
        };
        let schema = of_value(&shape, rule.summary, default);
        match inner {
            Some(key) => slo.insert(key.to_owned(), schema),
            None => properties.insert(rule.key.to_owned(), schema),
        };
    }
    properties.insert(
        SLO.to_owned(),
        json!({
            "description": "What the path is measured against.",
            "type": "object",
            "additionalProperties": false,
            "properties": slo,
        }),
    );
    let mut schema = json!({
        "title": path.route,
        "description": path.user_action,
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    });
    if properties_include_a_bound(path) {
        schema["if"] = needs_a_bound_to_be_absent(path);
        schema["then"] = json!({ "properties": { "max_staleness_ms": false } });
    }
    schema
}

fn properties_include_a_bound(path: &Path) -> bool {
    path.facts.levels.contains(&Level::Bounded)
}

/// `max_staleness_ms` goes with level `bounded` only, be it written or the default.
fn needs_a_bound_to_be_absent(path: &Path) -> Value {
    let other = json!({ "consistency": { "not": { "const": Level::Bounded.name() } } });
    if path.defaults.consistency == Some(Level::Bounded) {
        json!({ "required": ["consistency"], "properties": other })
    } else {
        // Absent counts as another level here: `properties` says nothing of what is not there.
        json!({ "properties": other })
    }
}

fn of_value(shape: &Shape, summary: &str, default: &Value) -> Value {
    let mut schema = match shape {
        Shape::Integer { min, max, .. } => {
            json!({ "type": "integer", "minimum": min, "maximum": max })
        }
        Shape::Number { min, max, .. } => {
            json!({ "type": "number", "minimum": min, "maximum": max })
        }
        Shape::Fixed { name, .. } => json!({ "enum": [name] }),
        Shape::Choice(names) => json!({ "enum": names }),
    };
    schema["description"] = json!(summary);
    if !default.is_null() {
        schema["default"] = default.clone();
    }
    schema
}
