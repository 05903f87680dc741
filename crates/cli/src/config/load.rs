//! Puts settings together, each source over the one before.

use super::{
    Config, Origin, Problems, Settings,
    problem::Problem,
    registry, rules,
    table::{PATHS, RULES, SECTIONS, SETTINGS, Setting, Value},
};
use evenkeel_contract::nearest;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Larger files are refused.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// How much of a wrong name or value is repeated.
const SHOWN_MAX: usize = 80;
/// How much of what is wrong with a rule is.
const SHOWN_RULE_MAX: usize = 400;
/// Variables of this shape are settings: `EVENKEEL_SECTION__KEY`.
const PREFIX: &str = "EVENKEEL_";
const SEPARATOR: &str = "__";

/// Who says something about settings, the last word last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    /// A TOML file's name and text.
    pub(crate) file: Option<(PathBuf, String)>,
    /// The environment; variables that are no settings are passed over.
    pub(crate) variables: Vec<(String, String)>,
    /// Flags: section, key, the flag and its value.
    pub(crate) flags: Vec<(&'static str, &'static str, &'static str, String)>,
}

impl Sources {
    /// The file, if one is given, and the environment of this process.
    pub(crate) fn of_process(file: Option<&Path>) -> Result<Self, Problems> {
        let file = file.map(|path| Ok((path.to_owned(), read(path)?))).transpose()?;
        let variables = std::env::vars_os()
            .map(|(name, value)| {
                (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
            })
            .collect();
        Ok(Self { file, variables, flags: Vec::new() })
    }

    /// With a flag, if it was given.
    pub(crate) fn flag(
        mut self,
        (section, key): (&'static str, &'static str),
        flag: &'static str,
        value: Option<String>,
    ) -> Self {
        self.flags.extend(value.map(|value| (section, key, flag, value)));
        self
    }
}

fn read(path: &Path) -> Result<String, Problems> {
    let refused =
        |why: String| Problems(vec![Problem::File { origin: Origin::File(path.to_owned()), why }]);
    let bytes = std::fs::metadata(path).map_err(|error| refused(error.to_string()))?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(refused(format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))
}

/// Puts the settings together, or says everything that is wrong with them.
pub(crate) fn load(sources: &Sources) -> Result<Config, Problems> {
    let mut loading = Loading { config: Config::default(), problems: Vec::new() };
    if let Some((path, text)) = &sources.file {
        loading.file(&Origin::File(path.clone()), text);
    }
    for (name, value) in &sources.variables {
        loading.variable(name, value);
    }
    for (section, key, flag, value) in &sources.flags {
        let setting = SETTINGS
            .iter()
            .find(|setting| (setting.section, setting.key) == (*section, *key))
            .expect("flags are written beside the table");
        loading.set(setting, Origin::Flag(flag), &text_value(setting, value), value);
    }
    if loading.problems.is_empty() { Ok(loading.config) } else { Err(Problems(loading.problems)) }
}

struct Loading {
    config: Config,
    problems: Vec<Problem>,
}

impl Loading {
    fn file(&mut self, origin: &Origin, text: &str) {
        let table: toml::Table = match text.parse() {
            Ok(table) => table,
            Err(error) => {
                let why = error.to_string().trim_end().to_owned();
                self.problems.push(Problem::Syntax { origin: origin.clone(), why });
                return;
            }
        };
        for (name, value) in &table {
            match (self.section(origin, name), value) {
                (None, _) => {}
                (Some(PATHS), toml::Value::Table(paths)) => self.paths(origin, paths),
                (Some(RULES), toml::Value::Array(array)) => self.rules(origin, array),
                (Some(RULES), other) => {
                    let why = format!("[[rules]] must be a list, and is {}", other.type_str());
                    self.problems.push(Problem::Syntax { origin: origin.clone(), why });
                }
                (Some(section), toml::Value::Table(keys)) => {
                    for (key, value) in keys {
                        if let Some(setting) = self.find(origin, section, key) {
                            let given = match value {
                                toml::Value::Integer(number) => {
                                    u64::try_from(*number).ok().map(Value::Integer)
                                }
                                toml::Value::String(text) => Some(Value::Text(text.clone())),
                                _ => None,
                            };
                            self.set_or_refuse(setting, origin.clone(), given, &value.to_string());
                        }
                    }
                }
                (Some(section), other) => {
                    let why = format!("[{section}] must be a table, and is {}", other.type_str());
                    self.problems.push(Problem::Syntax { origin: origin.clone(), why });
                }
            }
        }
    }

    /// Path by path, so that everything that is wrong is found.
    fn paths(&mut self, origin: &Origin, paths: &toml::Table) {
        let registry = registry();
        let mut all = BTreeMap::new();
        for (name, value) in paths {
            let one = toml::Table::from_iter([(name.clone(), value.clone())]);
            match registry.parse_table(&one) {
                Ok(overrides) => all.extend(overrides),
                Err(source) => {
                    self.problems.push(Problem::Contract { origin: origin.clone(), source });
                }
            }
        }
        self.config.paths = Some(all);
    }

    fn rules(&mut self, origin: &Origin, array: &[toml::Value]) {
        match rules::parse(array) {
            Ok(rules) => self.config.rules = Some(rules),
            Err(wrong) => self.problems.extend(wrong.into_iter().map(|why| {
                let why = cut_to(&why, SHOWN_RULE_MAX);
                Problem::Rule { origin: origin.clone(), why }
            })),
        }
    }

    fn variable(&mut self, name: &str, value: &str) {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            return;
        };
        let Some((section, key)) = rest.split_once(SEPARATOR) else {
            return;
        };
        let origin = Origin::Variable(cut(name));
        match self.section(&origin, &section.to_ascii_lowercase()) {
            None => {}
            Some(PATHS) => self.problems.push(Problem::PathsElsewhere { origin }),
            Some(RULES) => self.problems.push(Problem::RulesElsewhere { origin }),
            Some(section) => {
                if let Some(setting) = self.find(&origin, section, &key.to_ascii_lowercase()) {
                    self.set(setting, origin, &text_value(setting, value), value);
                }
            }
        }
    }

    fn section(&mut self, origin: &Origin, name: &str) -> Option<&'static str> {
        let found = SECTIONS.into_iter().find(|section| *section == name);
        if found.is_none() {
            self.problems.push(Problem::Section {
                origin: origin.clone(),
                name: cut(name),
                suggestion: nearest(name, SECTIONS),
            });
        }
        found
    }

    fn find(
        &mut self,
        origin: &Origin,
        section: &'static str,
        key: &str,
    ) -> Option<&'static Setting> {
        let of_section = || SETTINGS.iter().filter(|setting| setting.section == section);
        let found = of_section().find(|setting| setting.key == key);
        if found.is_none() {
            self.problems.push(Problem::Key {
                origin: origin.clone(),
                section,
                key: cut(key),
                suggestion: nearest(key, of_section().map(|setting| setting.key)),
            });
        }
        found
    }

    fn set(&mut self, setting: &'static Setting, origin: Origin, value: &Value, found: &str) {
        self.set_or_refuse(setting, origin, Some(value.clone()), found);
    }

    fn set_or_refuse(
        &mut self,
        setting: &'static Setting,
        origin: Origin,
        value: Option<Value>,
        found: &str,
    ) {
        let settings: &mut Settings = &mut self.config.settings;
        if value.is_some_and(|value| setting.set(settings, &value).is_ok()) {
            self.config.origins.insert((setting.section, setting.key), origin);
        } else {
            self.problems.push(Problem::Value {
                origin,
                section: setting.section,
                key: setting.key,
                found: cut(found),
                expected: setting.expected(),
            });
        }
    }
}

/// What a text means for a setting: variables and flags have no types.
fn text_value(setting: &Setting, text: &str) -> Value {
    match (setting.range(), text.parse()) {
        (Some(_), Ok(number)) => Value::Integer(number),
        _ => Value::Text(text.to_owned()),
    }
}

fn cut(text: &str) -> String {
    cut_to(text, SHOWN_MAX)
}

fn cut_to(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
