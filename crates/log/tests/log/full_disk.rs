//! A full disk is an answer, not a loss.

use super::fixtures::{Written, block_on, open, record};
use evenkeel_log::faults::{FaultFiles, Operation};
use evenkeel_log::{AppendError, LocalLog, LocalOptions, Log, PartitionId, Tail, WalError};
use std::io::ErrorKind;
use std::sync::Arc;

const P: PartitionId = PartitionId(1);

#[test]
fn a_full_disk_shows_at_rotation_and_passes() {
    let mut written = Written::new();
    let (mut wal, _) = open(&written.files).unwrap();
    written.group(&mut wal, &[1, 2], 100);
    written.files.space(Some(0));
    let mut refused = None;
    for _ in 0..200 {
        let next = record(P, written.tail(1), &[1; 500]);
        match wal.write_group(std::slice::from_ref(&next)) {
            Ok(()) => written.records.get_mut(&P).unwrap().push(next),
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    assert!(matches!(refused, Some(WalError::Full(_))), "{refused:?}");
    assert!(written.records[&P].len() > 5, "the space that was reserved is used first");
    assert_eq!(wal.reader().tail(P).unwrap(), written.tail(1));
    written.check(&wal, 1, 3000);

    written.files.space(Some(20 * 1024));
    for _ in 0..10 {
        written.group(&mut wal, &[1, 2], 400);
    }
    drop(wal);
    written.files.power_loss();
    let (wal, recovered) = open(&written.files).unwrap();
    assert!(recovered.is_whole(), "{recovered:?}");
    written.check(&wal, 1, 3000);
    written.check(&wal, 2, 3000);
}

/// "No space" is an answer only while the next segment is nothing but zeroes. Once it may exist, it
/// names the old one's last group, and a smaller one that still fits there would contradict it.
#[test]
fn no_space_while_a_segment_begins_is_the_end_of_the_process() {
    let full = |error: &WalError| matches!(error, WalError::Full(_));
    let fatal = |error: &WalError| matches!(error, WalError::Fatal(_));
    // A rotation's syncs: of the zeroes, of the header, of the directory. Its writes: of the zeroes,
    // of the header.
    for (operation, nth, passes) in [
        (Operation::Write, 1, true),
        (Operation::Sync, 1, true),
        (Operation::Write, 2, false),
        (Operation::Sync, 2, false),
        (Operation::Rename, 1, false),
        (Operation::Sync, 3, false),
    ] {
        for seed in 0..20 {
            let what = format!("{operation:?} {nth}, seed {seed}");
            let mut written = Written { files: FaultFiles::new(seed), ..Written::new() };
            let (mut wal, _) = open(&written.files).unwrap();
            written.group(&mut wal, &[1, 2], 100);
            written.files.fail_as(operation, nth, ErrorKind::StorageFull);
            let large = record(P, written.tail(1), &[1; 16 * 1024]);
            let error = wal.write_group(&[large]).unwrap_err();
            assert!(if passes { full(&error) } else { fatal(&error) }, "{what}: {error}");
            let small = record(P, written.tail(1), b"small");
            match wal.write_group(std::slice::from_ref(&small)) {
                Ok(()) if passes => written.records.get_mut(&P).unwrap().push(small),
                outcome => assert!(!passes && outcome.is_err_and(|error| fatal(&error)), "{what}"),
            }
            // Both ends of a process: what it left is whole.
            if seed % 2 == 0 {
                written.files.kill();
            } else {
                written.files.power_loss();
            }
            drop(wal);
            let (mut wal, recovered) = open(&written.files).unwrap();
            assert!(recovered.is_whole(), "{what}: {recovered:?}");
            written.group(&mut wal, &[1, 2], 5000);
            written.check(&wal, 1, 3000);
            written.check(&wal, 2, 3000);
        }
    }
}

#[test]
fn local_answers_full_to_all_in_flight_and_goes_on_when_space_returns() {
    block_on(async {
        let files = Arc::new(FaultFiles::new(1));
        let options = LocalOptions { init: true, segment_bytes: 1 << 16, ..Default::default() };
        let (log, _) = LocalLog::over(Arc::clone(&files), &options, [1; 16]).unwrap();
        let mut at = log.append(record(P, Tail::EMPTY, b"")).await.unwrap();
        files.space(Some(0));
        let full = loop {
            let next = record(P, at, &[1; 20_000]);
            match log.append(next.clone()).await {
                Ok(tail) => at = tail,
                Err(error) => break error,
            }
        };
        assert!(matches!(full, AppendError::Full(_)), "{full:?}");
        assert_eq!(log.tail(P).await.unwrap(), at, "refused without effect");

        let first = record(P, at, &[2; 40_000]);
        let second = record(P, first.tail(), b"second");
        let flights = [log.append(first.clone()), log.append(second.clone())];
        for flight in flights {
            let outcome = flight.await;
            // The second may come in a group of its own, and then its predecessor is missing.
            let refused =
                matches!(outcome, Err(AppendError::Full(_) | AppendError::Conflict { .. }));
            assert!(refused, "{outcome:?}");
        }
        files.space(None);
        assert_eq!(log.append(first.clone()).await.unwrap(), first.tail());
        assert_eq!(log.append(second.clone()).await.unwrap(), second.tail());
        assert_eq!(log.read(P, first.header().offset, 1 << 20).await.unwrap(), [first, second]);
    });
}
