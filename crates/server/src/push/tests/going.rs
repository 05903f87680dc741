//! Pushing over time: how many at once, leases that are kept or lost, changes of the queue, and the end.

use super::{
    Node,
    consumer::{Consumer, Reaction, ok},
    fake::Fake,
};
use evenkeel_domains::jobs::{Settings, State};
use evenkeel_engine::TenantId;
use std::time::Duration;

#[tokio::test]
async fn attempts_are_under_way_together_and_no_more_than_may() {
    let consumer = Consumer::start(|_, _| Reaction::AnswerWhenTogether(3)).await;
    let jobs = Fake::new();
    jobs.enqueue("mails", 0..100);
    jobs.put("mails", &consumer.url(), |pushed| pushed.push.concurrency_max = 3);
    let node = Node::start(&jobs);
    jobs.until_done().await;
    node.stop().await;
    let seen = consumer.seen();
    assert_eq!((seen.requests, seen.present_max), (100, 3));
    assert!(seen.connections <= 6, "{seen:?}: connections are used again");
}

#[tokio::test]
async fn a_node_has_so_many_under_way_over_all_queues() {
    let consumer = Consumer::start(|_, _| Reaction::AnswerWhenTogether(2)).await;
    let jobs = Fake::new();
    for queue in ["a", "b", "c"] {
        jobs.enqueue(queue, 0..20);
        jobs.put(queue, &consumer.url(), |_| {});
    }
    let node = Node::start_with(&jobs, |options| options.attempts_max = 2);
    jobs.until_done().await;
    node.stop().await;
    assert_eq!((consumer.seen().requests, consumer.seen().present_max), (60, 2));
}

/// One whose consumers take as long as they may, which is no failure, takes no other's turns.
#[tokio::test]
async fn a_tenant_with_slow_consumers_holds_up_no_other() {
    let slow = Consumer::start(|_, _| Reaction::AnswerWhenTold(200)).await;
    let quick = Consumer::start(|_, _| ok()).await;
    let jobs = Fake::new();
    for queue in ["a", "b", "c"] {
        jobs.enqueue(queue, 0..4);
        jobs.put(queue, &slow.url(), |pushed| {
            pushed.id.tenant.id = TenantId(7);
            pushed.push.timeout_ms = 60_000;
        });
    }
    let node = Node::start_with(&jobs, |options| options.attempts_max = 4);
    slow.until(|seen| seen.present == 3).await;
    jobs.enqueue("quick", 0..20);
    jobs.put("quick", &quick.url(), |_| {});
    jobs.until(|all| {
        let mut quick = all.jobs.iter().filter(|((queue, _), _)| queue == "quick");
        quick.all(|(_, job)| job.state == State::Done)
    })
    .await;
    assert_eq!((slow.seen().present, slow.seen().present_max), (3, 3));
    slow.tell();
    jobs.until_done().await;
    node.stop().await;
}

#[tokio::test]
async fn a_lease_is_kept_while_the_consumer_works() {
    let consumer = Consumer::start(|_, _| Reaction::AnswerWhenTold(200)).await;
    let jobs = Fake::new();
    jobs.enqueue("mails", [7]);
    jobs.put("mails", &consumer.url(), |pushed| {
        pushed.push.timeout_ms = 60_000;
        pushed.settings = Settings { lease_ms_max: 600, ..pushed.settings };
    });
    let node = Node::start(&jobs);
    jobs.until(|all| all.jobs.values().all(|job| job.extensions >= 3)).await;
    consumer.tell();
    jobs.until_done().await;
    node.stop().await;
    let job = jobs.job_of("mails", 7);
    assert_eq!((job.lease.attempt, job.crashes, consumer.received().len()), (1, 0, 1));
}

#[tokio::test]
async fn a_job_that_is_cancelled_or_lost_is_let_go() {
    for cancelled in [true, false] {
        let consumer = Consumer::start(|_, _| Reaction::AnswerWhenTold(200)).await;
        let jobs = Fake::new();
        jobs.enqueue("mails", [7]);
        jobs.put("mails", &consumer.url(), |pushed| {
            pushed.push.timeout_ms = 60_000;
            pushed.settings = Settings { lease_ms_max: 300, ..pushed.settings };
        });
        let node = Node::start(&jobs);
        consumer.until(|seen| seen.present == 1).await;
        jobs.change(|all| {
            all.jobs.values_mut().for_each(|job| match cancelled {
                true => job.cancel = true,
                // Somebody else has it now.
                false => job.lease.fence += 1_000,
            });
        });
        consumer.until(|seen| seen.given_up == 1).await;
        if cancelled {
            jobs.until_state("mails", 7, State::Cancelled).await;
        }
        node.stop().await;
        assert!(
            jobs.job_of("mails", 7).errors.is_empty(),
            "nothing was said of a job that is gone"
        );
    }
}

#[tokio::test]
async fn what_came_of_a_job_is_said_again_until_it_is_heard() {
    let consumer = Consumer::start(|_, _| ok()).await;
    let jobs = Fake::new();
    jobs.enqueue("mails", 0..3);
    jobs.change(|all| all.unavailable = 9);
    jobs.put("mails", &consumer.url(), |_| {});
    let node = Node::start(&jobs);
    jobs.until_done().await;
    node.stop().await;
    assert_eq!(consumer.received().len(), 3);
}

#[tokio::test]
async fn a_stop_finishes_what_was_begun() {
    let consumer = Consumer::start(|_, _| Reaction::AnswerWhenTold(200)).await;
    let jobs = Fake::new();
    jobs.enqueue("mails", 0..50);
    jobs.put("mails", &consumer.url(), |pushed| pushed.push.timeout_ms = 20_000);
    let node = Node::start(&jobs);
    consumer.until(|seen| seen.present == 4).await;
    let stopping = tokio::spawn(node.stop());
    consumer.tell();
    super::soon(stopping).await.unwrap();
    for number in 0..50 {
        let job = jobs.job_of("mails", number);
        assert!([State::Done, State::Ready].contains(&job.state), "{number}: {:?}", job.state);
        assert!(job.errors.is_empty() && job.crashes == 0);
    }
    let done = (0..50).filter(|number| jobs.job_of("mails", *number).state == State::Done).count();
    assert_eq!(done, consumer.received().len());
}

#[tokio::test]
async fn what_is_not_finished_in_time_is_given_back() {
    let consumer = Consumer::start(|_, _| Reaction::Hang).await;
    let jobs = Fake::new();
    jobs.enqueue("mails", 0..50);
    jobs.put("mails", &consumer.url(), |pushed| pushed.push.timeout_ms = 20_000);
    let node = Node::start_with(&jobs, |options| options.drain_timeout = Duration::from_millis(10));
    consumer.until(|seen| seen.present == 4).await;
    node.stop().await;
    assert!((0..50).all(|number| jobs.job_of("mails", number).state == State::Ready));
    assert_eq!((0..50).map(|number| jobs.job_of("mails", number).snoozes.len()).sum::<usize>(), 4);
}

#[tokio::test]
async fn pushing_follows_the_settings() {
    let [one, other] = [Consumer::start(|_, _| ok()).await, Consumer::start(|_, _| ok()).await];
    let jobs = Fake::new();
    let node = Node::start(&jobs);
    jobs.enqueue("mails", [1]);
    jobs.put("mails", &one.url(), |_| {});
    jobs.until_done().await;
    jobs.put("mails", &other.url(), |_| {});
    jobs.enqueue("mails", [2]);
    jobs.until_done().await;
    jobs.put("letters", &one.url(), |_| {});
    jobs.enqueue("letters", [3]);
    jobs.until_done().await;
    jobs.remove("mails");
    node.until("mails", |standing| standing.is_none()).await;
    jobs.enqueue("mails", [4]);
    jobs.enqueue("letters", [5]);
    jobs.until_state("letters", 5, State::Done).await;
    node.stop().await;
    assert_eq!(jobs.job_of("mails", 4).state, State::Ready);
    let sent = |consumer: &Consumer| -> Vec<String> {
        consumer.received().iter().map(|received| received.job().to_owned()).collect()
    };
    // The second was perhaps sent before the change was known.
    let all = [sent(&one), sent(&other)].concat();
    assert_eq!(all.len(), 4, "{all:?}");
    assert_eq!((&sent(&one)[0][..], sent(&one).last().map(String::as_str)), ("3.1", Some("3.5")));
}
