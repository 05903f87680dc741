//! The workloads against a stand-in server: what they ask for and what they see, not how fast.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::driver::{Pace, Plan};
use super::super::endpoint::Endpoint;
use super::super::report::Report;
use super::conversations::Conversations;
use super::fake_server::{Server, start};
use super::sends::{Audience, Sends};
use super::*;

fn bench(server: &Server, workload: ChatWorkload) -> ChatBench {
    ChatBench {
        target: server.target.clone(),
        api_key: None,
        timeout: Duration::from_secs(10),
        plan: Plan {
            connections: 4,
            warmup: Duration::from_millis(20),
            duration: Duration::from_millis(100),
            repeats: 2,
            pace: Pace::Closed,
        },
        workload,
        name: "b".into(),
        conversations: 10,
        create: true,
        depth: 3,
        pid: Some(std::process::id()),
    }
}

async fn load(bench: ChatBench) -> Report {
    match bench.run().await.unwrap() {
        ChatReport::Load(report) => report,
        other => panic!("{other:?}"),
    }
}

fn counts(report: &Report) -> [u64; 2] {
    [0, 1].map(|kind| report.runs.iter().map(|run| run.kinds[kind].ok).sum())
}

#[tokio::test]
async fn each_send_is_delivered_to_the_one_that_is_subscribed() {
    let server = start().await;
    let mut bench = bench(&server, ChatWorkload::Sends);
    bench.api_key = Some("ek_a_b".into());
    let report = load(bench).await;
    assert_eq!((report.summary.errors, report.summary.refused), (0, 0), "{report}");
    let [sends, deliveries] = counts(&report);
    assert!(sends > 0 && sends == deliveries, "{report}");
    let book = server.book.lock().unwrap();
    assert!(book.heads.iter().all(|head| head.contains("Authorization: Bearer ek_a_b\r\n")));
    assert_eq!((book.members.len(), book.subscriptions), (10, 2 * 10));
    assert!(book.members.values().all(|members| members.as_array().unwrap().len() == 2));
    let ids = book.client_ids();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "unique");
    assert!(ids.len() as u64 >= sends);
}

#[tokio::test]
async fn one_conversation_may_have_readers_of_its_own() {
    for subscribers in [0, 3] {
        let server = start().await;
        let report = load(bench(&server, ChatWorkload::Hot { subscribers })).await;
        assert_eq!(report.summary.errors, 0, "{report}");
        let [sends, deliveries] = counts(&report);
        assert!(sends > 0 && deliveries == sends * subscribers as u64, "{report}");
        assert_eq!(server.book.lock().unwrap().members.len(), 1);
    }
}

#[tokio::test]
async fn what_is_lost_or_doubled_is_an_error_and_what_is_busy_is_not() {
    let server = start().await;
    server.book.lock().unwrap().busy = 3;
    let bench = bench(&server, ChatWorkload::Sends);
    let report = load(bench.clone()).await;
    assert_eq!((report.summary.shed, report.summary.errors), (3, 0), "{report}");

    let endpoint = Endpoint::resolve(&server.target, None, bench.timeout).await.unwrap();
    for spoil in [0, 1] {
        {
            let mut book = server.book.lock().unwrap();
            (book.lost, book.doubled) = (1 - spoil, spoil);
        }
        let sends = Sends {
            endpoint: endpoint.clone(),
            conversations: Conversations::new("b", 10, false),
            audience: Audience::Senders,
            depth: 3,
            drain_max: Duration::from_millis(50),
        };
        let plan = Plan { repeats: 1, ..bench.plan };
        let report = sends.run("sends", plan).await.unwrap();
        // Twice is out of order, and one too many in the end.
        assert_eq!(report.summary.errors, 1 + spoil, "{report}");
        assert!(report.first_error().unwrap().starts_with("conversation "), "{report}");
    }
}

#[tokio::test]
async fn sends_over_http_are_the_same() {
    let server = start().await;
    server.book.lock().unwrap().busy = 2;
    let mut bench = bench(&server, ChatWorkload::Http);
    bench.plan = Plan { warmup: Duration::ZERO, ..bench.plan };
    let report = load(bench).await;
    assert_eq!((report.summary.errors, report.summary.shed), (0, 2), "{report}");
    assert!(report.summary.ok > 0);
    assert!(server.book.lock().unwrap().client_ids().len() as u64 >= report.summary.ok);
}

#[tokio::test]
async fn a_fan_out_counts_every_arrival_closed_and_open() {
    for pace in [Pace::Closed, Pace::Open { rate_per_s: 200.0 }] {
        let server = start().await;
        let mut bench = bench(&server, ChatWorkload::Fanout { subscribers: 5 });
        bench.conversations = 2;
        bench.plan.pace = pace;
        let report = load(bench).await;
        assert_eq!(report.summary.errors, 0, "{report}");
        let [sends, deliveries] = counts(&report);
        assert!(sends > 0 && deliveries == 5 * sends, "{report}");
        let run = &report.runs[0];
        assert!(run.latency == run.kinds[1].latency);
        assert_eq!(run.open.is_some(), pace != Pace::Closed);
        let book = server.book.lock().unwrap();
        let used: Vec<usize> = book.messages.values().map(Vec::len).collect();
        assert!(used.len() == 2 && used.iter().all(|count| *count > 0), "{used:?}");
    }
}

/// What turns a send away must leave the closed loop its room, or it would stand still.
#[tokio::test]
async fn a_fan_out_goes_on_after_sends_were_turned_away() {
    let server = start().await;
    server.book.lock().unwrap().busy = 50;
    let mut bench = bench(&server, ChatWorkload::Fanout { subscribers: 5 });
    bench.plan.repeats = 1;
    let report = load(bench).await;
    assert_eq!((report.summary.errors, report.summary.shed), (0, 50), "{report}");
    assert!(counts(&report)[0] > 0, "{report}");
}

#[tokio::test]
async fn a_subscriber_resumes_where_it_left() {
    let server = start().await;
    let bench = bench(&server, ChatWorkload::Resume { messages: 40 });
    let ChatReport::Resume(report) = bench.run().await.unwrap() else { panic!() };
    assert!(report.resumes > 0 && report.latency.p50_us > 0);
    assert_eq!((report.errors, report.first_error), (0, None));
    assert_eq!(server.book.lock().unwrap().client_ids().len(), 40);
}

#[tokio::test]
async fn history_is_filled_evenly_and_read_in_pages() {
    let server = start().await;
    server.book.lock().unwrap().busy = 4;
    let fill = bench(&server, ChatWorkload::Fill { messages: 205 });
    let ChatReport::Fill(filled) = fill.run().await.unwrap() else { panic!() };
    assert!(filled.fill_per_s > 0.0);
    {
        let book = server.book.lock().unwrap();
        let stored: Vec<usize> = book.messages.values().map(Vec::len).collect();
        assert!(stored.len() == 10 && stored.iter().all(|count| [20, 21].contains(count)));
    }
    let report = load(bench(&server, ChatWorkload::History { messages: 205, page: 5 })).await;
    assert_eq!((report.summary.errors, report.summary.refused), (0, 0), "{report}");
    let book = server.book.lock().unwrap();
    let before = book.pages.iter().map(|query| {
        let number = query.strip_prefix("before=").unwrap().strip_suffix("&limit=5").unwrap();
        number.parse().unwrap()
    });
    assert!(report.summary.ok > 0);
    assert!(before.clone().all(|before: u64| (6..=21).contains(&before)));
    assert!(before.collect::<BTreeSet<u64>>().len() > 1);
}

#[tokio::test]
async fn idle_connections_are_held_and_counted() {
    let server = start().await;
    let mut bench = bench(&server, ChatWorkload::Idle { sockets: 70 });
    let ChatReport::Idle(report) = bench.clone().run().await.unwrap() else { panic!() };
    assert_eq!((report.sockets, report.open, report.first_error), (70, 70, None));
    assert!(report.before_bytes > 0 && report.with_bytes > 0);
    assert_eq!(server.book.lock().unwrap().subscriptions, 70);
    bench.pid = None;
    assert!(matches!(bench.run().await, Err(ChatBenchError::Options(_))));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let server = start().await;
    let refused = async |spoil: fn(&mut ChatBench)| {
        let mut bench = bench(&server, ChatWorkload::Sends);
        spoil(&mut bench);
        matches!(bench.run().await, Err(ChatBenchError::Options(_)))
    };
    assert!(refused(|bench| bench.depth = 0).await);
    assert!(refused(|bench| bench.conversations = 0).await);
    assert!(refused(|bench| bench.name = "a b".into()).await);
    assert!(refused(|bench| bench.plan.pace = Pace::Open { rate_per_s: 9.0 }).await);
    assert!(refused(|bench| bench.workload = ChatWorkload::Fanout { subscribers: 0 }).await);
    assert!(refused(|bench| bench.workload = ChatWorkload::History { messages: 9, page: 5 }).await);
    let mut bench = bench(&server, ChatWorkload::Sends);
    bench.target = "127.0.0.1:1".into();
    assert!(matches!(bench.run().await, Err(ChatBenchError::Server(_))));
}
