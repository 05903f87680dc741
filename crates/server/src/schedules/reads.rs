//! What reads schedules.

use super::views::{ScheduleBody, ScheduleList};
use crate::{
    answer::{Answer, Delivered},
    call::{Call, Page},
    cursor::List,
    problem::Problem,
};
use evenkeel_domains::{
    Found, Query,
    schedules::{self, Found as Read},
};
use hyper::StatusCode;

type Answered = Result<Answer, Problem>;

/// `GET /v1/schedules/{s}`
pub(crate) async fn get(call: Call) -> Answered {
    call.parameters()?;
    let schedule = call.name(0)?;
    let (found, delivered) = read(&call, schedules::Query::Schedule { schedule }).await?;
    let Read::Schedule(view) = found else { unreachable!("a schedule is answered") };
    Ok(Answer::json(StatusCode::OK, &ScheduleBody::new(&view)).delivered(delivered))
}

/// `GET /v1/schedules`
pub(crate) async fn list(call: Call) -> Answered {
    let parameters = call.parameters()?;
    let list = List(&["schedules", &call.caller.tenant.name]);
    let Page { limit, after } = Page::of(&parameters, &list)?;
    let (found, delivered) = read(&call, schedules::Query::Schedules { after, limit }).await?;
    let Read::Schedules(views, next) = found else { unreachable!("schedules are answered") };
    let items = views.iter().map(ScheduleBody::new).collect();
    let body = ScheduleList { items, cursor: next.map(|last| list.cursor(&last)) };
    Ok(Answer::json(StatusCode::OK, &body).delivered(delivered))
}

async fn read(call: &Call, query: schedules::Query) -> Result<(Read, Delivered), Problem> {
    let (found, delivered) = Delivered::split(call.query(Query::Schedules(query)).await?);
    let Found::Schedules(found) = found else {
        unreachable!("a read of schedules is answered by its domain")
    };
    Ok((found, delivered))
}
