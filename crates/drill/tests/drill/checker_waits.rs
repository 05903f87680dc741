//! Workers that wait, words whose times are not told, ids that are given out twice: histories known to
//! be good and known to be bad.

use evenkeel_drill::{
    checker::{JobsReport, check_jobs},
    history::jobs::{
        Given, Head, JobHistory, Kind, Lease, Operation, Outcome, Request, Rules, State, Taken,
        Word, Work,
    },
};

/// How long the worker waits that is judged.
const WAIT_MS: u64 = 3_000;
const LEASE_MS: u64 = 400;
const FIRST: Lease = Lease { attempt: 1, fence: 1 };
const SECOND: Lease = Lease { attempt: 2, fence: 2 };

/// A history in the making.
struct Told(JobHistory);

impl Told {
    fn new() -> Self {
        Self(JobHistory::new(Rules {
            backlog_max: Vec::new(),
            concurrency_limit: None,
            max_attempts: 3,
            max_crashes: 3,
            retries_within_ms: 0,
            head: Head::Skip,
        }))
    }

    fn does(&mut self, ms: std::ops::Range<u64>, request: Request, outcome: Outcome) {
        let (client, retry_key, called_ms) = (1, None, ms.start);
        let operation =
            Operation { client, place: 0, retry_key, request, called_ms, returned: None };
        let operation = self.0.call(operation);
        self.0.returns(operation, ms.end, outcome);
    }

    /// Somebody hears at this time that a job is in.
    fn enqueue(&mut self, heard_ms: u64, job: &str, delay_ms: u64, ordering_key: Option<&str>) {
        let work = Work {
            kind: Kind::Charge,
            poison: false,
            unique_key: None,
            ordering_key: ordering_key.map(str::to_owned),
            priority: 4,
            delay_ms,
            after: Vec::new(),
        };
        let jobs = vec![Taken { job: job.into(), duplicate: false }];
        let outcome = Outcome::Enqueued { jobs, at_ms: None };
        self.does(heard_ms - 5..heard_ms, Request::Enqueue(vec![work]), outcome);
    }

    fn lease(&mut self, at_ms: u64, job: &str, lease: Lease) {
        let given = Given {
            job: job.into(),
            lease,
            at_ms,
            expires_at_ms: at_ms + LEASE_MS,
            ordering_key: None,
            failures: 0,
            crashes: lease.attempt - 1,
            kind: Kind::Charge,
            poison: false,
        };
        let outcome = Outcome::Leased { jobs: vec![given] };
        self.does(at_ms - 1..at_ms + 1, Request::Lease { max: 1, wait_ms: 0 }, outcome);
    }

    fn say(
        &mut self,
        ms: std::ops::Range<u64>,
        job: &str,
        lease: Lease,
        word: Word,
        told: Outcome,
    ) {
        self.does(ms, Request::Word { job: job.into(), lease, word }, told);
    }

    /// A worker waits from this time on, in vain.
    fn waits(&mut self, from_ms: u64) {
        let request = Request::Lease { max: 1, wait_ms: WAIT_MS };
        let ms = from_ms..from_ms + WAIT_MS + 10;
        self.does(ms, request, Outcome::Leased { jobs: Vec::new() });
    }

    fn report(&self) -> JobsReport {
        check_jobs(&self.0)
    }

    /// Whether the wait in vain was; each is judged.
    fn is_valid(&self) -> bool {
        let JobsReport { violations, waits, .. } = self.report();
        assert_eq!(waits, 1);
        let wrong = |text: &str| text.contains("a worker that waits is given a job");
        assert!(violations.iter().all(|one| wrong(&one.promise)), "{violations:#?}");
        violations.is_empty()
    }
}

fn stands(state: State, until_ms: u64) -> Outcome {
    Outcome::Stands { state, until_ms, cancel: false, at_ms: None }
}

#[test]
fn nobody_waits_in_vain_while_a_job_is_ready() {
    // It was ready from the first, from the middle, and for less than a moment.
    for (heard_ms, valid) in [(500, false), (3_000, false), (3_001, true), (9_000, true)] {
        let mut told = Told::new();
        told.enqueue(heard_ms, "0.1", 0, None);
        told.waits(1_000);
        assert_eq!(told.is_valid(), valid, "{heard_ms}");
    }
}

#[test]
fn a_job_that_somebody_is_given_or_may_be_is_not_ready() {
    for (given_ms, valid) in [(1_900, true), (2_100, false)] {
        let mut told = Told::new();
        told.enqueue(500, "0.1", 0, None);
        told.lease(given_ms, "0.1", FIRST);
        let done = stands(State::Done, given_ms + 9);
        told.say(given_ms + 5..given_ms + 12, "0.1", FIRST, Word::Complete, done);
        told.waits(1_000);
        assert_eq!(told.is_valid(), valid, "{given_ms}");
    }
    for (heard, valid) in [(Some(900), true), (Some(400), false), (None, true)] {
        let mut told = Told::new();
        told.enqueue(500, "0.1", 0, None);
        let request = Request::Lease { max: 1, wait_ms: 100 };
        told.does(300..heard.unwrap_or(0), request, Outcome::Unknown);
        if heard.is_none() {
            told.0.operations[1].returned = None;
        }
        told.waits(1_000);
        assert_eq!(told.is_valid(), valid, "{heard:?}");
    }
    let mut told = Told::new();
    told.enqueue(500, "0.1", 0, None);
    told.does(600..610, Request::Cancel { job: "0.1".into() }, Outcome::Unknown);
    told.waits(1_000);
    assert!(told.is_valid());
}

#[test]
fn a_delay_and_a_failure_say_when_a_job_is_due() {
    for (delay_ms, valid) in [(2_000, false), (2_600, true)] {
        let mut told = Told::new();
        told.enqueue(500, "0.1", delay_ms, None);
        told.waits(1_000);
        assert_eq!(told.is_valid(), valid, "{delay_ms}");
        for (word, state) in [
            (Word::Fail { retry: true }, State::Retry),
            (Word::Snooze { delay_ms: 9 }, State::Scheduled),
        ] {
            let mut told = Told::new();
            told.enqueue(500, "0.1", 0, None);
            told.lease(510, "0.1", FIRST);
            told.say(520..530, "0.1", FIRST, word, stands(state, 500 + delay_ms));
            told.waits(1_000);
            assert_eq!(told.is_valid(), valid, "{delay_ms} {word:?}");
        }
    }
}

#[test]
fn a_lease_that_ends_without_a_word_makes_its_job_ready_once() {
    for (lease, valid) in [(FIRST, false), (SECOND, true)] {
        let mut told = Told::new();
        told.enqueue(500, "0.1", 0, None);
        told.lease(510, "0.1", lease);
        told.waits(600);
        assert_eq!(told.is_valid(), valid, "{lease:?}");
        let mut unheard = Told(told.0.clone());
        unheard.say(520..530, "0.1", lease, Word::Fail { retry: true }, Outcome::Unknown);
        assert!(unheard.is_valid());
    }
}

#[test]
fn who_is_next_in_line_is_ready_when_those_before_it_are_done() {
    for (done_ms, valid) in [(None, true), (Some(3_500), true), (Some(2_000), false)] {
        let mut told = Told::new();
        told.enqueue(500, "0.1", 0, Some("o"));
        told.enqueue(600, "0.2", 0, Some("o"));
        told.lease(700, "0.1", FIRST);
        let extend = Word::Extend { lease_ms: 9_000 };
        let at_ms = Some(715);
        let extended =
            Outcome::Stands { state: State::Leased, until_ms: 9_715, cancel: false, at_ms };
        told.say(710..720, "0.1", FIRST, extend, extended);
        if let Some(done_ms) = done_ms {
            let done = stands(State::Done, done_ms - 5);
            told.say(done_ms - 10..done_ms, "0.1", FIRST, Word::Complete, done);
        }
        told.waits(1_000);
        assert_eq!(told.is_valid(), valid, "{done_ms:?}");
    }
}

#[test]
fn a_limit_may_be_what_a_worker_waits_for() {
    let mut told = Told::new();
    told.0.rules.concurrency_limit = Some(1);
    told.enqueue(500, "0.1", 0, None);
    told.waits(1_000);
    assert_eq!((told.report().violations, told.report().waits), (Vec::new(), 0));
}

/// When a failure was decided is not told if a retry follows: not before it was sent.
#[test]
fn a_stale_word_is_one_that_was_sent_too_late() {
    for (called_ms, valid) in [(909, true), (910, false)] {
        let mut told = Told::new();
        told.enqueue(500, "0.1", 0, None);
        told.lease(510, "0.1", FIRST);
        let fail = Word::Fail { retry: true };
        told.say(called_ms..950, "0.1", FIRST, fail, stands(State::Retry, 990));
        let violations = told.report().violations;
        let stale = violations.iter().any(|one| one.promise.contains("stale lease"));
        assert_eq!(stale, !valid, "{called_ms}: {violations:#?}");
    }
}

#[test]
fn two_requests_do_not_have_one_job() {
    let keyed = |keys: [Option<&str>; 2]| {
        let mut told = Told::new();
        for (heard_ms, key) in [500, 600].into_iter().zip(keys) {
            told.enqueue(heard_ms, "0.1", 0, None);
            if let Some(operation) = told.0.operations.last_mut() {
                operation.retry_key = key.map(str::to_owned);
            }
        }
        told.report().violations
    };
    assert_eq!(keyed([Some("k"), Some("k")]), []);
    for keys in [[None, None], [Some("k"), Some("l")], [None, Some("k")]] {
        let violations = keyed(keys);
        assert!(violations[0].promise.contains("one of them has none"), "{violations:#?}");
    }
}
