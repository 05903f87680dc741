//! A resource's events, followed.

use super::views::{Decimal, places};
use crate::{
    answer::Answer,
    call::Call,
    failure,
    problem::Problem,
    sse::{self, From, PAGE_EVENTS_MAX, Page, frame},
    time::Rfc3339,
};
use evenkeel_domains::{
    Found, Query, Scope,
    reservations::{self, EventView, Found as Read, HoldChange, ReservationEvent},
};
use evenkeel_node::{Called, Node, ReadOptions, Tenant};
use serde::Serialize;

/// `GET /v1/resources/{r}/events`
pub(crate) async fn events(call: Call) -> Result<Answer, Problem> {
    let resource = Resource(call.name(0)?);
    sse::follow(call, resource).await
}

/// A resource, by its name.
struct Resource(String);

impl sse::Source for Resource {
    async fn page(
        &self,
        node: &Node,
        tenant: &Tenant,
        from: From,
        options: ReadOptions,
    ) -> Result<Called<Page>, Problem> {
        let query = reservations::Query::Events {
            resource: self.0.clone(),
            after: match from {
                From::After(position) => Some(position),
                From::Now | From::Start => None,
            },
            from_start: matches!(from, From::Start),
            limit: PAGE_EVENTS_MAX,
        };
        let called = node.query(tenant, Query::Reservations(query), options).await;
        Ok(called.map_err(failure::problem)?.map(|found| {
            let Found::Reservations(Read::Events(page)) = found else {
                unreachable!("events are answered")
            };
            let mut frames = Vec::new();
            for event in &page.events {
                event_frame(&mut frames, &self.0, event);
            }
            let (entity, next, reset) = (page.entity, page.next, page.reset);
            Page { entity, next, reset, ends: false, more: false, frames }
        }))
    }

    fn scope(&self) -> Scope<'_> {
        Scope::Key { domain: "reservations", key: self.0.as_str().into() }
    }

    fn reload(&self) -> (&'static str, String) {
        ("the resource, its seats and holds", format!("/v1/resources/{}", self.0))
    }
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
