//! Opening a log: scan it, make its end clean and durable, say what was found. And the same scan
//! for people who only want to look: [`verify`] and [`inspect`] change nothing.

use crate::fs::{File, Files, LockError, Sharing};
use crate::group::Link;
use crate::reader::Shared;
use crate::scan::{Damage, Placed, Scan, Walked, scan, segment_numbers};
use crate::segment::{PREPARING, SegmentHeader, Window, file_name, prepare};
use crate::wal::{Active, Wal, WalError, WalOptions, begin_segment};
use crate::{Incarnation, Offset, PartitionId, Tail};
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

const CHUNK_BYTES: usize = 1 << 20;
const SEGMENT_BYTES_MIN: u64 = 4096;

/// What opening or verifying a log found.
#[derive(Debug, Clone, Default)]
pub struct Recovered {
    /// Segments.
    pub segments: u64,
    /// Whole groups.
    pub groups: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of them, headers included.
    pub bytes: u64,
    /// Every partition that has records or had some.
    pub partitions: Vec<RecoveredPartition>,
    /// Set if partitions that are not listed may have lost all that they had.
    pub unseen_quarantined: Option<String>,
    /// Places that are damaged, in order.
    pub damage: Vec<Damage>,
    /// The remains of a last write that was never acknowledged.
    pub torn: Option<Torn>,
}

impl Recovered {
    /// Whether nothing is damaged. (A torn end is none: nothing that was promised is lost.)
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let quarantined = self.partitions.iter().any(|found| found.quarantined.is_some());
        self.damage.is_empty() && self.unseen_quarantined.is_none() && !quarantined
    }
}

/// One partition, as found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveredPartition {
    /// The partition.
    pub partition: PartitionId,
    /// Its life.
    pub incarnation: Incarnation,
    /// The first offset that was not trimmed, as far as the log remembers.
    pub first: Offset,
    /// Its last record.
    pub tail: Tail,
    /// Why it is not served, if so.
    pub quarantined: Option<String>,
}

/// Where the remains of an unacknowledged write begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// The segment's file.
    pub segment: String,
    /// The first byte.
    pub position: u64,
}

impl<F: Files> Wal<F> {
    /// Opens the log in `files`, or makes one if the directory is empty and `options.init` says
    /// so. An end torn by a crash is cut off, and everything that is left is durable, before this
    /// answers; damage quarantines the partitions that it may concern and lets the others be.
    pub fn open(files: Arc<F>, options: &WalOptions) -> Result<(Self, Recovered), WalError> {
        // Looked at before the lock, which leaves a file even in a directory that is none of ours.
        if segment_numbers(&*files)?.is_empty() && !options.init {
            return Err(WalError::NotInitialized);
        }
        let lock = files.lock(Sharing::Exclusive)?;
        discard_prepared(&*files)?;
        if segment_numbers(&*files)?.is_empty() {
            initialize(&*files, options)?;
        }
        let found = scan(&*files, &mut |_| ControlFlow::Continue(()))?;
        let walked = found.segments.last().expect("a log has a segment");
        let (file, torn) = clean_end(&*files, walked, found.last_group)
            .map_err(WalError::io("make the log's end durable"))?;
        let file_bytes = file.len().map_err(WalError::io("size a segment"))?;
        let active = Active { number: walked.number, file, position: walked.end, file_bytes };
        let recovered = report(&found, torn);
        let last = found.last;
        let shared = Shared::new(files, found.identity, found.chains, found.segments);
        Ok((Self::new(Arc::new(shared), active, last, options, lock), recovered))
    }
}

/// Walks the whole log and says what it found, changing nothing. The log must not be open.
pub fn verify<F: Files>(files: &F) -> Result<Recovered, WalError> {
    inspect(files, |_| ControlFlow::Continue(()))
}

/// As [`verify`], showing every whole record, in the order of the log, to `visit` until it breaks
/// off; what is answered is then about the part that was walked.
pub fn inspect<F: Files>(
    files: &F,
    mut visit: impl FnMut(&Placed<'_>) -> ControlFlow<()>,
) -> Result<Recovered, WalError> {
    let _lock = match files.lock(Sharing::ReadOnly) {
        Ok(lock) => Some(lock),
        // Never opened here, a copy perhaps: then nobody has it open.
        Err(LockError::Io(error)) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let mut stopped = false;
    let found = scan(files, &mut |placed| {
        let flow = visit(placed);
        stopped |= flow.is_break();
        flow
    })?;
    let mut torn = found.torn;
    if let Some(walked) = found.segments.last().filter(|_| !stopped) {
        let read = WalError::io("read a segment");
        let file = files.open_read(&file_name(walked.number)).map_err(&read)?;
        leftovers(file, walked.end, |_, _| {
            torn = true;
            Ok(())
        })
        .map_err(&read)?;
    }
    Ok(report(&found, torn))
}

/// A half-prepared segment holds nothing; the next preparation begins anew.
fn discard_prepared<F: Files>(files: &F) -> Result<(), WalError> {
    match files.remove(PREPARING) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(WalError::io("remove a half-prepared segment")(error))
        }
        _ => Ok(()),
    }
}

fn initialize<F: Files>(files: &F, options: &WalOptions) -> Result<(), WalError> {
    let header = SegmentHeader {
        identity: options.identity,
        number: 1,
        last: Link::START,
        unseen_quarantined: false,
        standings: Vec::new(),
    };
    prepare(files, options.segment_bytes.max(SEGMENT_BYTES_MIN), &AtomicBool::new(false))
        .and_then(|file| begin_segment(files, &file, &header))
        .map_err(WalError::io("create the first segment"))
}

/// Makes the end of the last segment safe to append to; answers it and whether its end was torn.
///
/// Zeroes replace whatever follows the last group, so that no part of a torn write can come back.
/// The last group is written again before the sync: after a failed sync the system may hold as
/// clean what the disk never got, and a sync alone would then promise it falsely.
fn clean_end<F: Files>(
    files: &F,
    walked: &Walked,
    last_group: Option<(u64, usize)>,
) -> io::Result<(F::File, bool)> {
    let name = file_name(walked.number);
    let file = files.open(&name)?;
    let mut torn = false;
    leftovers(files.open_read(&name)?, walked.end, |position, bytes| {
        torn = true;
        file.write_all_at(&vec![0; bytes], position)
    })?;
    if let Some((position, bytes)) = last_group {
        let mut group = vec![0; bytes];
        file.read_exact_at(&mut group, position)?;
        file.write_all_at(&group, position)?;
    }
    file.sync_data()?;
    files.sync_dir()?;
    Ok((file, torn))
}

/// Shows every stretch of the file from `from` on that is not all zeroes.
fn leftovers<H: File>(
    file: H,
    from: u64,
    mut show: impl FnMut(u64, usize) -> io::Result<()>,
) -> io::Result<()> {
    let mut window = Window::new(file, CHUNK_BYTES)?;
    let mut position = from;
    while position < window.file_bytes() {
        let rest = window.file_bytes() - position;
        let bytes = usize::try_from(rest.min(CHUNK_BYTES as u64)).expect("at most a chunk");
        let Some(chunk) = window.slice(position, bytes)? else {
            break;
        };
        if chunk.iter().any(|byte| *byte != 0) {
            show(position, bytes)?;
        }
        position += bytes as u64;
    }
    Ok(())
}

fn report(found: &Scan, torn: bool) -> Recovered {
    let partitions = found.chains.known.iter().map(|(partition, known)| RecoveredPartition {
        partition: *partition,
        incarnation: known.incarnation,
        first: known.trim,
        tail: known.tail,
        quarantined: known.quarantine.as_ref().map(|quarantine| quarantine.reason.to_string()),
    });
    let end = found.segments.last().filter(|_| torn);
    Recovered {
        segments: found.segments.len() as u64,
        groups: found.groups,
        records: found.records,
        bytes: found.bytes,
        partitions: partitions.collect(),
        unseen_quarantined: found.chains.unseen.as_ref().map(ToString::to_string),
        damage: found.damage.clone(),
        torn: end.map(|walked| Torn { segment: file_name(walked.number), position: walked.end }),
    }
}
