//! Limits that answer ahead of the log: buffered ones before the sync, leased ones before the record.

use crate::{
    files::Gate,
    harness::{End, Machine, TestNode},
};
use evenkeel_domains::limits::{Algorithm, Check, Durability, Mode, Policy, Subject};
use evenkeel_log::Incarnation;
use evenkeel_node::{CallOptions, Called, CheckFailure, Checked, NodeError, SessionToken};
use std::time::Duration;

const DAY_MS: u64 = 24 * 3_600_000;

fn limited(limit: &str, quantity: u64, cost: u64, change: fn(&mut Policy)) -> Check {
    let mut policy = Policy::of(Algorithm::SlidingWindow, quantity, DAY_MS);
    change(&mut policy);
    let subject = Subject { limit: limit.to_owned(), scope: None, key: b"ada".to_vec() };
    Check::new(subject, policy, cost).unwrap()
}

fn buffered(policy: &mut Policy) {
    policy.durability = Durability::Buffered;
}

fn leased(policy: &mut Policy) {
    policy.mode = Mode::Leased;
}

fn exact(_: &mut Policy) {}

async fn ask(node: &TestNode, checks: &[&Check], deadline_ms: u64) -> Called<Checked> {
    let deadline = Some(Duration::from_millis(deadline_ms));
    let options = CallOptions { deadline, ..CallOptions::default() };
    let checks = checks.iter().map(|check| (*check).clone()).collect();
    node.check(&node.tenant("default").unwrap(), checks, false, options).await.unwrap()
}

async fn remaining(node: &TestNode, check: &Check) -> u64 {
    let tenant = node.tenant("default").unwrap();
    let called = node.check(&tenant, vec![check.clone()], true, CallOptions::default()).await;
    called.unwrap().answer.verdicts[0].result.remaining
}

/// What that gives up is what a power loss then shows: it is admitted again, and nothing else is hurt.
#[test]
fn a_buffered_limit_answers_while_the_disk_hangs() {
    let machine = Machine::new();
    let check = limited("often", 10, 4, buffered);
    machine.life(End::PowerLoss, async |node| {
        assert!(ask(node, &[&check], 60_000).await.answer.allowed);
        while remaining(node, &check).await == 10 {
            tokio::task::yield_now().await;
        }
        machine.files.set(Gate::Shut);
        let called = ask(node, &[&check], 60_000).await;
        assert!(called.answer.allowed && !called.answer.is_degraded());
        assert_eq!(called.answer.verdicts[0].result.remaining, 2);
        assert_eq!(remaining(node, &check).await, 6, "a read shows what is durable");
        let no = ask(node, &[&check], 60_000).await;
        assert!(!no.answer.allowed && !no.answer.is_degraded());
        // The machine dies: nothing more is written.
        machine.disk.power_loss();
        machine.files.set(Gate::Open);
    });
    machine.life(End::Shutdown, async |node| {
        assert_eq!(remaining(node, &check).await, 6, "the second is gone, the first is not");
    });
}

#[test]
fn a_lease_admits_while_the_disk_hangs_and_no_more_than_it_says() {
    let machine = Machine::new();
    machine.life(End::Shutdown, async |node| {
        let check = limited("leased", 160, 1, leased);
        let first = ask(node, &[&check], 60_000).await;
        assert_eq!(first.answer.verdicts[0].over_admission_max, Some(10));
        machine.files.set(Gate::Shut);
        let mut admitted = 0;
        while ask(node, &[&check], 50).await.answer.allowed {
            admitted += 1;
        }
        assert_eq!(admitted, 9);
        machine.files.set(Gate::Open);
    });
    // What was taken and not used is lost with the node, and was counted.
    machine.life(End::Shutdown, async |node| {
        let check = limited("leased", 160, 1, exact);
        assert!(remaining(node, &check).await <= 150);
    });
}

#[test]
fn leased_and_exact_limits_are_counted_together_or_not_at_all() {
    let machine = Machine::new();
    machine.life(End::Shutdown, async |node| {
        let (wide, narrow) = (limited("wide", 160, 4, leased), limited("narrow", 2, 1, exact));
        for _ in 0..2 {
            assert!(ask(node, &[&wide, &narrow], 60_000).await.answer.allowed);
        }
        for _ in 0..50 {
            let no = ask(node, &[&wide, &narrow], 60_000).await.answer;
            assert!(!no.allowed && no.verdicts[0].result.allowed && !no.verdicts[1].result.allowed);
        }
        // Nothing of the fifty stayed: 152 are left, here or with the owner.
        let mut admitted = 0;
        while ask(node, &[&wide], 60_000).await.answer.allowed {
            admitted += 4;
        }
        assert_eq!(admitted, 152);
        // And the other way round: what does not fit here is asked of nobody else.
        let other = limited("other", 2, 1, exact);
        assert!(!ask(node, &[&wide, &other], 60_000).await.answer.allowed);
        assert_eq!(remaining(node, &other).await, 2);
    });
}

#[test]
fn many_at_once_share_a_lease_and_the_limit_holds() {
    let machine = Machine::new();
    machine.life(End::Shutdown, async |node| {
        let mut callers = tokio::task::JoinSet::new();
        for _ in 0..32 {
            let node = node.clone();
            callers.spawn(async move {
                let check = limited("hot", 320, 1, leased);
                let mut admitted = 0;
                while ask(&node, &[&check], 60_000).await.answer.allowed {
                    admitted += 1;
                }
                admitted
            });
        }
        let admitted: u64 = callers.join_all().await.into_iter().sum();
        assert_eq!(admitted, 320);
    });
}

/// One deadline is for all of them: what is over is asked of nobody.
#[test]
fn several_leased_limits_share_one_deadline() {
    let machine = Machine::new();
    machine.life(End::Shutdown, async |node| {
        let names: Vec<String> = (0..8).map(|number| format!("leased-{number}")).collect();
        let checks: Vec<_> = names.iter().map(|name| limited(name, 160, 1, leased)).collect();
        machine.files.set(Gate::Shut);
        let no = ask(node, &checks.iter().collect::<Vec<_>>(), 50).await.answer;
        assert!(!no.allowed && no.verdicts.iter().all(|verdict| verdict.degraded));
        machine.files.set(Gate::Open);
        // Each is counted after what was on its way there before.
        let mut counted = 0;
        for name in &names {
            ask(node, &[&limited(name, 160, 1, exact)], 60_000).await;
            counted += usize::from(remaining(node, &limited(name, 160, 1, exact)).await < 159);
        }
        assert!(counted <= 1, "{counted} of them were");
    });
}

#[test]
fn a_foreign_session_is_told_so_where_nobody_else_is_asked() {
    let machine = Machine::new();
    machine.life(End::Shutdown, async |node| {
        let (tenant, check) = (node.tenant("default").unwrap(), limited("leased", 160, 1, leased));
        let seen = ask(node, &[&check], 60_000).await.as_of[0];
        for (life, foreign) in [(0, false), (1, true)] {
            let incarnation = Incarnation(seen.incarnation.0 + life);
            let session = vec![SessionToken { incarnation, ..seen }];
            let options = CallOptions { session, ..CallOptions::default() };
            let called = node.check(&tenant, vec![check.clone()], false, options).await;
            let refused = matches!(called, Err(CheckFailure::Node(NodeError::SessionReset)));
            assert_eq!(refused, foreign, "{called:?}");
        }
    });
}
