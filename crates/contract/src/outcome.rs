//! How one request ended, as the meters count it. The sentences and status codes of a problem
//! body belong to the server; here are only the codes.

use serde::{Deserialize, Serialize};

/// How one request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Served, replays included.
    Ok,
    /// A domain said no, with this code (`sold_out`). An answer, not an error.
    Refused(&'static str),
    /// It was not decided, or its caller cannot know.
    Failed(Failure),
}

/// The failures that every path shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// Not a request that this path understands.
    InvalidRequest,
    /// No valid key.
    Unauthenticated,
    /// A valid key without the scope.
    Forbidden,
    /// No such thing, or no longer.
    NotFound,
    /// Larger than a bound.
    TooLarge,
    /// A session token of an earlier incarnation.
    SessionReset,
    /// The key was used for another request.
    IdempotencyConflict,
    /// The tenant's share is used up.
    QuotaExceeded,
    /// A full queue; nothing happened.
    Overloaded,
    /// The partition cannot decide now.
    Unavailable,
    /// No replica within the bound in time.
    NotUpToBound,
    /// Not decided before the deadline.
    DeadlineExceeded,
    /// Submitted, and not known whether it happened.
    OutcomeUnknown,
    /// A defect of the program.
    Internal,
}

/// Who an outcome is counted against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Served.
    Ok,
    /// Answered with a domain's "no".
    Refused,
    /// The caller's mistake or quota: neither good nor bad for the objective.
    Rejected,
    /// The server's: spends the error budget.
    Error,
}

impl Outcome {
    /// The outcome of a problem body's `code`: one of [`Failure`]'s, else a domain refusal.
    #[must_use]
    pub fn from_code(code: &'static str) -> Self {
        Failure::ALL
            .iter()
            .find(|failure| failure.code() == code)
            .map_or(Self::Refused(code), |failure| Self::Failed(*failure))
    }

    /// Its code, as counted and shown.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused(code) => code,
            Self::Failed(failure) => failure.code(),
        }
    }

    /// Who it is counted against.
    #[must_use]
    pub const fn class(self) -> Class {
        match self {
            Self::Ok => Class::Ok,
            Self::Refused(_) => Class::Refused,
            Self::Failed(failure) => failure.class(),
        }
    }
}

impl Failure {
    /// Every failure, in the order of the meters' counters.
    pub const ALL: [Self; 14] = [
        Self::InvalidRequest,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::TooLarge,
        Self::SessionReset,
        Self::IdempotencyConflict,
        Self::QuotaExceeded,
        Self::Overloaded,
        Self::Unavailable,
        Self::NotUpToBound,
        Self::DeadlineExceeded,
        Self::OutcomeUnknown,
        Self::Internal,
    ];

    /// The `code` of its problem body.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::TooLarge => "too_large",
            Self::SessionReset => "session_reset",
            Self::IdempotencyConflict => "idempotency_conflict",
            Self::QuotaExceeded => "quota_exceeded",
            Self::Overloaded => "overloaded",
            Self::Unavailable => "unavailable",
            Self::NotUpToBound => "not_up_to_bound",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Internal => "internal",
        }
    }

    /// Who it is counted against. A session reset is news of a restore, not a failure to serve.
    #[must_use]
    pub const fn class(self) -> Class {
        match self {
            Self::InvalidRequest
            | Self::Unauthenticated
            | Self::Forbidden
            | Self::NotFound
            | Self::TooLarge
            | Self::SessionReset
            | Self::IdempotencyConflict
            | Self::QuotaExceeded => Class::Rejected,
            Self::Overloaded
            | Self::Unavailable
            | Self::NotUpToBound
            | Self::DeadlineExceeded
            | Self::OutcomeUnknown
            | Self::Internal => Class::Error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_finds_its_failure_and_anything_else_is_a_refusal() {
        for (at, failure) in Failure::ALL.into_iter().enumerate() {
            assert_eq!(Outcome::from_code(failure.code()), Outcome::Failed(failure));
            assert_eq!(failure as usize, at, "the meters index by discriminant");
        }
        assert_eq!(Outcome::from_code("sold_out"), Outcome::Refused("sold_out"));
        assert_eq!(Outcome::Refused("sold_out").class(), Class::Refused);
        assert_eq!(Outcome::from_code("overloaded").class(), Class::Error);
    }

    #[test]
    fn only_what_the_server_owes_spends_the_budget() {
        let errors: Vec<&str> = Failure::ALL
            .into_iter()
            .filter(|failure| failure.class() == Class::Error)
            .map(Failure::code)
            .collect();
        let owed = [
            "overloaded",
            "unavailable",
            "not_up_to_bound",
            "deadline_exceeded",
            "outcome_unknown",
            "internal",
        ];
        assert_eq!(errors, owed);
    }
}
