//! Too much, too late, and the end: everything is answered, at once or by its deadline.

use crate::{
    files::Gate,
    harness::{
        End, Machine, TestNode, ask, hold, hold_of, name_in, put, resource, set_contracts,
        unavailable,
    },
};
use evenkeel_contract::Level;
use evenkeel_domains::{Query, reservations};
use evenkeel_engine::{Barrier, Failure};
use evenkeel_node::{CallOptions, NodeError, ReadOptions};
use std::{future::poll_fn, task::Poll, time::Duration};
use tokio::task::JoinSet;

const MAILBOX: usize = 8;

type Asked = JoinSet<Result<(), NodeError>>;

fn spawn_hold(asked: &mut Asked, node: &TestNode, name: &str, deadline_ms: Option<u64>) {
    let (node, name) = (node.clone(), name.to_owned());
    let deadline = deadline_ms.map(Duration::from_millis);
    asked.spawn(async move {
        let options = CallOptions { deadline, ..CallOptions::default() };
        ask(&node, hold_of(&name, 1), options).await.map(drop)
    });
}

/// Returns once a hold is on its way to the log and stuck there.
async fn stall(machine: &Machine, node: &TestNode, name: &str, asked: &mut Asked) {
    machine.files.set(Gate::Shut);
    spawn_hold(asked, node, name, None);
    machine.files.held().await;
}

/// A contract lets callers wait for half a second, which is less than these tests may need.
async fn be_patient(node: &TestNode) {
    ask(node, set_contracts(60_000), CallOptions::default()).await.unwrap();
}

#[test]
fn a_full_mailbox_is_answered_at_once() {
    let mut machine = Machine::new();
    machine.options.engine.mailbox_max = MAILBOX;
    let name = name_in(0, 0);
    machine.life(End::Shutdown, async |node| {
        be_patient(node).await;
        put(node, &name, 1_000).await;
        let mut asked = Asked::new();
        stall(&machine, node, &name, &mut asked).await;
        for _ in 0..30 {
            spawn_hold(&mut asked, node, &name, None);
        }
        // One is in flight and eight wait: these are answered while nothing moves.
        for _ in 0..30 - MAILBOX {
            let answer = asked.join_next().await.unwrap().unwrap();
            assert_eq!(answer, Err(NodeError::Failed(Failure::Overloaded)));
        }
        let waiting = node.stats().partitions[0].waiting;
        assert_eq!(waiting, MAILBOX as u64);
        assert_eq!(resource(node, &name).await.unwrap().held, 0, "reads do not wait");
        machine.files.set(Gate::Open);
        while let Some(answer) = asked.join_next().await {
            answer.unwrap().unwrap();
        }
        assert_eq!(resource(node, &name).await.unwrap().held, 1 + MAILBOX as u64);
        let batches = node.stats().partitions[0].batches;
        assert_eq!(batches.sizes[3], 1, "the eight were one batch: {batches:?}");
    });
}

/// Where reads wait for a barrier, too many of them are told so at once.
#[test]
fn reads_that_wait_are_bounded() {
    const READS: usize = 8;
    let mut machine = Machine::new();
    machine.options.engine.barrier = Barrier::Append;
    machine.options.engine.reads_max = READS;
    let name = name_in(0, 0);
    machine.life(End::Shutdown, async |node| {
        be_patient(node).await;
        put(node, &name, 1_000).await;
        let mut asked = Asked::new();
        stall(&machine, node, &name, &mut asked).await;
        let mut reads = Asked::new();
        for _ in 0..30 {
            let (node, name) = (node.clone(), name.clone());
            reads.spawn(async move {
                let tenant = node.tenant("default").unwrap();
                let query = Query::Reservations(reservations::Query::Resource { resource: name });
                let level = Some(Level::Linearizable);
                let options = ReadOptions { level, ..ReadOptions::default() };
                node.query(&tenant, query, options).await.map(drop)
            });
        }
        let mut refused = Vec::new();
        for _ in 0..30 - READS {
            refused.push(reads.join_next().await.unwrap().unwrap());
        }
        machine.files.set(Gate::Open);
        let overloaded = Err(NodeError::Failed(Failure::Overloaded));
        assert!(refused.iter().all(|answer| *answer == overloaded), "{refused:?}");
        while let Some(answer) = reads.join_next().await {
            answer.unwrap().unwrap();
        }
        asked.join_next().await.unwrap().unwrap().unwrap();
    });
}

#[test]
fn a_deadline_is_kept_while_the_log_stalls() {
    let machine = Machine::new();
    let name = name_in(0, 0);
    machine.life(End::Shutdown, async |node| {
        be_patient(node).await;
        put(node, &name, 1_000).await;
        machine.files.set(Gate::Shut);
        let mut first = Asked::new();
        spawn_hold(&mut first, node, &name, Some(40));
        let answer = first.join_next().await.unwrap().unwrap();
        assert_eq!(answer, Err(NodeError::Failed(Failure::OutcomeUnknown)), "it was decided");
        let mut second = Asked::new();
        spawn_hold(&mut second, node, &name, Some(40));
        let answer = second.join_next().await.unwrap().unwrap();
        assert_eq!(answer, Err(NodeError::Failed(Failure::DeadlineExceeded)), "it was not");
        machine.files.set(Gate::Open);
        hold(node, &name).await.unwrap();
        let held = resource(node, &name).await.unwrap().held;
        assert_eq!(held, 2, "the unknown one and the last; the dropped one had no effect");
    });
}

#[test]
fn a_stop_answers_everything_that_was_accepted() {
    let machine = Machine::new();
    let name = name_in(0, 0);
    let accepted = machine.life(End::Shutdown, async |node| {
        be_patient(node).await;
        put(node, &name, 1_000_000).await;
        let mut asked = Asked::new();
        stall(&machine, node, &name, &mut asked).await;
        for _ in 0..200 {
            spawn_hold(&mut asked, node, &name, None);
        }
        while node.stats().partitions[0].waiting < 200 {
            tokio::task::yield_now().await;
        }
        let stopping = tokio::spawn({
            let node = node.clone();
            async move { node.shutdown().await }
        });
        machine.files.set(Gate::Open);
        let mut accepted = 0;
        while let Some(answer) = asked.join_next().await {
            answer.unwrap().unwrap();
            accepted += 1;
        }
        assert!(stopping.await.unwrap());
        assert!(unavailable(hold(node, &name).await).contains("not served"));
        accepted
    });
    assert_eq!(accepted, 201);
    machine.life(End::Shutdown, async |node| {
        assert_eq!(resource(node, &name).await.unwrap().held, accepted);
    });
}

#[test]
fn a_stop_answers_reads_that_came_before() {
    let machine = Machine::new();
    let name = name_in(0, 0);
    machine.life(End::Shutdown, async |node| {
        put_many_holds(node, &name).await;
        let levels = [Level::Linearizable, Level::Session].into_iter().cycle();
        let mut reads: Vec<_> =
            levels.take(400).map(|level| Box::pin(all_holds(node, &name, level))).collect();
        // All of them are on their way; some may be answered already.
        poll_fn(|context| {
            reads.retain_mut(|read| match read.as_mut().poll(context) {
                Poll::Ready(answer) => answer.map(|()| false).unwrap(),
                Poll::Pending => true,
            });
            Poll::Ready(())
        })
        .await;
        let answered = async {
            for read in reads {
                read.await.unwrap();
            }
        };
        let (stopped, ()) = tokio::join!(node.shutdown(), answered);
        assert!(stopped);
    });
}

/// What takes a while to read by [`all_holds`].
async fn put_many_holds(node: &TestNode, name: &str) {
    be_patient(node).await;
    put(node, name, 1_000).await;
    for _ in 0..200 {
        hold(node, name).await.unwrap();
    }
}

/// A read that takes a while.
async fn all_holds(node: &TestNode, name: &str, level: Level) -> Result<(), NodeError> {
    let tenant = node.tenant("default").unwrap();
    let (resource, after, state) = (name.to_owned(), None, None);
    let query = reservations::Query::Holds { resource, state, after, limit: 200 };
    let options = ReadOptions { level: Some(level), ..ReadOptions::default() };
    node.query(&tenant, Query::Reservations(query), options).await.map(drop)
}

#[test]
fn a_stop_ends_though_readers_keep_coming() {
    let machine = Machine::new();
    let name = name_in(0, 0);
    machine.life(End::Shutdown, async |node| {
        put_many_holds(node, &name).await;
        let mut readers = JoinSet::new();
        for level in [Level::Linearizable, Level::Session].into_iter().cycle().take(64) {
            let (node, name) = (node.clone(), name.clone());
            readers.spawn(async move { while all_holds(&node, &name, level).await.is_ok() {} });
        }
        all_holds(node, &name, Level::Session).await.unwrap();
        assert!(node.shutdown().await);
        while let Some(ended) = readers.join_next().await {
            ended.unwrap();
        }
    });
}

/// A stop right behind a write once waited for the owner's next wake, a minute later.
#[test]
fn a_stop_waits_for_nothing_but_work() {
    for _ in 0..20 {
        let machine = Machine::new();
        let name = name_in(0, 0);
        machine.life(End::Shutdown, async |node| {
            put(node, &name, 1_000).await;
            hold(node, &name).await.unwrap();
        });
    }
}

#[test]
fn a_stop_ends_even_if_the_log_does_not_move() {
    let mut machine = Machine::new();
    machine.options.shutdown_max = Duration::from_millis(50);
    let name = name_in(0, 0);
    machine.life(End::Kill, async |node| {
        put(node, &name, 1_000).await;
        let mut asked = Asked::new();
        stall(&machine, node, &name, &mut asked).await;
        assert!(!node.shutdown().await, "it was cut short");
        while let Some(answer) = asked.join_next().await {
            let answer = answer.unwrap();
            assert_eq!(answer, Err(NodeError::Failed(Failure::OutcomeUnknown)));
        }
        machine.files.set(Gate::Open);
    });
}

#[test]
fn a_read_of_a_stopped_node_is_refused() {
    let machine = Machine::new();
    let name = name_in(0, 0);
    machine.life(End::Shutdown, async |node| {
        put(node, &name, 1).await;
        assert!(node.shutdown().await);
        assert!(unavailable(resource(node, &name).await).contains("not served"));
    });
}
