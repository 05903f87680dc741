//! What is counted for a descriptor: units of time, where they begin, and the check that a limit and
//! a descriptor make.

use super::messages::{Entry, Unit};
use evenkeel_domains::limits::{Algorithm, Check, CheckError, KEY_BYTES_MAX, Policy, Subject};
use evenkeel_engine::Time;

/// The limit's name begins so; no limit that a caller makes has a stroke in its name.
const LIMIT: &str = "envoy/";
/// What a key begins with that is a hash of what it would be.
const HASHED: u8 = 1;

/// Where a limit's unit of time begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Windows {
    /// Anywhere: never more than the limit in any stretch of that length.
    Rolling,
    /// On the clock, in UTC, as envoyproxy/ratelimit counts: around a boundary twice the limit may
    /// pass in one stretch of that length.
    Calendar,
}

/// How much in which time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limit {
    pub(super) requests_per_unit: u32,
    pub(super) unit: Unit,
    /// It only watches.
    pub(super) shadow: bool,
}

const DAY_MS: u64 = 24 * 3_600_000;
/// The units by name, and how long they are. A month is 30 days and a year 365, as in
/// envoyproxy/ratelimit.
const UNITS: [(&str, Unit, u64); 7] = [
    ("second", Unit::Second, 1_000),
    ("minute", Unit::Minute, 60_000),
    ("hour", Unit::Hour, 3_600_000),
    ("day", Unit::Day, DAY_MS),
    ("week", Unit::Week, 7 * DAY_MS),
    ("month", Unit::Month, 30 * DAY_MS),
    ("year", Unit::Year, 365 * DAY_MS),
];

impl Unit {
    /// The unit that `name` is, in whatever case.
    pub(super) fn named(name: &str) -> Option<Self> {
        UNITS.iter().find(|(known, ..)| known.eq_ignore_ascii_case(name)).map(|(_, unit, _)| *unit)
    }

    /// How long it is; none of what is unknown.
    pub(super) fn period_ms(self) -> Option<u64> {
        UNITS.iter().find(|(_, known, _)| *known == self).map(|(.., period_ms)| *period_ms)
    }
}

/// A check, and when its window ends if the clock decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) check: Check,
    pub(super) ends_at: Option<Time>,
}

/// `hits` of `entries`, which are all that tells what is counted apart, besides the domain. A limit of
/// an unknown unit counts nothing.
pub(super) fn check(
    domain: &str,
    entries: &[Entry],
    limit: Limit,
    hits: u64,
    windows: Windows,
    now: Time,
) -> Option<Result<Counted, CheckError>> {
    let period_ms = limit.unit.period_ms()?;
    let quantity = u64::from(limit.requests_per_unit);
    let policy = Policy {
        shadow: limit.shadow,
        ..Policy::of(Algorithm::SlidingWindow, quantity, period_ms)
    };
    let mut key = key(entries);
    let ends_at = match windows {
        Windows::Rolling => None,
        Windows::Calendar => {
            // Within one window of the clock nothing leaves a rolling one of that length. A key a
            // window: the sweep forgets those that are over.
            let number = now.0 / period_ms;
            key.extend_from_slice(&period_ms.to_be_bytes());
            key.extend_from_slice(&number.to_be_bytes());
            Some(Time((number + 1) * period_ms))
        }
    };
    let subject = Subject { limit: format!("{LIMIT}{domain}"), scope: None, key: short(key) };
    Some(Check::new(subject, policy, hits).map(|check| Counted { check, ends_at }))
}

/// The entries one after the other, each part after its length: no two lists have the same.
fn key(entries: &[Entry]) -> Vec<u8> {
    let mut key = vec![0];
    for part in entries.iter().flat_map(|entry| [&entry.key, &entry.value]) {
        key.extend_from_slice(&(part.len() as u64).to_be_bytes()[4..]);
        key.extend_from_slice(part.as_bytes());
    }
    key
}

/// `key`, or where it is longer than a key may be, its hash.
fn short(key: Vec<u8>) -> Vec<u8> {
    if key.len() <= KEY_BYTES_MAX {
        return key;
    }
    let mut short = vec![HASHED];
    short.extend_from_slice(blake3::hash(&key).as_bytes());
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_700_000_123_456);

    fn entry(key: &str, value: &str) -> Entry {
        Entry { key: key.into(), value: value.into() }
    }

    fn counted(entries: &[Entry], windows: Windows, now: Time) -> Counted {
        let limit = Limit { requests_per_unit: 5, unit: Unit::Minute, shadow: false };
        check("d", entries, limit, 2, windows, now).unwrap().unwrap()
    }

    fn key(entries: &[Entry], windows: Windows, now: Time) -> Vec<u8> {
        counted(entries, windows, now).check.subject().key.clone()
    }

    #[test]
    fn no_two_descriptors_are_counted_as_one() {
        let long = "x".repeat(KEY_BYTES_MAX);
        let lists = [
            vec![],
            vec![entry("", "")],
            vec![entry("a", "bc")],
            vec![entry("ab", "c")],
            vec![entry("a", "b"), entry("c", "d")],
            vec![entry("c", "d"), entry("a", "b")],
            vec![entry("a", "b"), entry("c", "")],
            vec![entry(&long, "")],
            vec![entry("", &long)],
        ];
        for (at, one) in lists.iter().enumerate() {
            for other in &lists[..at] {
                let same = |windows| key(one, windows, NOW) == key(other, windows, NOW);
                assert!(!same(Windows::Rolling) && !same(Windows::Calendar), "{one:?} {other:?}");
            }
            assert!(key(one, Windows::Calendar, NOW).len() <= KEY_BYTES_MAX);
        }
        let limit = Limit { requests_per_unit: 5, unit: Unit::Minute, shadow: false };
        let of = |domain| {
            check(domain, &lists[2], limit, 1, Windows::Rolling, NOW).unwrap().unwrap().check.key()
        };
        assert_ne!(of("d"), of("e"));
    }

    #[test]
    fn a_rolling_window_has_one_key_and_one_of_the_clock_has_one_a_unit() {
        let entries = [entry("a", "b")];
        let later = |ms| Time(NOW.0 + ms);
        assert_eq!(
            counted(&entries, Windows::Rolling, NOW),
            counted(&entries, Windows::Rolling, later(60_000))
        );
        let first = counted(&entries, Windows::Calendar, NOW);
        // 22:15:23.456
        assert_eq!(first.ends_at, Some(Time(1_700_000_160_000)));
        assert_eq!(first, counted(&entries, Windows::Calendar, later(36_543)));
        let next = counted(&entries, Windows::Calendar, later(36_544));
        assert_ne!(first.check.key(), next.check.key());
        assert_eq!(next.ends_at, Some(Time(1_700_000_220_000)));
        let policy = first.check.policy();
        assert_eq!((policy.quantity, policy.period_ms, first.check.cost()), (5, 60_000, 2));
    }

    #[test]
    fn an_unknown_unit_counts_nothing() {
        let limit = Limit { requests_per_unit: 5, unit: Unit::Unknown, shadow: false };
        assert!(check("d", &[], limit, 1, Windows::Rolling, NOW).is_none());
        assert_eq!(Unit::named("WEEK"), Some(Unit::Week));
        assert_eq!(Unit::named("unknown"), None);
    }
}
