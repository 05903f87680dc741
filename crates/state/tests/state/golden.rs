//! The bytes of format version 1, as files: what is written today, and what must be readable for
//! ever. A format that changes gets a new version and new files; these stay as they are.
//!
//! `EVENKEEL_WRITE_GOLDEN=1` writes files that are not there yet.

use crate::common::{Chain, Marks, Note, Notes};
use crate::snapshots::small_store;
use evenkeel_log::PartitionId;
use evenkeel_state::{Effect, Layer, Read, Row, Snapshot, State, Store};
use std::fs;
use std::path::{Path, PathBuf};

/// The file's path; its bytes are `written`.
fn check(name: &str, written: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if !path.exists() && std::env::var_os("EVENKEEL_WRITE_GOLDEN").is_some() {
        fs::write(&path, written).unwrap();
    }
    let golden = fs::read(&path).unwrap();
    assert!(golden == written, "{name} is no longer what is written");
    path
}

#[test]
fn rows_of_version_1() {
    let row = Note::of("a note of version 1");
    let mut written = Vec::new();
    row.encode(&mut written);
    let path = check("row-1.bin", &written);
    assert_eq!(Note::decode(&fs::read(path).unwrap()), Some(row));
}

#[test]
fn effects_of_version_1() {
    let chain = Chain::new(PartitionId(2));
    let state = chain.open(&Store::memory().unwrap());
    let mut tx = state.begin(&[]);
    tx.drop_prefix::<Notes>(&"gone".to_string());
    tx.put::<Notes>(&("a".into(), 1), &Note::of([7; 200]));
    tx.delete::<Notes>(&("a".into(), 2));
    tx.put::<Marks>(&3, &());
    let layer = tx.finish();
    let mut written = Vec::new();
    layer.encode(&mut written);
    let body = fs::read(check("effects-1.bin", &written)).unwrap();

    let read = Layer::decode(&body).unwrap();
    assert_eq!(read, layer);
    let effects: Vec<Effect<'_>> = read.effects().collect();
    let long = [&[1, 200, 1][..], &[7; 200]].concat();
    let expected = [
        Effect::DropPrefix { prefix: b"\x07gone\0" },
        Effect::Put { key: b"\x07a\0\0\x01", row: &long },
        Effect::Delete { key: b"\x07a\0\0\x02" },
        Effect::Put { key: b"\xff\0\x03", row: b"" },
    ];
    assert_eq!(effects, expected);
}

#[test]
fn snapshots_and_applied_of_version_1() {
    let directory = tempfile::tempdir().unwrap();
    let written = small_store().write_snapshot(directory.path()).unwrap();
    let path = check("snapshot-1.bin", &fs::read(written.path()).unwrap());

    let snapshot = Snapshot::open(&path).unwrap();
    assert_eq!(snapshot.parts(), written.parts());
    let store = Store::memory().unwrap();
    store.restore(&snapshot).unwrap();
    let state = State::open(&store, PartitionId(2)).unwrap();
    assert_eq!((state.applied().tail.offset.0, state.applied().time_ms), (2, 1_001));
    let note = state.view().get::<Notes>(&("a".into(), 2)).unwrap();
    assert_eq!(note, Some(Note::of("second")));
    assert!(state.view().contains::<Marks>(&9).unwrap());
}
