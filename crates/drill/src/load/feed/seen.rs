//! How long it takes from a post until the last of a sample of the followers sees it, each on a connection of their own.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::task::JoinSet;

use super::super::client::{Client, ClientError};
use super::super::driver::Outcome;
use super::super::endpoint::Endpoint;
use super::super::histogram::{Histogram, Percentiles};
use super::super::outcome::holds;
use super::super::request::RequestWriter;
use super::options::FeedBenchError;
use super::people::People;
use super::posts::{Author, connect};
use super::timelines::Timelines;

/// Followers among whom the sample is chosen, for each that is in it.
const CANDIDATES_EACH: u32 = 4;
/// Posts a page that is looked at.
const PAGE: u32 = 10;
/// Whoever has not seen a post is asked again after so long.
const PAUSE: Duration = Duration::from_millis(2);
/// After so long a post counts as unseen.
const SEEN_MAX: Duration = Duration::from_secs(30);

/// Levels that they read at, one after the other: of what is kept for a moment, and of what is there.
pub(super) const LEVELS: [&str; 2] = ["eventual", "session"];

/// Followers who look for each post in their timelines.
pub(super) struct Sample {
    endpoint: Endpoint,
    users: Vec<String>,
    partitions: usize,
}

/// How long it took.
#[derive(Debug, Clone, Serialize)]
pub struct SeenReport {
    /// The level that they read at.
    pub consistency: &'static str,
    /// Posts that were looked for.
    pub posts: u64,
    /// Followers who looked for each.
    pub watched: usize,
    /// Partitions in which they are, as their answers said.
    pub partitions: usize,
    /// From the request until the acknowledgement.
    pub acknowledged: Percentiles,
    /// From the request until the last of them had it.
    pub seen_by_all: Percentiles,
    /// Posts that were refused, or that somebody had not after 30 s.
    pub errors: u64,
    /// What the first of those was.
    pub first_error: Option<String>,
}

impl Sample {
    /// Chooses so many of this many followers, as evenly over the partitions as they come.
    pub(super) async fn choose(
        endpoint: &Endpoint,
        people: &People,
        followers: u32,
        count: u32,
    ) -> Result<Self, FeedBenchError> {
        let timelines = timelines(endpoint, "eventual");
        let mut client = endpoint.connect().await?;
        let mut writer = endpoint.writer();
        let mut places = BTreeMap::<String, Vec<String>>::new();
        let candidates = count.saturating_mul(CANDIDATES_EACH).min(followers);
        for candidate in 0..candidates {
            let number = u64::from(candidate) * u64::from(followers) / u64::from(candidates);
            let user = people.user(number as u32);
            let reply = client.call(timelines.write(&mut writer, &user)).await?;
            let as_of = reply.header("evenkeel-as-of").unwrap_or_default();
            let partition = as_of.split('/').next().unwrap_or_default().to_owned();
            places.entry(partition).or_default().push(user);
        }
        let partitions = places.len();
        let mut users = Vec::new();
        while users.len() < count as usize && !places.is_empty() {
            users.extend(places.values_mut().filter_map(Vec::pop));
            places.retain(|_, users| !users.is_empty());
        }
        Ok(Self { endpoint: endpoint.clone(), users, partitions })
    }

    /// Posts as `author` at a rate, one at a time, and waits for each until all have it.
    pub(super) async fn watch(
        &self,
        author: &str,
        consistency: &'static str,
        rate_per_s: f64,
        duration: Duration,
    ) -> Result<SeenReport, FeedBenchError> {
        let endpoint = &self.endpoint;
        let timelines = Arc::new(timelines(endpoint, consistency));
        let mut poster = Author::connect(endpoint).await.map_err(FeedBenchError::Connect)?;
        let mut watchers = Vec::with_capacity(self.users.len());
        for user in &self.users {
            watchers.push(Watcher {
                client: connect(endpoint).await.map_err(FeedBenchError::Connect)?,
                writer: endpoint.writer(),
                user: user.as_str().into(),
                timelines: Arc::clone(&timelines),
            });
        }
        let (mut acknowledged, mut seen_by_all) = (Histogram::new(), Histogram::new());
        let (mut errors, mut first_error) = (0, None);
        let begun = Instant::now();
        let mut posts = 0;
        while begun.elapsed() < duration {
            let posted = Instant::now();
            let (outcome, mark) = poster.post(author).await;
            acknowledged.record(posted.elapsed());
            let seen = match outcome {
                Outcome::Ok => all_see(&mut watchers, mark, posted).await?,
                other => Err(format!("the post was not taken: {other:?}")),
            };
            match seen {
                Ok(seen) => seen_by_all.record(seen.saturating_duration_since(posted)),
                Err(error) => {
                    errors += 1;
                    first_error.get_or_insert(error);
                }
            }
            posts += 1;
            let next = begun + Duration::from_secs_f64(posts as f64 / rate_per_s);
            tokio::time::sleep_until(next.into()).await;
        }
        Ok(SeenReport {
            consistency,
            posts,
            watched: self.users.len(),
            partitions: self.partitions,
            acknowledged: acknowledged.percentiles(),
            seen_by_all: seen_by_all.percentiles(),
            errors,
            first_error,
        })
    }
}

/// Newest pages at a level.
fn timelines(endpoint: &Endpoint, consistency: &str) -> Timelines {
    let (endpoint, consistency) = (endpoint.clone(), Some(consistency.into()));
    Timelines { endpoint, users: Arc::new([]), page: PAGE, consistency }
}

/// One of the followers, who looks.
struct Watcher {
    client: Client,
    writer: RequestWriter,
    user: Arc<str>,
    timelines: Arc<Timelines>,
}

/// Has all of them look for the mark. Answers when the last of the followers had it.
async fn all_see(
    watchers: &mut Vec<Watcher>,
    mark: &str,
    posted: Instant,
) -> Result<Result<Instant, String>, FeedBenchError> {
    let mark: Arc<str> = format!(r#""mark":"{mark}""#).into();
    let mut looking = JoinSet::new();
    for watcher in watchers.drain(..) {
        looking.spawn(watcher.look(Arc::clone(&mark), posted));
    }
    let mut last = Ok(posted);
    while let Some(ended) = looking.join_next().await {
        let (watcher, seen) = ended.map_err(FeedBenchError::Worker)?;
        watchers.push(watcher);
        last = last.and_then(|last| Ok(seen?.max(last)));
    }
    Ok(last)
}

impl Watcher {
    async fn look(mut self, mark: Arc<str>, posted: Instant) -> (Self, Result<Instant, String>) {
        loop {
            match self.sees(mark.as_bytes()).await {
                Ok(true) => return (self, Ok(Instant::now())),
                Ok(false) if posted.elapsed() > SEEN_MAX => {
                    let unseen = format!("{} has not seen it in time", self.user);
                    return (self, Err(unseen));
                }
                Ok(false) => tokio::time::sleep(PAUSE).await,
                Err(error) => return (self, Err(error.to_string())),
            }
        }
    }

    async fn sees(&mut self, mark: &[u8]) -> Result<bool, ClientError> {
        let request = self.timelines.write(&mut self.writer, &self.user);
        Ok(holds(self.client.call(request).await?.body, mark))
    }
}

impl fmt::Display for SeenReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |us: u64| us as f64 / 1e3;
        writeln!(
            out,
            "{} posts, {} followers in {} partitions looked for each at the level {}: acknowledged p50 {:.2} ms, p99 {:.2} ms; \
             seen by all p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms; errors {}",
            self.posts,
            self.watched,
            self.partitions,
            self.consistency,
            ms(self.acknowledged.p50_us),
            ms(self.acknowledged.p99_us),
            ms(self.seen_by_all.p50_us),
            ms(self.seen_by_all.p99_us),
            ms(self.seen_by_all.max_us),
            self.errors
        )?;
        self.first_error.as_ref().map_or(Ok(()), |error| writeln!(out, "first error: {error}"))
    }
}
