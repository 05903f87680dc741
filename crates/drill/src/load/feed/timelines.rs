//! `timeline`: pages of timelines, while posts arrive or not.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::super::client::Client;
use super::super::driver::{Done, Pace, Plan, Workload, WorkloadError, drive};
use super::super::endpoint::Endpoint;
use super::super::outcome::{holds, outcome};
use super::super::report::Report;
use super::super::request::RequestWriter;
use super::filling::{FRESH, await_answer};
use super::options::FeedBenchError;
use super::posts::{Posts, connect};

/// Connections that post at a rate beside what is measured.
const POSTERS: usize = 16;
/// What a page with anything on it holds.
pub(super) const POST: &[u8] = br#""post":"#;

/// First pages of random ones of these users' timelines.
#[derive(Clone)]
pub(super) struct Timelines {
    pub(super) endpoint: Endpoint,
    pub(super) users: Arc<[String]>,
    /// Posts a page.
    pub(super) page: u32,
    /// What is asked for; the server's default if not given.
    pub(super) consistency: Option<Arc<str>>,
}

/// One connection.
pub(super) struct Reader {
    client: Client,
    writer: RequestWriter,
    random: fastrand::Rng,
}

impl Timelines {
    fn path(&self, user: &str) -> String {
        format!("/v1/feeds/{user}/timeline?limit={}", self.page)
    }

    /// Writes the request for a page.
    pub(super) fn write<'w>(&self, writer: &'w mut RequestWriter, user: &str) -> &'w [u8] {
        let path = self.path(user);
        match &self.consistency {
            Some(level) => writer.write("GET", &path, &[("Evenkeel-Consistency", level)], None),
            None => writer.get(&path),
        }
    }

    /// The bytes of a page of the first of them, once all that was posted before has arrived: what an
    /// earlier row has left behind is not measured.
    async fn page_bytes(&self) -> Result<u64, FeedBenchError> {
        let user = self.users.first().map_or("", String::as_str);
        let path = self.path(user);
        let (mut bytes, mut has_posts) = (0, false);
        await_answer(&self.endpoint, &path, &[FRESH], |body| {
            (bytes, has_posts) = (body.len() as u64, holds(body, POST));
            true
        })
        .await?;
        if !has_posts {
            let what = "has no posts: put them there first (graph, followers)";
            return Err(FeedBenchError::Server(format!("the timeline of {user} {what}")));
        }
        Ok(bytes)
    }

    /// Measures, while `posts` come at a rate.
    pub(super) async fn run(
        self,
        plan: Plan,
        beside: Option<(Posts, f64)>,
    ) -> Result<TimelineReport, FeedBenchError> {
        let page_bytes = self.page_bytes().await?;
        let (reads, posts) = with_posts(self, plan, beside).await?;
        Ok(TimelineReport { page_bytes, reads, posts })
    }
}

/// Drives reads, and posts at a rate beside them, each by the same plan.
pub(super) async fn with_posts(
    timelines: Timelines,
    plan: Plan,
    beside: Option<(Posts, f64)>,
) -> Result<(Report, Option<Report>), FeedBenchError> {
    let reads = drive(Arc::new(timelines), plan);
    let Some((posts, rate_per_s)) = beside else { return Ok((reads.await?, None)) };
    let posts = drive(Arc::new(posts), at_rate(plan, rate_per_s));
    let (reads, posts) = tokio::try_join!(reads, posts)?;
    Ok((reads, Some(posts)))
}

/// How posts come beside what is measured by a plan.
pub(super) fn at_rate(plan: Plan, rate_per_s: f64) -> Plan {
    Plan { connections: POSTERS, pace: Pace::Open { rate_per_s }, ..plan }
}

impl Workload for Timelines {
    type Conn = Reader;

    fn name(&self) -> String {
        let level = self.consistency.as_deref().unwrap_or("the default level");
        format!("feed timelines of {}, {} a page, {level}", self.users.len(), self.page)
    }

    fn kinds(&self) -> &'static [&'static str] {
        &["page"]
    }

    async fn connect(&self, _: usize) -> Result<Reader, WorkloadError> {
        let client = connect(&self.endpoint).await?;
        Ok(Reader { client, writer: self.endpoint.writer(), random: fastrand::Rng::new() })
    }

    async fn call(&self, reader: &mut Reader, _: u64) -> Done {
        let user = &self.users[reader.random.usize(0..self.users.len())];
        let request = self.write(&mut reader.writer, user);
        Done { kind: 0, outcome: outcome(&mut reader.client, request, POST).await }
    }
}

/// Pages, and the posts that came meanwhile.
#[derive(Debug, Clone, Serialize)]
pub struct TimelineReport {
    /// The bytes of one page's body.
    pub page_bytes: u64,
    /// Pages.
    pub reads: Report,
    /// Posts, if any came.
    pub posts: Option<Report>,
}

impl fmt::Display for TimelineReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "a page has {} bytes", self.page_bytes)?;
        self.reads.fmt(out)?;
        self.posts.as_ref().map_or(Ok(()), |posts| writeln!(out, "\nmeanwhile: {posts}"))
    }
}
