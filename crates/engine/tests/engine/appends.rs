//! Whatever the log answers, in whatever order: answers are true, refused things have no effect,
//! nothing is lost.

use crate::toy::{Command, Counts};
use crate::world::{Submission, World};
use evenkeel_engine::{Barrier, Failure, Options, Outcome, Role};
use evenkeel_log::Record;
use evenkeel_state::Read;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// A count under a key of its own.
    Count,
    Refuse,
    Read,
    Poll,
    PassMs(u64),
    /// The log does what it is asked, and says so.
    Land(usize),
    /// It does, and the answer is lost.
    LandUnheard(usize),
    /// The record is lost, and nobody knows.
    Lose(usize),
    /// Nobody knows, and the record is still on its way.
    Delay(usize),
    /// A delayed record arrives.
    Arrive(usize),
    /// The log certainly does not take it.
    RefuseAppend(usize),
    /// Another owner takes over.
    Intrude,
    /// A later owner trims: nobody can say what was at an offset.
    Trim(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let which = 0..4_usize;
    prop_oneof![
        6 => Just(Step::Count),
        2 => Just(Step::Refuse),
        1 => Just(Step::Read),
        8 => Just(Step::Poll),
        1 => (0..3_u64).prop_map(Step::PassMs),
        6 => which.clone().prop_map(Step::Land),
        2 => which.clone().prop_map(Step::LandUnheard),
        2 => which.clone().prop_map(Step::Lose),
        2 => which.clone().prop_map(Step::Delay),
        2 => which.clone().prop_map(Step::Arrive),
        2 => which.clone().prop_map(Step::RefuseAppend),
        1 => Just(Step::Intrude),
        1 => which.prop_map(Step::Trim),
    ]
}

/// A world, and what it takes to tell whether its answers are true.
struct Run {
    world: World,
    /// Records that may land at any time.
    delayed: Vec<Record>,
    intruded: bool,
    /// Of each request: its key, and how long the log was when it was made.
    counts: BTreeMap<u64, (u64, usize)>,
    others: BTreeMap<u64, usize>,
    reads: BTreeMap<u64, usize>,
}

impl Run {
    fn new(options: Options) -> Self {
        Self {
            world: World::new(options),
            delayed: Vec::new(),
            intruded: false,
            counts: BTreeMap::new(),
            others: BTreeMap::new(),
            reads: BTreeMap::new(),
        }
    }

    fn step(&mut self, step: Step) {
        let length = self.world.log.len();
        match step {
            Step::Count => {
                let key = self.counts.len() as u64;
                let request = self.world.request(Command::Count(key));
                let ticket = self.world.submit(request);
                self.counts.insert(ticket, (key, length));
            }
            Step::Refuse => {
                let request = self.world.request(Command::Refuse(1));
                let ticket = self.world.submit(request);
                self.others.insert(ticket, length);
            }
            Step::Read => {
                let read = self.reads.len() as u64;
                self.reads.insert(read, length);
                self.world.owner.read(read);
                self.world.collect();
            }
            Step::Poll => self.world.poll(),
            Step::PassMs(ms) => self.world.now = self.world.now.plus_ms(ms),
            Step::Intrude if !self.intruded => {
                self.intruded = true;
                self.world.intrude();
            }
            Step::Intrude => {}
            Step::Arrive(which) => {
                if !self.delayed.is_empty() {
                    let record = self.delayed.remove(which % self.delayed.len());
                    self.world.try_append(&record);
                }
            }
            _ => self.answer(step),
        }
    }

    /// Has the log answer one of the submissions.
    fn answer(&mut self, step: Step) {
        let (Step::Land(which)
        | Step::LandUnheard(which)
        | Step::Lose(which)
        | Step::Delay(which)
        | Step::RefuseAppend(which)
        | Step::Trim(which)) = step
        else {
            unreachable!("all others are done")
        };
        if self.world.pending.is_empty() {
            return;
        }
        let Submission { id, record } = self.world.pending.remove(which % self.world.pending.len());
        let there = record.header().offset.0 <= self.world.log.len() as u64;
        let outcome = match step {
            Step::Land(_) => self.world.try_append(&record),
            Step::LandUnheard(_) => {
                self.world.try_append(&record);
                Outcome::Indeterminate
            }
            Step::Delay(_) => {
                self.delayed.push(record);
                Outcome::Indeterminate
            }
            Step::RefuseAppend(_) => Outcome::Refused("no space".into()),
            Step::Trim(_) if self.intruded && there => Outcome::Trimmed,
            _ => Outcome::Indeterminate,
        };
        self.world.tell(id, outcome);
    }

    /// Faults stop: everything is answered. Then whatever is still on its way arrives.
    fn finish(&mut self) {
        self.world.quiet();
        for record in std::mem::take(&mut self.delayed) {
            self.world.try_append(&record);
        }
    }

    fn check(&self, barrier: Barrier) -> Result<(), TestCaseError> {
        let world = &self.world;
        let replayed = world.replay(world.log.len());
        let view = replayed.view();
        let own_epoch = world.log[1].header().epoch;
        for (ticket, (key, length)) in &self.counts {
            let Some(answer) = world.answers.get(ticket) else {
                return Err(TestCaseError::fail(format!("{ticket} was never answered")));
            };
            let effect = view.get::<Counts>(key).unwrap().map(|row| row.0);
            match &answer.outcome {
                Ok(count) => {
                    prop_assert_eq!((*count, effect), (1, Some(1)), "a yes is in the log, once");
                    prop_assert!(answer.delivered.offset.0 > *length as u64);
                }
                Err(Failure::OutcomeUnknown) => prop_assert!(effect.is_none_or(|count| count == 1)),
                Err(Failure::Unavailable(_)) => {
                    prop_assert_eq!(effect, None, "{} was told that it had no effect", ticket);
                }
                Err(other) => return Err(TestCaseError::fail(format!("{other:?}"))),
            }
        }
        let refused = self.others.iter().filter_map(|(ticket, length)| {
            let answer = &world.answers[ticket];
            matches!(answer.outcome, Err(Failure::Refused(_))).then_some((answer.delivered, length))
        });
        let read = world.reads.iter().map(|(read, delivered)| (*delivered, &self.reads[read]));
        for (delivered, length) in refused.chain(read) {
            let at = usize::try_from(delivered.offset.0).unwrap();
            prop_assert_eq!(world.log[at - 1].header().epoch, own_epoch);
            if barrier == Barrier::Append {
                prop_assert!(at > *length, "it rests on a record that came after the question");
            }
        }
        Ok(())
    }

    /// The state is that of the log, up to where it says it is.
    fn check_state(&self) -> Result<(), TestCaseError> {
        let world = &self.world;
        let tail = world.owner.tail();
        let at = usize::try_from(tail.offset.0).unwrap();
        prop_assert_eq!(world.log[at - 1].tail(), tail);
        let replayed = world.replay(at);
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for key in 0..self.counts.len() as u64 {
            ours.push(world.get::<Counts>(&key));
            theirs.push(replayed.view().get::<Counts>(&key).unwrap());
        }
        prop_assert_eq!(ours, theirs);
        if world.owner.role() == Role::Owner && !self.intruded {
            prop_assert_eq!(at, world.log.len(), "nothing in the log is unknown to its owner");
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn answers_are_true_whatever_the_log_does(
        depth in 1..=3_usize,
        appends in any::<bool>(),
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        let barrier = if appends { Barrier::Append } else { Barrier::Free };
        let mut run = Run::new(Options { depth, barrier, ..Options::default() });
        for step in steps {
            // Nobody else can lead where the barrier is free.
            if !appends && matches!(step, Step::Intrude) {
                continue;
            }
            run.step(step);
        }
        run.finish();
        run.check(barrier)?;
        run.check_state()?;
    }
}

/// Two records are on their way; the first is refused for good, and the same is asked again within
/// the same millisecond. If the new record were the old one's twin, the second, given up and told
/// to have had no effect, would find its predecessor in the log after all.
#[test]
fn a_record_given_up_never_returns() {
    let mut world = World::new(Options { depth: 2, ..Options::default() });
    let first = world.request(Command::Count(1));
    world.submit(first);
    world.poll();
    let second = world.request(Command::Count(2));
    let second = world.submit(second);
    world.poll();
    let late = world.pending.remove(1);
    let refused = world.pending.remove(0);
    world.tell(refused.id, Outcome::Refused("no space".into()));
    assert!(matches!(world.answers[&second].outcome, Err(Failure::Unavailable(_))));
    assert_eq!(world.ask(Command::Count(1)), Ok(1));
    assert!(matches!(world.try_append(&late.record), Outcome::Occupied(_) | Outcome::Behind));
    world.tell(late.id, Outcome::Appended);
    assert_eq!(world.owner.tail(), world.tail(), "a stale outcome is ignored");
}

/// It landed, nobody heard, another owner came and trimmed: whether it took effect is not known.
#[test]
fn what_was_trimmed_cannot_be_known() {
    let mut world = World::new(Options { barrier: Barrier::Append, ..Options::default() });
    let request = world.request(Command::Count(1));
    let ticket = world.submit(request);
    world.poll();
    let lost = world.pending.remove(0);
    world.try_append(&lost.record);
    world.tell(lost.id, Outcome::Indeterminate);
    world.intrude();
    let again = world.pending.remove(0);
    assert_eq!(again.record, lost.record, "the identical bytes");
    world.tell(again.id, Outcome::Trimmed);
    assert_eq!(world.answers[&ticket].outcome, Err(Failure::OutcomeUnknown));
    assert_eq!(world.owner.role(), Role::Follower);
}

/// While an outcome is unknown nothing further is decided, however many records may be in flight.
#[test]
fn nothing_is_decided_on_top_of_the_unknown() {
    let mut world = World::new(Options { depth: 3, ..Options::default() });
    let request = world.request(Command::Count(1));
    world.submit(request);
    world.poll();
    let lost = world.pending.remove(0);
    world.tell(lost.id, Outcome::Indeterminate);
    let request = world.request(Command::Count(2));
    world.submit(request);
    world.poll();
    assert_eq!(world.pending.len(), 1, "only the first, again");
    assert_eq!(world.pending[0].record, lost.record);
    world.quiet();
    assert!(world.answers.values().all(|answer| answer.outcome == Ok(1)));
}
