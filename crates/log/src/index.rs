//! Where a partition's records are: a sparse index, in memory, rebuilt at every start.
//!
//! It holds at most [`ENTRIES_MAX`] entries of 24 bytes a partition (96 KiB) however long the log
//! is: when they are used up every other one goes and the distance between them doubles. Between
//! two entries a reader walks the groups; of those without its partition it reads headers only.

use crate::Offset;

/// The most entries that a partition has.
const ENTRIES_MAX: usize = 4096;
/// The least number of log bytes between two entries.
const STRIDE_BYTES_MIN: u64 = 64 * 1024;

/// A group's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The number of the segment.
    pub(crate) segment: u64,
    /// The byte at which the group begins in it.
    pub(crate) position: u64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    first: Offset,
    place: Place,
}

/// One partition's index.
#[derive(Debug, Default)]
pub(crate) struct Index {
    entries: Vec<Entry>,
    /// 0 and 1 are both "every time"; doubled whenever the entries are used up.
    stride_factor: u64,
}

impl Index {
    /// The partition's records from `first` on begin in the group at `place`. Called in order.
    pub(crate) fn note(&mut self, first: Offset, place: Place) {
        let stride_bytes = STRIDE_BYTES_MIN * self.stride_factor.max(1);
        if let Some(last) = self.entries.last()
            && last.place.segment == place.segment
            && place.position < last.place.position + stride_bytes
        {
            return;
        }
        if self.entries.len() >= ENTRIES_MAX {
            self.thin_out();
        }
        self.entries.push(Entry { first, place });
    }

    /// The latest group known to begin at or before `offset`.
    pub(crate) fn before(&self, offset: Offset) -> Option<Place> {
        let after = self.entries.partition_point(|entry| entry.first <= offset);
        self.entries[..after].last().map(|entry| entry.place)
    }

    /// Forgets what lies in segments before `segment`.
    pub(crate) fn forget_before(&mut self, segment: u64) {
        self.entries.retain(|entry| entry.place.segment >= segment);
    }

    fn thin_out(&mut self) {
        let mut keep = false;
        self.entries.retain(|_| {
            keep = !keep;
            keep
        });
        self.stride_factor = self.stride_factor.max(1) * 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_small_and_still_finds_a_start() {
        let mut index = Index::default();
        for group in 0..100_000 {
            let place = Place { segment: group / 64, position: (group % 64) * STRIDE_BYTES_MIN };
            index.note(Offset(group * 10 + 1), place);
            assert!(index.entries.len() <= ENTRIES_MAX);
        }
        assert_eq!(index.before(Offset(0)), None);
        for offset in [1, 9, 11, 5_000, 499_999, 999_991, 2_000_000] {
            let place = index.before(Offset(offset)).expect("the first entry is kept");
            let group = place.segment * 64 + place.position / STRIDE_BYTES_MIN;
            assert!(group * 10 < offset, "offset {offset} is not after group {group}");
            assert!(group + 4096 >= offset.min(999_991) / 10, "offset {offset}, group {group}");
        }
    }

    #[test]
    fn groups_near_each_other_share_an_entry() {
        let mut index = Index::default();
        for position in 0..128 {
            index.note(Offset(position + 1), Place { segment: 1, position: position * 512 });
        }
        assert_eq!(index.entries.len(), 1);
        index.note(Offset(500), Place { segment: 2, position: 512 });
        index.forget_before(2);
        assert_eq!(index.before(Offset(100)), None);
    }
}
