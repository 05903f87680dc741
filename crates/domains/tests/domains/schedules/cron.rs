//! What expressions mean, and which are none.

use super::{at, cron, shown, ticks, timetable};
use evenkeel_domains::schedules::{CRON_BYTES_MAX, TimingError, nearest_zone};

fn runs(expression: &str, count: usize) -> Vec<String> {
    let ticks = ticks(&cron(expression, "UTC"), at("2026-05-13T10:00:00Z"), count);
    ticks.into_iter().map(|tick| shown(tick, "UTC").replace("+00", "")).collect()
}

#[test]
fn fields_lists_ranges_and_steps() {
    assert_eq!(runs("* * * * *", 2), ["05-13 10:01:00", "05-13 10:02:00"]);
    assert_eq!(
        runs("*/20 9-17/4 * * *", 3),
        ["05-13 13:00:00", "05-13 13:20:00", "05-13 13:40:00"]
    );
    assert_eq!(runs("5,10 0 1,15 * *", 3), ["05-15 00:05:00", "05-15 00:10:00", "06-01 00:05:00"]);
    assert_eq!(runs("0 7 * * MON-FRI", 3), ["05-14 07:00:00", "05-15 07:00:00", "05-18 07:00:00"]);
    assert_eq!(runs("0 0 1 jan,Jul *", 2), ["07-01 00:00:00", "01-01 00:00:00"]);
    assert_eq!(runs("0 0 * * 7", 1), runs("0 0 * * 0", 1), "Sunday is 0 and 7");
    assert_eq!(runs("0 0 * * SUN", 1), ["05-17 00:00:00"]);
    assert_eq!(runs("15 30 12 * * *", 1), ["05-13 12:30:15"], "six fields begin with the second");
    assert_eq!(runs("  0  12  *  *  *  ", 1), ["05-13 12:00:00"]);
}

#[test]
fn names_of_whole_expressions() {
    assert_eq!(runs("@hourly", 1), ["05-13 11:00:00"]);
    assert_eq!(runs("@daily", 1), ["05-14 00:00:00"]);
    assert_eq!(runs("@weekly", 1), ["05-17 00:00:00"]);
    assert_eq!(runs("@monthly", 1), ["06-01 00:00:00"]);
    assert_eq!(runs("@yearly", 1), runs("@annually", 1));
}

#[test]
fn last_nearest_and_nth_days() {
    assert_eq!(runs("0 0 L * *", 2), ["05-31 00:00:00", "06-30 00:00:00"]);
    assert_eq!(runs("0 0 LW * *", 2), ["05-29 00:00:00", "06-30 00:00:00"], "the last workday");
    assert_eq!(runs("0 0 16W * *", 2), ["05-15 00:00:00", "06-16 00:00:00"], "a Saturday");
    assert_eq!(runs("0 0 * * FRI#2", 2), ["06-12 00:00:00", "07-10 00:00:00"]);
    assert_eq!(runs("0 0 * * 5L", 2), ["05-29 00:00:00", "06-26 00:00:00"]);
    assert_eq!(runs("0 0 ? * MON", 1), ["05-18 00:00:00"]);
}

/// Two lists of days are either, unless one of them begins with `*`: Vixie's cron, to the letter.
#[test]
fn days_of_the_month_and_of_the_week() {
    assert_eq!(
        runs("0 0 15 * MON", 3),
        ["05-15 00:00:00", "05-18 00:00:00", "05-25 00:00:00"],
        "either"
    );
    assert_eq!(
        runs("0 0 */2 * MON", 3),
        ["05-25 00:00:00", "06-01 00:00:00", "06-15 00:00:00"],
        "odd days that are Mondays"
    );
    assert_eq!(runs("0 0 */2 * *", 2), ["05-15 00:00:00", "05-17 00:00:00"]);
    assert_eq!(
        runs("0 0 13 * */5", 2),
        ["09-13 00:00:00", "11-13 00:00:00"],
        "Sundays and Fridays"
    );
}

#[test]
fn rare_days_are_found() {
    assert_eq!(runs("0 0 29 2 *", 2), ["02-29 00:00:00", "02-29 00:00:00"]);
    let leap = ticks(&cron("0 0 29 2 *", "UTC"), at("2096-03-01T00:00:00Z"), 1);
    assert_eq!(leap, [at("2104-02-29T00:00:00Z")], "2100 is no leap year");
    let sunday = ticks(&cron("0 0 29 2 */7", "UTC"), at("2088-03-01T00:00:00Z"), 1);
    assert_eq!(sunday, [at("2128-02-29T00:00:00Z")], "forty years, the longest");
}

#[test]
fn what_never_comes_has_no_next() {
    for never in ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 30W 2 *", "* * 31 2 *"] {
        let timetable = timetable(&cron(never, "Europe/Berlin")).unwrap();
        assert_eq!(timetable.next_after(at("2026-01-01T00:00:00Z")), None, "{never}");
    }
}

#[test]
fn the_end_of_time_is_no_defect() {
    let timetable = timetable(&cron("0 0 * * *", "Europe/Berlin")).unwrap();
    for beyond in [at("9999-12-30T22:00:00Z").0, u64::MAX, u64::MAX / 1_000, i64::MAX as u64] {
        assert_eq!(timetable.next_after(evenkeel_engine::Time(beyond)), None, "{beyond}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    let said = |expression: &str| timetable(&cron(expression, "UTC")).unwrap_err().to_string();
    assert_eq!(
        said("61 * * * *"),
        "the cron expression is not one: its minute is \"61\": Number out of bounds"
    );
    assert_eq!(said("0 0 1 MON *"), "the cron expression is not one: its month cannot be \"MON\"");
    let fields = "a cron expression has five fields (minute, hour, day of the month, month, day of \
                  the week), and may have one for the second before them";
    for wrong in ["", " ", "* * * *", "* * * * * * *", "hello"] {
        assert_eq!(said(wrong), fields, "{wrong:?}");
    }
    for wrong in [
        "@reboot",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 13 *",
        "* * * * 8",
        "5-1 * * * *",
        "*/0 * * * *",
        "1,,2 * * * *",
        ", * * * *",
        "1, * * * *",
        "JAN * * * *",
        "* * SUN * *",
        "* * * * JAN",
        "* * * * L",
        "* * L-3 * *",
        "* * 15W5 * *",
        "* * W * *",
        "* * * * MON#6",
        "* * * * +MON",
        "0/15 * * * *",
        "-1 * * * *",
        "+1 * * * *",
        "1.5 * * * *",
        "é * * * *",
        "* * ?5 * *",
        "? * * * *",
    ] {
        let error = timetable(&cron(wrong, "UTC")).unwrap_err();
        assert!(matches!(error, TimingError::Cron(_)), "{wrong}: {error}");
    }
    let long = format!("{} * * * *", "1,".repeat(CRON_BYTES_MAX));
    assert_eq!(timetable(&cron(&long, "UTC")).unwrap_err(), TimingError::CronTooLong);
}

#[test]
fn zones_are_those_of_the_database_that_is_built_in() {
    let wrong = |zone: &str| timetable(&cron("0 0 * * *", zone)).unwrap_err().to_string();
    assert_eq!(wrong("Europe/Berln"), "\"Europe/Berln\" is no time zone of the IANA database");
    assert_eq!(nearest_zone("Europe/Berln").as_deref(), Some("Europe/Berlin"));
    assert_eq!(nearest_zone("nowhere at all"), None);
    for zone in ["", "Berlin/Europe/Earth", "+01:00", "Etc/Unknown", "../etc/passwd"] {
        assert!(matches!(timetable(&cron("0 0 * * *", zone)).unwrap_err(), TimingError::Zone(_)));
    }
    for zone in ["europe/berlin", "UTC", "Etc/GMT+5", "America/Argentina/Buenos_Aires"] {
        timetable(&cron("0 0 * * *", zone)).unwrap();
    }
}
