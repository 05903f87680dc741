//! Deliveries between partitions of one node, over the log as it is on a disk.

use crate::harness::{
    End, Machine, PARTITIONS, TestNode, ask, command, hold, name_in, put, resource,
};
use evenkeel_domains::{
    Command, Found, Query, Reply,
    jobs::{self, Action, JobId, LeaseId, NewJob, Settings, State, When},
    meta,
    reservations::{self, HoldChange, Places},
    rules::Rule,
};
use evenkeel_engine::Time;
use evenkeel_node::{CallOptions, Clock, ReadOptions};

const QUEUE: &str = "work";

fn job(after: Vec<JobId>) -> NewJob {
    NewJob {
        kind: "step".to_owned(),
        payload: "{}".to_owned(),
        unique_key: None,
        ordering_key: None,
        priority: 5,
        when: When::Now,
        after,
        trace: None,
    }
}

async fn ask_jobs(node: &TestNode, partition: u16, action: Action) -> jobs::Reply {
    let settings = Box::new(Settings::of(PARTITIONS));
    let command = jobs::Command { queue: QUEUE.to_owned(), partition, settings, action };
    let called = ask(node, Command::Jobs(command), CallOptions::default()).await.unwrap();
    let Reply::Jobs(reply) = called.answer else { panic!("jobs are answered by jobs") };
    reply
}

async fn enqueue(node: &TestNode, partition: u16, after: Vec<JobId>) -> JobId {
    let jobs::Reply::Enqueued(taken) =
        ask_jobs(node, partition, Action::Enqueue(vec![job(after)])).await
    else {
        panic!("jobs are taken in")
    };
    JobId { partition, number: taken[0].job }
}

async fn lease(node: &TestNode, partition: u16) -> (u64, LeaseId) {
    let lease = Action::Lease { worker: "w".to_owned(), max: 1, lease_ms: None };
    let jobs::Reply::Leased(leased, _) = ask_jobs(node, partition, lease).await else {
        panic!("jobs are leased")
    };
    (leased[0].job, leased[0].lease)
}

async fn complete(node: &TestNode, partition: u16) -> u64 {
    let (job, lease) = lease(node, partition).await;
    ask_jobs(node, partition, Action::Complete { job, lease, result: None }).await;
    job
}

async fn state(node: &TestNode, job: JobId) -> State {
    let tenant = node.tenant("default").unwrap();
    let query = Query::Jobs(jobs::Query::Job { queue: QUEUE.to_owned(), job });
    let found = node.query(&tenant, query, ReadOptions::default()).await.unwrap();
    let Found::Jobs(jobs::Found::Job(detail)) = found.answer else { panic!("a job") };
    detail.job.state
}

/// Returns once nothing is on its way.
async fn settled(node: &TestNode) {
    while node.stats().partitions.iter().any(|partition| partition.outbox_rows > 0) {
        tokio::task::yield_now().await;
    }
}

async fn becomes(node: &TestNode, job: JobId, wanted: State) {
    while state(node, job).await != wanted {
        tokio::task::yield_now().await;
    }
}

#[test]
fn partitions_of_several_hosts_work_for_each_other() {
    for hosts in [1, 3] {
        let mut machine = Machine::new();
        machine.options.hosts = hosts;
        machine.life(End::Shutdown, async |node| {
            let mut before = Vec::new();
            for partition in 0..PARTITIONS {
                before.push(enqueue(node, partition, Vec::new()).await);
            }
            let mut waiters = Vec::new();
            for partition in 0..PARTITIONS {
                waiters.push(enqueue(node, partition, before.clone()).await);
            }
            settled(node).await;
            for waiter in &waiters {
                assert_eq!(state(node, *waiter).await, State::Waiting);
            }
            for partition in 0..PARTITIONS {
                complete(node, partition).await;
            }
            for waiter in waiters {
                becomes(node, waiter, State::Ready).await;
            }
            settled(node).await;
            let stats = node.stats().partitions;
            assert!(stats.iter().all(|partition| partition.dead_deliveries == 0));
            assert!(stats.iter().all(|partition| partition.outbox_age_ms == 0));
        });
    }
}

/// Whatever was on its way when a life ended arrives in the next, once.
#[test]
fn what_is_on_its_way_survives_every_end() {
    for end in [End::Shutdown, End::Kill, End::PowerLoss] {
        let machine = Machine::new();
        let mut waiters = Vec::new();
        let mut firsts = Vec::new();
        for round in 0..4_u16 {
            machine.life(end, async |node| {
                let (here, there) = (round % PARTITIONS, (round + 1) % PARTITIONS);
                let first = enqueue(node, there, Vec::new()).await;
                waiters.push(enqueue(node, here, vec![first]).await);
                firsts.push(first);
                // The life ends with that under way, or not.
            });
        }
        machine.life(end, async |node| {
            for _ in &firsts {
                // Those that wait are not ready, so each is one of the first.
                for first in &firsts {
                    if state(node, *first).await == State::Ready {
                        complete(node, first.partition).await;
                    }
                }
            }
        });
        machine.life(End::Shutdown, async |node| {
            for waiter in waiters {
                becomes(node, waiter, State::Ready).await;
            }
            settled(node).await;
        });
    }
}

/// The row of the last message, which nothing follows, goes with a record of its own.
#[test]
fn rows_that_were_acknowledged_go() {
    let machine = Machine::new();
    machine.life(End::Shutdown, async |node| {
        let first = enqueue(node, 0, Vec::new()).await;
        let waiter = enqueue(node, 1, vec![first]).await;
        settled(node).await;
        complete(node, 0).await;
        becomes(node, waiter, State::Ready).await;
        settled(node).await;
        let records = node.stats().log.records;
        while node.stats().log.records == records {
            tokio::task::yield_now().await;
        }
    });
}

/// Rules whose queue there is not: what they would enqueue is counted.
async fn set_rules(node: &TestNode, on: HoldChange) {
    let rule =
        Rule { on, resource: None, queue: "nowhere".to_owned(), kind: "k".to_owned(), priority: 5 };
    let action = meta::Action::SetRules(vec![("default".to_owned(), vec![rule])]);
    let set = Command::Meta(meta::Command { action });
    ask(node, set, CallOptions::default()).await.unwrap();
}

fn dead(node: &TestNode) -> u64 {
    node.stats().partitions.iter().map(|partition| partition.dead_deliveries).sum()
}

#[test]
fn decisions_know_what_meta_says_as_soon_as_it_does() {
    let machine = Machine::new();
    let name = name_in(1, 0);
    machine.life(End::Kill, async |node| {
        put(node, &name, 10).await;
        hold(node, &name).await.unwrap();
        for (on, count) in [(HoldChange::Held, 1), (HoldChange::Expired, 1), (HoldChange::Held, 2)]
        {
            set_rules(node, on).await;
            hold(node, &name).await.unwrap();
            while dead(node) < count {
                tokio::task::yield_now().await;
            }
            assert_eq!(dead(node), count);
        }
    });
    machine.life(End::Shutdown, async |node| {
        hold(node, &name).await.unwrap();
        while dead(node) < 3 {
            tokio::task::yield_now().await;
        }
    });
}

/// What is due when a node starts is done by what meta says, and not before that is known.
#[test]
fn time_does_nothing_before_meta_is_known() {
    let mut machine = Machine::new();
    // Each partition on its own, and none waits for `meta`.
    machine.options.hosts = usize::from(PARTITIONS) + 1;
    let name = name_in(0, 0);
    let due = machine.life(End::Kill, async |node| {
        put(node, &name, 10).await;
        set_rules(node, HoldChange::Expired).await;
        let places = Places::Quantity(1);
        let hold = reservations::Action::Hold { holder: "h".to_owned(), ttl_ms: 200, places };
        let called = ask(node, command(&name, hold), CallOptions::default()).await.unwrap();
        let Reply::Reservations(reservations::Reply::Hold(view)) = called.answer else { panic!() };
        view.expires_at
    });
    while Clock::start(Time(0)).now() < due {
        std::thread::yield_now();
    }
    machine.life(End::Shutdown, async |node| {
        while resource(node, &name).await.unwrap().held > 0 {
            tokio::task::yield_now().await;
        }
        // Committed before that was read, and counted before the next thing is.
        resource(node, &name).await.unwrap();
        assert_eq!(dead(node), 1);
    });
}
