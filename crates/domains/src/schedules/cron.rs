//! Cron expressions: which civil times (a date and a time of day, without a zone) one names. What
//! those are on the line of real time is for `timetable`.
//!
//! The parser and the matching of days are croner's. It lets through what nobody can have meant
//! (a month called MON, an empty place in a list), so fields are looked at before; and its search is
//! not used, since by its rules a list of fixed times does not survive a change of clocks.

use super::TimingError;
use croner::{
    Cron as Parsed, CronPattern, Weekday,
    parser::{CronParser, Seconds, Year},
};
use jiff::{
    ToSpan,
    civil::{Date, DateTime, Time},
};

/// Bytes of a cron expression.
pub const CRON_BYTES_MAX: usize = 256;

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// The fields, in their order; the first may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Second,
    Minute,
    Hour,
    Day,
    Month,
    Weekday,
}

const FIELDS: [Field; 6] =
    [Field::Second, Field::Minute, Field::Hour, Field::Day, Field::Month, Field::Weekday];

impl Field {
    const fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day of the month",
            Self::Month => "month",
            Self::Weekday => "day of the week",
        }
    }

    /// Whether one item of a list has letters only where they mean something here.
    fn has_words_of_its_own(self, item: &str) -> bool {
        let (item, words): (&str, &[&str]) = match self {
            Self::Second | Self::Minute | Self::Hour => (item, &[]),
            Self::Day => match item {
                "L" | "LW" => return true,
                _ => (item.strip_suffix('W').filter(|day| is_digits(day)).unwrap_or(item), &[]),
            },
            Self::Month => (item, &MONTHS),
            Self::Weekday => {
                (item.strip_suffix('L').filter(|day| !day.is_empty()).unwrap_or(item), &DAYS)
            }
        };
        let parts = item.split(|char: char| !char.is_ascii_alphabetic());
        parts.filter(|word| !word.is_empty()).all(|word| words.contains(&word))
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A cron expression.
#[derive(Debug, Clone)]
pub(super) struct Cron {
    pattern: CronPattern,
    hours: Vec<i8>,
    minutes: Vec<i8>,
    seconds: Vec<i8>,
}

impl Cron {
    pub(super) fn parse(text: &str) -> Result<Self, TimingError> {
        if text.len() > CRON_BYTES_MAX {
            return Err(TimingError::CronTooLong);
        }
        let text = text.trim().to_ascii_uppercase();
        if !text.starts_with('@') {
            check_fields(&text)?;
        }
        let pattern = parsed(&text)?.pattern;
        let values = |component: &croner::CronComponent| -> Vec<i8> {
            component.values().into_iter().filter_map(|value| i8::try_from(value).ok()).collect()
        };
        let cron = Self {
            hours: values(&pattern.hours),
            minutes: values(&pattern.minutes),
            seconds: values(&pattern.seconds),
            pattern,
        };
        debug_assert!(!cron.hours.is_empty() && !cron.minutes.is_empty());
        Ok(cron)
    }

    /// Whether it names a part of the day by a `*`: it then runs as time passes, and not at times
    /// that the clock shows. Vixie's cron tells the two apart so.
    pub(super) fn runs_as_time_passes(&self) -> bool {
        let Self { pattern, .. } = self;
        [&pattern.seconds, &pattern.minutes, &pattern.hours]
            .into_iter()
            .any(|component| component.from_wildcard)
    }

    /// The first civil time that it names at `from` or later, up to the day `last`.
    pub(super) fn at_or_after(&self, from: DateTime, last: Date) -> Option<DateTime> {
        let mut date = from.date();
        let mut earliest = Some(from.time());
        while date <= last {
            if !self.pattern.month_match(u32_of(date.month())).ok()? {
                date = date.first_of_month().checked_add(1.month()).ok()?;
                earliest = None;
                continue;
            }
            if self.matches_day(date)?
                && let Some(time) = self.time_at_or_after(earliest.unwrap_or(Time::midnight()))
            {
                return Some(date.to_datetime(time));
            }
            date = date.tomorrow().ok()?;
            earliest = None;
        }
        None
    }

    fn matches_day(&self, date: Date) -> Option<bool> {
        let weekday = u32_of(date.weekday().to_sunday_zero_offset());
        let weekday = Weekday::from_days_from_sunday(weekday);
        let (month, day) = (u32_of(date.month()), u32_of(date.day()));
        self.pattern.day_match(i32::from(date.year()), month, day, weekday).ok()
    }

    fn time_at_or_after(&self, from: Time) -> Option<Time> {
        let (minutes, seconds) = (&self.minutes, &self.seconds);
        let (first_minute, first_second) = (*minutes.first()?, *seconds.first()?);
        let within = |hour: i8| {
            let second = seconds.iter().find(|second| **second >= from.second());
            let same = second.filter(|_| minutes.contains(&from.minute()));
            if let Some(second) = same {
                return Some((hour, from.minute(), *second));
            }
            let minute = minutes.iter().find(|minute| **minute > from.minute())?;
            Some((hour, *minute, first_second))
        };
        let same = Some(from.hour()).filter(|hour| self.hours.contains(hour));
        let (hour, minute, second) = same.and_then(within).or_else(|| {
            let hour = self.hours.iter().find(|hour| **hour > from.hour())?;
            Some((*hour, first_minute, first_second))
        })?;
        Time::new(hour, minute, second, 0).ok()
    }
}

/// Of what is never negative.
fn u32_of(small: i8) -> u32 {
    u32::try_from(small).unwrap_or_default()
}

/// Croner's reading. A day of the month or of the week that begins with `*` and is more than that
/// narrows the other down, as in Vixie's cron; if neither does, a day of either will do.
fn parsed(text: &str) -> Result<Parsed, TimingError> {
    let days = text.split_ascii_whitespace().rev();
    let stepped =
        [0, 2].into_iter().any(|n| days.clone().nth(n).is_some_and(|field| field.starts_with('*')));
    let parser = CronParser::builder()
        .seconds(Seconds::Optional)
        .year(Year::Disallowed)
        .dom_and_dow(stepped)
        .build();
    parser.parse(text).map_err(|error| {
        let said = error.to_string();
        let said = said.strip_prefix("Component error: ").unwrap_or(&said).trim_end_matches('.');
        TimingError::Cron(match wrong_field(text, &parser) {
            Some((field, value)) => format!("its {} is {value:?}: {said}", field.name()),
            None => said.to_owned(),
        })
    })
}

/// Which field it is that cannot be read: the first that cannot where all others are `*`.
fn wrong_field<'t>(text: &'t str, parser: &CronParser) -> Option<(Field, &'t str)> {
    fields(text)?.find(|(field, value)| {
        let alone: Vec<&str> =
            FIELDS.iter().map(|other| if other == field { *value } else { "*" }).collect();
        parser.parse(&alone.join(" ")).is_err()
    })
}

/// The fields of five or six.
fn fields(text: &str) -> Option<impl Iterator<Item = (Field, &str)>> {
    let given = text.split_ascii_whitespace().count();
    let left_out = FIELDS.len().checked_sub(given).filter(|left_out| *left_out <= 1)?;
    Some(FIELDS.into_iter().skip(left_out).zip(text.split_ascii_whitespace()))
}

fn check_fields(text: &str) -> Result<(), TimingError> {
    let fields = fields(text).ok_or(TimingError::CronFields)?;
    for (field, value) in fields {
        let day = matches!(field, Field::Day | Field::Weekday);
        if value == "?" && day {
            continue;
        }
        for item in value.split(',') {
            let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"*/-#".contains(&byte);
            if item.is_empty() || !item.bytes().all(legal) || !field.has_words_of_its_own(item) {
                let name = field.name();
                return Err(TimingError::Cron(format!("its {name} cannot be {value:?}")));
            }
        }
    }
    Ok(())
}
