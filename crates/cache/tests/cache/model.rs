//! Whatever is asked, written, heard and failed in whatever order: the promises hold, and without them it shows.

use crate::store::{Step, Store};
use evenkeel_cache::{Options, Switches};
use proptest::prelude::*;

fn options(switches: Switches) -> Options<u8, u64> {
    Options {
        fresh_ms: 20,
        absent_ms: 10,
        jitter_permille: 500,
        stale_ms: 40,
        age_ms_max: 80,
        pause_ms: 15,
        switches,
        ..Options::new(1 << 20, |_, _| 0)
    }
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..3_u8;
    let bound_ms = prop_oneof![Just(0), Just(5), Just(30), Just(60), Just(u64::MAX)];
    prop_oneof![
        6 => (key.clone(), bound_ms).prop_map(|(key, bound_ms)| Step::Look { key, bound_ms }),
        1 => any::<usize>().prop_map(|which| Step::Read { which }),
        3 => (any::<usize>(), prop::bool::weighted(0.3))
            .prop_map(|(which, fails)| Step::Finish { which, fails }),
        2 => (key, prop::bool::weighted(0.7))
            .prop_map(|(key, present)| Step::Write { key, present }),
        2 => Just(Step::Hear),
        4 => (0..15_u64).prop_map(|ms| Step::Pass { ms }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() })]

    #[test]
    fn every_answer_is_as_new_as_it_says(steps in prop::collection::vec(step(), 0..200)) {
        let answers = Store::new(options(Switches::default())).run(&steps);
        prop_assert!(answers.is_ok(), "{}", answers.unwrap_err());
    }
}

/// Seeded steps until a promise breaks.
fn broken(switches: Switches) -> String {
    let mut random = fastrand::Rng::with_seed(3);
    let runs = (0..2_000).map(|_| {
        let steps: Vec<Step> = (0..100).map(|_| any_step(&mut random)).collect();
        Store::new(options(switches)).run(&steps)
    });
    runs.filter_map(Result::err).next().unwrap_or_default()
}

fn any_step(random: &mut fastrand::Rng) -> Step {
    let key = random.u8(..3);
    match random.u8(..10) {
        0..=3 => Step::Look { key, bound_ms: [0, 30, u64::MAX][random.usize(..3)] },
        4 => Step::Read { which: random.usize(..) },
        5 => Step::Finish { which: random.usize(..), fails: false },
        6 => Step::Write { key, present: true },
        7 => Step::Hear,
        _ => Step::Pass { ms: random.u64(..5) },
    }
}

#[test]
fn what_is_taken_away_is_missed() {
    assert_eq!(broken(Switches::default()), "");
    let told = broken(Switches { fill_after_invalidate: true, ..Switches::default() });
    assert!(told.contains("older than a write of which the cache had heard"), "{told:?}");
    let told = broken(Switches { no_coalescing: true, ..Switches::default() });
    assert_eq!(told, "two loads of one key at a time");
}
