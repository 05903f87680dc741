//! What the paths of jobs declare about their code, against what the code does.

use super::{NOBODYS, command, id, job, pushed, tight};
use crate::{
    driver::{Driver, TENANT, meta},
    facts::Seen,
};
use evenkeel_contract::{Access, Idempotency, PartitionKey, Registry};
use evenkeel_domains::{
    Query, Reply, Scope,
    jobs::{
        self, Action, Cursor, DeadFilter, HeadPolicy, Leased, NewJob, PATHS, PushRequest, Settings,
        When,
    },
    meta as metas,
    meta::QueueMode,
    path_number,
};
use evenkeel_engine::Options;
use std::collections::BTreeSet;

#[test]
fn declarations_are_legal() {
    Registry::new(PATHS.to_vec()).unwrap();
}

/// A queue whose every command is seen.
struct Story<'s> {
    seen: &'s mut Seen,
    driver: Driver,
    settings: Settings,
}

impl<'s> Story<'s> {
    fn new(seen: &'s mut Seen, settings: Settings) -> Self {
        Self { seen, driver: Driver::new(Options::default()), settings }
    }

    fn tell(&mut self, action: Action) -> Option<jobs::Reply> {
        let command = command("q", self.settings, action);
        match self.seen.run(&mut self.driver, command) {
            Ok(Reply::Jobs(reply)) => Some(reply),
            _ => None,
        }
    }

    fn enqueue(&mut self, jobs: Vec<NewJob>) -> u64 {
        let Some(jobs::Reply::Enqueued(taken)) = self.tell(Action::Enqueue(jobs)) else { panic!() };
        taken[0].job
    }

    fn lease(&mut self) -> Leased {
        let lease = Action::Lease { worker: "w".into(), max: 1, lease_ms: Some(700) };
        let Some(jobs::Reply::Leased(mut leased, _)) = self.tell(lease) else { panic!() };
        leased.remove(0)
    }

    fn fail(&mut self, retry: bool) -> u64 {
        let Leased { job, lease, .. } = self.lease();
        self.tell(Action::Fail { job, lease, error: "no".into(), retry }).unwrap();
        job
    }
}

/// All that a job can have.
fn full(kind: &str) -> NewJob {
    NewJob { unique_key: Some("u".into()), ordering_key: Some("o".into()), ..job(kind) }
}

fn retry(job: u64) -> Action {
    Action::Retry { job, by: "ada".into() }
}

fn replay(dry_run: bool) -> Action {
    let (filter, by) = (DeadFilter::default(), "ada".into());
    Action::Replay { filter, after: None, max: 9, dry_run, pace: None, by }
}

fn working(seen: &mut Seen) {
    let story = &mut Story::new(seen, tight());
    let early = NewJob { when: When::DelayMs(100), ..job("early") };
    let first = story.enqueue(vec![full("a"), early]);
    story.enqueue(vec![NewJob { after: vec![id(first)], ..job("b") }]);
    story.tell(Action::Enqueue(vec![NewJob { after: vec![id(7)], ..job("b") }]));
    story.tell(Action::Lease { worker: "w".into(), max: 1, lease_ms: Some(9_999) });
    let Leased { job, lease, .. } = story.lease();
    story.tell(Action::Progress { job, lease, progress: "half".into() }).unwrap();
    story.tell(Action::Extend { job, lease, lease_ms: 50 }).unwrap();
    story.tell(Action::Extend { job, lease, lease_ms: 9_999 });
    story.tell(Action::Snooze { job, lease, delay_ms: 10 }).unwrap();
    story.driver.pass(10);
    let Leased { job, lease, .. } = story.lease();
    story.tell(Action::Complete { job, lease, result: Some("too large".into()) });
    story.tell(Action::Complete { job, lease, result: Some("fits".into()) }).unwrap();
    story.tell(Action::Cancel { job });
    for lease in [lease, NOBODYS] {
        for number in [job, 7] {
            unwelcome(story, number, lease);
        }
    }
    story.tell(Action::Cancel { job: 7 });
}

fn unwelcome(story: &mut Story<'_>, job: u64, lease: jobs::LeaseId) {
    story.tell(Action::Extend { job, lease, lease_ms: 1 });
    story.tell(Action::Snooze { job, lease, delay_ms: 1 });
    story.tell(Action::Progress { job, lease, progress: String::new() });
    story.tell(Action::Fail { job, lease, error: String::new(), retry: true });
    story.tell(Action::Complete { job, lease, result: None });
}

/// Where nothing that is done is kept.
fn forgetting(seen: &mut Seen) {
    let settings = Settings { retention_ms: 0, ..tight() };
    let story = &mut Story::new(seen, settings);
    let first = story.enqueue(vec![full("a")]);
    story.enqueue(vec![NewJob { unique_key: None, after: vec![id(first)], ..full("b") }]);
    let Leased { job, lease, .. } = story.lease();
    story.tell(Action::Progress { job, lease, progress: "half".into() }).unwrap();
    story.tell(Action::Complete { job, lease, result: None }).unwrap();
    let next = story.enqueue(vec![full("a")]);
    story.tell(Action::Cancel { job: next }).unwrap();
}

fn failing(seen: &mut Seen) {
    let settings = Settings { head: HeadPolicy::Skip, ..tight() };
    let story = &mut Story::new(seen, settings);
    story.enqueue(vec![full("a")]);
    story.enqueue(vec![NewJob { unique_key: None, ..full("b") }]);
    story.fail(true);
    story.driver.pass(150);
    let first = story.fail(false);
    let second = story.fail(false);
    story.tell(retry(first)).unwrap();
    story.tell(retry(first));
    story.tell(retry(7));
    story.fail(false);
    story.enqueue(vec![full("a")]);
    story.tell(retry(first));
    story.tell(replay(true)).unwrap();
    story.tell(replay(false)).unwrap();
    let third = story.fail(false);
    let waiter = story.enqueue(vec![NewJob { after: vec![id(third)], ..job("w") }]);
    story.tell(Action::Cancel { job: third }).unwrap();
    story.tell(Action::Cancel { job: waiter }).unwrap();
    story.fail(false);
    story.settings = Settings { version: 1, max_backlog: 0, ..story.settings };
    story.tell(Action::Enqueue(vec![job("c")]));
    story.settings = Settings { version: 2, draining: true, ..story.settings };
    story.tell(Action::Enqueue(vec![job("c")]));
    story.tell(retry(second));
    story.tell(retry(first));
    story.tell(replay(false));
    let story = &mut Story::new(story.seen, tight());
    story.enqueue(vec![full("a")]);
    story.fail(false);
    story.tell(replay(false)).unwrap();
}

/// Cancelling what waits, runs and is in line.
fn cancelling(seen: &mut Seen) {
    let story = &mut Story::new(seen, tight());
    let first = story.enqueue(vec![full("a")]);
    let second = story.enqueue(vec![NewJob { unique_key: None, ..full("b") }]);
    let waiter = story.enqueue(vec![NewJob { after: vec![id(second)], ..job("c") }]);
    story.lease();
    story.tell(Action::Cancel { job: first }).unwrap();
    story.tell(Action::Cancel { job: waiter }).unwrap();
    story.tell(Action::Cancel { job: second }).unwrap();
    let other = NewJob { ordering_key: Some("p".into()), ..job("d") };
    let head = story.enqueue(vec![other.clone(), other]);
    story.tell(Action::Cancel { job: head }).unwrap();
    story.tell(Action::Cancel { job: head + 1 }).unwrap();
}

/// What queues say is a row of meta.
fn queues(seen: &mut Seen) {
    let driver = &mut Driver::new(Options::default());
    let (tenant, name) = (TENANT, || "q".to_owned());
    let put_pushed = |settings, push: Option<PushRequest>| {
        let (settings, push) = (Box::new(settings), push.map(Box::new));
        meta(metas::Action::PutQueue { tenant, name: name(), settings, push, partitions: 16 })
    };
    let put = |settings| put_pushed(settings, None);
    let mode = |mode| meta(metas::Action::SetQueueMode { tenant, name: name(), mode });
    let delete = || meta(metas::Action::DeleteQueue { tenant, name: name() });
    let modes = [QueueMode::Paused, QueueMode::Draining, QueueMode::Open];
    for no in modes.map(mode).into_iter().chain([delete()]) {
        seen.run(driver, no).unwrap_err();
    }
    seen.run(driver, put(Settings::of(0))).unwrap();
    seen.run(driver, put(Settings { lease_ms: 0, ..Settings::of(0) })).unwrap_err();
    seen.run(driver, put(Settings::of(2))).unwrap_err();
    seen.run(driver, put_pushed(Settings::of(0), Some(pushed("http://a", 1)))).unwrap();
    seen.run(driver, put_pushed(Settings::of(0), Some(pushed("a", 1)))).unwrap_err();
    seen.run(driver, put(Settings::of(0))).unwrap();
    seen.run(driver, put_pushed(Settings::of(0), Some(pushed("http://a", 1)))).unwrap();
    for one in modes.map(mode) {
        seen.run(driver, one).unwrap();
    }
    seen.run(driver, delete()).unwrap_err();
    seen.run(driver, mode(QueueMode::Draining)).unwrap();
    seen.run(driver, delete()).unwrap();
}

/// Declared must be exactly what was seen: a story is missing, or a declaration.
#[test]
fn paths_declare_what_their_commands_do() {
    let mut seen = Seen::default();
    working(&mut seen);
    forgetting(&mut seen);
    failing(&mut seen);
    cancelling(&mut seen);
    queues(&mut seen);
    // Answered where the queue is resolved, before any partition is asked.
    for path in ["jobs.enqueue", "jobs.lease"] {
        seen.codes.entry(path).or_default().insert("not_found".to_owned());
    }
    // Ten thousand rows to reach.
    seen.codes.entry("jobs.put_queue").or_default().insert("too_many_queues".to_owned());
    // Its commands are those of the path for one.
    for seen in [&mut seen.effects, &mut seen.codes] {
        let one = seen["jobs.complete"].clone();
        seen.insert("jobs.complete_many", one);
    }
    let mut wrong = String::new();
    for path in PATHS.into_iter().filter(|path| path.access == Access::Write) {
        let declared = |list: &[&'static str]| -> BTreeSet<String> {
            list.iter().map(|&text| text.to_owned()).collect()
        };
        for (seen, declared) in [
            (seen.effects.remove(path.name), declared(path.facts.side_effects)),
            (seen.codes.remove(path.name), declared(path.facts.refusal_codes)),
        ] {
            let seen = seen.unwrap_or_default();
            let missing: Vec<&String> = seen.difference(&declared).collect();
            let unseen: Vec<&String> = declared.difference(&seen).collect();
            if !missing.is_empty() || !unseen.is_empty() {
                wrong += &format!("{}: not declared {missing:?}, not seen {unseen:?}\n", path.name);
            }
        }
        let keyed = path.facts.idempotency == Idempotency::Keyed;
        assert_eq!(keyed, path_number(path.name).is_some(), "{}", path.name);
    }
    assert_eq!(wrong, "");
}

#[test]
fn requests_know_their_paths_and_places() {
    let (queue, limit) = (|| "q".to_owned(), 1);
    let cursor = Some(Cursor { slot: 0, at: 0, number: 0 });
    let queries = [
        jobs::Query::Job { queue: queue(), job: id(1) },
        jobs::Query::Jobs { queue: queue(), state: None, kind: None, after: cursor, limit },
        jobs::Query::Dead { queue: queue(), filter: DeadFilter::default(), after: None, limit },
        jobs::Query::Queue { queue: queue(), after: None },
        jobs::Query::Events { queue: queue(), after: None, limit },
    ];
    let mut paths = BTreeSet::new();
    for query in queries {
        let one = matches!(query, jobs::Query::Job { .. });
        let query = Query::Jobs(query);
        let scope = if one { Scope::Partition(id(1).partition) } else { Scope::All };
        assert_eq!(query.scope(), scope);
        paths.insert(query.path());
    }
    let reads = PATHS.into_iter().filter(|path| path.access == Access::Read);
    let reads = reads.filter(|path| path.facts.partition_key != PartitionKey::Meta);
    assert_eq!(paths, reads.map(|path| path.name).collect());
    let retried = command("q", tight(), retry(1));
    assert_eq!(retried.scope(), Scope::Partition(id(1).partition));
    let later = command("q", Settings { version: 9, ..tight() }, retry(1));
    assert_eq!(later.fingerprint_bytes(), retried.fingerprint_bytes(), "the same request");
    assert_ne!(command("q", tight(), retry(2)).fingerprint_bytes(), retried.fingerprint_bytes());
    assert_ne!(command("r", tight(), retry(1)).fingerprint_bytes(), retried.fingerprint_bytes());
}
