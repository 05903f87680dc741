//! The segment: one file of the log, written with zeroes before it is used. The one place
//! that knows a segment's name and the bytes of its header. All integers are little-endian.
//!
//! ```text
//!   0  4  magic "EKS1"                 40 16  hash of the group before
//!   4  4  format version (1)           56  4  lines of the table
//!   8 16  identity of the log          60  4  flags: 1 = partitions not listed are quarantined
//!  24  8  number of the segment        64     table: a line a partition
//!  32  8  sequence of its first group         16 hash: BLAKE3(all before)
//!
//! a line:  0 2 partition   2 2 flags: 1 = quarantined   4 4 incarnation
//!          8 8 tail offset   16 16 tail hash   32 8 first offset not trimmed
//! ```
//!
//! The header is there twice, each copy on sectors of its own. It lists every partition's tail at
//! the segment's start: so earlier segments can go and no tail is ever forgotten, and so damage in
//! an earlier segment can be told from no damage, partition by partition.

use crate::fs::{File, Files};
use crate::group::{GROUP_HEADER_BYTES, header_bytes, parse_header};
use crate::group::{GroupHeader, GroupKey, Link, SECTOR_BYTES, align, field};
use crate::{Hash, Incarnation, Offset, PartitionId, Tail};
use bytes::{Bytes, BytesMut};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

/// A segment's name while it is being written with zeroes.
pub(crate) const PREPARING: &str = "preparing";
const PREFIX: &str = "segment-";
const MAGIC: [u8; 4] = *b"EKS1";
const VERSION: u32 = 1;
const FIXED_BYTES: usize = 64;
const LINE_BYTES: usize = 40;
const HASH_BYTES: usize = 16;
/// One line for every partition that there can be.
const LINES_MAX: usize = 1 << 16;
const ZEROES_BYTES: usize = 1 << 20;

/// The file name of segment `number`.
pub(crate) fn file_name(number: u64) -> String {
    format!("{PREFIX}{number:016}")
}

/// The number of the segment that a file holds, if it holds one.
pub(crate) fn parse_file_name(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?;
    let number = digits.parse().ok()?;
    (file_name(number) == name).then_some(number)
}

/// What a segment knows of a partition when it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) partition: PartitionId,
    pub(crate) incarnation: Incarnation,
    pub(crate) tail: Tail,
    pub(crate) trim: Offset,
    pub(crate) quarantined: bool,
}

/// A segment's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) identity: [u8; 16],
    pub(crate) number: u64,
    /// The group before the segment's first.
    pub(crate) last: Link,
    pub(crate) unseen_quarantined: bool,
    pub(crate) standings: Vec<Standing>,
}

/// Why a segment's header cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SegmentDamage {
    /// Neither copy is whole.
    Unreadable,
    /// Written by a newer program.
    Version(u32),
}

impl SegmentHeader {
    /// Both copies, as stored.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let lines = u32::try_from(self.standings.len()).expect("at most one line a partition");
        let mut bytes = Vec::with_capacity(self.copy_bytes() * 2);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.identity);
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.extend_from_slice(&(self.last.sequence + 1).to_le_bytes());
        bytes.extend_from_slice(&self.last.hash.0);
        bytes.extend_from_slice(&lines.to_le_bytes());
        bytes.extend_from_slice(&u32::from(self.unseen_quarantined).to_le_bytes());
        for standing in &self.standings {
            bytes.extend_from_slice(&standing.partition.0.to_le_bytes());
            bytes.extend_from_slice(&u16::from(standing.quarantined).to_le_bytes());
            bytes.extend_from_slice(&standing.incarnation.0.to_le_bytes());
            bytes.extend_from_slice(&standing.tail.offset.0.to_le_bytes());
            bytes.extend_from_slice(&standing.tail.hash.0);
            bytes.extend_from_slice(&standing.trim.0.to_le_bytes());
        }
        let hash = Hash::of(&bytes);
        bytes.extend_from_slice(&hash.0);
        bytes.resize(self.copy_bytes(), 0);
        bytes.extend_from_within(..);
        bytes
    }

    /// Where the first group begins.
    pub(crate) fn groups_start(&self) -> u64 {
        self.copy_bytes() as u64 * 2
    }

    fn copy_bytes(&self) -> usize {
        let bytes = FIXED_BYTES + self.standings.len() * LINE_BYTES + HASH_BYTES;
        bytes.next_multiple_of(usize::try_from(SECTOR_BYTES).expect("a small constant"))
    }

    /// Reads the header of segment `number`, from whichever copy is whole.
    pub(crate) fn read<H: File>(
        window: &mut Window<H>,
        number: u64,
    ) -> io::Result<Result<Self, SegmentDamage>> {
        let mut version = None;
        let copies_end = 2 * (FIXED_BYTES + LINES_MAX * LINE_BYTES + HASH_BYTES) as u64;
        let mut at = 0;
        while at < copies_end {
            let Some(head) = window.slice(at, FIXED_BYTES)? else {
                break;
            };
            if head[..4] == MAGIC {
                match Self::read_copy(window, at, &head)? {
                    Some(Ok(header)) if header.number == number => return Ok(Ok(header)),
                    Some(Err(newer)) => version = Some(newer),
                    _ => {}
                }
            }
            at += SECTOR_BYTES;
        }
        Ok(Err(version.unwrap_or(SegmentDamage::Unreadable)))
    }

    /// The copy that begins with `head` at `at`, if it is whole.
    fn read_copy<H: File>(
        window: &mut Window<H>,
        at: u64,
        head: &[u8],
    ) -> io::Result<Option<Result<Self, SegmentDamage>>> {
        let lines = u32::from_le_bytes(field(head, 56)) as usize;
        if lines > LINES_MAX {
            return Ok(None);
        }
        let hashed_bytes = FIXED_BYTES + lines * LINE_BYTES;
        let Some(bytes) = window.slice(at, hashed_bytes + HASH_BYTES)? else {
            return Ok(None);
        };
        let (bytes, hash) = bytes.split_at(hashed_bytes);
        if Hash::of(bytes).0 != hash {
            return Ok(None);
        }
        let version = u32::from_le_bytes(field(bytes, 4));
        if version != VERSION {
            return Ok(Some(Err(SegmentDamage::Version(version))));
        }
        let standings = bytes[FIXED_BYTES..].chunks_exact(LINE_BYTES).map(|line| Standing {
            partition: PartitionId(u16::from_le_bytes(field(line, 0))),
            quarantined: field::<2>(line, 2) != [0; 2],
            incarnation: Incarnation(u32::from_le_bytes(field(line, 4))),
            tail: Tail {
                offset: Offset(u64::from_le_bytes(field(line, 8))),
                hash: Hash(field(line, 16)),
            },
            trim: Offset(u64::from_le_bytes(field(line, 32))),
        });
        let first_sequence = u64::from_le_bytes(field(bytes, 32));
        Ok(Some(Ok(Self {
            identity: field(bytes, 8),
            number: u64::from_le_bytes(field(bytes, 24)),
            last: Link { sequence: first_sequence.saturating_sub(1), hash: Hash(field(bytes, 40)) },
            unseen_quarantined: field::<4>(bytes, 60) != [0; 4],
            standings: standings.collect(),
        })))
    }
}

/// Creates the next segment's file in full under its temporary name. The space is reserved first,
/// so that a full disk answers before it has been filled; then zeroes are written, so that a later
/// sync has only data to write; in pieces, each synced, so that no sync of the log's own waits
/// behind all of it.
///
/// Once the file is `needed`, no more zeroes are written if its space is reserved: that reads as
/// zeroes too. Syncs in it take longer, but no append waits for the rest.
pub(crate) fn prepare<F: Files>(files: &F, bytes: u64, needed: &AtomicBool) -> io::Result<F::File> {
    let outcome = files.create(PREPARING).and_then(|file| {
        file.allocate(bytes)?;
        // Not every file system reserves; what has no zeroes there is not even part of the file.
        let reserved = file.len()? >= bytes;
        let zeroes = vec![0; ZEROES_BYTES.min(usize::try_from(bytes).unwrap_or(ZEROES_BYTES))];
        let mut position = 0;
        while position < bytes {
            let piece = (bytes - position).min(zeroes.len() as u64);
            let piece = usize::try_from(piece).expect("it is at most the zeroes' length");
            file.write_all_at(&zeroes[..piece], position)?;
            // This makes the reservation durable as well.
            file.sync_data()?;
            position += piece as u64;
            if reserved && needed.load(Ordering::Relaxed) {
                break;
            }
        }
        Ok(file)
    });
    if outcome.is_err() {
        // Gives the space back. If that fails too, the next preparation empties the file.
        let _ = files.remove(PREPARING);
    }
    outcome
}

/// Reads a file forward through a buffer; what it answers shares that buffer.
pub(crate) struct Window<H> {
    file: H,
    file_bytes: u64,
    chunk_bytes: usize,
    start: u64,
    chunk: Bytes,
}

impl<H: File> Window<H> {
    /// Reads at least `chunk_bytes` at a time.
    pub(crate) fn new(file: H, chunk_bytes: usize) -> io::Result<Self> {
        let file_bytes = file.len()?;
        Ok(Self { file, file_bytes, chunk_bytes, start: 0, chunk: Bytes::new() })
    }

    pub(crate) fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// `bytes` bytes at `position`, or `None` if the file ends before.
    pub(crate) fn slice(&mut self, position: u64, bytes: usize) -> io::Result<Option<Bytes>> {
        let end = position.saturating_add(bytes as u64);
        if end > self.file_bytes {
            return Ok(None);
        }
        if position < self.start || end > self.start + self.chunk.len() as u64 {
            let rest = usize::try_from(self.file_bytes - position).unwrap_or(usize::MAX);
            let mut chunk = BytesMut::zeroed(bytes.max(self.chunk_bytes).min(rest));
            self.file.read_exact_at(&mut chunk, position)?;
            self.chunk = chunk.freeze();
            self.start = position;
        }
        let at = usize::try_from(position - self.start).expect("it is within the chunk");
        Ok(Some(self.chunk.slice(at..at + bytes)))
    }

    /// The header of the group that begins at `position`, if one does and fits into the file.
    pub(crate) fn group(
        &mut self,
        key: &GroupKey,
        position: u64,
    ) -> io::Result<Option<GroupHeader>> {
        let Some(head) = self.slice(position, GROUP_HEADER_BYTES)? else {
            return Ok(None);
        };
        let Some(bytes) = header_bytes(&head) else {
            return Ok(None);
        };
        let Some(head) = self.slice(position, bytes)? else {
            return Ok(None);
        };
        let fits = |header: &GroupHeader| position + header.bytes() as u64 <= self.file_bytes;
        Ok(parse_header(key, &head).filter(fits))
    }

    /// The first group at or after `from` and before `end` whose sequence is beyond `sequence`.
    pub(crate) fn next_group(
        &mut self,
        key: &GroupKey,
        from: u64,
        end: u64,
        sequence: u64,
    ) -> io::Result<Option<(u64, GroupHeader)>> {
        let mut at = align(from);
        while at < end {
            match self.group(key, at)? {
                Some(header) if header.link.sequence > sequence => return Ok(Some((at, header))),
                _ => at += SECTOR_BYTES,
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::FaultFiles;

    fn header(partitions: u16) -> SegmentHeader {
        let standings = (0..partitions).map(|partition| Standing {
            partition: PartitionId(partition),
            incarnation: Incarnation(3),
            tail: Tail { offset: Offset(9), hash: Hash::of(b"tail") },
            trim: Offset(4),
            quarantined: partition == 2,
        });
        SegmentHeader {
            identity: [5; 16],
            number: 12,
            last: Link { sequence: 77, hash: Hash::of(b"group") },
            unseen_quarantined: true,
            standings: standings.collect(),
        }
    }

    fn file_with(header: &SegmentHeader) -> FaultFiles {
        let files = FaultFiles::new(0);
        let file = prepare(&files, 1 << 20, &AtomicBool::new(false)).expect("there is space");
        file.write_all_at(&header.encode(), 0).expect("it is there");
        files
    }

    fn read(files: &FaultFiles, number: u64) -> Result<SegmentHeader, SegmentDamage> {
        let file = files.open_read(PREPARING).expect("it was prepared");
        let mut window = Window::new(file, 4096).expect("it has a length");
        SegmentHeader::read(&mut window, number).expect("nothing fails to be read")
    }

    #[test]
    fn names_come_back() {
        assert_eq!(parse_file_name(&file_name(42)), Some(42));
        assert_eq!(parse_file_name("segment-42"), None);
        assert_eq!(parse_file_name(PREPARING), None);
    }

    #[test]
    fn either_copy_of_a_header_is_enough() {
        for partitions in [0, 1, 17, 300] {
            let whole = header(partitions);
            let files = file_with(&whole);
            assert_eq!(read(&files, 12), Ok(whole.clone()));
            assert_eq!(read(&files, 13), Err(SegmentDamage::Unreadable));
            for position in [0, 57] {
                let files = file_with(&whole);
                files.flip(PREPARING, position, 1);
                assert_eq!(read(&files, 12), Ok(whole.clone()), "first copy, byte {position}");
                files.flip(PREPARING, whole.groups_start() / 2 + position, 1);
                assert_eq!(read(&files, 12), Err(SegmentDamage::Unreadable));
            }
        }
    }

    #[test]
    fn a_file_that_is_needed_already_is_whole_after_one_piece() {
        let bytes = 5 * ZEROES_BYTES as u64 / 2;
        let mut changes = Vec::new();
        for needed in [false, true] {
            for seed in 0..20 {
                let files = FaultFiles::new(seed);
                let file =
                    prepare(&files, bytes, &AtomicBool::new(needed)).expect("there is space");
                changes.push(files.changes());
                // Some file of the log would be under another name by now.
                files.sync_dir().expect("nothing fails");
                files.power_loss();
                drop(file);
                let zeroes = files.contents(PREPARING);
                assert_eq!(zeroes.len() as u64, bytes, "needed: {needed}, seed {seed}");
                assert!(zeroes.iter().all(|byte| *byte == 0));
            }
        }
        // Creation, reservation, then a write and a sync a piece.
        assert_eq!((changes[0], changes[20]), (2 + 3 * 2, 2 + 2));
    }

    #[test]
    fn a_full_disk_leaves_nothing_behind() {
        let files = FaultFiles::new(0);
        files.space(Some(1000));
        let error =
            prepare(&files, 4096, &AtomicBool::new(false)).map(drop).expect_err("it does not fit");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(files.list().expect("a list"), Vec::<String>::new());
    }
}
