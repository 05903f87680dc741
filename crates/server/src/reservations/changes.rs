//! What changes a resource or a hold.

use super::{
    requests::{
        ConfirmRequest, EmptyRequest, ExtendRequest, HoldRequest, PutRequest, SeatsRequest,
    },
    views::{HoldBody, ResourceBody},
};
use crate::{
    answer::{Answer, life_of},
    call::Call,
    code::Code,
    problem::Problem,
};
use evenkeel_domains::{
    Command, Reply,
    reservations::{self, Action},
};
use hyper::StatusCode;

type Answered = Result<Answer, Problem>;

/// `POST /v1/resources/{r}/holds`
pub(crate) async fn hold(mut call: Call) -> Answered {
    let resource = call.name(0)?;
    let action = call.document::<HoldRequest>().await?.action()?;
    change(&call, resource, action, StatusCode::CREATED).await
}

/// `POST /v1/resources/{r}/holds/{h}/confirm`
pub(crate) async fn confirm(mut call: Call) -> Answered {
    let (resource, hold) = hold_of(&call)?;
    let action = call.document::<ConfirmRequest>().await?.action(hold);
    change(&call, resource, action, StatusCode::OK).await
}

/// `POST /v1/resources/{r}/holds/{h}/release`
pub(crate) async fn release(mut call: Call) -> Answered {
    let (resource, hold) = hold_of(&call)?;
    call.document::<EmptyRequest>().await?;
    change(&call, resource, Action::Release { hold }, StatusCode::OK).await
}

/// `POST /v1/resources/{r}/holds/{h}/extend`
pub(crate) async fn extend(mut call: Call) -> Answered {
    let (resource, hold) = hold_of(&call)?;
    let action = call.document::<ExtendRequest>().await?.action(hold)?;
    change(&call, resource, action, StatusCode::OK).await
}

/// `POST /v1/resources/{r}/holds/{h}/cancel`
pub(crate) async fn cancel(mut call: Call) -> Answered {
    let (resource, hold) = hold_of(&call)?;
    call.document::<EmptyRequest>().await?;
    change(&call, resource, Action::Cancel { hold }, StatusCode::OK).await
}

/// `PUT /v1/resources/{r}`
pub(crate) async fn put_resource(mut call: Call) -> Answered {
    let resource = call.name(0)?;
    let action = call.document::<PutRequest>().await?.action()?;
    change(&call, resource, action, StatusCode::OK).await
}

/// `POST /v1/resources/{r}/seats`
pub(crate) async fn add_seats(mut call: Call) -> Answered {
    let resource = call.name(0)?;
    let action = call.document::<SeatsRequest>().await?.action()?;
    change(&call, resource, action, StatusCode::OK).await
}

/// The resource and the hold that a path names. What cannot be a hold's name names none.
pub(super) fn hold_of(call: &Call) -> Result<(String, u64), Problem> {
    let resource = call.name(0)?;
    let name = call.name(1)?;
    let fence = name.parse::<u64>().ok().filter(|fence| fence.to_string() == name);
    let fence = fence.ok_or_else(|| Problem::new(Code::NotFound, "there is no such hold"))?;
    Ok((resource, fence))
}

async fn change(call: &Call, resource: String, action: Action, status: StatusCode) -> Answered {
    let command = reservations::Command { resource: resource.clone(), action };
    let (reply, delivered) = call.command(Command::Reservations(command)).await?;
    let answer = match reply {
        Reply::Reservations(reservations::Reply::Hold(hold)) => {
            Answer::json(status, &HoldBody::new(&resource, &hold))
        }
        Reply::Reservations(reservations::Reply::Resource(view, new)) => {
            let status = if new { StatusCode::CREATED } else { status };
            Answer::json(status, &ResourceBody::new(&view, life_of(&delivered.as_of)))
        }
        _ => {
            unreachable!("a change of a resource is answered by its domain")
        }
    };
    Ok(answer.delivered(delivered))
}
