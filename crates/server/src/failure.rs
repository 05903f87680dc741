//! The one place in which what the node and the domains answer becomes a problem.

use crate::{code::Code, problem::Problem, reservations};
use evenkeel_domains::{Refusal, jobs, limits, meta};
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
        Refusal::Jobs(refusal) => of_jobs(&refusal),
    }
}

fn of_jobs(refusal: &jobs::Refusal) -> Problem {
    use jobs::Refusal as No;
    match refusal {
        No::NoJob => Problem::new(
            Code::NotFound,
            "there is no such job, or it was over longer ago than its queue keeps jobs",
        ),
        No::StaleLease(standing) => {
            Problem::new(Code::StaleLease, "the job is not this lease's, and nothing was changed")
                .with("state", standing.state.name())
        }
        No::LeaseTooLong { max_ms } => {
            Problem::new(Code::LeaseTooLong, format!("a lease lasts at most {max_ms} ms"))
                .with("max_ms", *max_ms)
        }
        No::ResultTooLarge { max_bytes } => {
            Problem::new(Code::ResultTooLarge, format!("a result has at most {max_bytes} bytes"))
                .with("max_bytes", *max_bytes)
        }
        No::BacklogFull { backlog, max } => Problem::new(
            Code::BacklogFull,
            format!("{backlog} jobs wait in this partition; of this priority, {max} may"),
        ),
        No::NoAfter(job) => Problem::new(
            Code::NoAfter,
            format!("{job} was cancelled or is forgotten, or there is no such job"),
        ),
        No::Over(state) => Problem::new(Code::JobOver, format!("the job is {}", state.name()))
            .with("state", state.name()),
        No::NotDead(state) => Problem::new(Code::NotDead, format!("the job is {}", state.name()))
            .with("state", state.name()),
        No::UniqueKeyTaken { job } => Problem::new(
            Code::UniqueKeyTaken,
            "another job with the same unique key has been taken in since",
        )
        .with("job", *job),
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
