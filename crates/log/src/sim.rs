//! The log in memory, deterministic: [`SimCore`] for simulators that schedule everything
//! themselves, [`SimLog`] for code that wants a [`Log`](crate::Log) with chosen outcomes.
//!
//! Nothing here survives the process, and nothing here is fast on purpose.

mod fates;

pub use fates::{Fate, FateRates, SimLog};

use crate::{AppendError, Incarnation, Offset, PartitionId, ReadError, Record, Tail};
use std::collections::BTreeMap;

/// A plain, synchronous log of many partitions.
#[derive(Debug, Clone)]
pub struct SimCore {
    /// Whether an append must find the tail that it expects. Without it (the breakage
    /// `no-tail-check`) a record replaces whatever is at its offset, as an unconditional write
    /// would.
    pub check_tail: bool,
    partitions: BTreeMap<PartitionId, SimPartition>,
}

#[derive(Debug, Clone)]
struct SimPartition {
    /// The offset of the first record that is kept.
    first: Offset,
    records: Vec<Record>,
    tail: Tail,
    incarnation: Incarnation,
}

impl Default for SimPartition {
    fn default() -> Self {
        Self {
            first: Offset(1),
            records: Vec::new(),
            tail: Tail::EMPTY,
            incarnation: Incarnation::default(),
        }
    }
}

impl SimPartition {
    fn index(&self, offset: Offset) -> Option<usize> {
        usize::try_from(offset.0.checked_sub(self.first.0)?).ok()
    }
}

impl Default for SimCore {
    fn default() -> Self {
        Self { check_tail: true, partitions: BTreeMap::new() }
    }
}

impl SimCore {
    /// A log without partitions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends `record` if the tail of its partition is [`Record::expected`].
    pub fn append(&mut self, record: Record) -> Result<Tail, AppendError> {
        let header = *record.header();
        let partition = self.partitions.entry(header.partition).or_default();
        let continues =
            record.expected() == partition.tail && header.incarnation >= partition.incarnation;
        if self.check_tail && !continues {
            return Err(AppendError::Conflict { tail: partition.tail });
        }
        let index = partition.index(header.offset);
        let Some(index) = index.filter(|index| *index <= partition.records.len()) else {
            // Even an unconditional write cannot leave a hole, or write what was trimmed.
            return Err(AppendError::Conflict { tail: partition.tail });
        };
        if index + 1 >= partition.records.len() {
            partition.tail = record.tail();
        }
        partition.incarnation = partition.incarnation.max(header.incarnation);
        let appended = record.tail();
        if index == partition.records.len() {
            partition.records.push(record);
        } else {
            partition.records[index] = record;
        }
        Ok(appended)
    }

    /// Up to `bytes_max` of records, at least one if there is any, from `from` on.
    pub fn read(
        &self,
        partition: PartitionId,
        from: Offset,
        bytes_max: usize,
    ) -> Result<Vec<Record>, ReadError> {
        let Some(partition) = self.partitions.get(&partition) else {
            return Ok(Vec::new());
        };
        let index = partition
            .index(from.max(Offset(1)))
            .ok_or(ReadError::Trimmed { first: partition.first })?;
        let mut bytes_left = bytes_max;
        let mut read = Vec::new();
        for record in partition.records.get(index..).unwrap_or_default() {
            let bytes = record.as_bytes().len();
            if bytes > bytes_left && !read.is_empty() {
                break;
            }
            bytes_left = bytes_left.saturating_sub(bytes);
            read.push(record.clone());
        }
        Ok(read)
    }

    /// The tail; [`Tail::EMPTY`] of a partition that was never written.
    #[must_use]
    pub fn tail(&self, partition: PartitionId) -> Tail {
        self.partitions.get(&partition).map_or(Tail::EMPTY, |partition| partition.tail)
    }

    /// The record at `offset`, if it is there and not trimmed.
    #[must_use]
    pub fn record(&self, partition: PartitionId, offset: Offset) -> Option<&Record> {
        let partition = self.partitions.get(&partition)?;
        partition.records.get(partition.index(offset)?)
    }

    /// The partitions that have records or had some.
    pub fn partitions(&self) -> impl Iterator<Item = PartitionId> {
        self.partitions.keys().copied()
    }

    /// Forgets the records below `below`, at most up to the tail.
    pub fn trim(&mut self, partition: PartitionId, below: Offset) {
        if let Some(partition) = self.partitions.get_mut(&partition) {
            let below = below.min(partition.tail.offset.next());
            if let Some(count) = partition.index(below) {
                partition.records.drain(..count);
                partition.first = below;
            }
        }
    }
}
