//! `hot`: one counted resource, a quantity of one a hold, a fresh idempotency key each.

use super::super::driver::{Done, Workload, WorkloadError};
use super::super::endpoint::Endpoint;
use super::customer::{Customer, outcome};
use super::setup::{Resource, create_resources};

/// Never sold out within a bench.
const CAPACITY: u32 = 1_000_000_000;
const BODY: &[u8] = br#"{"holder":"u1","ttl_ms":300000,"quantity":1}"#;

/// Everyone wants the same.
pub(super) struct Hot {
    endpoint: Endpoint,
    resource: String,
    path: String,
}

impl Hot {
    /// On a resource of its own, created in [`Workload::prepare`].
    pub(super) fn new(endpoint: Endpoint) -> Self {
        let resource = format!("bench-hot-{:016x}", fastrand::u64(..));
        Self { endpoint, path: format!("/v1/resources/{resource}/holds"), resource }
    }
}

impl Workload for Hot {
    type Conn = Customer;

    fn name(&self) -> String {
        "reservations hot".into()
    }

    fn kinds(&self) -> &'static [&'static str] {
        &["hold"]
    }

    async fn prepare(&self, _: u32) -> Result<(), WorkloadError> {
        let resource = Resource {
            name: self.resource.clone(),
            body: format!(r#"{{"kind":"quantity","capacity":{CAPACITY}}}"#),
        };
        create_resources(&self.endpoint, 1, move |_| resource.clone())
            .await
            .map_err(|error| WorkloadError(error.to_string()))
    }

    async fn connect(&self, _: usize) -> Result<Customer, WorkloadError> {
        Customer::connect(&self.endpoint).await
    }

    async fn call(&self, customer: &mut Customer, _: u64) -> Done {
        let reply = customer.post(&self.path, BODY).await;
        Done { kind: 0, outcome: outcome(&reply) }
    }
}
