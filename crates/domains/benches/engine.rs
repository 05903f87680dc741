//! How fast one partition decides holds and checks, alone: submit, decide, encode, hash, commit and
//! answer, on one core, with a log that takes every append at once. `cargo bench -p evenkeel-domains`, and after
//! `--` a word of the shapes to run.
//!
//! Seconds are those of this thread's processor time where the system tells it (Linux), so that
//! neighbours on the machine count for less. Each hold has an idempotency key of its own, checks (`throttle`) have
//! none, as from RESP. Then the same log is replayed, as after a restart: check the record, decode it,
//! apply it. Nothing is flushed meanwhile.

use evenkeel_domains::{
    Command, Domains,
    limits::{self, Check, Policy, Subject},
    path_number,
    reservations::{self, Action, Places, Spec},
};
use evenkeel_engine::{
    Idempotency, Options, Outcome, Output, Partition, Priority, Request, TenantId, Time,
};
use evenkeel_log::{Incarnation, PartitionId, Record};
use evenkeel_state::{State, Store};
use std::{sync::LazyLock, time::Instant};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ID: PartitionId = PartitionId(0);
const RUNS: usize = 5;
const HOLDS: usize = 200_000;
const RESOURCES: usize = 1_000;
/// Holds that arrive between two batches, as they would in a millisecond or two.
const HOLDS_A_MS: usize = 256;
const CHECKS: usize = 1_000_000;
const KEYS: usize = 10_000;
/// Checks that arrive between two batches: those of some deep pipelines.
const CHECKS_A_MS: usize = 1_024;
const WINDOW_MS: u64 = 24 * 3_600_000;

type Owner = Partition<Domains, u32, ()>;
type Ask = Request<Domains, u32>;
type MakeShape = fn() -> Shape;

fn main() {
    println!("{HOLDS} holds or {CHECKS} checks a run, the median of {RUNS} runs");
    println!(
        "{:<34}{:>10}{:>12}{:>12}{:>11}",
        "", "batch", "decided/s", "replayed/s", "bytes each"
    );
    let shapes: [(&str, MakeShape, &[usize]); 4] = [
        ("one hot counted resource", hot, &[64, 256]),
        ("seats of 1,000 resources", spread, &[64, 256]),
        ("throttle: one hot key", || throttle(1), &[64, 1_024]),
        ("throttle: 10,000 keys", || throttle(KEYS), &[64, 1_024]),
    ];
    let wanted = std::env::args().skip(1).find(|word| !word.starts_with('-')).unwrap_or_default();
    for (name, shape, batches) in shapes.into_iter().filter(|(name, ..)| name.contains(&wanted)) {
        for &batch in batches {
            let mut runs: Vec<Measured> = (0..RUNS).map(|_| measure(shape(), batch)).collect();
            runs.sort_by(|a, b| a.decided.total_cmp(&b.decided));
            let decided = runs[RUNS / 2].decided;
            runs.sort_by(|a, b| a.replayed.total_cmp(&b.replayed));
            let Measured { replayed, bytes, .. } = runs[RUNS / 2];
            // A thousand rows for a million checks are read faster than this clock ticks.
            let replayed = Some(replayed).filter(|it| it.is_finite() && *it < 1e8);
            let replayed = replayed.map_or_else(|| "-".to_owned(), |it| format!("{it:.0}"));
            println!("{name:<34}{batch:>10}{decided:>12.0}{replayed:>12}{bytes:>11}");
        }
    }
}

/// Processor time of this thread, else time since the first call.
fn seconds() -> f64 {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let on_cpu_ns = std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    on_cpu_ns.map_or_else(|| BEGAN.elapsed().as_secs_f64(), |ns| ns / 1e9)
}

/// What there must be, and what is asked.
struct Shape {
    prepare: Vec<Command>,
    asks: Vec<Command>,
    /// So many between two batches.
    asks_a_ms: usize,
}

struct Measured {
    decided: f64,
    replayed: f64,
    bytes: usize,
}

fn reservation(resource: String, action: Action) -> Command {
    Command::Reservations(reservations::Command { resource, action })
}

fn hold(resource: String, places: Places, number: usize) -> Command {
    let holder = format!("customer-{number}");
    reservation(resource, Action::Hold { holder, ttl_ms: 300_000, places })
}

fn hot() -> Shape {
    let name = || "2013-06-01.UA1545".to_owned();
    Shape {
        prepare: vec![reservation(name(), Action::Put(Spec::Quantity(u64::from(u32::MAX))))],
        asks: (0..HOLDS).map(|n| hold(name(), Places::Quantity(1), n)).collect(),
        asks_a_ms: HOLDS_A_MS,
    }
}

fn spread() -> Shape {
    let name = |resource: usize| format!("2013-06-01.UA{resource}");
    let seat =
        |seat: usize| format!("{}{}", seat / 6 + 1, ["A", "B", "C", "D", "E", "F"][seat % 6]);
    let seats = || Spec::Seats((0..HOLDS / RESOURCES).map(seat).collect());
    // A step that is coprime to the number of resources: neighbours in time are none in key.
    let at = |n: usize| n * 617 % RESOURCES;
    Shape {
        prepare: (0..RESOURCES).map(|n| reservation(name(n), Action::Put(seats()))).collect(),
        asks: (0..HOLDS)
            .map(|n| hold(name(at(n)), Places::Seats(vec![seat(n / RESOURCES)]), n))
            .collect(),
        asks_a_ms: HOLDS_A_MS,
    }
}

/// `CL.THROTTLE` of so many keys, none of which is ever used up.
fn throttle(keys: usize) -> Shape {
    let policy = Policy::throttle(1_000_000, 1_000_000, 1).expect("a legal policy");
    let check = |n: usize| {
        let key = format!("user:{}", n * 6_173 % keys).into_bytes();
        let subject = Subject { limit: String::new(), scope: None, key };
        let checks = vec![Check::new(subject, policy, 1).expect("a short key")];
        let action = limits::Action::Check { lease: 0 };
        Command::Limits(limits::Command::new(checks, action).expect("one check"))
    };
    Shape { prepare: Vec::new(), asks: (0..CHECKS).map(check).collect(), asks_a_ms: CHECKS_A_MS }
}

fn request(ticket: usize, command: Command) -> Ask {
    let number = ticket as u32;
    let mut key = [0; 16];
    // Keys are hashes: they come in no order.
    key[..8].copy_from_slice(&(ticket as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    let keyed = matches!(command, Command::Reservations(_));
    let path = path_number(command.path()).filter(|_| keyed);
    let idempotency =
        path.map(|path| Idempotency { path, key, fingerprint: [7; 16], window_ms: WINDOW_MS });
    Request {
        ticket: number,
        tenant: TenantId(0),
        priority: Priority::Default,
        deadline: None,
        idempotency,
        command,
    }
}

fn measure(shape: Shape, batch: usize) -> Measured {
    let store = Store::memory().expect("memory");
    let options = Options { batch_commands_max: batch, ..Options::default() };
    let state = State::open(&store, ID).expect("a fresh store");
    let mut owner: Owner = Partition::new(ID, Domains::default(), options.clone(), state);
    let mut now = Time(1_000_000);
    let mut log = vec![Owner::genesis(ID, Incarnation(1), now)];
    owner.follow(&log[0]).expect("the first record");
    owner.announce(now);
    drive(&mut owner, now, &mut log);
    for command in shape.prepare {
        owner.submit(request(0, command));
        drive(&mut owner, now, &mut log);
    }

    let before = log.len();
    let (count, asks_a_ms) = (shape.asks.len(), shape.asks_a_ms);
    let asked: Vec<Ask> = shape.asks.into_iter().enumerate().map(|(n, c)| request(n, c)).collect();
    let mut asked = asked.into_iter();
    let began = seconds();
    let mut yes = 0;
    while asked.len() > 0 {
        now = now.plus_ms(1);
        asked.by_ref().take(asks_a_ms).for_each(|ask| owner.submit(ask));
        yes += drive(&mut owner, now, &mut log);
    }
    let decided = count as f64 / (seconds() - began);
    assert_eq!(yes, count, "everything was a yes");

    let bytes = log[before..].iter().map(|record| record.as_bytes().len()).sum::<usize>() / count;
    let mut follower: Owner = Partition::new(
        ID,
        Domains::default(),
        options,
        State::open(&Store::memory().expect("memory"), ID).expect("a fresh store"),
    );
    log[..before].iter().for_each(|record| follower.follow(record).expect("it follows"));
    let began = seconds();
    for record in &log[before..] {
        let record = Record::parse(record.as_bytes()).expect("a whole record");
        follower.follow(&record).expect("it follows");
    }
    let replayed = count as f64 / (seconds() - began);
    assert_eq!(follower.tail(), owner.tail(), "all of it was replayed");
    Measured { decided, replayed, bytes }
}

/// Does what the partition asks for until it asks for nothing; answers how often it said yes.
fn drive(owner: &mut Owner, now: Time, log: &mut Vec<Record>) -> usize {
    let mut yes = 0;
    loop {
        owner.poll(now);
        let outputs = owner.outputs();
        if outputs.is_empty() {
            return yes;
        }
        for output in outputs {
            match output {
                Output::Append { id, record, .. } => {
                    log.push(record);
                    owner.appended(id, Outcome::Appended);
                }
                Output::Answer(_, answer) => yes += usize::from(answer.outcome.is_ok()),
                Output::Read(()) | Output::Changed(_) => {}
                Output::Flush(_)
                | Output::SteppedDown(_)
                | Output::Deliver { .. }
                | Output::Acknowledge { .. } => unreachable!("nobody asked for it"),
            }
        }
    }
}
