//! Which job or queue is meant, and what a no about one is answered with.

use crate::{call::Call, code::Code, names::meant, problem::Problem, text::percent_decoded};
use evenkeel_domains::jobs::{JobId, Refusal};
use evenkeel_engine::TenantId;
use evenkeel_node::{MetaView, NodeError};

/// The job in the second place of the address.
pub(super) fn job_of(call: &Call) -> Result<JobId, Problem> {
    let text = call.route.parameter(call.parts.uri.path(), 1);
    let job = percent_decoded(text).and_then(|text| text.parse().ok());
    job.ok_or_else(|| Problem::invalid("the job in the path must be one as answered: 3.27487"))
}

/// What the node says of a queue, with the name that was perhaps meant.
pub(super) fn failed(call: &Call, queue: &str, error: NodeError) -> Problem {
    match error {
        NodeError::NoQueue => unknown_queue(&call.edge.node.meta(), call.caller.tenant.id, queue),
        error => crate::failure::problem(error),
    }
}

/// There is no queue of this name; maybe another was meant.
pub(crate) fn unknown_queue(view: &MetaView, tenant: TenantId, name: &str) -> Problem {
    let meant = view.meta.queues.get(&tenant).and_then(|queues| meant(name, queues));
    let detail = match meant {
        Some(meant) => format!("there is no queue {name:?}; did you mean {meant:?}?"),
        None => format!("there is no queue {name:?}; PUT /v1/queues/{name} makes one"),
    };
    Problem::new(Code::NotFound, detail).with("queue", name)
}

/// The problem that a no of the domain is answered with.
pub(crate) fn refused(refusal: &Refusal) -> Problem {
    match refusal {
        Refusal::NoJob => Problem::new(
            Code::NotFound,
            "there is no such job, or it was over longer ago than its queue keeps jobs",
        ),
        Refusal::StaleLease(standing) => {
            Problem::new(Code::StaleLease, "the job is not this lease's, and nothing was changed")
                .with("state", standing.state.name())
        }
        Refusal::LeaseTooLong { max_ms } => {
            Problem::new(Code::LeaseTooLong, format!("a lease lasts at most {max_ms} ms"))
                .with("max_ms", *max_ms)
        }
        Refusal::ResultTooLarge { max_bytes } => {
            Problem::new(Code::ResultTooLarge, format!("a result has at most {max_bytes} bytes"))
                .with("max_bytes", *max_bytes)
        }
        Refusal::Draining => Problem::new(Code::QueueDraining, "the queue is draining"),
        Refusal::BacklogFull { backlog, max } => Problem::new(
            Code::BacklogFull,
            format!("{backlog} jobs wait in this partition; of this priority, {max} may"),
        ),
        Refusal::NoAfter(job) => Problem::new(
            Code::NoAfter,
            format!("there is no job {job}, it was cancelled or is forgotten"),
        ),
        Refusal::Over(state) => Problem::new(Code::JobOver, format!("the job is {}", state.name()))
            .with("state", state.name()),
        Refusal::NotDead(state) => {
            Problem::new(Code::NotDead, format!("the job is {}", state.name()))
                .with("state", state.name())
        }
        Refusal::UniqueKeyTaken { job } => Problem::new(
            Code::UniqueKeyTaken,
            "another job with the same unique key has been taken in since",
        )
        .with("job", *job),
    }
}
