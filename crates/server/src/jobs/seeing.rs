//! What looks at jobs, and what brings dead letters back.

use super::{
    places,
    queue_views::{QueueEventBody, QueueEventList},
    requests::{ReplayRequest, filter},
    subjects::{failed, job_of, refused},
    views::{JobBody, JobDetailBody, JobList, ReplayedBody},
};
use crate::{
    answer::{Answer, Delivered},
    call::{Call, Page},
    cursor::List,
    problem::Problem,
    query::{self, Parameters},
    text::is_name,
};
use evenkeel_domains::{
    Found, Query,
    jobs::{self, State},
};
use evenkeel_node::{JobsOf, JobsPage};
use hyper::StatusCode;

type Answered = Result<Answer, Problem>;

/// `GET /v1/queues/{q}/jobs/{j}`
pub(crate) async fn get_job(call: Call) -> Answered {
    call.parameters()?;
    let (queue, job) = (call.name(0)?, job_of(&call)?);
    let (node, tenant) = (&call.edge.node, &call.caller.tenant);
    node.queue_settings(tenant, &queue).map_err(|error| failed(&call, &queue, error))?;
    // Routing has every number mean some partition, and there the name of another job.
    if job.partition >= node.partitions() {
        return Err(refused(&jobs::Refusal::NoJob));
    }
    let waiting = node.queue_state(tenant, &queue).workers_waiting;
    let called = call.query(Query::Jobs(jobs::Query::Job { queue, job })).await?;
    let (found, delivered) = Delivered::split(called);
    let Found::Jobs(jobs::Found::Job(detail)) = found else { unreachable!("a job is answered") };
    let body = JobDetailBody::new(job, &detail, waiting);
    Ok(Answer::json(StatusCode::OK, &body).delivered(delivered))
}

/// `GET /v1/queues/{q}/jobs`
pub(crate) async fn list_jobs(call: Call) -> Answered {
    let parameters = call.parameters()?;
    let queue = call.name(0)?;
    let state = parameters.get("state").map(state).transpose()?;
    let kind = parameters.get("kind").map(kind).transpose()?;
    let parts = ["jobs", state.map_or("", State::name), kind.as_deref().unwrap_or("")];
    let of = JobsOf::State(state, kind.clone());
    list(&call, &parameters, &queue, &parts, &of).await
}

/// `GET /v1/queues/{q}/dead`
pub(crate) async fn dead(call: Call) -> Answered {
    let parameters = call.parameters()?;
    let queue = call.name(0)?;
    let text = |name| parameters.get(name);
    let dead = filter(
        text("kind").map(str::to_owned),
        text("error").map(str::to_owned),
        text("from"),
        text("until"),
    )?;
    let filters = ["kind", "error", "from", "until"].map(|name| text(name).unwrap_or(""));
    let [kind, error, from, until] = filters;
    let parts = ["dead", kind, error, from, until];
    list(&call, &parameters, &queue, &parts, &JobsOf::Dead(dead)).await
}

async fn list(
    call: &Call,
    parameters: &Parameters<'_>,
    queue: &str,
    filters: &[&str],
    of: &JobsOf,
) -> Answered {
    let tenant = &call.caller.tenant;
    let names = [&[tenant.name.as_ref(), queue], filters].concat();
    let list = List(&names);
    let Page { limit, after } = Page::of(parameters, &list)?;
    let after = after.map(|text| places::read(&text).ok_or_else(|| query::bad("cursor", CURSOR)));
    let (after, options) = (after.transpose()?, call.read_options()?);
    let called = call.edge.node.jobs_page(tenant, queue, of, after, limit, options).await;
    let (page, delivered) = Delivered::split(called.map_err(|error| failed(call, queue, error))?);
    let JobsPage { jobs, next } = page;
    let items = jobs.iter().map(|(id, job)| JobBody::new(*id, job)).collect();
    let cursor = next.map(|place| list.cursor(&places::write(place)));
    Ok(Answer::json(StatusCode::OK, &JobList { items, cursor }).delivered(delivered))
}

const CURSOR: &str = "is not one that this list answered";

fn state(name: &str) -> Result<State, Problem> {
    let found = State::ALL.into_iter().find(|state| state.name() == name);
    found.ok_or_else(|| {
        let names: Vec<_> = State::ALL.into_iter().map(State::name).collect();
        query::bad("state", &format!("must be one of {}", names.join(", ")))
    })
}

fn kind(name: &str) -> Result<String, Problem> {
    let name = Some(name).filter(|name| is_name(name));
    name.map(str::to_owned).ok_or_else(|| query::bad("kind", "must be a name"))
}

/// Who asks, for the trace that a replay leaves.
pub(super) fn asker(call: &Call) -> String {
    call.caller.key.as_ref().map_or_else(|| "anyone".to_owned(), |key| format!("key {key}"))
}

/// `POST /v1/queues/{q}/dead/replay`
pub(crate) async fn replay(mut call: Call) -> Answered {
    let queue = call.name(0)?;
    let mut request = call.document::<ReplayRequest>().await?;
    let list = ["replay", &call.caller.tenant.name, &queue].map(str::to_owned);
    let list = list.each_ref().map(String::as_str);
    let list = List(&list);
    let place = request.cursor.take().map(|cursor| {
        let text = list.place(&cursor)?;
        places::read_replay(&text).ok_or_else(|| Problem::field("cursor", CURSOR))
    });
    let (place, replay) = (place.transpose()?, request.replay(asker(&call))?);
    let options = call.call_options(false)?;
    let (node, tenant) = (&call.edge.node, &call.caller.tenant);
    let called = node.replay(tenant, &queue, &replay, place, options).await;
    let (page, delivered) = Delivered::split(called.map_err(|error| failed(&call, &queue, error))?);
    let body = ReplayedBody {
        dry_run: replay.dry_run,
        count: page.jobs.len(),
        jobs: page.jobs.iter().map(ToString::to_string).collect(),
        skipped: page.skipped,
        cursor: page.next.map(|place| list.cursor(&places::write_replay(&place))),
    };
    Ok(Answer::json(StatusCode::OK, &body).delivered(delivered))
}

/// `GET /v1/queues/{q}/events`
pub(crate) async fn events(call: Call) -> Answered {
    let parameters = call.parameters()?;
    let queue = call.name(0)?;
    let (node, tenant) = (&call.edge.node, &call.caller.tenant);
    let names = ["queue events", &tenant.name, &queue];
    let list = List(&names);
    let after = match parameters.get("after") {
        None => Vec::new(),
        Some(after) => {
            let text = list.place(after)?;
            places::read_positions(&text).ok_or_else(|| query::bad("after", CURSOR))?
        }
    };
    let (limit, options) = (parameters.limit()?, call.read_options()?);
    let called = node.queue_events(tenant, &queue, &after, limit, options).await;
    let (found, delivered) =
        Delivered::split(called.map_err(|error| failed(&call, &queue, error))?);
    let items = found.events.iter();
    let body = QueueEventList {
        items: items.map(|(id, event)| QueueEventBody::new(&queue, *id, event)).collect(),
        cursor: list.cursor(&places::write_positions(&found.next)),
        reset: found.reset,
    };
    Ok(Answer::json(StatusCode::OK, &body).delivered(delivered))
}
