//! What moves by itself in `dev`: a few requests a second to each product, so that the page at `/` shows what is
//! delivered and not only what is promised. They come over HTTP, as anybody's, and are counted like anybody's.
//!
//! What it leaves behind is bounded: names are used again, seats are given back, jobs go after ten minutes, messages
//! after an hour, holds that are over after a week, and of posts the newest are kept. What it touches is its own but
//! for the seats, the limits and one reader's timeline. Nothing is random but client ids, by which a second life
//! would else repeat the first.

use super::demo::{LIMIT, READER, SEATS, SLOTS};
use crate::client::Api;
use evenkeel_domains::jobs::Settings;
use evenkeel_drill::load::{Endpoint, EndpointError};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// The queue that has work, and workers.
pub(super) const QUEUE: &str = "thumbnails";
/// It forgets soon what is over.
pub(super) const SETTINGS: Settings = Settings {
    max_attempts: 5,
    backoff_base_ms: 1_500,
    retention_ms: 600_000,
    dead_retention_ms: 3_600_000,
    ..Settings::of(0)
};
/// The conversation that goes on.
pub(super) const CONVERSATION: &str = "lobby";
/// Who posts; the first is followed by everybody.
pub(super) const AUTHORS: [&str; 3] = ["nova", "linus", "grace"];
pub(super) const PEOPLE: [&str; 4] = ["carol", "dave", "erin", "frank"];
/// Who asks for more than there is, and whose slots are few.
const GREEDY: &str = "mallory";
const SLOT: &str = "pdf";
const SAYINGS: [&str; 6] = [
    "Is row B still free?",
    "Held two, paying now.",
    "My retry was answered as the first time.",
    "Whoever reads this reads it in the same order.",
    "Back after a restart, nothing missing.",
    "See you there.",
];
/// Followers of the first author.
const FANS: usize = 40;
/// Seats that stay sold before the first is given back.
const SOLD: usize = 10;
/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where it is seen, by product: the addresses that the page at `/` reads.
pub(crate) fn watched() -> BTreeMap<&'static str, Vec<String>> {
    let peek = |limit: &str, key: &str| format!("limits/{limit}/peek?key={key}");
    let keys = [(LIMIT, PEOPLE[0]), (LIMIT, GREEDY), (LIMIT, "ada"), (SLOTS, SLOT)];
    let products = [
        (
            "reservations",
            vec![format!("resources/{SEATS}"), format!("resources/{SEATS}/seats?limit=100")],
        ),
        ("limits", keys.map(|(limit, key)| peek(limit, key)).into()),
        ("jobs", vec![format!("queues/{QUEUE}")]),
        (
            "chat",
            vec![
                format!("conversations/{CONVERSATION}/messages?limit=4"),
                format!("conversations/{CONVERSATION}/members"),
            ],
        ),
        ("feed", vec![format!("feeds/{READER}/timeline?limit=4"), format!("feeds/{}", AUTHORS[0])]),
    ];
    let at = |addresses: Vec<String>| addresses.iter().map(|at| format!("/v1/{at}")).collect();
    products.into_iter().map(|(product, addresses)| (product, at(addresses))).collect()
}

/// Goes on until it is dropped. Whatever is refused or not answered is left at that.
pub(crate) async fn run(url: &str) -> Result<(), EndpointError> {
    let endpoint = Endpoint::resolve(url, None, TIMEOUT).await?;
    let client = || Client(Api::new(endpoint.clone(), url.to_owned()));
    tokio::join!(
        reservations(client()),
        limits(client()),
        jobs(client()),
        chat(client()),
        feeds(client())
    );
    Ok(())
}

struct Client(Api);

impl Client {
    /// The answer, if it is a yes.
    async fn ask(&mut self, method: &str, path: &str, body: Value) -> Option<Value> {
        let body = (!body.is_null()).then(|| body.to_string());
        let path = format!("/v1/{path}");
        self.0.call(method, &path, body.as_ref().map(String::as_bytes)).await.ok()
    }

    async fn get(&mut self, path: &str) -> Option<Value> {
        self.ask("GET", path, Value::Null).await
    }

    async fn post(&mut self, path: &str, body: Value) -> Option<Value> {
        self.ask("POST", path, body).await
    }

    async fn put(&mut self, path: &str, body: Value) -> Option<Value> {
        self.ask("PUT", path, body).await
    }
}

/// A steady beat: what took too long is not made up for.
fn every(ms: u64) -> Interval {
    let mut beat = interval(Duration::from_millis(ms));
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beat
}

fn of<T: Copy>(all: &[T], n: usize) -> T {
    all[n % all.len()]
}

/// Seats are held, and two seconds later sold or given back, or the hold runs out. Many ask for a seat that is taken.
async fn reservations(mut client: Client) {
    let holds = format!("resources/{SEATS}/holds");
    let mut sold = VecDeque::new();
    // What another life of this directory has sold.
    if let Some(list) = client.get(&format!("{holds}?state=confirmed&limit=100")).await {
        sold.extend(
            list["items"].as_array().into_iter().flatten().map(|hold| hold["hold"].clone()),
        );
    }
    let mut held = VecDeque::new();
    let mut beat = every(400);
    for n in 0_usize.. {
        beat.tick().await;
        let seat = format!("{}{}", of(&["A", "B", "C"], n), 1 + n * 7 % 10);
        let asked = json!({"holder": of(&PEOPLE, n), "seats": [seat], "ttl_ms": 3_000});
        if let Some(hold) = client.post(&holds, asked).await {
            held.push_back(hold["hold"].clone());
        }
        if held.len() > 4
            && let Some(hold) = held.pop_front()
        {
            let at = format!("{holds}/{}", hold.as_str().unwrap_or_default());
            match n % 4 {
                0 => client.post(&format!("{at}/release"), json!({})).await,
                // Nobody comes back to it, so it ends by itself.
                1 => None,
                _ => {
                    let paid = client.post(&format!("{at}/confirm"), json!({})).await;
                    sold.extend(paid.as_ref().map(|paid| paid["hold"].clone()));
                    paid
                }
            };
        }
        if sold.len() > SOLD
            && let Some(hold) = sold.pop_front()
        {
            let at = format!("{holds}/{}", hold.as_str().unwrap_or_default());
            client.post(&format!("{at}/cancel"), json!({})).await;
        }
    }
}

/// Carol stays within her limit and Mallory does not; of three slots a fourth is asked for now and then.
async fn limits(mut client: Client) {
    let mut leases = VecDeque::new();
    let mut beat = every(350);
    for n in 0_usize.. {
        beat.tick().await;
        let (key, cost) = if n.is_multiple_of(2) { (PEOPLE[0], 1) } else { (GREEDY, 6) };
        let asked = json!({"checks": [{"limit": LIMIT, "key": key, "cost": cost}]});
        client.post("limits/check", asked).await;
        if n.is_multiple_of(3) {
            let asked = json!({"checks": [{"limit": SLOTS, "key": SLOT}]});
            let slot = client.post("limits/check", asked).await;
            leases.extend(
                slot.and_then(|slot| slot["results"][0]["lease"].as_str().map(str::to_owned)),
            );
        }
        if n % 4 == 3
            && let Some(lease) = leases.pop_front()
        {
            client.post("limits/release", json!({"lease": lease})).await;
        }
    }
}

/// Jobs come, are leased, and at the next beat are done, or have failed and are tried again, or are given up.
async fn jobs(mut client: Client) {
    let queue = format!("queues/{QUEUE}");
    let mut leased = Vec::new();
    let mut ends = 0_usize;
    let mut beat = every(500);
    for n in 0_usize.. {
        beat.tick().await;
        let kind = of(&["crop", "resize", "blur"], n);
        let delay_ms = if n % 5 == 4 { 3_000 } else { 0 };
        let job = json!({"kind": kind, "payload": {"picture": n % 1_000}, "delay_ms": delay_ms});
        client.post(&format!("{queue}/jobs"), json!({"jobs": [job]})).await;
        for job in std::mem::take(&mut leased) {
            end(&mut client, &queue, &job, ends).await;
            ends += 1;
        }
        let asked = json!({"worker": "dev", "max": 2});
        if let Some(answer) = client.post(&format!("{queue}/lease"), asked).await {
            leased.extend(answer["jobs"].as_array().into_iter().flatten().cloned());
        }
        if n % 60 == 59 {
            client.post(&format!("{queue}/dead/replay"), json!({"dry_run": false})).await;
        }
    }
}

async fn end(client: &mut Client, queue: &str, job: &Value, n: usize) {
    let at = format!("{queue}/jobs/{}", job["job"].as_str().unwrap_or_default());
    let lease = &job["lease"];
    match n % 20 {
        3 => {
            let gone = json!({"lease": lease, "error": "the picture is gone", "retry": false});
            client.post(&format!("{at}/fail"), gone).await
        }
        1 | 8 | 15 => {
            let busy = json!({"lease": lease, "error": "the disk is busy"});
            client.post(&format!("{at}/fail"), busy).await
        }
        _ => client.post(&format!("{at}/complete"), json!({"lease": lease})).await,
    };
}

/// One speaks, another reads, now and then somebody reacts.
async fn chat(mut client: Client) {
    let conversation = format!("conversations/{CONVERSATION}");
    let life = fastrand::u64(..);
    let mut beat = every(800);
    for n in 0_usize.. {
        beat.tick().await;
        let at = format!("{conversation}/messages/by-client-id/{life:016x}-{n}");
        let says = json!({"sender": of(&PEOPLE, n), "body": {"text": of(&SAYINGS, n)}});
        let Some(sent) = client.put(&at, says).await else { continue };
        let reader = of(&PEOPLE, n / 3 + 1);
        client.put(&format!("{conversation}/read/{reader}"), json!({"seq": sent["seq"]})).await;
        if n % 4 == 3 {
            let at = format!("{conversation}/messages/{}/reactions/heart/{reader}", sent["seq"]);
            client.put(&at, Value::Null).await;
        }
    }
}

/// Three post, of whom one has many followers. These react, and some follow and unfollow.
async fn feeds(mut client: Client) {
    let star = AUTHORS[0];
    for fan in 0..FANS {
        client.put(&format!("feeds/fan-{fan}/follows/{star}"), Value::Null).await;
    }
    let life = fastrand::u64(..);
    let mut latest = None;
    let mut beat = every(700);
    for n in 0_usize.. {
        beat.tick().await;
        if n.is_multiple_of(4) {
            let author = of(&AUTHORS, n / 4);
            let says = json!({"client_id": format!("{life:016x}-{n}"), "body": {"text": of(&SAYINGS, n / 4)}});
            let posted = client.post(&format!("feeds/{author}/posts"), says).await;
            latest = posted.map(|posted| (author, posted["post"].clone())).or(latest);
            continue;
        }
        if let Some((author, post)) = &latest {
            for fan in 0..=n % 3 {
                let kind = of(&["heart", "laugh"], n);
                let at =
                    format!("feeds/{author}/posts/{post}/reactions/{kind}/fan-{}", n % 4 * 3 + fan);
                client.put(&at, Value::Null).await;
            }
        }
        let method = of(&["DELETE", "PUT"], n / FANS);
        client.ask(method, &format!("feeds/fan-{}/follows/{star}", n % FANS), Value::Null).await;
    }
}
