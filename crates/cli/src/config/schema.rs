//! The JSON schema of the whole file, for editors that complete and check TOML.

use super::{
    Settings, registry, rules,
    table::{PATHS, RULES, SECTIONS, SETTINGS, Setting, Value},
};
use serde_json::{Map, json};

/// The schema (2020-12).
pub(crate) fn json_schema() -> serde_json::Value {
    let mut sections = Map::new();
    for section in SECTIONS.into_iter().filter(|section| ![PATHS, RULES].contains(section)) {
        let keys: Map<_, _> = SETTINGS
            .iter()
            .filter(|setting| setting.section == section)
            .map(|setting| (setting.key.to_owned(), of_setting(setting)))
            .collect();
        let table = json!({ "type": "object", "additionalProperties": false, "properties": keys });
        sections.insert(section.to_owned(), table);
    }
    let mut paths = registry().json_schema();
    if let Some(paths) = paths.as_object_mut() {
        // Said once, by the schema that this one becomes a part of.
        paths.remove("$schema");
    }
    sections.insert(PATHS.to_owned(), paths);
    sections.insert(RULES.to_owned(), rules::json_schema());
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "evenkeel",
        "description": "Settings of an Evenkeel server.",
        "type": "object",
        "additionalProperties": false,
        "properties": sections,
    })
}

fn of_setting(setting: &Setting) -> serde_json::Value {
    let mut schema = match (setting.range(), setting.words()) {
        (Some(range), _) => {
            json!({ "type": "integer", "minimum": range.start(), "maximum": range.end() })
        }
        (None, Some(words)) => json!({ "type": "string", "enum": words }),
        (None, None) => json!({ "type": "string", "minLength": 1 }),
    };
    schema["description"] = json!(setting.summary);
    match setting.get(&mut Settings::default()) {
        Some(Value::Integer(number)) => schema["default"] = json!(number),
        Some(Value::Text(text)) => schema["default"] = json!(text),
        None => {}
    }
    schema
}
