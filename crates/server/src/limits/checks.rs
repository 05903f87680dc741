//! What counts, and what takes back.

use super::{
    headers::{Terms, tell},
    requests::{
        CheckItem, CheckRequest, RefundRequest, ReleaseRequest, RenewRequest, ResetRequest,
        checked_lease, one,
    },
    subjects::resolve,
    views::{CheckedBody, ReleasedBody, RenewedBody, SubjectsBody},
};
use crate::{
    answer::{Answer, Delivered},
    call::Call,
    code::Code,
    failure, headers,
    problem::Problem,
    query,
    time::Rfc3339,
};
use evenkeel_domains::{Command, Reply, limits};
use evenkeel_node::{Called, CheckFailure, Checked, NodeError};
use hyper::StatusCode;

type Answered = Result<Answer, Problem>;

/// `POST /v1/limits/check`
pub(crate) async fn check(mut call: Call) -> Answered {
    let CheckRequest { checks: items, peek, legacy_headers } = call.document().await?;
    let checks = resolve(&call, &items)?;
    let terms = Terms::of(&checks);
    let options = call.call_options(true)?;
    let (node, tenant) = (&call.edge.node, &call.caller.tenant);
    let called = node.check(tenant, checks, peek, options).await.map_err(problem)?;
    Ok(answer(&items, &terms, called, !peek, legacy_headers))
}

/// `GET /v1/limits/{limit}/peek`
pub(crate) async fn peek(call: Call) -> Answered {
    let parameters = call.parameters()?;
    let text = |name: &str| parameters.get(name).map(str::to_owned);
    let cost = match parameters.get("cost") {
        None => one(),
        Some(cost) => cost.parse().map_err(|_| query::bad("cost", "must be a number"))?,
    };
    let item = CheckItem {
        limit: call.name(0)?,
        key: text("key").ok_or_else(|| query::bad("key", "must be given"))?,
        scope: text("scope"),
        cost,
    };
    let items = [item];
    let checks = resolve(&call, &items)?;
    let terms = Terms::of(&checks);
    let options = call.read_options()?;
    let (node, tenant) = (&call.edge.node, &call.caller.tenant);
    let called = node.peek(tenant, checks, options).await.map_err(failure::problem)?;
    Ok(answer(&items, &terms, called, false, false))
}

/// `POST /v1/limits/refund`
pub(crate) async fn refund(mut call: Call) -> Answered {
    let request = call.document::<RefundRequest>().await?;
    let counted_at = request.counted_at()?;
    let checks = resolve(&call, &request.checks)?;
    let options = call.call_options(true)?;
    if options.idempotency_key.is_none() {
        let rule = "must be given: what is given back is given back once for each";
        return Err(Problem::bad_header(headers::IDEMPOTENCY_KEY, rule));
    }
    let (node, tenant) = (&call.edge.node, &call.caller.tenant);
    let called = node.refund(tenant, checks, counted_at, options).await;
    changed(&request.checks, called)
}

/// `POST /v1/limits/reset`
pub(crate) async fn reset(mut call: Call) -> Answered {
    let items = call.document::<ResetRequest>().await?.checks();
    let checks = resolve(&call, &items)?;
    let options = call.call_options(false)?;
    let called = call.edge.node.reset(&call.caller.tenant, checks, options).await;
    changed(&items, called)
}

/// `POST /v1/limits/release`
pub(crate) async fn release(mut call: Call) -> Answered {
    let ReleaseRequest { lease } = call.document().await?;
    let command = limits::Command::release(checked_lease(&lease)?);
    let (_, delivered) = about_lease(&call, command).await?;
    let body = ReleasedBody { lease: &lease, released: true };
    Ok(Answer::json(StatusCode::OK, &body).delivered(delivered))
}

/// `POST /v1/limits/renew`
pub(crate) async fn renew(mut call: Call) -> Answered {
    let request = call.document::<RenewRequest>().await?;
    let ttl_ms = request.ttl_ms()?;
    let command = limits::Command::renew(checked_lease(&request.lease)?, ttl_ms);
    let (reply, delivered) = about_lease(&call, command).await?;
    let limits::Reply::Renewed { expires_at } = reply else {
        unreachable!("what is renewed is answered with its end")
    };
    let body = RenewedBody { lease: &request.lease, expires_at: Rfc3339(expires_at) };
    Ok(Answer::json(StatusCode::OK, &body).delivered(delivered))
}

async fn about_lease(
    call: &Call,
    command: limits::Command,
) -> Result<(limits::Reply, Delivered), Problem> {
    let (reply, delivered) = call.command(Command::Limits(command)).await?;
    let Reply::Limits(reply) = reply else { unreachable!("a lease is answered by its domain") };
    Ok((reply, delivered))
}

/// The answer about checks. One that does not fit is a good answer all the same, and counted as
/// what it is.
fn answer(
    items: &[CheckItem],
    terms: &[Terms],
    called: Called<Checked>,
    counts: bool,
    legacy: bool,
) -> Answer {
    let body = CheckedBody::new(items, &called, counts);
    let answer = tell(Answer::json(StatusCode::OK, &body), terms, &called.answer, legacy);
    let (checked, delivered) = Delivered::split(called);
    let counted_as = match (checked.is_degraded(), checked.allowed) {
        (true, _) => Some(Code::Unavailable),
        (false, false) if counts => Some(Code::Limited),
        (false, _) => None,
    };
    resting(answer.counted_as(counted_as), delivered)
}

fn changed(items: &[CheckItem], called: Result<Called<Checked>, NodeError>) -> Answered {
    let (checked, delivered) = Delivered::split(called.map_err(failure::problem)?);
    let answer = Answer::json(StatusCode::OK, &SubjectsBody::new(items, &checked));
    Ok(resting(answer, delivered))
}

/// Where nobody answered, it rests on nothing.
fn resting(answer: Answer, delivered: Delivered) -> Answer {
    if delivered.as_of.is_empty() { answer } else { answer.delivered(delivered) }
}

fn problem(failure: CheckFailure) -> Problem {
    match failure {
        CheckFailure::Node(error) => failure::problem(error),
        CheckFailure::KeyForSlots => {
            let rule = "does not go with limits of the algorithm concurrency: a repeat would be \
                        answered with the slot of the first answer, which may be another's by then; \
                        leave it out";
            Problem::bad_header(headers::IDEMPOTENCY_KEY, rule)
        }
        CheckFailure::KeyAcrossPartitions { partitions } => {
            let rule = format!(
                "does not go with these checks: they are counted in {partitions} partitions, and \
                 only one can remember them together; leave it out, ask one by one, or make the \
                 limits scoped"
            );
            Problem::bad_header(headers::IDEMPOTENCY_KEY, &rule)
        }
    }
}
