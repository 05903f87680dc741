//! Which job or queue is meant, and what a no about one is answered with.

use crate::{
    call::Call,
    code::Code,
    problem::Problem,
    text::{cut, is_name, percent_decoded},
};
use evenkeel_contract::nearest;
use evenkeel_domains::jobs::{JobId, Refusal};
use evenkeel_engine::TenantId;
use evenkeel_node::{MetaView, NodeError};
use std::ops::Bound;

/// Queues before and after a name that is none in which the one that was meant is looked for.
const NEIGHBOURS_MAX: usize = 250;
const NAMED_BYTES_MAX: usize = 128;

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
    let meant = view.meta.queues.get(&tenant).and_then(|queues| {
        let before = queues.range::<str, _>((Bound::Unbounded, Bound::Excluded(name)));
        let after = queues.range::<str, _>((Bound::Excluded(name), Bound::Unbounded));
        let (before, after) = (before.rev().take(NEIGHBOURS_MAX), after.take(NEIGHBOURS_MAX));
        nearest(name, before.chain(after).map(|(name, _)| name.as_str()))
    });
    let named = cut(name, NAMED_BYTES_MAX);
    let detail = match meant {
        Some(meant) => format!("there is no queue {named:?}; did you mean {meant:?}?"),
        None if is_name(name) => {
            format!("there is no queue {named:?}; PUT /v1/queues/{named} makes one")
        }
        None => format!("there is no queue {named:?}"),
    };
    Problem::new(Code::NotFound, detail).with("queue", named.into_owned())
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
