//! One promise after the other, on a core: ages, bytes, loads, expiries, hot keys.

use evenkeel_cache::{Answer, Core, Loaded, Look, Options, Outcome, Ticket};

type Texts = Core<u32, String, &'static str>;

fn options() -> Options<u32, String> {
    Options {
        fresh_ms: 100,
        absent_ms: 20,
        jitter_permille: 0,
        stale_ms: 200,
        age_ms_max: 400,
        pause_ms: 50,
        ..Options::new(1 << 20, |_, text| text.len() as u64)
    }
}

fn core(options: &Options<u32, String>) -> Texts {
    Core::new(options.clone(), 1)
}

#[track_caller]
fn load(core: &mut Texts, key: u32, now_ms: u64) -> Ticket<u32> {
    match core.look(&key, now_ms, u64::MAX) {
        Look::Load(ticket) => ticket,
        other => panic!("{other:?}"),
    }
}

fn finish(core: &mut Texts, ticket: Ticket<u32>, value: Option<&str>, as_of: u64, now_ms: u64) {
    core.finish(ticket, Ok(&Loaded { value: value.map(str::to_owned), as_of }), now_ms);
}

#[track_caller]
fn fill(core: &mut Texts, key: u32, value: Option<&str>, now_ms: u64) {
    let ticket = load(core, key, now_ms);
    finish(core, ticket, value, 0, now_ms);
}

/// What a look finds: its age, where it is from, and whether it is to be loaded again.
#[track_caller]
fn found(
    core: &mut Texts,
    key: u32,
    now_ms: u64,
    bound_ms: u64,
) -> (u64, Outcome, Option<Ticket<u32>>) {
    match core.look(&key, now_ms, bound_ms) {
        Look::Found(Answer { age_ms, outcome, .. }, ticket) => (age_ms, outcome, ticket),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_value_is_fresh_then_stale_then_for_want_of_better_then_gone() {
    let mut core = core(&options());
    // Its age counts from when its load began, 30 ms before it ended.
    let ticket = load(&mut core, 1, 1_000);
    finish(&mut core, ticket, Some("one"), 0, 1_030);
    assert!(matches!(found(&mut core, 1, 1_099, u64::MAX), (99, Outcome::Hit, None)));
    let (age_ms, outcome, ticket) = found(&mut core, 1, 1_150, u64::MAX);
    assert_eq!((age_ms, outcome), (150, Outcome::Stale));
    // Others have it meanwhile, without loading it too.
    assert!(matches!(found(&mut core, 1, 1_160, u64::MAX), (160, Outcome::Stale, None)));
    core.finish(ticket.unwrap(), Err(&"down"), 1_170);
    // For a while nothing is loaded, and what is there serves, within the bound and no further.
    assert!(matches!(found(&mut core, 1, 1_219, 219), (219, Outcome::StaleOnError, None)));
    assert!(matches!(core.look(&1, 1_219, 218), Look::Failed("down")));
    // After it the next who asks waits for a load, as it is too old to be served at once.
    let ticket = load(&mut core, 1, 1_220);
    core.finish(ticket, Err(&"still down"), 1_390);
    let in_place = core.in_place(&1, 1_400, u64::MAX).unwrap();
    assert_eq!((in_place.age_ms, in_place.outcome), (400, Outcome::StaleOnError));
    assert_eq!(core.in_place(&1, 1_401, u64::MAX), None);
    assert!(matches!(core.look(&1, 1_401, u64::MAX), Look::Failed("still down")));
    let ticket = load(&mut core, 1, 1_440);
    finish(&mut core, ticket, Some("again"), 0, 1_440);
    assert!(matches!(found(&mut core, 1, 1_440, 0), (0, Outcome::Hit, None)));
}

#[test]
fn an_absence_is_kept_for_less_and_never_served_beyond() {
    let mut core = core(&options());
    fill(&mut core, 1, None, 1_000);
    assert!(matches!(found(&mut core, 1, 1_019, u64::MAX), (19, Outcome::Hit, None)));
    let ticket = load(&mut core, 1, 1_020);
    core.finish(ticket, Err(&"down"), 1_020);
    assert_eq!(core.in_place(&1, 1_020, u64::MAX), None);

    let mut core = Texts::new(Options { absent_ms: 0, ..options() }, 1);
    fill(&mut core, 1, Some("there"), 1_000);
    let ticket = match core.look(&1, 1_010, 0) {
        Look::Load(ticket) => ticket,
        other => panic!("{other:?}"),
    };
    finish(&mut core, ticket, None, 0, 1_010);
    assert_eq!(core.counters().entries, 0, "what is gone is not kept, nor what was there before");
}

#[test]
fn who_asks_for_less_than_there_is_loads() {
    let mut core = core(&options());
    fill(&mut core, 1, Some("one"), 1_000);
    assert!(matches!(found(&mut core, 1, 1_030, 30), (30, Outcome::Hit, None)));
    let Look::Load(ticket) = core.look(&1, 1_030, 29) else { panic!("it is 30 ms old") };
    // A load that began too long ago brings nothing for who looks now; one that is new enough does.
    let Look::Wait(late) = core.look(&1, 1_060, 29) else { panic!("there is a load") };
    let Look::Wait(soon) = core.look(&1, 1_060, 30) else { panic!("there is a load") };
    assert!(!late.admits(u64::MAX) && soon.admits(0));
    finish(&mut core, ticket, Some("one"), 0, 1_070);
    let Look::Load(ticket) = core.look_again(&1, 1_070, 29) else { panic!("it is 40 ms old") };
    let Look::Wait(wait) = core.look_again(&1, 1_200, 0) else { panic!("there is a load") };
    assert!(wait.admits(0), "who looks again waits no third time");
    finish(&mut core, ticket, Some("one"), 0, 1_200);
}

#[test]
fn a_write_overtakes_a_load_that_missed_it_and_no_other() {
    let mut core = core(&options());
    let ticket = load(&mut core, 1, 1_000);
    let Look::Wait(before) = core.look(&1, 1_000, u64::MAX) else { panic!("there is a load") };
    core.invalidate(&1, 7);
    let Look::Wait(after) = core.look(&1, 1_000, u64::MAX) else { panic!("there is a load") };
    assert!(before.admits(6) && !after.admits(6) && after.admits(7));
    finish(&mut core, ticket, Some("old"), 6, 1_010);
    assert_eq!((core.counters().overtaken, core.counters().entries), (1, 0));

    // News of a write that was read already: nothing goes.
    let ticket = load(&mut core, 1, 1_010);
    core.invalidate(&1, 8);
    finish(&mut core, ticket, Some("new"), 8, 1_010);
    core.invalidate(&1, 8);
    assert_eq!((core.counters().overtaken, core.counters().entries), (1, 1));
    core.invalidate(&1, 9);
    assert_eq!((core.counters().invalidated, core.counters().entries), (1, 0));

    // Everything goes, also what is being loaded.
    fill(&mut core, 2, Some("two"), 1_010);
    let ticket = load(&mut core, 1, 1_010);
    core.clear();
    finish(&mut core, ticket, Some("one"), 100, 1_010);
    assert_eq!((core.counters().overtaken, core.counters().entries), (2, 0));
}

#[test]
fn loads_are_bounded() {
    let mut core = core(&Options { loads_max: 2, ..options() });
    fill(&mut core, 1, Some("one"), 1_000);
    let (two, _three) = (load(&mut core, 2, 1_150), load(&mut core, 3, 1_150));
    assert!(matches!(core.look(&4, 1_150, u64::MAX), Look::Full));
    assert!(matches!(core.look(&3, 1_150, u64::MAX), Look::Wait(_)), "no load more");
    assert!(matches!(found(&mut core, 1, 1_150, u64::MAX), (150, Outcome::StaleOnError, None)));
    finish(&mut core, two, None, 0, 1_150);
    assert!(matches!(found(&mut core, 1, 1_150, u64::MAX), (150, Outcome::Stale, Some(_))));
}

#[test]
fn bytes_are_bounded_whatever_comes() {
    let capacity_bytes = 64 * 1_024;
    let mut core = core(&Options { capacity_bytes, ..options() });
    let mut random = fastrand::Rng::with_seed(5);
    for now_ms in 1_000..21_000 {
        let key = random.u32(..500);
        if let Look::Load(ticket) = core.look(&key, now_ms, u64::MAX) {
            let bytes = random.usize(..4_000);
            match random.u8(..10) {
                0 => core.finish(ticket, Err(&"down"), now_ms),
                1 => finish(&mut core, ticket, None, 0, now_ms),
                _ => finish(&mut core, ticket, Some(&"x".repeat(bytes)), 0, now_ms),
            }
        }
        let counters = core.counters();
        assert!(counters.bytes <= capacity_bytes, "{counters:?}");
    }
    let counters = core.counters();
    assert!(counters.evicted > 1_000 && counters.bytes > capacity_bytes / 2, "{counters:?}");
    // What is too large is not kept, and what it replaces is gone.
    let mut core = Texts::new(Options { capacity_bytes, ..options() }, 1);
    fill(&mut core, 1, Some("small"), 1_000);
    fill(&mut core, 1, Some(&"x".repeat(64 * 1_024)), 2_000);
    assert_eq!((core.counters().entries, core.counters().evicted), (0, 1));
}

#[test]
fn what_is_replaced_has_not_made_room() {
    let mut core = core(&options());
    (0..100).for_each(|time| fill(&mut core, 1, Some("text"), 10_000 * (time + 1)));
    assert_eq!((core.counters().entries, core.counters().evicted), (1, 0));
}

/// When each of a thousand values that were loaded together ceases to be fresh.
fn expiries(seed: u64) -> Vec<u64> {
    let options = Options { jitter_permille: 100, fresh_ms: 1_000, age_ms_max: 2_000, ..options() };
    let mut core = Texts::new(options, seed);
    (0..1_000).for_each(|key| fill(&mut core, key, Some("text"), 5_000));
    let fresh = |core: &mut Texts, key, now_ms| matches!(core.look(&key, now_ms, u64::MAX), Look::Found(answer, _) if answer.outcome == Outcome::Hit);
    (0..1_000).map(|key| (5_000..).find(|ms| !fresh(&mut core, key, *ms)).unwrap()).collect()
}

#[test]
fn what_was_loaded_together_expires_apart() {
    let at = expiries(1);
    assert!(at.iter().all(|ms| (5_900..=6_000).contains(ms)));
    for tenth in (5_900..6_000).step_by(10) {
        let count = at.iter().filter(|ms| (tenth..tenth + 10).contains(*ms)).count();
        assert!((60..150).contains(&count), "{count} of 1,000 expire in a tenth of the time");
    }
    assert_eq!(at, expiries(1), "the same seed, the same expiries");
    assert_ne!(at, expiries(2));
}

#[test]
fn hot_keys_are_recognised_and_forgotten() {
    let mut core = core(&options());
    let mut random = fastrand::Rng::with_seed(9);
    let mut read = |core: &mut Texts, from_ms: u64, hot: &[u32]| {
        for at in 0..100_000 {
            let rare = random.u32(1_000..100_000);
            let key = match random.u32(..100) {
                0..20 => hot.first().copied().unwrap_or(rare),
                20..24 => hot.get(1).copied().unwrap_or(rare),
                _ => rare,
            };
            let now_ms = from_ms + at / 100;
            if let Look::Load(ticket) = core.look(&key, now_ms, u64::MAX) {
                finish(core, ticket, Some("text"), 0, now_ms);
            }
        }
        core.hot(from_ms + 1_000)
    };
    let hot = read(&mut core, 1_000, &[7, 8]);
    assert_eq!(hot.iter().map(|hot| hot.key).collect::<Vec<_>>(), [7, 8]);
    assert!((0.17..0.22).contains(&hot[0].share), "{hot:?}");
    assert!((0.02..0.05).contains(&hot[1].share), "{hot:?}");
    assert_eq!(read(&mut core, 100_000, &[]), []);
}
