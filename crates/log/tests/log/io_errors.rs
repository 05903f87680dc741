//! A write or a sync that fails is the end of the process, and of nothing else.

use super::fixtures::{Written, block_on, open, read_all, record};
use evenkeel_log::faults::{FaultFiles, Operation};
use evenkeel_log::{AppendError, LocalLog, LocalOptions, Log, PartitionId, Tail, WalError};
use std::sync::Arc;

const P: PartitionId = PartitionId(1);

#[test]
fn after_a_failed_sync_nothing_is_written_again() {
    for operation in [Operation::Sync, Operation::Write] {
        let mut written = Written::new();
        let (mut wal, _) = open(&written.files).unwrap();
        written.group(&mut wal, &[1], 100);
        written.files.fail(operation, 1);
        let lost = record(P, written.tail(1), b"lost");
        let error = wal.write_group(std::slice::from_ref(&lost)).unwrap_err();
        assert!(matches!(error, WalError::Fatal(_)), "{error:?}");
        let again = wal.write_group(&[lost]).unwrap_err();
        assert!(matches!(again, WalError::Fatal(_)), "never tried again: {again:?}");
        assert_eq!(wal.reader().tail(P).unwrap(), written.tail(1), "and not shown");
        written.check(&wal, 1, 1000);
    }
}

/// A failed sync leaves the cache clean and the disk without the data. A record that a new process
/// finds in the cache must be on the disk before it is promised to anyone.
#[test]
fn what_a_restart_shows_after_a_failed_sync_survives_power_loss() {
    for seed in 0..50 {
        let files = FaultFiles::new(seed);
        let (mut wal, _) = open(&files).unwrap();
        let first = record(P, Tail::EMPTY, b"");
        wal.write_group(std::slice::from_ref(&first)).unwrap();
        files.fail(Operation::Sync, 1);
        let second = record(P, first.tail(), &[5; 3000]);
        wal.write_group(std::slice::from_ref(&second)).unwrap_err();
        files.kill();
        drop(wal);

        let (wal, _) = open(&files).unwrap();
        let shown = read_all(&wal, P, 1 << 20);
        assert_eq!(shown, [first, second], "it is in the cache");
        files.power_loss();
        drop(wal);
        let (wal, _) = open(&files).unwrap();
        assert_eq!(read_all(&wal, P, 1 << 20), shown, "seed {seed}");
    }
}

#[test]
fn local_fails_for_good_and_says_so() {
    block_on(async {
        let files = Arc::new(FaultFiles::new(1));
        let options = LocalOptions { init: true, segment_bytes: 1 << 16, ..Default::default() };
        let (log, _) = LocalLog::over(Arc::clone(&files), &options, [1; 16]).unwrap();
        let first = record(P, Tail::EMPTY, b"");
        log.append(first.clone()).await.unwrap();
        let failed = log.failed();

        files.fail(Operation::Sync, 1);
        let second = record(P, first.tail(), b"second");
        let outcome = log.append(second.clone()).await;
        assert!(matches!(outcome, Err(AppendError::Indeterminate(_))), "{outcome:?}");
        assert!(failed.await.contains("cannot sync a group"));
        let later = log.append(second).await;
        assert!(matches!(later, Err(AppendError::Quarantined(_))), "{later:?}");
        assert!(log.tail_past(P, first.tail().offset).await.is_err(), "nobody waits for ever");
        assert_eq!(log.tail(P).await.unwrap(), first.tail(), "reads go on");
        assert_eq!(log.read(P, first.tail().offset, 1000).await.unwrap(), [first]);
    });
}

#[test]
fn a_failed_read_is_an_error_not_damage() {
    let mut written = Written::new();
    let (mut wal, _) = open(&written.files).unwrap();
    written.group(&mut wal, &[1], 100);
    written.files.fail(Operation::Read, 1);
    let error = wal.reader().read(P, evenkeel_log::Offset(1), 1000).unwrap_err();
    assert!(matches!(error, evenkeel_log::ReadError::Io(_)), "{error:?}");
    written.check(&wal, 1, 1000);
    written.group(&mut wal, &[1], 100);
}

#[test]
fn short_writes_are_completed() {
    let mut written = Written::new();
    written.files.short_writes(true);
    let (mut wal, _) = open(&written.files).unwrap();
    for _ in 0..50 {
        written.group(&mut wal, &[1, 2], 700);
    }
    drop(wal);
    written.files.power_loss();
    let (wal, recovered) = open(&written.files).unwrap();
    assert!(recovered.is_whole() && recovered.torn.is_none(), "{recovered:?}");
    written.check(&wal, 1, 5000);
    written.check(&wal, 2, 1);
}
