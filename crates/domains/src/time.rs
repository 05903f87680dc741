//! Times as callers read them: RFC 3339 in UTC with milliseconds. Not a calendar: only the one
//! conversion that every answer needs, without an allocation.

use evenkeel_engine::Time;
use serde::{Serialize, Serializer};
use std::fmt;

const DAY_MS: u64 = 86_400_000;
/// The last millisecond of the year 9999, the last that RFC 3339 can write.
const LAST_MS: u64 = 253_402_300_799_999;
const TEXT_BYTES: usize = 24;

/// A time that is written as `2026-01-31T12:00:00.000Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rfc3339(pub Time);

impl Rfc3339 {
    /// The time that `text` is, as it is written here: in UTC, with or without milliseconds.
    #[must_use]
    pub fn parse(text: &str) -> Option<Time> {
        let seconds = text.strip_suffix('Z')?;
        let (seconds, ms) = seconds.split_once('.').unwrap_or((seconds, "000"));
        let (date, of_day) = seconds.split_once('T')?;
        let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
        let [hour, minute, second] = numbers(of_day, ':', [2, 2, 2])?;
        let [ms_of_second] = numbers(ms, '.', [3])?;
        let of_day_ms = ((hour * 60 + minute) * 60 + second) * 1_000 + ms_of_second;
        let time = Time(days(year, month, day)?.checked_mul(DAY_MS)?.checked_add(of_day_ms)?);
        // What there is not, a 30th of February, is written otherwise than it was read.
        let written = Self(time).bytes();
        (written[..19] == *seconds.as_bytes()).then_some(time)
    }

    fn bytes(self) -> [u8; TEXT_BYTES] {
        let ms = self.0.0.min(LAST_MS);
        let (year, month, day) = civil(ms / DAY_MS);
        let of_day = ms % DAY_MS;
        let mut text = *b"0000-00-00T00:00:00.000Z";
        digits(&mut text[0..4], year);
        digits(&mut text[5..7], month);
        digits(&mut text[8..10], day);
        digits(&mut text[11..13], of_day / 3_600_000);
        digits(&mut text[14..16], of_day / 60_000 % 60);
        digits(&mut text[17..19], of_day / 1_000 % 60);
        digits(&mut text[20..23], of_day % 1_000);
        text
    }
}

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.bytes()).expect("digits and punctuation are ASCII"))
    }
}

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.bytes();
        serializer.serialize_str(str::from_utf8(&text).expect("digits and punctuation are ASCII"))
    }
}

fn digits(into: &mut [u8], mut number: u64) {
    for digit in into.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).expect("a digit is less than 10");
        number /= 10;
    }
}

/// Numbers of exactly so many digits, with `between` between them.
fn numbers<const N: usize>(text: &str, between: char, lengths: [usize; N]) -> Option<[u64; N]> {
    let mut parts = text.split(between);
    let mut numbers = [0; N];
    for (number, length) in numbers.iter_mut().zip(lengths) {
        let part = parts.next().filter(|part| part.len() == length)?;
        *number = part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())??;
    }
    parts.next().is_none().then_some(numbers)
}

/// The inverse of [`civil`] (the same source's `days_from_civil`): days since 1970-01-01.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) {
        return None;
    }
    let year = year.checked_sub(u64::from(month <= 2))?;
    let shifted_month = (month + 9) % 12;
    let of_year = ((153 * shifted_month + 2) / 5 + day).checked_sub(1)?;
    let (era, year_of_era) = (year / 400, year % 400);
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    (era * 146_097 + of_era).checked_sub(719_468)
}

/// Year, month and day of the day so many days after 1970-01-01, in the proleptic Gregorian
/// calendar. The algorithm is Howard Hinnant's `civil_from_days` ("chrono-Compatible Low-Level
/// Date Algorithms"), for days from 1970 on.
fn civil(days: u64) -> (u64, u64, u64) {
    let since_era = days + 719_468;
    let (era, of_era) = (since_era / 146_097, since_era % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day)
}
