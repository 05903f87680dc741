//! What reads resources, seats and holds.

use super::{
    changes::hold_of,
    views::{
        HoldBody, HoldList, ResourceBody, ResourceList, SeatBody, SeatList, hold_state_from,
        seat_state_from,
    },
};
use crate::{
    answer::{Answer, Delivered, life_of},
    call::{Call, Page},
    cursor::List,
    problem::Problem,
    query::{self, Parameters},
    reads::{self, Kept, Written},
};
use evenkeel_domains::{
    Found, Query,
    reservations::{self, Found as Read},
};
use hyper::StatusCode;

type Answered = Result<Answer, Problem>;

/// `GET /v1/resources/{r}`
pub(crate) async fn get_resource(call: Call) -> Answered {
    call.parameters()?;
    let resource = call.name(0)?;
    let kept = reads::find(&call, reservations::DOMAIN, &resource, |options| {
        let (node, tenant) = (call.edge.node.clone(), call.caller.tenant.clone());
        let query = reservations::Query::Resource { resource: resource.clone() };
        async move {
            let called = node.query(&tenant, Query::Reservations(query), options).await;
            Kept::of(called, |found, as_of| {
                let Found::Reservations(Read::Resource(view)) = found else {
                    unreachable!("a resource is answered")
                };
                Written::whole(&ResourceBody::new(&view, life_of(as_of)))
            })
        }
    });
    if let Some(found) = kept.await? {
        return found.answer();
    }
    let (found, delivered) = read(&call, reservations::Query::Resource { resource }).await?;
    let Read::Resource(view) = found else { unreachable!("a resource is answered") };
    let body = ResourceBody::new(&view, life_of(&delivered.as_of));
    Ok(Answer::json(StatusCode::OK, &body).delivered(delivered))
}

/// `GET /v1/resources/{r}/holds/{h}`
pub(crate) async fn get_hold(call: Call) -> Answered {
    call.parameters()?;
    let (resource, hold) = hold_of(&call)?;
    let query = reservations::Query::Hold { resource: resource.clone(), hold };
    let (found, delivered) = read(&call, query).await?;
    let Read::Hold(view) = found else { unreachable!("a hold is answered") };
    Ok(Answer::json(StatusCode::OK, &HoldBody::new(&resource, &view)).delivered(delivered))
}

/// `GET /v1/resources`
pub(crate) async fn list_resources(call: Call) -> Answered {
    let parameters = call.parameters()?;
    let list = List(&["resources", &call.caller.tenant.name]);
    let Page { limit, after } = Page::of(&parameters, &list)?;
    let query = reservations::Query::Resources { after, limit };
    let (found, delivered) = read(&call, query).await?;
    let Read::Resources(views, next) = found else { unreachable!("resources are answered") };
    let life = life_of(&delivered.as_of);
    let items = views.iter().map(|view| ResourceBody::new(view, life)).collect();
    let body = ResourceList { items, cursor: next.map(|last| list.cursor(&last)) };
    Ok(Answer::json(StatusCode::OK, &body).delivered(delivered))
}

/// `GET /v1/resources/{r}/seats`
pub(crate) async fn list_seats(call: Call) -> Answered {
    let parameters = call.parameters()?;
    let resource = call.name(0)?;
    let rule = "must be free, held or confirmed";
    let (word, state) = filter(&parameters, seat_state_from, rule)?;
    let list = List(&["seats", &call.caller.tenant.name, &resource, word]);
    let Page { limit, after } = Page::of(&parameters, &list)?;
    let query = reservations::Query::Seats { resource: resource.clone(), state, after, limit };
    let (found, delivered) = read(&call, query).await?;
    let Read::Seats(views, next) = found else { unreachable!("seats are answered") };
    let items = views.iter().map(SeatBody::new).collect();
    let body = SeatList { items, cursor: next.map(|last| list.cursor(&last)) };
    Ok(Answer::json(StatusCode::OK, &body).delivered(delivered))
}

/// `GET /v1/resources/{r}/holds`
pub(crate) async fn list_holds(call: Call) -> Answered {
    let parameters = call.parameters()?;
    let resource = call.name(0)?;
    let rule = "must be held, confirmed, released, expired or cancelled";
    let (word, state) = filter(&parameters, hold_state_from, rule)?;
    let list = List(&["holds", &call.caller.tenant.name, &resource, word]);
    let Page { limit, after } = Page::of(&parameters, &list)?;
    let after = after
        .map(|fence| fence.parse().map_err(|_| query::bad("cursor", "is not one of this list")))
        .transpose()?;
    let query = reservations::Query::Holds { resource: resource.clone(), state, after, limit };
    let (found, delivered) = read(&call, query).await?;
    let Read::Holds(views, next) = found else { unreachable!("holds are answered") };
    let items = views.iter().map(|view| HoldBody::new(&resource, view)).collect();
    let body = HoldList { items, cursor: next.map(|last| list.cursor(&last.to_string())) };
    Ok(Answer::json(StatusCode::OK, &body).delivered(delivered))
}

/// The state that a list is filtered by, as written and as meant.
fn filter<'p, S>(
    parameters: &'p Parameters<'_>,
    parse: impl Fn(&str) -> Option<S>,
    rule: &str,
) -> Result<(&'p str, Option<S>), Problem> {
    let Some(word) = parameters.get("state") else {
        return Ok(("", None));
    };
    let state = parse(word).ok_or_else(|| query::bad("state", rule))?;
    Ok((word, Some(state)))
}

async fn read(call: &Call, query: reservations::Query) -> Result<(Read, Delivered), Problem> {
    let called = call.query(Query::Reservations(query)).await?;
    let (Found::Reservations(found), delivered) = Delivered::split(called) else {
        unreachable!("a read of a resource is answered by its domain")
    };
    Ok((found, delivered))
}
