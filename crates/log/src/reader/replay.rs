//! Reading many partitions in one pass, as a start does: what reading one after the other would
//! read as many times as there are partitions.

use super::{Fault, WalReader};
use crate::fs::Files;
use crate::group::{GroupHeader, align};
use crate::index::Place;
use crate::segment::{Window, file_name};
use crate::{Offset, PartitionId, Record};
use bytes::Bytes;
use std::collections::HashMap;
use std::ops::ControlFlow;

const CHUNK_BYTES: usize = 256 << 10;

/// What is wanted of each partition: the next offset and the last.
type Wanted = HashMap<PartitionId, (Offset, Offset)>;

impl<F: Files> WalReader<F> {
    /// Shows the records of each partition from the given offset to its present tail, in the
    /// order of the log, until `visit` breaks off. Of what cannot be read nothing is shown, nor
    /// what comes after it: [`WalReader::read`] says why.
    pub fn replay(
        &self,
        from: impl IntoIterator<Item = (PartitionId, Offset)>,
        mut visit: impl FnMut(Record) -> ControlFlow<()>,
    ) {
        let mut wanted = Wanted::new();
        let mut begin: Option<Place> = None;
        for (partition, from) in from {
            if let Ok(Some((last, place))) = self.plan(partition, from.max(Offset(1))) {
                wanted.insert(partition, (from.max(Offset(1)), last));
                begin = Some(begin.map_or(place, |begin| begin.min(place)));
            }
        }
        if let Some(begin) = begin {
            // A fault ends the pass: whoever misses records reads them, and hears of it.
            let _ = self.pass(begin, &mut wanted, &mut visit);
        }
    }

    fn pass(
        &self,
        mut place: Place,
        wanted: &mut Wanted,
        visit: &mut impl FnMut(Record) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        while let Some((number, start, end)) = self.segment_from(place.segment) {
            let file = self.shared.files.open_read(&file_name(number))?;
            let mut window = Window::new(file, CHUNK_BYTES)?;
            let mut at = if number == place.segment { place.position.max(start) } else { start };
            while let Some((position, header)) = window.next_group(&self.shared.key, at, end, 0)? {
                at = align(position + header.bytes() as u64);
                if !wants(wanted, &header) {
                    continue;
                }
                let body_at = position + header.body_start() as u64;
                if let Some(body) = window.slice(body_at, header.body_bytes)?
                    && show(body, wanted, visit).is_break()
                {
                    return Ok(());
                }
                if wanted.is_empty() {
                    return Ok(());
                }
            }
            place = Place { segment: number + 1, position: 0 };
        }
        Ok(())
    }
}

fn wants(wanted: &Wanted, header: &GroupHeader) -> bool {
    header.table.iter().any(|line| {
        let last = line.first.0 + u64::from(line.records);
        wanted.get(&line.partition).is_some_and(|(next, _)| last > next.0)
    })
}

/// Shows what is wanted of one group's body.
fn show(
    mut rest: Bytes,
    wanted: &mut Wanted,
    visit: &mut impl FnMut(Record) -> ControlFlow<()>,
) -> ControlFlow<()> {
    while let Ok((about, bytes)) = Record::peek(&rest) {
        if bytes > rest.len() {
            break;
        }
        let partition = about.partition;
        if let Some((next, last)) = wanted.get(&partition).copied()
            && about.offset >= next
        {
            // Not the next one, or damaged: nothing more of this partition can be shown.
            match Record::parse(&rest).ok().filter(|_| about.offset == next) {
                Some(record) => {
                    wanted.insert(partition, (next.next(), last));
                    visit(record)?;
                }
                None => drop(wanted.remove(&partition)),
            }
            if about.offset >= last {
                wanted.remove(&partition);
            }
        }
        rest = rest.slice(bytes..);
    }
    ControlFlow::Continue(())
}
