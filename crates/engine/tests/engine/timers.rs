//! Timers: fired once due, a bounded number a batch, and parked if they panic.

use crate::toy::{Command, Fired, GREEDY, GREEDY_BYTES, Number, PANICKING, SET_AGAIN};
use crate::world::{START, World};
use evenkeel_engine::{Failure, Options, Outcome, PARKED_ID};
use evenkeel_log::Kind;
use evenkeel_state::{Effect, Layer};

fn parked(world: &World) -> usize {
    let bodies = world.log.iter().map(|record| Layer::decode(record.body()).unwrap());
    bodies
        .flat_map(|layer| {
            let put = |effect: Effect<'_>| matches!(effect, Effect::Put { key, .. } if key[0] == PARKED_ID);
            layer.effects().map(put).collect::<Vec<bool>>()
        })
        .filter(|put| *put)
        .count()
}

#[test]
fn a_timer_fires_when_it_is_due_and_once() {
    let mut world = World::new(Options::default());
    let due = START.plus_ms(100);
    world.ask(Command::Timer { due: due.0, entity: 1 }).unwrap();
    assert_eq!(world.owner.next_wake(), Some(due));
    world.now = START.plus_ms(99);
    world.quiet();
    assert_eq!(world.get::<Fired>(&1), None);
    world.now = due;
    world.quiet();
    assert_eq!(world.get::<Fired>(&1), Some(Number(1)));
    world.now = due.plus_ms(1_000);
    world.quiet();
    assert_eq!(world.get::<Fired>(&1), Some(Number(1)));
    assert_eq!(world.owner.next_wake(), None);
}

#[test]
fn a_batch_fires_a_bounded_number() {
    let mut world = World::new(Options { timers_max: 4, ..Options::default() });
    let due = START.plus_ms(10).0;
    for entity in 0..10 {
        world.ask(Command::Timer { due, entity }).unwrap();
    }
    let before = world.log.len();
    world.now = START.plus_ms(10);
    world.quiet();
    let records: Vec<usize> = world.log[before..]
        .iter()
        .map(|record| Layer::decode(record.body()).unwrap().rows())
        .collect();
    assert_eq!(records, [8, 8, 4], "a timer's row and what it did, four at a time");
    assert!((0..10).all(|entity| world.get::<Fired>(&entity) == Some(Number(1))));
}

/// A timer sets an earlier one while there is no room any more for the one after it: both still fire.
#[test]
fn a_timer_that_is_set_again_is_not_passed_over() {
    let options = Options { batch_bytes_max: GREEDY_BYTES, ..Options::default() };
    let mut world = World::new(options);
    for (due, entity) in [(SET_AGAIN.0 - 1, GREEDY), (SET_AGAIN.0 + 1, 1)] {
        world.ask(Command::Timer { due, entity }).unwrap();
    }
    world.now = START.plus_ms(100);
    world.quiet();
    assert_eq!(world.get::<Fired>(&GREEDY), Some(Number(1)));
    assert_eq!(world.get::<Fired>(&SET_AGAIN.1), Some(Number(1)));
    assert_eq!(world.get::<Fired>(&1), Some(Number(1)));
    assert_eq!(world.owner.next_wake(), None);
}

#[test]
fn a_timer_that_panics_is_parked() {
    let mut world = World::new(Options::default());
    let due = START.plus_ms(10).0;
    for entity in [1, PANICKING, 700] {
        world.ask(Command::Timer { due, entity }).unwrap();
    }
    world.now = START.plus_ms(10);
    world.quiet();
    assert_eq!(world.get::<Fired>(&PANICKING), None, "rolled back");
    assert_eq!(world.get::<Fired>(&1), Some(Number(1)));
    assert_eq!(world.get::<Fired>(&700), Some(Number(1)));
    assert_eq!(parked(&world), 1);
    world.now = START.plus_ms(1_000);
    world.quiet();
    assert_eq!(parked(&world), 1, "not tried again");
}

/// What was lost with a record that the log did not take is due still.
#[test]
fn a_timer_whose_record_was_refused_fires_again() {
    let mut world = World::new(Options::default());
    world.ask(Command::Timer { due: START.plus_ms(10).0, entity: 1 }).unwrap();
    world.now = START.plus_ms(10);
    world.poll();
    let fired = world.pending.remove(0);
    assert_eq!(fired.record.header().kind, Kind::Batch);
    world.tell(fired.id, Outcome::Refused("no space".into()));
    assert_eq!(world.get::<Fired>(&1), None);
    world.quiet();
    assert_eq!(world.get::<Fired>(&1), Some(Number(1)));
}

/// A new owner finds what is due without being told.
#[test]
fn a_new_owner_fires_what_came_due_meanwhile() {
    let mut world = World::new(Options::default());
    world.ask(Command::Timer { due: START.plus_ms(10).0, entity: 1 }).unwrap();
    world.intrude();
    let refused = world.ask(Command::Count(1));
    assert!(matches!(refused, Err(Failure::Unavailable(_))));
    let announced = world.log.last().unwrap().clone();
    world.owner.follow(&announced).unwrap();
    world.now = START.plus_ms(20);
    world.owner.announce(world.now);
    world.quiet();
    assert_eq!(world.get::<Fired>(&1), Some(Number(1)));
}
