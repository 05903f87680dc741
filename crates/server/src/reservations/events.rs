//! A resource's events as Server-Sent Events (the WHATWG HTML standard, "Server-sent events").
//!
//! Pages are read when the reader has taken the last one, never before, so a slow reader costs no
//! buffer. A reader is watching before it reads the page that it then waits after: no event can
//! fall between the two.

use super::views::{Decimal, places};
use crate::{
    answer::{Answer, Body, Delivered, Pull, Stream},
    call::Call,
    code::Code,
    edge::Edge,
    failure,
    problem::Problem,
    query::{self, Parameters},
    time::Rfc3339,
};
use bytes::Bytes;
use evenkeel_domains::{
    Found, Query,
    reservations::{self, EventView, EventsPage, Found as Read, HoldChange, ReservationEvent},
};
use evenkeel_engine::Position;
use evenkeel_node::{Called, ReadOptions, Tenant};
use hyper::{HeaderMap, StatusCode, header::HeaderValue};
use serde::Serialize;
use std::{
    io::Write,
    sync::{Arc, atomic::Ordering::Relaxed},
};
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::sleep,
};

/// Events of one page.
const PAGE_EVENTS_MAX: usize = 256;
const LAST_EVENT_ID: &str = "last-event-id";
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

/// Where a reader begins.
#[derive(Debug, Clone, Copy)]
enum From {
    Now,
    Start,
    After(Position),
}

/// `GET /v1/resources/{r}/events`
pub(crate) async fn events(call: Call) -> Result<Answer, Problem> {
    let resource = call.name(0)?;
    let from = begin(&call.parameters()?, &call.parts.headers)?;
    let options = call.read_options()?;
    let permit = Arc::clone(&call.edge.streams)
        .try_acquire_owned()
        .map_err(|_| Problem::new(Code::Overloaded, "as many event streams are open as may be"))?;
    let mut follower = Follower {
        stopping: call.edge.stopping.clone(),
        edge: call.edge,
        tenant: call.caller.tenant,
        key: call.caller.key,
        resource,
        after: None,
        grown: None,
        ended: false,
        _permit: permit,
    };
    // The first page is read before the answer begins, so that what is wrong is still a problem.
    let called = follower.page(from, options).await?;
    let (page, delivered) = Delivered::split(called);
    let mut first = Vec::new();
    if matches!(from, From::Now) {
        open_frame(&mut first, page.next);
    }
    follower.take(&page, &mut first);
    if first.is_empty() {
        // Something to read at once, so that the reader knows that it is connected.
        first.extend_from_slice(b": following\n\n");
    }
    let body = Body::Pulled(Stream::new(Begun { first: first.into(), follower }));
    Ok(Answer::new(StatusCode::OK, EVENT_STREAM, body).delivered(delivered))
}

/// A reader that reconnects says where it was, whatever the address it was given once says.
fn begin(parameters: &Parameters<'_>, headers: &HeaderMap) -> Result<From, Problem> {
    let rule = "must be a position that an event carried";
    if let Some(id) = headers.get(LAST_EVENT_ID) {
        let position = id.to_str().ok().and_then(|id| id.parse().ok());
        return position.map(From::After).ok_or_else(|| Problem::bad_header("Last-Event-ID", rule));
    }
    match parameters.get("since") {
        None => Ok(From::Now),
        Some("start") => Ok(From::Start),
        Some(since) => {
            let position = since.parse();
            position.map(From::After).map_err(|()| query::bad("since", rule))
        }
    }
}

/// A reader of one resource's events.
struct Follower {
    edge: Arc<Edge>,
    tenant: Tenant,
    /// The key that let it in: once that is revoked, it ends.
    key: Option<String>,
    resource: String,
    /// The last event that was written; `None` before the first page.
    after: Option<Position>,
    /// Changes when there is more.
    grown: Option<watch::Receiver<()>>,
    stopping: watch::Receiver<bool>,
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

/// A follower whose first piece is there already.
struct Begun {
    first: Bytes,
    follower: Follower,
}

impl Pull for Begun {
    async fn pull(self) -> Option<(Bytes, Self)> {
        let Self { first, follower } = self;
        if !first.is_empty() {
            return Some((first, Self { first: Bytes::new(), follower }));
        }
        let (piece, follower) = follower.next().await?;
        Some((piece, Self { first: Bytes::new(), follower }))
    }
}

impl Follower {
    /// The next events, or a comment after a while without any.
    async fn next(mut self) -> Option<(Bytes, Self)> {
        let mut piece = Vec::new();
        while !self.ended && self.is_welcome() {
            let after = From::After(self.after?);
            let page = match self.page(after, ReadOptions::default()).await {
                Ok(called) => called.answer,
                // The reader comes back with its position, and then hears what is wrong.
                Err(_) => return None,
            };
            self.take(&page, &mut piece);
            if !piece.is_empty() {
                return Some((piece.into(), self));
            }
            let Some(grown) = &mut self.grown else {
                let tenant = &self.tenant;
                let watched =
                    self.edge.node.watch(tenant, "reservations", &self.resource, page.entity);
                self.grown = Some(watched.await?);
                continue;
            };
            let quiet = tokio::select! {
                changed = grown.changed() => {
                    changed.ok()?;
                    false
                }
                _ = self.stopping.wait_for(|stopping| *stopping) => return None,
                () = sleep(self.edge.options.heartbeat) => true,
            };
            if quiet {
                return Some((Bytes::from_static(b": still here\n\n"), self));
            }
        }
        None
    }

    async fn page(&self, from: From, options: ReadOptions) -> Result<Called<EventsPage>, Problem> {
        let query = reservations::Query::Events {
            resource: self.resource.clone(),
            after: match from {
                From::After(position) => Some(position),
                From::Now | From::Start => None,
            },
            from_start: matches!(from, From::Start),
            limit: PAGE_EVENTS_MAX,
        };
        let called = self.edge.node.query(&self.tenant, Query::Reservations(query), options).await;
        let Called { answer, replayed, as_of, staleness_ms, at } =
            called.map_err(failure::problem)?;
        let Found::Reservations(Read::Events(answer)) = answer else {
            unreachable!("events are answered")
        };
        Ok(Called { answer, replayed, as_of, staleness_ms, at })
    }

    /// Writes what `page` says and remembers where it ends.
    fn take(&mut self, page: &EventsPage, out: &mut Vec<u8>) {
        self.after = Some(page.next);
        if page.reset {
            self.ended = true;
            self.edge.counters.streams_reset.fetch_add(1, Relaxed);
            reset_frame(out, &self.resource, page.next);
        }
        for event in &page.events {
            event_frame(out, &self.resource, event);
        }
    }

    fn is_welcome(&self) -> bool {
        self.key.as_ref().is_none_or(|key| self.edge.node.meta().meta.keys.contains_key(key))
    }
}

fn open_frame(out: &mut Vec<u8>, position: Position) {
    #[derive(Serialize)]
    struct Open {
        position: String,
    }
    let open = Open { position: position.to_string() };
    frame(out, position, "open", &open);
}

/// History is gone: says from where to read on once everything was read anew.
fn reset_frame(out: &mut Vec<u8>, resource: &str, position: Position) {
    #[derive(Serialize)]
    struct Reset<'r> {
        position: String,
        detail: &'static str,
        reload: &'r str,
    }
    let reset = Reset {
        position: position.to_string(),
        detail: "the events after your position are not kept any more, or it is of another life \
                 of the log; read the resource, its seats and holds again, then follow from \
                 `position`",
        reload: &format!("/v1/resources/{resource}"),
    };
    frame(out, position, "reset", &reset);
}

/// An event as its readers get it.
#[derive(Serialize)]
struct EventBody<'e> {
    position: String,
    #[serde(rename = "type")]
    kind: &'static str,
    entity: String,
    at: Rfc3339,
    data: EventData<'e>,
}

#[derive(Default, Serialize)]
struct EventData<'e> {
    #[serde(skip_serializing_if = "Option::is_none")]
    capacity: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hold: Option<Decimal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fence: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seats: Option<&'e [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quantity: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Rfc3339>,
}

fn event_frame(out: &mut Vec<u8>, resource: &str, event: &EventView) {
    let (kind, data) = match &event.event {
        ReservationEvent::Created { capacity } => {
            ("reservations.created", EventData { capacity: Some(*capacity), ..Default::default() })
        }
        ReservationEvent::CapacityChanged { capacity } => (
            "reservations.capacity_changed",
            EventData { capacity: Some(*capacity), ..Default::default() },
        ),
        ReservationEvent::Hold { change, fence, holder, places: taken, expires_at } => {
            let (seats, quantity) = places(taken);
            let data = EventData {
                capacity: None,
                hold: Some(Decimal(*fence)),
                fence: Some(*fence),
                holder: Some(holder),
                seats,
                quantity,
                expires_at: Some(Rfc3339(*expires_at)),
            };
            (hold_event(*change), data)
        }
    };
    let body = EventBody {
        position: event.position.to_string(),
        kind,
        entity: format!("resource:{resource}"),
        at: Rfc3339(event.at),
        data,
    };
    frame(out, event.position, kind, &body);
}

fn hold_event(change: HoldChange) -> &'static str {
    match change {
        HoldChange::Held => "reservations.held",
        HoldChange::Confirmed => "reservations.confirmed",
        HoldChange::Released => "reservations.released",
        HoldChange::Expired => "reservations.expired",
        HoldChange::Extended => "reservations.extended",
        HoldChange::Cancelled => "reservations.cancelled",
    }
}

/// One frame. JSON has no line ends of its own, so its text is one `data` line.
fn frame(out: &mut Vec<u8>, position: Position, kind: &str, data: &impl Serialize) {
    write!(out, "id: {position}\nevent: {kind}\ndata: ").expect("a Vec takes whatever is written");
    serde_json::to_writer(&mut *out, data).expect("structs of strings and numbers serialise");
    out.extend_from_slice(b"\n\n");
}
