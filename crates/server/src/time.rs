//! Times as callers read them: RFC 3339 in UTC with milliseconds. Not a calendar: only the one
//! conversion that every answer needs, without an allocation.

use evenkeel_engine::Time;
use serde::{Serialize, Serializer};

const DAY_MS: u64 = 86_400_000;
/// The last millisecond of the year 9999, the last that RFC 3339 can write.
const LAST_MS: u64 = 253_402_300_799_999;
const TEXT_BYTES: usize = 24;

/// A time that is written as `2026-01-31T12:00:00.000Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rfc3339(pub(crate) Time);

impl Rfc3339 {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn text(ms: u64) -> String {
        String::from_utf8(Rfc3339(Time(ms)).bytes().to_vec()).unwrap()
    }

    #[test]
    fn agrees_with_a_calendar_library() {
        let days = (0..2_932_895).step_by(13).map(|day| day * DAY_MS + day % DAY_MS);
        let leaps = [951_782_399_999, 951_782_400_000, 951_868_800_000, 4_107_542_400_000];
        for ms in days.chain(leaps) {
            let known = jiff::Timestamp::from_millisecond(i64::try_from(ms).unwrap()).unwrap();
            assert_eq!(text(ms), format!("{known:.3}"), "{ms}");
        }
    }

    #[test]
    fn a_time_beyond_the_format_stays_in_it() {
        assert_eq!(text(u64::MAX), "9999-12-31T23:59:59.999Z");
        assert_eq!(text(0), "1970-01-01T00:00:00.000Z");
    }
}
