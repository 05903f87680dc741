//! What several partitions were asked together: how what was counted in vain is given back, and what
//! is told of what only some of them did.

use crate::{
    files::Gate,
    harness::{End, Machine, TestNode},
    limits::{Shut, allow, ask, check, deny, remaining, within},
};
use evenkeel_domains::{
    Command, Refusal,
    limits::{self, Algorithm, Check},
    meta,
};
use evenkeel_engine::{Failure, TenantId};
use evenkeel_node::{CallOptions, CheckFailure, NodeError, Tenant};
use std::time::Duration;

/// A test that waits longer than this has hung.
const HANG: Duration = Duration::from_secs(30);
/// Longer than any test.
const LONG_MS: u64 = 60_000;

/// A check that partition 0 counts, and one that partition 1 never does.
fn in_vain(cost: u64) -> [Check; 2] {
    [check(0, "wide", 5, cost, deny), check(1, "narrow", 1, 2, deny)]
}

fn keyed(key: &str) -> CallOptions {
    CallOptions { idempotency_key: Some(key.to_owned()), ..CallOptions::default() }
}

fn slots(policy: &mut limits::Policy) {
    policy.algorithm = Algorithm::Concurrency;
}

async fn until_remaining(node: &TestNode, check: &Check, count: u64) {
    let there = async {
        while remaining(node, check).await != count {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(HANG, there).await.unwrap();
}

/// An idempotency key would be remembered for a day or two, and there is room for so many.
#[test]
fn giving_back_takes_no_room_for_keys() {
    let mut machine = Machine::new();
    // Room for one: the last may exceed it.
    machine.options.engine.idempotency_bytes_max = 1;
    machine.life(End::Shutdown, async |node| {
        let refused = ask(node, in_vain(2).into(), within(LONG_MS)).await.unwrap();
        assert!(!refused.answer.allowed);
        let [wide, _] = in_vain(2);
        assert_eq!(refused.answer.verdicts[0].result.remaining, 5, "and the answer says so");
        assert_eq!(remaining(node, &wide).await, 5);
        let first = ask(node, vec![wide.clone()], keyed("a")).await.unwrap();
        assert!(first.answer.allowed, "there is room for the tenant's own");
        let second = ask(node, vec![wide], keyed("b")).await.unwrap_err();
        assert_eq!(second, CheckFailure::Node(NodeError::Failed(Failure::QuotaExceeded)));
    });
}

/// Nothing can be written until the memtable is flushed, which is when the test says so.
#[test]
fn what_cannot_be_given_back_at_once_is_given_back_later() {
    let mut machine = Machine::new();
    machine.options.engine.memtable_bytes_max = 0;
    machine.life(End::Shutdown, async |node| {
        let told = ask(node, in_vain(2).into(), within(200)).await.unwrap().answer;
        assert!(!told.allowed);
        assert_eq!(told.verdicts[0].result.remaining, 3, "told before that, when it was counted");
        let [wide, _] = in_vain(2);
        assert_eq!(remaining(node, &wide).await, 3);
        node.snapshot().await.unwrap();
        until_remaining(node, &wide, 5).await;
    });
}

/// Of what was perhaps given back nothing is given back again.
#[test]
fn what_was_perhaps_given_back_is_left_alone() {
    let machine = Machine::new();
    let [wide, _] = in_vain(2);
    machine.life(End::Shutdown, async |node| {
        // So that giving back is given up on before the answer is due.
        let short = ("limits.refund".to_owned(), "{\"deadline_ms\":100}".to_owned());
        let action = meta::Action::SetContracts(vec![short]);
        let tenant = node.tenant("default").unwrap();
        let command = Command::Meta(meta::Command { action });
        node.command(&tenant, command, CallOptions::default()).await.unwrap();
        assert!(ask(node, vec![wide.clone()], within(LONG_MS)).await.unwrap().answer.allowed);
        let held_up = Shut::new(&machine.files);
        let asking = tokio::spawn({
            let node = node.clone();
            async move { ask(&node, in_vain(2).into(), within(LONG_MS)).await }
        });
        machine.files.held().await;
        // It is counted; what gives it back is held up until nobody waits for it any more.
        machine.files.set(Gate::Last);
        let told = asking.await.unwrap().unwrap().answer;
        assert!(!told.allowed);
        assert_eq!(told.verdicts[0].result.remaining, 1, "as far as anybody knows");
        drop(held_up);
        // What is still tried is waited for.
    });
    machine.life(End::Shutdown, async |node| {
        assert_eq!(remaining(node, &wide).await, 3, "once");
    });
}

#[test]
fn a_slot_that_was_released_is_shown_as_free() {
    let machine = Machine::new();
    machine.life(End::Shutdown, async |node| {
        let [_, narrow] = in_vain(1);
        let of = |cost: u64| check(0, "jobs", 9, cost, slots);
        let checks = vec![of(2), check(0, "others", 9, 1, slots), of(3), narrow];
        let refused = ask(node, checks, within(LONG_MS)).await.unwrap().answer;
        assert!(!refused.allowed);
        let each = refused.verdicts[..3].iter();
        let each: Vec<_> =
            each.map(|verdict| (verdict.result.remaining, verdict.result.reset_after_ns)).collect();
        assert_eq!(each, [(9, 0); 3]);
        assert_eq!(remaining(node, &of(0)).await, 9);
    });
}

#[test]
fn a_tenant_with_its_share_under_way_is_overloaded_and_others_are_not() {
    let mut machine = Machine::new();
    machine.options.across_max = 2;
    machine.life(End::Shutdown, async |node| {
        let held_up = Shut::new(&machine.files);
        let asking = tokio::spawn({
            let node = node.clone();
            async move { ask(&node, in_vain(2).into(), within(LONG_MS)).await }
        });
        machine.files.held().await;
        let named = vec![check(0, "a", 5, 1, allow), check(1, "b", 5, 1, allow)];
        let degraded = ask(node, named.clone(), within(LONG_MS)).await.unwrap();
        assert!(degraded.answer.allowed && degraded.answer.is_degraded(), "{degraded:?}");
        assert_eq!(degraded.counted_at(), None);
        let unnamed = vec![check(0, "", 5, 1, allow), check(1, "", 5, 1, allow)];
        let overloaded = ask(node, unnamed, within(LONG_MS)).await.unwrap_err();
        assert_eq!(overloaded, CheckFailure::Node(NodeError::Failed(Failure::Overloaded)));
        // Of another tenant's name only what it is called decides where it is counted.
        let other = Tenant { id: TenantId(7), name: "default".into() };
        let counting = tokio::spawn({
            let (node, named) = (node.clone(), named.clone());
            async move { node.check(&other, named, false, within(LONG_MS)).await }
        });
        drop(held_up);
        assert!(!asking.await.unwrap().unwrap().answer.allowed);
        let counted = counting.await.unwrap().unwrap();
        assert!(counted.answer.allowed && !counted.answer.is_degraded(), "{counted:?}");
        let again = ask(node, named, within(LONG_MS)).await.unwrap();
        assert!(!again.answer.is_degraded(), "and there is room again");
    });
}

#[test]
fn what_only_some_partitions_did_is_told() {
    let mut machine = Machine::new();
    machine.options.engine.memtable_bytes_max = 0;
    machine.life(End::Shutdown, async |node| {
        let tenant = node.tenant("default").unwrap();
        let full = check(0, "full", 5, 1, deny);
        assert!(ask(node, vec![full.clone()], within(LONG_MS)).await.unwrap().answer.allowed);
        let reset = async |checks| node.reset(&tenant, checks, within(LONG_MS)).await.unwrap_err();
        let alone = reset(vec![full.clone()]).await;
        assert!(matches!(alone, NodeError::Failed(Failure::Unavailable(_))), "{alone}");
        for both in [
            vec![full.clone(), check(1, "empty", 5, 1, deny)],
            vec![check(1, "empty", 5, 1, deny), full.clone()],
        ] {
            let partly = reset(both).await;
            assert_eq!(partly, NodeError::Partly(Box::new(alone.clone())));
        }
    });
}

#[test]
fn what_has_slots_is_refused_before_anything_is_done() {
    let machine = Machine::new();
    machine.life(End::Shutdown, async |node| {
        let tenant = node.tenant("default").unwrap();
        let (wide, jobs) = (check(0, "wide", 5, 1, deny), check(1, "jobs", 5, 1, slots));
        let counted = ask(node, vec![wide.clone()], within(LONG_MS)).await.unwrap();
        let both = vec![wide.clone(), jobs];
        let refund = node.refund(&tenant, both.clone(), counted.at, keyed("k")).await;
        let reset = node.reset(&tenant, both, CallOptions::default()).await;
        for refused in [refund.unwrap_err(), reset.unwrap_err()] {
            let NodeError::Refused { refusal, .. } = refused else { panic!("{refused}") };
            let slots = limits::Refusal::WrongAlgorithm(Algorithm::Concurrency);
            assert_eq!(refusal, Refusal::Limits(slots));
        }
        assert_eq!(remaining(node, &wide).await, 4);
    });
}
