//! The workloads against a stand-in server: what they ask for, not how fast.

use std::time::Duration;

use super::super::driver::{Pace, Plan};
use super::super::endpoint::Endpoint;
use super::super::report::Report;
use super::fake_server::{Server, start};
use super::queue::Queue;
use super::start_latency::StartLatency;
use super::*;

fn bench(server: &Server, workload: JobsWorkload) -> JobsBench {
    JobsBench {
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
        queue: QueueSettings { name: "q".into(), ..QueueSettings::default() },
        pid: Some(std::process::id()),
    }
}

async fn load(bench: JobsBench) -> Report {
    match bench.run().await.unwrap() {
        JobsReport::Load(report) => report,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_cycle_leaves_nothing_behind() {
    let server = start().await;
    let report = load(bench(&server, JobsWorkload::Separate)).await;
    assert_eq!((report.summary.errors, report.summary.refused), (0, 0), "{report}");
    assert!(report.summary.ok > 0 && report.runs.len() == 2);
    let book = server.book.lock().unwrap();
    assert!(book.completed >= report.summary.ok);
    assert_eq!((book.ready.len(), book.leased.len(), book.keys.len()), (0, 0, 0));
    assert_eq!(book.settings, serde_json::json!({}));
}

/// Whoever is given the next job with the completion of the last has one in the end.
#[tokio::test]
async fn a_completion_gives_the_next_job() {
    let server = start().await;
    let report = load(bench(&server, JobsWorkload::Cycle)).await;
    assert_eq!((report.summary.errors, report.summary.refused), (0, 0), "{report}");
    let book = server.book.lock().unwrap();
    assert!(book.completed >= report.summary.ok && report.summary.ok > 0);
    let left = (book.ready.len() + book.leased.len()) as u64;
    assert_eq!(book.completed + left, book.jobs);
    assert!(
        (1..=2 * 4 * 3).contains(&left),
        "one in hand and one ready, a connection and run: {left}"
    );
    assert!(
        (book.waits_ms.len() as u64) < book.completed,
        "few leases have a request of their own"
    );
}

#[tokio::test]
async fn batches_are_put_together_from_what_comes_and_counted_by_job() {
    let server = start().await;
    server.book.lock().unwrap().lease_max = 30;
    let report = load(bench(&server, JobsWorkload::Batch)).await;
    assert_eq!((report.summary.errors, report.summary.refused), (0, 0), "{report}");
    let book = server.book.lock().unwrap();
    assert!(book.partial > 0 && book.completed >= report.summary.ok * 100);
    assert_eq!(book.completed + (book.ready.len() + book.leased.len()) as u64, book.jobs);
    let run = &report.runs[0];
    let by_job = run.kinds[0].ok as f64 * 100.0 / (run.window_ms as f64 / 1e3);
    assert!((0.8..1.25).contains(&(run.rate_per_s / by_job)), "{report}");
}

#[tokio::test]
async fn ordered_uses_its_keys_and_the_limit() {
    let server = start().await;
    let mut bench = bench(&server, JobsWorkload::Ordered { keys: 7 });
    bench.queue.concurrency_limit = Some(50);
    let report = load(bench).await;
    assert_eq!((report.summary.errors, report.summary.refused), (0, 0), "{report}");
    let book = server.book.lock().unwrap();
    assert_eq!(book.settings, serde_json::json!({"concurrency_limit": 50}));
    assert!(book.keys.len() == 7 && book.completed > 0);
}

#[tokio::test]
async fn what_is_refused_or_busy_is_told_apart() {
    let server = start().await;
    server.book.lock().unwrap().busy = 3;
    let mut bench = bench(&server, JobsWorkload::Cycle);
    bench.plan = Plan { warmup: Duration::ZERO, connections: 1, repeats: 1, ..bench.plan };
    assert_eq!(load(bench.clone()).await.summary.shed, 3);
    bench.target = "127.0.0.1:1".into();
    assert!(matches!(bench.run().await, Err(JobsBenchError::Drive(_))));
}

#[tokio::test]
async fn every_start_is_timed_and_a_missing_one_is_an_error() {
    let server = start().await;
    let mut bench = bench(&server, JobsWorkload::StartLatency { workers: 3 });
    bench.plan.pace = Pace::Open { rate_per_s: 500.0 };
    let report = load(bench.clone()).await;
    assert_eq!(report.summary.errors, 0, "{report}");
    let run = &report.runs[0];
    let [enqueue, started] = &run.kinds[..] else { panic!("{report}") };
    assert_eq!((enqueue.kind, started.kind), ("enqueue", "start"));
    assert!(started.ok > 0 && run.latency == started.latency);
    assert!(server.book.lock().unwrap().waits_ms.iter().all(|wait_ms| *wait_ms == 20_000));

    // On another server: workers that waited on this one are gone, which it does not see.
    let server = start().await;
    server.book.lock().unwrap().swallowed = 1;
    let endpoint = Endpoint::resolve(&server.target, None, bench.timeout).await.unwrap();
    let queue = Queue::new(endpoint, &bench.queue);
    let mut starts = StartLatency::new(queue, bench.queue.clone(), 3);
    starts.drain_max = Duration::from_millis(50);
    let report = starts.run(Plan { repeats: 1, ..bench.plan }).await.unwrap();
    assert_eq!(report.summary.errors, 1, "{report}");
    assert!(report.first_error().unwrap().starts_with("1 jobs did not start"));

    bench.plan.pace = Pace::Closed;
    assert!(matches!(bench.run().await, Err(JobsBenchError::Options(_))));
}

#[tokio::test]
async fn a_backlog_is_filled_once_though_the_server_is_busy() {
    let server = start().await;
    server.book.lock().unwrap().busy = 2;
    let mut bench = bench(&server, JobsWorkload::Backlog { jobs: 1_050 });
    bench.queue.max_backlog = Some(9_000_000);
    let JobsReport::Backlog(report) = bench.run().await.unwrap() else { panic!() };
    let stages = [&report.empty, &report.full];
    let put: u64 = stages.iter().map(|stage| stage.enqueue.summary.ok).sum();
    assert!(report.fill_per_s > 0.0 && report.enqueue_ratio > 0.0 && report.take_ratio > 0.0);
    assert!(report.full.resident_bytes.is_some_and(|[_, after]| after > 0));
    let book = server.book.lock().unwrap();
    assert_eq!(book.settings, serde_json::json!({"max_backlog": 9_000_000}));
    // Warm-ups put in and take out as well.
    assert!(book.ready.len() as u64 + book.completed >= 1_050 + put);
}

#[tokio::test]
async fn idle_polls_wait_and_are_counted_by_processor_time() {
    let server = start().await;
    let mut bench = bench(&server, JobsWorkload::IdlePolls { polls: 10 });
    let JobsReport::IdlePolls(report) = bench.clone().run().await.unwrap() else { panic!() };
    assert_eq!((report.polls, report.runs.len(), report.first_error), (10, 2, None));
    assert!(report.cpu_percent.max >= report.cpu_percent.min);
    let mut waits_ms = server.book.lock().unwrap().waits_ms.clone();
    waits_ms.sort_unstable();
    // The first waits are spread over the whole of one.
    let first: Vec<u64> = (0..10).map(|poll| 1 + poll * 3_000).collect();
    assert!(first.iter().all(|wait_ms| waits_ms.contains(wait_ms)), "{waits_ms:?}");

    bench.pid = None;
    assert!(matches!(bench.run().await, Err(JobsBenchError::Options(_))));
}
