//! The one place in which what the node and the domains answer becomes a problem.

use crate::{chat, code::Code, feed, jobs, problem::Problem, reservations, schedules};
use evenkeel_domains::{Refusal, limits, meta};
use evenkeel_engine::Failure;
use evenkeel_node::NodeError;

/// The problem that `error` is answered with.
pub(crate) fn problem(error: NodeError) -> Problem {
    match error {
        NodeError::Refused { refusal, as_of } => refused(refusal).resting_on(as_of),
        NodeError::IdempotencyConflict { as_of } => {
            failed(Failure::IdempotencyConflict).resting_on(as_of)
        }
        NodeError::Failed(failure) => failed(failure),
        NodeError::Partly(error) => problem(*error).effects_unknown(),
        NodeError::SessionReset => Problem::new(Code::SessionReset, error.to_string()),
        NodeError::NotUpToBound { .. } => {
            Problem::new(Code::NotUpToBound, error.to_string()).retry_after(1)
        }
        NodeError::NoQueue => Problem::new(Code::NotFound, error.to_string()),
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
        Refusal::Meta(refusal) => of_meta(&refusal),
        Refusal::Limits(refusal) => of_limits(&refusal),
        Refusal::Jobs(refusal) => jobs::refused(&refusal),
        Refusal::Schedules(refusal) => schedules::refused(&refusal),
        Refusal::Chat(refusal) => chat::refused(&refusal),
        Refusal::Feed(refusal) => feed::refused(&refusal),
    }
}

fn of_meta(refusal: &meta::Refusal) -> Problem {
    match refusal {
        meta::Refusal::NoKey => Problem::new(Code::NotFound, "there is no such key"),
        meta::Refusal::KeyExists => Problem::new(
            Code::KeyExists,
            "there is a key of this id already; ask again for another",
        ),
        meta::Refusal::TooManyKeys => {
            Problem::new(Code::TooManyKeys, format!("there may be at most {} keys", meta::KEYS_MAX))
        }
        meta::Refusal::NoTokenKey => Problem::new(Code::NotFound, "there is no such token key"),
        meta::Refusal::TooManyTokenKeys => Problem::new(
            Code::TooManyKeys,
            format!(
                "there may be at most {} token keys a tenant, and {} in all",
                meta::TOKEN_KEYS_MAX,
                meta::ALL_TOKEN_KEYS_MAX
            ),
        ),
        meta::Refusal::TooManyTenants => Problem::new(
            Code::TooManyTenants,
            format!("there may be at most {} tenants", meta::TENANTS_MAX),
        ),
        meta::Refusal::NoLimit => Problem::new(Code::NotFound, "there is no such limit"),
        meta::Refusal::BadPolicy(error) => Problem::new(Code::InvalidPolicy, error.to_string()),
        meta::Refusal::LimitFixed { field } => Problem::new(
            Code::LimitFixed,
            format!("{field} decides where and how the limit counts, so it cannot change"),
        )
        .with("field", *field),
        meta::Refusal::NoQueue => Problem::new(Code::NotFound, "there is no such queue"),
        meta::Refusal::BadSettings(error) => Problem::new(Code::InvalidQueue, error.to_string()),
        meta::Refusal::BadPush(error) => Problem::new(Code::InvalidQueue, error.to_string()),
        meta::Refusal::QueueFixed => Problem::new(
            Code::QueueFixed,
            "spread decides where the queue's jobs are, so it cannot change",
        )
        .with("field", "spread"),
        meta::Refusal::QueueNotDraining => Problem::new(
            Code::QueueInUse,
            "the queue still takes jobs in: drain it first, POST /v1/queues/{q}/drain",
        ),
        meta::Refusal::TooManyQueues => Problem::new(
            Code::TooManyQueues,
            format!(
                "there may be at most {} queues a tenant, and {} in all",
                meta::QUEUES_MAX,
                meta::ALL_QUEUES_MAX
            ),
        ),
        meta::Refusal::BadRules(error) => Problem::new(Code::InvalidRequest, error.to_string()),
        meta::Refusal::TooManyLimits => Problem::new(
            Code::TooManyLimits,
            format!(
                "there may be at most {} limits a tenant, and {} in all",
                meta::LIMITS_MAX,
                meta::ALL_LIMITS_MAX
            ),
        ),
    }
}

fn of_limits(refusal: &limits::Refusal) -> Problem {
    match refusal {
        // A check that does not fit is a good answer; nobody is told so by a problem.
        limits::Refusal::Limited(_) => {
            let detail = "one of the checks does not fit, so nothing was counted";
            Problem::new(Code::Limited, detail)
        }
        limits::Refusal::NoLease => Problem::new(
            Code::NoLease,
            "the slot is not taken: it was released, its time is over, or it never was",
        ),
        limits::Refusal::WrongAlgorithm(_) => Problem::new(
            Code::WrongAlgorithm,
            "slots of a concurrency limit are given back by releasing their leases",
        ),
    }
}
