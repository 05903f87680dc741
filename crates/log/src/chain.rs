//! What a scan of the log knows of every partition: its tail so far, and whether damage may
//! concern it.
//!
//! After damage every partition is *in doubt* unless it can be shown that it lost nothing. What
//! shows it: its next record, or the next segment's header, continues exactly from its tail
//! before the damage. What continues from elsewhere lost records and is quarantined; so is, at the
//! end, whatever is still in doubt.

use crate::group::{GroupHeader, Line};
use crate::index::{Index, Place};
use crate::segment::SegmentHeader;
use crate::{Incarnation, Offset, PartitionId, Record, Tail};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why a partition is not served.
#[derive(Debug, Clone)]
pub(crate) struct Quarantine {
    pub(crate) reason: Arc<str>,
    /// Whether the next segments' headers must remember it, because the log alone might look
    /// whole later on.
    pub(crate) lasting: bool,
}

/// What is known of one partition.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) tail: Tail,
    pub(crate) incarnation: Incarnation,
    /// The first offset that is not trimmed.
    pub(crate) trim: Offset,
    pub(crate) index: Index,
    pub(crate) quarantine: Option<Quarantine>,
    /// Where the last reader stopped: the next offset and the group to look for it in.
    pub(crate) cursor: Option<(Offset, Place)>,
    /// The damage that may have taken records of it.
    doubt: Option<Arc<str>>,
}

impl Known {
    fn quarantine(&mut self, reason: String) {
        if self.quarantine.is_none() {
            self.quarantine = Some(Quarantine { reason: reason.into(), lasting: true });
        }
        self.doubt = None;
    }

    /// Whether a record that says `record` may come next.
    fn accepts(&self, record: &Record) -> bool {
        record.expected() == self.tail && record.header().incarnation >= self.incarnation
    }
}

/// All partitions.
#[derive(Debug, Default)]
pub(crate) struct Chains {
    pub(crate) known: BTreeMap<PartitionId, Known>,
    /// Damage that may have taken the first records of partitions that are not known.
    pub(crate) unseen: Option<Arc<str>>,
}

impl Chains {
    /// Something of any partition may be missing, for the reason `damage`.
    pub(crate) fn doubt_all(&mut self, damage: &Arc<str>) {
        self.unseen.get_or_insert_with(|| Arc::clone(damage));
        for known in self.known.values_mut().filter(|known| known.quarantine.is_none()) {
            known.doubt.get_or_insert_with(|| Arc::clone(damage));
        }
    }

    /// The oldest segment's header: where the scan begins.
    pub(crate) fn begin(&mut self, header: &SegmentHeader) {
        for standing in &header.standings {
            let known = self.known.entry(standing.partition).or_default();
            known.tail = standing.tail;
            known.incarnation = standing.incarnation;
            known.trim = standing.trim.max(standing.tail.offset.next());
            if standing.quarantined {
                known.quarantine("it was quarantined before the oldest segment".to_owned());
            }
        }
        if header.unseen_quarantined {
            self.unseen = Some("the log was damaged before its oldest segment".into());
        }
    }

    /// A later segment's header: what it says must be what was found.
    pub(crate) fn settle(&mut self, name: &str, header: &SegmentHeader) {
        let before = self.unseen.clone();
        for standing in &header.standings {
            let new = !self.known.contains_key(&standing.partition);
            let known = self.known.entry(standing.partition).or_default();
            if new {
                known.doubt.clone_from(&before);
            }
            if known.quarantine.is_none() && known.tail == standing.tail && !standing.quarantined {
                known.doubt = None;
            } else {
                let reason = match &known.doubt {
                    Some(damage) if standing.quarantined => may_be_lost(damage, known.tail),
                    _ if standing.quarantined => format!("it was quarantined before {name}"),
                    Some(damage) => format!(
                        "{damage}: offsets {}..={} are lost",
                        known.tail.offset.next(),
                        standing.tail.offset
                    ),
                    None => format!(
                        "{name} says that its tail is offset {}, but {} was found",
                        standing.tail.offset, known.tail.offset
                    ),
                };
                known.quarantine(reason);
                known.tail = standing.tail;
            }
            known.trim = known.trim.max(standing.trim);
            known.incarnation = known.incarnation.max(standing.incarnation);
        }
        for (partition, known) in &mut self.known {
            // In the order of the partitions, as it was written.
            let listed = header.standings.binary_search_by_key(partition, |line| line.partition);
            if listed.is_err() && known.quarantine.is_none() {
                known.quarantine(format!("{name} does not know of it"));
            }
        }
        if !header.unseen_quarantined {
            self.unseen = None;
        } else if self.unseen.is_none() {
            self.unseen = Some(format!("the log was damaged before {name}").into());
        }
    }

    /// The next record of its partition, from the group at `place`.
    pub(crate) fn apply(&mut self, record: &Record, place: Place) {
        let header = record.header();
        let unseen = &self.unseen;
        let known = self.known.entry(header.partition).or_insert_with(|| Known {
            trim: Offset(1),
            doubt: unseen.clone(),
            ..Known::default()
        });
        if known.quarantine.is_none() && !known.accepts(record) {
            let reason = match &known.doubt {
                Some(damage) if header.offset > known.tail.offset.next() => format!(
                    "{damage}: offsets {}..={} are lost",
                    known.tail.offset.next(),
                    Offset(header.offset.0 - 1)
                ),
                Some(damage) => format!("{damage}: offset {} does not continue", header.offset),
                None => format!(
                    "the record at offset {} does not continue from offset {}",
                    header.offset, known.tail.offset
                ),
            };
            known.quarantine(reason);
        }
        known.doubt = None;
        known.tail = record.tail();
        known.incarnation = known.incarnation.max(header.incarnation);
        known.index.note(header.offset, place);
    }

    /// A group whose header is whole but whose body is not: partitions whose records are all
    /// there go on, the others are quarantined for the reason `damage`.
    pub(crate) fn apply_damaged(
        &mut self,
        header: &GroupHeader,
        body: &Bytes,
        place: Place,
        damage: &Arc<str>,
    ) {
        let found = whole_records(body);
        for line in &header.table {
            let own = |record: &&Record| record.header().partition == line.partition;
            let records: Vec<&Record> = found.iter().filter(own).collect();
            if is_complete(*line, &records) {
                records.into_iter().for_each(|record| self.apply(record, place));
                continue;
            }
            let last = Offset(line.first.0 + u64::from(line.records).saturating_sub(1));
            let known = self.known.entry(line.partition).or_default();
            known.quarantine(format!("{damage}: of offsets {}..={last} some are lost", line.first));
            known.tail.offset = known.tail.offset.max(last);
        }
    }

    /// The log ends here: what nothing has shown to be whole is quarantined.
    pub(crate) fn finish(&mut self) {
        for known in self.known.values_mut() {
            if let Some(damage) = known.doubt.take() {
                known.quarantine(may_be_lost(&damage, known.tail));
            }
        }
    }
}

fn may_be_lost(damage: &str, tail: Tail) -> String {
    format!("{damage}: records after offset {} may be lost", tail.offset)
}

fn is_complete(line: Line, records: &[&Record]) -> bool {
    records.len() == line.records as usize
        && records.first().is_some_and(|record| record.header().offset == line.first)
}

/// The records that can still be made out in a damaged body.
fn whole_records(body: &Bytes) -> Vec<Record> {
    let mut records = Vec::new();
    let mut rest = body.clone();
    while let Ok((_, bytes)) = Record::peek(&rest) {
        records.extend(Record::parse(&rest));
        rest = rest.slice(bytes.min(rest.len())..);
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Epoch, Hash, Header, Kind};

    const P: PartitionId = PartitionId(4);
    const PLACE: Place = Place { segment: 1, position: 512 };

    fn record(at: Tail, incarnation: u32) -> Record {
        let header = Header {
            kind: if at.offset.0 == 0 { Kind::Genesis } else { Kind::Batch },
            partition: P,
            incarnation: Incarnation(incarnation),
            epoch: Epoch(1),
            offset: at.offset.next(),
            time_ms: 0,
            writer: 0,
            prev: at.hash,
        };
        Record::new(header, b"")
    }

    /// What applying `next` after a record of incarnation 2 quarantines the partition for.
    fn refusal(chains: &mut Chains, next: impl Fn(Tail) -> Record) -> Option<String> {
        let first = record(Tail::EMPTY, 2);
        chains.apply(&first, PLACE);
        chains.finish();
        chains.apply(&next(first.tail()), PLACE);
        let quarantine = chains.known[&P].quarantine.as_ref();
        quarantine.map(|quarantine| quarantine.reason.to_string())
    }

    #[test]
    fn only_what_continues_the_chain_is_taken() {
        let refused = |next: &dyn Fn(Tail) -> Record| refusal(&mut Chains::default(), next);
        assert_eq!(refused(&|tail| record(tail, 2)), None);
        assert_eq!(refused(&|tail| record(tail, 3)), None, "an incarnation may begin");
        assert!(refused(&|tail| record(tail, 1)).is_some(), "but not go back");
        let other = |tail: Tail| Tail { hash: Hash::of(b"other"), ..tail };
        assert!(refused(&|tail| record(other(tail), 2)).is_some(), "the same offset is not enough");
        let later = |tail: Tail| Tail { offset: tail.offset.next(), ..tail };
        assert!(refused(&|tail| record(later(tail), 2)).is_some(), "nor is the same hash");
    }

    #[test]
    fn doubt_ends_with_a_record_that_continues_or_in_quarantine() {
        let damage: Arc<str> = "damage".into();
        for (continues, quarantined) in [(true, false), (false, true)] {
            let mut chains = Chains::default();
            let first = record(Tail::EMPTY, 1);
            chains.apply(&first, PLACE);
            chains.doubt_all(&damage);
            if continues {
                chains.apply(&record(first.tail(), 1), PLACE);
            }
            chains.finish();
            assert_eq!(chains.known[&P].quarantine.is_some(), quarantined);
            assert!(chains.unseen.is_some(), "nothing shows that no other partition began");
        }
    }
}
