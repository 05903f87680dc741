//! Every row that version 1 writes, as a file: what is written today, and what must be readable for
//! ever. A row whose format changes gets a new version and a new file; this one stays as it is.
//!
//! A file is a story: `log-1.txt` that of reservations and meta, `limits-1.txt` that of limits,
//! `jobs-1.txt` that of jobs, `schedules-1.txt` that of schedules, `chat-1.txt` that of chat and `feed-1.txt` that of feeds (told beside their other tests),
//! `token-keys-1.txt` that of token keys. A line is a record: its kind, its time, its body. `EVENKEEL_WRITE_GOLDEN=1` writes a
//! file that is not there yet.

use crate::driver::{Driver, ID, TENANT, key_for, meta, names, reservation};
use crate::invariants::everything;
use crate::jobs::{Desk, id, job, pushed, tight};
use crate::limits::{check, command};
use crate::schedules;
use crate::token_keys;
use evenkeel_domains::{
    Command, Domains, Query,
    jobs::{self, Action as JobAction, NewJob, Settings, When},
    limits::{self, Algorithm, LeaseId, Policy},
    meta as metas,
    reservations::{Action, HoldChange, Late, Places, Spec},
    rules::Rule,
    schedules::{self as products, Action as ScheduleAction, Missed},
    table_name,
};
use evenkeel_engine::{Options, Partition};
use evenkeel_log::{Incarnation, Kind, Record};
use evenkeel_state::{Effect, Layer, State, Store};
use std::{collections::BTreeSet, fmt::Write, fs, path::Path};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");

fn fence(sequence: u64) -> u64 {
    (1 << 38) + sequence
}

fn hold(places: Places) -> Action {
    Action::Hold { holder: "ada".into(), ttl_ms: 1_000, places }
}

/// Something of everything.
fn story() -> Vec<(Command, Option<u8>)> {
    let seats = |seats: &[&str]| hold(Places::Seats(names(seats)));
    let key = metas::Action::CreateKey {
        id: "key-1".into(),
        secret_hash: [0xab; 32],
        tenant: "acme".into(),
        scopes: vec!["reservations:read".into(), "admin".into()],
        label: "a label".into(),
    };
    let settings = ("reservations.hold".to_owned(), "{\"deadline_ms\":500}".to_owned());
    vec![
        (reservation("hall", Action::Put(Spec::Seats(names(&["A1", "A2", "B1"])))), None),
        (reservation("units", Action::Put(Spec::Quantity(300))), None),
        (reservation("lock", Action::Put(Spec::Lock { protects: "one export".into() })), None),
        (reservation("hall", seats(&["A1", "A2"])), Some(1)),
        (reservation("units", hold(Places::Quantity(200))), Some(2)),
        (reservation("lock", hold(Places::Lock)), None),
        (reservation("hall", Action::Confirm { hold: fence(1), late: Late::Refuse }), Some(3)),
        (reservation("units", Action::Extend { hold: fence(1), ttl_ms: 2_000 }), None),
        (reservation("lock", Action::Release { hold: fence(1) }), None),
        (reservation("hall", Action::Cancel { hold: fence(1) }), None),
        (reservation("hall", seats(&["B1"])), None),
        (meta(key), Some(4)),
        (meta(metas::Action::SetContracts(vec![settings])), None),
    ]
}

fn told() -> Driver {
    let mut driver = Driver::new(Options::default());
    for (command, key) in story() {
        driver.now = driver.now.plus_ms(1);
        let key = key.and_then(|key| key_for(&command, key, key));
        driver.ask(command, key).unwrap();
    }
    driver.pass(1_500);
    let late = Action::Confirm { hold: fence(2), late: Late::Reacquire };
    driver.reserve("hall", late).unwrap();
    driver
}

fn in_lines(log: &[Record]) -> String {
    let mut lines = String::new();
    for record in log {
        let header = record.header();
        write!(lines, "{:?} {} ", header.kind, header.time_ms).unwrap();
        record.body().iter().for_each(|byte| write!(lines, "{byte:02x}").unwrap());
        lines.push('\n');
    }
    lines
}

/// The records of `lines`, chained anew like those of `like`.
fn from_lines(lines: &str, like: &[Record]) -> Vec<Record> {
    let mut log: Vec<Record> = Vec::new();
    for (line, like) in lines.lines().zip(like) {
        let [kind, time_ms, body] = line.split(' ').collect::<Vec<&str>>()[..] else {
            panic!("{line}")
        };
        let body: Vec<u8> = (0..body.len() / 2)
            .map(|at| u8::from_str_radix(&body[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        let mut header = *like.header();
        header.kind = [Kind::Genesis, Kind::Announce, Kind::Batch]
            .into_iter()
            .find(|known| format!("{known:?}") == kind)
            .unwrap();
        header.time_ms = time_ms.parse().unwrap();
        header.prev = log.last().map_or(header.prev, |last| last.tail().hash);
        log.push(Record::new(header, &body));
    }
    log
}

/// Compares what `driver` has written with `file`; answers a follower that has read that.
pub(crate) fn golden(file: &str, driver: &Driver) -> (Vec<Record>, Partition<Domains, u64, u64>) {
    let written = in_lines(&driver.log);
    let path = Path::new(FOLDER).join(file);
    if !path.exists() && std::env::var_os("EVENKEEL_WRITE_GOLDEN").is_some() {
        fs::create_dir_all(FOLDER).unwrap();
        fs::write(&path, &written).unwrap();
    }
    let golden = fs::read_to_string(path).unwrap();
    for (ours, theirs) in written.lines().zip(golden.lines()) {
        assert_eq!(ours, theirs, "no longer what is written");
    }
    assert_eq!(written.len(), golden.len());
    let log = from_lines(&golden, &driver.log);
    let id = driver.partition.id();
    let state = State::open(&Store::memory().unwrap(), id).unwrap();
    let mut follower: Partition<Domains, u64, u64> =
        Partition::new(id, Domains::default(), Options::default(), state);
    log.iter().for_each(|record| follower.follow(record).unwrap());
    (log, follower)
}

/// The subjects of the story of limits.
fn subjects() -> [limits::Check; 4] {
    let of = |algorithm, quantity| Policy::of(algorithm, quantity, 60_000);
    [
        check(Policy { burst: 9, ..of(Algorithm::Gcra, 10) }, "gcra", 3),
        check(Policy { scoped: true, ..of(Algorithm::SlidingWindow, 300) }, "window", 200),
        check(of(Algorithm::Concurrency, 4), "slots", 2),
        check(Policy::throttle(15, 30, 60).unwrap(), "throttle", 1),
    ]
}

fn told_of_limits() -> Driver {
    let mut driver = Driver::new(Options::default());
    let [gcra, window, slots, throttle] = subjects();
    let all = vec![gcra, window.clone(), slots.clone(), throttle];
    let check = |checks, lease| command(checks, limits::Action::Check { lease });
    let lease = |number| LeaseId { partition: 3, key: slots.key(), number };
    let put = |name: &str, policy| {
        meta(metas::Action::PutLimit { tenant: TENANT, name: name.into(), policy })
    };
    let watching =
        Policy { on_unavailable: limits::OnUnavailable::Allow, shadow: true, ..*window.policy() };
    let (ttl_ms, counted_at) = (90_000, driver.now.plus_ms(1_000));
    let story = [
        (check(all, 70), Some(1)),
        (check(vec![slots.clone()], 10), None),
        (command(vec![window], limits::Action::Refund { counted_at }), Some(2)),
        (command(Vec::new(), limits::Action::Renew { lease: lease(10), ttl_ms }), None),
        (command(Vec::new(), limits::Action::Release { lease: lease(72) }), None),
        (put("a", *slots.policy()), None),
        (put("b", watching), None),
    ];
    for (command, key) in story {
        driver.now = driver.now.plus_ms(1_000);
        let key = key.and_then(|key| key_for(&command, key, key));
        driver.ask(command, key).unwrap();
    }
    driver
}

#[test]
fn rows_of_limits_of_version_1() {
    let driver = told_of_limits();
    let (_, follower) = golden("limits-1.txt", &driver);
    let (ours, theirs) = (driver.partition.view(), follower.view());
    assert_eq!(metas::load(&ours).unwrap(), metas::load(&theirs).unwrap());
    for subject in subjects() {
        let query = Query::Limits(limits::Query::Peek { checks: vec![subject] });
        let peek = |view| {
            evenkeel_domains::query(view, driver.now, Incarnation(1), TENANT, &query).unwrap()
        };
        assert_eq!(peek(&ours), peek(&theirs));
    }
}

/// The jobs of the story, by their order.
const JOBS: [u64; 6] = [1, 2, 3, 4, 5, 6];

fn told_of_jobs() -> Driver {
    let driver = Driver::new(Options::default());
    let settings = Settings { concurrency_limit: Some(300), ..tight() };
    let mut desk = Desk { driver, settings };
    let number = |at: usize| fence(JOBS[at]);
    let full = NewJob {
        unique_key: Some("u".into()),
        ordering_key: Some("o".into()),
        priority: 9,
        trace: Some("00-ab-cd-01".into()),
        ..job("mail")
    };
    let later = NewJob { when: When::DelayMs(90_000), ..job("later") };
    let second = NewJob { unique_key: None, ..full.clone() };
    desk.enqueue_all(vec![full, second, later, job("fails"), job("crashes")]);
    let after = vec![id(number(0)), id(number(3))];
    desk.enqueue(NewJob { after, ..job("after") });
    desk.driver.pass(10);
    let leased = desk.lease(3);
    let (job, lease) = (leased[0].job, leased[0].lease);
    desk.ask(JobAction::Progress { job, lease, progress: "half".into() }).unwrap();
    desk.ask(JobAction::Cancel { job: leased[2].job }).unwrap();
    let result = Some("done".into());
    desk.ask(JobAction::Complete { job, lease, result }).unwrap();
    desk.fail(&leased[1], false).unwrap();
    desk.driver.pass(400);
    desk.ask(JobAction::Retry { job: leased[1].job, by: "ada".into() }).unwrap();
    desk.lease(1);
    desk.driver.pass(1_000);
    let settings = Box::new(tight());
    let push = |byte| Some(Box::new(pushed("https://a.example:8443/hook?b=c", byte)));
    let put = |settings, push| {
        let (tenant, name) = (TENANT, "q".to_owned());
        meta(metas::Action::PutQueue { tenant, name, settings, push, partitions: 1 })
    };
    desk.driver.ask(put(settings.clone(), push(1)), None).unwrap();
    desk.driver.ask(put(settings, push(2)), None).unwrap();
    let rule = Rule {
        on: HoldChange::Confirmed,
        resource: Some("gig-*".into()),
        queue: "q".into(),
        kind: "receipt".into(),
        priority: 4,
    };
    let rules = metas::Action::SetRules(vec![("default".into(), vec![rule])]);
    desk.driver.ask(meta(rules), None).unwrap();
    let version = desk.driver.now.0 + 1;
    let (name, reason) = ("q".to_owned(), "answered 410 Gone".to_owned());
    let disable = metas::Action::DisablePush { tenant: TENANT, name, version, reason };
    desk.driver.ask(meta(disable), None).unwrap();
    desk.driver
}

#[test]
fn rows_of_jobs_of_version_1() {
    let driver = told_of_jobs();
    let (_, follower) = golden("jobs-1.txt", &driver);
    let (ours, theirs) = (driver.partition.view(), follower.view());
    let queue = || "q".to_owned();
    let queries = JOBS.map(|at| jobs::Query::Job { queue: queue(), job: id(fence(at)) });
    let whole = [
        jobs::Query::Queue { queue: queue(), after: None },
        jobs::Query::Jobs { queue: queue(), state: None, kind: None, after: None, limit: 99 },
        jobs::Query::Events { queue: queue(), after: None, limit: 99 },
    ];
    for query in queries.into_iter().chain(whole) {
        let query = Query::Jobs(query);
        let ask = |view| {
            evenkeel_domains::query(view, driver.now, Incarnation(1), TENANT, &query).unwrap()
        };
        assert_eq!(ask(&ours), ask(&theirs));
    }
}

fn told_of_schedules() -> Driver {
    let mut driver = Driver::knowing(schedules::domains(), ID, Options::default());
    let full = |timing| {
        let mut spec = schedules::spec(timing, Missed::Once);
        spec.job.unique_key = Some("u".into());
        spec.job.ordering_key = Some("o".into());
        spec
    };
    let weekly = full(schedules::cron("30 2 * * MON", "Europe/Berlin"));
    for (name, action) in [
        ("weekly", schedules::put(weekly)),
        ("often", schedules::put(full(schedules::every(300_000)))),
        ("paused", schedules::put(schedules::spec(schedules::every(1_000), Missed::All))),
        ("paused", ScheduleAction::Pause),
        ("gone", schedules::put(schedules::spec(schedules::every(1_000), Missed::Skip))),
        ("gone", ScheduleAction::Delete),
    ] {
        driver.now = driver.now.plus_ms(1);
        driver.ask(schedules::command(name, action), None).unwrap();
    }
    driver.pass(300_000);
    driver
}

#[test]
fn rows_of_schedules_of_version_1() {
    let driver = told_of_schedules();
    let (_, follower) = golden("schedules-1.txt", &driver);
    let list = products::Query::Schedules { after: None, limit: 99 };
    let one = products::Query::Schedule { schedule: "often".into() };
    for query in [list, one].map(Query::Schedules) {
        let ask = |view| {
            evenkeel_domains::query(view, driver.now, Incarnation(1), TENANT, &query).unwrap()
        };
        assert_eq!(ask(&driver.partition.view()), ask(&follower.view()));
    }
}

fn told_of_token_keys() -> Driver {
    let mut driver = Driver::new(Options::default());
    for command in [
        token_keys::create("tk_00000000000000a1", "acme", token_keys::secret(1)),
        token_keys::create("tk_00000000000000b2", "default", token_keys::public(2)),
        token_keys::create("tk_00000000000000c3", "acme", token_keys::public(3)),
        token_keys::revoke("tk_00000000000000c3", "acme"),
    ] {
        driver.now = driver.now.plus_ms(1);
        driver.ask(command, None).unwrap();
    }
    driver
}

#[test]
fn rows_of_token_keys_of_version_1() {
    let driver = told_of_token_keys();
    let (_, follower) = golden("token-keys-1.txt", &driver);
    let read = metas::load(&follower.view()).unwrap();
    assert_eq!(metas::load(&driver.partition.view()).unwrap(), read);
    assert_eq!(read.token_keys.len(), 2);
}

#[test]
fn rows_of_version_1() {
    let mut driver = told();
    let (log, follower) = golden("log-1.txt", &driver);
    // And it is read: the same views, and answers that were remembered.
    let (ours, theirs) = (driver.partition.view(), follower.view());
    assert_eq!(everything(&ours, driver.now), everything(&theirs, driver.now));
    assert_eq!(metas::load(&ours).unwrap(), metas::load(&theirs).unwrap());
    drop(ours);

    driver.log = log;
    driver.partition = follower;
    driver.partition.announce(driver.now);
    driver.settle();
    for (command, key) in story() {
        let Some(key) = key.and_then(|key| key_for(&command, key, key)) else { continue };
        let ticket = driver.submit(command, Some(key));
        driver.settle();
        let answer = &driver.answers[&ticket];
        assert!(answer.outcome.is_ok() && answer.delivered.replayed, "{answer:?}");
    }
}

#[test]
fn the_file_has_every_table() {
    let others = told_of_limits().log.into_iter().chain(told_of_jobs().log);
    let others = others.chain(told_of_schedules().log).chain(told_of_token_keys().log);
    let others = others.chain(crate::chat::told().driver.log).chain(crate::feed::told());
    let records = told().log.into_iter().chain(others);
    let layers = records.map(|record| Layer::decode(record.body()).unwrap());
    let mut written = BTreeSet::new();
    for layer in layers {
        written.extend(layer.effects().filter_map(|effect| match effect {
            Effect::Put { key, .. } => table_name(key[0]),
            _ => None,
        }));
    }
    let known: BTreeSet<&str> = (0..=u8::MAX).filter_map(table_name).collect();
    let missing: Vec<&&str> = known.difference(&written).collect();
    let others = [&"dead_count", &"dead_deliveries", &"folds", &"parked_timers"];
    assert_eq!(missing, others, "nothing panics here, nor is a thousand messages deleted");
}
