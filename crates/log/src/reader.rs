//! Reading and trimming, beside the writer: what is shared between them, and the walk that finds
//! records by offset.

mod replay;

use crate::chain::{Chains, Quarantine};
use crate::fs::Files;
use crate::group::{GroupHeader, GroupKey, Link, align};
use crate::index::Place;
use crate::scan::Walked;
use crate::segment::{SegmentHeader, Standing, Window, file_name};
use crate::{Incarnation, Offset, PartitionId, ReadError, Record, Tail};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The least and the most that is read from a file at a time.
const CHUNK_BYTES_MIN: usize = 64 << 10;
const CHUNK_BYTES_MAX: usize = 1 << 20;

/// What writer and readers share.
pub(crate) struct Shared<F: Files> {
    pub(crate) files: Arc<F>,
    pub(crate) key: GroupKey,
    identity: [u8; 16],
    state: Mutex<State>,
    /// Held while files are removed: they must go strictly one after the other.
    removing: Mutex<Removal>,
}

/// Whether trimmed segments may still be removed.
#[derive(Default)]
enum Removal {
    #[default]
    Allowed,
    /// A sync of the directory failed: nobody knows which removals are durable.
    Over,
}

/// What is known of every partition and every segment. Only durable records are in it.
pub(crate) struct State {
    chains: Chains,
    segments: VecDeque<Walked>,
}

impl<F: Files> Shared<F> {
    pub(crate) fn new(
        files: Arc<F>,
        identity: [u8; 16],
        chains: Chains,
        segments: Vec<Walked>,
    ) -> Self {
        let state = State { chains, segments: segments.into() };
        let key = GroupKey::of(&identity);
        Self { files, key, identity, state: Mutex::new(state), removing: Mutex::default() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that panics runs under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The header of a segment that begins now.
    pub(crate) fn segment_header(&self, number: u64, last: Link) -> SegmentHeader {
        let state = self.lock();
        let standings = state.chains.known.iter().map(|(partition, known)| Standing {
            partition: *partition,
            incarnation: known.incarnation,
            tail: known.tail,
            trim: known.trim,
            quarantined: known.quarantine.as_ref().is_some_and(|quarantine| quarantine.lasting),
        });
        SegmentHeader {
            identity: self.identity,
            number,
            last,
            unseen_quarantined: state.chains.unseen.is_some(),
            standings: standings.collect(),
        }
    }
}

impl State {
    /// The tail that the next record of `partition` must continue, or why there is no next one.
    pub(crate) fn standing(&self, partition: PartitionId) -> Result<(Tail, Incarnation), String> {
        match (self.chains.known.get(&partition), &self.chains.unseen) {
            (Some(known), _) => match &known.quarantine {
                Some(quarantine) => Err(quarantine.reason.to_string()),
                None => Ok((known.tail, known.incarnation)),
            },
            (None, Some(damage)) => Err(format!("{damage}: its records may be lost")),
            (None, None) => Ok((Tail::EMPTY, Incarnation::default())),
        }
    }

    /// The group at `place` is durable; the next one begins at `end`.
    pub(crate) fn publish(&mut self, records: &[Record], place: Place, end: u64) {
        for record in records {
            self.chains.apply(record, place);
        }
        if let Some(active) = self.segments.back_mut() {
            active.end = end;
        }
    }

    pub(crate) fn begin_segment(&mut self, segment: Walked) {
        self.segments.push_back(segment);
    }

    fn quarantine(&mut self, partition: PartitionId, reason: &str) {
        if let Some(known) = self.chains.known.get_mut(&partition) {
            // Not lasting: the next start finds the same damage, or finds that it was none.
            let quarantine = Quarantine { reason: reason.into(), lasting: false };
            known.quarantine.get_or_insert(quarantine);
        }
    }

    /// The oldest segment, if nothing in it is wanted any more.
    fn removable(&self) -> Option<u64> {
        let (oldest, next) = (self.segments.front()?, self.segments.get(1)?);
        if oldest.damaged {
            // It is the evidence for what is quarantined.
            return None;
        }
        let trimmed = next.base.iter().all(|(partition, end)| {
            let begin = oldest.base.binary_search_by_key(partition, |(other, _)| *other);
            let begin = begin.map_or(Offset(0), |index| oldest.base[index].1);
            let known = self.chains.known.get(partition);
            begin == *end || known.is_some_and(|known| *end < known.trim)
        });
        trimmed.then_some(oldest.number)
    }
}

/// Reads and trims a log. Cheap to clone; any number of threads may hold one.
pub struct WalReader<F: Files> {
    shared: Arc<Shared<F>>,
}

impl<F: Files> Clone for WalReader<F> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.shared))
    }
}

/// Why a walk ended without what it was looking for.
enum Fault {
    Io(io::Error),
    Damaged(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What one walk collects.
struct Walk {
    partition: PartitionId,
    next: Offset,
    last: Offset,
    prev: Option<Tail>,
    bytes_left: usize,
    full: bool,
    records: Vec<Record>,
}

impl<F: Files> WalReader<F> {
    pub(crate) fn new(shared: Arc<Shared<F>>) -> Self {
        Self { shared }
    }

    /// The durable tail; [`Tail::EMPTY`] of a partition that was never written.
    pub fn tail(&self, partition: PartitionId) -> Result<Tail, ReadError> {
        let standing = self.shared.lock().standing(partition);
        standing.map(|(tail, _)| tail).map_err(ReadError::Quarantined)
    }

    /// The partitions that have records or had some.
    #[must_use]
    pub fn partitions(&self) -> Vec<PartitionId> {
        self.shared.lock().chains.known.keys().copied().collect()
    }

    /// The partitions that are not served, and why.
    #[must_use]
    pub fn quarantined(&self) -> Vec<(PartitionId, String)> {
        let state = self.shared.lock();
        let known = state.chains.known.iter();
        let damaged = known.filter_map(|(partition, known)| {
            let quarantine = known.quarantine.as_ref()?;
            Some((*partition, quarantine.reason.to_string()))
        });
        damaged.collect()
    }

    /// Up to `bytes_max` of records, at least one if there is any, from `from` on.
    pub fn read(
        &self,
        partition: PartitionId,
        from: Offset,
        bytes_max: usize,
    ) -> Result<Vec<Record>, ReadError> {
        let from = from.max(Offset(1));
        let Some((last, place)) = self.plan(partition, from)? else {
            return Ok(Vec::new());
        };
        let mut walk = Walk {
            partition,
            next: from,
            last,
            prev: None,
            bytes_left: bytes_max,
            full: false,
            records: Vec::new(),
        };
        match self.walk(place, &mut walk) {
            Ok(reached) => {
                if let Some(known) = self.shared.lock().chains.known.get_mut(&partition) {
                    known.cursor = Some((walk.next, reached));
                }
                Ok(walk.records)
            }
            Err(Fault::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                // Trimmed in the meantime, most likely; then the plan says so.
                self.plan(partition, from)?;
                Err(ReadError::Io(error.to_string()))
            }
            Err(Fault::Io(error)) => Err(ReadError::Io(error.to_string())),
            Err(Fault::Damaged(detail)) => {
                // Not if what was looked for has been trimmed in the meantime.
                self.plan(partition, from)?;
                self.shared.lock().quarantine(partition, &detail);
                Err(ReadError::Quarantined(detail))
            }
        }
    }

    /// The last offset that may be read, and the group at which to begin to look for `from`.
    fn plan(
        &self,
        partition: PartitionId,
        from: Offset,
    ) -> Result<Option<(Offset, Place)>, ReadError> {
        let state = self.shared.lock();
        let (tail, _) = state.standing(partition).map_err(ReadError::Quarantined)?;
        let (Some(known), Some(oldest)) =
            (state.chains.known.get(&partition), state.segments.front())
        else {
            return Ok(None);
        };
        if from < known.trim {
            return Err(ReadError::Trimmed { first: known.trim });
        }
        if from > tail.offset {
            return Ok(None);
        }
        let begin = Place { segment: oldest.number, position: oldest.start };
        let cursor = known.cursor.filter(|(offset, _)| *offset <= from);
        let place = known.index.before(from).max(cursor.map(|(_, place)| place));
        Ok(Some((tail.offset, place.map_or(begin, |place| place.max(begin)))))
    }

    /// Collects records from `place` on; answers the group from which the next walk goes on.
    fn walk(&self, mut place: Place, walk: &mut Walk) -> Result<Place, Fault> {
        loop {
            let bounds = self.segment_from(place.segment);
            let (number, start, end) = bounds.ok_or_else(|| walk.missing())?;
            if number != place.segment {
                place = Place { segment: number, position: start };
            }
            let file = self.shared.files.open_read(&file_name(number))?;
            let chunk_bytes = walk.bytes_left.clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX);
            let mut window = Window::new(file, chunk_bytes)?;
            place.position = place.position.max(start);
            while let Some((position, header)) =
                window.next_group(&self.shared.key, place.position, end, 0)?
            {
                place.position = position;
                walk.group(&mut window, place, &header)?;
                if walk.full {
                    return Ok(place);
                }
                place.position = align(position + header.bytes() as u64);
                if walk.next > walk.last {
                    return Ok(place);
                }
            }
            place = Place { segment: number + 1, position: 0 };
        }
    }

    /// The first segment whose number is at least `number`: that, where its groups begin and end.
    fn segment_from(&self, number: u64) -> Option<(u64, u64, u64)> {
        let state = self.shared.lock();
        let index = state.segments.partition_point(|segment| segment.number < number);
        let segment = state.segments.get(index)?;
        Some((segment.number, segment.start, segment.end))
    }

    /// Allows everything of `partition` below `below` to be forgotten, and removes the segments in
    /// which nothing is wanted any more. At most the whole partition up to its tail goes; its
    /// tail's offset and hash are never forgotten.
    pub fn trim(&self, partition: PartitionId, below: Offset) -> Result<(), ReadError> {
        {
            let mut state = self.shared.lock();
            let (tail, _) = state.standing(partition).map_err(ReadError::Quarantined)?;
            let Some(known) = state.chains.known.get_mut(&partition) else {
                return Ok(());
            };
            known.trim = known.trim.max(below.min(tail.offset.next()));
        }
        self.remove_trimmed().map_err(|error| ReadError::Io(error.to_string()))
    }

    fn remove_trimmed(&self) -> io::Result<()> {
        let mut removal = self.shared.removing.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let removable = self.shared.lock().removable();
            let (Some(number), Removal::Allowed) = (removable, &*removal) else {
                return Ok(());
            };
            match self.shared.files.remove(&file_name(number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            // Before the next goes: a power loss must not bring back this one without that one.
            if let Err(error) = self.shared.files.sync_dir() {
                *removal = Removal::Over;
                return Err(error);
            }
            let mut state = self.shared.lock();
            state.segments.pop_front();
            for known in state.chains.known.values_mut() {
                known.index.forget_before(number + 1);
            }
        }
    }
}

impl Walk {
    fn missing(&self) -> Fault {
        Fault::Damaged(format!("offset {} is nowhere to be found", self.next))
    }

    /// Takes the wanted records of one group.
    fn group<H: crate::fs::File>(
        &mut self,
        window: &mut Window<H>,
        place: Place,
        header: &GroupHeader,
    ) -> Result<(), Fault> {
        let Some(line) = header.line(self.partition) else {
            return Ok(());
        };
        if line.first.0 + u64::from(line.records) <= self.next.0 {
            return Ok(());
        }
        let body_at = place.position + header.body_start() as u64;
        let body = window.slice(body_at, header.body_bytes)?.ok_or_else(|| self.missing())?;
        let damaged = |at: usize| {
            let segment = file_name(place.segment);
            let byte = body_at + at as u64;
            Fault::Damaged(format!("{segment}, byte {byte}: the record is damaged"))
        };
        let mut at = 0;
        let mut found = 0;
        while found < line.records {
            let (about, bytes) =
                Record::peek(body.get(at..).unwrap_or_default()).map_err(|_| damaged(at))?;
            if about.partition == self.partition {
                found += 1;
                if about.offset >= self.next && about.offset <= self.last {
                    let record = Record::parse(&body.slice(at..)).map_err(|_| damaged(at))?;
                    let continues = record.header().offset == self.next
                        && self.prev.is_none_or(|prev| prev == record.expected());
                    if !continues {
                        return Err(self.missing());
                    }
                    self.take(record);
                    if self.full {
                        return Ok(());
                    }
                }
            }
            at += bytes;
        }
        Ok(())
    }

    fn take(&mut self, record: Record) {
        let bytes = record.as_bytes().len();
        self.full = bytes > self.bytes_left && !self.records.is_empty();
        if !self.full {
            self.next = record.header().offset.next();
            self.prev = Some(record.tail());
            self.bytes_left = self.bytes_left.saturating_sub(bytes);
            self.records.push(record);
        }
    }
}
