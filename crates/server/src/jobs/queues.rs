//! What queues say: put, told to pause, drain or go on, listed, deleted; and how one is.

use super::{
    pushed::PushBody,
    queue_views::{QueueBody, QueueList, ReportBody},
    settings::QueueRequest,
    subjects::{failed, unknown_queue},
};
use crate::{
    answer::{Answer, Delivered},
    call::{Call, Filled, Page},
    code::Code,
    cursor::List,
    failure,
    problem::Problem,
    push,
};
use evenkeel_domains::{
    Command, Reply,
    jobs::{Settings, State},
    meta::{self, QueueMode},
};
use evenkeel_node::{MetaView, ReadOptions};
use hyper::StatusCode;
use std::ops::Bound;

type Answered = Result<Answer, Problem>;

/// `PUT /v1/queues/{q}`
pub(crate) async fn put(mut call: Call) -> Answered {
    let name = call.name(0)?;
    let mut request = call.document::<QueueRequest>().await?;
    let push = request.push()?;
    if let Some(push) = &push {
        push::check(&push.url, call.edge.options.pushes.reach())
            .map_err(|error| Problem::new(Code::InvalidQueue, error.to_string()))?;
    }
    let settings = Box::new(request.settings()?);
    let (tenant, partitions) = (call.caller.tenant.id, call.edge.node.partitions());
    let action = meta::Action::PutQueue { tenant, name: name.clone(), settings, push, partitions };
    let (settings, new, delivered) = change(&call, &name, action).await?;
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(said(&call, status, &name, &settings).delivered(delivered))
}

/// `POST /v1/queues/{q}/pause`
pub(crate) async fn pause(call: Call) -> Answered {
    set_mode(call, QueueMode::Paused).await
}

/// `POST /v1/queues/{q}/resume`
pub(crate) async fn resume(call: Call) -> Answered {
    set_mode(call, QueueMode::Open).await
}

/// `POST /v1/queues/{q}/drain`
pub(crate) async fn drain(call: Call) -> Answered {
    set_mode(call, QueueMode::Draining).await
}

async fn set_mode(mut call: Call, mode: QueueMode) -> Answered {
    let name = call.name(0)?;
    call.document::<crate::reservations::EmptyRequest>().await?;
    let action =
        meta::Action::SetQueueMode { tenant: call.caller.tenant.id, name: name.clone(), mode };
    let (settings, _, delivered) = change(&call, &name, action).await?;
    Ok(said(&call, StatusCode::OK, &name, &settings).delivered(delivered))
}

/// What a queue says.
fn said(call: &Call, status: StatusCode, name: &str, settings: &Settings) -> Answer {
    let view = call.edge.node.meta();
    Answer::json(status, &QueueBody::new(name, settings, pushed(call, &view, name)))
}

/// Where its jobs are sent, if they are, and how that stands.
fn pushed<'v>(call: &Call, view: &'v MetaView, name: &str) -> Option<PushBody<'v>> {
    let tenant = call.caller.tenant.id;
    let push = view.meta.push(tenant, name)?;
    let now = call.edge.node.now();
    Some(PushBody::new(push, call.edge.options.pushes.get(tenant, name), now))
}

/// Changes what a queue says, and has its partitions learn it.
async fn change(
    call: &Call,
    name: &str,
    action: meta::Action,
) -> Result<(Box<Settings>, bool, Delivered), Problem> {
    let (node, tenant) = (&call.edge.node, &call.caller.tenant);
    let called = node.change_queue(tenant, name, action, call.call_options(false)?).await;
    let (reply, delivered) = Delivered::split(called.map_err(|error| {
        let problem = failure::problem(error);
        match problem.code {
            Code::NotFound => unknown_queue(&node.meta(), tenant.id, name),
            _ => problem,
        }
    })?);
    let Reply::Meta(meta::Reply::Queue(settings, new)) = reply else {
        unreachable!("a queue is answered by what it says")
    };
    Ok((settings, new, delivered))
}

/// `DELETE /v1/queues/{q}`
pub(crate) async fn delete(call: Call) -> Answered {
    let name = call.name(0)?;
    let (node, tenant) = (&call.edge.node, &call.caller.tenant);
    let settings =
        node.queue_settings(tenant, &name).map_err(|error| failed(&call, &name, error))?;
    if settings.draining {
        let report = node.queue_report(tenant, &name, ReadOptions::default()).await;
        let state = report.map_err(|error| failed(&call, &name, error))?.answer.state;
        let unfinished = state.backlog() + state.counts[State::Leased as usize];
        if unfinished > 0 {
            let detail = format!("{unfinished} jobs wait or run in it");
            return Err(Problem::new(Code::QueueInUse, detail).with("unfinished", unfinished));
        }
    }
    let action = meta::Action::DeleteQueue { tenant: tenant.id, name };
    let (_, delivered) = call.command(Command::Meta(meta::Command { action })).await?;
    Ok(Answer::empty().delivered(delivered))
}

/// `GET /v1/queues`
pub(crate) fn list(call: &Call) -> Answered {
    let parameters = call.parameters()?;
    let view = call.meta()?;
    let list = List(&["queues", &call.caller.tenant.name]);
    let page = Page::of(&parameters, &list)?;
    let from = page.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let queues = view.meta.queues.get(&call.caller.tenant.id);
    let rest = queues.map(|queues| queues.range::<str, _>((from, Bound::Unbounded)));
    let bodies = rest
        .into_iter()
        .flatten()
        .map(|(name, settings)| QueueBody::new(name, settings, pushed(call, &view, name)));
    let Filled { items, more } = page.fill(bodies);
    let cursor = items.last().filter(|_| more).map(|last| list.cursor(last.queue));
    Ok(Answer::json(StatusCode::OK, &QueueList { items, cursor }).resting(&view))
}

/// `GET /v1/queues/{q}`
pub(crate) async fn get(call: Call) -> Answered {
    call.parameters()?;
    let name = call.name(0)?;
    let (node, tenant) = (&call.edge.node, &call.caller.tenant);
    let fail = |error| failed(&call, &name, error);
    let settings = node.queue_settings(tenant, &name).map_err(fail)?;
    let called = node.queue_report(tenant, &name, call.read_options()?).await.map_err(fail)?;
    let now = called.at;
    let (report, delivered) = Delivered::split(called);
    let view = node.meta();
    let settings = QueueBody::new(&name, &settings, pushed(&call, &view, &name));
    let body = ReportBody::new(settings, report, now);
    Ok(Answer::json(StatusCode::OK, &body).delivered(delivered))
}
