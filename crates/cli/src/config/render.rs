//! Settings as text: what holds and who said so, and the file to begin with.

use super::{
    Config, Settings, rules,
    table::{Field, PATHS, RULES, SECTIONS, SETTINGS, Setting, Value},
};
use serde_json::{Map, json};
use std::{collections::BTreeMap, fmt::Write as _};

/// The settings that hold, as TOML that could be loaded again, each with who said so.
pub(crate) fn show(config: &mut Config) -> String {
    let mut out = String::new();
    if config.rules.as_ref().is_some_and(BTreeMap::is_empty) {
        // Not of any section.
        out.push_str("rules = []\n\n");
    }
    for section in own_sections() {
        let _ = writeln!(out, "[{section}]");
        for setting in of_section(section) {
            let origin = config.origin(setting.section, setting.key).to_string().replace('\n', " ");
            let line = match setting.get(&mut config.settings) {
                Some(value) => format!("{} = {}", setting.key, toml_value(value)),
                None => format!("# {} is not set", setting.key),
            };
            let _ = writeln!(out, "{line:<44} # {origin}");
        }
        out.push('\n');
    }
    for (path, overrides) in config.paths.iter().flatten() {
        let _ = writeln!(out, "[paths.{path:?}]");
        let text = toml::to_string(overrides).expect("overrides are numbers and names");
        let _ = writeln!(out, "{}", text.replace("[slo]", &format!("[paths.{path:?}.slo]")));
    }
    if let Some(rules) = &config.rules {
        rules::show(rules, &mut out);
    }
    out
}

/// The same as JSON.
pub(crate) fn show_json(config: &mut Config) -> serde_json::Value {
    let mut sections = Map::new();
    for section in own_sections() {
        let mut keys = Map::new();
        for setting in of_section(section) {
            let origin = config.origin(setting.section, setting.key).to_string();
            let value = match setting.get(&mut config.settings) {
                Some(Value::Integer(number)) => json!(number),
                Some(Value::Text(text)) => json!(text),
                None => json!(null),
            };
            keys.insert(setting.key.to_owned(), json!({ "value": value, "origin": origin }));
        }
        sections.insert(section.to_owned(), keys.into());
    }
    sections.insert(PATHS.to_owned(), json!(config.paths));
    sections.insert(RULES.to_owned(), json!(config.rules.as_ref().map(rules::show_json)));
    sections.into()
}

/// A file to begin with: every setting, explained, with its default, none in effect.
pub(crate) fn template() -> String {
    let mut out = String::from(
        "# Settings of an Evenkeel server. What is commented out has its default.\n\
         # The environment overrides this file (EVENKEEL_SECTION__KEY), and flags override both.\n",
    );
    for section in own_sections() {
        let _ = writeln!(out, "\n[{section}]");
        for setting in of_section(section) {
            let range = match (setting.range(), setting.words()) {
                (Some(range), _) => format!(" ({} to {})", range.start(), range.end()),
                (None, Some(words)) => format!(" ({})", words.join(" or ")),
                (None, None) => String::new(),
            };
            let example = match (&setting.field, setting.key) {
                (_, "grpc") => "127.0.0.1:7482",
                (Field::OptionalAddress(_), _) => "127.0.0.1:7481",
                (_, "envoy_rules") => "/etc/evenkeel/envoy",
                _ => "/var/lib/evenkeel",
            };
            let value = setting
                .get(&mut Settings::default())
                .unwrap_or_else(|| Value::Text(example.to_owned()));
            let _ = writeln!(out, "# {}{range}", setting.summary);
            let _ = writeln!(out, "#{} = {}", setting.key, toml_value(value));
        }
    }
    out.push_str(
        "\n# The contract of a path, where it differs from its default. The server stores these when\n\
         # it starts; without any [paths] it leaves what is stored. `evenkeel contracts` lists all.\n\
         #[paths.\"reservations.hold\"]\n\
         #deadline_ms = 500\n\
         #priority = \"critical\"\n\
         \n# What is enqueued when something has happened to a hold, in the same record. The server\n\
         # stores these like contracts; `rules = []` takes all back.\n\
         #[[rules]]\n\
         #on = \"reservations.confirmed\"\n\
         #resource = \"concert-*\"\n\
         #enqueue = { queue = \"mail\", kind = \"receipt\", priority = 4 }\n",
    );
    out
}

fn own_sections() -> impl Iterator<Item = &'static str> {
    SECTIONS.into_iter().filter(|section| ![PATHS, RULES].contains(section))
}

fn of_section(section: &'static str) -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(move |setting| setting.section == section)
}

fn toml_value(value: Value) -> toml::Value {
    match value {
        Value::Integer(number) => {
            toml::Value::Integer(i64::try_from(number).expect("no range goes beyond 63 bits"))
        }
        Value::Text(text) => toml::Value::String(text),
    }
}
