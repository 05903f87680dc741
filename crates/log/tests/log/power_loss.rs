//! Power loss at any moment: what was acknowledged is there, what was not is there whole or not at
//! all, and nothing is taken for damage. (I1, on the fault-injecting file layer.)

use super::fixtures::{FaultWal, Numbers, iterations, open, record};
use evenkeel_log::faults::FaultFiles;
use evenkeel_log::{Offset, PartitionId, ReadError, Record, Tail, WalError};
use std::collections::BTreeMap;

const PARTITIONS: u16 = 5;

/// What must be in the log, partition by partition.
#[derive(Default)]
struct Promised {
    records: BTreeMap<PartitionId, Vec<Record>>,
    trimmed: BTreeMap<PartitionId, Offset>,
    /// The group that was being written when the power went.
    unknown: Vec<Record>,
}

impl Promised {
    fn tail(&self, partition: PartitionId) -> Tail {
        self.records.get(&partition).and_then(|all| all.last()).map_or(Tail::EMPTY, Record::tail)
    }

    fn promise(&mut self, group: Vec<Record>) {
        for record in group {
            self.records.entry(record.header().partition).or_default().push(record);
        }
    }

    /// One to four records for any partitions, pipelined ones among them.
    fn next_group(&self, numbers: &mut Numbers) -> Vec<Record> {
        let mut tails = BTreeMap::new();
        (0..=numbers.below(4))
            .map(|_| {
                let partition =
                    PartitionId(u16::try_from(numbers.below(PARTITIONS.into())).unwrap());
                let tail = tails.entry(partition).or_insert_with(|| self.tail(partition));
                let fill = u8::try_from(numbers.below(256)).unwrap();
                let next = record(partition, *tail, &vec![fill; numbers.index(2500)]);
                *tail = next.tail();
                next
            })
            .collect()
    }

    /// Compares the log with what was promised, and takes what it shows as the promise from now.
    fn check(&mut self, wal: &FaultWal) -> Result<(), String> {
        let unknown = std::mem::take(&mut self.unknown);
        let landed = unknown.first().is_some_and(|record| {
            let tail = wal.reader().tail(record.header().partition);
            tail.is_ok_and(|tail| tail.offset >= record.header().offset)
        });
        if landed {
            self.promise(unknown);
        }
        for partition in (0..PARTITIONS).map(PartitionId) {
            let tail = wal.reader().tail(partition).map_err(|error| error.to_string())?;
            if tail != self.tail(partition) {
                let expected = self.tail(partition);
                return Err(format!("partition {partition} ends at {tail:?}, not {expected:?}"));
            }
            let empty = Vec::new();
            let all = self.records.get(&partition).unwrap_or(&empty);
            let shown = read(wal, partition)?;
            let trimmed = self.trimmed.get(&partition).copied().unwrap_or(Offset(1));
            let wanted = all.iter().filter(|record| record.header().offset >= trimmed).count();
            if shown.len() < wanted || shown[..] != all[all.len() - shown.len()..] {
                return Err(format!("partition {partition} shows other records than were written"));
            }
        }
        Ok(())
    }
}

fn read(wal: &FaultWal, partition: PartitionId) -> Result<Vec<Record>, String> {
    let mut from = Offset(1);
    let mut shown: Vec<Record> = Vec::new();
    loop {
        match wal.reader().read(partition, from, 4000) {
            Ok(some) if some.is_empty() => return Ok(shown),
            Ok(some) => {
                from = Offset(from.0 + some.len() as u64);
                shown.extend(some);
            }
            Err(ReadError::Trimmed { first }) if first > from => from = first,
            Err(error) => return Err(format!("partition {partition}: {error}")),
        }
    }
}

/// Writes and trims until the power goes.
fn run_until_off(wal: &mut FaultWal, promised: &mut Promised, numbers: &mut Numbers) {
    loop {
        if numbers.below(12) == 0 {
            let partition = PartitionId(u16::try_from(numbers.below(PARTITIONS.into())).unwrap());
            let below = Offset(numbers.below(promised.tail(partition).offset.0 + 2));
            let trimmed = promised.trimmed.entry(partition).or_insert(Offset(1));
            *trimmed = below.max(*trimmed);
            if wal.reader().trim(partition, below).is_err() {
                return;
            }
        }
        let group = promised.next_group(numbers);
        match wal.write_group(&group) {
            Ok(()) => promised.promise(group),
            Err(WalError::Fatal(_)) => {
                promised.unknown = group;
                return;
            }
            Err(other) => panic!("only the power fails here: {other:?}"),
        }
    }
}

/// Opens the log; the power may go again while it recovers.
fn reopen(files: &FaultFiles, numbers: &mut Numbers) -> Result<FaultWal, String> {
    while numbers.below(3) == 0 {
        files.off_at(1 + numbers.below(8));
        if let Ok((_, recovered)) = open(files)
            && !recovered.is_whole()
        {
            return Err(format!("taken for damage: {recovered:?}"));
        }
        files.power_loss();
    }
    let (wal, recovered) = open(files).map_err(|error| format!("cannot be opened: {error}"))?;
    if recovered.is_whole() { Ok(wal) } else { Err(format!("taken for damage: {recovered:?}")) }
}

/// Several lives of one directory.
fn lives(seed: u64, ignore_sync: bool) -> Result<(), String> {
    let mut numbers = Numbers::new(seed);
    let files = FaultFiles::new(seed ^ 0xD15C);
    files.ignore_sync(ignore_sync);
    files.short_writes(numbers.below(2) == 0);
    let mut promised = Promised::default();
    for _ in 0..6 {
        let mut wal = reopen(&files, &mut numbers)?;
        promised.check(&wal)?;
        files.off_at(1 + numbers.below(150));
        run_until_off(&mut wal, &mut promised, &mut numbers);
        if numbers.below(4) == 0 {
            files.kill();
        } else {
            files.power_loss();
        }
    }
    let wal = reopen(&files, &mut numbers)?;
    promised.check(&wal)
}

#[test]
fn nothing_acknowledged_is_lost() {
    for seed in 0..iterations(400) {
        if let Err(broken) = lives(seed, false) {
            panic!("seed {seed}: {broken}");
        }
    }
}

#[test]
fn without_fsync_something_is_lost() {
    let broken = (0..20).filter(|seed| lives(*seed, true).is_err()).count();
    assert!(broken > 10, "a lying sync is noticed; it was in {broken} of 20 runs only");
}
