//! What limits say: put, read from the node's copy of `meta`, deleted.

use super::{
    requests::LimitRequest,
    subjects::unknown,
    views::{LimitBody, LimitList},
};
use crate::{
    answer::Answer,
    call::{Call, Filled, Page},
    cursor::List,
    problem::Problem,
};
use evenkeel_domains::{Command, Reply, meta};
use hyper::StatusCode;
use std::ops::Bound;

type Answered = Result<Answer, Problem>;

/// `PUT /v1/limits/{limit}`
pub(crate) async fn put(mut call: Call) -> Answered {
    let name = call.name(0)?;
    let policy = call.document::<LimitRequest>().await?.policy();
    let tenant = call.caller.tenant.id;
    let action = meta::Action::PutLimit { tenant, name: name.clone(), policy };
    let (reply, delivered) = call.command(Command::Meta(meta::Command { action })).await?;
    let Reply::Meta(meta::Reply::Limit(policy, new)) = reply else {
        unreachable!("a limit is answered by what it says")
    };
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(Answer::json(status, &LimitBody::new(&name, &policy)).delivered(delivered))
}

/// `GET /v1/limits/{limit}`
pub(crate) fn get(call: &Call) -> Answered {
    call.parameters()?;
    let view = call.meta()?;
    let name = call.name(0)?;
    let tenant = call.caller.tenant.id;
    let policy = view.meta.limit(tenant, &name).ok_or_else(|| unknown(&view, tenant, &name))?;
    Ok(Answer::json(StatusCode::OK, &LimitBody::new(&name, policy)).resting(&view))
}

/// `GET /v1/limits`
pub(crate) fn list(call: &Call) -> Answered {
    let parameters = call.parameters()?;
    let view = call.meta()?;
    let list = List(&["limits", &call.caller.tenant.name]);
    let page = Page::of(&parameters, &list)?;
    let from = page.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let limits = view.meta.limits.get(&call.caller.tenant.id);
    let rest = limits.map(|limits| limits.range::<str, _>((from, Bound::Unbounded)));
    let bodies = rest.into_iter().flatten().map(|(name, policy)| LimitBody::new(name, policy));
    let Filled { items, more } = page.fill(bodies);
    let cursor = items.last().filter(|_| more).map(|last| list.cursor(last.limit));
    Ok(Answer::json(StatusCode::OK, &LimitList { items, cursor }).resting(&view))
}

/// `DELETE /v1/limits/{limit}`
pub(crate) async fn delete(call: Call) -> Answered {
    let name = call.name(0)?;
    let action = meta::Action::DeleteLimit { tenant: call.caller.tenant.id, name };
    let (_, delivered) = call.command(Command::Meta(meta::Command { action })).await?;
    Ok(Answer::empty().delivered(delivered))
}
