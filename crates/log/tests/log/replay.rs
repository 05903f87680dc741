//! Reading many partitions in one pass: the same records as reading each, in the order of the log.

use super::fixtures::{FaultWal, Numbers, Written, open};
use evenkeel_log::{Offset, PartitionId, ReadError, Record, inspect};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

type ByPartition = BTreeMap<PartitionId, Vec<Record>>;

/// Several segments of groups of one to three partitions, with records of many sizes; and all
/// records in the order in which they were written.
fn mixed() -> (Written, FaultWal, Vec<Record>) {
    let mut written = Written::new();
    let (mut wal, _) = open(&written.files).unwrap();
    let mut order = Vec::new();
    let groups: [&[u16]; 6] = [&[1, 2, 3], &[2], &[3, 1], &[2, 3], &[1], &[3]];
    for round in 0..240 {
        let partitions = groups[round % groups.len()];
        written.group(&mut wal, partitions, round * 7 % 900);
        let newest = |partition: &u16| written.records[&PartitionId(*partition)].last().cloned();
        order.extend(partitions.iter().filter_map(newest));
    }
    let names = evenkeel_log::Files::list(&written.files).unwrap();
    assert!(names.len() > 5, "several segments, or this tests nothing: {names:?}");
    (written, wal, order)
}

fn replay(wal: &FaultWal, from: &[(u16, u64)]) -> Vec<Record> {
    let mut shown = Vec::new();
    wal.reader().replay(ids(from), |record| {
        shown.push(record);
        ControlFlow::Continue(())
    });
    shown
}

fn ids(from: &[(u16, u64)]) -> Vec<(PartitionId, Offset)> {
    from.iter().map(|(partition, offset)| (PartitionId(*partition), Offset(*offset))).collect()
}

fn by_partition(records: Vec<Record>) -> ByPartition {
    let mut sorted = ByPartition::new();
    for record in records {
        sorted.entry(record.header().partition).or_default().push(record);
    }
    sorted
}

#[test]
fn everything_is_shown_once_and_in_the_order_of_the_log() {
    let (written, wal, order) = mixed();
    let shown = replay(&wal, &[(1, 1), (2, 1), (3, 1)]);
    assert_eq!(shown, order);
    assert_eq!(by_partition(shown), written.records);
    assert_eq!(replay(&wal, &[(1, 0), (2, 0), (3, 0)]), order, "offsets begin at 1");
    drop(wal);
    let (wal, _) = open(&written.files).unwrap();
    assert_eq!(replay(&wal, &[(3, 1), (2, 1), (1, 1)]), order, "also after a start");
}

#[test]
fn each_partition_begins_where_it_is_asked_to() {
    let (written, wal, _) = mixed();
    let tails: Vec<u64> = [1, 2, 3].map(|partition| written.tail(partition).offset.0).to_vec();
    let mut numbers = Numbers::new(11);
    for _ in 0..200 {
        let mut from = Vec::new();
        for (partition, tail) in (1..).zip(&tails) {
            // Some not at all, some at the very end or beyond it.
            if numbers.below(5) > 0 {
                from.push((partition, numbers.below(tail + 3)));
            }
        }
        let expected: ByPartition = from
            .iter()
            .map(|(partition, offset)| {
                let records = &written.records[&PartitionId(*partition)];
                let begin = (*offset).max(1) as usize - 1;
                (PartitionId(*partition), records.get(begin..).unwrap_or_default().to_vec())
            })
            .filter(|(_, records)| !records.is_empty())
            .collect();
        assert_eq!(by_partition(replay(&wal, &from)), expected, "{from:?}");
    }
}

#[test]
fn of_nothing_that_is_there_nothing_is_shown() {
    let (written, wal, _) = mixed();
    assert_eq!(replay(&wal, &[]), []);
    assert_eq!(replay(&wal, &[(77, 1)]), [], "nobody wrote to it");
    let beyond = written.tail(2).offset.0 + 1;
    assert_eq!(replay(&wal, &[(2, beyond)]), []);
    assert_eq!(replay(&wal, &[(2, u64::MAX)]), []);
    let with_others = replay(&wal, &[(77, 1), (2, beyond), (1, 1)]);
    assert_eq!(with_others, written.records[&PartitionId(1)], "nor does it hide others");
}

#[test]
fn whoever_has_enough_breaks_off() {
    let (_, wal, all) = mixed();
    for enough in [1, 2, 50, all.len()] {
        let mut shown = Vec::new();
        wal.reader().replay(ids(&[(1, 1), (2, 1), (3, 1)]), |record| {
            shown.push(record);
            if shown.len() < enough { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        assert_eq!(shown, all[..enough]);
    }
}

/// It ends at the tails of when it began: whoever appends meanwhile does not keep it going.
#[test]
fn what_is_written_meanwhile_is_not_waited_for() {
    let (mut written, mut wal, before) = mixed();
    let reader = wal.reader();
    let mut shown = Vec::new();
    reader.replay(ids(&[(1, 1), (2, 1), (3, 1)]), |record| {
        shown.push(record);
        written.group(&mut wal, &[1, 2, 3], 100);
        ControlFlow::Continue(())
    });
    assert_eq!(shown, before);
}

#[test]
fn what_was_trimmed_is_not_shown_and_hides_no_other() {
    let (written, wal, _) = mixed();
    wal.reader().trim(PartitionId(2), Offset(40)).unwrap();
    let shown = replay(&wal, &[(1, 1), (2, 39), (3, 5)]);
    let mut expected = written.records.clone();
    expected.remove(&PartitionId(2));
    expected.get_mut(&PartitionId(3)).unwrap().drain(..4);
    assert_eq!(by_partition(shown), expected, "nothing, not a part");
    let refused = wal.reader().read(PartitionId(2), Offset(39), 1);
    assert!(matches!(refused, Err(ReadError::Trimmed { first: Offset(40) })), "{refused:?}");
    let rest = replay(&wal, &[(2, 40)]);
    assert_eq!(rest, written.records[&PartitionId(2)][39..]);

    // Also once the files are gone.
    for partition in [1, 3] {
        wal.reader().trim(PartitionId(partition), Offset(60)).unwrap();
    }
    let names = evenkeel_log::Files::list(&written.files).unwrap();
    assert!(!names.contains(&"segment-0000000000000001".to_owned()), "{names:?}");
    let shown = by_partition(replay(&wal, &[(1, 60), (2, 60), (3, 60)]));
    for (partition, records) in &written.records {
        assert_eq!(shown[partition], records[59..], "partition {partition}");
    }
}

#[test]
fn damage_hides_what_comes_after_it_in_its_partition_and_no_other() {
    let (written, wal, _) = mixed();
    drop(wal);
    let (partition, offset) = (PartitionId(2), Offset(50));
    let mut place = None;
    inspect(&written.files, |placed| {
        let header = placed.record.header();
        if (header.partition, header.offset) == (partition, offset) {
            place = Some((placed.segment.to_owned(), placed.position));
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    let (segment, position) = place.unwrap();
    let (wal, _) = open(&written.files).unwrap();
    // In the record's body, under a running log that does not know of it yet.
    written.files.flip(&segment, position + evenkeel_log::HEADER_BYTES as u64 + 5, 2);
    let shown = by_partition(replay(&wal, &[(1, 1), (2, 1), (3, 1)]));
    for (other, records) in &written.records {
        let whole = if *other == partition { &records[..49] } else { &records[..] };
        assert_eq!(shown[other], whole, "partition {other}");
    }
    let refused = wal.reader().read(partition, offset, 1);
    assert!(matches!(refused, Err(ReadError::Quarantined(_))), "reading it says why: {refused:?}");
    assert_eq!(replay(&wal, &[(2, 1)]), [], "from then on nothing of it is shown");
}
