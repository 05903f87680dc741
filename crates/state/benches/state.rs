//! How fast transactions fill a memtable, and memtables flush into the store: `cargo bench -p
//! evenkeel-state`. A command is 1 read and 3 writes of rows of 40 bytes under keys of 24 (with the
//! table's id); a batch is 64 commands, encoded and hashed as a record.

use evenkeel_log::{Epoch, Header, Incarnation, Kind, Offset, PartitionId, Record, Tail};
use evenkeel_state::{Layer, Read, Row, State, Store, Table};
use std::hint::black_box;
use std::io::Write;
use std::time::Instant;

const PARTITION: PartitionId = PartitionId(0);
const BATCH_COMMANDS: usize = 64;
const RUNS: usize = 5;

struct Accounts;
impl Table for Accounts {
    const ID: u8 = 1;
    const NAME: &'static str = "accounts";
    type Key = ([u8; 15], u64);
    type Row = Account;
}

struct Account([u8; 40]);
impl Row for Account {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        bytes.as_array().copied().map(Self)
    }
}

/// A partition that appends to no log.
struct Bench {
    state: State,
    tail: Tail,
    random: fastrand::Rng,
    keys: u64,
    body: Vec<u8>,
}

impl Bench {
    fn new(store: &Store, keys: u64) -> Self {
        let state = State::open(store, PARTITION).expect("a fresh store");
        let random = fastrand::Rng::with_seed(1);
        let mut bench = Self { state, tail: Tail::EMPTY, random, keys, body: Vec::new() };
        bench.commit(Kind::Genesis, Layer::default());
        bench
    }

    fn key(&mut self) -> ([u8; 15], u64) {
        (*b"tenant-and-more", self.random.u64(..self.keys))
    }

    fn batch(&mut self) {
        let keys: Vec<_> = (0..BATCH_COMMANDS * 4).map(|_| self.key()).collect();
        let mut tx = self.state.begin(&[]);
        for keys in keys.chunks_exact(4) {
            let savepoint = tx.savepoint();
            black_box(tx.get::<Accounts>(&keys[0]).expect("a read"));
            for key in &keys[1..] {
                tx.put::<Accounts>(key, &Account([7; 40]));
            }
            black_box(tx.rows_since(&savepoint));
        }
        let layer = tx.finish();
        self.commit(Kind::Batch, layer);
    }

    fn commit(&mut self, kind: Kind, layer: Layer) {
        self.body.clear();
        layer.encode(&mut self.body);
        let header = Header {
            kind,
            partition: PARTITION,
            incarnation: Incarnation(1),
            epoch: Epoch(0),
            offset: Offset(self.tail.offset.0 + 1),
            time_ms: 0,
            writer: 0,
            prev: self.tail.hash,
        };
        let record = Record::new(header, &self.body);
        self.tail = record.tail();
        self.state.commit(&record, layer).expect("the next record");
    }
}

fn report(name: &str, unit: &str, mut rates: Vec<f64>) {
    rates.sort_by(f64::total_cmp);
    let (median, runs) = (rates[rates.len() / 2], rates.len());
    let mut out = std::io::stdout().lock();
    writeln!(out, "{name:<44} {median:>12.0} {unit}/s  (median of {runs})").expect("an output");
}

/// Commands a second until the memtable has `rows` distinct rows or so.
fn commands(name: &str, keys: u64, batches: usize, flushed_first: bool) {
    let rates = (0..RUNS).map(|_| {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("state");
        let store = Store::open(&path, 256 << 20).expect("a store");
        let mut bench = Bench::new(&store, keys);
        if flushed_first {
            for _ in 0..batches {
                bench.batch();
            }
            flush(&store, &mut bench);
        }
        let start = Instant::now();
        for _ in 0..batches {
            bench.batch();
        }
        (batches * BATCH_COMMANDS) as f64 / start.elapsed().as_secs_f64()
    });
    report(name, "commands", rates.collect());
}

fn flush(store: &Store, bench: &mut Bench) -> usize {
    let frozen = bench.state.freeze().expect("something to flush");
    store.flush(&frozen).expect("a flush");
    bench.state.flushed().expect("what was flushed");
    frozen.layer.rows()
}

fn flushes(name: &str, keys: u64, batches: usize) {
    let mut first = Vec::new();
    let mut again = Vec::new();
    for _ in 0..RUNS {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("state");
        let store = Store::open(&path, 256 << 20).expect("a store");
        let mut bench = Bench::new(&store, keys);
        for rates in [&mut first, &mut again] {
            for _ in 0..batches {
                bench.batch();
            }
            let start = Instant::now();
            let rows = flush(&store, &mut bench);
            rates.push(rows as f64 / start.elapsed().as_secs_f64());
        }
    }
    report(&format!("{name}, into an empty store"), "rows", first);
    report(&format!("{name}, into those rows"), "rows", again);
}

/// Reads of rows that are only in the store, and of rows that are nowhere.
fn reads(keys: u64, batches: usize) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(&directory.path().join("state"), 256 << 20).expect("a store");
    let mut bench = Bench::new(&store, keys);
    for _ in 0..batches {
        bench.batch();
    }
    flush(&store, &mut bench);
    for (name, tenant) in [("stored", *b"tenant-and-more"), ("missing", *b"tenant-and-none")] {
        let rates = (0..RUNS).map(|_| {
            const READS: usize = 500_000;
            let mut random = fastrand::Rng::with_seed(2);
            let tx = bench.state.begin(&[]);
            let start = Instant::now();
            for _ in 0..READS {
                let key = (tenant, random.u64(..keys));
                black_box(tx.get::<Accounts>(&key).expect("a read"));
            }
            READS as f64 / start.elapsed().as_secs_f64()
        });
        report(&format!("read of {keys} {name} rows"), "reads", rates.collect());
    }
}

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    let scale = if std::env::args().any(|argument| argument == "--bench") { 1 } else { 100 };
    commands("commands, 10 k keys", 10_000, 4_000 / scale, false);
    commands("commands, 1 M keys", 1_000_000, 4_000 / scale, false);
    commands("commands, 1 M keys, over stored rows", 1_000_000, 4_000 / scale, true);
    reads(1_000_000, 4_000 / scale);
    flushes("sorted flush", 1_000_000, 4_000 / scale);
}
