//! Session tokens: what was answered is known at once, what never was is told so.

use crate::harness::{
    End, Machine, PARTITIONS, TestNode, ask, command, hold, hold_of, name_in, put, runtime,
    set_contracts, unavailable,
};
use evenkeel_contract::Level;
use evenkeel_domains::{
    Found, Query,
    reservations::{self, Action, Spec},
};
use evenkeel_log::{HEADER_BYTES, Offset, PartitionId};
use evenkeel_node::{CallOptions, Called, NodeError, ReadOptions, SessionToken};
use std::{
    ops::ControlFlow,
    task::{Context, Poll, Waker},
};
use tokio::task::JoinSet;

const CALLERS: u16 = 48;
const ROUNDS: u64 = 60;

fn with(session: Vec<SessionToken>) -> CallOptions {
    CallOptions { session, ..CallOptions::default() }
}

async fn read(
    node: &TestNode,
    name: &str,
    level: Level,
    session: Vec<SessionToken>,
) -> Result<Called<Found>, NodeError> {
    let tenant = node.tenant("default").unwrap();
    let query = Query::Reservations(reservations::Query::Resource { resource: name.to_owned() });
    let options = ReadOptions { level: Some(level), session, ..ReadOptions::default() };
    node.query(&tenant, query, options).await
}

/// Writes, reads and refusals answer with tokens, and everyone uses everyone's at once.
#[test]
fn what_was_answered_is_known_at_once() {
    let machine = Machine::new();
    machine.life(End::Shutdown, async |node| {
        for partition in 0..PARTITIONS {
            put(node, &name_in(partition, 0), 1_000_000).await;
        }
        // No hold fits in here.
        put(node, &name_in(0, 1), 0).await;
        ask(node, set_contracts(60_000), CallOptions::default()).await.unwrap();
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let node = node.clone();
            callers.spawn(async move {
                let name = name_in(caller % 2, 0);
                for round in 0..ROUNDS {
                    let wrote = ask(&node, hold_of(&name, 1), CallOptions::default()).await;
                    let seen = wrote.unwrap().as_of;
                    let level = if caller % 3 == 0 { Level::Linearizable } else { Level::Session };
                    let seen = read(&node, &name, level, seen).await.unwrap().as_of;
                    let no = ask(&node, hold_of(&name_in(0, 1), 1), with(seen)).await;
                    let Err(NodeError::Refused { as_of, .. }) = no else {
                        panic!("it does not fit: {no:?}")
                    };
                    let seen = if caller < 4 {
                        let set = set_contracts(60_000 - round);
                        let set = ask(&node, set, with(vec![as_of])).await.unwrap().as_of;
                        set.into_iter().chain(node.meta().as_of).collect()
                    } else {
                        vec![as_of]
                    };
                    read(&node, &name, Level::Session, seen).await.unwrap();
                }
            });
        }
        while let Some(caller) = callers.join_next().await {
            caller.unwrap();
        }
    });
}

#[test]
fn tokens_are_good_in_the_next_life() {
    let machine = Machine::new();
    let name = name_in(2, 0);
    let mut seen = Vec::new();
    for end in [End::Kill, End::PowerLoss, End::Shutdown, End::Kill] {
        seen = machine.life(end, async |node| {
            if seen.is_empty() {
                put(node, &name, 1_000).await;
            }
            let read = read(node, &name, Level::Session, seen).await.unwrap();
            let wrote = ask(node, hold_of(&name, 1), with(read.as_of)).await.unwrap();
            wrote.as_of.into_iter().chain(node.meta().as_of).collect()
        });
    }
}

#[test]
fn what_never_was_answered_is_told_so() {
    let machine = Machine::new();
    let name = name_in(1, 0);
    machine.life(End::Shutdown, async |node| {
        put(node, &name, 10).await;
        let seen = ask(node, hold_of(&name, 1), CallOptions::default()).await.unwrap().as_of[0];
        let meta = node.meta().as_of.unwrap();
        let beyond =
            |token: SessionToken, by| SessionToken { offset: Offset(token.offset.0 + by), ..token };
        let elsewhere = |partition| SessionToken { partition: PartitionId(partition), ..seen };
        let next_life = evenkeel_log::Incarnation(seen.incarnation.0 + 1);
        for made_up in [
            beyond(seen, 1),
            beyond(meta, 1),
            beyond(seen, u64::MAX - seen.offset.0),
            elsewhere(PARTITIONS),
            elsewhere(PartitionId::META.0 - 1),
            SessionToken { incarnation: next_life, ..seen },
        ] {
            let session = vec![seen, made_up];
            for level in [Level::Session, Level::Linearizable] {
                let answer = read(node, &name, level, session.clone()).await;
                assert_eq!(answer.map(drop), Err(NodeError::SessionReset), "{made_up}");
            }
            let answer = ask(node, hold_of(&name, 1), with(session.clone())).await;
            assert_eq!(answer.map(drop), Err(NodeError::SessionReset), "{made_up}");
            read(node, &name, Level::Eventual, session).await.unwrap();
        }
        read(node, &name, Level::Session, vec![seen, meta]).await.unwrap();
        let again = ask(node, hold_of(&name, 1), with(vec![seen])).await.unwrap();
        assert_eq!(again.as_of[0], beyond(seen, 1), "what was refused had no effect");
    });
}

/// Where its log ends nobody knows; so its tokens are no reason to refuse what others can answer.
#[test]
fn tokens_of_a_partition_that_is_out_of_service_hurt_no_other() {
    let machine = Machine::new();
    let (damaged, whole) = (name_in(1, 0), name_in(2, 0));
    let seen = machine.life(End::Kill, async |node| {
        put(node, &damaged, 10).await;
        put(node, &whole, 10).await;
        hold(node, &damaged).await.unwrap();
        ask(node, hold_of(&damaged, 1), CallOptions::default()).await.unwrap().as_of
    });
    let mut places = Vec::new();
    evenkeel_log::inspect(&machine.disk, |placed| {
        if placed.record.header().partition == PartitionId(1) && !placed.record.body().is_empty() {
            places.push((placed.segment.to_owned(), placed.position));
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    let (segment, position) = &places[0];
    machine.disk.flip(segment, position + HEADER_BYTES as u64 + 3, 0);
    machine.life(End::Shutdown, async |node| {
        read(node, &whole, Level::Session, seen.clone()).await.unwrap();
        ask(node, hold_of(&whole, 1), with(seen.clone())).await.unwrap();
        let why = unavailable(read(node, &damaged, Level::Session, seen).await);
        assert!(why.contains(segment.as_str()), "{why}");
    });
}

#[test]
fn one_key_for_two_requests_says_what_that_rests_on() {
    let machine = Machine::new();
    let name = name_in(3, 0);
    machine.life(End::Shutdown, async |node| {
        put(node, &name, 10).await;
        let keyed = || {
            let idempotency_key = Some("k".to_owned());
            CallOptions { idempotency_key, ..CallOptions::default() }
        };
        let first = ask(node, hold_of(&name, 1), keyed()).await.unwrap();
        let larger = command(&name, Action::Put(Spec::Quantity(20)));
        let since = ask(node, larger, CallOptions::default()).await.unwrap();
        assert!(since.as_of[0].offset > first.as_of[0].offset);
        let conflict = ask(node, hold_of(&name, 2), keyed()).await;
        let Err(NodeError::IdempotencyConflict { as_of }) = conflict else {
            panic!("the key is taken: {conflict:?}")
        };
        assert_eq!(as_of, since.as_of[0]);
        read(node, &name, Level::Session, vec![as_of]).await.unwrap();
    });
}

/// A partition that nothing was asked of for a while has not stood still: whatever the level, what a
/// read is complete as of is now.
#[test]
fn time_passes_for_every_read_of_an_idle_partition() {
    let machine = Machine::new();
    machine.life(End::Shutdown, async |node| {
        let name = name_in(1, 0);
        put(node, &name, 10).await;
        let later = node.now().plus_ms(100);
        while node.now() < later {
            tokio::task::yield_now().await;
        }
        for level in [Level::Eventual, Level::Bounded, Level::Session, Level::Linearizable] {
            let at = read(node, &name, level, Vec::new()).await.unwrap().at;
            assert!(at >= later, "{level:?} answers as of {at:?}, before {later:?}");
        }
    });
}

/// More reads than one round answers, and the node is told to stop: whoever asked before is answered.
#[test]
fn reads_that_wait_are_answered_before_a_node_stops() {
    let machine = Machine::new();
    runtime().block_on(async {
        let node = machine.open().await.unwrap();
        let name = name_in(0, 0);
        put(&node, &name, 1_000).await;
        let mut context = Context::from_waker(Waker::noop());
        let mut waiting = Vec::new();
        for _ in 0..6_000 {
            let mut read = Box::pin(read(&node, &name, Level::Session, Vec::new()));
            match read.as_mut().poll(&mut context) {
                Poll::Ready(answered) => drop(answered.unwrap()),
                Poll::Pending => waiting.push(read),
            }
        }
        assert!(waiting.len() > 1_000, "most are asked, and not answered");
        assert!(node.shutdown().await, "everything is finished in time");
        for read in waiting {
            read.await.unwrap();
        }
    });
}
