//! What paths declare about their code, against what the code does.

use crate::chat;
use crate::driver::{Answered, Driver, TENANT, key_for, meta, names, reservation};
use crate::feed;
use crate::limits::{check, command};
use crate::schedules::declared;
use crate::token_keys;
use evenkeel_contract::{Access, Bounds, Idempotency, PartitionKey, Path, Registry};
use evenkeel_domains::{
    Command, Query, Scope, jobs,
    limits::{self, Algorithm, Policy},
    meta as metas, path_number, paths,
    reservations::{self, Action, HoldState, Late, Places, ReservationEvent, SeatState, Spec},
    schedules,
};
use evenkeel_engine::{EVENTS_ID, Failure, Options, Time};
use evenkeel_state::{Effect, Layer};
use std::collections::{BTreeMap, BTreeSet};

/// Those of jobs have their own test, beside their stories.
fn declared() -> Vec<&'static Path> {
    paths().into_iter().filter(|path| !path.name.starts_with("jobs.")).collect()
}

fn path(name: &str) -> &'static Path {
    paths().into_iter().find(|path| path.name == name).unwrap_or_else(|| panic!("{name}"))
}

#[test]
fn declarations_are_legal() {
    Registry::new(paths()).unwrap();
}

#[test]
fn commands_are_declared_as_writes_of_their_scope() {
    let mut seen = BTreeSet::new();
    for command in commands() {
        let path = path(command.path());
        let key = match command.scope() {
            Scope::Meta => PartitionKey::Meta,
            Scope::Partition(3) => PartitionKey::Key("lease"),
            Scope::User("u") => PartitionKey::Key("user"),
            other => of_key(other),
        };
        assert_eq!(path.facts.partition_key, key, "{}", path.name);
        assert_eq!(path.access, Access::Write, "{}", path.name);
        let keyed = path.facts.idempotency == Idempotency::Keyed;
        assert_eq!(keyed, path_number(path.name).is_some(), "{}", path.name);
        assert_eq!(keyed, path.defaults.idempotency_window_s.is_some(), "{}", path.name);
        seen.insert(path.name);
    }
    let writes = declared().into_iter().filter(|path| path.access == Access::Write);
    assert_eq!(seen, writes.map(|path| path.name).collect(), "every write has a command");
}

fn of_key(scope: Scope<'_>) -> PartitionKey {
    let Scope::Key { domain, key } = scope else { panic!("{scope:?}") };
    let bytes: Vec<u8> = key.pieces().flatten().copied().collect();
    match (domain, bytes.as_slice()) {
        ("reservations", b"r") => PartitionKey::Key("resource"),
        ("schedules", b"s") => PartitionKey::Key("schedule"),
        ("chat", b"c") => PartitionKey::Key("conversation"),
        ("limits", b"limit-k\0k" | b"acme") => PartitionKey::Key("scope, else limit and key"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn path_numbers_are_told_apart() {
    let numbers: Vec<u8> = paths().iter().filter_map(|path| path_number(path.name)).collect();
    assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), numbers.len());
}

/// The id and the secret of a key are drawn anew for each try: a repeat must be known all the same.
#[test]
fn a_request_for_a_key_is_the_same_whatever_was_drawn_for_it() {
    let create = |drawn: u8, tenant: &str, scope: &str, label: &str| {
        let action = metas::Action::CreateKey {
            id: drawn.to_string(),
            secret_hash: [drawn; 32],
            tenant: tenant.into(),
            scopes: vec![scope.into()],
            label: label.into(),
        };
        meta(action).fingerprint_bytes()
    };
    let asked = create(1, "acme", "admin", "l");
    assert_eq!(create(2, "acme", "admin", "l"), asked);
    for other in [
        create(1, "acm", "admin", "l"),
        create(1, "acme", "reservations:read", "l"),
        create(1, "acme", "admin", "k"),
    ] {
        assert_ne!(other, asked);
    }
}

#[test]
fn commands_with_other_bytes_are_other_requests() {
    let bytes = |units| reservation("r", hold_units(units, 1)).fingerprint_bytes();
    assert_ne!(bytes(1), bytes(2));
}

#[test]
fn queries_are_declared_as_reads_of_their_scope() {
    for query in queries() {
        let path = path(query.path());
        let key = match query.scope() {
            Scope::All => PartitionKey::All,
            Scope::User("u") => PartitionKey::Key("user"),
            other => of_key(other),
        };
        assert_eq!(path.facts.partition_key, key, "{}", path.name);
        assert_eq!(path.access, Access::Read, "{}", path.name);
    }
}

#[test]
fn bounds_are_those_of_the_engine() {
    let options = Options::default();
    let bounds = Bounds {
        rows_max: u32::try_from(options.command_rows_max).unwrap(),
        bytes_max: u32::try_from(options.command_bytes_max).unwrap(),
    };
    for path in paths().into_iter().filter(|path| path.access == Access::Write) {
        assert_eq!(path.facts.bounds, bounds, "{}", path.name);
    }
}

/// Every command that a story tells is run, and what it changed and refused is gathered a path.
/// Declared must be exactly what was seen: a story is missing, or a declaration.
#[test]
fn paths_declare_what_their_commands_do() {
    let mut seen = Seen::default();
    seats(&mut seen);
    quantities(&mut seen);
    locks(&mut seen);
    late(&mut seen);
    keys(&mut seen);
    put_limits(&mut seen);
    counted(&mut seen);
    slots(&mut seen);
    declared::story(&mut seen);
    chat::declared::story(&mut seen);
    token_keys::story(&mut seen);
    feed::declared::story(&mut seen);
    for path in declared().into_iter().filter(|path| path.access == Access::Write) {
        let declared = |list: &[&'static str]| list.iter().map(|&text| text.to_owned()).collect();
        let effects: BTreeSet<String> = declared(path.facts.side_effects);
        let codes: BTreeSet<String> = declared(path.facts.refusal_codes);
        assert_eq!(seen.effects.remove(path.name).unwrap_or_default(), effects, "{}", path.name);
        let mut refused = seen.codes.remove(path.name).unwrap_or_default();
        // Ten thousand rows to reach; decided by the same lines as any other refusal.
        if path.name == "keys.create" {
            refused.extend(["too_many_keys".to_owned(), "too_many_tenants".to_owned()]);
        }
        // Answered where the limit is resolved, before any partition is asked.
        if ["limits.check", "limits.refund", "limits.reset"].contains(&path.name) {
            refused.insert("not_found".to_owned());
        }
        if path.name == "limits.put" {
            refused.insert("too_many_limits".to_owned());
        }
        // A million members, and ten thousand messages, have tests of their own.
        if ["chat.put_conversation", "chat.put_member"].contains(&path.name) {
            refused.insert("too_many_members".to_owned());
        }
        if path.name == "chat.read" {
            refused.insert("read_too_far".to_owned());
        }
        if path.name == "schedules.put" {
            refused.insert("too_many_schedules".to_owned());
        }
        assert_eq!(refused, codes, "{}", path.name);
    }
}

/// What was seen, a path.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) effects: BTreeMap<&'static str, BTreeSet<String>>,
    pub(crate) codes: BTreeMap<&'static str, BTreeSet<String>>,
    keys: u8,
}

impl Seen {
    pub(crate) fn run(&mut self, driver: &mut Driver, command: Command) -> Answered {
        driver.settle();
        let before = driver.log.len();
        let path = command.path();
        // Those that take keys come first.
        self.keys = self.keys.wrapping_add(1);
        let key = key_for(&command, self.keys, 1);
        let answered = driver.ask(command, key);
        match &answered {
            Ok(_) => {
                let effects = self.effects.entry(path).or_default();
                for record in &driver.log[before..] {
                    let layer = Layer::decode(record.body()).unwrap();
                    effects.extend(layer.effects().map(in_words));
                }
            }
            Err(Failure::Refused(refusal)) => {
                assert_eq!(driver.log.len(), before, "a refusal has no effect");
                self.codes.entry(path).or_default().insert(refusal.code().to_owned());
            }
            Err(failure) => panic!("{failure}"),
        }
        answered
    }

    fn reserve(&mut self, driver: &mut Driver, action: Action) -> Answered {
        self.run(driver, reservation("r", action))
    }
}

fn in_words(effect: Effect<'_>) -> String {
    let (verb, key, row) = match effect {
        Effect::Put { key, row } => ("puts", key, row),
        Effect::Delete { key } => ("deletes", key, &[][..]),
        Effect::DropPrefix { prefix } => ("drops", prefix, &[][..]),
    };
    if key[0] == EVENTS_ID && verb == "puts" {
        // A version, a time, then the event.
        let data = &row[9..];
        let name = match key[1] {
            reservations::DOMAIN => postcard::from_bytes::<ReservationEvent>(data).unwrap().name(),
            jobs::DOMAIN => postcard::from_bytes::<jobs::QueueEvent>(data).unwrap().name(),
            other => panic!("domain {other} emits nothing"),
        };
        return format!("emits {name}");
    }
    let name = evenkeel_domains::table_name(key[0]).unwrap();
    format!("{verb} {name}")
}

fn seats(seen: &mut Seen) {
    let driver = &mut Driver::new(Options::default());
    let all = ["A", "B", "C"];
    let put = |seats: &[&str]| Action::Put(Spec::Seats(names(seats)));
    seen.reserve(driver, Action::AddSeats(names(&["A"]))).unwrap_err();
    seen.reserve(driver, hold_seats(&["A"])).unwrap_err();
    seen.reserve(driver, put(&all)).unwrap();
    seen.reserve(driver, put(&["A", "B"])).unwrap();
    seen.reserve(driver, Action::AddSeats(names(&["C", "D"]))).unwrap();
    seen.reserve(driver, hold_seats(&["X"])).unwrap_err();
    seen.reserve(driver, hold_seats(&["A", "B"])).unwrap();
    seen.reserve(driver, hold_seats(&["B", "C"])).unwrap_err();
    seen.reserve(driver, put(&["C"])).unwrap_err();
    let many: Vec<String> = (0..998).map(|n| n.to_string()).collect();
    seen.reserve(driver, Action::AddSeats(many)).unwrap();
    seen.reserve(driver, put(&all)).unwrap_err();
    let hold = fence(1);
    seen.reserve(driver, Action::Extend { hold, ttl_ms: 1 }).unwrap();
    seen.reserve(driver, Action::Confirm { hold, late: Late::Refuse }).unwrap();
    seen.reserve(driver, Action::Extend { hold, ttl_ms: 1 }).unwrap_err();
    seen.reserve(driver, Action::Release { hold }).unwrap_err();
    seen.reserve(driver, Action::Cancel { hold }).unwrap();
    seen.reserve(driver, Action::Confirm { hold, late: Late::Refuse }).unwrap_err();
    seen.reserve(driver, hold_seats(&["C"])).unwrap();
    let hold = fence(2);
    seen.reserve(driver, Action::Cancel { hold }).unwrap_err();
    seen.reserve(driver, Action::Release { hold }).unwrap();
    for gone in [
        Action::Confirm { hold: 9, late: Late::Refuse },
        Action::Release { hold: 9 },
        Action::Extend { hold: 9, ttl_ms: 1 },
        Action::Cancel { hold: 9 },
    ] {
        seen.reserve(driver, gone).unwrap_err();
    }
}

fn quantities(seen: &mut Seen) {
    let driver = &mut Driver::new(Options::default());
    seen.reserve(driver, Action::Put(Spec::Quantity(5))).unwrap();
    seen.reserve(driver, Action::Put(Spec::Quantity(4))).unwrap();
    seen.reserve(driver, hold_units(3, 60_000)).unwrap();
    seen.reserve(driver, hold_units(2, 60_000)).unwrap_err();
    seen.reserve(driver, hold_seats(&["A"])).unwrap_err();
    seen.reserve(driver, Action::AddSeats(names(&["A"]))).unwrap_err();
    seen.reserve(driver, Action::Put(Spec::Quantity(2))).unwrap_err();
    seen.reserve(driver, Action::Put(Spec::Seats(names(&["A"])))).unwrap_err();
}

fn locks(seen: &mut Seen) {
    let driver = &mut Driver::new(Options::default());
    seen.reserve(driver, Action::Put(Spec::Lock { protects: "an export".into() })).unwrap();
    let hold = Action::Hold { holder: "w".into(), ttl_ms: 9, places: Places::Lock };
    seen.reserve(driver, hold).unwrap();
    seen.reserve(driver, Action::Confirm { hold: fence(1), late: Late::Refuse }).unwrap_err();
}

/// Holds that have expired, and places that were taken meanwhile.
fn late(seen: &mut Seen) {
    for spec in [Spec::Quantity(2), Spec::Seats(names(&["A", "B"]))] {
        let driver = &mut Driver::new(Options::default());
        seen.reserve(driver, Action::Put(spec.clone())).unwrap();
        let hold = |ttl_ms| match spec {
            Spec::Quantity(_) => hold_units(2, ttl_ms),
            _ => Action::Hold {
                holder: "u".into(),
                ttl_ms,
                places: Places::Seats(names(&["A", "B"])),
            },
        };
        let reacquire = Action::Confirm { hold: fence(1), late: Late::Reacquire };
        seen.reserve(driver, hold(10)).unwrap();
        driver.pass(10);
        seen.reserve(driver, Action::Confirm { hold: fence(1), late: Late::Refuse }).unwrap_err();
        seen.reserve(driver, Action::Release { hold: fence(1) }).unwrap_err();
        seen.reserve(driver, Action::Extend { hold: fence(1), ttl_ms: 1 }).unwrap_err();
        seen.reserve(driver, hold(10)).unwrap();
        seen.reserve(driver, reacquire.clone()).unwrap_err();
        driver.pass(10);
        seen.reserve(driver, reacquire).unwrap();
    }
}

fn keys(seen: &mut Seen) {
    let driver = &mut Driver::new(Options::default());
    let create = metas::Action::CreateKey {
        id: "k".into(),
        secret_hash: [1; 32],
        tenant: "acme".into(),
        scopes: vec!["admin".into()],
        label: String::new(),
    };
    let set = |path: &str| metas::Action::SetContracts(vec![(path.into(), "{}".into())]);
    let revoke = metas::Action::RevokeKey { id: "k".into(), tenant: None };
    for action in [create.clone(), set("a.b"), set("c.d")] {
        seen.run(driver, meta(action)).unwrap();
    }
    seen.run(driver, meta(create)).unwrap_err();
    seen.run(driver, meta(revoke.clone())).unwrap();
    seen.run(driver, meta(revoke)).unwrap_err();
}

fn put_limits(seen: &mut Seen) {
    let driver = &mut Driver::new(Options::default());
    let (tenant, name) = (TENANT, || "l".to_owned());
    let put = |policy| meta(metas::Action::PutLimit { tenant, name: name(), policy });
    let delete = || meta(metas::Action::DeleteLimit { tenant, name: name() });
    seen.run(driver, put(limited(Algorithm::Gcra, 1))).unwrap();
    seen.run(driver, put(limited(Algorithm::Concurrency, 1))).unwrap_err();
    seen.run(driver, put(limited(Algorithm::Gcra, 0))).unwrap_err();
    seen.run(driver, delete()).unwrap();
    seen.run(driver, delete()).unwrap_err();
}

fn counted(seen: &mut Seen) {
    let driver = &mut Driver::new(Options::default());
    let two = |action| counting(limited(Algorithm::SlidingWindow, 2), action);
    seen.run(driver, two(CHECK)).unwrap();
    let counted_at = driver.now;
    seen.run(driver, two(CHECK)).unwrap();
    seen.run(driver, two(CHECK)).unwrap_err();
    seen.run(driver, two(limits::Action::Refund { counted_at })).unwrap();
    seen.run(driver, two(limits::Action::Refund { counted_at })).unwrap();
    seen.run(driver, two(CHECK)).unwrap();
    seen.run(driver, two(limits::Action::GiveBack)).unwrap();
    seen.run(driver, two(CHECK)).unwrap();
    seen.run(driver, two(limits::Action::Reset)).unwrap();
}

fn slots(seen: &mut Seen) {
    let driver = &mut Driver::new(Options::default());
    let policy = Policy { period_ms: 10_000, ..limited(Algorithm::Concurrency, 2) };
    let two = |action| counting(policy, action);
    seen.run(driver, two(CHECK)).unwrap();
    seen.run(driver, two(CHECK)).unwrap();
    seen.run(driver, two(CHECK)).unwrap_err();
    seen.run(driver, two(limits::Action::Reset)).unwrap_err();
    let refund = limits::Action::Refund { counted_at: driver.now };
    seen.run(driver, two(refund)).unwrap_err();
    // Those that end make way, before the sweep comes.
    driver.now = driver.now.plus_ms(policy.period_ms);
    seen.run(driver, two(CHECK)).unwrap();
    seen.run(driver, two(CHECK)).unwrap();
    // All of them are over, and nothing is taken instead.
    driver.now = driver.now.plus_ms(policy.period_ms);
    for action in [limits::Action::Reset, limits::Action::Refund { counted_at: driver.now }] {
        seen.run(driver, two(action)).unwrap_err();
    }
    seen.run(driver, command(vec![check(policy, "k", 0)], CHECK)).unwrap();
    seen.run(driver, command(vec![check(policy, "k", 3)], CHECK)).unwrap_err();
    seen.run(driver, two(CHECK)).unwrap();
    seen.run(driver, two(CHECK)).unwrap();
    for number in [0, 1] {
        let lease = lease(number);
        let renew = || counting_none(limits::Action::Renew { lease, ttl_ms: 5 });
        let release = || counting_none(limits::Action::Release { lease });
        seen.run(driver, renew()).unwrap();
        seen.run(driver, release()).unwrap();
        seen.run(driver, renew()).unwrap_err();
        seen.run(driver, release()).unwrap_err();
    }
}

const CHECK: limits::Action = limits::Action::Check { lease: 0 };

fn limited(algorithm: Algorithm, quantity: u64) -> Policy {
    Policy::of(algorithm, quantity, 60_000)
}

fn counting(policy: Policy, action: limits::Action) -> Command {
    command(vec![check(policy, "k", 1)], action)
}

fn counting_none(action: limits::Action) -> Command {
    command(Vec::new(), action)
}

fn lease(number: u64) -> limits::LeaseId {
    let key = check(limited(Algorithm::Concurrency, 2), "k", 1).key();
    limits::LeaseId { partition: 3, key, number }
}

fn fence(sequence: u64) -> u64 {
    (1 << 38) + sequence
}

fn hold_seats(seats: &[&str]) -> Action {
    Action::Hold { holder: "u".into(), ttl_ms: 60_000, places: Places::Seats(names(seats)) }
}

fn hold_units(units: u64, ttl_ms: u64) -> Action {
    Action::Hold { holder: "u".into(), ttl_ms, places: Places::Quantity(units) }
}

/// One of each.
fn commands() -> Vec<Command> {
    let reserve = [
        Action::Put(Spec::Quantity(1)),
        Action::AddSeats(names(&["A"])),
        hold_units(1, 1),
        Action::Confirm { hold: 1, late: Late::Refuse },
        Action::Release { hold: 1 },
        Action::Extend { hold: 1, ttl_ms: 1 },
        Action::Cancel { hold: 1 },
    ];
    let about_keys = [
        metas::Action::CreateKey {
            id: String::new(),
            secret_hash: [0; 32],
            tenant: String::new(),
            scopes: Vec::new(),
            label: String::new(),
        },
        metas::Action::RevokeKey { id: String::new(), tenant: None },
        metas::Action::SetContracts(Vec::new()),
        metas::Action::PutLimit {
            tenant: TENANT,
            name: String::new(),
            policy: limited(Algorithm::Gcra, 1),
        },
        metas::Action::DeleteLimit { tenant: TENANT, name: String::new() },
    ];
    let scoped = Policy { scoped: true, ..limited(Algorithm::Gcra, 1) };
    let about_limits = [
        counting(limited(Algorithm::Gcra, 1), CHECK),
        counting(scoped, CHECK),
        counting(scoped, limits::Action::Refund { counted_at: Time(0) }),
        counting(scoped, limits::Action::Reset),
        counting(scoped, limits::Action::GiveBack),
        counting_none(limits::Action::Release { lease: lease(0) }),
        counting_none(limits::Action::Renew { lease: lease(0), ttl_ms: 1 }),
    ];
    let reserve = reserve.into_iter().map(|action| reservation("r", action));
    let others = about_limits.into_iter().chain(declared::commands()).chain(token_keys::commands());
    let others = others.chain(chat::declared::commands()).chain(feed::declared::commands());
    reserve.chain(about_keys.into_iter().map(meta)).chain(others).collect()
}

/// One of each.
fn queries() -> Vec<Query> {
    let resource = || "r".to_owned();
    let limit = 1;
    [
        reservations::Query::Resource { resource: resource() },
        reservations::Query::Resources { after: None, limit },
        reservations::Query::Seats {
            resource: resource(),
            state: Some(SeatState::Free),
            after: None,
            limit,
        },
        reservations::Query::Hold { resource: resource(), hold: 1 },
        reservations::Query::Holds {
            resource: resource(),
            state: Some(HoldState::Held),
            after: None,
            limit,
        },
        reservations::Query::Events { resource: resource(), after: None, from_start: false, limit },
    ]
    .into_iter()
    .map(Query::Reservations)
    .chain([Query::Limits(limits::Query::Peek {
        checks: vec![check(limited(Algorithm::Gcra, 1), "k", 1)],
    })])
    .chain([
        Query::Schedules(schedules::Query::Schedule { schedule: "s".to_owned() }),
        Query::Schedules(schedules::Query::Schedules { after: None, limit }),
    ])
    .chain(chat::declared::queries())
    .chain(feed::declared::queries())
    .collect()
}
