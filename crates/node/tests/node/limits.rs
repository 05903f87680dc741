//! Checks of limits where a disk hangs or is full, and where whoever asked has gone.

use crate::{
    files::{Gate, GatedFiles},
    harness::{End, Machine, PARTITIONS, TestNode, hold, name_in, put},
};
use evenkeel_domains::{
    KeyParts,
    limits::{Algorithm, Check, OnUnavailable, Policy, Subject},
    route,
};
use evenkeel_engine::Failure;
use evenkeel_log::PartitionId;
use evenkeel_node::{CallOptions, Called, CheckFailure, Checked, NodeError};
use std::time::Duration;

const DAY_MS: u64 = 24 * 3_600_000;

/// A limit of `quantity` a day, and `cost` of it, of a key that partition `number` counts.
pub(crate) fn check(
    number: u16,
    limit: &str,
    quantity: u64,
    cost: u64,
    policy: fn(&mut Policy),
) -> Check {
    let mut limited = Policy::of(Algorithm::SlidingWindow, quantity, DAY_MS);
    policy(&mut limited);
    let keys = (0_u32..).map(u32::to_be_bytes);
    let mut there = keys.filter(|key| {
        let parts = KeyParts::two(limit.as_bytes(), key);
        route("limits", "default", parts, PARTITIONS) == PartitionId(number)
    });
    let key = there.next().unwrap().to_vec();
    Check::new(Subject { limit: limit.to_owned(), scope: None, key }, limited, cost).unwrap()
}

pub(crate) fn allow(policy: &mut Policy) {
    policy.on_unavailable = OnUnavailable::Allow;
}

pub(crate) fn deny(_: &mut Policy) {}

fn shadow(policy: &mut Policy) {
    policy.shadow = true;
}

/// Writes are held up until this is dropped: also by a test that fails, which would else never end.
pub(crate) struct Shut<'f>(&'f GatedFiles);

impl<'f> Shut<'f> {
    pub(crate) fn new(files: &'f GatedFiles) -> Self {
        files.set(Gate::Shut);
        Self(files)
    }
}

impl Drop for Shut<'_> {
    fn drop(&mut self) {
        self.0.set(Gate::Open);
    }
}

pub(crate) fn within(ms: u64) -> CallOptions {
    CallOptions { deadline: Some(Duration::from_millis(ms)), ..CallOptions::default() }
}

pub(crate) async fn ask(
    node: &TestNode,
    checks: Vec<Check>,
    options: CallOptions,
) -> Result<Called<Checked>, CheckFailure> {
    node.check(&node.tenant("default").unwrap(), checks, false, options).await
}

pub(crate) async fn remaining(node: &TestNode, check: &Check) -> u64 {
    let tenant = node.tenant("default").unwrap();
    let called = node.check(&tenant, vec![check.clone()], true, CallOptions::default()).await;
    called.unwrap().answer.verdicts[0].result.remaining
}

#[test]
fn a_disk_that_hangs_leaves_the_answer_to_the_policy() {
    let machine = Machine::new();
    machine.life(End::Shutdown, async |node| {
        let held_up = Shut::new(&machine.files);
        let open = check(0, "open", 5, 1, allow);
        let shut = check(1, "shut", 5, 1, deny);
        let watched = check(2, "watched", 5, 1, shadow);
        for (checks, allowed) in [
            (vec![open.clone()], true),
            (vec![shut.clone()], false),
            (vec![watched.clone()], true),
            (vec![open.clone(), watched.clone()], true),
            (vec![open.clone(), shut.clone()], false),
        ] {
            let answer = ask(node, checks, within(50)).await.unwrap().answer;
            assert_eq!(answer.allowed, allowed, "{answer:?}");
            assert!(answer.verdicts.iter().all(|verdict| verdict.degraded));
        }
        let said = ask(node, vec![watched.clone()], within(50)).await.unwrap().answer;
        assert!(said.verdicts[0].result.shadow_refused, "what it would have been answered");
        // A policy that came with the request says nothing about that.
        let inline = check(0, "", 5, 1, deny);
        for checks in [vec![inline.clone()], vec![inline, shut.clone()]] {
            let failed = ask(node, checks, within(50)).await.unwrap_err();
            let unknown = NodeError::Failed(Failure::OutcomeUnknown);
            let late = NodeError::Failed(Failure::DeadlineExceeded);
            assert!([unknown, late].map(CheckFailure::Node).contains(&failed), "{failed}");
        }
        drop(held_up);
    });
}

/// To give back what was not counted would admit it twice.
#[test]
fn what_nobody_knows_is_not_given_back() {
    let machine = Machine::new();
    machine.life(End::Shutdown, async |node| {
        let (wide, narrow) = (check(0, "wide", 5, 2, allow), check(1, "narrow", 1, 1, deny));
        assert!(ask(node, vec![narrow.clone()], within(60_000)).await.unwrap().answer.allowed);
        let offset = node.stats().partitions[0].offset;
        let held_up = Shut::new(&machine.files);
        // Long enough to be decided however busy the machine is, and then waited for in vain.
        let refused = ask(node, vec![wide.clone(), narrow], within(1_000)).await.unwrap().answer;
        assert!(!refused.allowed && refused.verdicts[0].degraded, "{refused:?}");
        drop(held_up);
        while node.stats().partitions[0].offset == offset {
            tokio::task::yield_now().await;
        }
        // Decided after whatever was to be given back.
        assert!(ask(node, vec![wide.clone()], within(60_000)).await.unwrap().answer.allowed);
        assert_eq!(remaining(node, &wide).await, 1);
    });
}

/// Whoever asked goes away while it is being counted; what was counted in vain is given back.
#[test]
fn what_was_counted_for_nobody_is_given_back() {
    let machine = Machine::new();
    machine.life(End::Shutdown, async |node| {
        let (wide, narrow) = (check(0, "wide", 5, 2, deny), check(1, "narrow", 1, 1, deny));
        assert!(ask(node, vec![narrow.clone()], within(60_000)).await.unwrap().answer.allowed);
        let offset = node.stats().partitions[0].offset;
        let held_up = Shut::new(&machine.files);
        let asking = tokio::spawn({
            let (node, checks) = (node.clone(), vec![wide.clone(), narrow]);
            async move { ask(&node, checks, CallOptions::default()).await }
        });
        machine.files.held().await;
        asking.abort();
        assert!(asking.await.unwrap_err().is_cancelled());
        drop(held_up);
        while node.stats().partitions[0].offset < offset + 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(remaining(node, &wide).await, 5);
    });
}

#[test]
fn a_full_disk_leaves_the_answer_to_the_policy_and_counts_nothing() {
    let machine = Machine::new();
    let (resource, there) = (name_in(0, 0), check(2, "there", 5, 1, allow));
    machine.life(End::Kill, async |node| {
        put(node, &resource, 1_000_000).await;
        let before = remaining(node, &there).await;
        machine.disk.space(Some(0));
        while hold(node, &resource).await.is_ok() {}
        let open = ask(node, vec![there.clone()], CallOptions::default()).await.unwrap();
        assert!(open.answer.allowed && open.answer.is_degraded(), "{open:?}");
        assert_eq!(open.as_of, [], "it rests on nothing");
        let shut = ask(node, vec![check(2, "shut", 5, 1, deny)], CallOptions::default()).await;
        assert!(!shut.unwrap().answer.allowed);
        machine.disk.space(None);
        assert_eq!(remaining(node, &there).await, before);
        let counted = ask(node, vec![there.clone()], CallOptions::default()).await.unwrap();
        assert!(counted.answer.allowed && !counted.answer.is_degraded());
        assert_eq!(remaining(node, &there).await, before - 1);
    });
}

#[test]
fn a_key_is_for_one_partition() {
    let machine = Machine::new();
    machine.life(End::Shutdown, async |node| {
        let options =
            || CallOptions { idempotency_key: Some("k".to_owned()), ..CallOptions::default() };
        let (one, other) = (check(0, "one", 5, 1, deny), check(1, "other", 5, 1, deny));
        let refused = ask(node, vec![one.clone(), other.clone()], options()).await.unwrap_err();
        assert_eq!(refused, CheckFailure::KeyAcrossPartitions { partitions: 2 });
        for replayed in [false, true] {
            let answer = ask(node, vec![one.clone()], options()).await.unwrap();
            assert_eq!((answer.answer.allowed, answer.replayed), (true, replayed));
        }
        assert_eq!((remaining(node, &one).await, remaining(node, &other).await), (4, 5));
        let none = ask(node, Vec::new(), CallOptions::default()).await.unwrap_err();
        assert_eq!(none, CheckFailure::Node(NodeError::Failed(Failure::TooLarge)));
    });
}

/// A partition that nothing was asked of for a while has not stood still.
#[test]
fn a_peek_sees_what_has_come_back() {
    let machine = Machine::new();
    machine.life(End::Shutdown, async |node| {
        let full = Policy::gcra(5_000, 1_000, 999);
        let subject = Subject { limit: "calls".to_owned(), scope: None, key: b"a".to_vec() };
        let spent = Check::new(subject, full, 1_000).unwrap();
        let called = ask(node, vec![spent.clone()], CallOptions::default()).await.unwrap();
        assert!(called.answer.allowed);
        // It takes 200 ms.
        while node.now() < called.at.plus_ms(201) {
            tokio::task::yield_now().await;
        }
        assert_eq!(remaining(node, &spent).await, 1_000);
    });
}
