//! What a queue says, and workers that wait for what it gives out.

use crate::{
    faults::fill,
    harness::{End, Machine, PARTITIONS, TestNode, ask, name_in, put},
};
use evenkeel_domains::{
    Command,
    jobs::{self, Action, JobId, Leased, NewJob, Settings, When, places},
    meta::{self, QueueMode},
};
use evenkeel_engine::TenantId;
use evenkeel_node::{CallOptions, LeaseRequest, NodeError};
use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

const QUEUE: &str = "work";
/// Waiting for longer than this for something that must happen is a failure.
const HANG: Duration = Duration::from_secs(30);

fn put_queue(spread: u16) -> meta::Action {
    let settings = Box::new(Settings::of(spread));
    let (tenant, name) = (TenantId(0), QUEUE.to_owned());
    meta::Action::PutQueue { tenant, name, settings, push: None, partitions: PARTITIONS }
}

fn mode(mode: QueueMode) -> meta::Action {
    meta::Action::SetQueueMode { tenant: TenantId(0), name: QUEUE.to_owned(), mode }
}

/// Has `meta` and the partitions know it.
async fn change(node: &TestNode, action: meta::Action) {
    let tenant = node.tenant("default").unwrap();
    node.change_queue(&tenant, QUEUE, action, CallOptions::default()).await.unwrap();
}

fn job() -> NewJob {
    NewJob {
        kind: "step".to_owned(),
        payload: "{}".to_owned(),
        unique_key: None,
        ordering_key: None,
        priority: 5,
        when: When::Now,
        after: Vec::new(),
        trace: None,
    }
}

async fn enqueue(node: &TestNode) {
    let tenant = node.tenant("default").unwrap();
    node.enqueue(&tenant, QUEUE, vec![job()], CallOptions::default()).await.unwrap();
}

async fn lease(node: &TestNode, wait: Duration) -> Result<Vec<(JobId, Leased)>, NodeError> {
    let tenant = node.tenant("default").unwrap();
    let request = LeaseRequest {
        queue: QUEUE.to_owned(),
        worker: "w".to_owned(),
        max: 1,
        wait,
        lease_ms: None,
    };
    let never = std::future::pending();
    let called = node.lease(&tenant, &request, CallOptions::default(), never).await?;
    Ok(called.answer.jobs)
}

#[test]
fn a_change_is_told_though_who_asked_is_gone() {
    Machine::new().life(End::Shutdown, async |node| {
        change(node, put_queue(PARTITIONS)).await;
        change(node, mode(QueueMode::Paused)).await;
        enqueue(node).await;
        {
            let mut resumed = pin!(change(node, mode(QueueMode::Open)));
            poll_fn(|context| Poll::Ready(resumed.as_mut().poll(context).is_pending())).await;
        }
        assert_eq!(lease(node, HANG).await.unwrap().len(), 1);
    });
}

#[test]
fn a_partition_that_could_not_learn_a_change_is_told_again() {
    let machine = Machine::new();
    machine.life(End::Shutdown, async |node| {
        let full = name_in(0, 0);
        put(node, &full, 1_000_000).await;
        change(node, put_queue(PARTITIONS)).await;
        change(node, mode(QueueMode::Paused)).await;
        enqueue(node).await;
        // `meta` alone knows it.
        let resume = Command::Meta(meta::Command { action: mode(QueueMode::Open) });
        ask(node, resume, CallOptions::default()).await.unwrap();
        machine.disk.space(Some(0));
        fill(node, &full).await;
        // Nothing new for `meta`, which needs no space; for a partition it is.
        change(node, mode(QueueMode::Open)).await;
        assert!(lease(node, Duration::ZERO).await.unwrap().is_empty());
        machine.disk.space(None);
        assert_eq!(lease(node, HANG).await.unwrap().len(), 1);
    });
}

#[test]
fn nobody_is_led_to_what_is_left_where_a_queue_is_no_more() {
    Machine::new().life(End::Shutdown, async |node| {
        let settings = Settings::of(1);
        let home = places("default", QUEUE, &settings, PARTITIONS).next().unwrap();
        let elsewhere = (home.0 + 1) % PARTITIONS;
        change(node, put_queue(1)).await;
        let left = jobs::Command {
            queue: QUEUE.to_owned(),
            partition: elsewhere,
            settings: Box::new(settings),
            action: Action::Enqueue(vec![job()]),
        };
        ask(node, Command::Jobs(left), CallOptions::default()).await.unwrap();
        assert!(lease(node, Duration::ZERO).await.unwrap().is_empty());
        enqueue(node).await;
        assert_eq!(lease(node, HANG).await.unwrap()[0].0.partition, home.0);
    });
}
