//! Jobs against the model, by random commands, workers that never say a word, and time.

use super::{
    command, get, id,
    model::{Model, fence},
    read, tight,
};
use crate::driver::{Driver, ID};
use evenkeel_domains::{
    Refusal, Reply,
    jobs::{
        self, Action, Cursor, DeadFilter, Done, Found, HeadPolicy, JobView, LeaseId, NewJob, Query,
        QueueEvent, QueueView, Settings, State, Take, When,
    },
};
use evenkeel_engine::{Failure, Options, Partition, Time};
use evenkeel_state::Store;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const QUEUES: [&str; 2] = ["a", "b"];
const KINDS: [&str; 2] = ["mail", "scale"];

/// A step of a plan. Jobs and leases are named by their places among those of the run.
#[derive(Debug, Clone)]
enum Step {
    Enqueue(usize, Vec<Wish>),
    Lease(usize, u32, Option<u64>),
    /// Whether the worker wants the next job with the answer.
    Work(prop::sample::Index, Word, bool),
    CompleteMany(Vec<prop::sample::Index>),
    Cancel(prop::sample::Index),
    Retry(prop::sample::Index),
    Replay(usize, u32, bool, Option<usize>),
    Set(usize, Change),
    Pass(u64),
    /// What is in memory goes to the store.
    Flush,
}

#[derive(Debug, Clone)]
struct Wish {
    kind: usize,
    unique: Option<u8>,
    ordering: Option<u8>,
    priority: u8,
    delay_ms: Option<u64>,
    after: Vec<prop::sample::Index>,
}

/// What a worker says.
#[derive(Debug, Clone, Copy)]
enum Word {
    Complete(usize),
    Fail(bool),
    Extend(u64),
    Snooze(u64),
    Progress,
}

#[derive(Debug, Clone, Copy)]
enum Change {
    Paused(bool),
    Limit(Option<u64>),
    Head(HeadPolicy),
    Retention(u64),
}

fn wish() -> impl Strategy<Value = Wish> {
    let index = any::<prop::sample::Index>();
    let after = prop_oneof![
        5 => Just(Vec::new()),
        1 => prop::collection::vec(index, 1..3),
    ];
    (
        0..KINDS.len(),
        prop::option::weighted(0.5, 0..2_u8),
        prop::option::weighted(0.5, 0..2_u8),
        0..=9_u8,
        prop::option::weighted(0.2, 0..3_000_u64),
        after,
    )
        .prop_map(|(kind, unique, ordering, priority, delay_ms, after)| Wish {
            kind,
            unique,
            ordering,
            priority,
            delay_ms,
            after,
        })
}

fn word() -> impl Strategy<Value = Word> {
    prop_oneof![
        4 => (0..10_usize).prop_map(Word::Complete),
        5 => prop::bool::weighted(0.4).prop_map(Word::Fail),
        1 => (1..6_000_u64).prop_map(Word::Extend),
        1 => (0..2_000_u64).prop_map(Word::Snooze),
        1 => Just(Word::Progress),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    let head = [HeadPolicy::Block, HeadPolicy::Skip, HeadPolicy::DeadLetter];
    prop_oneof![
        1 => any::<bool>().prop_map(Change::Paused),
        1 => prop::option::of(0..4_u64).prop_map(Change::Limit),
        3 => prop::sample::select(head.to_vec()).prop_map(Change::Head),
        1 => prop::sample::select(vec![0, 5_000, 20_000_u64]).prop_map(Change::Retention),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let queue = 0..QUEUES.len();
    let index = any::<prop::sample::Index>();
    let step = prop_oneof![
        6 => (queue.clone(), prop::collection::vec(wish(), 1..4))
            .prop_map(|(queue, jobs)| Step::Enqueue(queue, jobs)),
        6 => (queue.clone(), 1..4_u32, prop::option::weighted(0.2, 1..6_000_u64))
            .prop_map(|(queue, max, lease_ms)| Step::Lease(queue, max, lease_ms)),
        8 => (index.clone(), word(), any::<bool>())
            .prop_map(|(lease, word, next)| Step::Work(lease, word, next)),
        3 => prop::collection::vec(index.clone(), 1..4).prop_map(Step::CompleteMany),
        2 => index.clone().prop_map(Step::Cancel),
        3 => index.prop_map(Step::Retry),
        1 => (queue.clone(), 1..4_u32, any::<bool>(), prop::option::of(0..KINDS.len()))
            .prop_map(|(queue, max, dry, kind)| Step::Replay(queue, max, dry, kind)),
        1 => (queue, change()).prop_map(|(queue, change)| Step::Set(queue, change)),
        4 => prop_oneof![0..300_u64, 0..3_000_u64, 0..30_000_u64].prop_map(Step::Pass),
        1 => Just(Step::Flush),
    ];
    prop::collection::vec(step, 1..60)
}

/// A partition and the model of it, side by side.
struct Run {
    driver: Driver,
    model: Model,
    settings: [Settings; 2],
    /// Every job that was ever taken in, and every lease that was ever given out, of each queue.
    jobs: Vec<(usize, u64)>,
    leases: Vec<(usize, u64, LeaseId)>,
    outcomes: BTreeMap<String, usize>,
}

impl Run {
    fn new() -> Self {
        let other =
            Settings { max_backlog: 10, max_crashes: 4, concurrency_limit: Some(2), ..tight() };
        let driver = Driver::new(Options::default());
        let model = Model { now: driver.now, ..Model::default() };
        Self {
            driver,
            model,
            settings: [tight(), other],
            jobs: Vec::new(),
            leases: Vec::new(),
            outcomes: BTreeMap::new(),
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Enqueue(queue, wishes) => {
                let jobs = wishes.iter().map(|wish| self.wished(wish)).collect();
                self.ask(*queue, Action::Enqueue(jobs));
            }
            Step::Lease(queue, max, lease_ms) => {
                let (max, lease_ms) = (*max, *lease_ms);
                self.ask(*queue, Action::Lease { worker: "w".into(), max, lease_ms });
            }
            Step::Work(index, word, next) => {
                if !self.leases.is_empty() {
                    // Mostly one of the last, which may be live.
                    let recent = self.leases.len().saturating_sub(6);
                    let (queue, job, lease) = *index.get(&self.leases[recent..]);
                    let word = said(*word, job, lease);
                    let take = Take { worker: "w".into(), max: 1, lease_ms: None };
                    let and_next = |word| Action::AndNext(Box::new(word), take);
                    // Those that wait for it are told right after the step, and in the model within it.
                    let is_awaited = self.model.jobs.values().any(|it| it.pending.contains(&job));
                    self.ask(queue, if *next && !is_awaited { and_next(word) } else { word });
                }
            }
            Step::CompleteMany(indices) => {
                let recent = self.leases.len().saturating_sub(6);
                let recent = &self.leases[recent..];
                let Some((queue, ..)) = recent.last().copied() else { return };
                let done = indices.iter().map(|index| *index.get(recent));
                let done = done.map(|(_, job, lease)| Done { job, lease, result: None });
                self.ask(queue, Action::CompleteMany(done.collect()));
            }
            Step::Cancel(index) => {
                if let Some((queue, job)) = self.some_job(*index) {
                    self.ask(queue, Action::Cancel { job });
                }
            }
            Step::Retry(index) => {
                if let Some((queue, job)) = self.some_dead(*index).or(self.some_job(*index)) {
                    self.ask(queue, Action::Retry { job, by: "ada".into() });
                }
            }
            Step::Replay(queue, max, dry_run, kind) => {
                let kind = kind.map(|kind| KINDS[kind].to_owned());
                let filter = DeadFilter { kind, ..DeadFilter::default() };
                let (after, max, dry_run) = (None, *max, *dry_run);
                let by = "ada".into();
                self.ask(*queue, Action::Replay { filter, after, max, dry_run, pace: None, by });
            }
            Step::Set(queue, change) => {
                let settings = &mut self.settings[*queue];
                settings.version += 1;
                match change {
                    Change::Paused(paused) => settings.paused = *paused,
                    Change::Limit(limit) => settings.concurrency_limit = *limit,
                    Change::Head(head) => settings.head = *head,
                    Change::Retention(ms) => settings.retention_ms = *ms,
                }
                // It is known from the next command on: from now on, for there is one.
                self.ask(*queue, Action::Lease { worker: "w".into(), max: 0, lease_ms: None });
            }
            Step::Pass(ms) => self.driver.pass(*ms),
            Step::Flush => self.driver.partition.request_checkpoint(),
        }
        self.driver.settle();
        self.model.advance(self.driver.now);
        self.compare();
    }

    fn some_job(&self, index: prop::sample::Index) -> Option<(usize, u64)> {
        (!self.jobs.is_empty()).then(|| *index.get(&self.jobs))
    }

    fn some_dead(&self, index: prop::sample::Index) -> Option<(usize, u64)> {
        let dead = |(_, number): &&(usize, u64)| {
            self.model.jobs.get(number).is_some_and(|job| job.state == State::Dead)
        };
        let dead: Vec<_> = self.jobs.iter().filter(dead).copied().collect();
        (!dead.is_empty()).then(|| *index.get(&dead))
    }

    fn wished(&self, wish: &Wish) -> NewJob {
        let after = wish.after.iter().filter_map(|index| self.some_job(*index));
        NewJob {
            kind: KINDS[wish.kind].to_owned(),
            payload: "{}".to_owned(),
            unique_key: wish.unique.map(|key| format!("u{key}")),
            ordering_key: wish.ordering.map(|key| format!("o{key}")),
            priority: wish.priority,
            when: wish.delay_ms.map_or(When::Now, When::DelayMs),
            after: after.map(|(_, job)| id(job)).collect(),
            trace: None,
        }
    }

    fn ask(&mut self, queue: usize, action: Action) {
        let (name, settings) = (QUEUES[queue], self.settings[queue]);
        let expected = self.model.decide(name, &settings, &action);
        let asked = format!("{action:?}");
        let answered = match self.driver.ask(command(name, settings, action), None) {
            Ok(Reply::Jobs(reply)) => Ok(reply),
            Err(Failure::Refused(Refusal::Jobs(refusal))) => Err(refusal),
            other => panic!("{other:?}"),
        };
        assert_eq!(answered.clone().map(without_due), expected.map(without_due), "{asked}");
        let outcome = match answered {
            Ok(jobs::Reply::Enqueued(taken)) => {
                let new = taken.iter().filter(|taken| !taken.duplicate);
                self.jobs.extend(new.clone().map(|taken| (queue, taken.job)));
                if new.count() < taken.len() { "duplicate" } else { "enqueued" }
            }
            Ok(jobs::Reply::Leased(leased, _)) => {
                self.leases.extend(leased.iter().map(|job| (queue, job.job, job.lease)));
                let live = self.model.count(name, &[State::Leased]);
                let limit = settings.concurrency_limit.unwrap_or(u64::MAX);
                assert!(leased.is_empty() || live <= limit, "slots are live leases");
                "leased"
            }
            Ok(jobs::Reply::Job(standing)) => standing.state.name(),
            Ok(jobs::Reply::Said(_, leased)) => {
                self.leases.extend(leased.iter().map(|job| (queue, job.job, job.lease)));
                if leased.is_empty() {
                    "said, and nothing next"
                } else {
                    "said, and given the next"
                }
            }
            Ok(jobs::Reply::Each(each)) if each.iter().any(Result::is_ok) => "several done",
            Ok(jobs::Reply::Each(_)) => "none of several",
            Ok(jobs::Reply::Replayed(replayed)) if replayed.jobs.is_empty() => "nothing dead",
            Ok(jobs::Reply::Replayed(_)) => "replayed",
            Err(refusal) => refusal.code(),
        };
        *self.outcomes.entry(outcome.to_owned()).or_default() += 1;
    }

    fn compare(&self) {
        let now = self.driver.now;
        for (queue, number) in &self.jobs {
            let shown = get(&self.driver, QUEUES[*queue], *number);
            let Some(job) = self.model.jobs.get(number) else {
                assert_eq!(shown, None, "it was forgotten");
                continue;
            };
            let detail = shown.unwrap_or_else(|| panic!("lost: {number} {job:?}"));
            let view = &detail.job;
            assert_eq!((view.state, view.at), (job.state, job.at), "{number} {job:?}");
            assert_eq!(view.lease, job.worker.clone().map(|worker| (job.fence, worker)));
            assert_eq!(
                (view.attempt, view.failures, view.crashes, view.cancel),
                (job.attempt, job.failures, job.crashes, job.cancel)
            );
            let error = view.error.as_ref().map(|note| without_which(&note.text));
            assert_eq!(error, job.error.as_deref().map(without_which));
            assert_eq!(detail.result.map(|note| note.text), job.result);
            assert_eq!(detail.progress.map(|note| note.text), job.progress);
            assert_eq!(detail.waiting_for, self.model.waiting_for(*number), "{number} {job:?}");
            assert!(view.state != State::Leased || view.at > now, "what is due is done");
        }
        for queue in QUEUES {
            self.compare_queue(queue);
        }
    }

    fn compare_queue(&self, name: &str) {
        let query = Query::Queue { queue: name.to_owned(), after: None };
        let Ok(Found::Queue(view)) = read(&self.driver, &query) else { panic!("queue") };
        let Some(queue) = self.model.queues.get(name) else {
            assert_eq!(*view, QueueView::default());
            return;
        };
        let mut kinds: BTreeMap<String, [u64; 8]> = BTreeMap::new();
        for job in self.model.jobs.values().filter(|job| job.queue == name) {
            kinds.entry(job.new.kind.clone()).or_default()[job.state as usize] += 1;
        }
        let counted = view.kinds.iter().map(|(name, kind)| (name.clone(), kind.counts));
        assert_eq!(counted.collect::<Vec<_>>(), kinds.into_iter().collect::<Vec<_>>());
        assert_eq!(view.counts, State::ALL.map(|state| self.model.count(name, &[state])));
        assert_eq!(view.totals, queue.totals);
        let ready = self.model.in_state(name, State::Ready);
        assert_eq!(view.oldest_ready, ready.first().map(|(at, _)| *at));
        let next = view.next.unwrap();
        assert_eq!(next.leasable, self.model.leasable(name));
        let waits = [State::Scheduled, State::Retry];
        let due = waits.iter().flat_map(|state| self.model.in_state(name, *state)).min();
        assert_eq!(next.due.is_some(), due.is_some());
        assert!(next.due <= due.map(|(at, _)| at), "nobody wakes too late");
        self.compare_list(name);
        self.check_live(name);
    }

    /// Every job is in the list once, in pages of any size.
    fn compare_list(&self, name: &str) {
        for state in State::ALL {
            let mut listed: Vec<JobView> = Vec::new();
            let mut after = None;
            loop {
                let (queue, state, kind) = (name.to_owned(), Some(state), None);
                let query = Query::Jobs { queue, state, kind, after, limit: 2 };
                let Ok(Found::Jobs(page, next)) = read(&self.driver, &query) else { panic!() };
                listed.extend(page);
                after = next;
                if after.is_none() {
                    break;
                }
            }
            let mut listed: Vec<(Time, u64)> = listed.iter().map(|job| (job.at, job.job)).collect();
            if state == State::Ready {
                // By priority first.
                listed.sort_unstable();
            }
            assert_eq!(listed, self.model.in_state(name, state), "{state:?}");
        }
    }

    /// I9, from what the partition shows alone.
    fn check_live(&self, name: &str) {
        let mut keys = BTreeSet::new();
        for (_, number) in self.model.in_state(name, State::Leased) {
            let key = get(&self.driver, name, number).unwrap().ordering_key;
            assert!(key.is_none_or(|key| keys.insert(key)), "I9: one live lease an ordering key");
        }
    }

    fn events(&self) -> Vec<String> {
        let mut events = Vec::new();
        for queue in QUEUES {
            let query = Query::Events { queue: queue.to_owned(), after: None, limit: 1_000 };
            let Ok(Found::Events(page, false)) = read(&self.driver, &query) else { panic!() };
            events.extend(page.iter().map(|event| format!("{queue} {:?}", event.event)));
        }
        events.sort_unstable();
        events
    }

    fn expected_events(&self) -> Vec<String> {
        let queues = self.model.queues.iter();
        let mut events: Vec<String> = queues
            .flat_map(|(name, queue)| {
                queue.events.iter().map(move |event: &QueueEvent| format!("{name} {event:?}"))
            })
            .collect();
        events.sort_unstable();
        events
    }
}

fn said(word: Word, job: u64, lease: LeaseId) -> Action {
    match word {
        Word::Complete(bytes) => {
            Action::Complete { job, lease, result: (bytes > 0).then(|| "r".repeat(bytes)) }
        }
        Word::Fail(retry) => Action::Fail { job, lease, error: "no".into(), retry },
        Word::Extend(lease_ms) => Action::Extend { job, lease, lease_ms },
        Word::Snooze(delay_ms) => Action::Snooze { job, lease, delay_ms },
        Word::Progress => Action::Progress { job, lease, progress: "half".into() },
    }
}

/// Of two jobs of two queues that end in vain at one time, either may be told first.
fn without_which(error: &str) -> &str {
    error.find(", which it was to run after").map_or(error, |at| &error[at..])
}

/// When something is next due is a bound, which the model does not keep.
fn without_due(reply: jobs::Reply) -> jobs::Reply {
    match reply {
        jobs::Reply::Leased(leased, next) => {
            jobs::Reply::Leased(leased, jobs::Next { due: None, ..next })
        }
        reply => reply,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn jobs_are_what_the_model_says(steps in steps()) {
        let mut run = Run::new();
        steps.iter().for_each(|step| run.step(step));
        prop_assert_eq!(run.events(), run.expected_events());
        // And a follower that has only read the log is at the same state.
        let state = evenkeel_state::State::open(&Store::memory().unwrap(), ID).unwrap();
        let mut follower: Partition<evenkeel_domains::Domains, u64, u64> =
            Partition::new(ID, evenkeel_domains::Domains::default(), Options::default(), state);
        run.driver.log.iter().for_each(|record| follower.follow(record).unwrap());
        prop_assert_eq!(
            follower.state_hash().unwrap(),
            run.driver.partition.state_hash().unwrap()
        );
    }
}

/// The plans reach what they are for: runs in which nothing happens would prove nothing.
#[test]
fn plans_reach_every_outcome() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..500 {
        let steps = steps().new_tree(&mut runner).unwrap().current();
        let mut run = Run::new();
        steps.iter().for_each(|step| run.step(step));
        for (outcome, count) in run.outcomes {
            *seen.entry(outcome).or_default() += count;
        }
    }
    for outcome in [
        "enqueued",
        "duplicate",
        "leased",
        "replayed",
        "said, and nothing next",
        "said, and given the next",
        "several done",
        "none of several",
        "done",
        "retry",
        "dead",
        "scheduled",
        "cancelled",
        "stale_lease",
        "lease_too_long",
        "result_too_large",
        "backlog_full",
        "no_after",
        "job_over",
        "not_dead",
        "unique_key_taken",
        "not_found",
    ] {
        assert!(seen.get(outcome).is_some_and(|count| *count >= 3), "{outcome}: {seen:?}");
    }
}

#[test]
fn numbers_are_fences() {
    let mut run = Run::new();
    run.step(&Step::Enqueue(
        0,
        vec![Wish {
            kind: 0,
            unique: None,
            ordering: None,
            priority: 5,
            delay_ms: None,
            after: Vec::new(),
        }],
    ));
    assert_eq!(run.jobs, [(0, fence(1))]);
    let cursor = Cursor { slot: 0, at: 0, number: 0 };
    let query =
        Query::Jobs { queue: "a".into(), state: None, kind: None, after: Some(cursor), limit: 9 };
    let Ok(Found::Jobs(page, None)) = read(&run.driver, &query) else { panic!() };
    assert_eq!(page.len(), 1);
}
