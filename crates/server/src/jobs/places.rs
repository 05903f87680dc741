//! Where lists of jobs go on, as text: what their cursors hold.

use evenkeel_domains::jobs::Cursor;
use evenkeel_engine::Position;
use evenkeel_log::PartitionId;
use evenkeel_node::ReplayPlace;

/// A place in a list of jobs: a partition and, in it, after which job.
pub(super) type Place = (PartitionId, Option<Cursor>);

pub(super) fn write((partition, after): Place) -> String {
    match after {
        None => format!("{}", partition.0),
        Some(Cursor { slot, at, number }) => format!("{}:{slot}.{at}.{number}", partition.0),
    }
}

pub(super) fn read(text: &str) -> Option<Place> {
    let (partition, cursor) = match text.split_once(':') {
        None => (text, None),
        Some((partition, cursor)) => (partition, Some(cursor)),
    };
    let cursor = match cursor {
        None => None,
        Some(cursor) => {
            let mut parts = cursor.split('.');
            let slot = parts.next()?.parse().ok()?;
            let at = parts.next()?.parse().ok()?;
            Some(Cursor { slot, at, number: parts.next()?.parse().ok()? })
        }
    };
    Some((PartitionId(partition.parse().ok()?), cursor))
}

pub(super) fn write_replay(place: &ReplayPlace) -> String {
    let ReplayPlace { partition, after, due_us } = place;
    format!("{due_us}/{}", write((*partition, *after)))
}

pub(super) fn read_replay(text: &str) -> Option<ReplayPlace> {
    let (due_us, place) = text.split_once('/')?;
    let (partition, after) = read(place)?;
    Some(ReplayPlace { partition, after, due_us: due_us.parse().ok()? })
}

/// Where the events of each partition go on.
pub(super) fn write_positions(positions: &[(PartitionId, Position)]) -> String {
    let each = positions.iter().map(|(partition, at)| format!("{}:{at}", partition.0));
    each.collect::<Vec<_>>().join(",")
}

pub(super) fn read_positions(text: &str) -> Option<Vec<(PartitionId, Position)>> {
    let each = text.split(',').filter(|part| !part.is_empty()).map(|part| {
        let (partition, position) = part.split_once(':')?;
        Some((PartitionId(partition.parse().ok()?), position.parse().ok()?))
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_log::Incarnation;

    #[test]
    fn places_come_back() {
        let cursor = Cursor { slot: 3, at: 7, number: u64::MAX };
        for place in [(PartitionId(0), None), (PartitionId(u16::MAX), Some(cursor))] {
            assert_eq!(read(&write(place)), Some(place));
            let (partition, after) = place;
            let place = ReplayPlace { partition, after, due_us: 9 };
            assert_eq!(read_replay(&write_replay(&place)), Some(place));
        }
        let position = Position { incarnation: Incarnation(1), sequence: 5 };
        let positions = vec![(PartitionId(1), position), (PartitionId(2), position)];
        assert_eq!(read_positions(&write_positions(&positions)), Some(positions));
    }

    #[test]
    fn nonsense_is_no_place() {
        for text in ["", "x", "1:", "1:2", "1:2.3", "1:2.3.x", "70000"] {
            assert_eq!(read(text), None, "{text}");
            assert_eq!(read_replay(&format!("1/{text}")), None, "{text}");
        }
        assert!(read_replay("1").is_none() && read_positions("1").is_none());
    }
}
