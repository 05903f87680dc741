//! `history`: random pages of what is stored.

use super::super::client::Client;
use super::super::driver::{Done, Workload, WorkloadError};
use super::super::endpoint::Endpoint;
use super::super::outcome::outcome;
use super::super::request::RequestWriter;
use super::conversations::Conversations;

/// What a page with anything on it holds.
const MESSAGE: &[u8] = br#""seq":"#;

/// Pages before a random message of a random conversation.
pub(super) struct History {
    pub(super) endpoint: Endpoint,
    pub(super) conversations: Conversations,
    /// In each conversation.
    pub(super) messages: u64,
    pub(super) page: u64,
}

/// One connection.
pub(super) struct Reader {
    client: Client,
    writer: RequestWriter,
    random: fastrand::Rng,
}

impl Workload for History {
    type Conn = Reader;

    fn name(&self) -> String {
        format!("chat pages of {}", self.page)
    }

    fn kinds(&self) -> &'static [&'static str] {
        &["page"]
    }

    async fn connect(&self, _: usize) -> Result<Reader, WorkloadError> {
        let client = self.endpoint.connect().await;
        let client = client.map_err(|error| WorkloadError(error.to_string()))?;
        Ok(Reader { client, writer: self.endpoint.writer(), random: fastrand::Rng::new() })
    }

    async fn call(&self, reader: &mut Reader, _: u64) -> Done {
        let name = self.conversations.name(reader.random.u32(0..self.conversations.count()));
        // Whole pages, if there are as many messages as that.
        let first = self.page.min(self.messages);
        let before = reader.random.u64(first + 1..=self.messages + 1);
        let page = self.page;
        let path = format!("/v1/conversations/{name}/messages?before={before}&limit={page}");
        let request = reader.writer.get(&path);
        Done { kind: 0, outcome: outcome(&mut reader.client, request, MESSAGE).await }
    }
}
