//! What an operator may change about a path, and what somebody did change. The ranges are in
//! `rules`, the merging in `registry`; here are the types, which are also what is stored and
//! what is answered as JSON.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Everything that holds for one path. `None` means that the setting has no meaning for it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How long a caller who names no deadline waits; also the most that one may ask for.
    pub deadline_ms: u64,
    /// What is refused first when there is too much to do.
    pub priority: Priority,
    /// How long an idempotency key is remembered. Keyed writes only.
    pub idempotency_window_s: Option<u64>,
    /// Whether a "no" waits until it is known to rest on the newest state. Writes only.
    pub refusals: Option<Refusals>,
    /// How fresh an answer is. Reads only.
    pub consistency: Option<Level>,
    /// The bound of [`Level::Bounded`]. Bounded reads only.
    pub max_staleness_ms: Option<u64>,
    /// What the path is measured against.
    pub slo: Slo,
}

/// A service level objective.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slo {
    /// Percent of requests that are answered without an error of the server.
    pub availability: f64,
    /// 99 of 100 answers come within this.
    pub latency_p99_ms: u64,
}

/// What somebody changed about a path: only what is present differs from the defaults.
///
/// Every field is always written, so that formats without field names can store it too.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Overrides {
    /// See [`Settings::deadline_ms`].
    pub deadline_ms: Option<u64>,
    /// See [`Settings::priority`].
    pub priority: Option<Priority>,
    /// See [`Settings::idempotency_window_s`].
    pub idempotency_window_s: Option<u64>,
    /// See [`Settings::refusals`].
    pub refusals: Option<Refusals>,
    /// See [`Settings::consistency`].
    pub consistency: Option<Level>,
    /// See [`Settings::max_staleness_ms`].
    pub max_staleness_ms: Option<u64>,
    /// See [`Settings::slo`].
    pub slo: SloOverrides,
}

/// What somebody changed about an objective.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SloOverrides {
    /// See [`Slo::availability`].
    pub availability: Option<f64>,
    /// See [`Slo::latency_p99_ms`].
    pub latency_p99_ms: Option<u64>,
}

/// How fresh an answer is, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// At least as new as everything that was acknowledged before the request began.
    Linearizable,
    /// At least as new as what the caller has seen and written itself.
    Session,
    /// Not older than a bound.
    Bounded,
    /// Whatever the replica has.
    Eventual,
}

/// What is refused first when there is too much to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Refused last.
    Critical,
    /// Neither.
    Default,
    /// Refused first.
    Sheddable,
}

/// Whether a "no" waits until it is known to rest on the newest state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusals {
    /// It waits for a barrier, so it is as true as a "yes". The only way there is: a "no" from an
    /// old state is not offered, since no engine here can give one.
    Fenced,
}

impl Settings {
    const DEADLINE_MS: u64 = 1_000;
    const WINDOW_S: u64 = 86_400;
    pub(crate) const MAX_STALENESS_MS: u64 = 1_000;
    const SLO: Slo = Slo { availability: 99.9, latency_p99_ms: 50 };

    /// The usual settings of a read at `level`: one second, and a bound of one second.
    #[must_use]
    pub const fn read(level: Level) -> Self {
        Self {
            deadline_ms: Self::DEADLINE_MS,
            priority: Priority::Default,
            idempotency_window_s: None,
            refusals: None,
            consistency: Some(level),
            max_staleness_ms: match level {
                Level::Bounded => Some(Self::MAX_STALENESS_MS),
                _ => None,
            },
            slo: Self::SLO,
        }
    }

    /// The usual settings of a write that needs no key to be repeated safely.
    #[must_use]
    pub const fn natural_write() -> Self {
        Self {
            consistency: None,
            max_staleness_ms: None,
            refusals: Some(Refusals::Fenced),
            ..Self::read(Level::Linearizable)
        }
    }

    /// The usual settings of a write that takes an `Idempotency-Key`, remembered for a day.
    #[must_use]
    pub const fn keyed_write() -> Self {
        Self { idempotency_window_s: Some(Self::WINDOW_S), ..Self::natural_write() }
    }

    /// The same with another deadline.
    #[must_use]
    pub const fn with_deadline_ms(self, deadline_ms: u64) -> Self {
        Self { deadline_ms, ..self }
    }

    /// The same with another priority.
    #[must_use]
    pub const fn with_priority(self, priority: Priority) -> Self {
        Self { priority, ..self }
    }

    /// The same with another bound; only for [`Level::Bounded`].
    #[must_use]
    pub const fn with_max_staleness_ms(self, max_staleness_ms: u64) -> Self {
        Self { max_staleness_ms: Some(max_staleness_ms), ..self }
    }

    /// The same with another objective.
    #[must_use]
    pub const fn with_slo(self, availability: f64, latency_p99_ms: u64) -> Self {
        Self { slo: Slo { availability, latency_p99_ms }, ..self }
    }

    /// These settings with `overrides` on top. Leaving [`Level::Bounded`] drops the bound, coming
    /// to it brings the usual one. Checks nothing: `rules` does.
    pub(crate) fn with(self, overrides: &Overrides) -> Self {
        let consistency = overrides.consistency.or(self.consistency);
        let bound = overrides.max_staleness_ms.or(self.max_staleness_ms);
        Self {
            deadline_ms: overrides.deadline_ms.unwrap_or(self.deadline_ms),
            priority: overrides.priority.unwrap_or(self.priority),
            idempotency_window_s: overrides.idempotency_window_s.or(self.idempotency_window_s),
            refusals: overrides.refusals.or(self.refusals),
            consistency,
            max_staleness_ms: (consistency == Some(Level::Bounded))
                .then(|| bound.unwrap_or(Self::MAX_STALENESS_MS)),
            slo: Slo {
                availability: overrides.slo.availability.unwrap_or(self.slo.availability),
                latency_p99_ms: overrides.slo.latency_p99_ms.unwrap_or(self.slo.latency_p99_ms),
            },
        }
    }
}

impl Overrides {
    /// Whether nothing was changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

macro_rules! named {
    ($($type:ident { $($variant:ident = $name:literal),* })*) => {$(
        impl $type {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name used in files, headers and JSON.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// The value of this name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.name() == name)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }
    )*};
}
named! {
    Level { Linearizable = "linearizable", Session = "session", Bounded = "bounded", Eventual = "eventual" }
    Priority { Critical = "critical", Default = "default", Sheddable = "sheddable" }
    Refusals { Fenced = "fenced" }
}
