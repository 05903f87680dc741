//! The bytes of a snapshot file. Integers are little-endian but where another encoding is embedded.
//!
//! ```text
//! file    magic "EKSNAP" · version (1) · part* · 3 · hash of all bytes before it (BLAKE3, 32)
//! part    1 · partition (16 bits) · what it has applied (45) · row* · 0 · rows (64 bits) · state hash (16)
//! row     2 · key length (32 bits) · key · row length (32 bits) · row
//! ```
//!
//! Partitions ascend, and so do a partition's keys. A reader has seen the last byte before it
//! believes any: whoever acts on rows as they come must be able to take it all back.

use super::SnapshotPart;
use crate::Applied;
use crate::applied::APPLIED_BYTES;
use crate::hash::StateHasher;
use evenkeel_log::{Hash, PartitionId};
use std::io::{self, Read, Write};

const MAGIC: &[u8; 6] = b"EKSNAP";
const VERSION: u8 = 1;
const PART_END: u8 = 0;
const PART: u8 = 1;
const ROW: u8 = 2;
const END: u8 = 3;
const TRAILER_BYTES: u64 = 32;
const CHUNK_BYTES: usize = 256 * 1024;
/// The most that a key or a row may take; both come out of one record.
const PIECE_BYTES_MAX: usize = 1024 * 1024;

/// Writes a snapshot from front to back.
pub(super) struct Writer<W> {
    out: W,
    hasher: blake3::Hasher,
    chunk: Vec<u8>,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(out: W) -> Self {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES * 2);
        chunk.extend_from_slice(MAGIC);
        chunk.push(VERSION);
        Self { out, hasher: blake3::Hasher::new(), chunk }
    }

    pub(super) fn part(&mut self, partition: PartitionId, applied: &Applied) {
        self.chunk.push(PART);
        self.chunk.extend_from_slice(&partition.0.to_le_bytes());
        self.chunk.extend_from_slice(&applied.encode());
    }

    pub(super) fn row(&mut self, key: &[u8], row: &[u8]) -> io::Result<()> {
        self.chunk.push(ROW);
        for piece in [key, row] {
            let length = u32::try_from(piece.len()).map_err(io::Error::other)?;
            self.chunk.extend_from_slice(&length.to_le_bytes());
            self.chunk.extend_from_slice(piece);
        }
        if self.chunk.len() >= CHUNK_BYTES { self.write_chunk() } else { Ok(()) }
    }

    pub(super) fn part_end(&mut self, rows: u64, hash: Hash) {
        self.chunk.push(PART_END);
        self.chunk.extend_from_slice(&rows.to_le_bytes());
        self.chunk.extend_from_slice(&hash.0);
    }

    /// Writes the rest, and answers what it wrote to.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.chunk.push(END);
        self.write_chunk()?;
        self.out.write_all(self.hasher.finalize().as_bytes())?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn write_chunk(&mut self) -> io::Result<()> {
        self.hasher.update(&self.chunk);
        self.out.write_all(&self.chunk)?;
        self.chunk.clear();
        Ok(())
    }
}

/// What a reader finds wrong.
#[derive(Debug)]
pub(super) enum Fault {
    Io(io::Error),
    Damaged(&'static str),
    Version(u8),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            Self::Damaged("it is cut short")
        } else {
            Self::Io(error)
        }
    }
}

/// What is found in a snapshot, in the order of the file.
pub(super) enum Item<'a> {
    Row { partition: PartitionId, key: &'a [u8], row: &'a [u8] },
    Part(SnapshotPart),
}

/// Reads a whole snapshot of `bytes` bytes, giving rows, then the part that they belong to, to
/// `visit`. Only if it answers `Ok` was any of it true.
pub(super) fn read<E: From<Fault>>(
    file: impl Read,
    bytes: u64,
    mut visit: impl FnMut(Item<'_>) -> Result<(), E>,
) -> Result<Vec<SnapshotPart>, E> {
    let body_bytes = bytes.checked_sub(TRAILER_BYTES).ok_or(Fault::Damaged("it is cut short"))?;
    let mut reader = Reader::new(file, body_bytes);
    if reader.array::<6>()? != *MAGIC {
        return Err(Fault::Damaged("it does not start as one").into());
    }
    let [version] = reader.array()?;
    if version != VERSION {
        return Err(Fault::Version(version).into());
    }
    let mut parts: Vec<SnapshotPart> = Vec::new();
    loop {
        match reader.array()? {
            [PART] => {
                let part = read_part(&mut reader, &mut visit)?;
                if parts.last().is_some_and(|last| last.partition >= part.partition) {
                    return Err(Fault::Damaged("its partitions are out of order").into());
                }
                visit(Item::Part(part))?;
                parts.push(part);
            }
            [END] => break,
            _ => return Err(Fault::Damaged("it holds what no snapshot does").into()),
        }
    }
    reader.check_trailer()?;
    Ok(parts)
}

fn read_part<E: From<Fault>>(
    reader: &mut Reader<impl Read>,
    visit: &mut impl FnMut(Item<'_>) -> Result<(), E>,
) -> Result<SnapshotPart, E> {
    let partition = PartitionId(u16::from_le_bytes(reader.array()?));
    let applied = Applied::decode(&reader.array::<APPLIED_BYTES>()?)
        .ok_or(Fault::Damaged("what a partition has applied cannot be read"))?;
    let mut hasher = StateHasher::default();
    let (mut key, mut row, mut last) = (Vec::new(), Vec::new(), Vec::new());
    let mut rows = 0;
    loop {
        match reader.array()? {
            [ROW] => {
                reader.piece(&mut key)?;
                reader.piece(&mut row)?;
                if rows > 0 && last >= key {
                    return Err(Fault::Damaged("its keys are out of order").into());
                }
                rows += 1;
                hasher.row(&key, &row);
                visit(Item::Row { partition, key: &key, row: &row })?;
                std::mem::swap(&mut last, &mut key);
            }
            [PART_END] => break,
            _ => return Err(Fault::Damaged("it holds what no snapshot does").into()),
        }
    }
    let part = SnapshotPart {
        partition,
        applied,
        rows: u64::from_le_bytes(reader.array()?),
        hash: Hash(reader.array()?),
    };
    if part.rows != rows || part.hash != hasher.finish() {
        return Err(Fault::Damaged("a partition's rows do not hash to what it says").into());
    }
    Ok(part)
}

/// Reads ahead in chunks, which are hashed whole.
struct Reader<R> {
    file: R,
    hasher: blake3::Hasher,
    chunk: Vec<u8>,
    at: usize,
    /// What was not read ahead yet, without the trailer.
    rest_bytes: u64,
}

impl<R: Read> Reader<R> {
    fn new(file: R, body_bytes: u64) -> Self {
        let hasher = blake3::Hasher::new();
        Self { file, hasher, chunk: Vec::new(), at: 0, rest_bytes: body_bytes }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut array = [0; N];
        self.fill(&mut array)?;
        Ok(array)
    }

    fn piece(&mut self, piece: &mut Vec<u8>) -> Result<(), Fault> {
        let length = u32::from_le_bytes(self.array()?) as usize;
        if length > PIECE_BYTES_MAX {
            return Err(Fault::Damaged("a row is larger than a record"));
        }
        piece.resize(length, 0);
        self.fill(piece)
    }

    fn fill(&mut self, mut out: &mut [u8]) -> Result<(), Fault> {
        while !out.is_empty() {
            if self.at == self.chunk.len() {
                self.read_chunk()?;
            }
            let bytes = out.len().min(self.chunk.len() - self.at);
            let (filled, rest) = out.split_at_mut(bytes);
            filled.copy_from_slice(&self.chunk[self.at..self.at + bytes]);
            self.at += bytes;
            out = rest;
        }
        Ok(())
    }

    fn read_chunk(&mut self) -> Result<(), Fault> {
        let bytes = self.rest_bytes.min(CHUNK_BYTES as u64);
        if bytes == 0 {
            return Err(Fault::Damaged("it is cut short"));
        }
        self.chunk.resize(bytes as usize, 0);
        self.file.read_exact(&mut self.chunk)?;
        self.hasher.update(&self.chunk);
        self.rest_bytes -= bytes;
        self.at = 0;
        Ok(())
    }

    /// Checks that the body ends here, and that it hashes to what follows it.
    fn check_trailer(mut self) -> Result<(), Fault> {
        if self.at != self.chunk.len() || self.rest_bytes > 0 {
            return Err(Fault::Damaged("bytes follow its end"));
        }
        let mut trailer = [0; TRAILER_BYTES as usize];
        self.file.read_exact(&mut trailer)?;
        if *self.hasher.finalize().as_bytes() != trailer {
            return Err(Fault::Damaged("it does not hash to what it says"));
        }
        Ok(())
    }
}
