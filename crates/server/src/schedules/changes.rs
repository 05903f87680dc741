//! What changes a schedule.

use super::{requests::ScheduleRequest, views::ScheduleBody};
use crate::{
    answer::Answer, call::Call, code::Code, names::meant, problem::Problem,
    reservations::EmptyRequest,
};
use evenkeel_domains::{
    Command, Reply,
    schedules::{self, Action},
};
use hyper::StatusCode;

type Answered = Result<Answer, Problem>;

/// `PUT /v1/schedules/{s}`
pub(crate) async fn put(mut call: Call) -> Answered {
    let schedule = call.name(0)?;
    let action = call.document::<ScheduleRequest>().await?.action()?;
    let Action::Put(spec) = &action else { unreachable!("it is put") };
    let queue = spec.queue.clone();
    let answered = change(&call, schedule, action).await;
    answered.map_err(|problem| match problem.code {
        Code::NoQueue => with_nearest(problem, &call, &queue),
        _ => problem,
    })
}

/// `POST /v1/schedules/{s}/pause`
pub(crate) async fn pause(mut call: Call) -> Answered {
    let schedule = call.name(0)?;
    call.document::<EmptyRequest>().await?;
    change(&call, schedule, Action::Pause).await
}

/// `POST /v1/schedules/{s}/resume`
pub(crate) async fn resume(mut call: Call) -> Answered {
    let schedule = call.name(0)?;
    call.document::<EmptyRequest>().await?;
    change(&call, schedule, Action::Resume).await
}

/// `DELETE /v1/schedules/{s}`
pub(crate) async fn delete(call: Call) -> Answered {
    let schedule = call.name(0)?;
    change(&call, schedule, Action::Delete).await
}

async fn change(call: &Call, schedule: String, action: Action) -> Answered {
    let command = schedules::Command { schedule, action };
    let (reply, delivered) = call.command(Command::Schedules(command)).await?;
    let Reply::Schedules(reply) = reply else {
        unreachable!("a change of a schedule is answered by its domain")
    };
    let answer = match reply {
        schedules::Reply::Schedule(view, new) => {
            let status = if new { StatusCode::CREATED } else { StatusCode::OK };
            Answer::json(status, &ScheduleBody::new(&view))
        }
        schedules::Reply::Deleted => Answer::empty(),
    };
    Ok(answer.delivered(delivered))
}

/// Says which queue may have been meant.
fn with_nearest(mut problem: Problem, call: &Call, queue: &str) -> Problem {
    let meta = call.edge.node.meta();
    let queues = meta.meta.queues.get(&call.caller.tenant.id);
    if let Some(near) = queues.and_then(|queues| meant(queue, queues)) {
        problem.detail = format!("there is no queue {queue:?}, did you mean {near:?}?").into();
    }
    problem
}
