//! Where a job is: a pure function of what it is enqueued with, so that all jobs of an ordering key
//! are in one partition, and so are all of a unique key within it.

use super::{JobId, Settings};
use crate::{KeyParts, route};
use evenkeel_log::PartitionId;

/// What decides where a job of a queue goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread<'a> {
    /// Its ordering key; without one, its unique key.
    Key(&'a str),
    /// Neither, and it waits for other jobs: it is where the first of them is.
    Beside(JobId),
    /// None of that: a number that whoever routes it draws, or derives from the request's idempotency key
    /// and the job's place in the request, so that a repeat meets what it repeats.
    Drawn(u64),
}

impl<'a> Spread<'a> {
    /// Of a job with these keys that waits for `after`; `drawn` if there is nothing of all that.
    #[must_use]
    pub fn of(
        ordering_key: Option<&'a str>,
        unique_key: Option<&'a str>,
        after: &[JobId],
        drawn: u64,
    ) -> Self {
        match (ordering_key.or(unique_key), after.first()) {
            (Some(key), _) => Self::Key(key),
            (None, Some(after)) => Self::Beside(*after),
            (None, None) => Self::Drawn(drawn),
        }
    }
}

/// The partition of a job.
#[must_use]
pub fn place(
    tenant: &str,
    queue: &str,
    settings: &Settings,
    job: Spread<'_>,
    partitions: u16,
) -> PartitionId {
    let spread = settings.spread.max(1);
    let position = match job {
        Spread::Key(key) => {
            let key = KeyParts::two(queue.as_bytes(), key.as_bytes());
            route("jobs", tenant, key, spread).0
        }
        // Where the queue does not go it is refused, as it could not wait for it.
        Spread::Beside(job) => {
            let partition = PartitionId(job.partition);
            position(tenant, queue, settings, partition, partitions).unwrap_or_default()
        }
        Spread::Drawn(drawn) => {
            let position = drawn % u64::from(spread);
            u16::try_from(position).expect("less than the number of partitions")
        }
    };
    at(home(tenant, queue, partitions), position, partitions)
}

/// The partitions that a queue uses, by [position](Settings::share).
pub fn places(
    tenant: &str,
    queue: &str,
    settings: &Settings,
    partitions: u16,
) -> impl Iterator<Item = PartitionId> {
    let home = home(tenant, queue, partitions);
    (0..settings.spread.max(1)).map(move |position| at(home, position, partitions))
}

/// The [position](Settings::share) of a partition among those that a queue uses, if it is one.
#[must_use]
pub fn position(
    tenant: &str,
    queue: &str,
    settings: &Settings,
    partition: PartitionId,
    partitions: u16,
) -> Option<u16> {
    let mut places = places(tenant, queue, settings, partitions);
    let position = places.position(|place| place == partition)?;
    u16::try_from(position).ok()
}

/// Queues that use few partitions do not all use the first.
fn home(tenant: &str, queue: &str, partitions: u16) -> u16 {
    route("jobs", tenant, queue, partitions).0
}

fn at(home: u16, position: u16, partitions: u16) -> PartitionId {
    let partition = (u32::from(home) + u32::from(position)) % u32::from(partitions);
    PartitionId(u16::try_from(partition).expect("less than the number of partitions"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_never_change() {
        let whole = Settings::of(16);
        let keys = ["order-1", "order-2", "", "x:y@z"].map(Spread::Key);
        let of = |settings: &Settings, job| place("default", "mail", settings, job, 16).0;
        assert_eq!(
            keys.map(|key| of(&whole, key)),
            [10, 14, 9, 10],
            "a golden value: a job of the same key would be elsewhere"
        );
        assert_eq!(
            keys.map(|key| of(&Settings::of(3), key)),
            [6, 5, 7, 6],
            "a golden value, of a queue that uses three"
        );
    }

    #[test]
    fn a_job_is_where_its_queue_is() {
        let settings = Settings::of(3);
        let places: Vec<PartitionId> = places("default", "mail", &settings, 16).collect();
        assert_eq!(places.len(), 3);
        for drawn in 0..100 {
            let job = place("default", "mail", &settings, Spread::Drawn(drawn), 16);
            assert_eq!(job, places[usize::try_from(drawn % 3).unwrap_or_default()]);
            let key = drawn.to_string();
            let job = place("default", "mail", &settings, Spread::Key(&key), 16);
            assert!(places.contains(&job));
        }
        for (at, partition) in (0..).zip(&places) {
            let found = position("default", "mail", &settings, *partition, 16);
            assert_eq!(found, Some(at));
            let after = JobId { partition: partition.0, number: 1 };
            let beside = place("default", "mail", &settings, Spread::Beside(after), 16);
            assert_eq!(beside, *partition);
        }
        let others = (0..16).map(PartitionId).filter(|partition| !places.contains(partition));
        for other in others {
            assert_eq!(position("default", "mail", &settings, other, 16), None);
            let after = JobId { partition: other.0, number: 1 };
            let beside = place("default", "mail", &settings, Spread::Beside(after), 16);
            assert_eq!(beside, places[0]);
        }
    }

    #[test]
    fn an_ordering_key_decides_before_a_unique_key() {
        let after = JobId { partition: 3, number: 9 };
        assert_eq!(Spread::of(Some("o"), Some("u"), &[after], 7), Spread::Key("o"));
        assert_eq!(Spread::of(None, Some("u"), &[after], 7), Spread::Key("u"));
        assert_eq!(Spread::of(None, None, &[after], 7), Spread::Beside(after));
        assert_eq!(Spread::of(None, None, &[], 7), Spread::Drawn(7));
    }
}
