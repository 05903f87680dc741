//! `spread`: each hold takes one seat that is free, scattered over many seat maps. A repeat
//! ends when all are taken; each repeat has its own resources.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::PoisonError;

use super::super::driver::{Done, Workload, WorkloadError};
use super::super::endpoint::Endpoint;
use super::super::scatter::Scatter;
use super::customer::{Customer, outcome};
use super::setup::{Resource, create_resources};

/// Many seats, no two customers for one.
pub(super) struct Spread {
    endpoint: Endpoint,
    places: u32,
    places_per_resource: u32,
    scatter: Scatter,
    /// What the resources of this repeat begin with.
    prefix: Mutex<String>,
}

/// One customer, with buffers for the path and the body.
pub(super) struct SpreadConn {
    customer: Customer,
    prefix: String,
    path: String,
    body: String,
}

impl Spread {
    /// `places` seats, `places_per_resource` (1–1,000) in each resource.
    pub(super) fn new(endpoint: Endpoint, places: u32, places_per_resource: u32) -> Self {
        Self {
            endpoint,
            places,
            places_per_resource: places_per_resource.clamp(1, 1000),
            scatter: Scatter::new(places, fastrand::u64(..)),
            prefix: Mutex::new(String::new()),
        }
    }

    fn prefix(&self) -> String {
        let prefix = self.prefix.lock().unwrap_or_else(PoisonError::into_inner);
        prefix.clone()
    }
}

impl Workload for Spread {
    type Conn = SpreadConn;

    fn name(&self) -> String {
        format!(
            "reservations spread ({} seats, {} a resource)",
            self.places, self.places_per_resource
        )
    }

    fn kinds(&self) -> &'static [&'static str] {
        &["hold"]
    }

    fn calls_max(&self) -> Option<u64> {
        Some(u64::from(self.places))
    }

    async fn prepare(&self, _: u32) -> Result<(), WorkloadError> {
        let prefix = format!("bench-spread-{:016x}-", fastrand::u64(..));
        prefix.clone_into(&mut self.prefix.lock().unwrap_or_else(PoisonError::into_inner));
        let (places, per_resource) = (self.places, self.places_per_resource);
        let count = places.div_ceil(per_resource);
        create_resources(&self.endpoint, u64::from(count), move |index| {
            let first = index * u64::from(per_resource);
            let seats = u64::from(places).saturating_sub(first).min(u64::from(per_resource));
            Resource { name: format!("{prefix}{index}"), body: seat_map(seats) }
        })
        .await
        .map_err(|error| WorkloadError(error.to_string()))
    }

    async fn connect(&self, _: usize) -> Result<SpreadConn, WorkloadError> {
        Ok(SpreadConn {
            customer: Customer::connect(&self.endpoint).await?,
            prefix: self.prefix(),
            path: String::new(),
            body: String::new(),
        })
    }

    async fn call(&self, conn: &mut SpreadConn, call: u64) -> Done {
        let place = self.scatter.place(call);
        let resource = place / self.places_per_resource;
        let seat = place % self.places_per_resource;
        conn.path.clear();
        conn.body.clear();
        let _ = write!(conn.path, "/v1/resources/{}{resource}/holds", conn.prefix);
        let _ = write!(conn.body, r#"{{"holder":"u1","ttl_ms":300000,"seats":["S{seat}"]}}"#);
        let reply = conn.customer.post(&conn.path, conn.body.as_bytes()).await;
        Done { kind: 0, outcome: outcome(&reply) }
    }
}

fn seat_map(seats: u64) -> String {
    let mut body = String::from(r#"{"kind":"seats","seats":["#);
    for seat in 0..seats {
        let comma = if seat > 0 { "," } else { "" };
        let _ = write!(body, r#"{comma}"S{seat}""#);
    }
    body.push_str("]}");
    body
}
