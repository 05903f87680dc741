//! `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date in one of the three forms that HTTP
//! has (section 5.6.7).

use evenkeel_engine::Time;

/// The longest that a destination is waited for at its word: an hour.
pub(super) const RETRY_AFTER_MS_MAX: u64 = 3_600_000;
/// The shortest: one that says "now" is not asked again at once.
const RETRY_AFTER_MS_MIN: u64 = 1_000;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// For how long the value asks to be left alone, within the bounds.
pub(super) fn parse(value: &str, now: Time) -> Option<u64> {
    let value = value.trim();
    let wait_ms = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number has: longer than anybody waits.
        value.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(1_000)
    } else {
        date(value, now)?.0.saturating_sub(now.0)
    };
    Some(wait_ms.clamp(RETRY_AFTER_MS_MIN, RETRY_AFTER_MS_MAX))
}

/// The time that an HTTP date is.
fn date(text: &str, now: Time) -> Option<Time> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let (day, month, year, time) = match *words.as_slice() {
        // Sun, 06 Nov 1994 08:49:37 GMT
        [_, day, month, year, time, "GMT"] => (day, month, year.parse().ok()?, time),
        // Sunday, 06-Nov-94 08:49:37 GMT
        [_, date, time, "GMT"] => {
            let mut parts = date.split('-');
            let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
            (day, month, full_year(year.parse().ok()?, now), time)
        }
        // Sun Nov  6 08:49:37 1994
        [_, month, day, time, year] => (day, month, year.parse().ok()?, time),
        _ => return None,
    };
    let month = 1 + MONTHS.iter().position(|known| *known == month)?;
    let day: u8 = day.parse().ok()?;
    let time = time.get(..8).filter(|whole| *whole == time)?;
    // The seconds of a leap second are those of the next minute's begin, near enough.
    let time = if time.ends_with(":60") { format!("{}:59", &time[..5]) } else { time.to_owned() };
    crate::time::Rfc3339::parse(&format!("{year:04}-{month:02}-{day:02}T{time}Z"))
}

/// A year of two digits is of this century unless that is more than 50 years from now.
fn full_year(year: u64, now: Time) -> u64 {
    const YEAR_MS: u64 = 31_556_952_000;
    let this_year = 1_970 + now.0 / YEAR_MS;
    let year = this_year / 100 * 100 + year;
    if year > this_year + 50 { year - 100 } else { year }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 1994-11-06T08:49:37Z, the date of RFC 9110's examples.
    const THEN: Time = Time(784_111_777_000);

    #[test]
    fn seconds_and_dates_are_understood_within_bounds() {
        let early = Time(THEN.0 - 90_000);
        for (value, wait_ms) in [
            ("120", Some(120_000)),
            (" 2 ", Some(2_000)),
            ("0", Some(RETRY_AFTER_MS_MIN)),
            ("3601", Some(RETRY_AFTER_MS_MAX)),
            ("99999999999999999999999999", Some(RETRY_AFTER_MS_MAX)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(90_000)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(90_000)),
            ("Sun Nov  6 08:49:37 1994", Some(90_000)),
            ("Sun, 06 Nov 1994 08:48:60 GMT", Some(52_000)),
            ("Sat, 05 Nov 1994 08:49:37 GMT", Some(RETRY_AFTER_MS_MIN)),
            ("Mon, 07 Nov 1994 08:49:37 GMT", Some(RETRY_AFTER_MS_MAX)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("Sun, 31 Feb 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:37 CET", None),
            ("Sun, 06 Foo 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 8:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:37+1 GMT", None),
        ] {
            assert_eq!(parse(value, early), wait_ms, "{value:?}");
        }
    }

    #[test]
    fn a_year_of_two_digits_is_a_near_one() {
        let in_2026 = Time(1_790_000_000_000);
        assert_eq!(full_year(26, in_2026), 2_026);
        assert_eq!(full_year(76, in_2026), 2_076);
        assert_eq!(full_year(77, in_2026), 1_977);
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(value in ".{0,64}", now in 0..4_102_444_800_000_u64) {
            let wait_ms = parse(&value, Time(now)).unwrap_or(RETRY_AFTER_MS_MIN);
            prop_assert!((RETRY_AFTER_MS_MIN..=RETRY_AFTER_MS_MAX).contains(&wait_ms));
        }

        #[test]
        fn every_date_is_read_as_a_calendar_library_writes_it(
            at_s in 0..4_102_444_800_i64,
            early_s in 1..3_600_u64,
        ) {
            let date = jiff::Timestamp::from_second(at_s + 3_600).unwrap();
            let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
            let now = Time((u64::try_from(at_s).unwrap() + 3_600 - early_s) * 1_000);
            prop_assert_eq!(parse(&date, now), Some(early_s * 1_000));
        }
    }
}
