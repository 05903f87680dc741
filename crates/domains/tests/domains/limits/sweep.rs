//! The sweep where something is in its way, and how often it comes.

use super::{Limits, check, policy};
use crate::driver::{Driver, ID, START};
use evenkeel_domains::limits::{Algorithm, Policy, SWEEP_EVERY_MS, SWEEP_ROWS_MAX};
use evenkeel_log::{Header, Kind, Record};
use evenkeel_state::{State, Store, Table, Tx, row};
use serde::{Deserialize, Serialize};

/// What no row of limits looks like.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Noise(u64);
row!(Noise, version = 0xee);

macro_rules! noise {
    ($name:ident, $id:literal, $key:ty) => {
        struct $name;
        impl Table for $name {
            const ID: u8 = $id;
            const NAME: &'static str = stringify!($name);
            type Key = $key;
            type Row = Noise;
        }
    };
}
noise!(NoisyKeys, 0x30, (evenkeel_engine::TenantId, [u8; 16]));
noise!(NoisySweep, 0x33, ());

/// The same partition, led anew after a record with what `damage` does.
fn damaged(limits: Limits, damage: impl FnOnce(&mut Tx<'_>)) -> Limits {
    let Driver { mut log, now, .. } = limits.driver;
    let state = State::open(&Store::memory().unwrap(), ID).unwrap();
    let mut tx = state.begin(&[]);
    damage(&mut tx);
    let mut body = Vec::new();
    tx.finish().encode(&mut body);
    let last = log.last().unwrap();
    let (tail, header) = (last.tail(), *last.header());
    let header =
        Header { kind: Kind::Batch, offset: tail.offset.next(), prev: tail.hash, ..header };
    log.push(Record::new(header, &body));
    Limits::led_anew(log, now)
}

fn short() -> Policy {
    policy(Algorithm::Gcra, 1, 1_000)
}

#[test]
fn a_row_that_cannot_be_read_is_passed_over() {
    let mut limits = Limits::new();
    for number in 0..20 {
        limits.check(vec![check(short(), &number.to_string(), 1)]).unwrap();
    }
    let bad = check(short(), "3", 1).key();
    let mut limits = damaged(limits, |tx| {
        tx.put::<NoisyKeys>(&(crate::driver::TENANT, bad), &Noise(7));
    });
    limits.driver.pass(SWEEP_EVERY_MS);
    assert_eq!(limits.rows(), [1, 0], "that one alone is still there");
}

/// Its timer was parked: the next new key has it come again.
#[test]
fn a_sweep_that_was_lost_comes_again() {
    let mut limits = Limits::new();
    limits.check(vec![check(short(), "a", 1)]).unwrap();
    let mut limits = damaged(limits, |tx| tx.put::<NoisySweep>(&(), &Noise(7)));
    limits.driver.pass(SWEEP_EVERY_MS);
    assert_eq!(limits.rows(), [1, 0], "parked");
    limits.check(vec![check(short(), "b", 1)]).unwrap();
    limits.driver.pass(SWEEP_EVERY_MS);
    assert_eq!(limits.rows(), [0, 0]);
}

/// A pass over keys that are in use is slow, and the next begins an interval after its end.
#[test]
fn a_pass_that_forgets_nothing_takes_its_time() {
    let mut limits = Limits::new();
    let long = policy(Algorithm::Gcra, 1, 1_000 * SWEEP_EVERY_MS);
    for number in 0..3 * SWEEP_ROWS_MAX {
        limits.check(vec![check(long, &number.to_string(), 1)]).unwrap();
    }
    assert_eq!(limits.driver.now, START);
    limits.driver.pass(SWEEP_EVERY_MS);
    let before = limits.driver.log.len();
    limits.driver.pass(90);
    assert_eq!(limits.driver.log.len(), before, "each turn is a record");
    for _ in 0..SWEEP_EVERY_MS / 10 - 9 {
        limits.driver.pass(10);
    }
    assert_eq!(limits.driver.log.len(), before + 3, "the rest of one pass");
    limits.driver.pass(300);
    assert_eq!(limits.driver.log.len(), before + 4, "an interval after the last turn of it");
}
