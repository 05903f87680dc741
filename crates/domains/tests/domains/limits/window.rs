//! The sliding window against a log of everything that it admitted.

use evenkeel_domains::limits::{SUB_WINDOWS, Window};
use evenkeel_engine::Time;
use proptest::prelude::*;

const START_MS: u64 = 1_700_000_000_003;

#[derive(Debug, Clone)]
enum Step {
    Check(u64),
    /// Of the check this many before, so many units.
    Refund(usize, u64),
}

fn steps() -> impl Strategy<Value = (u64, u64, Vec<(u64, Step)>)> {
    let period_ms = prop_oneof![1..200_u64, 1_000..5_000_u64, Just(60_000)];
    (period_ms, 1..40_u64).prop_flat_map(|(period_ms, quantity)| {
        let wait = prop_oneof![
            4 => 0..=period_ms / 8 + 1,
            1 => period_ms.saturating_sub(2)..=period_ms + 2,
            1 => 0..=period_ms * 2,
        ];
        let step = prop_oneof![
            5 => (1..=quantity / 3 + 2).prop_map(Step::Check),
            1 => (1..5_usize, 1..6_u64).prop_map(|(back, units)| Step::Refund(back, units)),
        ];
        (Just(period_ms), Just(quantity), proptest::collection::vec((wait, step), 1..150))
    })
}

/// Units of `log` in (`after`, `to`].
fn between(log: &[(u64, u64)], after: u64, to: u64) -> u64 {
    log.iter().filter(|(at, _)| (after + 1..=to).contains(at)).map(|(_, units)| units).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Never more than the quantity in any period; refused only if it would be too much for a period
    /// that is one sub-window longer. What was given back was never there.
    #[test]
    fn a_window_is_exact_above_and_close_below((period_ms, quantity, steps) in steps()) {
        let mut now = START_MS;
        let mut window = Window::new(period_ms, Time(now));
        let mut log: Vec<(u64, u64)> = Vec::new();
        for (wait_ms, step) in steps {
            now += wait_ms;
            window = window.taken_over(period_ms, Time(now));
            match step {
                Step::Check(cost) => {
                    let result = window.check(quantity, period_ms, Time(now), cost);
                    // Rounded up to what record time can tell.
                    let longer_ms = period_ms + period_ms.div_ceil(SUB_WINDOWS);
                    let longer = between(&log, now - longer_ms - 1, now);
                    if result.allowed {
                        log.push((now, cost));
                    } else {
                        prop_assert!(longer + cost > quantity, "{longer} + {cost}");
                        prop_assert_eq!(result.retry_after_ns.is_some(), cost <= quantity);
                    }
                    prop_assert!(between(&log, now - period_ms, now) <= quantity);
                    // Figures, tried by asking again.
                    let remaining = result.remaining;
                    prop_assert!(window.clone().check(quantity, period_ms, Time(now), remaining).allowed);
                    prop_assert!(!window.clone().check(quantity, period_ms, Time(now), remaining + 1).allowed);
                    if let Some(wait_ns) = result.retry_after_ns {
                        let at = |ms: u64| {
                            window.clone().taken_over(period_ms, Time(ms)).check(quantity, period_ms, Time(ms), cost)
                        };
                        let then = now + wait_ns / 1_000_000;
                        prop_assert!(at(then).allowed && !at(then - 1).allowed);
                    }
                    let full = now + result.reset_after_ns / 1_000_000;
                    prop_assert!(window.is_idle(Time(full)));
                    prop_assert!(full == now || !window.is_idle(Time(full - 1)));
                }
                Step::Refund(back, units) => {
                    let Some(index) = log.len().checked_sub(back) else { continue };
                    let units = units.min(log[index].1);
                    window.refund(period_ms, units, Time(log[index].0));
                    log[index].1 -= units;
                }
            }
        }
        // Any period, not only those that end with a request.
        for (at, _) in &log {
            prop_assert!(between(&log, at - period_ms, *at) <= quantity);
            prop_assert!(between(&log, at - 1, at + period_ms - 1) <= quantity);
        }
    }

    /// A policy with another period: what was counted is never taken for older than it is.
    #[test]
    fn a_window_of_another_length_forgets_nothing_too_soon(
        periods in proptest::collection::vec(prop_oneof![1..3_000_u64, 60_000..300_000_u64], 2..5),
        counts in proptest::collection::vec(
            (prop_oneof![2 => 0..400_u64, 1 => 0..70_000_u64], 1..5_u64), 1..40,
        ),
    ) {
        let mut now = START_MS;
        let mut window = Window::new(periods[0], Time(now));
        let mut log = Vec::new();
        let mut shortest = periods[0];
        for (number, (wait_ms, cost)) in counts.into_iter().enumerate() {
            now += wait_ms;
            let period_ms = periods[number % periods.len()];
            shortest = shortest.min(period_ms);
            window = window.taken_over(period_ms, Time(now));
            window.check(u64::MAX, period_ms, Time(now), cost);
            log.push((now, cost));
            // All that no period has forgotten.
            let counted = u64::MAX - window.clone().check(u64::MAX, period_ms, Time(now), 0).remaining;
            prop_assert!(counted >= between(&log, now - shortest, now));
        }
    }
}
