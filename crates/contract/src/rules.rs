//! The one table of settings: what each is, for which paths it is legal, and its range.
//! Checking an override and writing the JSON schema both read it, so they cannot disagree.

use serde_json::{Map, Value};

use crate::path::{Access, Idempotency, Path};
use crate::registry::ContractError;
use crate::settings::{Level, Overrides, Priority, Refusals, Settings};
use crate::suggest;

/// The keys inside `slo = { … }` are written in the table as `slo.key`.
pub(crate) const SLO: &str = "slo";

/// One setting that an operator may change.
pub(crate) struct Rule {
    /// Its key, dotted if it is inside a table.
    pub(crate) key: &'static str,
    /// What it does, for the schema.
    pub(crate) summary: &'static str,
    /// What is legal for a path, or why the setting means nothing there.
    pub(crate) legal: fn(&Path) -> Result<Shape, &'static str>,
}

/// The legal values of one setting on one path.
#[derive(Debug, PartialEq)]
pub(crate) enum Shape {
    /// Whole numbers.
    Integer { min: u64, max: u64, unit: &'static str },
    /// Numbers.
    Number { min: f64, max: f64, unit: &'static str },
    /// One of these names.
    Choice(Vec<&'static str>),
    /// This name alone, and why there is no choice.
    Fixed { name: &'static str, why: &'static str },
}

const MILLISECONDS: &str = "milliseconds";
const SECONDS: &str = "seconds";

/// Every setting, in the order in which it is documented.
pub(crate) static RULES: [Rule; 8] = [
    Rule {
        key: "deadline_ms",
        summary: "How long a caller who names no deadline waits, and the most one may ask for.",
        legal: |_| Ok(Shape::Integer { min: 1, max: 60_000, unit: MILLISECONDS }),
    },
    Rule {
        key: "priority",
        summary: "What is refused first under overload: sheddable, then default, then critical.",
        legal: |_| Ok(Shape::Choice(Priority::ALL.iter().map(|value| value.name()).collect())),
    },
    Rule {
        key: "idempotency_window_s",
        summary: "How long an idempotency key and its answer are remembered.",
        legal: idempotency_window,
    },
    Rule {
        key: "refusals",
        summary: "Whether a refusal waits until it is known to rest on the newest state.",
        legal: refusals,
    },
    Rule {
        key: "consistency",
        summary: "How fresh an answer is when the caller asks for nothing else.",
        legal: consistency,
    },
    Rule {
        key: "max_staleness_ms",
        summary: "The oldest state that a bounded read may be answered from.",
        legal: max_staleness,
    },
    Rule {
        key: "slo.availability",
        summary: "Percent of requests answered without an error of the server; below 100, \
                  because 100 leaves no error budget.",
        legal: |_| Ok(Shape::Number { min: 50.0, max: 99.999, unit: "percent" }),
    },
    Rule {
        key: "slo.latency_p99_ms",
        summary: "99 of 100 answers come within this; never more than deadline_ms.",
        legal: |_| Ok(Shape::Integer { min: 1, max: 60_000, unit: MILLISECONDS }),
    },
];

fn idempotency_window(path: &Path) -> Result<Shape, &'static str> {
    match path.facts.idempotency {
        Idempotency::Keyed => Ok(Shape::Integer { min: 60, max: 604_800, unit: SECONDS }),
        Idempotency::Natural => {
            Err("repeating this request arrives at the same state, so it takes no idempotency key")
        }
        Idempotency::Read => Err("a read has no effect that a repeat could double"),
        Idempotency::Exempt => Err("each call is a new one, so it takes no idempotency key"),
    }
}

fn refusals(path: &Path) -> Result<Shape, &'static str> {
    match path.access {
        Access::Read => Err("only writes refuse"),
        Access::Write if path.facts.refusals.is_empty() => Err("this path never refuses"),
        Access::Write => Ok(Shape::Fixed {
            name: Refusals::Fenced.name(),
            why: "every \"no\" waits until it is known to rest on the newest state; nothing here \
                  can answer one sooner",
        }),
    }
}

fn consistency(path: &Path) -> Result<Shape, &'static str> {
    match path.access {
        Access::Write => Err("a write is always decided by the partition's owner on the newest \
                              state; only reads have a level"),
        Access::Read => {
            Ok(Shape::Choice(path.facts.levels.iter().map(|level| level.name()).collect()))
        }
    }
}

fn max_staleness(path: &Path) -> Result<Shape, &'static str> {
    match path.access {
        Access::Write => Err("a write is always decided on the newest state; only reads have a \
                              staleness"),
        Access::Read if !path.facts.levels.contains(&Level::Bounded) => {
            Err("this read cannot be served at level bounded")
        }
        Access::Read => Ok(Shape::Integer { min: 1, max: 600_000, unit: MILLISECONDS }),
    }
}

impl Shape {
    /// What is legal, as the end of "must be …".
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Integer { min, max, unit } => {
                format!("a whole number from {min} to {max} ({unit})")
            }
            Self::Number { min, max, unit } => format!("a number from {min} to {max} ({unit})"),
            Self::Fixed { name, why } => format!("\"{name}\": {why}"),
            Self::Choice(names) => match names.as_slice() {
                [only] => format!("\"{only}\" on this path"),
                _ => format!("one of \"{}\"", names.join("\", \"")),
            },
        }
    }

    fn admits(&self, value: &Value) -> bool {
        match self {
            Self::Integer { min, max, .. } => {
                value.as_u64().is_some_and(|number| (*min..=*max).contains(&number))
            }
            Self::Number { min, max, .. } => {
                value.as_f64().is_some_and(|number| (*min..=*max).contains(&number))
            }
            Self::Fixed { name, .. } => value.as_str() == Some(name),
            Self::Choice(names) => value.as_str().is_some_and(|name| names.contains(&name)),
        }
    }
}

/// The overrides in `table`, if all of them are legal for `path`.
pub(crate) fn check(path: &Path, table: &Map<String, Value>) -> Result<Overrides, ContractError> {
    for (key, value) in table {
        match (key.as_str(), value) {
            (SLO, Value::Object(inner)) => inner
                .iter()
                .try_for_each(|(key, value)| check_value(path, &format!("{SLO}.{key}"), value))?,
            (SLO, _) => {
                return Err(ContractError::OutOfRange {
                    path: path.name.to_owned(),
                    key: SLO.to_owned(),
                    found: shown(value),
                    expected: "a table such as { availability = 99.9, latency_p99_ms = 50 }"
                        .to_owned(),
                });
            }
            _ => check_value(path, key, value)?,
        }
    }
    let overrides: Overrides = serde_json::from_value(Value::Object(table.clone()))
        .map_err(|error| ContractError::Syntax { detail: error.to_string() })?;
    check_together(path, &overrides)?;
    Ok(overrides)
}

fn check_value(path: &Path, key: &str, value: &Value) -> Result<(), ContractError> {
    let Some(rule) = RULES.iter().find(|rule| rule.key == key) else {
        return Err(ContractError::UnknownKey {
            path: path.name.to_owned(),
            key: cut(key, NAME_CHARACTERS_MAX),
            suggestion: suggest::nearest(key, RULES.iter().map(|rule| rule.key)),
        });
    };
    let shape = (rule.legal)(path).map_err(|why| ContractError::NotApplicable {
        path: path.name.to_owned(),
        key: key.to_owned(),
        why,
    })?;
    if shape.admits(value) {
        return Ok(());
    }
    Err(ContractError::OutOfRange {
        path: path.name.to_owned(),
        key: key.to_owned(),
        found: shown(value),
        expected: shape.describe(),
    })
}

/// The two rules that concern more than one setting.
fn check_together(path: &Path, overrides: &Overrides) -> Result<(), ContractError> {
    let settings = path.defaults.with(overrides);
    let conflict = |why: String| Err(ContractError::Conflict { path: path.name.to_owned(), why });
    if let (Some(_), Some(level)) = (overrides.max_staleness_ms, settings.consistency)
        && level != Level::Bounded
    {
        return conflict(format!(
            "max_staleness_ms needs consistency = \"bounded\", and this path's is \"{level}\""
        ));
    }
    let Settings { deadline_ms, slo, .. } = settings;
    if slo.latency_p99_ms > deadline_ms {
        return conflict(format!(
            "slo.latency_p99_ms ({}) is longer than deadline_ms ({deadline_ms}): no answer comes \
             after its deadline, so it would promise nothing; change both",
            slo.latency_p99_ms
        ));
    }
    Ok(())
}

/// A found value for an error.
fn shown(value: &Value) -> String {
    const CHARACTERS_MAX: usize = 60;
    match value {
        // Neither TOML nor a typed override has a null: it stands for a NaN or an infinity.
        Value::Null => "not a finite number".to_owned(),
        other => cut(&other.to_string(), CHARACTERS_MAX),
    }
}

/// As long as any name may be.
pub(crate) const NAME_CHARACTERS_MAX: usize = 128;

/// The beginning of what a file said, so that a hostile one cannot fill a log.
pub(crate) fn cut(text: &str, characters_max: usize) -> String {
    match text.char_indices().nth(characters_max) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// Whether the declared defaults are themselves legal, else the first reason why not.
pub(crate) fn check_defaults(path: &Path) -> Result<(), String> {
    let as_json = serde_json::to_value(path.defaults).map_err(|error| error.to_string())?;
    let Value::Object(table) = without_nulls(as_json) else {
        return Err("the defaults are not a table".to_owned());
    };
    check(path, &table).map_err(|error| error.to_string())?;
    let bounded = path.defaults.consistency == Some(Level::Bounded);
    let missing = RULES.iter().find(|rule| {
        (rule.legal)(path).is_ok()
            && (rule.key != "max_staleness_ms" || bounded)
            && lookup(&table, rule.key).is_none()
    });
    missing.map_or(Ok(()), |rule| Err(format!("{} has no default", rule.key)))
}

fn lookup<'a>(table: &'a Map<String, Value>, dotted: &str) -> Option<&'a Value> {
    match dotted.split_once('.') {
        Some((outer, inner)) => table.get(outer)?.get(inner),
        None => table.get(dotted),
    }
}

/// A stored override as it would have been written in a file: what is absent is not there.
pub(crate) fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key, without_nulls(value)))
                .collect(),
        ),
        other => other,
    }
}
