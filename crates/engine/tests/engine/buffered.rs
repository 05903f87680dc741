//! Commands that are answered before they are durable, and how far that may go.

use crate::toy::{Command, Counts, Number};
use crate::world::World;
use evenkeel_engine::{Failure, Options, Outcome};

fn submit(world: &mut World, command: Command) -> u64 {
    let request = world.request(command);
    let ticket = world.submit(request);
    world.poll();
    ticket
}

#[test]
fn a_buffered_command_is_answered_once_decided_and_vouches_for_nothing_more() {
    let mut world = World::new(Options::default());
    let durable = world.tail().offset;
    let ticket = submit(&mut world, Command::CountBuffered(1));
    let answer = &world.answers[&ticket];
    assert_eq!(answer.outcome, Ok(1));
    assert_eq!(answer.delivered.offset, durable);
    assert_eq!(
        world.get::<Counts>(&1),
        None,
        "nothing is committed, or flushed, before it is durable"
    );
    world.quiet();
    assert_eq!(world.get::<Counts>(&1), Some(Number(1)));
}

#[test]
fn whoever_waits_for_durability_waits_also_for_what_was_buffered_before() {
    let mut world = World::new(Options::default());
    submit(&mut world, Command::CountBuffered(1));
    let ticket = submit(&mut world, Command::Count(1));
    assert!(!world.answers.contains_key(&ticket));
    world.land_all();
    world.quiet();
    assert_eq!(world.answers[&ticket].outcome, Ok(2));
}

#[test]
fn answers_are_only_so_far_ahead_of_the_log() {
    let mut world = World::new(Options::default());
    let mut answered = 0;
    for _ in 0..100 {
        let ticket = submit(&mut world, Command::CountBuffered(1));
        answered += usize::from(world.answers.contains_key(&ticket));
    }
    assert_eq!(answered, Options::DEPTH_BUFFERED);
    assert_eq!(world.pending.len(), Options::DEPTH_BUFFERED);
    world.quiet();
    assert_eq!(world.get::<Counts>(&1), Some(Number(100)));
}

/// What is answered and then not taken by the log is gone: that is what was given up. No more is.
#[test]
fn what_the_log_refuses_is_not_counted() {
    let mut world = World::new(Options::default());
    world.ask(Command::Count(1)).unwrap();
    let buffered = submit(&mut world, Command::CountBuffered(1));
    let waits = submit(&mut world, Command::Count(1));
    for submission in std::mem::take(&mut world.pending) {
        world.tell(submission.id, Outcome::Refused("full".into()));
    }
    assert_eq!(world.answers[&buffered].outcome, Ok(2));
    assert!(matches!(world.answers[&waits].outcome, Err(Failure::Unavailable(_))));
    assert_eq!(world.ask(Command::Count(1)), Ok(2));
}

/// Or each of its refusals would let as much in once more, for as long as it refuses.
#[test]
fn while_the_log_refuses_nobody_is_answered_ahead_of_it() {
    let mut world = World::new(Options::default());
    let full = Outcome::Refused("full".into());
    let first = submit(&mut world, Command::CountBuffered(1));
    assert_eq!(world.answers[&first].outcome, Ok(1));
    for _ in 0..3 {
        for submission in std::mem::take(&mut world.pending) {
            world.tell(submission.id, full.clone());
        }
        let ticket = submit(&mut world, Command::CountBuffered(1));
        assert!(!world.answers.contains_key(&ticket), "it waits, as anything else does");
    }
    world.land_all();
    let after = submit(&mut world, Command::CountBuffered(1));
    assert_eq!(world.answers[&after].outcome, Ok(2), "the log takes records again");
}
