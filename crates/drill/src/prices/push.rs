//! The work: somebody whom many follow posts, and it is there for the last of them. With the guarantee each follower
//! gets a copy of their own: a durable write in the place of each, as many by hand build it. Without it, the post
//! is copied once to each partition that holds a follower, and timelines are merged when they are read.
//!
//! The copy of a follower's own is a post in the follower's name that nobody follows: a row, its client id and
//! an arrival. A store made for it would write somewhat less, and not fewer times.

use super::{Frame, Price, PriceError, PriceOptions, check_answer, frame::times};
use crate::load::{Endpoint, RequestWriter, Spread};
use serde::Serialize;
use serde_json::{Value, json};
use std::{
    fmt,
    ops::Range,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// The sides: with the guarantee, and without.
pub(super) const SIDES: [&str; 2] = ["pushed", "merged"];
/// Who follows.
const FOLLOWERS: usize = 10_000;
/// Of those, whose timelines are looked at until they have it: enough to be in every partition.
const LOOKED_AT: usize = 64;
const STAR: &str = "star";
const BODY_BYTES: usize = 200;

/// What was measured of one side, once.
pub(super) struct Measured {
    /// From a post's request to its last acknowledgement.
    acked: Vec<Duration>,
    /// Until the last follower has it.
    seen: Vec<Duration>,
    /// What the log took meanwhile.
    records: u64,
    bytes: u64,
}

fn follower(number: usize) -> String {
    format!("f{number}")
}

/// Has all follow.
pub(super) async fn create(endpoint: &Endpoint, connections: usize) -> Result<(), PriceError> {
    let work = |number: usize, writer: &mut RequestWriter| {
        let path = format!("/v1/feeds/{}/follows/{STAR}", follower(number));
        writer.write("PUT", &path, &[], None).to_vec()
    };
    all(endpoint, connections, work).await?;
    // What was acknowledged before is counted.
    let star = get(endpoint, STAR).await?;
    if star["followers"] == json!(FOLLOWERS) {
        return Ok(());
    }
    Err(PriceError::Answer(format!("not all follow: {star}")))
}

/// One measurement of one side: post after post, for as long as that may take.
pub(super) async fn measure(
    endpoint: &Endpoint,
    side: usize,
    name: &str,
    options: &PriceOptions,
) -> Result<Measured, PriceError> {
    let (records, bytes) = log(endpoint).await?;
    let (mut acked, mut seen) = (Vec::new(), Vec::new());
    let began = Instant::now();
    while acked.is_empty() || began.elapsed() < options.duration {
        let post = format!("{name}-{}", acked.len());
        let began = Instant::now();
        match SIDES[side] {
            "pushed" => {
                let work = |number: usize, writer: &mut RequestWriter| {
                    request(writer, &follower(number), &post)
                };
                all(endpoint, options.connections, work).await?;
                acked.push(began.elapsed());
            }
            _ => {
                let (mut client, mut writer) = (endpoint.connect().await?, endpoint.writer());
                let posted = client.call(&request(&mut writer, STAR, &post)).await?;
                let posted = understood(&check_answer(posted)?)?;
                acked.push(began.elapsed());
                look(endpoint, &posted["post"]).await?;
            }
        }
        seen.push(began.elapsed());
    }
    let (records_after, bytes_after) = log(endpoint).await?;
    let (records, bytes) = (records_after - records, bytes_after - bytes);
    Ok(Measured { acked, seen, records, bytes })
}

fn request(writer: &mut RequestWriter, user: &str, post: &str) -> Vec<u8> {
    let body = json!({"client_id": post, "body": "x".repeat(BODY_BYTES)}).to_string();
    writer.post(&format!("/v1/feeds/{user}/posts"), None, body.as_bytes()).to_vec()
}

/// Does `work` for each follower, over so many connections.
async fn all(
    endpoint: &Endpoint,
    connections: usize,
    work: impl Fn(usize, &mut RequestWriter) -> Vec<u8>,
) -> Result<(), PriceError> {
    let mut tasks = JoinSet::new();
    for part in parts(connections) {
        let mut writer = endpoint.writer();
        let requests: Vec<Vec<u8>> = part.map(|number| work(number, &mut writer)).collect();
        let endpoint = endpoint.clone();
        tasks.spawn(async move {
            let mut client = endpoint.connect().await?;
            for request in requests {
                check_answer(client.call(&request).await?)?;
            }
            Ok::<(), PriceError>(())
        });
    }
    joined(tasks).await
}

/// The followers' numbers, in so many parts.
fn parts(parts: usize) -> impl Iterator<Item = Range<usize>> {
    (0..parts).map(move |part| part * FOLLOWERS / parts..(part + 1) * FOLLOWERS / parts)
}

async fn joined(mut tasks: JoinSet<Result<(), PriceError>>) -> Result<(), PriceError> {
    while let Some(done) = tasks.join_next().await {
        done.map_err(|error| PriceError::Answer(error.to_string()))??;
    }
    Ok(())
}

/// Reads timelines, of which each has all that was acknowledged before; answers once all have shown a post.
async fn look(endpoint: &Endpoint, post: &Value) -> Result<(), PriceError> {
    let mut tasks = JoinSet::new();
    for number in 0..LOOKED_AT {
        let (endpoint, post) = (endpoint.clone(), post.clone());
        let path = format!("{}/timeline?limit=1", follower(number * FOLLOWERS / LOOKED_AT));
        tasks.spawn(async move {
            let page = get(&endpoint, &path).await?;
            if page["items"][0]["post"] == post {
                return Ok(());
            }
            Err(PriceError::Answer(format!("{path} does not have what was acknowledged: {page}")))
        });
    }
    joined(tasks).await
}

async fn get(endpoint: &Endpoint, path: &str) -> Result<Value, PriceError> {
    let (mut client, mut writer) = (endpoint.connect().await?, endpoint.writer());
    let level = [("Evenkeel-Consistency", "session")];
    let request = writer.write("GET", &format!("/v1/feeds/{path}"), &level, None);
    understood(&check_answer(client.call(request).await?)?)
}

fn understood(answer: &[u8]) -> Result<Value, PriceError> {
    serde_json::from_slice(answer).map_err(|error| PriceError::Answer(error.to_string()))
}

/// Records and bytes that the log took since the server started.
async fn log(endpoint: &Endpoint) -> Result<(u64, u64), PriceError> {
    let (mut client, mut writer) = (endpoint.connect().await?, endpoint.writer());
    let metrics = check_answer(client.call(writer.get("/metrics")).await?)?;
    let metrics = String::from_utf8_lossy(&metrics);
    let number = |name: &str| {
        let of = metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        of.ok_or_else(|| PriceError::Answer(format!("its metrics do not say {name}")))
    };
    Ok((number("evenkeel_log_records_total ")?, number("evenkeel_log_bytes_total ")?))
}

/// A price of feeds, measured.
#[derive(Debug, Clone, Serialize)]
pub struct FeedPrice {
    /// Which, and how.
    #[serde(flatten)]
    pub frame: Frame,
    /// Who follows.
    pub followers: usize,
    /// With the guarantee, then without.
    pub sides: Vec<FeedSide>,
}

/// What one side did. Spreads are over its measurements.
#[derive(Debug, Clone, Serialize)]
pub struct FeedSide {
    /// How a post comes to its readers.
    pub name: &'static str,
    /// From a post's request until it, with the copies that it needs, is acknowledged; the median of each.
    pub acked_ms: Spread,
    /// Until all followers have it in their timelines.
    pub seen_ms: Spread,
    /// Records in the log for each post, of all partitions together.
    pub records: Spread,
    /// Bytes in the log for each.
    pub bytes: Spread,
    /// Posts in all.
    pub posts: usize,
}

impl FeedPrice {
    pub(super) fn new(
        price: &Price,
        options: &PriceOptions,
        measured: &[Vec<Measured>; SIDES.len()],
    ) -> Self {
        let sides = SIDES.iter().zip(measured).map(|(name, all)| {
            let spread = |pick: &dyn Fn(&Measured) -> f64| Spread::of(all.iter().map(pick));
            let median = |all: &[Duration]| {
                Spread::of(all.iter().map(|one| one.as_secs_f64() * 1_000.0)).median
            };
            let a_post = |count: u64, one: &Measured| count as f64 / one.acked.len() as f64;
            FeedSide {
                name,
                acked_ms: spread(&|one| median(&one.acked)),
                seen_ms: spread(&|one| median(&one.seen)),
                records: spread(&|one| a_post(one.records, one)),
                bytes: spread(&|one| a_post(one.bytes, one)),
                posts: all.iter().map(|one| one.acked.len()).sum(),
            }
        });
        Self { frame: Frame::new(price, options), followers: FOLLOWERS, sides: sides.collect() }
    }
}

impl fmt::Display for FeedPrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let work =
            format!("that write what one post to {FOLLOWERS} followers takes, one post at a time");
        self.frame.begin(f, &work)?;
        writeln!(
            f,
            "{:<8} {:>14} {:>22} {:>15} {:>13}",
            "", "acknowledged ms", "seen by the last ms", "records/post", "bytes/post"
        )?;
        for side in &self.sides {
            writeln!(
                f,
                "{:<8} {:>15.2} {:>21.2} {:>15.1} {:>13.0}",
                side.name,
                side.acked_ms.median,
                side.seen_ms.median,
                side.records.median,
                side.bytes.median
            )?;
        }
        if let [with, without] = self.sides.as_slice() {
            write!(
                f,
                "\n{} costs: {:.0} times as long until the last follower has it, {:.0} times the bytes, and \
                 nobody else's writes have room meanwhile. A copy is here a post of the follower's own: a \
                 store made for it would write less, and not fewer times. Seen by the last is, where it is \
                 merged, seen by {LOOKED_AT} followers over all partitions.",
                self.frame.price,
                times(with, without, |side| side.seen_ms),
                times(with, without, |side| side.bytes),
            )?;
        }
        self.frame.end(f)
    }
}
