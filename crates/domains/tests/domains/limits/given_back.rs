//! Units given back by who does not say when they were counted.

use super::{Limits, check, policy};
use evenkeel_domains::limits::{Action, Algorithm, Policy, Reply};
use proptest::prelude::*;

const PERIOD_MS: u64 = 6_400;
const QUANTITY: u64 = 10;

/// Gives `units` back; what then remains.
fn give_back(limits: &mut Limits, policy: Policy, units: u64) -> u64 {
    let given = limits.ask(vec![check(policy, "k", units)], Action::GiveBack);
    let Ok(Reply::Changed(left)) = given else { panic!("{given:?}") };
    left[0].remaining
}

proptest! {
    /// Units of the last period, any of them, are given back at any time: net of those, never more
    /// than the policy in any period, and all of them can be used again.
    #[test]
    fn what_is_given_back_lets_no_more_in(
        steps in proptest::collection::vec((0..3_000_u64, 1..5_u64, 0..6_usize), 1..80),
    ) {
        let window = policy(Algorithm::SlidingWindow, QUANTITY, PERIOD_MS);
        let mut limits = Limits::new();
        let mut log: Vec<(u64, u64)> = Vec::new();
        for (wait_ms, units, back) in steps {
            limits.driver.pass(wait_ms);
            let now = limits.driver.now.0;
            let recent = |(at, counted): &(u64, u64)| at + PERIOD_MS > now && *counted > 0;
            let index = log.len().checked_sub(back).filter(|at| log.get(*at).is_some_and(recent));
            if let Some((_, counted)) = index.and_then(|index| log.get_mut(index)) {
                let units = units.min(*counted);
                let before = limits.peek(check(window, "k", 0)).remaining;
                prop_assert_eq!(give_back(&mut limits, window, units), before + units);
                *counted -= units;
            } else if limits.check(vec![check(window, "k", units)]).is_ok() {
                log.push((now, units));
            }
        }
        for (from, (began, _)) in log.iter().enumerate() {
            let within = log[from..].iter().take_while(|(at, _)| *at < began + PERIOD_MS);
            prop_assert!(within.map(|(_, units)| units).sum::<u64>() <= QUANTITY);
        }
    }
}

#[test]
fn no_more_is_given_back_than_is_counted() {
    let window = policy(Algorithm::SlidingWindow, QUANTITY, PERIOD_MS);
    let mut limits = Limits::new();
    assert_eq!(give_back(&mut limits, window, 3), QUANTITY, "there was nothing");
    limits.check(vec![check(window, "k", 4)]).unwrap();
    assert_eq!((give_back(&mut limits, window, 1), limits.rows()), (7, [1, 0]));
    assert_eq!((give_back(&mut limits, window, u64::MAX), limits.rows()), (QUANTITY, [0, 0]));
}

#[test]
fn gcra_gives_nothing_back_without_a_time() {
    let gcra = Policy::gcra(1, 1_000, 4);
    let mut limits = Limits::new();
    limits.check(vec![check(gcra, "k", 4)]).unwrap();
    assert_eq!(give_back(&mut limits, gcra, 4), 1);
}
