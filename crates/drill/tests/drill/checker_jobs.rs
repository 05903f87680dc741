//! The checker of jobs, on histories known to be good and known to be bad.

use evenkeel_drill::{
    checker::{JobsReport, check_jobs},
    history::jobs::{
        End, Given, Head, JobHistory, Kind, Last, Lease, Operation, Outcome, Request, Rules, State,
        Taken, Word, Work,
    },
};
use std::collections::BTreeMap;

/// A history in the making. Clients hear an answer 5 ms after they asked; what was asked is decided
/// when it was asked.
struct Told(JobHistory);

fn work() -> Work {
    Work {
        kind: Kind::Charge,
        poison: false,
        unique_key: None,
        ordering_key: None,
        priority: 5,
        delay_ms: 0,
        after: Vec::new(),
    }
}

fn in_order() -> Work {
    Work { ordering_key: Some("o".into()), ..work() }
}

fn lease(attempt: u32, fence: u64) -> Lease {
    Lease { attempt, fence }
}

impl Told {
    fn new() -> Self {
        Self(JobHistory::new(Rules {
            backlog_max: vec![3; 10],
            concurrency_limit: None,
            max_attempts: 3,
            max_crashes: 2,
            retries_within_ms: 320,
            head: Head::Block,
        }))
    }

    fn does(&mut self, client: u64, at_ms: u64, request: Request, outcome: Outcome) -> usize {
        let (retry_key, called_ms) = (None, at_ms);
        let (place, returned) = (0, None);
        let operation = Operation { client, place, retry_key, request, called_ms, returned };
        let operation = self.0.call(operation);
        self.0.returns(operation, at_ms + 5, outcome);
        operation
    }

    fn enqueue_as(&mut self, at_ms: u64, job: &str, work: Work) -> usize {
        let jobs = vec![Taken { job: job.into(), duplicate: false }];
        let outcome = Outcome::Enqueued { jobs, at_ms: Some(at_ms) };
        self.does(0, at_ms, Request::Enqueue(vec![work]), outcome)
    }

    fn enqueue(&mut self, at_ms: u64, job: &str) -> usize {
        self.enqueue_as(at_ms, job, work())
    }

    /// A lease of 100 ms.
    fn lease(&mut self, client: u64, at_ms: u64, job: &str, lease: Lease) -> usize {
        let work = self.0.operations.iter().find_map(|one| match (&one.request, one.outcome()?) {
            (Request::Enqueue(works), Outcome::Enqueued { jobs, .. }) if jobs[0].job == job => {
                Some(works[0].clone())
            }
            _ => None,
        });
        let given = Given {
            job: job.into(),
            lease,
            at_ms,
            expires_at_ms: at_ms + 100,
            ordering_key: work.and_then(|work| work.ordering_key),
            failures: 0,
            crashes: 0,
            kind: Kind::Charge,
            poison: false,
        };
        let outcome = Outcome::Leased { jobs: vec![given] };
        self.does(client, at_ms, Request::Lease { max: 1, wait_ms: 0 }, outcome)
    }

    fn say(&mut self, at_ms: u64, job: &str, lease: Lease, word: Word, outcome: Outcome) -> usize {
        self.does(1, at_ms, Request::Word { job: job.into(), lease, word }, outcome)
    }

    fn complete(&mut self, at_ms: u64, job: &str, lease: Lease) -> usize {
        self.say(at_ms, job, lease, Word::Complete, stands(at_ms, State::Done))
    }

    fn effect(&mut self, at_ms: u64, job: &str, lease: Lease, kind: Kind, outcome: Outcome) {
        let request = Request::Effect { job: job.into(), lease, kind, row: "row".into() };
        self.does(1, at_ms, request, outcome);
    }

    /// In the end the jobs are so, after so many leases, failures and crashes.
    fn ends(&mut self, jobs: &[(&str, State, [u32; 3])]) {
        let last = |(job, state, counts): &(&str, State, [u32; 3])| {
            let [attempt, failures, crashes] = *counts;
            let ordering_key = None;
            let after = Vec::new();
            let state = *state;
            let created_ms = 0;
            let last = Last { state, attempt, failures, crashes, ordering_key, created_ms, after };
            ((*job).to_owned(), last)
        };
        let jobs: BTreeMap<String, Last> = jobs.iter().map(last).collect();
        self.0.end = Some(End { jobs, drained: true });
    }

    fn report(&self) -> JobsReport {
        check_jobs(&self.0)
    }

    fn is_valid(&self) -> bool {
        self.report().violations.is_empty()
    }

    /// The first violation, and that it says so.
    fn finds(&self, what: &str) {
        let violations = self.report().violations;
        let found = violations.iter().any(|violation| violation.to_string().contains(what));
        assert!(found, "{what}: {violations:#?}");
    }
}

fn stands(at_ms: u64, state: State) -> Outcome {
    Outcome::Stands { state, until_ms: at_ms, cancel: false, at_ms: Some(at_ms) }
}

/// A job is enqueued, leased, done.
fn done() -> Told {
    let mut told = Told::new();
    told.enqueue(10, "0.1");
    told.lease(1, 20, "0.1", lease(1, 1));
    told.effect(30, "0.1", lease(1, 1), Kind::Charge, Outcome::Applied);
    told.complete(40, "0.1", lease(1, 1));
    told.ends(&[("0.1", State::Done, [1, 0, 0])]);
    told
}

#[test]
fn a_job_that_is_done_is_no_violation() {
    let report = done().report();
    assert_eq!(report.violations, []);
    assert_eq!((report.jobs, report.leases, report.duplicates.attempts), (1, 1, 1));
}

#[test]
fn a_job_that_nobody_knows_is_lost() {
    let mut told = done();
    told.ends(&[]);
    told.finds("no job is lost, but job 0.1");
    told.0.end = None;
    assert!(told.is_valid(), "nobody looked");
}

#[test]
fn a_job_that_can_run_and_does_not_is_stuck() {
    let mut told = done();
    told.enqueue(50, "0.2");
    told.ends(&[("0.1", State::Done, [1, 0, 0]), ("0.2", State::Ready, [0; 3])]);
    told.finds("in the end it was ready");
    if let Some(end) = &mut told.0.end {
        end.drained = false;
    }
    assert!(told.is_valid());
}

#[test]
fn a_job_waits_behind_what_never_ends_and_for_nothing_else() {
    for (head, valid) in [(Head::Block, true), (Head::Skip, false)] {
        let mut told = Told::new();
        told.0.rules.head = head;
        told.enqueue_as(10, "0.1", in_order());
        told.enqueue_as(20, "0.2", in_order());
        told.lease(1, 30, "0.1", lease(1, 1));
        let fail = Word::Fail { retry: false };
        told.say(40, "0.1", lease(1, 1), fail, stands(40, State::Dead));
        told.ends(&[("0.1", State::Dead, [1, 1, 0]), ("0.2", State::Waiting, [0; 3])]);
        if let Some(end) = &mut told.0.end {
            end.jobs.values_mut().for_each(|last| last.ordering_key = Some("o".into()));
        }
        assert_eq!(told.is_valid(), valid, "{:?}", told.report());
    }
}

#[test]
fn what_is_over_stays_over_and_has_a_reason() {
    let mut back = done();
    back.ends(&[("0.1", State::Leased, [2, 0, 1])]);
    back.finds("a job that is over stays so");
    for state in [State::Done, State::Dead, State::Cancelled] {
        let mut told = Told::new();
        told.enqueue(10, "0.1");
        told.ends(&[("0.1", state, [0; 3])]);
        told.finds("nobody said so");
    }
    let mut cancelled = Told::new();
    cancelled.enqueue(10, "0.1");
    cancelled.does(0, 20, Request::Cancel { job: "0.1".into() }, Outcome::Unknown);
    cancelled.ends(&[("0.1", State::Cancelled, [0; 3])]);
    assert!(cancelled.is_valid());
}

#[test]
fn budgets_are_kept_and_every_lease_counts() {
    for (counts, says) in [
        ([2, 0, 2], None),
        ([3, 3, 0], None),
        ([3, 0, 3], Some("at most 3 failures and 2 crashes")),
        ([2, 0, 1], Some("nobody said so")),
        ([3, 0, 2], Some("each lease of a job ends in one way")),
        ([1, 0, 2], Some("each lease of a job ends in one way")),
    ] {
        let mut told = Told::new();
        told.enqueue(10, "0.1");
        told.ends(&[("0.1", State::Dead, counts)]);
        match says {
            Some(says) => told.finds(says),
            None => assert!(told.is_valid(), "{:?}", told.report()),
        }
    }
}

#[test]
fn one_live_lease_a_job() {
    for (second_ms, valid) in [(119, false), (120, true)] {
        let mut told = Told::new();
        told.enqueue(10, "0.1");
        told.lease(1, 20, "0.1", lease(1, 1));
        told.lease(2, second_ms, "0.1", lease(2, 2));
        assert_eq!(told.is_valid(), valid, "{second_ms}");
    }
}

#[test]
fn one_live_lease_an_ordering_key() {
    for (second_ms, valid) in [(30, false), (45, true)] {
        let mut told = Told::new();
        // Nobody knows which was first.
        told.enqueue_as(10, "0.1", in_order());
        told.enqueue_as(11, "0.2", in_order());
        told.lease(1, 20, "0.1", lease(1, 1));
        told.complete(40, "0.1", lease(1, 1));
        told.lease(2, second_ms, "0.2", lease(1, 2));
        assert_eq!(told.is_valid(), valid, "{second_ms}: {:?}", told.report());
    }
}

#[test]
fn a_lease_may_have_ended_when_its_word_was_sent() {
    for (outcome, valid) in [(Outcome::Unknown, true), (Outcome::TurnedAway("no".into()), false)] {
        let mut told = Told::new();
        told.enqueue(10, "0.1");
        told.lease(1, 20, "0.1", lease(1, 1));
        told.say(30, "0.1", lease(1, 1), Word::Fail { retry: true }, outcome);
        told.lease(2, 40, "0.1", lease(2, 2));
        assert_eq!(told.is_valid(), valid);
    }
}

#[test]
fn an_extension_is_live_for_as_long_as_it_says() {
    for (second_ms, valid) in [(299, false), (300, true)] {
        let mut told = Told::new();
        told.enqueue(10, "0.1");
        told.lease(1, 20, "0.1", lease(1, 1));
        let extended = Outcome::Stands {
            state: State::Leased,
            until_ms: 300,
            cancel: false,
            at_ms: Some(100),
        };
        told.say(100, "0.1", lease(1, 1), Word::Extend { lease_ms: 200 }, extended);
        told.lease(2, second_ms, "0.1", lease(2, 2));
        assert_eq!(told.is_valid(), valid, "{second_ms}");
    }
}

#[test]
fn an_extension_is_not_clamped() {
    for (until_ms, valid) in [(250, true), (249, false)] {
        let mut told = Told::new();
        told.enqueue(10, "0.1");
        told.lease(1, 20, "0.1", lease(1, 1));
        let (state, cancel, at_ms) = (State::Leased, false, Some(50));
        let extended = Outcome::Stands { state, until_ms, cancel, at_ms };
        told.say(50, "0.1", lease(1, 1), Word::Extend { lease_ms: 200 }, extended);
        assert_eq!(told.is_valid(), valid);
    }
}

#[test]
fn slots_are_live_leases() {
    for (limit, valid) in [(2, true), (1, false)] {
        let mut told = Told::new();
        told.0.rules.concurrency_limit = Some(limit);
        for (number, job) in ["0.1", "0.2"].into_iter().enumerate() {
            told.enqueue(10, job);
            told.lease(1, 20, job, lease(1, number as u64 + 1));
        }
        assert_eq!(told.is_valid(), valid);
    }
}

#[test]
fn fences_and_attempts_grow() {
    for (second, valid) in [(lease(2, 2), true), (lease(2, 1), false), (lease(1, 2), false)] {
        let mut told = Told::new();
        told.enqueue(10, "0.1");
        told.lease(1, 20, "0.1", lease(1, 1));
        told.lease(1, 200, "0.1", second);
        assert_eq!(told.is_valid(), valid, "{second:?}");
    }
}

#[test]
fn a_stale_lease_changes_nothing() {
    let expired = |at_ms| {
        let mut told = Told::new();
        told.enqueue(10, "0.1");
        told.lease(1, 20, "0.1", lease(1, 1));
        told.complete(at_ms, "0.1", lease(1, 1));
        told
    };
    assert!(expired(119).is_valid());
    expired(120).finds("a stale lease changes nothing");
    let mut newer = expired(150);
    newer.lease(2, 130, "0.1", lease(2, 2));
    newer.finds("another worker had been given the job");
    // It is answered as before.
    let mut again = expired(50);
    again.complete(60, "0.1", lease(1, 1));
    assert!(again.is_valid());
    let extended = stands(60, State::Leased);
    again.say(60, "0.1", lease(1, 1), Word::Extend { lease_ms: 0 }, extended);
    again.finds("its worker had said Complete");
}

#[test]
fn a_live_lease_is_not_refused() {
    for (at_ms, valid) in [(119, false), (120, true)] {
        let mut told = Told::new();
        told.enqueue(10, "0.1");
        told.lease(1, 20, "0.1", lease(1, 1));
        told.say(at_ms, "0.1", lease(1, 1), Word::Progress, Outcome::Stale { at_ms });
        assert_eq!(told.is_valid(), valid, "{at_ms}");
    }
}

#[test]
fn an_ordering_key_is_an_order_where_anybody_can_know() {
    // The second was asked for when the first was known to be there; or was not.
    for (second_ms, valid) in [(20, false), (12, true)] {
        let mut told = Told::new();
        told.enqueue_as(10, "0.1", in_order());
        told.enqueue_as(second_ms, "0.2", in_order());
        told.lease(1, 30, "0.2", lease(1, 1));
        told.complete(40, "0.2", lease(1, 1));
        told.lease(1, 50, "0.1", lease(1, 2));
        assert_eq!(told.is_valid(), valid, "{second_ms}");
    }
}

#[test]
fn a_job_begins_after_those_that_it_names() {
    for (begins_ms, valid) in [(39, false), (40, true)] {
        let mut told = Told::new();
        told.enqueue(10, "0.1");
        told.enqueue_as(20, "0.2", Work { after: vec!["0.1".into()], ..work() });
        told.lease(1, 30, "0.1", lease(1, 1));
        told.complete(40, "0.1", lease(1, 1));
        told.lease(1, begins_ms, "0.2", lease(1, 2));
        assert_eq!(told.is_valid(), valid, "{begins_ms}");
    }
}

#[test]
fn a_unique_key_has_one_job() {
    for (second_ms, valid) in [(39, false), (41, true)] {
        let unique = || Work { unique_key: Some("u".into()), ..work() };
        let mut told = Told::new();
        told.enqueue_as(10, "0.1", unique());
        told.lease(1, 20, "0.1", lease(1, 1));
        told.effect(25, "0.1", lease(1, 1), Kind::Charge, Outcome::Applied);
        told.complete(40, "0.1", lease(1, 1));
        told.enqueue_as(second_ms, "0.2", unique());
        told.does(0, 60, Request::Cancel { job: "0.2".into() }, stands(60, State::Cancelled));
        told.ends(&[("0.1", State::Done, [1, 0, 0]), ("0.2", State::Cancelled, [0; 3])]);
        assert_eq!(told.is_valid(), valid, "{second_ms}: {:?}", told.report());
    }
}

#[test]
fn a_unique_key_does_not_outlive_its_job() {
    for (second_ms, valid) in [(40, true), (41, false)] {
        let mut told = done();
        told.enqueue(second_ms, "0.1");
        if let Some((_, Outcome::Enqueued { jobs, .. })) =
            told.0.operations.last_mut().and_then(|one| one.returned.as_mut())
        {
            jobs[0].duplicate = true;
        }
        assert_eq!(told.is_valid(), valid, "{second_ms}: {:?}", told.report());
    }
}

#[test]
fn a_key_has_one_answer() {
    let mut told = Told::new();
    let attempts = [told.enqueue(10, "0.1"), told.enqueue(20, "0.2")];
    assert!(told.is_valid());
    for attempt in attempts {
        told.0.operations[attempt].retry_key = Some("k".into());
    }
    told.finds("I2 broke for client 0");
}

#[test]
fn a_backlog_is_bounded() {
    let mut told = Told::new();
    ["0.1", "0.2", "0.3"].iter().zip([10, 11, 12]).for_each(|(job, at_ms)| {
        told.enqueue(at_ms, job);
    });
    let mut leased = Told(told.0.clone());
    leased.does(1, 15, Request::Lease { max: 1, wait_ms: 0 }, Outcome::Unknown);
    for (told, valid) in [(&mut told, false), (&mut leased, true)] {
        assert!(told.is_valid());
        told.enqueue(20, "0.4");
        assert_eq!(told.is_valid(), valid);
    }
    told.finds("I14 broke");
}

/// `waits_ms` of jobs that fail at once.
fn burst(waits_ms: impl Iterator<Item = u64>) -> Told {
    let mut told = Told::new();
    told.0.rules.backlog_max = vec![100; 10];
    for (number, wait_ms) in waits_ms.enumerate() {
        let (job, one) = (format!("0.{number}"), lease(1, number as u64));
        told.enqueue(10, &job);
        told.lease(1, 20, &job, one);
        let (state, until_ms) = (State::Retry, 40 + wait_ms);
        let retry = Outcome::Stands { state, until_ms, cancel: false, at_ms: Some(40) };
        told.say(30, &job, one, Word::Fail { retry: true }, retry);
    }
    told
}

#[test]
fn retries_of_a_burst_are_spread() {
    assert!(burst((0..16).map(|job| 100 + job * 20)).is_valid());
    burst((0..16).map(|_| 100)).finds("at most three quarters of them within 20 ms");
    assert!(burst((0..7).map(|_| 100)).is_valid(), "few are no burst");
    burst((0..16).map(|job| if job < 13 { 100 } else { 400 })).finds("the retries of 13");
    assert!(burst((0..16).map(|job| if job < 12 { 100 } else { 400 })).is_valid());
}

#[test]
fn a_row_is_not_overwritten_by_an_older_lease() {
    for (outcome, valid) in [(Outcome::Applied, false), (Outcome::Fenced, true)] {
        let mut told = Told::new();
        told.enqueue(10, "0.1");
        told.lease(1, 20, "0.1", lease(1, 1));
        told.lease(2, 120, "0.1", lease(2, 2));
        told.effect(130, "0.1", lease(2, 2), Kind::Put, Outcome::Applied);
        told.effect(140, "0.1", lease(1, 1), Kind::Put, outcome);
        assert_eq!(told.is_valid(), valid);
        let duplicates = told.report().duplicates;
        assert_eq!((duplicates.repeated, duplicates.expired), (1, 1), "{duplicates:?}");
    }
}

#[test]
fn an_effect_happens_once() {
    for (outcome, valid) in [(Outcome::Applied, false), (Outcome::Already, true)] {
        let mut told = Told::new();
        told.enqueue(10, "0.1");
        told.lease(1, 20, "0.1", lease(1, 1));
        told.effect(30, "0.1", lease(1, 1), Kind::Charge, Outcome::Applied);
        told.does(1, 35, Request::Dies, Outcome::Applied);
        told.lease(2, 120, "0.1", lease(2, 2));
        told.effect(130, "0.1", lease(2, 2), Kind::Charge, outcome);
        assert_eq!(told.is_valid(), valid);
        let duplicates = told.report().duplicates;
        assert_eq!((duplicates.attempts, duplicates.crashed), (2, 1), "{duplicates:?}");
    }
}

#[test]
fn a_repeat_has_a_reason() {
    let repeated = |said: Option<(Word, Outcome)>, again_ms| {
        let mut told = Told::new();
        told.enqueue(10, "0.1");
        told.lease(1, 20, "0.1", lease(1, 1));
        told.effect(30, "0.1", lease(1, 1), Kind::Charge, Outcome::Applied);
        if let Some((word, outcome)) = said {
            told.say(40, "0.1", lease(1, 1), word, outcome);
        }
        told.lease(2, again_ms, "0.1", lease(2, 2));
        told.effect(again_ms + 5, "0.1", lease(2, 2), Kind::Charge, Outcome::Already);
        told
    };
    let unknown = repeated(Some((Word::Complete, Outcome::Unknown)), 120);
    assert_eq!((unknown.is_valid(), unknown.report().duplicates.unknown), (true, 1));
    let failed = stands(40, State::Ready);
    let asked = repeated(Some((Word::Fail { retry: true }, failed)), 50);
    assert_eq!((asked.is_valid(), asked.report().duplicates.asked), (true, 1));
    let completed = repeated(Some((Word::Complete, stands(40, State::Done))), 50);
    completed.finds("a job is given again only after");
}

#[test]
fn work_that_was_acknowledged_and_not_done_is_lost() {
    let mut told = done();
    told.0.operations.retain(|one| !matches!(one.request, Request::Effect { .. }));
    told.finds("what it was for never happened");
}
