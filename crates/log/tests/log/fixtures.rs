//! Records and logs to test with.

use evenkeel_log::faults::FaultFiles;
use evenkeel_log::{
    Epoch, Header, Incarnation, Kind, Offset, PartitionId, Record, Recovered, Tail, Wal, WalError,
    WalOptions,
};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

/// The record after `at`; `Genesis` if there is none.
pub(crate) fn record(partition: PartitionId, at: Tail, body: &[u8]) -> Record {
    let header = Header {
        kind: if at == Tail::EMPTY { Kind::Genesis } else { Kind::Batch },
        partition,
        incarnation: Incarnation(1),
        epoch: Epoch(1),
        offset: at.offset.next(),
        time_ms: at.offset.0,
        writer: 0,
        prev: at.hash,
    };
    Record::new(header, body)
}

/// Small segments, so that tests rotate.
pub(crate) fn small() -> WalOptions {
    WalOptions { init: true, segment_bytes: 16 * 1024, prepare_ahead: false, identity: [9; 16] }
}

pub(crate) type FaultWal = Wal<FaultFiles>;

pub(crate) fn open(files: &FaultFiles) -> Result<(FaultWal, Recovered), WalError> {
    Wal::open(Arc::new(files.clone()), &small())
}

/// A log and everything that was written to it.
pub(crate) struct Written {
    pub(crate) files: FaultFiles,
    pub(crate) records: BTreeMap<PartitionId, Vec<Record>>,
}

impl Written {
    pub(crate) fn new() -> Self {
        Self { files: FaultFiles::new(1), records: BTreeMap::new() }
    }

    pub(crate) fn tail(&self, partition: u16) -> Tail {
        let records = self.records.get(&PartitionId(partition));
        records.and_then(|records| records.last()).map_or(Tail::EMPTY, Record::tail)
    }

    /// Writes one group with one record of `bytes` for each of `partitions`.
    pub(crate) fn group(&mut self, wal: &mut FaultWal, partitions: &[u16], bytes: usize) {
        let mut group = Vec::new();
        for partition in partitions {
            let fill = u8::try_from(self.tail(*partition).offset.0 % 256).unwrap();
            let next = record(PartitionId(*partition), self.tail(*partition), &vec![fill; bytes]);
            self.records.entry(PartitionId(*partition)).or_default().push(next.clone());
            group.push(next);
        }
        wal.write_group(&group).expect("nothing fails here");
    }

    /// Everything is there, read in steps of `bytes_max`.
    pub(crate) fn check(&self, wal: &FaultWal, partition: u16, bytes_max: usize) {
        let expected = &self.records[&PartitionId(partition)];
        assert_eq!(&read_all(wal, PartitionId(partition), bytes_max), expected);
    }
}

/// Every record of a partition that is not trimmed.
pub(crate) fn read_all(wal: &FaultWal, partition: PartitionId, bytes_max: usize) -> Vec<Record> {
    let reader = wal.reader();
    let mut from = Offset(1);
    let mut all = Vec::new();
    loop {
        match reader.read(partition, from, bytes_max) {
            Ok(some) if some.is_empty() => return all,
            Ok(some) => {
                from = some.last().unwrap().header().offset.next();
                all.extend(some);
            }
            Err(evenkeel_log::ReadError::Trimmed { first }) if first > from => from = first,
            Err(error) => panic!("partition {partition}, offset {from}: {error}"),
        }
    }
}

/// Runs a future with the runtime that the log needs.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Polls once, so that what can happen at once has happened.
pub(crate) async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

/// How many iterations a fuzz-like test makes.
pub(crate) fn iterations(default: u64) -> u64 {
    let set = std::env::var("EVENKEEL_FUZZ_ITERATIONS").ok();
    set.map_or(default, |set| set.parse().expect("EVENKEEL_FUZZ_ITERATIONS is a number"))
}

/// A seeded sequence of numbers.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    pub(crate) fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).unwrap()
    }
}
