//! The log beneath a simulated partition: in memory and shared, or a real write-ahead log on a
//! simulated disk.

use evenkeel_engine::Outcome;
use evenkeel_log::{
    AppendError, Offset, PartitionId, Record, Tail, Wal, WalOptions, faults::FaultFiles,
    sim::SimCore,
};
use std::sync::Arc;

/// The partition that is simulated; others, if a run has them, are numbered on from it.
pub(super) const PARTITION: PartitionId = PartitionId(0);
/// Small, so that runs rotate.
const SEGMENT_BYTES: u64 = 16 << 10;
const READ_BYTES: usize = 64 << 10;

pub(super) enum SimLog {
    Shared(SimCore),
    Disk {
        files: FaultFiles,
        /// `None` while the process is down.
        wal: Option<Box<Wal<FaultFiles>>>,
    },
}

impl SimLog {
    pub(super) fn shared(check_tail: bool) -> Self {
        let mut core = SimCore::new();
        core.check_tail = check_tail;
        Self::Shared(core)
    }

    pub(super) fn disk(seed: u64, ignore_sync: bool) -> Self {
        let files = FaultFiles::new(seed);
        let mut log = Self::Disk { files: files.clone(), wal: None };
        log.open(true).expect("a healthy disk takes a new log");
        files.ignore_sync(ignore_sync);
        log
    }

    /// Opens a log on disk after its process was started.
    pub(super) fn open(&mut self, init: bool) -> Result<(), String> {
        let Self::Disk { files, wal } = self else { return Ok(()) };
        let options = WalOptions { init, segment_bytes: SEGMENT_BYTES, ..WalOptions::default() };
        let (opened, recovered) =
            Wal::open(Arc::new(files.clone()), &options).map_err(|error| error.to_string())?;
        if !recovered.is_whole() {
            return Err(format!("damaged: {:?}", recovered.damage));
        }
        *wal = Some(Box::new(opened));
        Ok(())
    }

    /// The process that uses a log on disk is gone; `power` says whether the machine went too.
    pub(super) fn down(&mut self, power: bool) {
        if let Self::Disk { files, wal } = self {
            *wal = None;
            if power {
                files.power_loss();
            } else {
                files.kill();
            }
        }
    }

    /// Has the disk's power go at the so-manyth change from now on.
    pub(super) fn power_off_at(&mut self, change: u64) {
        if let Self::Disk { files, .. } = self {
            files.off_at(change);
        }
    }

    /// `None`: the disk failed, and with it the process.
    pub(super) fn append(&mut self, record: &Record) -> Option<Outcome> {
        let refused = match self {
            Self::Shared(core) => core.append(record.clone()).map(|_| ()),
            Self::Disk { wal, .. } => {
                let wal = wal.as_mut()?;
                match wal.admit(record, &mut evenkeel_log::Staged::default()) {
                    Ok(()) => {
                        return wal
                            .write_group(std::slice::from_ref(record))
                            .ok()
                            .map(|()| Outcome::Appended);
                    }
                    Err(error) => Err(error),
                }
            }
        };
        Some(match refused {
            Ok(()) => Outcome::Appended,
            Err(AppendError::Conflict { tail }) if tail.offset < record.header().offset => {
                Outcome::Behind
            }
            Err(AppendError::Conflict { .. }) => {
                match self.record(record.header().partition, record.header().offset) {
                    Some(there) => Outcome::Occupied(there),
                    None => Outcome::Trimmed,
                }
            }
            Err(AppendError::Full(why) | AppendError::Quarantined(why)) => Outcome::Refused(why),
            Err(AppendError::Indeterminate(_)) => Outcome::Indeterminate,
        })
    }

    pub(super) fn read(&self, id: PartitionId, from: Offset) -> Result<Vec<Record>, String> {
        let read = match self {
            Self::Shared(core) => core.read(id, from, READ_BYTES),
            Self::Disk { wal: Some(wal), .. } => wal.reader().read(id, from, READ_BYTES),
            Self::Disk { wal: None, .. } => return Err("the process is down".into()),
        };
        read.map_err(|error| error.to_string())
    }

    pub(super) fn tail(&self, id: PartitionId) -> Tail {
        match self {
            Self::Shared(core) => core.tail(id),
            Self::Disk { wal: Some(wal), .. } => wal.reader().tail(id).unwrap_or_default(),
            Self::Disk { wal: None, .. } => Tail::EMPTY,
        }
    }

    fn record(&self, id: PartitionId, offset: Offset) -> Option<Record> {
        self.read(id, offset).ok()?.into_iter().next()
    }
}
