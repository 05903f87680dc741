//! The writer thread: grouping, order, bounds, closing.

use super::fixtures::{block_on, poll_once, record};
use evenkeel_log::faults::FaultFiles;
use evenkeel_log::{AppendError, LocalLog, LocalOptions, Log, Offset, PartitionId, Record, Tail};
use std::pin::pin;
use std::sync::Arc;

fn options() -> LocalOptions {
    LocalOptions { init: true, segment_bytes: 1 << 20, ..LocalOptions::default() }
}

fn in_memory(options: &LocalOptions) -> LocalLog<FaultFiles> {
    LocalLog::over(Arc::new(FaultFiles::new(1)), options, [1; 16]).unwrap().0
}

#[test]
fn many_owners_append_at_once_and_everything_survives_a_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let (log, _) = LocalLog::open(directory.path(), &options()).unwrap();
    let log = Arc::new(log);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let owners: Vec<_> = (0..8u16)
        .map(|partition| {
            let log = Arc::clone(&log);
            runtime.spawn(async move {
                let mut at = Tail::EMPTY;
                let mut records = Vec::new();
                for _ in 0..40 {
                    let first = record(PartitionId(partition), at, &[3; 900]);
                    let second = record(PartitionId(partition), first.tail(), &[4; 90]);
                    let flights = [log.append(first.clone()), log.append(second.clone())];
                    for flight in flights {
                        at = flight.await.unwrap();
                    }
                    records.extend([first, second]);
                }
                records
            })
        })
        .collect();
    let written: Vec<Vec<Record>> =
        owners.into_iter().map(|owner| runtime.block_on(owner).unwrap()).collect();
    let stats = log.stats();
    assert_eq!(stats.records, 8 * 80);
    assert_eq!(stats.groups, stats.syncs);
    assert!(stats.groups <= stats.records);
    assert_eq!(stats.sync_us_buckets.iter().sum::<u64>(), stats.syncs);
    drop(log);

    let (log, recovered) = LocalLog::open(directory.path(), &options()).unwrap();
    assert!(recovered.is_whole() && recovered.torn.is_none(), "{recovered:?}");
    for (partition, records) in (0u16..).zip(&written) {
        let read = log.read(PartitionId(partition), Offset(1), usize::MAX);
        assert_eq!(&runtime.block_on(read).unwrap(), records);
    }
}

#[test]
fn append_submits_when_it_is_called() {
    block_on(async {
        let log = in_memory(&options());
        let first = record(PartitionId(1), Tail::EMPTY, b"");
        let second = record(PartitionId(1), first.tail(), b"");
        let dropped = log.append(first.clone());
        let kept = log.append(second.clone());
        // Giving up the answer does not withdraw the append.
        drop(dropped);
        assert_eq!(kept.await.unwrap(), second.tail());
        assert_eq!(log.read(PartitionId(1), Offset(1), 1000).await.unwrap(), [first, second]);
    });
}

#[test]
fn closing_writes_what_is_pending_and_refuses_what_comes_later() {
    block_on(async {
        let log = in_memory(&options());
        let mut at = Tail::EMPTY;
        let mut flights = Vec::new();
        for _ in 0..100 {
            let next = record(PartitionId(1), at, &[1; 500]);
            at = next.tail();
            flights.push(log.append(next));
        }
        let mut waiting = pin!(log.tail_past(PartitionId(1), Offset(1_000)));
        assert!(poll_once(&mut waiting).await.is_none());
        log.close();
        for flight in flights {
            flight.await.unwrap();
        }
        assert_eq!(log.tail(PartitionId(1)).await.unwrap(), at);
        assert!(waiting.await.is_err(), "who waits for what cannot come learns it");
        let late = log.append(record(PartitionId(1), at, b"late")).await;
        assert!(matches!(late, Err(AppendError::Quarantined(_))), "{late:?}");
        log.close();
    });
}

#[test]
fn the_queue_is_bounded() {
    block_on(async {
        let log = in_memory(&LocalOptions { queue_bytes_max: 100, ..options() });
        let too_much = log.append(record(PartitionId(1), Tail::EMPTY, &[1; 200])).await;
        assert!(matches!(too_much, Err(AppendError::Full(_))), "{too_much:?}");
        for partition in 1..50 {
            // Each gives back its place once it is answered.
            log.append(record(PartitionId(partition), Tail::EMPTY, b"")).await.unwrap();
        }
    });
}

#[test]
fn small_groups_are_not_mixed_up() {
    block_on(async {
        let log = in_memory(&LocalOptions { group_bytes_max: 1000, ..options() });
        let mut at = Tail::EMPTY;
        let mut flights = Vec::new();
        for size in 0..60 {
            let next = record(PartitionId(1), at, &vec![1; size * 40]);
            at = next.tail();
            flights.push(log.append(next));
        }
        for flight in flights {
            flight.await.unwrap();
        }
        let read = log.read(PartitionId(1), Offset(1), usize::MAX).await.unwrap();
        assert_eq!(read.len(), 60);
        assert_eq!(log.tail(PartitionId(1)).await.unwrap(), at);
    });
}
