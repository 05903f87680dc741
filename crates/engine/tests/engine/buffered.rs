//! Commands that are answered before they are durable, and how far that may go.

use crate::toy::{Command, Counts, Number};
use crate::world::World;
use evenkeel_engine::{Barrier, Failure, Options, Outcome};
use evenkeel_log::Kind;

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
        world.now = world.now.plus_ms(Options::LINGER_MS);
        world.poll();
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

/// One record for many, at the moment that all partitions of a node choose.
#[test]
fn what_nobody_waits_for_lingers_for_more() {
    let mut world = World::new(Options::default());
    world.now = world.now.plus_ms(1);
    for count in 1..=10 {
        let ticket = submit(&mut world, Command::CountBuffered(1));
        assert_eq!(world.answers[&ticket].outcome, Ok(count), "each sees those before it");
    }
    assert!(world.pending.is_empty());
    assert!(world.owner.is_in_flight(), "nobody may end it now");
    let due = world.owner.next_wake().unwrap();
    assert_eq!(due.0 % Options::LINGER_MS, 0);
    assert!(due > world.now && due <= world.now.plus_ms(Options::LINGER_MS));
    world.now = due;
    world.poll();
    assert_eq!(world.pending.len(), 1);
    world.quiet();
    assert_eq!(world.get::<Counts>(&1), Some(Number(10)));
}

#[test]
fn whoever_waits_has_what_lingers_submitted_at_once() {
    let mut world = World::new(Options { barrier: Barrier::Append, ..Options::default() });
    submit(&mut world, Command::CountBuffered(1));
    submit(&mut world, Command::Count(1));
    assert_eq!(world.pending.len(), 1, "a command, in the same record");
    world.land_all();
    submit(&mut world, Command::CountBuffered(1));
    assert!(world.owner.read(7).is_none());
    world.poll();
    assert_eq!(world.pending.len(), 1, "a read, that is to see it");
    world.land_all();
    assert!(world.reads.contains_key(&7));
    submit(&mut world, Command::CountBuffered(1));
    world.owner.request_checkpoint();
    world.poll();
    assert_eq!(world.pending[0].record.header().kind, Kind::Checkpoint);
    world.quiet();
    assert_eq!(world.get::<Counts>(&1), Some(Number(4)));
}

#[test]
fn no_more_lingers_than_fits_a_record() {
    let mut world = World::new(Options { batch_commands_max: 3, ..Options::default() });
    for _ in 0..7 {
        submit(&mut world, Command::CountBuffered(1));
    }
    assert_eq!(world.pending.len(), 2);
    world.quiet();
    assert_eq!(world.get::<Counts>(&1), Some(Number(7)));
}

/// A read is as of a moment before anything that it does not show.
#[test]
fn reads_say_that_they_do_not_see_what_lingers() {
    let mut world = World::new(Options::default());
    world.now = world.now.plus_ms(100);
    submit(&mut world, Command::CountBuffered(1));
    let decided_at = world.now;
    world.now = world.now.plus_ms(1);
    world.owner.advance(world.now);
    assert_eq!(world.owner.delivered_now().at, decided_at);
    world.now = world.now.plus_ms(Options::LINGER_MS);
    world.poll();
    assert_eq!(world.pending.len(), 1);
    assert_eq!(world.owner.delivered_now().at, decided_at, "also once it is on its way");
    world.quiet();
    assert_eq!(world.owner.delivered_now().at, world.now);
}

/// Or each of its refusals would let as much in once more, for as long as it refuses.
#[test]
fn while_the_log_refuses_nobody_is_answered_ahead_of_it() {
    let mut world = World::new(Options::default());
    let full = Outcome::Refused("full".into());
    let first = submit(&mut world, Command::CountBuffered(1));
    assert_eq!(world.answers[&first].outcome, Ok(1));
    world.now = world.now.plus_ms(Options::LINGER_MS);
    world.poll();
    assert_eq!(world.pending.len(), 1);
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
