//! What is trimmed goes, segment by segment; what is wanted, and every tail, stays.

use super::fixtures::{Written, open, read_all};
use evenkeel_log::{Offset, PartitionId, ReadError};

fn segments(written: &Written) -> usize {
    let names = evenkeel_log::Files::list(&written.files).unwrap();
    names.iter().filter(|name| name.starts_with("segment-")).count()
}

#[test]
fn a_partition_whose_records_are_all_gone_keeps_its_tail() {
    let mut written = Written::new();
    let (mut wal, _) = open(&written.files).unwrap();
    written.group(&mut wal, &[1, 2, 3], 300);
    for _ in 0..200 {
        written.group(&mut wal, &[2], 700);
    }
    let before = segments(&written);
    assert!(before > 5, "several segments, or this tests nothing");
    let reader = wal.reader();
    let below = Offset(190);
    reader.trim(PartitionId(2), below).unwrap();
    reader.trim(PartitionId(1), Offset(2)).unwrap();
    assert_eq!(segments(&written), before, "partition 3 still wants the first segment");
    reader.trim(PartitionId(3), Offset(u64::MAX)).unwrap();
    assert!(segments(&written) <= 3, "{} segments of {before} are left", segments(&written));

    for _ in 0..2 {
        drop(wal);
        written.files.power_loss();
        let (reopened, recovered) = open(&written.files).unwrap();
        wal = reopened;
        assert!(recovered.is_whole(), "{recovered:?}");
        assert_eq!(recovered.partitions.len(), 3);
        for partition in [1, 2, 3] {
            let tail = wal.reader().tail(PartitionId(partition)).unwrap();
            assert_eq!(tail, written.tail(partition), "partition {partition}");
        }
        let gone = wal.reader().read(PartitionId(1), Offset(1), 1000).unwrap_err();
        assert!(matches!(gone, ReadError::Trimmed { first: Offset(2) }), "{gone:?}");
        let kept = read_all(&wal, PartitionId(2), 2000);
        let all = &written.records[&PartitionId(2)];
        assert!(kept.len() >= all.len() + 1 - 190, "only what was trimmed may go");
        assert_eq!(kept, all[all.len() - kept.len()..]);
    }
    written.group(&mut wal, &[1, 3], 300);
    assert_eq!(wal.reader().tail(PartitionId(1)).unwrap().offset, Offset(2));
}

#[test]
fn reading_across_many_segments_from_anywhere() {
    let mut written = Written::new();
    let (mut wal, _) = open(&written.files).unwrap();
    for round in 0..300usize {
        written.group(&mut wal, if round % 7 == 0 { &[1, 2] } else { &[2] }, round % 900);
    }
    for bytes_max in [1, 1000, 1 << 20] {
        written.check(&wal, 1, bytes_max);
        written.check(&wal, 2, bytes_max);
    }
    let all = &written.records[&PartitionId(2)];
    for from in (1..=all.len()).rev().step_by(17) {
        let some = wal.reader().read(PartitionId(2), Offset(from as u64), 5000).unwrap();
        assert_eq!(some, all[from - 1..from - 1 + some.len()], "from {from}");
    }
    drop(wal);
    let (wal, recovered) = open(&written.files).unwrap();
    assert_eq!(recovered.records, 343);
    written.check(&wal, 2, 4000);
}
