//! Rules: which limit a descriptor meets. Made of files, matched level by level as
//! envoyproxy/ratelimit does: the value itself before wildcards, those in their order before a rule
//! without a value; a rule holds for descriptors with as many entries as it has levels.

use super::{
    messages::{Entry, Unit},
    windows::Limit,
    yaml::{self, DEPTH_MAX},
};
use std::collections::{BTreeMap, HashMap, btree_map, hash_map};

/// Descriptors of all files together.
const RULES_MAX: usize = 100_000;
/// Bytes of a complaint about a file, which may quote as much of it as there is.
const DETAIL_BYTES_MAX: usize = 400;
/// Bytes of a domain's name.
const DOMAIN_BYTES_MAX: usize = 256;

/// Why there are no rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {what}")]
pub struct RulesError {
    /// The file that is wrong.
    pub file: String,
    /// What is wrong, in envoyproxy/ratelimit's words where it has some.
    pub what: String,
}

/// The rules of all domains.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rules {
    domains: BTreeMap<String, Level>,
    descriptors: usize,
}

/// The rules at one place, by key.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Level(HashMap<String, OfKey>);

/// The rules of one key.
#[derive(Debug, Default, PartialEq, Eq)]
struct OfKey {
    values: HashMap<String, Place>,
    wildcards: Vec<Wildcard>,
    any: Option<Place>,
}

/// A rule for values that begin alike.
#[derive(Debug, PartialEq, Eq)]
struct Wildcard {
    /// With its star.
    pattern: String,
    /// What matches is counted together.
    shared: bool,
    place: Place,
}

/// What a descriptor has come to once an entry matched.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    rule: Option<Rule>,
    below: Level,
}

/// A limit, and what it has to do with others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    /// None of what is unlimited.
    pub(super) limit: Option<Limit>,
    pub(super) name: String,
    /// Names of limits that do not count beside this one.
    pub(super) replaces: Vec<String>,
}

/// The rule of a descriptor.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found<'r> {
    pub(super) rule: &'r Rule,
    /// Entries, by place, that count under a pattern instead of their value.
    pub(super) patterns: Vec<(usize, &'r str)>,
}

impl Rules {
    /// The rules that files say, each with its name.
    pub(super) fn of<'t>(
        files: impl IntoIterator<Item = (&'t str, &'t str)>,
    ) -> Result<Self, RulesError> {
        let mut rules = Self::default();
        for (name, text) in files {
            yaml::read(text)
                .map_err(|detail| format!("error loading config file: {detail}"))
                .and_then(|file| rules.add(file))
                .map_err(|what| RulesError { file: name.to_owned(), what: cut(what) })?;
        }
        Ok(rules)
    }

    fn add(&mut self, file: yaml::File) -> Result<(), String> {
        let domain = file.domain;
        if domain.is_empty() {
            return Err("config file cannot have empty domain".to_owned());
        }
        if domain.len() > DOMAIN_BYTES_MAX || domain.chars().any(char::is_control) {
            return Err(format!(
                "a domain has at most {DOMAIN_BYTES_MAX} bytes, and no control characters"
            ));
        }
        match self.domains.entry(domain) {
            btree_map::Entry::Occupied(there) => {
                Err(format!("duplicate domain '{}' in config file", there.key()))
            }
            btree_map::Entry::Vacant(free) => {
                let descriptors = file.descriptors.unwrap_or_default();
                let path = free.key().clone();
                free.insert(Level::of(descriptors, &path, 1, &mut self.descriptors)?);
                Ok(())
            }
        }
    }

    /// The rules of `domain`, if it has any.
    pub(super) fn domain(&self, domain: &str) -> Option<&Level> {
        self.domains.get(domain)
    }

    /// How many domains and descriptors there are.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.domains.len(), self.descriptors)
    }
}

fn cut(mut detail: String) -> String {
    if let Some((end, _)) = detail.char_indices().find(|(at, _)| *at >= DETAIL_BYTES_MAX) {
        detail.truncate(end);
        detail.push('…');
    }
    detail
}

impl Level {
    /// What `descriptors` say, which are in the rule `path`; counts them into `count`.
    fn of(
        descriptors: Vec<yaml::Descriptor>,
        path: &str,
        depth: usize,
        count: &mut usize,
    ) -> Result<Self, String> {
        let mut level = Self::default();
        if depth > DEPTH_MAX && !descriptors.is_empty() {
            return Err(format!("descriptors are at most {DEPTH_MAX} levels deep, in {path}"));
        }
        for descriptor in descriptors {
            *count += 1;
            if *count > RULES_MAX {
                return Err(format!("there are more than {RULES_MAX} descriptors"));
            }
            let yaml::Descriptor { key, value, rate_limit, descriptors, share_threshold, .. } =
                descriptor;
            if key.is_empty() {
                return Err(format!("descriptor has empty key, in {path}"));
            }
            let value = value.filter(|value| !value.is_empty());
            let path = match &value {
                Some(value) => format!("{path}.{key}_{value}"),
                None => format!("{path}.{key}"),
            };
            let place = Place {
                rule: rate_limit
                    .map(|limit| Rule::of(limit, descriptor.shadow_mode, &path))
                    .transpose()?,
                below: Self::of(descriptors.unwrap_or_default(), &path, depth + 1, count)?,
            };
            level
                .0
                .entry(key)
                .or_default()
                .put(value, share_threshold, place)
                .map_err(|Taken| format!("duplicate descriptor composite key '{path}'"))?;
        }
        Ok(level)
    }

    /// The rule that `entries` meet.
    pub(super) fn find<'r>(&'r self, entries: &[Entry]) -> Option<Found<'r>> {
        let mut patterns = Vec::new();
        let mut level = self;
        let (last, before) = entries.split_last()?;
        for (at, entry) in before.iter().enumerate() {
            level = &level.place(at, entry, &mut patterns)?.below;
        }
        let place = level.place(before.len(), last, &mut patterns)?;
        place.rule.as_ref().map(|rule| Found { rule, patterns })
    }

    fn place<'r>(
        &'r self,
        at: usize,
        entry: &Entry,
        patterns: &mut Vec<(usize, &'r str)>,
    ) -> Option<&'r Place> {
        let of_key = self.0.get(&entry.key)?;
        if let Some(place) = of_key.values.get(&entry.value) {
            return Some(place);
        }
        match of_key.wildcards.iter().find(|wildcard| wildcard.matches(&entry.value)) {
            Some(Wildcard { pattern, shared, place }) => {
                if *shared {
                    patterns.push((at, pattern));
                }
                Some(place)
            }
            None => of_key.any.as_ref(),
        }
    }
}

/// There is one already.
struct Taken;

impl OfKey {
    fn put(&mut self, value: Option<String>, shared: bool, place: Place) -> Result<(), Taken> {
        match value {
            None if self.any.is_some() => return Err(Taken),
            None => self.any = Some(place),
            Some(pattern) if pattern.ends_with('*') => {
                if self.wildcards.iter().any(|there| there.pattern == pattern) {
                    return Err(Taken);
                }
                self.wildcards.push(Wildcard { pattern, shared, place });
            }
            Some(value) => match self.values.entry(value) {
                hash_map::Entry::Occupied(_) => return Err(Taken),
                hash_map::Entry::Vacant(free) => {
                    free.insert(place);
                }
            },
        }
        Ok(())
    }
}

impl Wildcard {
    fn matches(&self, value: &str) -> bool {
        self.pattern.strip_suffix('*').is_some_and(|beginning| value.starts_with(beginning))
    }
}

impl Rule {
    fn of(limit: yaml::RateLimit, shadow: bool, path: &str) -> Result<Self, String> {
        let yaml::RateLimit { unit, requests_per_unit, unlimited, name, replaces } = limit;
        let unit_name = unit.unwrap_or_default();
        let limit = match (Unit::named(&unit_name), unlimited) {
            (Some(_), true) => {
                return Err(format!(
                    "should not specify rate limit unit when unlimited, in {path}"
                ));
            }
            (None, true) => None,
            (Some(unit), false) => Some(Limit { requests_per_unit, unit, shadow }),
            (None, false) => {
                return Err(format!("invalid rate limit unit '{unit_name}', in {path}"));
            }
        };
        let replaces: Vec<String> =
            replaces.unwrap_or_default().into_iter().map(|other| other.name).collect();
        if replaces.iter().any(String::is_empty) {
            return Err(format!("should not have an empty replaces entry, in {path}"));
        }
        if replaces.contains(&name) {
            return Err(format!("replaces should not contain name of same descriptor, in {path}"));
        }
        Ok(Self { limit, name, replaces })
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
