//! GCRA against a second implementation, against what it promises, and at the ends of its numbers.

use evenkeel_domains::limits::{Policy, PolicyError, Rate};
use governor::{
    Quota, RateLimiter,
    clock::{Clock, FakeRelativeClock},
};
use proptest::prelude::*;
use std::{num::NonZeroU32, time::Duration};

const MS: u64 = 1_000_000;

/// A policy, and requests: milliseconds since the one before, and cost.
fn requests() -> impl Strategy<Value = (Policy, Vec<(u64, u32)>)> {
    let policy = (1..200_u64, 1..100_000_u64, 0..50_u64)
        .prop_map(|(quantity, period_ms, burst)| Policy::gcra(quantity, period_ms, burst));
    policy.prop_flat_map(|policy| {
        // Waits of about what a few units take to come back, so that both answers are common.
        let wait_ms = 0..=(policy.period_ms / policy.quantity).saturating_mul(4).max(2);
        let cost = prop_oneof![6 => 1..4_u32, 1 => 1..60_u32];
        (Just(policy), proptest::collection::vec((wait_ms, cost), 1..200))
    })
}

/// What a policy admits of `requests`: the time and cost of each that it does.
fn admitted(policy: &Policy, requests: &[(u64, u32)]) -> Vec<(u64, u64)> {
    let (rate, mut tat_ns, mut now_ms, mut admitted) = (Rate::of(policy), 0, START_MS, Vec::new());
    for (wait_ms, cost) in requests {
        now_ms += wait_ms;
        let (result, tat) = rate.check(tat_ns, now_ms * MS, u64::from(*cost));
        tat_ns = tat;
        if result.allowed {
            admitted.push((now_ms, u64::from(*cost)));
        }
    }
    admitted
}

const START_MS: u64 = 1_700_000_000_000;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn gcra_agrees_with_governor((policy, requests) in requests()) {
        let interval = Duration::from_nanos((policy.period_ms * MS).div_ceil(policy.quantity));
        let capacity = u32::try_from(policy.burst + 1).unwrap();
        let quota = Quota::with_period(interval).unwrap();
        let quota = quota.allow_burst(NonZeroU32::new(capacity).unwrap());
        let clock = FakeRelativeClock::default();
        let theirs = RateLimiter::direct_with_clock(quota, clock.clone());
        let (rate, mut tat_ns, mut now_ms) = (Rate::of(&policy), 0, START_MS);
        for (wait_ms, cost) in requests {
            clock.advance(Duration::from_millis(wait_ms));
            now_ms += wait_ms;
            let theirs = theirs.check_n(NonZeroU32::new(cost).unwrap());
            let (ours, tat) = rate.check(tat_ns, now_ms * MS, u64::from(cost));
            tat_ns = tat;
            let wait = match theirs {
                Ok(Ok(())) => Some(0),
                Ok(Err(not_until)) => Some(not_until.wait_time_from(clock.now()).as_nanos()),
                Err(_) => None,
            };
            prop_assert_eq!(ours.allowed, wait == Some(0));
            prop_assert_eq!(
                ours.retry_after_ns.map(u128::from),
                wait.filter(|wait| *wait > 0),
                "what never fits has no time to try again"
            );
        }
    }

    /// In any stretch of time: what comes at once, and the quantity for each period.
    #[test]
    fn gcra_admits_no_more_than_the_policy((policy, requests) in requests()) {
        let admitted = admitted(&policy, &requests);
        for (from, (began_ms, _)) in admitted.iter().enumerate() {
            let mut units = 0;
            for (at_ms, cost) in &admitted[from..] {
                units += cost;
                let back = (at_ms - began_ms) * policy.quantity / policy.period_ms;
                prop_assert!(units <= policy.burst + 1 + back);
            }
        }
    }

    /// Each figure of an answer is true: tried by asking again.
    #[test]
    fn gcra_answers_come_true((policy, requests) in requests(), cost in 1..60_u64) {
        let (rate, mut tat_ns, mut now_ns) = (Rate::of(&policy), 0, START_MS * MS);
        for (wait_ms, cost) in requests {
            now_ns += wait_ms * MS;
            tat_ns = rate.check(tat_ns, now_ns, u64::from(cost)).1;
        }
        let (stands, _) = rate.check(tat_ns, now_ns, 0);
        prop_assert_eq!(stands.quantity, policy.burst + 1);
        prop_assert!(rate.check(tat_ns, now_ns, stands.remaining).0.allowed);
        prop_assert!(!rate.check(tat_ns, now_ns, stands.remaining + 1).0.allowed);
        let (asked, counted) = rate.check(tat_ns, now_ns, cost);
        prop_assert_eq!(asked.retry_after_ns.is_some(), !asked.allowed && cost <= stands.quantity);
        if let Some(wait_ns) = asked.retry_after_ns {
            prop_assert_eq!(counted, tat_ns, "a refusal counts nothing");
            prop_assert!(rate.check(tat_ns, now_ns + wait_ns, cost).0.allowed);
            prop_assert!(!rate.check(tat_ns, now_ns + wait_ns - 1, cost).0.allowed);
        }
        let full_ns = now_ns + asked.reset_after_ns;
        prop_assert_eq!(rate.check(counted, full_ns, 0).0.remaining, stands.quantity);
        if asked.reset_after_ns > 0 {
            prop_assert!(rate.check(counted, full_ns - 1, 0).0.remaining < stands.quantity);
        }
    }

    /// Any numbers: an answer, never a panic, and never a unit beyond capacity.
    #[test]
    fn gcra_bears_all_numbers(
        quantity in any::<u64>(), period_ms in any::<u64>(), burst in any::<u64>(),
        tat_ns in any::<u64>(), now_ns in any::<u64>(), cost in any::<u64>(), counted in any::<u64>(),
        extreme in 0..64_u32,
    ) {
        let pick = |bit: u32, value: u64| {
            if extreme >> bit & 1 == 1 { [0, 1, u64::MAX][(value % 3) as usize] } else { value }
        };
        let policy = Policy::gcra(pick(0, quantity), pick(1, period_ms), pick(2, burst));
        let rate = if extreme % 2 == 0 { Rate::of(&policy) } else { Rate::throttle(&policy) };
        let (tat_ns, now_ns, cost) = (pick(3, tat_ns), pick(4, now_ns), pick(5, cost));
        let (result, counted_tat) = rate.check(tat_ns, now_ns, cost);
        prop_assert!(!result.allowed || cost <= result.quantity);
        prop_assert!(result.remaining <= result.quantity);
        prop_assert!(counted_tat >= tat_ns || tat_ns < now_ns);
        let refunded = rate.refund(counted_tat, now_ns, cost, counted);
        prop_assert!(refunded <= counted_tat.max(now_ns));
    }
}

/// A check's units, given back at once: as if they had never been counted. Later: no less than if.
#[test]
fn gcra_gives_back_no_more_than_is_left() {
    let rate = Rate::of(&Policy::gcra(10, 10_000, 9));
    let now = START_MS * MS;
    let (_, before) = rate.check(0, now, 4);
    let (_, after) = rate.check(before, now, 3);
    assert_eq!(rate.refund(after, now, 3, now), before);
    // 2 of the 3 have come back by themselves.
    let later = now + 2_000 * MS;
    assert_eq!(rate.refund(after, later, 3, now), after - 1_000 * MS);
    assert_eq!(rate.refund(after, now + 3_000 * MS, 3, now), after, "nothing is left of them");
    assert_eq!(rate.refund(after, now, 100, now), now, "never beyond full");
}

/// The arguments of CL.THROTTLE and what it answers, in seconds that round up.
#[test]
fn throttle_is_the_arithmetic_of_redis_cell() {
    let seconds = |ns: u64| ns.div_ceil(1_000_000_000);
    let rate = Rate::throttle(&Policy::throttle(15, 30, 60).unwrap());
    let now = START_MS * MS;
    let mut tat = 0;
    let mut ask = |after_ms: u64, quantity: u64| {
        let (result, next) = rate.check(tat, now + after_ms * MS, quantity);
        tat = next;
        let retry = result.retry_after_ns.map_or(-1, |ns| i64::try_from(seconds(ns)).unwrap());
        let reset = seconds(result.reset_after_ns);
        (u8::from(!result.allowed), result.quantity, result.remaining, retry, reset)
    };
    assert_eq!(ask(0, 1), (0, 16, 15, -1, 2));
    assert_eq!(ask(0, 15), (0, 16, 0, -1, 32));
    assert_eq!(ask(0, 1), (1, 16, 0, 2, 32));
    assert_eq!(ask(500, 0), (0, 16, 0, -1, 32), "31.5 s round up; nothing is asked for");
    assert_eq!(ask(1_500, 2), (1, 16, 0, 3, 31), "2.5 s until two are back");
    assert_eq!(ask(2_000, 17), (1, 16, 1, -1, 30), "more than there ever is");
    assert_eq!(ask(2_000, 1), (0, 16, 0, -1, 32));
    assert_eq!(ask(2_000_000, 16), (0, 16, 0, -1, 32), "idle, then all at once");
    // A third of a second, cut to whole nanoseconds: three of them are not more than one second.
    let rate = Rate::throttle(&Policy::throttle(2, 3, 1).unwrap());
    assert_eq!(seconds(rate.check(0, now, 3).0.reset_after_ns), 1);
}

/// A rate whose interval is no whole number of nanoseconds: a second of it, in as many requests.
#[test]
fn an_interval_is_not_cut_short() {
    let policy = Policy::gcra(600_001, 1_000, 0);
    policy.check().unwrap();
    let (rate, mut now_ns, mut tat_ns, mut units) = (Rate::of(&policy), START_MS * MS, 0, 0);
    let until = now_ns + 1_000 * MS;
    while now_ns < until {
        let (result, next) = rate.check(tat_ns, now_ns, 1);
        assert!(result.allowed);
        (tat_ns, units) = (next, units + 1);
        now_ns += rate.check(tat_ns, now_ns, 1).0.retry_after_ns.unwrap();
    }
    assert!((600_001 * 999 / 1_000..=600_001).contains(&units), "{units}");
}

#[test]
fn policies_that_are_not_legal() {
    let gcra = |quantity, period_ms, burst| Policy::gcra(quantity, period_ms, burst).check();
    assert_eq!(gcra(1, 1, 0), Ok(()));
    assert_eq!(gcra(1_000_000_000, 1_000, 0), Ok(()), "one a nanosecond, exactly");
    assert_eq!(gcra(999_999_937, 1_000, 0), Err(PolicyError::TooFine));
    assert_eq!(gcra(1, 366 * 24 * 3_600_000, 1_000), Err(PolicyError::Refill));
    assert_eq!(gcra(1, 366 * 24 * 3_600_000 + 1, 0), Err(PolicyError::Period));
    assert!(matches!(gcra(0, 1, 0), Err(PolicyError::Quantity { .. })));
    assert_eq!(Policy::throttle(0, 0, 1), Err(PolicyError::ZeroRate));
    assert_eq!(Policy::throttle(0, 1, 0), Err(PolicyError::ZeroRate));
    assert_eq!(Policy::throttle(0, -1, 1), Err(PolicyError::ZeroRate));
    assert_eq!(Policy::throttle(0, i64::MAX, 1), Err(PolicyError::ZeroRate));
    assert_eq!(Policy::throttle(-1, 1, 1), Err(PolicyError::Burst));
    assert_eq!(Policy::throttle(i64::MAX, 1, 1), Err(PolicyError::Refill));
    assert_eq!(Policy::throttle(0, 1, i64::MAX), Err(PolicyError::Refill));
}
