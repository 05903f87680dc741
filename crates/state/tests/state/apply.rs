//! What may follow what.

use crate::common::{Chain, Marks, Note, Notes, flush};
use evenkeel_log::{Epoch, Header, Incarnation, Kind, PartitionId, Record};
use evenkeel_state::{Applied, ApplyError, EffectsError, Read, State, StateError, Store};

const PARTITION: PartitionId = PartitionId(3);

fn at_genesis() -> (Chain, State) {
    let chain = Chain::new(PARTITION);
    let state = chain.open(&Store::memory().unwrap());
    (chain, state)
}

/// What comes of a record after `Genesis` whose header is changed.
fn applied_with(kind: Kind, change: impl FnOnce(&mut Header)) -> Result<Applied, ApplyError> {
    let (chain, mut state) = at_genesis();
    let before = *state.applied();
    let mut header = chain.header(kind);
    change(&mut header);
    let applied = state.apply(&Record::new(header, &[]));
    if applied.is_err() {
        assert_eq!(*state.applied(), before);
    }
    applied.map(|()| *state.applied())
}

#[test]
fn a_record_is_applied_only_after_its_predecessor() {
    let (mut chain, mut state) = at_genesis();
    let first = chain.append(Kind::Batch, &Default::default());
    let second = chain.append(Kind::Batch, &Default::default());
    assert!(matches!(state.apply(&second), Err(ApplyError::Chain { .. })));
    state.apply(&first).unwrap();
    assert!(matches!(state.apply(&first), Err(ApplyError::Chain { .. })));
    state.apply(&second).unwrap();
    assert_eq!(state.applied().tail, second.tail());
    assert_eq!(state.applied().time_ms, second.header().time_ms);

    let other_hash = applied_with(Kind::Batch, |header| header.prev.0[0] ^= 1);
    assert!(matches!(other_hash, Err(ApplyError::Chain { .. })));
    let elsewhere = applied_with(Kind::Batch, |header| header.partition = PartitionId(4));
    assert_eq!(elsewhere, Err(ApplyError::Partition(PartitionId(4))));
}

#[test]
fn time_epoch_and_incarnation_never_go_back() {
    let earlier = applied_with(Kind::Batch, |header| header.time_ms = 999);
    assert_eq!(earlier, Err(ApplyError::Time { record_ms: 999, applied_ms: 1_000 }));

    let unannounced = applied_with(Kind::Batch, |header| header.epoch = Epoch(1));
    assert!(matches!(unannounced, Err(ApplyError::Epoch { .. })));
    let same = applied_with(Kind::Announce, |_| {});
    assert!(matches!(same, Err(ApplyError::Epoch { .. })));
    let announced = applied_with(Kind::Announce, |header| header.epoch = Epoch(1));
    assert_eq!(announced.map(|applied| applied.epoch), Ok(Epoch(1)));

    let older = applied_with(Kind::Announce, |header| {
        header.epoch = Epoch(1);
        header.incarnation = Incarnation(0);
    });
    assert!(matches!(older, Err(ApplyError::Incarnation { .. })));
    let foreign = applied_with(Kind::Checkpoint, |header| header.incarnation = Incarnation(2));
    assert!(matches!(foreign, Err(ApplyError::Incarnation { .. })));
}

#[test]
fn a_body_that_is_not_effects_changes_nothing() {
    let (chain, mut state) = at_genesis();
    let before = *state.applied();
    // A put, then a delete that is cut short.
    let record = Record::new(chain.header(Kind::Batch), b"\x01\x01\x01a\x01x\x02\x05b");
    assert_eq!(state.apply(&record), Err(ApplyError::Effects(EffectsError::Truncated)));
    assert_eq!(*state.applied(), before);
    assert_eq!(state.memtable_bytes(), 0);
}

#[test]
fn a_flush_that_would_leave_a_gap_is_refused() {
    let store = Store::memory().unwrap();
    let mut chain = Chain::new(PARTITION);
    let mut state = chain.open(&store);
    flush(&store, &mut state);
    chain.batch(&mut state, |tx| tx.put::<Marks>(&1, &()));
    let frozen = state.freeze().unwrap();
    assert!(state.freeze().is_none(), "one at a time");

    let elsewhere = Store::memory().unwrap();
    assert!(matches!(elsewhere.flush(&frozen), Err(StateError::Gap { .. })));
    assert!(elsewhere.is_empty().unwrap());
    assert!(matches!(state.flushed(), Err(StateError::Gap { .. })), "it is not in the store");
    assert!(state.view().contains::<Marks>(&1).unwrap());

    store.flush(&frozen).unwrap();
    store.flush(&frozen).unwrap();
    state.flushed().unwrap();
    assert!(state.freeze().is_none(), "nothing was applied since");
    assert_eq!(store.applied(PARTITION).unwrap(), *state.applied());
}

#[test]
fn records_without_rows_advance_what_is_stored() {
    let store = Store::memory().unwrap();
    let mut chain = Chain::new(PARTITION);
    let mut state = chain.open(&store);
    flush(&store, &mut state);
    chain.batch(&mut state, |_| {});
    flush(&store, &mut state);
    assert_eq!(store.partitions().unwrap(), [(PARTITION, *state.applied())]);
    assert!(!store.is_empty().unwrap());
    assert_eq!(store.hash(PARTITION).unwrap(), (*state.applied(), state.hash().unwrap()));
}

#[test]
fn what_a_command_wrote_does_not_depend_on_those_before_it() {
    let (_, state) = at_genesis();
    let write = |before: &[u16]| {
        let mut tx = state.begin(&[]);
        before.iter().for_each(|number| tx.put::<Notes>(&("a".into(), *number), &Note::of("old")));
        let savepoint = tx.savepoint();
        for number in [1, 1, 2] {
            tx.put::<Notes>(&("a".into(), number), &Note::of("new"));
        }
        (tx.rows_since(&savepoint), tx.bytes_since(&savepoint))
    };
    assert_eq!(write(&[]), write(&[1, 2, 3]));
    assert_eq!(write(&[]), (3, 3 * (1 + 1 + 5 + 1 + 5)));
}

#[test]
#[should_panic(expected = "a savepoint is left once")]
fn a_savepoint_is_left_once() {
    let (_, state) = at_genesis();
    let mut tx = state.begin(&[]);
    let earlier = tx.savepoint();
    tx.drop_prefix::<Notes>(&());
    let savepoint = tx.savepoint();
    tx.rollback(earlier);
    tx.rollback(savepoint);
}
