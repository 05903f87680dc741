//! Edges that admit from tokens, against the bound that they state: the policy and what each may hold.

use super::{Limits, check, policy};
use evenkeel_domains::{
    Refusal,
    limits::{
        self, Action, Algorithm, LEASES_MIN, Local, Mode, Policy, REFUSED_MS_MAX, Reply, Tokens,
    },
};
use evenkeel_engine::{Failure, Time};
use proptest::prelude::*;

/// Some edges and the partition that they ask.
struct World {
    owner: Limits,
    policy: Policy,
    edges: Vec<Tokens>,
    /// Times asked.
    asked: usize,
}

impl World {
    fn new(edges: usize, policy: Policy) -> Self {
        let policy = Policy { mode: Mode::Leased, ..policy };
        Self { owner: Limits::new(), policy, edges: vec![Tokens::new(policy); edges], asked: 0 }
    }

    fn now(&self) -> Time {
        self.owner.driver.now
    }

    /// Whether `edge` admits `cost`, and when it was counted.
    fn take(&mut self, edge: usize, cost: u64) -> Option<Time> {
        let now = self.now();
        let (tokens, need) = match self.edges[edge].take(&self.policy, cost, now) {
            Local::Decided { result, counted_at } => return result.allowed.then_some(counted_at),
            Local::Ask { tokens, need } => (tokens, need),
        };
        self.asked += 1;
        let checks = vec![check(self.policy, "key", need)];
        match self.owner.ask(checks, Action::Lease { tokens }) {
            Ok(Reply::Leased { tokens, result }) => {
                let (result, counted_at) =
                    self.edges[edge].granted(tokens, result, now, (cost, now));
                assert!(result.allowed);
                Some(counted_at)
            }
            Err(Failure::Refused(Refusal::Limits(limits::Refusal::Limited(results)))) => {
                self.edges[edge].refused(results[0].clone(), (cost, now));
                None
            }
            other => panic!("{other:?}"),
        }
    }
}

/// The most that may be admitted in `ms`, by the policy.
fn most(policy: &Policy, ms: u64) -> u64 {
    match policy.algorithm {
        Algorithm::Gcra => {
            policy.burst
                + 1
                + (u128::from(ms) * u128::from(policy.quantity) / u128::from(policy.period_ms))
                    as u64
        }
        _ => policy.quantity,
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Take {
        edge: usize,
        cost: u64,
    },
    /// And all of it is put back: something else did not fit.
    TakeInVain {
        edge: usize,
        cost: u64,
    },
    Wait(u64),
    /// The edge is gone, with what it had.
    Crash(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..3_usize, 1..4_u64).prop_map(|(edge, cost)| Step::Take { edge, cost }),
        2 => (0..3_usize, 1..4_u64).prop_map(|(edge, cost)| Step::TakeInVain { edge, cost }),
        4 => (0..400_u64).prop_map(Step::Wait),
        1 => (0..3_usize).prop_map(Step::Crash),
    ]
}

proptest! {
    /// Whatever edges do, come and go, in no stretch of time is more admitted than they say.
    #[test]
    fn no_more_is_admitted_than_the_policy_and_what_edges_may_hold(
        window in any::<bool>(),
        quantity in 1..200_u64,
        burst in 0..100_u64,
        steps in proptest::collection::vec(step(), 1..300),
    ) {
        let policy = if window {
            policy(Algorithm::SlidingWindow, quantity, 1_000)
        } else {
            Policy::gcra(quantity, 1_000, burst)
        };
        let mut world = World::new(3, policy);
        let mut admitted: Vec<(u64, u64)> = Vec::new();
        for step in steps {
            match step {
                Step::Take { edge, cost } => {
                    if world.take(edge, cost).is_some() {
                        admitted.push((world.now().0, cost));
                    }
                }
                Step::TakeInVain { edge, cost } => {
                    if let Some(counted_at) = world.take(edge, cost) {
                        let now = world.now();
                        world.edges[edge].put_back(cost, counted_at, now);
                    }
                }
                Step::Wait(ms) => world.owner.driver.pass(ms),
                Step::Crash(edge) => world.edges[edge] = Tokens::new(world.policy),
            }
        }
        let held = 3 * world.policy.lease_tokens();
        for (first, (from, _)) in admitted.iter().enumerate() {
            let mut sum = 0;
            for (at, cost) in &admitted[first..] {
                if world.policy.algorithm == Algorithm::SlidingWindow && *at >= from + 1_000 {
                    break;
                }
                sum += cost;
                prop_assert!(sum <= most(&world.policy, at - from) + held, "{sum} in {} ms", at - from);
            }
        }
    }
}

#[test]
fn an_edge_asks_once_a_lease() {
    let mut world = World::new(1, policy(Algorithm::SlidingWindow, 16 * LEASES_MIN, 60_000));
    for _ in 0..16 * LEASES_MIN {
        assert!(world.take(0, 1).is_some());
    }
    assert_eq!(world.asked as u64, LEASES_MIN);
    assert!(world.take(0, 1).is_none());
}

/// All of it, and not more: what edges hold was counted.
#[test]
fn edges_share_one_limit() {
    let mut world = World::new(3, policy(Algorithm::SlidingWindow, 160, 60_000));
    let admitted = (0..600).filter(|turn| world.take(turn % 3, 1).is_some()).count();
    assert_eq!(admitted, 160);
}

#[test]
fn a_refusal_is_kept_for_a_while_and_only_for_as_much() {
    let mut world = World::new(1, policy(Algorithm::SlidingWindow, 100, 60_000));
    assert!(world.take(0, 98).is_some());
    assert!(world.take(0, 3).is_none());
    let asked = world.asked;
    assert!(world.take(0, 3).is_none());
    assert_eq!(world.asked, asked, "it says no by itself");
    assert!(world.take(0, 2).is_some(), "less may fit");
    assert!(world.take(0, 1).is_none());
    let reset = vec![check(world.policy, "key", 0)];
    world.owner.ask(reset, Action::Reset).unwrap();
    world.owner.driver.pass(REFUSED_MS_MAX);
    assert!(world.take(0, 1).is_some());
}

#[test]
fn tokens_lapse_and_another_policy_takes_them_away() {
    let mut world = World::new(1, policy(Algorithm::SlidingWindow, 160, 1_000));
    world.take(0, 1).unwrap();
    assert!(!world.edges[0].is_idle(world.now()));
    world.owner.driver.pass(1_000);
    assert!(world.edges[0].is_idle(world.now()));
    let asked = world.asked;
    world.take(0, 1).unwrap();
    assert_eq!(world.asked, asked + 1, "what it had is too old");
    world.policy.quantity = 320;
    world.take(0, 1).unwrap();
    assert_eq!(world.asked, asked + 2);
}

#[test]
fn what_was_put_back_is_taken_again() {
    let mut world = World::new(1, policy(Algorithm::SlidingWindow, 160, 1_000));
    let counted_at = world.take(0, 4).unwrap();
    let now = world.now();
    world.edges[0].put_back(4, counted_at, now);
    for _ in 0..10 {
        world.take(0, 1).unwrap();
    }
    assert_eq!(world.asked, 1);
}

/// The worst there is: edges keep all they can until the period that it was counted in is over.
#[test]
fn what_edges_held_back_is_the_over_admission() {
    let mut world = World::new(3, policy(Algorithm::SlidingWindow, 160, 6_400));
    let lease = world.policy.lease_tokens();
    (0..3).for_each(|edge| _ = world.take(edge, 1).unwrap());
    world.owner.driver.pass(6_399);
    let held_back = (0..3 * lease).filter(|turn| world.take((turn % 3) as usize, 1).is_some());
    assert_eq!(held_back.count() as u64, 3 * (lease - 1) + 3, "and three that were counted now");
    // The period that begins with them goes on.
    world.owner.driver.pass(6_399 - 100);
    let rest = (0..600).filter(|turn| world.take(turn % 3, 1).is_some()).count() as u64;
    let over = 3 * lease + rest - world.policy.quantity;
    assert!(over > 0 && over <= 3 * lease, "{over}");
    assert_eq!(over, 3 * (lease - 1));
}

/// Who waits as long as it was told has waited long enough, also where the owner was asked for less.
#[test]
fn a_refusal_is_no_answer_for_another_cost() {
    let mut world = World::new(1, Policy::gcra(10, 10_000, 9));
    assert!(world.take(0, 10).is_some());
    let asked = world.asked;
    assert!(world.take(0, 1).is_none());
    assert!(world.take(0, 5).is_none());
    assert_eq!(world.asked, asked + 2);
    let now = world.now();
    let Local::Decided { result, .. } = world.edges[0].take(&world.policy, 5, now) else {
        panic!("it was just refused")
    };
    assert_eq!(result.retry_after_ns, Some(5_000_000_000));
}

#[test]
fn a_refusal_says_what_is_left_here() {
    let mut world = World::new(2, policy(Algorithm::SlidingWindow, 64, 60_000));
    assert!(world.take(0, 2).is_some(), "two are left of its lease");
    assert!(world.take(1, 60).is_some());
    let now = world.now();
    // By the owner, and then by itself.
    for _ in 0..2 {
        assert!(world.take(0, 3).is_none());
    }
    let Local::Decided { result, .. } = world.edges[0].take(&world.policy, 3, now) else {
        panic!("it was just refused")
    };
    assert_eq!(result.remaining, 2);
}

#[test]
fn what_is_more_than_may_come_at_once_never_fits() {
    let mut world = World::new(1, Policy::gcra(1_000, 1_000, 31));
    assert!(world.take(0, 1).is_some());
    world.owner.driver.pass(100);
    // One is left here, and the owner has 32.
    assert!(world.take(0, 33).is_none());
    assert!(world.take(0, 32).is_some());
}
