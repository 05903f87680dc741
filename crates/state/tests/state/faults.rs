//! The store over a device that fails and forgets.

use crate::common::{Chain, Note, Notes, flush, iterations};
use evenkeel_log::{Hash, Offset, PartitionId};
use evenkeel_state::{Read, Snapshot, SnapshotError, StateError, Store};
use redb::StorageBackend;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::sync::{Arc, Mutex};

const PARTITION: PartitionId = PartitionId(5);
/// None, so that every read asks the device.
const CACHE_BYTES: usize = 0;

#[derive(Debug, Clone)]
enum Change {
    Length(u64),
    Bytes(u64, Vec<u8>),
}

impl Change {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Self::Length(length) => image.resize(*length as usize, 0),
            Self::Bytes(at, bytes) => {
                let end = *at as usize + bytes.len();
                image.resize(image.len().max(end), 0);
                image[*at as usize..end].copy_from_slice(bytes);
            }
        }
    }
}

#[derive(Debug, Default)]
struct Image {
    now: Vec<u8>,
    synced: Vec<u8>,
    unsynced: Vec<Change>,
    /// How many more operations succeed.
    operations_left: Option<usize>,
}

/// A device in memory. Clones are the same device.
#[derive(Debug, Clone, Default)]
struct Disk(Arc<Mutex<Image>>);

impl Disk {
    fn store(&self) -> Store {
        self.try_store().unwrap()
    }

    fn try_store(&self) -> Result<Store, StateError> {
        let disk = self.clone();
        Store::with_backend(move || Ok(disk.clone()), CACHE_BYTES)
    }

    /// Another device, with `bytes` on it.
    fn holding(bytes: Vec<u8>) -> Self {
        let image = Image { now: bytes.clone(), synced: bytes, ..Image::default() };
        Self(Arc::new(Mutex::new(image)))
    }

    fn fail_after(&self, operations: Option<usize>) {
        self.0.lock().unwrap().operations_left = operations;
    }

    /// What a power loss may leave: all that was synced, and some of what was not.
    fn after_power_loss(&self, random: &mut fastrand::Rng) -> Self {
        let image = self.0.lock().unwrap();
        let mut left = image.synced.clone();
        for change in &image.unsynced {
            match change {
                Change::Bytes(at, bytes) if random.u8(..3) == 0 => {
                    // Torn within a page.
                    let kept = bytes[..random.usize(..=bytes.len())].to_vec();
                    Change::Bytes(*at, kept).apply(&mut left);
                }
                change if random.bool() => change.apply(&mut left),
                _ => {}
            }
        }
        Self::holding(left)
    }
}

impl Image {
    fn operate(&mut self) -> io::Result<()> {
        match &mut self.operations_left {
            Some(0) => Err(io::Error::from_raw_os_error(5)),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn change(&mut self, change: Change) -> io::Result<()> {
        self.operate()?;
        change.apply(&mut self.now);
        self.unsynced.push(change);
        Ok(())
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut image = self.0.lock().unwrap();
        image.operate()?;
        let start = offset as usize;
        let bytes = image.now.get(start..start + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.lock().unwrap().change(Change::Length(length))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut image = self.0.lock().unwrap();
        image.operate()?;
        image.synced = image.now.clone();
        image.unsynced.clear();
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap().change(Change::Bytes(offset, bytes.to_vec()))
    }
}

fn key(number: u16) -> (String, u16) {
    ("name".into(), number)
}

#[test]
fn a_flush_that_fails_loses_nothing() {
    let mut failures = 0;
    let mut random = fastrand::Rng::with_seed(5);
    for operations in 0.. {
        let disk = Disk::default();
        let store = disk.store();
        let mut chain = Chain::new(PARTITION);
        let mut state = chain.open(&store);
        for (batch, flushed) in [(1, true), (2, false)] {
            chain.batch(&mut state, |tx| {
                for number in 0..300 {
                    tx.put::<Notes>(&key(number * batch), &Note::of([batch as u8; 50]));
                }
            });
            if flushed {
                flush(&store, &mut state);
            }
        }
        let before = state.hash().unwrap();
        let frozen = state.freeze().unwrap();
        disk.fail_after(Some(operations));
        let failed = store.flush(&frozen).is_err();
        disk.fail_after(None);
        if failed {
            failures += 1;
            let again = state.flush_failed().unwrap();
            // What is in memory can be read on, without the store.
            let row = state.view().get::<Notes>(&key(2)).unwrap();
            assert_eq!(row, Some(Note::of([2; 50])));
            store.reopen().unwrap();
            assert_eq!(state.hash().unwrap(), before, "failed after {operations} operations");
            store.flush(&again).unwrap();
        }
        state.flushed().unwrap();
        assert_eq!(state.hash().unwrap(), before);
        let left = disk.after_power_loss(&mut random).store();
        assert_eq!(chain.open(&left).hash(), Ok(before));
        if !failed {
            break;
        }
    }
    assert!(failures > 5, "the device failed within {failures} flushes only");
}

#[test]
fn who_reads_on_after_a_reopening_is_told() {
    let disk = Disk::default();
    let store = disk.store();
    let mut chain = Chain::new(PARTITION);
    let mut state = chain.open(&store);
    for number in 0..5_000 {
        chain.batch(&mut state, |tx| tx.put::<Notes>(&key(number), &Note::of([1; 50])));
    }
    flush(&store, &mut state);

    let tx = state.begin(&[]);
    disk.fail_after(Some(0));
    let read = tx.get::<Notes>(&key(1));
    assert!(matches!(read, Err(StateError::Io(_))), "{read:?}");
    assert_eq!(tx.get::<Notes>(&key(1)), Err(StateError::Closed));
    assert_eq!(state.view().get::<Notes>(&key(1)), Err(StateError::Closed));
    assert!(matches!(store.reopen(), Err(StateError::Io(_))));
    assert_eq!(store.applied(PARTITION), Err(StateError::Closed));

    disk.fail_after(None);
    store.reopen().unwrap();
    assert_eq!(tx.get::<Notes>(&key(1)), Err(StateError::Closed));
    assert_eq!(state.view().get::<Notes>(&key(1)), Ok(Some(Note::of([1; 50]))));
    assert_eq!(Store::memory().unwrap().reopen(), Err(StateError::NotReopenable));
}

/// What is damaged may be thrown away and rebuilt, what cannot be had must not.
#[test]
fn damage_is_told_from_a_device_that_fails() {
    let disk = Disk::default();
    let store = disk.store();
    let mut chain = Chain::new(PARTITION);
    let mut state = chain.open(&store);
    chain.batch(&mut state, |tx| tx.put::<Notes>(&key(1), &Note::of([1; 50])));
    flush(&store, &mut state);
    drop((state, store));
    let whole = disk.0.lock().unwrap().now.clone();

    let mut failures = 0;
    for operations in 0.. {
        let disk = Disk::holding(whole.clone());
        disk.fail_after(Some(operations));
        let Err(error) = disk.try_store() else { break };
        assert!(matches!(error, StateError::Io(_)) && !error.is_damage(), "{error}");
        failures += 1;
    }
    assert!(failures > 3, "the device failed {failures} times only");
    for kind in [io::ErrorKind::PermissionDenied, io::ErrorKind::StorageFull] {
        let refused = Store::with_backend(move || Err::<Disk, _>(kind.into()), CACHE_BYTES);
        assert!(matches!(refused, Err(StateError::Io(_))), "{refused:?}");
    }

    let mut foreign = whole.clone();
    foreign[..512].fill(7);
    let other = Disk::default();
    let database = redb::Database::builder().create_with_backend(other.clone()).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(redb::TableDefinition::<u8, u8>::new("rows")).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let others = other.0.lock().unwrap().now.clone();
    for damaged in [foreign, others, whole[..whole.len() / 2].to_vec(), vec![0x5a; 20_000]] {
        let error = Disk::holding(damaged).try_store().unwrap_err();
        assert!(error.is_damage(), "{error:?}");
    }
}

#[test]
fn a_snapshot_that_fails_leaves_no_file() {
    let disk = Disk::default();
    let store = disk.store();
    let mut chain = Chain::new(PARTITION);
    let mut state = chain.open(&store);
    chain.batch(&mut state, |tx| {
        for number in 0..8_000 {
            tx.put::<Notes>(&key(number), &Note::of([1; 50]));
        }
    });
    flush(&store, &mut state);

    let directory = tempfile::tempdir().unwrap();
    let mut failures = 0;
    for operations in (0..).step_by(7) {
        disk.fail_after(Some(operations));
        let written = store.write_snapshot(directory.path());
        disk.fail_after(None);
        let left = fs::read_dir(directory.path()).unwrap().count();
        match written {
            Ok(snapshot) => {
                assert_eq!(left, 1);
                assert_eq!(Snapshot::open(snapshot.path()).unwrap(), snapshot);
                break;
            }
            Err(error) => {
                assert!(matches!(error, SnapshotError::State(_)), "{error}");
                assert_eq!(left, 0, "failed after {operations} operations");
                failures += 1;
                store.reopen().unwrap();
            }
        }
    }
    assert!(failures > 5, "the device failed within {failures} snapshots only");
}

#[test]
fn a_power_loss_shows_no_flush_by_half() {
    let mut random = fastrand::Rng::with_seed(6);
    for _ in 0..iterations(30) {
        let disk = Disk::default();
        let store = disk.store();
        let mut chain = Chain::new(PARTITION);
        let mut state = chain.open(&store);
        let mut hashes: HashMap<Offset, Hash> = HashMap::from([(Offset(0), state.hash().unwrap())]);
        let flushes = random.usize(1..6);
        for flush_number in 0..flushes {
            chain.batch(&mut state, |tx| {
                for _ in 0..random.usize(..400) {
                    let row = Note::of(vec![random.u8(..); random.usize(..100)]);
                    tx.put::<Notes>(&key(random.u16(..500)), &row);
                    tx.delete::<Notes>(&key(random.u16(..500)));
                }
            });
            hashes.insert(state.applied().tail.offset, state.hash().unwrap());
            let frozen = state.freeze().unwrap();
            // The last one is interrupted.
            let last = flush_number + 1 == flushes;
            disk.fail_after(last.then(|| random.usize(..40)));
            if store.flush(&frozen).is_ok() {
                state.flushed().unwrap();
            }
        }
        let acknowledged =
            state.frozen().map_or(state.applied(), |frozen| &frozen.from).tail.offset;
        let left = disk.after_power_loss(&mut random).store();
        let (applied, hash) = left.hash(PARTITION).unwrap();
        assert_eq!(hashes.get(&applied.tail.offset), Some(&hash), "at {}", applied.tail.offset);
        assert!(applied.tail.offset >= acknowledged, "an answered flush is there");
        disk.fail_after(None);
        store.reopen().unwrap();
        assert_eq!(chain.open(&left).hash(), state.hash());
    }
}
