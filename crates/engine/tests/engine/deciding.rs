//! One request's decision, and what it may not do to the others.

use crate::toy::{Blobs, Command, Counts, Due, EXPIRE_MAX, Harvested, No, Number};
use crate::world::World;
use evenkeel_engine::{Barrier, Failure, Options, Outcome, Request, Role, Time};
use evenkeel_log::{BODY_BYTES_MAX, Kind};

#[test]
fn a_refusal_takes_back_only_its_own() {
    let mut world = World::new(Options::default());
    let commands = [Command::Count(1), Command::Refuse(1), Command::Count(1)];
    let tickets = commands.map(|command| {
        let request = world.request(command);
        world.submit(request)
    });
    world.quiet();
    let outcomes = tickets.map(|ticket| world.answers[&ticket].outcome.clone());
    assert_eq!(outcomes, [Ok(1), Err(Failure::Refused(No)), Ok(2)]);
    assert_eq!(world.log.len(), 3, "Genesis, Announce, and one record for the batch");
    assert_eq!(world.get::<Counts>(&1), Some(Number(2)));
}

#[test]
fn a_panic_takes_back_only_its_own_and_is_not_tried_again() {
    let mut world = World::new(Options::default());
    let commands = [Command::Count(1), Command::Panic(1), Command::Count(1)];
    let tickets = commands.map(|command| {
        let request = world.request(command);
        world.submit(request)
    });
    world.quiet();
    let outcomes = tickets.map(|ticket| world.answers[&ticket].outcome.clone());
    assert_eq!(outcomes, [Ok(1), Err(Failure::Internal), Ok(2)]);
    assert_eq!(world.ask(Command::Panic(1)), Err(Failure::Internal));
    assert_eq!(world.ask(Command::Count(1)), Ok(3), "only that request is refused");
    assert_eq!(world.get::<Counts>(&1), Some(Number(3)));
}

/// A row that no try will read is a defect of that row: the store has not failed, and nobody else is
/// told so.
#[test]
fn a_row_that_cannot_be_read_is_no_failure_of_the_store() {
    let mut world = World::new(Options::default());
    world.ask(Command::Garble(1)).unwrap();
    assert_eq!(world.ask(Command::Count(1)), Err(Failure::Internal));
    assert!(!world.owner.take_store_failure());
    assert_eq!(world.ask(Command::Count(2)), Ok(1));
}

#[test]
fn a_command_has_limits() {
    let options =
        || Options { command_rows_max: 10, command_bytes_max: 5_000, ..Options::default() };
    let mut world = World::new(options());
    assert_eq!(world.ask(Command::Write { rows: 10, row_bytes: 1 }), Ok(10));
    let too_many = Command::Write { rows: 11, row_bytes: 2 };
    assert_eq!(world.ask(too_many), Err(Failure::TooLarge));
    let too_much = Command::Write { rows: 2, row_bytes: 2_600 };
    assert_eq!(world.ask(too_much), Err(Failure::TooLarge));
    assert_eq!(world.get::<Blobs>(&10), None, "rolled back");
    assert_eq!(world.log.len(), 3);
}

/// Whatever is asked, a record holds it.
#[test]
fn batches_stop_at_the_size_of_a_record() {
    let mut world = World::new(Options::default());
    let row_bytes = 200 * 1_024;
    for _ in 0..10 {
        let request = world.request(Command::Write { rows: 1, row_bytes });
        world.submit(request);
    }
    world.quiet();
    assert_eq!(world.answers.len(), 10);
    assert!(world.log.iter().all(|record| record.body().len() <= BODY_BYTES_MAX));
}

#[test]
fn what_fell_due_stays_done_if_the_command_is_refused() {
    let mut world = World::new(Options::default());
    let due = START_DUE.0;
    assert_eq!(world.ask(Command::Plant { rows: 3, due }), Ok(3));
    assert_eq!(world.ask(Command::HarvestAndRefuse), Err(Failure::Refused(No)));
    assert_eq!(world.get::<Due>(&(due, 0)), Some(()), "nothing is due yet");
    world.now = START_DUE;
    assert_eq!(world.ask(Command::HarvestAndRefuse), Err(Failure::Refused(No)));
    assert_eq!(world.get::<Harvested>(&()), Some(Number(3)));
    assert_eq!(world.get::<Due>(&(due, 0)), None);
}

const START_DUE: Time = Time(5_000);

/// More is due than one step may do: the command is decided again until none is.
#[test]
fn a_refusal_counts_only_once_everything_due_is_settled() {
    let mut world = World::new(Options::default());
    let rows = 3 * EXPIRE_MAX as u64 + 1;
    for _ in 0..4 {
        let due = START_DUE.0;
        world.ask(Command::Plant { rows: rows.min(1_000), due }).unwrap();
    }
    world.now = START_DUE;
    assert_eq!(world.ask(Command::Harvest), Ok(rows));
}

#[test]
fn deadlines_before_and_after_the_decision() {
    let mut world = World::new(Options::default());
    let at = |ms| Some(START_DUE.plus_ms(ms));
    world.now = START_DUE;
    let request = world.request(Command::Count(1));
    let late = world.ask_for(Request { deadline: at(0), ..request });
    assert_eq!(late.outcome, Err(Failure::DeadlineExceeded));

    let request = world.request(Command::Count(2));
    let decided = world.submit(Request { deadline: at(5), ..request });
    let request = world.request(Command::Count(3));
    let patient = world.submit(Request { deadline: at(50), ..request });
    world.poll();
    let request = world.request(Command::Count(4));
    let waiting = world.submit(Request { deadline: at(5), ..request });
    world.now = START_DUE.plus_ms(5);
    world.poll();
    assert_eq!(world.answers[&decided].outcome, Err(Failure::OutcomeUnknown));
    world.now = START_DUE.plus_ms(20);
    world.poll();
    assert_eq!(world.answers[&waiting].outcome, Err(Failure::DeadlineExceeded));
    assert!(!world.answers.contains_key(&patient));
    world.quiet();
    assert_eq!(world.answers[&patient].outcome, Ok(1));
    assert_eq!(world.get::<Counts>(&2), Some(Number(1)), "unknown was the truth");
    assert_eq!((world.get::<Counts>(&1), world.get::<Counts>(&4)), (None, None));
}

#[test]
fn a_full_mailbox_answers_at_once() {
    let mut world = World::new(Options { mailbox_max: 2, ..Options::default() });
    let tickets: Vec<u64> = (0..3)
        .map(|number| {
            let request = world.request(Command::Count(number));
            world.submit(request)
        })
        .collect();
    assert_eq!(world.answers[&tickets[2]].outcome, Err(Failure::Overloaded));
    world.quiet();
    assert_eq!(world.get::<Counts>(&2), None);
}

#[test]
fn a_full_memtable_refuses_writes_until_it_is_flushed() {
    let mut world = World::new(Options { memtable_bytes_max: 10_000, ..Options::default() });
    let write = Command::Write { rows: 1, row_bytes: 10_000 };
    assert_eq!(world.ask(write.clone()), Ok(1));
    assert!(matches!(world.ask(write.clone()), Err(Failure::Unavailable(_))));
    world.owner.request_checkpoint();
    world.quiet();
    assert_eq!(world.log.last().unwrap().header().kind, Kind::Checkpoint);
    assert_eq!(world.owner.memtable_bytes(), 0);
    assert_eq!(world.ask(write), Ok(1));
}

#[test]
fn refusals_and_reads_wait_for_a_barrier_record() {
    let mut world = World::new(Options { barrier: Barrier::Append, ..Options::default() });
    let request = world.request(Command::Refuse(1));
    let refused = world.submit(request);
    world.owner.read(7);
    world.poll();
    assert!(world.answers.is_empty() && world.reads.is_empty(), "nothing is known yet");
    world.quiet();
    let barrier = world.log.last().unwrap();
    assert!(barrier.body().is_empty());
    assert_eq!(world.answers[&refused].delivered.offset, barrier.header().offset);
    assert_eq!(world.reads[&7].offset, barrier.header().offset);
}

#[test]
fn reads_that_wait_for_a_barrier_are_bounded() {
    let options = Options { barrier: Barrier::Append, reads_max: 4, ..Options::default() };
    let mut world = World::new(options);
    for round in [10, 20] {
        // Two wait for a barrier that is on its way, two for the one after it.
        for read in round..round + 4 {
            assert_eq!(world.owner.read(read), None);
            if read == round + 1 {
                world.poll();
            }
        }
        assert_eq!(world.pending.len(), 1);
        assert_eq!(world.owner.read(round + 4), Some(round + 4), "there is no room");
        world.quiet();
        let answered: Vec<u64> =
            world.reads.keys().copied().filter(|read| *read >= round).collect();
        assert_eq!(answered, [round, round + 1, round + 2, round + 3]);
    }
}

#[test]
fn without_another_possible_owner_a_refusal_costs_no_record() {
    let mut world = World::new(Options::default());
    assert_eq!(world.ask(Command::Refuse(1)), Err(Failure::Refused(No)));
    world.owner.read(7);
    world.collect();
    assert_eq!(world.log.len(), 2);
    assert_eq!(world.reads[&7].offset.0, 2);
}

/// A "no" may rest on what is in flight: it waits for that.
#[test]
fn a_refusal_waits_for_what_it_has_read() {
    let mut world = World::new(Options { depth: 2, ..Options::default() });
    let request = world.request(Command::Count(1));
    world.submit(request);
    world.poll();
    let request = world.request(Command::Refuse(1));
    let refused = world.submit(request);
    world.poll();
    assert!(!world.answers.contains_key(&refused));
    let first = world.pending.remove(0);
    world.tell(first.id, Outcome::Refused("no space".into()));
    assert!(matches!(world.answers[&refused].outcome, Err(Failure::Unavailable(_))));
}

#[test]
fn nothing_is_served_before_the_announcement_is_in_the_log() {
    let mut world = World::new(Options::default());
    world.intrude();
    let request = world.request(Command::Count(1));
    let beaten = world.submit(request);
    world.owner.read(1);
    world.quiet();
    assert!(world.stepped_down);
    assert!(matches!(world.answers[&beaten].outcome, Err(Failure::Unavailable(_))));
    assert_eq!(world.owner.role(), Role::Follower);
    let announced = world.log.last().unwrap().clone();
    world.owner.follow(&announced).unwrap();
    world.owner.announce(world.now);
    world.collect();
    let request = world.request(Command::Count(1));
    let early = world.submit(request);
    assert!(matches!(world.answers[&early].outcome, Err(Failure::Unavailable(_))));
    world.owner.read(2);
    world.collect();
    assert_eq!(world.owner.lost_reads(), [2]);
    world.quiet();
    assert_eq!(world.owner.role(), Role::Owner);
    assert_eq!(world.ask(Command::Count(1)), Ok(1));
}
