//! The one place in which what the node and the domains answer becomes a problem.

use crate::{code::Code, problem::Problem, reservations};
use evenkeel_domains::{Refusal, meta};
use evenkeel_engine::Failure;
use evenkeel_node::NodeError;

/// The problem that `error` is answered with.
pub(crate) fn problem(error: NodeError) -> Problem {
    match error {
        NodeError::Refused { refusal, as_of } => refused(refusal).resting_on(as_of),
        NodeError::Failed(failure) => failed(failure),
        NodeError::SessionReset => Problem::new(
            Code::SessionReset,
            "the session token is from another incarnation of the log",
        ),
        NodeError::NoTenant => Problem::new(Code::Forbidden, "the key's tenant does not exist"),
    }
}

fn failed(failure: Failure<Refusal>) -> Problem {
    let code = match failure {
        Failure::Refused(refusal) => return refused(refusal),
        Failure::IdempotencyConflict => Code::IdempotencyConflict,
        Failure::QuotaExceeded => Code::QuotaExceeded,
        Failure::TooLarge => Code::TooLarge,
        Failure::Overloaded => Code::Overloaded,
        Failure::DeadlineExceeded => Code::DeadlineExceeded,
        Failure::OutcomeUnknown => Code::OutcomeUnknown,
        Failure::Unavailable(_) => Code::Unavailable,
        Failure::Internal => Code::Internal,
    };
    Problem::new(code, failure.to_string())
}

fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::Reservations(refusal) => reservations::refused(refusal),
        Refusal::Meta(meta::Refusal::NoKey) => Problem::new(Code::NotFound, "there is no such key"),
        Refusal::Meta(meta::Refusal::KeyExists) => Problem::new(
            Code::KeyExists,
            "there is a key of this id already; ask again for another",
        ),
        Refusal::Meta(meta::Refusal::TooManyKeys) => {
            Problem::new(Code::TooManyKeys, format!("there may be at most {} keys", meta::KEYS_MAX))
        }
        Refusal::Meta(meta::Refusal::TooManyTenants) => Problem::new(
            Code::TooManyTenants,
            format!("there may be at most {} tenants", meta::TENANTS_MAX),
        ),
    }
}
