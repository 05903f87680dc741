//! `posts` and `follow`: one request after the other on each connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::client::Client;
use super::super::driver::{Done, Outcome, Workload, WorkloadError};
use super::super::endpoint::Endpoint;
use super::super::outcome::outcome;
use super::super::request::{KeyMint, RequestWriter};
use super::people::People;

/// With its mark, a body of about 200 bytes.
const TEXT: &str = "The gate has changed again, so we walk the whole way back past the same three shops; \
                    whoever finds a place with coffee and a socket says so here, if you please";

pub(super) fn follow_path(follower: &str, author: &str) -> String {
    format!("/v1/feeds/{follower}/follows/{author}")
}

pub(super) fn post_path(author: &str) -> String {
    format!("/v1/feeds/{author}/posts")
}

/// A post whose body has its client id, by which it is found in a timeline.
pub(super) fn push_post(out: &mut Vec<u8>, client_id: &str) {
    let parts = [r#"{"client_id":""#, client_id, r#"","body":{"mark":""#, client_id];
    for part in parts.into_iter().chain([r#"","text":""#, TEXT, r#""}}"#]) {
        out.extend_from_slice(part.as_bytes());
    }
}

/// One connection that writes.
pub(super) struct Author {
    pub(super) client: Client,
    writer: RequestWriter,
    client_ids: KeyMint,
    random: fastrand::Rng,
    body: Vec<u8>,
}

impl Author {
    pub(super) async fn connect(endpoint: &Endpoint) -> Result<Self, WorkloadError> {
        Ok(Self {
            client: connect(endpoint).await?,
            writer: endpoint.writer(),
            client_ids: KeyMint::new(),
            random: fastrand::Rng::new(),
            body: Vec::new(),
        })
    }

    /// Posts as `author`. Answers the client id too.
    pub(super) async fn post(&mut self, author: &str) -> (Outcome, &str) {
        let client_id = self.client_ids.mint();
        self.body.clear();
        push_post(&mut self.body, client_id);
        let request = self.writer.post(&post_path(author), None, &self.body);
        let outcome = outcome(&mut self.client, request, br#""duplicate":false"#).await;
        (outcome, client_id)
    }
}

pub(super) async fn connect(endpoint: &Endpoint) -> Result<Client, WorkloadError> {
    endpoint.connect().await.map_err(|error| WorkloadError(error.to_string()))
}

/// Posts by random ones of these.
pub(super) struct Posts {
    pub(super) endpoint: Endpoint,
    pub(super) authors: Arc<[String]>,
}

impl Workload for Posts {
    type Conn = Author;

    fn name(&self) -> String {
        format!("feed posts by {}", self.authors.len())
    }

    fn kinds(&self) -> &'static [&'static str] {
        &["post"]
    }

    async fn connect(&self, _: usize) -> Result<Author, WorkloadError> {
        Author::connect(&self.endpoint).await
    }

    async fn call(&self, conn: &mut Author, _: u64) -> Done {
        let author = &self.authors[conn.random.usize(0..self.authors.len())];
        Done { kind: 0, outcome: conn.post(author).await.0 }
    }
}

/// Follows, each of somebody whom the follower did not follow.
pub(super) struct Follows {
    pub(super) endpoint: Endpoint,
    pub(super) people: People,
    /// Over all repeats.
    pub(super) next: AtomicU64,
}

impl Workload for Follows {
    type Conn = (Client, RequestWriter);

    fn name(&self) -> String {
        format!("feed follows among {}", self.people.users)
    }

    fn kinds(&self) -> &'static [&'static str] {
        &["follow"]
    }

    async fn connect(&self, _: usize) -> Result<Self::Conn, WorkloadError> {
        Ok((connect(&self.endpoint).await?, self.endpoint.writer()))
    }

    async fn call(&self, (client, writer): &mut Self::Conn, _: u64) -> Done {
        let step = self.next.fetch_add(1, Ordering::Relaxed);
        let Some((follower, author)) = self.people.pair(step) else {
            return Done { kind: 0, outcome: Outcome::Refused };
        };
        let path = follow_path(&self.people.user(follower), &self.people.user(author));
        let request = writer.write("PUT", &path, &[], None);
        Done { kind: 0, outcome: outcome(client, request, br#""changed":true"#).await }
    }
}
