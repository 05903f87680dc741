//! `[[rules]]`: what is enqueued when something has happened.
//!
//! ```toml
//! [[rules]]
//! on = "reservations.confirmed"
//! resource = "concert-*"
//! enqueue = { queue = "mail", kind = "receipt", priority = 4 }
//! ```

use evenkeel_contract::nearest;
use evenkeel_domains::rules::{self, EVENTS, Rule};
use serde_json::json;
use std::{collections::BTreeMap, fmt::Write as _};

/// The rules of each tenant that the file names.
pub(crate) type Rules = BTreeMap<String, Vec<Rule>>;

/// Whose a rule is that does not say.
const TENANT: &str = "default";
/// A job's priority unless a rule says another.
const PRIORITY: u8 = 5;
const FIELDS: [&str; 4] = ["on", "resource", "tenant", "enqueue"];
const ENQUEUE_FIELDS: [&str; 3] = ["queue", "kind", "priority"];

/// Reads all of them, or says everything that is wrong.
pub(super) fn parse(array: &[toml::Value]) -> Result<Rules, Vec<String>> {
    let (mut all, mut wrong) = (Rules::new(), Vec::new());
    for (number, value) in (1..).zip(array) {
        match parse_one(value) {
            Ok((tenant, rule)) => all.entry(tenant).or_default().push(rule),
            Err(why) => wrong.push(format!("rule {number}: {why}")),
        }
    }
    for (tenant, rules) in &all {
        if let Err(error) = rules::check(rules) {
            wrong.push(format!("of tenant {tenant:?}: {error}"));
        }
    }
    if all.len() > rules::RULED_TENANTS_MAX {
        wrong.push(rules::RulesError::Tenants.to_string());
    }
    if wrong.is_empty() { Ok(all) } else { Err(wrong) }
}

fn parse_one(value: &toml::Value) -> Result<(String, Rule), String> {
    let table = value.as_table().ok_or("it must be a table: [[rules]]")?;
    known(table, &FIELDS)?;
    let on = text(table, "on")?.ok_or("it does not say `on` what it acts")?;
    let names = || EVENTS.iter().map(|event| event.name());
    let event = EVENTS.into_iter().find(|event| event.name() == on).ok_or_else(|| {
        let known: Vec<_> = names().collect();
        let hint = hint(nearest(&on, names()));
        format!("there is no event {on:?}{hint}; a rule can be on {}", known.join(", "))
    })?;
    let enqueue = table.get("enqueue").and_then(toml::Value::as_table);
    let enqueue = enqueue.ok_or("it does not say what to `enqueue`: { queue = …, kind = … }")?;
    known(enqueue, &ENQUEUE_FIELDS)?;
    let needed = |field| text(enqueue, field)?.ok_or(format!("`enqueue` has no `{field}`"));
    let priority = match enqueue.get("priority") {
        None => PRIORITY,
        Some(number) => number
            .as_integer()
            .and_then(|number| u8::try_from(number).ok())
            .ok_or_else(|| format!("`priority` is {number}, and must be an integer from 0 to 9"))?,
    };
    let rule = Rule {
        on: event,
        resource: text(table, "resource")?,
        queue: needed("queue")?,
        kind: needed("kind")?,
        priority,
    };
    rule.check().map_err(|error| error.to_string())?;
    let tenant = text(table, "tenant")?.unwrap_or_else(|| TENANT.to_owned());
    if !rules::is_name(&tenant) {
        return Err(format!("`tenant` {tenant:?} is no name"));
    }
    Ok((tenant, rule))
}

/// Whether it has no other fields than these.
fn known(table: &toml::Table, fields: &'static [&'static str]) -> Result<(), String> {
    match table.keys().find(|key| !fields.contains(&key.as_str())) {
        Some(key) => {
            let hint = hint(nearest(key, fields.iter().copied()));
            Err(format!("there is no field {key:?}{hint}"))
        }
        None => Ok(()),
    }
}

fn text(table: &toml::Table, field: &str) -> Result<Option<String>, String> {
    match table.get(field) {
        None => Ok(None),
        Some(toml::Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(format!("`{field}` must be a string, and is {}", other.type_str())),
    }
}

fn hint(name: Option<&'static str>) -> String {
    name.map_or_else(String::new, |name| format!("; did you mean {name:?}?"))
}

/// The rules as TOML that could be loaded again.
pub(super) fn show(all: &Rules, out: &mut String) {
    for (tenant, rules) in all {
        for rule in rules {
            let text = |text: &str| toml::Value::String(text.to_owned());
            let _ = writeln!(out, "[[rules]]\ntenant = {}", text(tenant));
            let _ = writeln!(out, "on = {}", text(rule.on.name()));
            if let Some(resource) = &rule.resource {
                let _ = writeln!(out, "resource = {}", text(resource));
            }
            let (queue, kind) = (text(&rule.queue), text(&rule.kind));
            let priority = rule.priority;
            let _ = writeln!(
                out,
                "enqueue = {{ queue = {queue}, kind = {kind}, priority = {priority} }}\n"
            );
        }
    }
}

/// The same as JSON.
pub(super) fn show_json(all: &Rules) -> serde_json::Value {
    let rules = all.iter().flat_map(|(tenant, rules)| rules.iter().map(move |rule| (tenant, rule)));
    let rules = rules.map(|(tenant, rule)| {
        json!({
            "tenant": tenant,
            "on": rule.on.name(),
            "resource": rule.resource,
            "enqueue": { "queue": rule.queue, "kind": rule.kind, "priority": rule.priority },
        })
    });
    rules.collect()
}

/// What an editor needs to know of them.
pub(super) fn json_schema() -> serde_json::Value {
    let names: Vec<_> = EVENTS.iter().map(|event| event.name()).collect();
    let name = |description: &str| {
        json!({
            "type": "string", "minLength": 1, "maxLength": rules::NAME_BYTES_MAX,
            "description": description,
        })
    };
    json!({
        "type": "array",
        "description": "What is enqueued when something has happened to a hold, in the same record.",
        "items": {
            "type": "object",
            "additionalProperties": false,
            "required": ["on", "enqueue"],
            "properties": {
                "on": { "type": "string", "enum": names, "description": "What has to happen." },
                "resource": name("Only to this resource, or to those whose names begin with what is \
                                  before a star at the end."),
                "tenant": name("Whose rule it is; default, unless it says so."),
                "enqueue": {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["queue", "kind"],
                    "properties": {
                        "queue": name("Where the job goes."),
                        "kind": name("What sort of job it is."),
                        "priority": {
                            "type": "integer", "minimum": 0, "maximum": 9, "default": PRIORITY,
                        },
                    },
                },
            },
        },
    })
}
