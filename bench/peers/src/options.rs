//! The words of `peers measure`.

use std::str::FromStr;
use std::time::Duration;

use evenkeel_drill::load::{Pace, Plan};

/// One row to measure.
pub(crate) struct Measure {
    pub(crate) label: String,
    pub(crate) workload: String,
    pub(crate) target: String,
    pub(crate) places: u32,
    pub(crate) plan: Plan,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum OptionsError {
    #[error("measure needs LABEL WORKLOAD TARGET")]
    Missing,
    #[error("unknown option `{0}`")]
    Unknown(String),
    #[error("`{0}` needs a number")]
    NotANumber(String),
}

impl Measure {
    pub(crate) fn parse(words: &[&str]) -> Result<Self, OptionsError> {
        let [label, workload, target, options @ ..] = words else {
            return Err(OptionsError::Missing);
        };
        let mut measure = Self {
            label: (*label).to_owned(),
            workload: (*workload).to_owned(),
            target: (*target).to_owned(),
            places: 200_000,
            plan: Plan {
                connections: 64,
                warmup: Duration::from_secs(1),
                duration: Duration::from_secs(5),
                repeats: 1,
                pace: Pace::Closed,
            },
        };
        for pair in options.chunks(2) {
            let (name, value) = (pair[0], pair.get(1).copied().unwrap_or(""));
            let plan = &mut measure.plan;
            match name {
                "--connections" => plan.connections = number(name, value)?,
                "--warmup-ms" => plan.warmup = Duration::from_millis(number(name, value)?),
                "--duration-ms" => plan.duration = Duration::from_millis(number(name, value)?),
                "--repeats" => plan.repeats = number(name, value)?,
                "--places" => measure.places = number(name, value)?,
                "--rate" => {
                    plan.pace = Pace::Open {
                        rate_per_s: number(name, value)?,
                    }
                }
                other => return Err(OptionsError::Unknown(other.to_owned())),
            }
        }
        Ok(measure)
    }

    pub(crate) fn rate_per_s(&self) -> Option<f64> {
        match self.plan.pace {
            Pace::Closed => None,
            Pace::Open { rate_per_s } => Some(rate_per_s),
        }
    }
}

fn number<T: FromStr>(name: &str, value: &str) -> Result<T, OptionsError> {
    value
        .parse()
        .map_err(|_| OptionsError::NotANumber(name.to_owned()))
}
