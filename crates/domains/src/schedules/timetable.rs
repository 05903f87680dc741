//! When a schedule is due: pure functions of what it says and of a time, for the same answer on every
//! machine. The rules of zones are those that are built in, whatever the machine has installed.
//!
//! Clocks change, and cron's times are those that clocks show. What follows is what Vixie's cron does:
//! an expression with a `*` in a part of the day runs as time passes, so that what clocks skip is
//! skipped, and what they show twice comes twice. One without names times of the clock: of those that
//! are skipped it runs once, as soon as the clock goes on; those that are shown twice run the first
//! time.

use super::{Timing, cron::Cron};
use evenkeel_contract::nearest;
use evenkeel_engine::Time;
use jiff::{
    SignedDuration, Timestamp, ToSpan,
    civil::{Date, DateTime},
    tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase},
};

/// The shortest interval.
pub const EVERY_MS_MIN: u64 = 1_000;
/// The longest: 366 days.
pub const EVERY_MS_MAX: u64 = 366 * 24 * 3_600_000;
/// How far ahead is looked for the next time. Nothing in the calendar comes back later than after 40
/// years (a 29 February on a given weekday, over the year 2100).
pub const HORIZON_YEARS: i16 = 50;
/// How much of what is no zone's name is repeated.
const ZONE_CHARS_SHOWN: usize = 64;

/// Why a schedule can never be due.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimingError {
    /// The expression is no cron expression.
    #[error("the cron expression is not one: {0}")]
    Cron(String),
    /// There are too few or too many fields.
    #[error(
        "a cron expression has five fields (minute, hour, day of the month, month, day of the week), \
         and may have one for the second before them"
    )]
    CronFields,
    /// It is longer than any need be.
    #[error("a cron expression has at most {max} bytes", max = super::CRON_BYTES_MAX)]
    CronTooLong,
    /// It names no day that there is.
    #[error("the cron expression names no time in the next {HORIZON_YEARS} years")]
    Never,
    /// There is no such zone.
    #[error("{0:?} is no time zone of the IANA database")]
    Zone(String),
    /// The interval is too short or too long.
    #[error("every_ms must be {EVERY_MS_MIN} to {EVERY_MS_MAX}")]
    Every,
}

/// What a schedule's timing says, read once.
#[derive(Debug, Clone)]
pub struct Timetable(Kind);

#[derive(Debug, Clone)]
enum Kind {
    /// In a box: it is a hundred times the size of the other.
    Cron(Box<Cron>, TimeZone),
    Every {
        every_ms: u64,
        since: Time,
    },
}

impl Timetable {
    /// Of `timing`; an interval is counted from `since`.
    pub fn new(timing: &Timing, since: Time) -> Result<Self, TimingError> {
        Ok(Self(match timing {
            Timing::Cron { cron, timezone } => {
                Kind::Cron(Box::new(Cron::parse(cron)?), zone(timezone)?)
            }
            Timing::Every { every_ms } => {
                if !(EVERY_MS_MIN..=EVERY_MS_MAX).contains(every_ms) {
                    return Err(TimingError::Every);
                }
                Kind::Every { every_ms: *every_ms, since }
            }
        }))
    }

    /// The first tick after `after`; none if there is none for [`HORIZON_YEARS`].
    #[must_use]
    pub fn next_after(&self, after: Time) -> Option<Time> {
        match &self.0 {
            Kind::Cron(cron, zone) => {
                let after = Timestamp::from_millisecond(i64::try_from(after.0).ok()?).ok()?;
                let next = if cron.runs_as_time_passes() {
                    passing(cron, zone, after)
                } else {
                    shown(cron, zone, after)
                };
                u64::try_from(next?.as_millisecond()).ok().map(Time)
            }
            Kind::Every { every_ms, since } => {
                let passed = after.0.checked_sub(since.0).map_or(0, |ms| ms / every_ms + 1);
                since.0.checked_add(passed.max(1).checked_mul(*every_ms)?).map(Time)
            }
        }
    }

    /// How many ticks there are from `first`, which is one, to before `until`, the last of them, and
    /// the first that is not; of a cron expression at most `max` are counted.
    #[must_use]
    pub(super) fn passed(&self, first: Time, until: Time, max: u64) -> Passed {
        debug_assert!(first < until);
        if let Kind::Every { every_ms, .. } = self.0 {
            let more = (until.0 - 1 - first.0) / every_ms;
            let last = first.plus_ms(more * every_ms);
            return Passed { count: more + 1, last, next: self.next_after(last) };
        }
        let mut passed = Passed { count: 1, last: first, next: self.next_after(first) };
        while let Some(next) = passed.next.filter(|next| *next < until) {
            if passed.count == max {
                passed.next = self.next_after(until.minus_ms(1));
                return passed;
            }
            passed = Passed { count: passed.count + 1, last: next, next: self.next_after(next) };
        }
        passed
    }
}

/// Ticks that are over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Passed {
    pub(super) count: u64,
    pub(super) last: Time,
    pub(super) next: Option<Time>,
}

/// The zone of this name, among those that are built in.
fn zone(name: &str) -> Result<TimeZone, TimingError> {
    let zone = TimeZoneDatabase::bundled().get(name).ok();
    zone.filter(|zone| !zone.is_unknown())
        .ok_or_else(|| TimingError::Zone(name.chars().take(ZONE_CHARS_SHOWN).collect()))
}

/// The zone that was probably meant by `name`. All names are compared: not for a partition to do.
#[must_use]
pub fn nearest_zone(name: &str) -> Option<String> {
    let zones = TimeZoneDatabase::bundled();
    let names: Vec<String> = zones.available().map(|name| name.to_string()).collect();
    nearest(name, names.iter().map(String::as_str)).map(str::to_owned)
}

fn horizon(from: DateTime) -> Date {
    from.date().checked_add(HORIZON_YEARS.years()).unwrap_or(Date::MAX)
}

/// The first whole second after `after`.
fn next_second(after: Timestamp) -> Option<Timestamp> {
    Timestamp::from_second(after.as_second()).ok()?.checked_add(SignedDuration::from_secs(1)).ok()
}

/// Of an expression that runs as time passes: from one change of the zone's offset to the next, civil
/// time and real time go alike.
fn passing(cron: &Cron, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    let mut from = next_second(after)?;
    let last = horizon(zone.to_datetime(from));
    loop {
        let offset = zone.to_offset(from);
        let found = offset.to_timestamp(cron.at_or_after(offset.to_datetime(from), last)?).ok()?;
        let change = zone.following(from).next().map(|change| change.timestamp());
        match change {
            Some(change) if change <= found => from = change,
            _ => return Some(found),
        }
    }
}

/// Of an expression that names times of the clock.
fn shown(cron: &Cron, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    let mut from = zone.to_datetime(next_second(after)?);
    let last = horizon(from);
    loop {
        let found = cron.at_or_after(from, last)?;
        let at = moment(zone, found)?;
        // What is shown for the second time has been.
        if at > after {
            return Some(at);
        }
        from = found.checked_add(1.second()).ok()?;
    }
}

/// When the clocks of `zone` first show `civil`; if they never do, when they go on.
fn moment(zone: &TimeZone, civil: DateTime) -> Option<Timestamp> {
    match zone.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
            offset.to_timestamp(civil).ok()
        }
        AmbiguousOffset::Gap { before, .. } => {
            let beyond = next_second(before.to_timestamp(civil).ok()?)?;
            zone.preceding(beyond).next().map(|change| change.timestamp())
        }
    }
}
