//! Every row that the engine's own tables hold in version 1, as a file: what is written today, and
//! what must be readable for ever. Events are in the file of the domains, which emit them.
//!
//! A line is a record: its time, its body. `EVENKEEL_WRITE_GOLDEN=1` writes a file that is not there
//! yet.

use crate::toy::{Command, Fired, Number, PANICKING};
use crate::world::{START, World};
use evenkeel_engine::{Idempotency, Options, table_name};
use evenkeel_log::{Hash, Record};
use evenkeel_state::{Effect, Layer};
use std::{collections::BTreeSet, fmt::Write, fs, path::Path};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/log-1.txt");
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

#[test]
fn rows_of_version_1() {
    let world = told();
    let written = in_lines(&world.log);
    let path = Path::new(FILE);
    if !path.exists() && std::env::var_os("EVENKEEL_WRITE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &written).unwrap();
    }
    let golden = fs::read_to_string(path).unwrap();
    for (ours, theirs) in written.lines().zip(golden.lines()) {
        assert_eq!(ours, theirs, "no longer what is written");
    }
    assert_eq!(written.len(), golden.len());

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
fn the_file_has_every_table() {
    let mut written = BTreeSet::new();
    for record in &told().log {
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
