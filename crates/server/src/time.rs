//! Times as callers read them, and the time that others have. The format is where events become jobs'
//! payloads too.

pub(crate) use evenkeel_domains::Rfc3339;

use evenkeel_engine::Time;
use std::time::{SystemTime, UNIX_EPOCH};

/// The time that others compare with theirs, in signatures and tokens. It is no record time: it must
/// follow when a clock that was wrong is set.
#[expect(clippy::disallowed_methods, reason = "others compare it with their wall clocks")]
pub(crate) fn wall_clock() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 86_400_000;

    fn text(ms: u64) -> String {
        Rfc3339(Time(ms)).to_string()
    }

    #[test]
    fn agrees_with_a_calendar_library() {
        let days = (0..2_932_895).step_by(13).map(|day| day * DAY_MS + day % DAY_MS);
        let leaps = [951_782_399_999, 951_782_400_000, 951_868_800_000, 4_107_542_400_000];
        for ms in days.chain(leaps) {
            let known = jiff::Timestamp::from_millisecond(i64::try_from(ms).unwrap()).unwrap();
            assert_eq!(text(ms), format!("{known:.3}"), "{ms}");
            assert_eq!(Rfc3339::parse(&text(ms)), Some(Time(ms)), "and comes back");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        assert_eq!(Rfc3339::parse("1970-01-01T00:00:01Z"), Some(Time(1_000)));
        for wrong in [
            "",
            "Z",
            "1970-01-01",
            "1970-01-01T00:00:01",
            "1970-01-01T00:00:01.5Z",
            "1970-01-01T00:00:01.0000Z",
            "1969-12-31T23:59:59Z",
            "0000-00-00T00:00:00Z",
            "2026-02-30T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:60Z",
            "2026-01-01t00:00:00Z",
            "2026-01-01T00:00:00+00:00",
            "+026-01-01T00:00:00Z",
            "2026-01-01T00:00:00.-01Z",
            "99999-01-01T00:00:00Z",
            "2026-01-01T00:00:0éZ",
        ] {
            assert_eq!(Rfc3339::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_time_beyond_the_format_stays_in_it() {
        assert_eq!(text(u64::MAX), "9999-12-31T23:59:59.999Z");
        assert_eq!(text(0), "1970-01-01T00:00:00.000Z");
    }
}
