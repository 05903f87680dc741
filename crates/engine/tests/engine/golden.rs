//! Every row that the engine's own tables hold in version 1, as a file: what is written today, and
//! what must be readable for ever. Events are in the file of the domains, which emit them.
//!
//! A file for each tale; the outbox has its own. A line is a record: its time, its body. `EVENKEEL_WRITE_GOLDEN=1` writes a file that is not there
//! yet.

use crate::toy::{Command, Fired, Item, NoteCount, Number, PANICKING};
use crate::world::{START, World};
use evenkeel_engine::{
    Delivery, Idempotency, Mark, Options, Parcel, TenantId, dead_deliveries, table_name,
};
use evenkeel_log::{Hash, Incarnation, PartitionId, Record};
use evenkeel_state::{Effect, Layer};
use std::{collections::BTreeSet, fmt::Write, fs, path::Path};

const FILE: &str = "log-1.txt";
const OUTBOX_FILE: &str = "outbox-1.txt";
const KEY: Idempotency =
    Idempotency { path: 3, key: [0xcd; 16], fingerprint: [0xef; 16], window_ms: 86_400_000 };

fn told() -> World {
    let mut world = World::new(Options::default());
    world.ask_keyed(Command::Count(7), KEY).outcome.unwrap();
    world.ask(Command::Timer { due: START.plus_ms(10).0, entity: PANICKING }).unwrap();
    world.ask(Command::Timer { due: START.plus_ms(90).0, entity: 5 }).unwrap();
    world.now = START.plus_ms(20);
    world.quiet();
    world
}

/// Two items for another partition, one of which is acknowledged; one that is done, one that dies.
fn told_of_deliveries() -> World {
    let mut world = World::new(Options::default());
    for note in [300, 2] {
        world.ask(Command::Send { to: 7, item: Item::Note(note) }).unwrap();
    }
    world.owner.acknowledged(PartitionId(7), Mark { incarnation: Incarnation(1), sequence: 1 });
    world.owner.deliver(arriving());
    world.quiet();
    world
}

fn arriving() -> Delivery {
    let parcels = [Item::Note(9), Item::Panic(9)].map(|item| Parcel {
        incarnation: Incarnation(4),
        tenant: TenantId(3),
        at: START,
        item: postcard::to_stdvec(&item).unwrap(),
    });
    let after = Mark { incarnation: Incarnation(0), sequence: 0 };
    Delivery { from: PartitionId(6), after, parcels: parcels.into() }
}

fn in_lines(log: &[Record]) -> String {
    let mut lines = String::new();
    for record in log {
        write!(lines, "{} ", record.header().time_ms).unwrap();
        record.body().iter().for_each(|byte| write!(lines, "{byte:02x}").unwrap());
        lines.push('\n');
    }
    lines
}

/// The records of `lines`, chained anew like those of `like`.
fn from_lines(lines: &str, like: &[Record]) -> Vec<Record> {
    let mut prev = Hash::ZERO;
    let one = |(line, like): (&str, &Record)| {
        let (time_ms, body) = line.split_once(' ').unwrap();
        let body: Vec<u8> = (0..body.len() / 2)
            .map(|at| u8::from_str_radix(&body[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        let mut header = *like.header();
        (header.time_ms, header.prev) = (time_ms.parse().unwrap(), prev);
        let record = Record::new(header, &body);
        prev = record.tail().hash;
        record
    };
    lines.lines().zip(like).map(one).collect()
}

/// What the file has, which is what is written today.
fn golden(file: &str, world: &World) -> String {
    let written = in_lines(&world.log);
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden")).join(file);
    if !path.exists() && std::env::var_os("EVENKEEL_WRITE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &written).unwrap();
    }
    let golden = fs::read_to_string(path).unwrap();
    for (ours, theirs) in written.lines().zip(golden.lines()) {
        assert_eq!(ours, theirs, "no longer what is written");
    }
    assert_eq!(written.len(), golden.len());
    golden
}

#[test]
fn rows_of_version_1() {
    let world = told();
    let golden = golden(FILE, &world);
    // And it is read: the key is remembered, the timer fires.
    let mut world = World::following(from_lines(&golden, &world.log));
    let again = world.ask_keyed(Command::Count(7), KEY);
    assert_eq!((again.outcome, again.delivered.replayed), (Ok(1), true));
    world.now = START.plus_ms(90);
    world.quiet();
    assert_eq!(world.get::<Fired>(&5), Some(Number(1)));
    assert_eq!(world.get::<Fired>(&PANICKING), None);
}

#[test]
fn rows_of_the_outbox_of_version_1() {
    let world = told_of_deliveries();
    let golden = golden(OUTBOX_FILE, &world);

    // And it is read: what is not acknowledged is delivered, what is done is not done again.
    let mut world = World::following(from_lines(&golden, &world.log));
    world.owner.deliver(arriving());
    world.quiet();
    let (to, delivery) = world.sent.pop().unwrap();
    let second = Mark { incarnation: Incarnation(1), sequence: 2 };
    assert_eq!((to, delivery.after.sequence, delivery.last()), (PartitionId(7), 1, second));
    assert_eq!(postcard::from_bytes(&delivery.parcels[0].item), Ok(Item::Note(2)));
    assert_eq!(
        (world.get::<NoteCount>(&()), world.owner.outbox_stats().dead),
        (Some(Number(1)), 1)
    );
    let dead = dead_deliveries(&world.owner.view(), 10).unwrap().remove(0);
    assert_eq!(
        (dead.at, dead.tenant, dead.why.as_str()),
        (START, TenantId(3), "an internal error")
    );
}

#[test]
fn the_files_have_every_table() {
    let mut written = BTreeSet::new();
    for record in told().log.iter().chain(&told_of_deliveries().log) {
        let layer = Layer::decode(record.body()).unwrap();
        written.extend(layer.effects().filter_map(|effect| match effect {
            Effect::Put { key, .. } => table_name(key[0]),
            _ => None,
        }));
    }
    let known: BTreeSet<&str> = (0..=u8::MAX).filter_map(table_name).collect();
    let missing: Vec<&&str> = known.difference(&written).collect();
    assert_eq!(missing, [&"events"], "the toy emits none");
}
