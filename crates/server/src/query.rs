//! The parameters after the `?`: each known, each once.

use crate::{
    problem::Problem,
    text::{cut, percent_decoded},
};
use evenkeel_contract::nearest;
use std::borrow::Cow;

/// Items of a page, unless asked for otherwise.
pub(crate) const LIMIT_DEFAULT: usize = 100;
/// The most items of a page.
pub(crate) const LIMIT_MAX: usize = 1_000;
const NAMED_BYTES_MAX: usize = 64;

/// The parameters of a request.
pub(crate) struct Parameters<'q>(Vec<(&'static str, Cow<'q, str>)>);

impl<'q> Parameters<'q> {
    /// Parses `query`, which may have the parameters `known`.
    pub(crate) fn parse(
        query: Option<&'q str>,
        known: &'static [&'static str],
    ) -> Result<Self, Problem> {
        let mut parameters: Vec<(&'static str, Cow<'q, str>)> = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(found) = known.iter().find(|known| **known == name) else {
                return Err(unknown(name, known));
            };
            if parameters.iter().any(|(seen, _)| seen == found) {
                return Err(bad(found, "is given twice"));
            }
            let value =
                percent_decoded(value).ok_or_else(|| bad(found, "is not percent-encoded text"))?;
            parameters.push((found, value));
        }
        Ok(Self(parameters))
    }

    /// The value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_ref())
    }

    /// How many items are asked for.
    pub(crate) fn limit(&self) -> Result<usize, Problem> {
        let Some(text) = self.get("limit") else {
            return Ok(LIMIT_DEFAULT);
        };
        text.parse()
            .ok()
            .filter(|limit| (1..=LIMIT_MAX).contains(limit))
            .ok_or_else(|| bad("limit", &format!("must be a number from 1 to {LIMIT_MAX}")))
    }
}

/// A parameter that breaks a rule.
pub(crate) fn bad(name: &'static str, rule: &str) -> Problem {
    Problem::invalid(format!("the query parameter {name} {rule}")).with("parameter", name)
}

fn unknown(name: &str, known: &'static [&'static str]) -> Problem {
    let named = cut(name, NAMED_BYTES_MAX);
    Problem::invalid(match (nearest(name, known.iter().copied()), known) {
        (Some(meant), _) => format!("unknown query parameter {named:?}, did you mean {meant:?}?"),
        (None, []) => format!("unknown query parameter {named:?}: there are none here"),
        (None, _) => format!("unknown query parameter {named:?}; known are {}", known.join(", ")),
    })
}
