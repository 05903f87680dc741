//! Damage: whom it concerns is refused and told where, everyone else is served; and a torn end is
//! no damage.

use super::fixtures::{FaultWal, Numbers, Written, iterations, open, read_all, record};
use evenkeel_log::{
    AppendError, Files, Offset, PartitionId, ReadError, Recovered, Staged, WalError, inspect,
    verify,
};
use std::ops::ControlFlow;

/// Where a record is.
struct Place {
    segment: String,
    position: u64,
    /// Groups begin at sectors, and these small groups' headers are smaller than one.
    group_start: u64,
}

fn find(written: &Written, partition: u16, offset: u64) -> Place {
    let mut found = None;
    inspect(&written.files, |placed| {
        let header = placed.record.header();
        if (header.partition.0, header.offset.0) == (partition, offset) {
            found = Some(Place {
                segment: placed.segment.to_owned(),
                position: placed.position,
                group_start: placed.position / 512 * 512,
            });
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    found.expect("the record is in the log")
}

fn quarantined(recovered: &Recovered) -> Vec<u16> {
    let bad = recovered.partitions.iter().filter(|found| found.quarantined.is_some());
    bad.map(|found| found.partition.0).collect()
}

/// Reads and appends are refused, saying `place`.
fn assert_refused(wal: &FaultWal, written: &Written, partition: u16, place: &str) {
    let id = PartitionId(partition);
    match wal.reader().read(id, Offset(1), 1000) {
        Err(ReadError::Quarantined(reason)) => assert!(reason.contains(place), "{reason}"),
        other => panic!("partition {partition} is quarantined, not {other:?}"),
    }
    let next = record(id, written.tail(partition), b"next");
    match wal.admit(&next, &mut Staged::default()) {
        Err(AppendError::Quarantined(reason)) => assert!(reason.contains(place), "{reason}"),
        other => panic!("partition {partition} is quarantined, not {other:?}"),
    }
}

/// Partitions 1, 2 and 3 begin together; then only 1; then only 2; then 1 and 2.
fn four_groups() -> Written {
    let mut written = Written::new();
    let (mut wal, _) = open(&written.files).unwrap();
    for partitions in [&[1, 2, 3][..], &[1], &[2], &[1, 2]] {
        written.group(&mut wal, partitions, 200);
    }
    written
}

#[test]
fn a_damaged_body_concerns_the_partitions_whose_records_it_held() {
    let mut written = four_groups();
    let place = find(&written, 1, 2);
    written.files.flip(&place.segment, place.position + 150, 3);
    let looked = verify(&written.files).unwrap();
    assert_eq!(quarantined(&looked), [1]);
    assert_eq!(looked.damage[0].position, place.group_start);

    let (mut wal, recovered) = open(&written.files).unwrap();
    assert_eq!(quarantined(&recovered), [1], "{recovered:?}");
    assert_refused(&wal, &written, 1, &place.segment);
    for partition in [2, 3] {
        written.check(&wal, partition, 1000);
    }
    written.group(&mut wal, &[2, 3], 100);
    let refused = record(PartitionId(1), written.tail(1), b"");
    let error = wal.write_group(&[refused]).unwrap_err();
    assert!(matches!(error, WalError::Refused { .. }), "{error:?}");
}

#[test]
fn of_a_damaged_body_what_is_whole_is_kept() {
    for (damaged, other) in [(1, 2), (2, 1)] {
        let mut written = four_groups();
        let (mut wal, _) = open(&written.files).unwrap();
        written.group(&mut wal, &[3], 200);
        drop(wal);
        let place = find(&written, damaged, 3);
        written.files.flip(&place.segment, place.position + 150, 3);
        let (wal, recovered) = open(&written.files).unwrap();
        assert_eq!(quarantined(&recovered), [damaged], "{recovered:?}");
        written.check(&wal, other, 1000);
        written.check(&wal, 3, 1000);
    }
}

#[test]
fn a_damaged_group_header_concerns_everyone_who_cannot_be_shown_whole() {
    let mut written = four_groups();
    let place = find(&written, 1, 2);
    written.files.flip(&place.segment, place.group_start + 9, 3);

    let (mut wal, recovered) = open(&written.files).unwrap();
    // 1 has a gap; 2 continues without one; of 3 nobody can tell, nor of any unseen partition.
    assert_eq!(quarantined(&recovered), [1, 3], "{recovered:?}");
    assert_refused(&wal, &written, 1, "offsets 2..=2 are lost");
    assert_refused(&wal, &written, 3, &place.segment);
    assert_refused(&wal, &written, 9, &place.segment);
    written.check(&wal, 2, 1000);

    // It is not forgotten when the log goes on in other segments, though 3's chain looks whole.
    for _ in 0..100 {
        written.group(&mut wal, &[2], 700);
    }
    wal.reader().trim(PartitionId(2), Offset(90)).unwrap();
    for _ in 0..2 {
        drop(wal);
        written.files.power_loss();
        let (reopened, recovered) = open(&written.files).unwrap();
        wal = reopened;
        assert_eq!(quarantined(&recovered), [1, 3], "{recovered:?}");
        assert_refused(&wal, &written, 9, "segment-");
        written.check(&wal, 2, 3000);
    }
}

#[test]
fn the_evidence_is_kept_however_much_is_trimmed() {
    let mut written = Written::new();
    let (mut wal, _) = open(&written.files).unwrap();
    written.group(&mut wal, &[1, 2], 100);
    wal.reader().trim(PartitionId(1), Offset(2)).unwrap();
    for _ in 0..40 {
        written.group(&mut wal, &[2], 700);
    }
    // The only record of partition 1 in this segment is lost, and nothing after it shows that.
    written.group(&mut wal, &[1], 100);
    written.group(&mut wal, &[2], 100);
    wal.reader().trim(PartitionId(1), Offset(u64::MAX)).unwrap();
    drop(wal);
    let place = find(&written, 1, 2);
    written.files.flip(&place.segment, place.group_start + 9, 3);

    let (mut wal, recovered) = open(&written.files).unwrap();
    assert_eq!(quarantined(&recovered), [1], "{recovered:?}");
    for _ in 0..60 {
        written.group(&mut wal, &[2], 700);
    }
    wal.reader().trim(PartitionId(2), Offset(u64::MAX)).unwrap();
    drop(wal);
    let (wal, recovered) = open(&written.files).unwrap();
    assert_eq!(recovered.damage[0].segment, place.segment, "{recovered:?}");
    assert_refused(&wal, &written, 1, &place.segment);
}

#[test]
fn the_next_segment_shows_who_lost_nothing() {
    let mut written = four_groups();
    let (mut wal, _) = open(&written.files).unwrap();
    for _ in 0..40 {
        written.group(&mut wal, &[2], 700);
    }
    drop(wal);
    let place = find(&written, 1, 2);
    written.files.flip(&place.segment, place.group_start + 9, 3);
    let (mut wal, recovered) = open(&written.files).unwrap();
    assert_eq!(quarantined(&recovered), [1], "{recovered:?}");
    written.check(&wal, 3, 1000);
    written.group(&mut wal, &[3, 9], 100);
}

#[test]
fn the_end_of_a_segment_that_has_a_successor_is_no_torn_end() {
    let mut written = Written::new();
    let (mut wal, _) = open(&written.files).unwrap();
    written.group(&mut wal, &[1, 2], 100);
    let mut last_of_first = 0;
    while Files::list(&written.files).unwrap().len() < 2 {
        last_of_first = written.tail(1).offset.0;
        written.group(&mut wal, &[1], 700);
    }
    drop(wal);
    let place = find(&written, 1, last_of_first);
    assert!(place.segment.ends_with('1'), "{}", place.segment);
    for byte in [0, place.position - place.group_start + 100] {
        written.files.flip(&place.segment, place.group_start + byte, 3);
        let found = verify(&written.files).unwrap();
        assert_eq!((quarantined(&found), found.torn.clone()), (vec![1], None), "{found:?}");
        written.files.flip(&place.segment, place.group_start + byte, 3);
    }
    assert!(verify(&written.files).unwrap().is_whole());
}

#[test]
fn any_damage_to_the_last_group_is_a_torn_end() {
    let reference = four_groups();
    let place = find(&reference, 1, 3);
    let end = reference.files.contents(&place.segment).iter().rposition(|byte| *byte != 0).unwrap();
    for byte in (place.group_start..=end as u64).step_by(7) {
        let mut written = four_groups();
        written.files.flip(&place.segment, byte, 5);
        let (mut wal, recovered) = open(&written.files).unwrap();
        assert!(recovered.is_whole(), "byte {byte}: {recovered:?}");
        assert_eq!(recovered.torn.unwrap().position, place.group_start, "byte {byte}");
        for partition in [1, 2] {
            written.records.get_mut(&PartitionId(partition)).unwrap().pop();
            written.check(&wal, partition, 1000);
        }
        // What was cut off cannot come back behind what is written now.
        written.group(&mut wal, &[3], 10);
        drop(wal);
        let (wal, recovered) = open(&written.files).unwrap();
        assert!(recovered.is_whole() && recovered.torn.is_none(), "byte {byte}: {recovered:?}");
        written.check(&wal, 3, 1000);
    }
}

#[test]
fn one_damaged_copy_of_a_segments_header_harms_nobody_two_are_reported() {
    let mut written = four_groups();
    let (mut wal, _) = open(&written.files).unwrap();
    for _ in 0..60 {
        written.group(&mut wal, &[1, 2], 300);
    }
    drop(wal);
    let last = written.files.list().unwrap().into_iter().max().unwrap();
    written.files.flip(&last, 20, 1);
    assert!(verify(&written.files).unwrap().is_whole());
    written.files.flip(&last, 512 + 20, 1);
    let found = verify(&written.files).unwrap();
    assert_eq!(quarantined(&found), [0u16; 0], "the chain of groups shows that nothing is lost");
    assert_eq!(found.damage.len(), 1);
    let (wal, _) = open(&written.files).unwrap();
    for partition in [1, 2, 3] {
        written.check(&wal, partition, 2000);
    }
}

#[test]
fn a_missing_segment_concerns_who_had_records_in_it() {
    let mut written = four_groups();
    let (mut wal, _) = open(&written.files).unwrap();
    for _ in 0..100 {
        written.group(&mut wal, &[2], 700);
    }
    drop(wal);
    written.files.remove("segment-0000000000000002").unwrap();
    let (wal, recovered) = open(&written.files).unwrap();
    assert_eq!(quarantined(&recovered), [2], "{recovered:?}");
    written.check(&wal, 1, 1000);
    written.check(&wal, 3, 1000);
}

#[test]
fn damage_that_appears_later_is_noticed_by_reading() {
    let mut written = Written::new();
    let (mut wal, _) = open(&written.files).unwrap();
    written.group(&mut wal, &[1, 2], 100);
    written.group(&mut wal, &[1], 100);
    let name = written.files.list().unwrap().into_iter().max().unwrap();
    let zeroes = vec![0xFF; 100];
    written.files.overwrite(&name, 1024 + 512 + 150, &zeroes);
    let error = wal.reader().read(PartitionId(1), Offset(1), 1 << 20).unwrap_err();
    assert!(matches!(&error, ReadError::Quarantined(reason) if reason.contains(&name)), "{error}");
    assert_refused(&wal, &written, 1, &name);
    written.check(&wal, 2, 1000);
    written.group(&mut wal, &[2], 100);
}

/// One flipped bit anywhere: nobody reads anything that was not written, and whoever is not
/// quarantined has everything but, at most, the very last group.
#[test]
fn one_flipped_bit_anywhere_is_harmless_or_noticed() {
    let mut numbers = Numbers::new(11);
    for round in 0..iterations(300) {
        let mut written = Written::new();
        let (mut wal, _) = open(&written.files).unwrap();
        written.group(&mut wal, &[1, 2, 3], 10);
        for _ in 0..40 {
            let partitions: &[u16] = [&[1][..], &[2], &[3], &[2, 3]][numbers.index(4)];
            written.group(&mut wal, partitions, numbers.index(900));
        }
        let last_group = [3];
        written.group(&mut wal, &last_group, 50);
        drop(wal);
        let names = written.files.list().unwrap();
        let name = &names[numbers.index(names.len())];
        let position = numbers.below(written.files.contents(name).len() as u64);
        written.files.flip(name, position, 2);
        let (wal, recovered) = open(&written.files).unwrap();
        let bad = quarantined(&recovered);
        for partition in [1, 2, 3] {
            if bad.contains(&partition) {
                continue;
            }
            let mut expected = written.records[&PartitionId(partition)].clone();
            if recovered.torn.is_some() && last_group.contains(&partition) {
                let shown = read_all(&wal, PartitionId(partition), 2000);
                expected.truncate(shown.len().max(expected.len() - 1));
            }
            let shown = read_all(&wal, PartitionId(partition), 2000);
            assert_eq!(shown, expected, "round {round}: {name}, byte {position}: {recovered:?}");
        }
    }
}
