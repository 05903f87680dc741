//! Every path of this program with the settings that hold now. Which file or partition an
//! override comes from is the caller's business: here it is only checked and merged.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use thiserror::Error;

use crate::path::{Access, Coordination, Durability, Idempotency, Path};
use crate::settings::{Level, Overrides, Settings};
use crate::{rules, schema, suggest};

/// One path and the settings that hold for it now.
#[derive(Debug, Clone, Copy)]
pub struct Contract {
    /// The path as declared.
    pub path: &'static Path,
    /// The defaults with the overrides on top.
    pub settings: Settings,
    /// What somebody changed.
    pub overrides: Overrides,
}

/// Every path of the enabled domains, by name, and what was changed about them.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    paths: BTreeMap<&'static str, &'static Path>,
    overrides: BTreeMap<&'static str, Overrides>,
}

/// Why an override was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ContractError {
    /// Not TOML, or not of the shape of `[paths."name"]` tables.
    #[error("cannot read the contracts: {detail}")]
    Syntax {
        /// What the parser said.
        detail: String,
    },
    /// No path of that name in this program.
    #[error("there is no path {path:?}{}", hint(*suggestion))]
    UnknownPath {
        /// The name given.
        path: String,
        /// The name that was probably meant.
        suggestion: Option<&'static str>,
    },
    /// The first part of a path's name without quotes reads as a table of tables.
    #[error(
        "there is no path {path:?}; a path's name has a dot, so quote it: [paths.\"{example}\"]"
    )]
    UnquotedPath {
        /// The name given.
        path: String,
        /// A name that begins so.
        example: &'static str,
    },
    /// No setting of that name.
    #[error("[paths.\"{path}\"] has no setting {key:?}{}", hint(*suggestion))]
    UnknownKey {
        /// The path.
        path: String,
        /// The key given.
        key: String,
        /// The key that was probably meant.
        suggestion: Option<&'static str>,
    },
    /// A setting that has no meaning for this path.
    #[error("[paths.\"{path}\"] cannot have {key}: {why}")]
    NotApplicable {
        /// The path.
        path: String,
        /// The key.
        key: String,
        /// Why it has no meaning there.
        why: &'static str,
    },
    /// A value of the wrong type or outside its range.
    #[error("[paths.\"{path}\"] {key} is {found}, and must be {expected}")]
    OutOfRange {
        /// The path.
        path: String,
        /// The key.
        key: String,
        /// The value given, cut to a line.
        found: String,
        /// What is legal.
        expected: String,
    },
    /// Settings that are legal alone and not together.
    #[error("[paths.\"{path}\"] {why}")]
    Conflict {
        /// The path.
        path: String,
        /// What contradicts what.
        why: String,
    },
}

/// A mistake in a domain's own declaration, found when the program starts.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the declaration of path {path:?} is wrong: {why}")]
pub struct DeclarationError {
    /// The path.
    pub path: &'static str,
    /// What is wrong.
    pub why: String,
}

fn hint(suggestion: Option<&'static str>) -> String {
    suggestion.map_or_else(String::new, |name| format!("; did you mean {name:?}?"))
}

impl Registry {
    /// A registry of `paths` with their defaults. Refuses names that repeat and declarations that
    /// contradict themselves.
    pub fn new(paths: impl IntoIterator<Item = &'static Path>) -> Result<Self, DeclarationError> {
        let mut registry = Self::default();
        for path in paths {
            check_declaration(path).map_err(|why| DeclarationError { path: path.name, why })?;
            if registry.paths.insert(path.name, path).is_some() {
                let why = "it is declared twice".to_owned();
                return Err(DeclarationError { path: path.name, why });
            }
        }
        Ok(registry)
    }

    /// The contract of one path.
    pub fn get(&self, name: &str) -> Result<Contract, ContractError> {
        self.find(name).map(|path| self.contract(path))
    }

    /// Every contract, by name.
    pub fn contracts(&self) -> impl Iterator<Item = Contract> {
        self.paths.values().map(|path| self.contract(path))
    }

    /// What was changed, by path; paths without a change are absent.
    #[must_use]
    pub fn overrides(&self) -> &BTreeMap<&'static str, Overrides> {
        &self.overrides
    }

    /// The overrides in the `[paths]` table of a TOML text, checked, without applying them. Other
    /// tables of the text belong to others and are not looked at.
    pub fn parse_toml(
        &self,
        text: &str,
    ) -> Result<BTreeMap<&'static str, Overrides>, ContractError> {
        let syntax = |detail: String| ContractError::Syntax { detail };
        let file: toml::Table = text
            .parse()
            .map_err(|error: toml::de::Error| syntax(rules::cut(&error.to_string(), 1_000)))?;
        match file.get("paths") {
            None => Ok(BTreeMap::new()),
            Some(toml::Value::Table(paths)) => self.parse_table(paths),
            Some(_) => Err(syntax("`paths` must be a table of [paths.\"name\"] tables".to_owned())),
        }
    }

    /// As [`Self::parse_toml`], of the value of `paths` itself.
    pub fn parse_table(
        &self,
        paths: &toml::Table,
    ) -> Result<BTreeMap<&'static str, Overrides>, ContractError> {
        let paths = serde_json::to_value(paths)
            .map_err(|error| ContractError::Syntax { detail: error.to_string() })?;
        let Value::Object(paths) = paths else {
            return Err(ContractError::Syntax { detail: "`paths` must be a table".to_owned() });
        };
        paths
            .iter()
            .map(|(name, value)| {
                let path = self.find(name)?;
                let Value::Object(table) = value else {
                    return Err(ContractError::Syntax {
                        detail: format!("[paths.\"{name}\"] must be a table of settings"),
                    });
                };
                Ok((path.name, rules::check(path, table)?))
            })
            .collect()
    }

    /// Applies the `[paths]` table of a TOML text: for each path it names, its overrides become
    /// exactly these. All or nothing.
    pub fn override_from_toml(&mut self, text: &str) -> Result<(), ContractError> {
        let parsed = self.parse_toml(text)?;
        self.overrides.extend(parsed);
        self.overrides.retain(|_, overrides| !overrides.is_empty());
        Ok(())
    }

    /// Makes the overrides of one path exactly these (none, to return to its defaults). Checked
    /// again, because they may have been stored by a version with other rules.
    pub fn set(&mut self, name: &str, overrides: &Overrides) -> Result<Contract, ContractError> {
        let path = self.find(name)?;
        let written = serde_json::to_value(overrides)
            .map_err(|error| ContractError::Syntax { detail: error.to_string() })?;
        let table = match rules::without_nulls(written) {
            Value::Object(table) => table,
            _ => Map::new(),
        };
        let checked = rules::check(path, &table)?;
        if checked.is_empty() {
            self.overrides.remove(path.name);
        } else {
            self.overrides.insert(path.name, checked);
        }
        Ok(self.contract(path))
    }

    /// The JSON schema (2020-12) of the `[paths]` table.
    #[must_use]
    pub fn json_schema(&self) -> Value {
        schema::of_paths(self.paths.values().copied())
    }

    fn find(&self, name: &str) -> Result<&'static Path, ContractError> {
        if let Some(path) = self.paths.get(name) {
            return Ok(path);
        }
        let path = rules::cut(name, rules::NAME_CHARACTERS_MAX);
        let names = || self.paths.keys().copied();
        let domain = |known: &&str| known.split_once('.').is_some_and(|(domain, _)| domain == name);
        Err(match names().find(domain) {
            Some(example) => ContractError::UnquotedPath { path, example },
            None => {
                ContractError::UnknownPath { path, suggestion: suggest::nearest(name, names()) }
            }
        })
    }

    fn contract(&self, path: &'static Path) -> Contract {
        let overrides = self.overrides.get(path.name).copied().unwrap_or_default();
        Contract { path, settings: path.defaults.with(&overrides), overrides }
    }
}

/// How much coordination one call spends: none, some, or linearizable.
///
/// A write rests on the conditional append of its record, and so does its refusal; if it answers
/// before its record is durable, only some of its answers do. A read is what its level is.
#[must_use]
pub fn coordination(contract: &Contract) -> Coordination {
    let Contract { path, settings, .. } = contract;
    match (path.access, settings.consistency) {
        (Access::Write, _) => {
            if path.facts.durability == Durability::Logged {
                Coordination::Linearizable
            } else {
                Coordination::Some
            }
        }
        (Access::Read, Some(Level::Linearizable)) => Coordination::Linearizable,
        (Access::Read, Some(Level::Session | Level::Bounded)) => Coordination::Some,
        (Access::Read, Some(Level::Eventual) | None) => Coordination::None,
    }
}

fn check_declaration(path: &Path) -> Result<(), String> {
    let part = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    if !path.name.split_once('.').is_some_and(|(domain, operation)| part(domain) && part(operation))
    {
        return Err("its name is not domain.operation in a-z and _".to_owned());
    }
    let verb = path.route.split_once(" /v1/").map(|(verb, _)| verb);
    // A write that only the program itself makes has no address: its route says in words when.
    let words = !path.route.is_empty() && !path.route.contains('/');
    let fits = match path.access {
        Access::Read => verb == Some("GET"),
        Access::Write => words || matches!(verb, Some("POST" | "PUT" | "PATCH" | "DELETE")),
    };
    if !fits {
        return Err("its route is not a verb that fits its access, and a /v1/ path".to_owned());
    }
    let prose = [
        path.user_action,
        path.promise,
        path.hot_read,
        path.hot_write,
        path.data,
        path.moves,
        path.first_failure,
        path.first_bottleneck,
        path.kept,
        path.given_up,
        path.blast_radius.what,
        path.blast_radius.who,
        path.during_partition,
        path.inline,
        path.later,
        path.recovery,
        path.replay,
        path.curl,
    ];
    if prose.iter().any(|text| text.trim().is_empty()) {
        return Err("a prose field is empty".to_owned());
    }
    let facts = &path.facts;
    let (written, refuses) = (!facts.side_effects.is_empty(), !facts.refusals.is_empty());
    let agree = if path.access == Access::Read {
        !facts.levels.is_empty()
            && facts.idempotency == Idempotency::Read
            && facts.durability == Durability::NotLogged
            && !written
            && !refuses
    } else {
        facts.levels.is_empty()
            && facts.idempotency != Idempotency::Read
            && facts.durability != Durability::NotLogged
            && written
    };
    if !agree {
        return Err("its facts do not fit its access".to_owned());
    }
    rules::check_defaults(path)
}
