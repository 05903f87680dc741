//! A snapshot is whole, or refused.

use crate::common::{Chain, Marks, Note, Notes, flush};
use evenkeel_log::PartitionId;
use evenkeel_state::{Snapshot, SnapshotError, StateError, Store};
use std::fs;
use std::path::{Path, PathBuf};

/// A store of two partitions; the second has applied a record, and has no rows.
pub(crate) fn small_store() -> Store {
    let store = Store::memory().unwrap();
    let mut chain = Chain::new(PartitionId(2));
    let mut state = chain.open(&store);
    chain.batch(&mut state, |tx| {
        tx.put::<Notes>(&("a".into(), 1), &Note::of("first"));
        tx.put::<Notes>(&("a".into(), 2), &Note::of("second"));
        tx.put::<Marks>(&9, &());
    });
    flush(&store, &mut state);
    flush(&store, &mut Chain::new(PartitionId::META).open(&store));
    store
}

fn written(directory: &Path) -> (Snapshot, Vec<u8>) {
    let snapshot = small_store().write_snapshot(directory).unwrap();
    let bytes = fs::read(snapshot.path()).unwrap();
    (snapshot, bytes)
}

/// That nothing comes of a file with these bytes.
fn check_refused(snapshot: &Snapshot, bytes: &[u8], empty: &Store, what: &str) {
    fs::write(snapshot.path(), bytes).unwrap();
    let opened = Snapshot::open(snapshot.path());
    assert!(
        matches!(opened, Err(SnapshotError::Damaged { .. } | SnapshotError::Version { .. })),
        "{what}: {opened:?}"
    );
    // It was whole when it was opened, and is not when it is restored.
    assert!(empty.restore(snapshot).is_err(), "{what}");
    assert!(empty.is_empty().unwrap(), "{what}");
}

#[test]
fn damage_anywhere_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let (snapshot, bytes) = written(directory.path());
    let empty = Store::memory().unwrap();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        check_refused(&snapshot, &damaged, &empty, &format!("a bit of byte {at} flipped"));
        check_refused(&snapshot, &bytes[..at], &empty, &format!("cut at {at}"));
    }
    check_refused(&snapshot, &[&bytes[..], b"x"].concat(), &empty, "a byte too many");

    fs::write(snapshot.path(), &bytes).unwrap();
    empty.restore(&Snapshot::open(snapshot.path()).unwrap()).unwrap();
    assert_eq!(empty.partitions().unwrap(), small_store().partitions().unwrap());
}

#[test]
fn a_file_that_is_sealed_but_contradicts_itself_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (snapshot, bytes) = written(directory.path());
    let empty = Store::memory().unwrap();
    let sealed = |mut body: Vec<u8>| {
        let seal = *blake3::hash(&body).as_bytes();
        body.extend_from_slice(&seal);
        body
    };
    let body = &bytes[..bytes.len() - 32];
    assert_eq!(sealed(body.to_vec()), bytes);
    check_refused(&snapshot, &sealed([body, b"x"].concat()), &empty, "bytes after its end");
    // The last part's state hash is before the end; its number of rows, before that.
    for (back, what) in [(2, "the state hash"), (18, "the number of rows")] {
        let mut wrong = body.to_vec();
        wrong[body.len() - back] ^= 1;
        check_refused(&snapshot, &sealed(wrong), &empty, what);
    }
}

#[test]
fn a_damaged_snapshot_gives_way_to_the_one_before() {
    let directory = tempfile::tempdir().unwrap();
    let store = small_store();
    let older = store.write_snapshot(directory.path()).unwrap();
    let newer = store.write_snapshot(directory.path()).unwrap();
    assert_eq!(Snapshot::newest(directory.path()).unwrap().snapshot, Some(newer.clone()));

    let mut bytes = fs::read(newer.path()).unwrap();
    bytes[20] ^= 1;
    fs::write(newer.path(), bytes).unwrap();
    let found = Snapshot::newest(directory.path()).unwrap();
    assert_eq!(found.snapshot, Some(older));
    let refused: Vec<String> = found.refused.iter().map(ToString::to_string).collect();
    assert_eq!(refused.len(), 1);
    assert!(refused[0].contains(newer.path().to_str().unwrap()), "{refused:?}");
}

#[test]
fn what_an_unfinished_snapshot_left_is_never_read_and_removed() {
    let directory = tempfile::tempdir().unwrap();
    let (first, bytes) = written(directory.path());
    let partial = directory.path().join("snapshot-0000000007.part");
    fs::write(&partial, bytes).unwrap();
    fs::write(directory.path().join("notes.txt"), "not ours").unwrap();
    assert_eq!(Snapshot::list(directory.path()).unwrap(), [first.path()]);
    let second = small_store().write_snapshot(directory.path()).unwrap();
    assert!(!partial.exists());
    assert_eq!(Snapshot::list(directory.path()).unwrap(), [second.path(), first.path()]);
}

#[test]
fn the_newest_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("not/yet");
    assert_eq!(Snapshot::list(&missing).unwrap(), Vec::<PathBuf>::new());
    assert!(Snapshot::newest(&missing).unwrap().snapshot.is_none());
    let store = small_store();
    let files: Vec<_> = (0..12).map(|_| store.write_snapshot(&missing).unwrap()).collect();
    Snapshot::prune(&missing, 2).unwrap();
    assert_eq!(Snapshot::list(&missing).unwrap(), [files[11].path(), files[10].path()]);
    assert!(store.write_snapshot(&missing).unwrap().path() > files[11].path());
}

#[test]
fn a_snapshot_is_restored_into_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let (snapshot, _) = written(directory.path());
    let used = small_store();
    let before = used.hash(PartitionId(2)).unwrap();
    let restored = used.restore(&snapshot);
    assert!(matches!(restored, Err(SnapshotError::State(StateError::NotEmpty))));
    assert_eq!(used.hash(PartitionId(2)).unwrap(), before);
}
