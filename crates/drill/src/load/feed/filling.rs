//! What is put there before anything is measured, and how long that takes.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::super::client::Reply;
use super::super::endpoint::Endpoint;
use super::super::request::RequestWriter;
use super::options::FeedBenchError;
use super::people::People;
use super::posts::{follow_path, post_path, push_post};

/// What is asked again: who was turned away, or was not told what happened. Nothing is put there twice.
const AGAIN: [u16; 3] = [429, 503, 504];
/// How long one waits before that, and how often it is looked whether all has arrived.
const PAUSE: Duration = Duration::from_millis(20);
/// How long it may take until it is done, and from the last answer until all has arrived.
const SETTLE_MAX: Duration = Duration::from_secs(600);
/// Posts of the star that are there before anything is measured.
const STAR_POSTS: u64 = 5;
const QUOTE_BYTES_MAX: usize = 300;
/// Waits for all that was acknowledged before.
pub(super) const FRESH: (&str, &str) = ("Evenkeel-Consistency", "session");

/// What was put in.
#[derive(Debug, Clone, Serialize)]
pub struct FillReport {
    /// The workload's name.
    pub workload: String,
    /// In this order.
    pub steps: Vec<Step>,
}

/// One kind of what was put in.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// What it was.
    pub what: &'static str,
    /// How many.
    pub count: u64,
    /// Until the last was acknowledged; of a step that waits, for how long.
    pub took_ms: u64,
}

/// Puts things there.
pub(super) struct Filling {
    pub(super) endpoint: Endpoint,
    pub(super) people: People,
    pub(super) connections: usize,
}

#[derive(Deserialize)]
struct User {
    followers: u64,
}

impl Filling {
    /// The network, with so many readers who follow so many, and so many posts of each user.
    pub(super) async fn graph(
        &self,
        (following, readers): (u32, u32),
        posts_each: u32,
    ) -> Result<FillReport, FeedBenchError> {
        let follows = self.follow(self.people.network(following, readers)).await?;
        let posts = self.post(posts_each).await?;
        let arrived = self.settle(&self.people.reader(following, 0)).await?;
        let (users, seed) = (self.people.users, self.people.seed);
        let workload = format!(
            "feed graph: {users} users, {readers} readers of {following}, power law, seed {seed}"
        );
        Ok(FillReport { workload, steps: vec![follows, posts, arrived] })
    }

    /// Somebody with so many followers, of whom the first are a ring of people who post.
    pub(super) async fn followers(
        &self,
        followers: u32,
        posts_each: u32,
    ) -> Result<FillReport, FeedBenchError> {
        let (people, star) = (self.people.clone(), self.people.star());
        let begun = Instant::now();
        let request = move |number: u64, writer: &mut RequestWriter| {
            follow(writer, &people.user(number as u32), &star);
        };
        self.send_all(followers.into(), request).await?;
        let put = step("follows of the star", followers.into(), begun);
        let begun = Instant::now();
        self.await_followers(followers.into()).await?;
        let known = step("known to the star", followers.into(), begun);
        let ring = self.follow(self.people.ring()).await?;
        let posts = self.post(posts_each).await?;
        let star = self.people.star();
        let request = move |number: u64, writer: &mut RequestWriter| {
            post(writer, &star, &format!("s{number}"));
        };
        self.send_all(STAR_POSTS, request).await?;
        let arrived = self.settle(&self.people.user(0)).await?;
        let workload = format!("feed followers: {followers}");
        Ok(FillReport { workload, steps: vec![put, known, ring, posts, arrived] })
    }

    /// A ring, and nothing else.
    pub(super) async fn ring(&self) -> Result<(), FeedBenchError> {
        self.follow(self.people.ring()).await?;
        self.settle(&self.people.user(0)).await?;
        Ok(())
    }

    async fn follow(&self, pairs: Vec<(String, String)>) -> Result<Step, FeedBenchError> {
        let (begun, count) = (Instant::now(), pairs.len() as u64);
        let request = move |number: u64, writer: &mut RequestWriter| {
            let (follower, author) = &pairs[number as usize];
            follow(writer, follower, author);
        };
        self.send_all(count, request).await?;
        Ok(step("follows", count, begun))
    }

    /// So many of each user, in turns.
    async fn post(&self, each: u32) -> Result<Step, FeedBenchError> {
        let begun = Instant::now();
        let (people, users) = (self.people.clone(), u64::from(self.people.users));
        let request = move |number: u64, writer: &mut RequestWriter| {
            let user = people.user((number % users) as u32);
            post(writer, &user, &format!("f{}", number / users));
        };
        self.send_all(users * u64::from(each), request).await?;
        Ok(step("posts", users * u64::from(each), begun))
    }

    /// Sends what `request` writes for each number below `count`, until it is done.
    async fn send_all(
        &self,
        count: u64,
        request: impl Fn(u64, &mut RequestWriter) + Send + Sync + 'static,
    ) -> Result<(), FeedBenchError> {
        let (next, request) = (Arc::new(AtomicU64::new(0)), Arc::new(request));
        let mut senders = JoinSet::new();
        for _ in 0..(self.connections as u64).min(count) {
            let (endpoint, next, request) =
                (self.endpoint.clone(), Arc::clone(&next), Arc::clone(&request));
            senders.spawn(async move { send_some(&endpoint, &next, count, &*request).await });
        }
        while let Some(ended) = senders.join_next().await {
            ended.map_err(FeedBenchError::Worker)??;
        }
        Ok(())
    }

    /// Waits until a timeline has everything that was acknowledged before.
    async fn settle(&self, user: &str) -> Result<Step, FeedBenchError> {
        let begun = Instant::now();
        let path = format!("/v1/feeds/{user}/timeline?limit=1");
        await_answer(&self.endpoint, &path, &[FRESH], |_| true).await?;
        Ok(step("until all have arrived", 1, begun))
    }

    async fn await_followers(&self, followers: u64) -> Result<(), FeedBenchError> {
        let path = format!("/v1/feeds/{}", self.people.star());
        let is_there = |body: &[u8]| {
            serde_json::from_slice::<User>(body).is_ok_and(|user| user.followers >= followers)
        };
        await_answer(&self.endpoint, &path, &[], is_there).await
    }
}

/// Asks until the answer is as wanted.
pub(super) async fn await_answer(
    endpoint: &Endpoint,
    path: &str,
    headers: &[(&str, &str)],
    mut wanted: impl FnMut(&[u8]) -> bool,
) -> Result<(), FeedBenchError> {
    let mut client = endpoint.connect().await?;
    let mut writer = endpoint.writer();
    let begun = Instant::now();
    loop {
        let reply = client.call(writer.write("GET", path, headers, None)).await?;
        if reply.status == 200 && wanted(reply.body) {
            return Ok(());
        }
        let is_final = reply.status != 200 && !AGAIN.contains(&reply.status);
        if is_final || begun.elapsed() > SETTLE_MAX {
            return Err(refused(&format!("{path} is not as it should be"), &reply));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn send_some(
    endpoint: &Endpoint,
    next: &AtomicU64,
    count: u64,
    request: impl Fn(u64, &mut RequestWriter),
) -> Result<(), FeedBenchError> {
    let mut client = endpoint.connect().await?;
    let mut writer = endpoint.writer();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= count {
            return Ok(());
        }
        request(number, &mut writer);
        let begun = Instant::now();
        loop {
            let reply = client.call(writer.bytes()).await?;
            if reply.is_success() {
                break;
            }
            if !AGAIN.contains(&reply.status) || begun.elapsed() > SETTLE_MAX {
                return Err(refused("it cannot be put there", &reply));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Says what the server answered instead.
fn refused(what: &str, reply: &Reply<'_>) -> FeedBenchError {
    let body = &reply.body[..reply.body.len().min(QUOTE_BYTES_MAX)];
    let body = String::from_utf8_lossy(body);
    FeedBenchError::Server(format!("{what}: status {}: {body}", reply.status))
}

fn follow(writer: &mut RequestWriter, follower: &str, author: &str) {
    writer.write("PUT", &follow_path(follower, author), &[], None);
}

fn post(writer: &mut RequestWriter, author: &str, client_id: &str) {
    let mut body = Vec::new();
    push_post(&mut body, client_id);
    writer.post(&post_path(author), None, &body);
}

fn step(what: &'static str, count: u64, begun: Instant) -> Step {
    let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Step { what, count, took_ms }
}

impl fmt::Display for FillReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.workload)?;
        for Step { what, count, took_ms } in &self.steps {
            let per_s = *count as f64 * 1e3 / (*took_ms).max(1) as f64;
            writeln!(out, "{what}: {count} in {took_ms} ms, {per_s:.0}/s")?;
        }
        Ok(())
    }
}
