//! The record: a fixed header with its own checksum, then the body. The one place that knows the
//! bytes. All integers are little-endian.
//!
//! ```text
//!   0  4  magic "EKR1"            44 16  hash of the previous record
//!   4  1  format version (1)      60 16  hash of this record: BLAKE3(bytes 0..60 ‖ body)
//!   5  1  kind                    76  4  body length, again
//!   6  2  partition               80  8  checksum: BLAKE3(bytes 0..80), first 8 bytes
//!   8  4  body length             88     body
//!  12  4  incarnation
//!  16  8  epoch
//!  24  8  offset
//!  32  8  time, ms since 1970
//!  40  4  writer
//! ```

use crate::{Epoch, Hash, Incarnation, Offset, PartitionId, Tail};
use bytes::Bytes;

/// The size of a record's header.
pub const HEADER_BYTES: usize = 88;
/// The most that a record with its header may take.
pub const RECORD_BYTES_MAX: usize = 768 * 1024;
/// The most that a body may take.
pub const BODY_BYTES_MAX: usize = RECORD_BYTES_MAX - HEADER_BYTES;

const MAGIC: [u8; 4] = *b"EKR1";
const VERSION: u8 = 1;

/// What a record is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Always and only at offset 1: the partition exists, in this incarnation.
    Genesis = 1,
    /// An owner begins its epoch.
    Announce = 2,
    /// The effects of a batch of commands; without any, a barrier.
    Batch = 3,
    /// A point at which replicas compare the hash of their state.
    Checkpoint = 4,
}

impl Kind {
    fn parse(byte: u8) -> Option<Self> {
        [Self::Genesis, Self::Announce, Self::Batch, Self::Checkpoint]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// What a record says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What it is for.
    pub kind: Kind,
    /// The partition it belongs to.
    pub partition: PartitionId,
    /// The life of the log it belongs to.
    pub incarnation: Incarnation,
    /// The owner that wrote it.
    pub epoch: Epoch,
    /// Its place.
    pub offset: Offset,
    /// When it was decided: milliseconds since 1970, never less than its predecessor's.
    pub time_ms: u64,
    /// A number that every process draws for itself. Without it, two that announce themselves
    /// behind the same record in the same millisecond would write identical bytes, and each would
    /// take the other's for its own.
    pub writer: u32,
    /// The hash of the record before it.
    pub prev: Hash,
}

/// Why bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The bytes end before the record does.
    #[error("the record is cut short")]
    Truncated,
    /// The header does not start as one or its checksum is wrong.
    #[error("the record's header is damaged")]
    Header,
    /// Written by a newer program.
    #[error("record format {0} is unknown to this version")]
    Version(u8),
    /// The header is whole but the body does not hash to what it says.
    #[error("the record's body is damaged")]
    Body,
    /// The header is whole but says what cannot be.
    #[error("the record's header says what cannot be: {0}")]
    Nonsense(&'static str),
}

/// A record, whole and checked.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    bytes: Bytes,
    header: Header,
    hash: Hash,
}

impl Record {
    /// Seals `body` behind `header`.
    ///
    /// # Panics
    /// If the body is larger than [`BODY_BYTES_MAX`], or if the offset is 0, or if it is 1 of
    /// anything but `Genesis` or not 1 of `Genesis`: no reader would take such a record.
    #[must_use]
    pub fn new(header: Header, body: &[u8]) -> Self {
        assert!(body.len() <= BODY_BYTES_MAX, "a record's body is at most {BODY_BYTES_MAX} bytes");
        assert!(header.offset.0 > 0, "offsets begin at 1");
        assert_eq!(header.kind == Kind::Genesis, header.offset.0 == 1, "Genesis is at offset 1");
        let length = u32::try_from(body.len()).expect("BODY_BYTES_MAX fits in 32 bits");
        let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[VERSION, header.kind as u8]);
        bytes.extend_from_slice(&header.partition.0.to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&header.incarnation.0.to_le_bytes());
        bytes.extend_from_slice(&header.epoch.0.to_le_bytes());
        bytes.extend_from_slice(&header.offset.0.to_le_bytes());
        bytes.extend_from_slice(&header.time_ms.to_le_bytes());
        bytes.extend_from_slice(&header.writer.to_le_bytes());
        bytes.extend_from_slice(&header.prev.0);
        let hash = record_hash(&bytes, body);
        bytes.extend_from_slice(&hash.0);
        bytes.extend_from_slice(&length.to_le_bytes());
        let checksum = header_checksum(&bytes);
        bytes.extend_from_slice(&checksum);
        bytes.extend_from_slice(body);
        Self { bytes: bytes.into(), header, hash }
    }

    /// Checks that a whole record starts at the start of `bytes`, and answers it. The bytes that
    /// follow it are not looked at: its size is [`Record::as_bytes`]`.len()`.
    pub fn parse(bytes: &Bytes) -> Result<Self, RecordError> {
        let (header, hash, body_bytes) = parse_header(bytes)?;
        let end = HEADER_BYTES + body_bytes;
        let body = bytes.get(HEADER_BYTES..end).ok_or(RecordError::Truncated)?;
        if record_hash(&bytes[..60], body) != hash {
            return Err(RecordError::Body);
        }
        Ok(Self { bytes: bytes.slice(..end), header, hash })
    }

    /// What the record that starts at the start of `bytes` says about itself, and its size. Its
    /// body is not checked and need not be there.
    pub(crate) fn peek(bytes: &[u8]) -> Result<(Header, usize), RecordError> {
        let (header, _, body_bytes) = parse_header(bytes)?;
        Ok((header, HEADER_BYTES + body_bytes))
    }

    /// What it says about itself.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The body: effects, encoded by `evenkeel-state`.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.bytes[HEADER_BYTES..]
    }

    /// Header and body, as stored.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The tail that the log must have for this record to be appended.
    #[must_use]
    pub fn expected(&self) -> Tail {
        Tail { offset: Offset(self.header.offset.0 - 1), hash: self.header.prev }
    }

    /// The tail that the log has once this record is appended.
    #[must_use]
    pub fn tail(&self) -> Tail {
        Tail { offset: self.header.offset, hash: self.hash }
    }
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record")
            .field("header", &self.header)
            .field("hash", &self.hash)
            .field("body_bytes", &self.body().len())
            .finish()
    }
}

fn record_hash(head: &[u8], body: &[u8]) -> Hash {
    blake3::Hasher::new().update(head).update(body).finalize().into()
}

fn header_checksum(head: &[u8]) -> [u8; 8] {
    let mut checksum = [0; 8];
    checksum.copy_from_slice(&blake3::hash(head).as_bytes()[..8]);
    checksum
}

/// Reads a fixed-size field; the caller has checked that the header is there.
fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut value = [0; N];
    value.copy_from_slice(&bytes[at..at + N]);
    value
}

/// The header, the record's hash and the body's length.
fn parse_header(bytes: &[u8]) -> Result<(Header, Hash, usize), RecordError> {
    if bytes.len() < HEADER_BYTES {
        return Err(RecordError::Truncated);
    }
    if bytes[..4] != MAGIC || header_checksum(&bytes[..80]) != bytes[80..HEADER_BYTES] {
        return Err(RecordError::Header);
    }
    if bytes[4] != VERSION {
        return Err(RecordError::Version(bytes[4]));
    }
    let body_bytes = u32::from_le_bytes(field(bytes, 8)) as usize;
    if body_bytes != u32::from_le_bytes(field(bytes, 76)) as usize {
        return Err(RecordError::Nonsense("its two lengths differ"));
    }
    if body_bytes > BODY_BYTES_MAX {
        return Err(RecordError::Nonsense("its body is larger than a record may be"));
    }
    let header = Header {
        kind: Kind::parse(bytes[5]).ok_or(RecordError::Nonsense("its kind is unknown"))?,
        partition: PartitionId(u16::from_le_bytes(field(bytes, 6))),
        incarnation: Incarnation(u32::from_le_bytes(field(bytes, 12))),
        epoch: Epoch(u64::from_le_bytes(field(bytes, 16))),
        offset: Offset(u64::from_le_bytes(field(bytes, 24))),
        time_ms: u64::from_le_bytes(field(bytes, 32)),
        writer: u32::from_le_bytes(field(bytes, 40)),
        prev: Hash(field(bytes, 44)),
    };
    if header.offset.0 == 0 {
        return Err(RecordError::Nonsense("its offset is 0"));
    }
    if (header.kind == Kind::Genesis) != (header.offset.0 == 1) {
        return Err(RecordError::Nonsense("Genesis is at offset 1 and nowhere else"));
    }
    Ok((header, Hash(field(bytes, 60)), body_bytes))
}
