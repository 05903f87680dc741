//! What can be wrong with settings. All of it is said at once.

use super::Origin;
use evenkeel_contract::ContractError;
use std::fmt;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Problem {
    /// It cannot be read.
    #[error("{origin}: cannot read it: {why}")]
    File { origin: Origin, why: String },
    /// It is not TOML.
    #[error("{origin}: this is not TOML: {why}")]
    Syntax { origin: Origin, why: String },
    /// No section of that name.
    #[error("{origin}: there is no section {name:?}{}", hint(*.suggestion))]
    Section { origin: Origin, name: String, suggestion: Option<&'static str> },
    /// No setting of that name.
    #[error("{origin}: [{section}] has no setting {key:?}{}", hint(*.suggestion))]
    Key { origin: Origin, section: &'static str, key: String, suggestion: Option<&'static str> },
    /// Not a legal value.
    #[error("{origin}: [{section}] {key} is {found}, and must be {expected}")]
    Value {
        origin: Origin,
        section: &'static str,
        key: &'static str,
        found: String,
        expected: String,
    },
    /// A contract that may not be.
    #[error("{origin}: {source}")]
    Contract { origin: Origin, source: ContractError },
    /// Something that only a file can say.
    #[error("{origin}: contracts are set in the file, in [paths.\"…\"] tables")]
    PathsElsewhere { origin: Origin },
    /// A rule that may not be.
    #[error("{origin}: [[rules]]: {why}")]
    Rule { origin: Origin, why: String },
    /// The same of rules.
    #[error("{origin}: rules are set in the file, as [[rules]]")]
    RulesElsewhere { origin: Origin },
}

/// Everything that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problems(pub(crate) Vec<Problem>);

/// The end of a sentence that suggests `name`, if there is one.
fn hint(name: Option<&str>) -> String {
    name.map_or_else(String::new, |name| format!("; did you mean {name:?}?"))
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings are not right")?;
        for problem in &self.0 {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}
