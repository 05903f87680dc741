//! `http`: the same sends as requests of their own, one in flight a connection.

use super::super::client::Client;
use super::super::driver::{Done, Workload, WorkloadError};
use super::super::endpoint::Endpoint;
use super::super::outcome::outcome;
use super::super::request::{KeyMint, RequestWriter};
use super::conversations::Conversations;
use super::wire::push_body;

/// Sends to random conversations.
pub(super) struct HttpSends {
    pub(super) endpoint: Endpoint,
    pub(super) conversations: Conversations,
}

/// One connection.
pub(super) struct Caller {
    client: Client,
    writer: RequestWriter,
    client_ids: KeyMint,
    random: fastrand::Rng,
    body: Vec<u8>,
}

impl Workload for HttpSends {
    type Conn = Caller;

    fn name(&self) -> String {
        "chat sends over http".to_owned()
    }

    fn kinds(&self) -> &'static [&'static str] {
        &["send"]
    }

    async fn connect(&self, _: usize) -> Result<Caller, WorkloadError> {
        let client = self.endpoint.connect().await;
        Ok(Caller {
            client: client.map_err(|error| WorkloadError(error.to_string()))?,
            writer: self.endpoint.writer(),
            client_ids: KeyMint::new(),
            random: fastrand::Rng::new(),
            body: Vec::new(),
        })
    }

    async fn call(&self, caller: &mut Caller, call: u64) -> Done {
        let number = caller.random.u32(0..self.conversations.count());
        let name = self.conversations.name(number);
        let client_id = caller.client_ids.mint();
        let path = format!("/v1/conversations/{name}/messages/by-client-id/{client_id}");
        caller.body.clear();
        caller.body.extend_from_slice(br#"{"sender":""#);
        caller.body.extend_from_slice(self.conversations.sender(number).as_bytes());
        caller.body.extend_from_slice(br#"","body":"#);
        push_body(&mut caller.body, call);
        caller.body.push(b'}');
        let request = caller.writer.put(&path, &caller.body);
        Done { kind: 0, outcome: outcome(&mut caller.client, request, b"").await }
    }
}
