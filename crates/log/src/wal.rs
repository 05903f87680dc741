//! The write-ahead log: one chain of groups for all partitions, in segments, in one directory.
//!
//! [`Wal`] is the synchronous core with one writer: no queue, no runtime, no clock that decides
//! anything. `LocalLog` drives it on the machine, tests drive it over injected faults. What is
//! read goes through [`WalReader`], which any number of threads may hold.
//!
//! Memory: one group's bytes, and a partition at most 96 KiB of index (see [`crate::index`]); a
//! segment costs about 10 bytes a partition.

use crate::fs::{File, Files, LockError};
use crate::group::{GroupEncoder, Link, align};
use crate::index::Place;
use crate::reader::{Shared, WalReader};
use crate::scan::Walked;
use crate::segment::{PREPARING, SegmentHeader, file_name, prepare};
use crate::stats::Meter;
use crate::{AppendError, Incarnation, PartitionId, Record, Tail};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Instant;

/// The most that one group may hold: far beyond any batch, far below what its lengths can say.
const GROUP_BYTES_LIMIT: usize = 256 << 20;

/// Why the write-ahead log did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum WalError {
    /// There is no log in the directory. (An unmounted disk must not become an empty database.)
    #[error("the directory holds no log; initialise it explicitly if it should")]
    NotInitialized,
    /// Someone else has the directory.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Written by a newer program.
    #[error("log format {0} is unknown to this version")]
    Version(u32),
    /// So damaged that not even the undamaged partitions can be told.
    #[error("the log is damaged: {0}")]
    Corrupt(String),
    /// The log could not be opened or read.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// There was no space. Nothing was lost or begun; may be tried again.
    #[error("no space: {0}")]
    Full(String),
    /// A record does not continue its partition; nothing of the group was written.
    #[error("a record of partition {partition} is refused: {source}")]
    Refused {
        /// The partition.
        partition: PartitionId,
        /// Why.
        source: AppendError,
    },
    /// A write or a sync failed: nobody knows what is on the disk, and trying again would prove
    /// nothing. Every later call answers the same; the process must end, and recover.
    #[error("the log failed and must be reopened by a new process: {0}")]
    Fatal(String),
}

impl WalError {
    pub(crate) fn io(doing: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }
}

/// How a log is opened.
#[derive(Debug, Clone)]
pub struct WalOptions {
    /// Whether an empty directory becomes a log.
    pub init: bool,
    /// The size of a segment; a group that is larger gets a larger one.
    pub segment_bytes: u64,
    /// Whether the next segment is written with zeroes ahead of need, on a thread of its own.
    pub prepare_ahead: bool,
    /// What tells a new log from every other one; should be random outside tests.
    pub identity: [u8; 16],
}

impl Default for WalOptions {
    fn default() -> Self {
        Self { init: false, segment_bytes: 64 << 20, prepare_ahead: false, identity: [0; 16] }
    }
}

/// The tails that partitions have once the records admitted so far are written.
#[derive(Debug, Default)]
pub struct Staged {
    tails: BTreeMap<PartitionId, (Tail, Incarnation)>,
}

impl Staged {
    /// Forgets everything, for the next group.
    pub fn clear(&mut self) {
        self.tails.clear();
    }
}

/// The segment that is being written.
pub(crate) struct Active<H> {
    pub(crate) number: u64,
    pub(crate) file: H,
    pub(crate) position: u64,
    pub(crate) file_bytes: u64,
}

/// The next segment's file, on a thread of its own.
struct Preparing<H> {
    /// Tells the thread that someone waits for it.
    needed: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<H>>,
}

impl<H> Preparing<H> {
    fn finish(self) -> std::thread::Result<io::Result<H>> {
        self.needed.store(true, Ordering::Relaxed);
        self.thread.join()
    }
}

/// The one writer of a log.
pub struct Wal<F: Files> {
    shared: Arc<Shared<F>>,
    active: Active<F::File>,
    last: Link,
    encoder: GroupEncoder,
    segment_bytes: u64,
    prepare_ahead: bool,
    preparing: Option<Preparing<F::File>>,
    failed: Option<String>,
    meter: Arc<Meter>,
    /// Last, so that it is released after everything else has been.
    _lock: F::Lock,
}

impl<F: Files> Wal<F> {
    /// For recovery, which has found out everything that it takes.
    pub(crate) fn new(
        shared: Arc<Shared<F>>,
        active: Active<F::File>,
        last: Link,
        options: &WalOptions,
        lock: F::Lock,
    ) -> Self {
        Self {
            shared,
            active,
            last,
            encoder: GroupEncoder::default(),
            segment_bytes: options.segment_bytes,
            prepare_ahead: options.prepare_ahead,
            preparing: None,
            failed: None,
            meter: Arc::default(),
            _lock: lock,
        }
    }

    /// What reads and trims this log, beside the writer.
    #[must_use]
    pub fn reader(&self) -> WalReader<F> {
        WalReader::new(Arc::clone(&self.shared))
    }

    pub(crate) fn meter(&self) -> Arc<Meter> {
        Arc::clone(&self.meter)
    }

    /// Whether `record` continues its partition, counting those admitted to `staged` before.
    /// If so, it is admitted too.
    pub fn admit(&self, record: &Record, staged: &mut Staged) -> Result<(), AppendError> {
        let header = record.header();
        let (tail, incarnation) = match staged.tails.get(&header.partition) {
            Some(known) => *known,
            None => {
                self.shared.lock().standing(header.partition).map_err(AppendError::Quarantined)?
            }
        };
        if record.expected() != tail || header.incarnation < incarnation {
            return Err(AppendError::Conflict { tail });
        }
        staged.tails.insert(header.partition, (record.tail(), header.incarnation));
        Ok(())
    }

    /// Makes `records` durable together: one write and one sync. Each must continue its partition.
    pub fn write_group(&mut self, records: &[Record]) -> Result<(), WalError> {
        let mut staged = Staged::default();
        for record in records {
            self.admit(record, &mut staged).map_err(|source| WalError::Refused {
                partition: record.header().partition,
                source,
            })?;
        }
        self.write_admitted(records)
    }

    /// As [`Wal::write_group`], for records that [`Wal::admit`] has let through, all of them and
    /// in that order.
    pub(crate) fn write_admitted(&mut self, records: &[Record]) -> Result<(), WalError> {
        if let Some(reason) = &self.failed {
            return Err(WalError::Fatal(reason.clone()));
        }
        let body_bytes: usize = records.iter().map(|record| record.as_bytes().len()).sum();
        if body_bytes > GROUP_BYTES_LIMIT {
            return Err(WalError::Full(format!("a group holds at most {GROUP_BYTES_LIMIT} bytes")));
        }
        if records.is_empty() {
            return Ok(());
        }
        let link = self.encoder.encode(&self.shared.key, self.last, records);
        let group_bytes = self.encoder.bytes().len() as u64;
        if self.active.position + group_bytes > self.active.file_bytes {
            self.rotate(group_bytes)?;
        }
        self.write_encoded()?;
        let place = Place { segment: self.active.number, position: self.active.position };
        self.last = link;
        self.active.position = align(self.active.position + group_bytes);
        self.shared.lock().publish(records, place, self.active.position);
        self.meter.count_group(records.len(), self.encoder.bytes().len());
        self.prepare_next();
        Ok(())
    }

    fn write_encoded(&mut self) -> Result<(), WalError> {
        let outcome = self.active.file.write_all_at(self.encoder.bytes(), self.active.position);
        outcome.map_err(|error| self.fail("write a group", &error))?;
        let begun = Instant::now();
        let outcome = self.active.file.sync_data();
        self.meter.count_sync(begun.elapsed());
        outcome.map_err(|error| self.fail("sync a group", &error))
    }

    /// Goes on in a new segment that has room for a group of `group_bytes`. If there is no space
    /// for one, the old one stays as it is.
    fn rotate(&mut self, group_bytes: u64) -> Result<(), WalError> {
        let number = self.active.number + 1;
        let header = self.shared.segment_header(number, self.last);
        let needed_bytes = align(header.groups_start() + group_bytes);
        let file = self.prepared(needed_bytes)?;
        let file_bytes = file.len().map_err(|error| self.fail("size a segment", &error))?;
        // Whatever the error: the new segment may exist, and the old one must not grow then, or the
        // two would contradict each other.
        begin_segment(&*self.shared.files, &file, &header)
            .map_err(|error| self.fail("begin a segment", &error))?;
        let position = header.groups_start();
        self.active = Active { number, file, position, file_bytes };
        self.shared.lock().begin_segment(walked(&header));
        Ok(())
    }

    /// A file of zeroes with at least `needed_bytes`, prepared ahead or now.
    fn prepared(&mut self, needed_bytes: u64) -> Result<F::File, WalError> {
        if let Some(preparing) = self.preparing.take() {
            match preparing.finish() {
                Ok(Ok(file)) if file.len().is_ok_and(|bytes| bytes >= needed_bytes) => {
                    return Ok(file);
                }
                // Too small, or there was no space then: try again below.
                Ok(Ok(_)) => {}
                Ok(Err(error)) if is_full(&error) => {}
                Ok(Err(error)) => return Err(self.fail("prepare a segment", &error)),
                Err(_) => {
                    let error = io::Error::other("the preparing thread panicked");
                    return Err(self.fail("prepare a segment", &error));
                }
            }
        }
        let bytes = needed_bytes.max(self.segment_bytes);
        prepare(&*self.shared.files, bytes, &AtomicBool::new(false))
            .map_err(|error| self.full_or_fail("prepare a segment", &error))
    }

    /// Begins to prepare the next segment early: it takes as long as some of this one's groups.
    /// But not at once, so that a log that is hardly used takes one segment's space and not two.
    fn prepare_next(&mut self) {
        let begun = self.active.position > self.active.file_bytes / 16;
        if !self.prepare_ahead || self.preparing.is_some() || !begun {
            return;
        }
        let files = Arc::clone(&self.shared.files);
        let bytes = self.segment_bytes;
        let needed = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&needed);
        let spawned = Builder::new()
            .name("log-prepare".to_owned())
            .spawn(move || prepare(&*files, bytes, &asked));
        // If no thread can be had, rotation prepares the segment itself.
        self.preparing = spawned.ok().map(|thread| Preparing { needed, thread });
    }

    fn full_or_fail(&mut self, doing: &str, error: &io::Error) -> WalError {
        if is_full(error) {
            WalError::Full(format!("cannot {doing}: {error}"))
        } else {
            self.fail(doing, error)
        }
    }

    fn fail(&mut self, doing: &str, error: &io::Error) -> WalError {
        let reason = format!("cannot {doing}: {error}");
        self.failed.get_or_insert_with(|| reason.clone());
        WalError::Fatal(reason)
    }
}

impl<F: Files> Drop for Wal<F> {
    fn drop(&mut self) {
        if let Some(preparing) = self.preparing.take() {
            // The directory must be quiet before its lock is given up.
            let _ = preparing.finish();
        }
    }
}

/// Turns a prepared file into the segment that `header` says. After an error nobody knows whether
/// the segment exists.
pub(crate) fn begin_segment<F: Files>(
    files: &F,
    file: &F::File,
    header: &SegmentHeader,
) -> io::Result<()> {
    file.write_all_at(&header.encode(), 0)?;
    file.sync_data()?;
    files.rename(PREPARING, &file_name(header.number))?;
    files.sync_dir()
}

/// A segment without groups.
pub(crate) fn walked(header: &SegmentHeader) -> Walked {
    Walked {
        number: header.number,
        start: header.groups_start(),
        base: header.standings.iter().map(|line| (line.partition, line.tail.offset)).collect(),
        end: header.groups_start(),
        damaged: false,
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
