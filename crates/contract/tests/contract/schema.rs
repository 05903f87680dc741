//! The JSON schema and the program's own check agree, judged by a reader of schemas that knows
//! just the words which this schema uses and refuses any other.

use serde_json::{Map, Value, json};

use crate::samples::registry;

fn valid(schema: &Value, value: &Value) -> bool {
    let Some(schema) = schema.as_object() else {
        return schema.as_bool().expect("a schema is an object or a boolean");
    };
    schema.iter().all(|(word, rule)| holds(schema, word, rule, value))
}

fn holds(schema: &Map<String, Value>, word: &str, rule: &Value, value: &Value) -> bool {
    let number = |value: &Value| value.as_f64();
    match word {
        "$schema" | "title" | "description" | "default" | "then" => true,
        "type" if rule == "object" => value.is_object(),
        "type" if rule == "integer" => value.is_u64() || value.is_i64(),
        "type" if rule == "number" => value.is_number(),
        "minimum" => number(value).is_none_or(|value| value >= number(rule).expect("a number")),
        "maximum" => number(value).is_none_or(|value| value <= number(rule).expect("a number")),
        "enum" => list(rule).contains(value),
        "const" => rule == value,
        "not" => !valid(rule, value),
        "required" => {
            list(rule).iter().filter_map(Value::as_str).all(|key| value.get(key).is_some())
        }
        "properties" => object(rule)
            .iter()
            .all(|(key, rule)| value.get(key).is_none_or(|value| valid(rule, value))),
        "additionalProperties" if rule == false => {
            let known = object(&schema["properties"]);
            value.as_object().is_none_or(|object| object.keys().all(|key| known.contains_key(key)))
        }
        "if" => !valid(rule, value) || valid(&schema["then"], value),
        other => panic!("unknown word {other}: {rule}"),
    }
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().expect("a list")
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().expect("an object")
}

#[test]
fn the_schema_admits_what_the_program_admits() {
    let registry = registry();
    let schema = registry.json_schema();
    let mut seen = [0, 0];
    for path in
        ["library.lend", "library.give_back", "library.shelf", "library.loan", "library.counts"]
    {
        for settings in candidates() {
            let toml = format!("[paths.\"{path}\"]\n{settings}");
            let program = registry.parse_toml(&toml);
            let file: toml::Table = toml.parse().unwrap();
            let by_schema = valid(&schema, &serde_json::to_value(&file["paths"]).unwrap());
            assert_eq!(by_schema, program.is_ok(), "{toml}\n{program:?}");
            seen[usize::from(by_schema)] += 1;
        }
    }
    assert!(seen[0] > 50 && seen[1] > 50, "both kinds are tried: {seen:?}");
}

/// Legal and illegal values of every setting, and some pairs. The one rule that a schema cannot
/// state (a p99 beyond the deadline) is left out.
fn candidates() -> Vec<String> {
    let mut all: Vec<String> = [
        "",
        "unknown = 1",
        "slo = {}",
        "slo = 1",
        "slo = { unknown = 1 }",
        "priority = 1",
        "priority = \"critical\"",
        "priority = \"sheddable\"",
        "priority = \"\"",
        "refusals = \"fenced\"",
        "refusals = \"eventual\"",
        "refusals = \"never\"",
    ]
    .map(str::to_owned)
    .into();
    for (key, values) in [
        ("deadline_ms", ["0", "50", "60000", "60001", "-1", "1.5", "true"]),
        ("idempotency_window_s", ["59", "60", "604800", "604801", "-1", "1.5", "\"60\""]),
        ("max_staleness_ms", ["0", "1", "600000", "600001", "-1", "1.5", "\"1\""]),
        ("slo.availability", ["49.9", "50", "99.999", "99.9999", "100", "-1", "\"99\""]),
        ("slo.latency_p99_ms", ["0", "1", "20", "60001", "-1", "1.5", "\"1\""]),
    ] {
        all.extend(values.map(|value| format!("{key} = {value}")));
    }
    for level in ["linearizable", "session", "bounded", "eventual", "strong"] {
        all.push(format!("consistency = \"{level}\""));
        all.push(format!("consistency = \"{level}\"\nmax_staleness_ms = 500"));
    }
    all
}

#[test]
fn the_schema_states_defaults_and_knows_no_other_path() {
    let registry = registry();
    let schema = registry.json_schema();
    let lend = &schema["properties"]["library.lend"]["properties"];
    assert_eq!(lend["deadline_ms"]["default"], 500);
    assert_eq!(lend["slo"]["properties"]["availability"]["default"], 99.95);
    assert!(lend.get("consistency").is_none());
    assert!(!valid(&schema, &json!({ "library.lent": {} })));
}
