//! One effect a key, inside its window.

use crate::toy::{Command, Counts, No, Number};
use crate::world::World;
use evenkeel_engine::{Failure, IDEMPOTENCY_ID, Idempotency, Options, Outcome, Request, TenantId};
use evenkeel_state::{Effect, Layer};
use proptest::prelude::*;

const WINDOW_MS: u64 = 1_000;
/// What three keys with small replies take, roughly.
const THREE_KEYS: u64 = 195;

fn key(key: u8) -> Idempotency {
    Idempotency { path: 1, key: [key; 16], fingerprint: [0; 16], window_ms: WINDOW_MS }
}

#[test]
fn a_repeat_is_answered_and_not_done() {
    let mut world = World::new(Options::default());
    let first = world.ask_keyed(Command::Count(1), key(1));
    assert_eq!((first.outcome, first.delivered.replayed), (Ok(1), false));
    let again = world.ask_keyed(Command::Count(1), key(1));
    assert_eq!((again.outcome, again.delivered.replayed), (Ok(1), true));
    assert_eq!(world.get::<Counts>(&1), Some(Number(1)));
    let other = world.ask_keyed(Command::Count(1), key(2));
    assert_eq!(other.outcome, Ok(2));
}

#[test]
fn a_repeat_in_the_same_batch_and_in_flight() {
    let mut world = World::new(Options { depth: 2, ..Options::default() });
    let tickets: Vec<u64> = (0..2)
        .map(|_| {
            let request = world.request(Command::Count(1));
            world.submit(Request { idempotency: Some(key(1)), ..request })
        })
        .collect();
    world.poll();
    let request = world.request(Command::Count(1));
    let third = world.submit(Request { idempotency: Some(key(1)), ..request });
    world.poll();
    assert!(world.answers.is_empty(), "the replay waits for the record that it read");
    world.quiet();
    for ticket in tickets.into_iter().chain([third]) {
        assert_eq!(world.answers[&ticket].outcome, Ok(1));
    }
    assert_eq!(world.get::<Counts>(&1), Some(Number(1)));
}

#[test]
fn scopes_are_told_apart() {
    let mut world = World::new(Options::default());
    world.ask_keyed(Command::Count(1), key(1)).outcome.unwrap();
    let other_path = Idempotency { path: 2, ..key(1) };
    assert_eq!(world.ask_keyed(Command::Count(1), other_path).outcome, Ok(2));
    let request = world.request(Command::Count(1));
    let other_tenant = Request { tenant: TenantId(7), idempotency: Some(key(1)), ..request };
    assert_eq!(world.ask_for(other_tenant).outcome, Ok(3));
    let other_request = Idempotency { fingerprint: [1; 16], ..key(1) };
    let conflict = world.ask_keyed(Command::Count(1), other_request);
    assert_eq!(conflict.outcome, Err(Failure::IdempotencyConflict));
    assert_eq!(world.get::<Counts>(&1), Some(Number(3)));
}

#[test]
fn refusals_are_not_remembered() {
    let mut world = World::new(Options::default());
    let no = world.ask_keyed(Command::Refuse(1), key(1));
    assert!(matches!(no.outcome, Err(Failure::Refused(_))));
    let yes = world.ask_keyed(Command::Count(1), key(1));
    assert_eq!((yes.outcome, yes.delivered.replayed), (Ok(1), false));
}

/// A key is remembered for its window, and dropped when two have passed.
#[test]
fn windows_pass() {
    for after_ms in [0, WINDOW_MS / 2, WINDOW_MS - 1] {
        let mut world = World::new(Options::default());
        world.ask_keyed(Command::Count(0), key(0)).outcome.unwrap();
        world.now = world.now.plus_ms(after_ms);
        world.ask_keyed(Command::Count(1), key(1)).outcome.unwrap();
        world.now = world.now.plus_ms(WINDOW_MS - 1);
        world.quiet();
        assert!(world.ask_keyed(Command::Count(1), key(1)).delivered.replayed, "inside its window");
        for _ in 0..2 {
            world.now = world.now.plus_ms(WINDOW_MS);
            world.quiet();
        }
        assert_eq!(world.ask_keyed(Command::Count(1), key(1)).outcome, Ok(2), "forgotten");
        assert!(dropped(&world) > 0, "their rows are gone, too");
    }
}

/// How many generations were dropped.
fn dropped(world: &World) -> usize {
    let layers = world.log.iter().map(|record| Layer::decode(record.body()).unwrap());
    layers
        .map(|layer| {
            let drops = layer.effects().filter(|effect| {
                matches!(effect, Effect::DropPrefix { prefix } if prefix[0] == IDEMPOTENCY_ID)
            });
            drops.count()
        })
        .sum()
}

/// A window that is made shorter takes nothing from keys that were promised a longer one.
#[test]
fn a_shorter_window_is_for_new_keys() {
    let mut world = World::new(Options::default());
    world.ask_keyed(Command::Count(0), key(0)).outcome.unwrap();
    world.now = world.now.plus_ms(WINDOW_MS - 1);
    world.ask_keyed(Command::Count(1), key(1)).outcome.unwrap();
    let short = Idempotency { window_ms: 10, ..key(2) };
    world.ask_keyed(Command::Count(2), short).outcome.unwrap();
    for _ in 0..99 {
        world.now = world.now.plus_ms(WINDOW_MS / 100);
        world.quiet();
    }
    assert!(world.ask_keyed(Command::Count(1), key(1)).delivered.replayed, "inside its window");
}

#[test]
fn at_the_quota_only_new_keys_are_refused() {
    let mut world = World::new(Options { idempotency_bytes_max: 200, ..Options::default() });
    let mut kept = 0;
    while world.ask_keyed(Command::Count(kept), key(kept as u8)).outcome.is_ok() {
        kept += 1;
    }
    let refused = world.ask_keyed(Command::Count(99), key(99));
    assert_eq!(refused.outcome, Err(Failure::QuotaExceeded));
    assert_eq!(world.get::<Counts>(&99), None);
    assert!(kept >= 2, "{kept}");
    for number in 0..kept {
        let again = world.ask_keyed(Command::Count(number), key(number as u8));
        assert!(again.delivered.replayed, "nothing inside its window is evicted");
    }
    assert_eq!(world.ask(Command::Count(99)), Ok(1), "without a key it is taken");
    let request = world.request(Command::Count(5));
    let neighbour = Request { tenant: TenantId(1), idempotency: Some(key(99)), ..request };
    assert!(world.ask_for(neighbour).outcome.is_ok(), "one tenant's quota is its own");
    for _ in 0..2 {
        world.now = world.now.plus_ms(WINDOW_MS);
        world.quiet();
    }
    assert!(world.ask_keyed(Command::Count(99), key(99)).outcome.is_ok(), "room again");
}

/// A request of `tenant` under a key of `path` that is like no other.
fn ask(world: &mut World, tenant: u32, path: u8, number: u8) -> Result<u64, Failure<No>> {
    let request = world.request(Command::Count(u64::from(tenant)));
    let key = Some(Idempotency { path, ..key(number) });
    world.ask_for(Request { tenant: TenantId(tenant), idempotency: key, ..request }).outcome
}

#[test]
fn all_paths_of_a_tenant_share_its_bound() {
    let options = Options { idempotency_bytes_max: THREE_KEYS, ..Options::default() };
    let mut world = World::new(options.clone());
    // Neighbours on all sides, in paths that the tenant uses and in others.
    for (tenant, path) in [(1, 0), (9, 0), (2, 3), (1, 4), (8, 4), (9, 255)] {
        ask(&mut world, tenant, path, 0).unwrap();
    }
    for (number, path) in [(0, 0), (1, 4), (2, 255)] {
        assert_eq!(ask(&mut world, 5, path, number), Ok(u64::from(number) + 1), "path {path}");
    }
    for path in [0, 3, 4, 255] {
        let refused = ask(&mut world, 5, path, 100);
        assert_eq!(refused, Err(Failure::QuotaExceeded), "path {path}");
    }
    assert_eq!(ask(&mut world, 5, 4, 1), Ok(2), "what is remembered is answered");
    for (tenant, path) in [(1, 4), (6, 4), (9, 0)] {
        ask(&mut world, tenant, path, 100).unwrap();
    }
    let mut next = World::leading(world.log.clone(), options);
    assert_eq!(
        ask(&mut next, 5, 3, 100),
        Err(Failure::QuotaExceeded),
        "so it is for the next owner"
    );
    for _ in 0..2 {
        world.now = world.now.plus_ms(WINDOW_MS);
        world.quiet();
    }
    ask(&mut world, 5, 3, 100).unwrap();
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Ask { tenant: u32, path: u8, lands: bool },
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let ask = (1..4_u32, prop::sample::select(vec![0, 1, 200, 255]), prop::bool::weighted(0.8));
    prop_oneof![
        8 => ask.prop_map(|(tenant, path, lands)| Step::Ask { tenant, path, lands }),
        1 => (0..WINDOW_MS).prop_map(Step::Wait),
    ]
}

proptest! {
    /// An owner that has kept count all along, through refused appends and dropped generations,
    /// counts like one that has just come and adds up what is stored.
    #[test]
    fn the_count_is_what_is_stored(steps in prop::collection::vec(step(), 1..60)) {
        let options = Options { idempotency_bytes_max: THREE_KEYS, ..Options::default() };
        let mut world = World::new(options.clone());
        for (step, number) in steps.into_iter().zip(0..) {
            match step {
                Step::Ask { tenant, path, lands: true } => drop(ask(&mut world, tenant, path, number)),
                Step::Ask { tenant, path, lands: false } => {
                    let request = world.request(Command::Count(0));
                    let key = Some(Idempotency { path, ..key(number) });
                    world.submit(Request { tenant: TenantId(tenant), idempotency: key, ..request });
                    world.poll();
                    for lost in std::mem::take(&mut world.pending) {
                        world.tell(lost.id, Outcome::Refused("no space".into()));
                    }
                }
                Step::Wait(ms) => {
                    world.now = world.now.plus_ms(ms);
                    world.quiet();
                }
            }
        }
        let mut next = World::leading(world.log.clone(), options);
        next.now = world.now;
        for tenant in 1..4 {
            let counted = is_full(&mut next, tenant);
            prop_assert_eq!(is_full(&mut world, tenant), counted, "tenant {}", tenant);
        }
    }
}

/// Whether a new key of `tenant` is refused. (One that is not, is refused by the domain, so that
/// this changes nothing.)
fn is_full(world: &mut World, tenant: u32) -> bool {
    let request = world.request(Command::Refuse(0));
    let key = Some(Idempotency { path: 7, ..key(255) });
    let asked = Request { tenant: TenantId(tenant), idempotency: key, ..request };
    world.ask_for(asked).outcome == Err(Failure::QuotaExceeded)
}
