//! The state is derived: it may be deleted or damaged, and the log may be trimmed.

use crate::harness::{End, Machine, hashes, hold, name_in, put, resource, unavailable};
use evenkeel_log::{Hash, PartitionId};
use evenkeel_state::Snapshot;
use std::{fs, path::PathBuf, time::Duration};

const HOLDS: u64 = 300;

type Hashes = Vec<(PartitionId, Hash)>;

fn names() -> Vec<String> {
    (0..4).map(|partition| name_in(partition, 0)).collect()
}

/// Some resources with holds.
fn filled() -> (Machine, Hashes) {
    let machine = Machine::new();
    let hashes = machine.life(End::Kill, async |node| {
        for name in names() {
            put(node, &name, 1_000_000).await;
            for _ in 0..10 {
                hold(node, &name).await.unwrap();
            }
        }
        hashes(node).await
    });
    (machine, hashes)
}

/// The same, with snapshots taken between holds until the log has been trimmed.
fn trimmed() -> (Machine, Hashes) {
    let machine = Machine::new();
    let hashes = machine.life(End::Kill, async |node| {
        for name in names() {
            put(node, &name, 1_000_000).await;
        }
        for _ in 0..3 {
            for _ in 0..HOLDS {
                hold(node, &names()[0]).await.unwrap();
            }
            node.snapshot().await.unwrap();
        }
        hold(node, &names()[1]).await.unwrap();
        hashes(node).await
    });
    let names = evenkeel_log::Files::list(&machine.disk).unwrap();
    assert!(!names.contains(&"segment-0000000000000001".to_owned()), "trimmed: {names:?}");
    (machine, hashes)
}

fn snapshots(machine: &Machine) -> Vec<PathBuf> {
    let entries = fs::read_dir(machine.path("snapshots")).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn assert_rebuilt(machine: &Machine, before: &Hashes) {
    machine.life(End::Shutdown, async |node| {
        assert_eq!(hashes(node).await, *before);
        hold(node, &names()[2]).await.unwrap();
    });
}

#[test]
fn a_state_that_is_gone_is_rebuilt_from_the_log() {
    let (machine, before) = filled();
    fs::remove_file(machine.path("state.redb")).unwrap();
    assert_rebuilt(&machine, &before);
}

#[test]
fn a_state_that_is_gone_is_rebuilt_from_a_snapshot_and_the_log() {
    let (machine, before) = trimmed();
    assert_eq!(snapshots(&machine).len(), 2, "two are kept");
    fs::remove_file(machine.path("state.redb")).unwrap();
    assert_rebuilt(&machine, &before);
}

#[test]
fn the_log_reaches_back_to_the_older_snapshot() {
    let (machine, before) = trimmed();
    let newest = snapshots(&machine).pop().unwrap();
    let mut bytes = fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&newest, bytes).unwrap();
    fs::remove_file(machine.path("state.redb")).unwrap();
    assert_rebuilt(&machine, &before);
    // The damaged one does not count as one of the two that are kept.
    machine.life(End::Kill, async |node| node.snapshot().await.unwrap());
    let kept = snapshots(&machine);
    assert_eq!(kept.len(), 2);
    kept.iter().for_each(|path| drop(Snapshot::open(path).unwrap()));
}

#[test]
fn without_any_snapshot_a_trimmed_log_is_not_taken_for_everything() {
    let (machine, _) = trimmed();
    fs::remove_dir_all(machine.path("snapshots")).unwrap();
    fs::remove_file(machine.path("state.redb")).unwrap();
    machine.life(End::Kill, async |node| {
        let why = unavailable(hold(node, &names()[0]).await);
        assert!(why.contains("trimmed"), "{why}");
    });
}

#[test]
fn a_damaged_state_is_set_aside_and_rebuilt() {
    for trim in [false, true] {
        let (machine, before) = if trim { trimmed() } else { filled() };
        fs::write(machine.path("state.redb"), vec![0x5a; 20_000]).unwrap();
        assert_rebuilt(&machine, &before);
        assert!(machine.path("state.redb.damaged").exists());
    }
}

/// How a file is damaged that was closed in order: from there on, these bytes are something else.
const DAMAGE: [(&str, usize, usize); 5] = [
    ("its beginning", 0, 16),
    ("all of its header", 0, 512),
    ("where its header says that pages are", 64, 256),
    ("its first pages", 4_096, 16_384),
    ("nearly everything", 320, usize::MAX),
];

#[test]
fn whatever_is_damaged_the_state_is_rebuilt() {
    let (machine, before) = filled();
    machine.life(End::Shutdown, async |node| node.snapshot().await.unwrap());
    let path = machine.path("state.redb");
    let whole = fs::read(&path).unwrap();
    for (what, from, count) in DAMAGE {
        let mut bytes = whole.clone();
        bytes.iter_mut().skip(from).take(count).for_each(|byte| *byte ^= 0x5a);
        assert_set_aside(&machine, &bytes, what);
    }
    for kept in [1, 100, 4_096, 10_000, whole.len() / 2, whole.len() - 4_096] {
        assert_set_aside(&machine, &whole[..kept], &format!("cut after {kept} bytes"));
    }
    // And what is whole is not touched.
    fs::write(&path, &whole).unwrap();
    machine.life(End::Kill, async |node| assert_eq!(hashes(node).await, before));
    assert!(!machine.path("state.redb.damaged").exists());
}

fn assert_set_aside(machine: &Machine, damaged: &[u8], what: &str) {
    fs::write(machine.path("state.redb"), damaged).unwrap();
    machine.life(End::Kill, async |node| {
        for name in names() {
            assert_eq!(resource(node, &name).await.unwrap().held, 10, "{what}");
        }
    });
    let aside = machine.path("state.redb.damaged");
    assert!(fs::metadata(&aside).is_ok_and(|aside| aside.len() > 0), "{what}");
    fs::remove_file(aside).unwrap();
}

#[test]
fn a_log_that_ends_before_the_state_is_not_led() {
    let (machine, _) = filled();
    machine.life(End::Shutdown, async |node| {
        hold(node, &names()[0]).await.unwrap();
    });
    // Another log in the place of the one that the state is of.
    let mut other = Machine::new();
    other.options.data.clone_from(&machine.options.data);
    other.life(End::Kill, async |node| {
        let why = unavailable(resource(node, &names()[0]).await);
        assert!(why.contains("the log ends at offset 1"), "{why}");
        let stats = node.stats();
        assert!(stats.partitions.iter().any(|partition| partition.quarantined.is_some()));
    });
}

#[test]
fn a_partition_that_nobody_uses_does_not_keep_the_log_from_being_trimmed() {
    let machine = Machine::new();
    machine.life(End::Kill, async |node| {
        put(node, &names()[0], 1_000_000).await;
        let mut most = 0;
        for round in 0..6 {
            for _ in 0..HOLDS {
                hold(node, &names()[0]).await.unwrap();
            }
            node.snapshot().await.unwrap();
            if round >= 2 {
                most = most.max(machine.segments());
            }
        }
        let written = node.stats().log.bytes;
        let kept = most as u64 * machine.options.segment_bytes;
        assert!(kept * 5 < written * 4, "{most} segments, of {written} bytes");
    });
}

#[test]
fn snapshots_are_written_whenever_the_log_has_grown() {
    let mut machine = Machine::new();
    machine.options.snapshot_every_bytes = 128 << 10;
    machine.options.maintenance_every = Duration::from_millis(1);
    let before = machine.life(End::Kill, async |node| {
        put(node, &names()[0], 1_000_000_000).await;
        put(node, &names()[2], 10).await;
        while node.stats().snapshots < 5 {
            hold(node, &names()[0]).await.unwrap();
        }
        assert!(node.stats().store_error.is_none());
        hashes(node).await
    });
    let whole = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "eks");
    assert!(snapshots(&machine).into_iter().filter(whole).count() <= 3, "few are kept");
    fs::remove_file(machine.path("state.redb")).unwrap();
    assert_rebuilt(&machine, &before);
}

#[test]
fn what_was_written_before_a_restart_counts_towards_the_next_snapshot() {
    let mut machine = Machine::new();
    machine.options.snapshot_every_bytes = 64 << 10;
    machine.options.maintenance_every = Duration::from_secs(3_600);
    machine.life(End::Kill, async |node| {
        put(node, &names()[0], 1_000_000).await;
        while node.stats().log.bytes < 3 * (64 << 10) {
            hold(node, &names()[0]).await.unwrap();
        }
        assert_eq!(node.stats().snapshots, 0);
    });
    machine.options.maintenance_every = Duration::from_millis(1);
    machine.life(End::Kill, async |node| {
        // Hardly anything is written in this life.
        while node.stats().snapshots == 0 {
            assert!(resource(node, &names()[0]).await.is_ok());
        }
    });
}
