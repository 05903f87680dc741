//! The group: what one write and one sync make durable together, records of any partitions back
//! to back. The one place that knows a group's bytes. All integers are little-endian.
//!
//! ```text
//!   0  4  magic "EKG1"                 40  4  body length, again
//!   4  4  number of records            44  4  reserved, zero
//!   8  8  sequence of the group        48 16  hash of the body
//!  16 16  hash of the group before     64 16  hash of the group: keyed BLAKE3(0..64 ‖ table)
//!  32  4  body length                  80     table: a line a partition
//!  36  4  lines of the table                  body: the records
//!
//! a line of the table:  0 2 partition   2 2 reserved   4 4 records   8 8 first offset
//! ```
//!
//! The table says whose records a damaged body held. The key comes from the log's own random
//! identity: bytes that a caller chose can never pass for a group, nor can another log's.
//! Every group starts on a sector of its own, so that no write that may be torn shares one with
//! bytes that are already promised.

use crate::{Hash, Offset, PartitionId, Record};
use bytes::Bytes;

/// Groups start at multiples of this.
pub(crate) const SECTOR_BYTES: u64 = 512;
/// The size of a group's header without its table.
pub(crate) const GROUP_HEADER_BYTES: usize = 80;
const LINE_BYTES: usize = 16;
const MAGIC: [u8; 4] = *b"EKG1";
/// One line for every partition that there can be.
const LINES_MAX: usize = 1 << 16;

/// The next multiple of the sector size.
pub(crate) fn align(position: u64) -> u64 {
    position.next_multiple_of(SECTOR_BYTES)
}

/// What makes this log's groups its own.
#[derive(Clone, Copy)]
pub(crate) struct GroupKey([u8; 32]);

impl GroupKey {
    pub(crate) fn of(identity: &[u8; 16]) -> Self {
        Self(blake3::derive_key("evenkeel write-ahead log: group hash", identity))
    }

    fn hash(&self, head: &[u8], table: &[u8]) -> Hash {
        blake3::Hasher::new_keyed(&self.0).update(head).update(table).finalize().into()
    }
}

/// A group's place in the chain of groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) sequence: u64,
    pub(crate) hash: Hash,
}

impl Link {
    /// Before the first group, whose sequence is 1.
    pub(crate) const START: Self = Self { sequence: 0, hash: Hash::ZERO };
}

/// One partition's share of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) partition: PartitionId,
    pub(crate) records: u32,
    pub(crate) first: Offset,
}

/// A group's header, whole and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupHeader {
    pub(crate) link: Link,
    pub(crate) prev: Hash,
    pub(crate) table: Vec<Line>,
    pub(crate) body_bytes: usize,
    body_hash: Hash,
}

impl GroupHeader {
    /// Where the body begins, counted from the group's start.
    pub(crate) fn body_start(&self) -> usize {
        GROUP_HEADER_BYTES + self.table.len() * LINE_BYTES
    }

    /// The size of header and body.
    pub(crate) fn bytes(&self) -> usize {
        self.body_start() + self.body_bytes
    }

    /// Whether this group is the one after `last`.
    pub(crate) fn follows(&self, last: Link) -> bool {
        self.link.sequence == last.sequence + 1 && self.prev == last.hash
    }

    pub(crate) fn line(&self, partition: PartitionId) -> Option<Line> {
        self.table.iter().find(|line| line.partition == partition).copied()
    }

    /// The body's records, if it is the body that this header was written for.
    pub(crate) fn records(&self, body: &Bytes) -> Option<Vec<Record>> {
        if body.len() != self.body_bytes || Hash::of(body) != self.body_hash {
            return None;
        }
        let mut records = Vec::new();
        let mut rest = body.clone();
        while !rest.is_empty() {
            let record = Record::parse(&rest).ok()?;
            rest = rest.slice(record.as_bytes().len()..);
            records.push(record);
        }
        Some(records)
    }
}

/// The size of the header that `head` begins, its table included; `None` if none begins there.
/// `head` has at least [`GROUP_HEADER_BYTES`].
pub(crate) fn header_bytes(head: &[u8]) -> Option<usize> {
    let lines = u32::from_le_bytes(field(head, 36)) as usize;
    (head[..4] == MAGIC && lines <= LINES_MAX).then_some(GROUP_HEADER_BYTES + lines * LINE_BYTES)
}

/// Reads a header with its table. `bytes` has the size that [`header_bytes`] said.
pub(crate) fn parse_header(key: &GroupKey, bytes: &[u8]) -> Option<GroupHeader> {
    let (head, table) = bytes.split_at_checked(GROUP_HEADER_BYTES)?;
    let hash = key.hash(&head[..64], table);
    if head[..4] != MAGIC || hash.0 != field(head, 64) {
        return None;
    }
    let body_bytes = u32::from_le_bytes(field(head, 32));
    if body_bytes != u32::from_le_bytes(field(head, 40)) {
        return None;
    }
    let lines = table.chunks_exact(LINE_BYTES).map(|line| Line {
        partition: PartitionId(u16::from_le_bytes(field(line, 0))),
        records: u32::from_le_bytes(field(line, 4)),
        first: Offset(u64::from_le_bytes(field(line, 8))),
    });
    Some(GroupHeader {
        link: Link { sequence: u64::from_le_bytes(field(head, 8)), hash },
        prev: Hash(field(head, 16)),
        table: lines.collect(),
        body_bytes: body_bytes as usize,
        body_hash: Hash(field(head, 48)),
    })
}

/// Builds groups, one after the other, in one buffer.
#[derive(Default)]
pub(crate) struct GroupEncoder {
    bytes: Vec<u8>,
    table: Vec<Line>,
}

impl GroupEncoder {
    /// Builds the group of `records` after `last`, and answers its own place in the chain.
    pub(crate) fn encode(&mut self, key: &GroupKey, last: Link, records: &[Record]) -> Link {
        self.tabulate(records);
        let body_bytes: usize = records.iter().map(|record| record.as_bytes().len()).sum();
        let body_bytes = u32::try_from(body_bytes).expect("a group is far below 4 GiB");
        let count = u32::try_from(records.len()).expect("fewer records than bytes");
        let lines = u32::try_from(self.table.len()).expect("fewer lines than records");
        let sequence = last.sequence + 1;

        let bytes = &mut self.bytes;
        bytes.clear();
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&count.to_le_bytes());
        bytes.extend_from_slice(&sequence.to_le_bytes());
        bytes.extend_from_slice(&last.hash.0);
        bytes.extend_from_slice(&body_bytes.to_le_bytes());
        bytes.extend_from_slice(&lines.to_le_bytes());
        bytes.extend_from_slice(&body_bytes.to_le_bytes());
        bytes.extend_from_slice(&[0; 4 + 16 + 16]);
        for line in &self.table {
            bytes.extend_from_slice(&line.partition.0.to_le_bytes());
            bytes.extend_from_slice(&[0; 2]);
            bytes.extend_from_slice(&line.records.to_le_bytes());
            bytes.extend_from_slice(&line.first.0.to_le_bytes());
        }
        let body_start = bytes.len();
        for record in records {
            bytes.extend_from_slice(record.as_bytes());
        }
        let body_hash = Hash::of(&bytes[body_start..]);
        bytes[48..64].copy_from_slice(&body_hash.0);
        let hash = key.hash(&bytes[..64], &bytes[GROUP_HEADER_BYTES..body_start]);
        bytes[64..80].copy_from_slice(&hash.0);
        Link { sequence, hash }
    }

    /// The group that was built last.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn tabulate(&mut self, records: &[Record]) {
        self.table.clear();
        for record in records {
            let header = record.header();
            // The last line first: records of one partition usually come together.
            match self.table.iter_mut().rev().find(|line| line.partition == header.partition) {
                Some(line) => line.records += 1,
                None => self.table.push(Line {
                    partition: header.partition,
                    records: 1,
                    first: header.offset,
                }),
            }
        }
    }
}

/// Reads a fixed-size field; the caller has checked that it is there.
pub(crate) fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut value = [0; N];
    value.copy_from_slice(&bytes[at..at + N]);
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Epoch, Header, Incarnation, Kind};

    fn record(partition: u16, offset: u64) -> Record {
        let header = Header {
            kind: if offset == 1 { Kind::Genesis } else { Kind::Batch },
            partition: PartitionId(partition),
            incarnation: Incarnation(1),
            epoch: Epoch(1),
            offset: Offset(offset),
            time_ms: 0,
            writer: 0,
            prev: Hash::ZERO,
        };
        Record::new(header, b"body")
    }

    #[test]
    fn a_group_comes_back_as_it_was_built() {
        let key = GroupKey::of(&[7; 16]);
        let records = [record(1, 5), record(2, 1), record(1, 6)];
        let last = Link { sequence: 8, hash: Hash::of(b"before") };
        let mut encoder = GroupEncoder::default();
        let link = encoder.encode(&key, last, &records);

        let bytes = Bytes::copy_from_slice(encoder.bytes());
        let head = header_bytes(&bytes).expect("a group begins");
        let header = parse_header(&key, &bytes[..head]).expect("its header is whole");
        assert_eq!(header.link, link);
        assert!(header.follows(last));
        assert_eq!(header.bytes(), bytes.len());
        assert_eq!(
            header.line(PartitionId(1)).map(|line| (line.records, line.first.0)),
            Some((2, 5))
        );
        assert_eq!(header.line(PartitionId(3)), None);
        assert_eq!(header.records(&bytes.slice(head..)).as_deref(), Some(&records[..]));
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        let key = GroupKey::of(&[7; 16]);
        let mut encoder = GroupEncoder::default();
        encoder.encode(&key, Link::START, &[record(1, 1), record(1, 2)]);
        let whole = encoder.bytes().to_vec();
        let read = |bytes: Vec<u8>| {
            let bytes = Bytes::from(bytes);
            let head = header_bytes(&bytes).filter(|head| *head <= bytes.len())?;
            let header = parse_header(&key, &bytes[..head])?;
            header.records(&bytes.slice(head..))
        };
        assert!(read(whole.clone()).is_some());
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(flipped), None, "bit {bit}");
        }
    }

    #[test]
    fn another_logs_group_is_not_ours() {
        let mut encoder = GroupEncoder::default();
        encoder.encode(&GroupKey::of(&[7; 16]), Link::START, &[record(1, 1)]);
        let head = header_bytes(encoder.bytes()).expect("it is a group");
        assert_eq!(parse_header(&GroupKey::of(&[8; 16]), &encoder.bytes()[..head]), None);
    }
}
