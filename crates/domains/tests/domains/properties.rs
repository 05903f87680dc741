//! Reservations against the model, through the engine that runs them.

use crate::driver::{Answered, Driver, ID};
use crate::invariants::{check_events, check_rows, everything};
use crate::model::Model;
use crate::plan::{Step, steps};
use evenkeel_domains::{
    Command, Domains, Refusal, Reply, path_number,
    reservations::{EventsPage, Found, HoldState, Query, RETENTION_MS},
};
use evenkeel_engine::{Answer, Barrier, Failure, Idempotency, Options, Partition, Position, Time};
use evenkeel_log::{Hash, Incarnation, Record};
use evenkeel_state::{State, Store};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Longer than any run.
const WINDOW_MS: u64 = 1_000 * RETENTION_MS;

/// A partition and the model of it, side by side.
struct Run {
    driver: Driver,
    model: Model,
    asked: BTreeMap<u64, (Command, Option<Idempotency>)>,
    remembered: BTreeMap<(u8, [u8; 16]), ([u8; 16], Reply)>,
    /// Records that the model's time has passed.
    records: usize,
}

impl Run {
    fn new(options: Options) -> Self {
        Self {
            driver: Driver::new(options),
            model: Model::default(),
            asked: BTreeMap::new(),
            remembered: BTreeMap::new(),
            records: 0,
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Ask(commands) => {
                for (command, key) in commands {
                    let idempotency = key.and_then(|key| keyed(command, key));
                    let ticket = self.driver.submit(command.clone(), idempotency);
                    self.asked.insert(ticket, (command.clone(), idempotency));
                }
            }
            Step::Pass(ms) => self.driver.now = self.driver.now.plus_ms(*ms),
            Step::HoldBack(wait) => self.driver.holds_back = *wait,
            Step::Land => self.driver.land(),
            Step::Checkpoint => self.driver.partition.request_checkpoint(),
        }
        self.driver.settle();
        self.compare_answers();
        let idle = !self.driver.partition.is_in_flight() && self.driver.partition.waiting() == 0;
        if idle {
            self.compare_views();
        }
    }

    /// Answers come in the order of the questions; each names the time of its decision.
    fn compare_answers(&mut self) {
        for (ticket, answer) in std::mem::take(&mut self.driver.answers) {
            self.pass_records(answer.delivered.at);
            self.model.advance(answer.delivered.at);
            let (command, idempotency) = self.asked.remove(&ticket).expect("it was asked");
            let (expected, replayed) = self.expect(&command, idempotency);
            let Answer { outcome, delivered } = answer;
            assert_eq!(outcome, expected, "{command:?}");
            assert_eq!(delivered.replayed, replayed, "{command:?}");
        }
    }

    /// What fell due was settled by the first record after it.
    fn pass_records(&mut self, until: Time) {
        while let Some(record) = self.driver.log.get(self.records) {
            let at = Time(record.header().time_ms);
            if at > until {
                return;
            }
            self.records += 1;
            self.model.advance(at.max(self.model.now));
        }
    }

    fn expect(&mut self, command: &Command, key: Option<Idempotency>) -> (Answered, bool) {
        let scope = key.map(|key| (key.path, key.key));
        if let (Some(key), Some(scope)) = (key, scope)
            && let Some((fingerprint, reply)) = self.remembered.get(&scope)
        {
            if *fingerprint == key.fingerprint {
                return (Ok(reply.clone()), true);
            }
            return (Err(Failure::IdempotencyConflict), false);
        }
        let Command::Reservations(command) = command else { panic!("nothing else is asked") };
        match self.model.decide(&command.resource, &command.action) {
            Ok(reply) => {
                let reply = Reply::Reservations(reply);
                if let (Some(key), Some(scope)) = (key, scope) {
                    self.remembered.insert(scope, (key.fingerprint, reply.clone()));
                }
                (Ok(reply), false)
            }
            Err(no) => (Err(Failure::Refused(Refusal::Reservations(no))), false),
        }
    }

    fn compare_views(&mut self) {
        let now = self.driver.now;
        self.pass_records(now);
        assert_eq!(self.records, self.driver.log.len());
        let shown = everything(&self.driver.partition.view(), now);
        assert_eq!(shown.len(), self.model.resources.len());
        for (one, resource) in shown.iter().zip(self.model.resources.values()) {
            assert_eq!(one.resource, resource.view());
            assert_eq!(one.seats, resource.seats());
            assert_eq!(one.holds, resource.holds);
            let kept = |at: &Time| at.plus_ms(RETENTION_MS) > now;
            let old = resource.events.iter().take_while(|(at, _)| !kept(at)).count();
            self.compare_events(&one.resource.resource, &resource.events, old);
        }
    }

    fn compare_events(
        &self,
        name: &str,
        expected: &[(Time, evenkeel_domains::reservations::ReservationEvent)],
        old: usize,
    ) {
        let page = self.events(name, None, true);
        assert!(!page.reset);
        let shown: Vec<_> =
            page.events.iter().map(|event| (event.at, event.event.clone())).collect();
        assert_eq!(shown, expected[old..]);
        let sequences: Vec<u64> = page.events.iter().map(|event| event.position.sequence).collect();
        assert_eq!(sequences, (old as u64 + 1..=expected.len() as u64).collect::<Vec<u64>>());
        // From within, and from where history is gone.
        let middle = (old + expected.len()) / 2;
        let page = self.events(name, Some(middle as u64), false);
        assert_eq!(page.events.len(), expected.len() - middle);
        assert_eq!(page.next.sequence, expected.len() as u64);
        if old > 0 {
            assert!(self.events(name, Some(old as u64 - 1), false).reset);
        }
        assert!(self.events(name, Some(expected.len() as u64 + 1), false).reset, "not yet known");
    }

    fn events(&self, resource: &str, after: Option<u64>, from_start: bool) -> EventsPage {
        let after = after.map(|sequence| Position { incarnation: Incarnation(1), sequence });
        let resource = resource.to_owned();
        let query = Query::Events { resource, after, from_start, limit: 1_000 };
        let Ok(Found::Events(page)) = self.driver.query(&query) else { panic!("events") };
        page
    }

    /// Everything lands and is answered.
    fn finish(&mut self) {
        self.step(&Step::HoldBack(false));
        self.step(&Step::Land);
        assert!(self.asked.is_empty(), "everything is answered");
        assert!(!self.driver.partition.is_in_flight());
    }
}

fn keyed(command: &Command, key: u8) -> Option<Idempotency> {
    let Command::Reservations(reservation) = command else { panic!("nothing else is asked") };
    let hash = |bytes: &[u8]| blake3::hash(bytes).as_bytes()[..16].try_into().unwrap();
    Some(Idempotency {
        path: path_number(command.path())?,
        key: hash(format!("{}/{key}", reservation.resource).as_bytes()),
        fingerprint: hash(&postcard::to_stdvec(command).unwrap()),
        window_ms: WINDOW_MS,
    })
}

/// The hash of the state that `log` makes on top of what `store` has.
fn rebuilt(store: &Store, log: &[Record]) -> Hash {
    let state = State::open(store, ID).unwrap();
    let applied = usize::try_from(state.applied().tail.offset.0).unwrap();
    let mut follower: Partition<Domains, u64, u64> =
        Partition::new(ID, Domains::default(), Options::default(), state);
    for record in &log[applied..] {
        follower.follow(record).unwrap();
    }
    follower.state_hash().unwrap()
}

fn options() -> impl Strategy<Value = Options> {
    (1..=3_usize, any::<bool>(), 1..6_usize).prop_map(|(depth, append, batch_commands_max)| {
        let barrier = if append { Barrier::Append } else { Barrier::Free };
        Options { depth, barrier, batch_commands_max, ..Options::default() }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn reservations_are_what_the_model_says(options in options(), steps in steps()) {
        let mut run = Run::new(options);
        steps.iter().for_each(|step| run.step(step));
        run.finish();
        check_rows(&run.driver.log);
        let streams = check_events(&run.driver.log);
        prop_assert_eq!(streams.len(), run.model.resources.len());
        let hash = run.driver.partition.state_hash().unwrap();
        prop_assert_eq!(rebuilt(&Store::memory().unwrap(), &run.driver.log), hash);
        prop_assert_eq!(rebuilt(&run.driver.store, &run.driver.log), hash);
    }

    #[test]
    fn the_same_again_is_the_same_log(options in options(), steps in steps()) {
        let logs: Vec<Vec<Record>> = (0..2)
            .map(|_| {
                let mut run = Run::new(options.clone());
                steps.iter().for_each(|step| run.step(step));
                run.finish();
                run.driver.log
            })
            .collect();
        let bytes = |log: &[Record]| -> Vec<_> {
            log.iter().map(|record| record.as_bytes().clone()).collect()
        };
        prop_assert_eq!(bytes(&logs[0]), bytes(&logs[1]));
    }
}

/// The plans reach what they are for: runs in which nothing happens would prove nothing.
#[test]
fn plans_reach_every_outcome() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..60 {
        let steps = steps().new_tree(&mut runner).unwrap().current();
        let mut run = Run::new(Options::default());
        for step in &steps {
            run.step(step);
        }
        run.finish();
        for stream in check_events(&run.driver.log).values() {
            for event in stream {
                *seen.entry(event.name().to_owned()).or_default() += 1;
            }
        }
        for resource in run.model.resources.values() {
            let reacquired = resource.holds.iter().filter(|hold| hold.reacquired_as.is_some());
            *seen.entry("reacquired".to_owned()).or_default() += reacquired.count();
            let cancelled = resource.holds.iter().filter(|hold| hold.state == HoldState::Cancelled);
            *seen.entry("kept cancelled".to_owned()).or_default() += cancelled.count();
        }
    }
    assert_eq!(seen.len(), 10, "{seen:?}");
    assert!(seen.values().all(|count| *count >= 3), "{seen:?}");
}
