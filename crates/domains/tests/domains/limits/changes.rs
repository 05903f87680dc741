//! Policies that change while they are in use: what was counted stays counted, and nothing that was on
//! its way admits more than one of the two policies would.

use super::{Limits, check, policy};
use evenkeel_domains::limits::{Action, Algorithm, CheckResult, Policy, Reply, TAKEN_OVER_MS};
use evenkeel_engine::Time;
use proptest::prelude::*;

const HOUR_MS: u64 = 3_600_000;
const MINUTE_MS: u64 = 60_000;

fn remaining(results: &[CheckResult]) -> Vec<u64> {
    results.iter().map(|result| result.remaining).collect()
}

fn refund(limits: &mut Limits, policy: Policy, units: u64, counted_at: Time) -> u64 {
    let checks = vec![check(policy, "k", units)];
    let Ok(Reply::Changed(results)) = limits.ask(checks, Action::Refund { counted_at }) else {
        panic!("a refund is answered")
    };
    results[0].remaining
}

/// What was counted under one policy counts under the next.
#[test]
fn a_policy_changes_and_nothing_is_forgotten() {
    let mut limits = Limits::new();
    let (slow, fast) = (Policy::gcra(1, 24 * HOUR_MS, 1), Policy::gcra(1, 1_000, 1));
    limits.check(vec![check(slow, "k", 2)]).unwrap();
    let refused = limits.check(vec![check(fast, "k", 1)]).unwrap_err();
    assert_eq!(refused[0].retry_after_ns, Some(1_000_000_000), "used up, as the new one sees it");
    let small = policy(Algorithm::SlidingWindow, 3, HOUR_MS);
    limits.check(vec![check(small, "w", 3)]).unwrap();
    let large = policy(Algorithm::SlidingWindow, 5, 2 * HOUR_MS);
    assert_eq!(remaining(&limits.check(vec![check(large, "w", 1)]).unwrap()), [1]);
}

/// Units stay used, whatever the intervals are: no more fit at once, and none less.
#[test]
fn a_change_keeps_units() {
    let (fast, slow) = (Policy::gcra(100, MINUTE_MS, 20), Policy::gcra(1, MINUTE_MS, 20));
    for waited_ms in [0, TAKEN_OVER_MS] {
        for (before, after) in [(fast, slow), (slow, fast)] {
            let mut limits = Limits::new();
            limits.check(vec![check(before, "k", 1)]).unwrap();
            limits.driver.pass(waited_ms);
            limits
                .check(vec![check(before, "k", limits.peek(check(before, "k", 0)).remaining)])
                .unwrap();
            let refused = limits.check(vec![check(after, "k", 1)]).unwrap_err();
            let interval_ns = after.period_ms * 1_000_000 / after.quantity;
            assert_eq!((refused[0].remaining, refused[0].retry_after_ns), (0, Some(interval_ns)));
            assert_eq!(limits.peek(check(after, "k", 0)).reset_after_ns, 21 * interval_ns);
        }
    }
}

/// Nobody is locked out by the interval of a policy that is gone: refused once, the key comes back as the
/// new one has it.
#[test]
fn a_faster_policy_takes_over_with_a_refusal() {
    let (slow, fast) = (Policy::gcra(1, 24 * HOUR_MS, 1), Policy::gcra(1, 1_000, 1));
    let mut limits = Limits::new();
    limits.check(vec![check(slow, "k", 2)]).unwrap();
    limits.driver.pass(TAKEN_OVER_MS);
    let refused = limits.check(vec![check(fast, "k", 1)]).unwrap_err();
    let wait_ns = refused[0].retry_after_ns.unwrap();
    assert!(wait_ns <= 1_000_000_000, "{wait_ns}");
    limits.driver.pass(wait_ns.div_ceil(1_000_000));
    limits.check(vec![check(fast, "k", 1)]).unwrap();
    let long = policy(Algorithm::SlidingWindow, 1, 24 * HOUR_MS);
    let short = policy(Algorithm::SlidingWindow, 1, 1_000);
    limits.check(vec![check(long, "w", 1)]).unwrap();
    limits.driver.pass(TAKEN_OVER_MS);
    assert!(limits.check(vec![check(short, "w", 1)]).is_err(), "it may have been just now");
    limits.driver.pass(1_100);
    limits.check(vec![check(short, "w", 1)]).unwrap();
}

/// A minute after a change to less at once, a key that had used more is used up, and no more than that.
#[test]
fn a_smaller_policy_locks_nobody_out_for_long() {
    for smaller in [Policy::gcra(1, HOUR_MS, 0), Policy::gcra(100, 1_000, 0)] {
        let mut limits = Limits::new();
        limits.check(vec![check(Policy::gcra(100, 1_000, 99_999), "k", 100_000)]).unwrap();
        limits.driver.pass(TAKEN_OVER_MS);
        limits.check(vec![check(smaller, "k", 1)]).unwrap_err();
        limits.driver.pass(TAKEN_OVER_MS);
        let refused = limits.check(vec![check(smaller, "k", 1)]).unwrap_err();
        let interval_ns = smaller.period_ms * 1_000_000 / smaller.quantity;
        assert_eq!(refused[0].retry_after_ns, Some(interval_ns));
        limits.driver.pass(interval_ns / 1_000_000);
        limits.check(vec![check(smaller, "k", 1)]).unwrap();
    }
}

/// Checks and refunds of the policy before, which were on their way, take nothing back from what the new
/// one has counted.
#[test]
fn what_was_on_its_way_wipes_nothing_out() {
    let (small, large) = (Policy::gcra(1, 1_000, 0), Policy::gcra(100, HOUR_MS, 99));
    let mut limits = Limits::new();
    limits.check(vec![check(small, "k", 1)]).unwrap();
    let counted_at = limits.driver.now;
    limits.driver.pass(TAKEN_OVER_MS);
    limits.check(vec![check(large, "k", 99)]).unwrap();
    limits.check(vec![check(small, "k", 1)]).unwrap_err();
    for (of, at) in [(small, counted_at), (large, counted_at), (small, limits.driver.now)] {
        refund(&mut limits, of, 1, at);
        assert_eq!(limits.peek(check(large, "k", 0)).remaining, 1);
    }
    let now = limits.driver.now;
    assert_eq!(refund(&mut limits, large, 9, now), 10, "its own come back");
}

/// An hour's worth of a slower policy is not given back for what a faster one has counted and got back.
#[test]
fn a_slower_policy_gives_back_nothing_of_a_faster_one() {
    let (fast, slow) = (Policy::gcra(1, 1_000, 4), Policy::gcra(1, HOUR_MS, 4));
    for gone in [false, true] {
        let mut limits = Limits::new();
        let counted_at = limits.driver.now;
        limits.check(vec![check(fast, "k", 5)]).unwrap();
        limits.driver.pass(TAKEN_OVER_MS);
        if gone {
            limits.ask(vec![check(fast, "k", 0)], Action::Reset).unwrap();
        }
        limits.check(vec![check(slow, "k", 5)]).unwrap();
        assert_eq!(refund(&mut limits, slow, 5, counted_at), 0, "it had come back by itself");
    }
}

/// What a shorter period had let come back is not given back under the longer one, to which the policy was
/// changed again.
#[test]
fn a_longer_window_gives_back_nothing_of_a_shorter_one() {
    let of = |period_ms| policy(Algorithm::SlidingWindow, 5, period_ms);
    let (long, short) = (of(24 * HOUR_MS), of(40_000));
    let mut limits = Limits::new();
    let counted_at = limits.driver.now;
    limits.check(vec![check(long, "k", 5)]).unwrap();
    limits.driver.pass(TAKEN_OVER_MS);
    limits.check(vec![check(short, "k", 5)]).unwrap_err();
    // The sweep comes meanwhile, and finds something each time.
    [30_000, 11_000].into_iter().for_each(|ms| limits.driver.pass(ms));
    assert_eq!(remaining(&limits.check(vec![check(short, "k", 1)]).unwrap()), [4]);
    limits.driver.pass(TAKEN_OVER_MS - 41_000);
    assert_eq!(remaining(&limits.check(vec![check(long, "k", 4)]).unwrap()), [0]);
    assert_eq!(refund(&mut limits, long, 5, counted_at), 0);
    let now = limits.driver.now;
    assert_eq!(refund(&mut limits, long, 1, now), 1);
}

/// A check by the smaller policy that was under way when a larger one had already let more in.
#[test]
fn a_check_that_comes_late_takes_nothing_back() {
    let (small, large) = (Policy::gcra(7, 145_178, 2), Policy::gcra(5, 84_626, 8));
    let mut limits = Limits::new();
    limits.check(vec![check(small, "k", 3)]).unwrap();
    limits.driver.pass(30_000);
    limits.check(vec![check(large, "k", 6)]).unwrap();
    limits.driver.pass(31_000);
    limits.check(vec![check(small, "k", 1)]).unwrap_err();
    limits.check(vec![check(large, "k", 5)]).unwrap_err();
    limits.check(vec![check(large, "k", 2)]).unwrap();
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// So many units, by the policy before the change if that is still possible.
    Check(u64, bool),
    /// Of the check this many before, so many units, by the policy before or after.
    Refund(usize, u64, bool),
}

fn steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
    let wait = prop_oneof![4 => 0..1_500_u64, 1 => 0..40_000_u64, 1 => Just(TAKEN_OVER_MS)];
    let step = prop_oneof![
        4 => (1..12_u64, any::<bool>()).prop_map(|(units, late)| Step::Check(units, late)),
        1 => (1..5_usize, 1..12_u64, any::<bool>())
            .prop_map(|(back, units, before)| Step::Refund(back, units, before)),
    ];
    proptest::collection::vec((wait, step), 2..80)
}

fn policies(algorithm: Algorithm) -> impl Strategy<Value = [Policy; 2]> {
    let one = (1..12_u64, prop_oneof![500..5_000_u64, 60_000..400_000_u64], 0..12_u64);
    let one = one.prop_map(move |(quantity, period_ms, burst)| match algorithm {
        Algorithm::Gcra => Policy::gcra(quantity, period_ms, burst),
        _ => policy(algorithm, quantity, period_ms),
    });
    [one.clone(), one]
}

/// Does `steps`, of which those from the `change`th on are by the second policy, but for some that were on
/// their way: answers times and units of what was admitted and not given back.
fn admitted(policies: [Policy; 2], change: usize, steps: &[(u64, Step)]) -> Vec<(u64, u64)> {
    let mut limits = Limits::new();
    let mut log: Vec<(u64, u64)> = Vec::new();
    let mut changed_at = None;
    for (number, (wait_ms, step)) in steps.iter().enumerate() {
        limits.driver.pass(*wait_ms);
        let now = limits.driver.now;
        if number == change {
            changed_at = Some(now);
        }
        match *step {
            Step::Check(units, late) => {
                let late = changed_at.is_none_or(|at| late && now < at.plus_ms(TAKEN_OVER_MS));
                let policy = policies[usize::from(!late)];
                if limits.check(vec![check(policy, "k", units)]).is_ok() {
                    log.push((now.0, units));
                }
            }
            Step::Refund(back, units, before) => {
                let Some(index) = log.len().checked_sub(back) else { continue };
                let (at, counted) = log[index];
                let units = units.min(counted);
                refund(&mut limits, policies[usize::from(!before)], units, Time(at));
                log[index].1 -= units;
            }
        }
    }
    log
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_change_of_gcra_admits_no_more_than_the_larger(
        policies in policies(Algorithm::Gcra), change in 0..40_usize, steps in steps(),
    ) {
        let at_once = policies.iter().map(|policy| policy.burst + 1).max().unwrap();
        let log = admitted(policies, change, &steps);
        for (from, (began, _)) in log.iter().enumerate() {
            let mut units = 0;
            for (at, cost) in &log[from..] {
                units += cost;
                let back = |policy: &Policy| (at - began) * policy.quantity / policy.period_ms;
                let back = policies.iter().map(back).max().unwrap();
                prop_assert!(units <= at_once + back, "{units} from {began} to {at}");
            }
        }
    }

    #[test]
    fn a_change_of_a_window_admits_no_more_than_the_larger(
        policies in policies(Algorithm::SlidingWindow), change in 0..40_usize, steps in steps(),
    ) {
        let quantity = policies.iter().map(|policy| policy.quantity).max().unwrap();
        let period_ms = policies.iter().map(|policy| policy.period_ms).min().unwrap();
        let log = admitted(policies, change, &steps);
        for (from, (began, _)) in log.iter().enumerate() {
            let within = log[from..].iter().filter(|(at, _)| at - began < period_ms);
            prop_assert!(within.map(|(_, units)| units).sum::<u64>() <= quantity);
        }
    }
}

/// What costs nothing asks only: it is answered, also where more is used than there may be now.
#[test]
fn what_costs_nothing_fits_whatever_is_used() {
    for algorithm in [Algorithm::Gcra, Algorithm::SlidingWindow, Algorithm::Concurrency] {
        let of = |quantity| match algorithm {
            Algorithm::Gcra => Policy::gcra(1, HOUR_MS, quantity - 1),
            _ => policy(algorithm, quantity, HOUR_MS),
        };
        let mut limits = Limits::new();
        limits.check(vec![check(of(9), "k", 9)]).unwrap();
        let asked = limits.check(vec![check(of(3), "k", 0)]).unwrap();
        assert_eq!((asked[0].allowed, asked[0].remaining), (true, 0));
        let refused = limits.check(vec![check(of(3), "k", 1)]).unwrap_err();
        assert!(refused[0].retry_after_ns.is_some(), "it will fit");
    }
}
