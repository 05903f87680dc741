//! Consumers that misbehave at random, and two nodes that push the same queue: no job is lost, and
//! none is done that its consumer did not take.

use super::{
    Node,
    consumer::{Consumer, Reaction, ok, status},
    fake::Fake,
};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use tokio::task::JoinSet;

/// A draw that depends on the seed and on how often it was drawn.
fn draw(drawn: &AtomicU64) -> u64 {
    fastrand::Rng::with_seed(drawn.fetch_add(1, Relaxed)).u64(..100)
}

fn misbehave(drawn: u64) -> Reaction {
    match drawn {
        0..5 => status(500),
        5..8 => Reaction::Reset,
        8..10 => Reaction::Dawdle,
        10..12 => Reaction::Hang,
        12..15 => Reaction::Raw(b"HTTP/1.1 200 OK\r\ncontent-le".to_vec()),
        15..18 => Reaction::AnswerAndClose(400),
        18..19 => Reaction::Answer(503, "retry-after: 0\r\n", String::new()),
        19..22 => Reaction::Answer(500, "", "x".repeat(100_000)),
        22..25 => Reaction::Answer(200, "", "x".repeat(100_000)),
        _ => ok(),
    }
}

#[tokio::test]
async fn every_job_is_delivered_by_two_nodes_to_a_consumer_that_flaps() {
    let mut flapping: JoinSet<()> = (0..4).map(deliver_all).collect();
    while let Some(delivered) = flapping.join_next().await {
        delivered.unwrap();
    }
}

async fn deliver_all(seed: u64) {
    let drawn = AtomicU64::new(seed << 32);
    let consumer = Consumer::start(move |_, _| misbehave(draw(&drawn))).await;
    let jobs = Fake::new();
    jobs.enqueue("mails", 0..300);
    jobs.put("mails", &consumer.url(), |pushed| pushed.push.timeout_ms = 100);
    let nodes = [Node::start(&jobs), Node::start(&jobs)];
    jobs.until_done().await;
    for node in nodes {
        node.stop().await;
    }
    let received = consumer.received();
    let sent: BTreeSet<String> = received.iter().map(|one| one.job().to_owned()).collect();
    assert_eq!(sent.len(), 300, "seed {seed}");
    let mut fences: Vec<(String, String)> = received
        .iter()
        .map(|one| (one.job().to_owned(), one.header("evenkeel-fence").to_owned()))
        .collect();
    let requests = fences.len();
    fences.sort();
    fences.dedup();
    // The only request that is sent twice in one attempt is one to a connection that was closed.
    assert!(requests - fences.len() < requests / 5, "seed {seed}");
    let crashes: u32 = (0..300).map(|number| jobs.job_of("mails", number).crashes).sum();
    assert_eq!(crashes, 0, "seed {seed}");
}

/// As a crash would have it: a node is gone in the middle, and nothing is said of what it had.
#[tokio::test]
async fn what_a_node_had_when_it_died_is_sent_by_another() {
    let consumer =
        Consumer::start(|number, _| if number < 4 { Reaction::Hang } else { ok() }).await;
    let jobs = Fake::new();
    jobs.enqueue("mails", 0..20);
    jobs.put("mails", &consumer.url(), |pushed| {
        pushed.push.timeout_ms = 60_000;
        pushed.settings.lease_ms_max = 200;
    });
    let dying = Node::start(&jobs);
    consumer.until(|seen| seen.present == 4).await;
    dying.running.abort();
    consumer.until(|seen| seen.given_up == 4).await;
    let next = Node::start(&Arc::clone(&jobs));
    jobs.until_done().await;
    next.stop().await;
    let crashes: u32 = (0..20).map(|number| jobs.job_of("mails", number).crashes).sum();
    assert_eq!(crashes, 4, "a crash is a lease that ran out");
    let sent: BTreeSet<String> =
        consumer.received().iter().map(|received| received.job().to_owned()).collect();
    assert_eq!(sent.len(), 20);
}
