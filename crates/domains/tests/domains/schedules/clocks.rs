//! Clocks that are changed: what Vixie's cron does, and people expect.

use super::{at, cron, every, shown, ticks};

/// The ticks of an expression in a zone after a time, as that zone's clocks show them.
fn runs(expression: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let ticks = ticks(&cron(expression, zone), at(after), count);
    ticks.into_iter().map(|tick| shown(tick, zone)).collect()
}

#[test]
fn what_berlin_skips_runs_once_as_the_clock_goes_on() {
    let (zone, eve) = ("Europe/Berlin", "2026-03-28T12:00:00Z");
    assert_eq!(
        runs("30 2 * * *", zone, eve, 2),
        ["03-29 03:00:00+02", "03-30 02:30:00+02"],
        "a time that is skipped"
    );
    assert_eq!(
        runs("0,20,40 2 * * *", zone, eve, 2),
        ["03-29 03:00:00+02", "03-30 02:00:00+02"],
        "several are one run"
    );
    assert_eq!(
        runs("0 2,3 * * *", zone, eve, 3),
        ["03-29 03:00:00+02", "03-30 02:00:00+02", "03-30 03:00:00+02"],
        "and one with the time at which the clock goes on"
    );
    assert_eq!(
        runs("0 2,14 * * *", zone, eve, 3),
        ["03-28 14:00:00+01", "03-29 03:00:00+02", "03-29 14:00:00+02"],
        "a list of times is a list of times"
    );
    assert_eq!(
        runs("0 1 * * *", zone, eve, 2),
        ["03-29 01:00:00+01", "03-30 01:00:00+02"],
        "what is not skipped is not touched"
    );
    assert_eq!(
        runs("0 0 2 * * *", zone, eve, 1),
        ["03-29 03:00:00+02"],
        "with a field for the second"
    );
    assert_eq!(
        runs("30 2 29 3 *", zone, eve, 2),
        ["03-29 03:00:00+02", "03-29 02:30:00+02"],
        "once a year; in 2027 clocks change the day before"
    );
}

#[test]
fn what_berlin_shows_twice_runs_once() {
    let (zone, eve) = ("Europe/Berlin", "2026-10-24T12:00:00Z");
    let twice = ["10-25 02:30:00+02", "10-26 02:30:00+01"];
    assert_eq!(runs("30 2 * * *", zone, eve, 2), twice, "the first time");
    assert_eq!(
        runs("0,59 2 * * *", zone, eve, 3),
        ["10-25 02:00:00+02", "10-25 02:59:00+02", "10-26 02:00:00+01"]
    );
    // Asked while the clock shows it for the second time.
    assert_eq!(runs("30 2 * * *", zone, "2026-10-25T01:15:00Z", 1), ["10-26 02:30:00+01"]);
    assert_eq!(runs("30 2 * * *", zone, "2026-10-25T00:45:00Z", 1), ["10-26 02:30:00+01"]);
    assert_eq!(
        runs("0 3 * * *", zone, eve, 2),
        ["10-25 03:00:00+01", "10-26 03:00:00+01"],
        "what is shown once is not touched"
    );
}

#[test]
fn what_runs_as_time_passes_does() {
    let zone = "Europe/Berlin";
    assert_eq!(
        runs("0 * * * *", zone, "2026-03-29T00:00:00Z", 2),
        ["03-29 03:00:00+02", "03-29 04:00:00+02"],
        "every hour that there is"
    );
    assert_eq!(
        runs("0 * * * *", zone, "2026-10-24T23:30:00Z", 4),
        ["10-25 02:00:00+02", "10-25 02:00:00+01", "10-25 03:00:00+01", "10-25 04:00:00+01"],
        "and every one of those shown twice"
    );
    assert_eq!(
        runs("*/30 2 * * *", zone, "2026-03-28T12:00:00Z", 2),
        ["03-30 02:00:00+02", "03-30 02:30:00+02"],
        "an hour that is skipped is skipped"
    );
    assert_eq!(
        runs("*/30 2 * * *", zone, "2026-10-24T12:00:00Z", 5),
        [
            "10-25 02:00:00+02",
            "10-25 02:30:00+02",
            "10-25 02:00:00+01",
            "10-25 02:30:00+01",
            "10-26 02:00:00+01"
        ],
        "one that comes twice comes twice"
    );
    assert_eq!(
        runs("*/45 2 25 10 *", zone, "2026-10-25T00:50:00Z", 1),
        ["10-25 02:00:00+01"],
        "also if the first is over"
    );
    assert_eq!(
        runs("*/20 * * * * *", zone, "2026-03-29T00:59:30Z", 3),
        ["03-29 01:59:40+01", "03-29 03:00:00+02", "03-29 03:00:20+02"],
        "seconds"
    );
}

#[test]
fn new_york_changes_at_two() {
    let zone = "America/New_York";
    let (spring, autumn) = ("2026-03-07T17:00:00Z", "2026-10-31T17:00:00Z");
    assert_eq!(runs("30 2 * * *", zone, spring, 2), ["03-08 03:00:00-04", "03-09 02:30:00-04"]);
    assert_eq!(runs("30 1 * * *", zone, autumn, 2), ["11-01 01:30:00-04", "11-02 01:30:00-05"]);
    assert_eq!(
        runs("30 * * * *", zone, "2026-03-08T06:00:00Z", 2),
        ["03-08 01:30:00-05", "03-08 03:30:00-04"]
    );
    assert_eq!(
        runs("30 * * * *", zone, "2026-11-01T05:00:00Z", 3),
        ["11-01 01:30:00-04", "11-01 01:30:00-05", "11-01 02:30:00-05"]
    );
    assert_eq!(runs("0 0 1 * *", zone, spring, 2), ["04-01 00:00:00-04", "05-01 00:00:00-04"]);
}

/// Half an hour, at two: 02:00 to 02:30 in October, and 02:00 back to 01:30 in April.
#[test]
fn lord_howe_changes_by_half_an_hour() {
    let zone = "Australia/Lord_Howe";
    let (spring, autumn) = ("2026-10-03T00:00:00Z", "2026-04-04T00:00:00Z");
    assert_eq!(runs("15 2 * * *", zone, spring, 2), ["10-04 02:30:00+11", "10-05 02:15:00+11"]);
    assert_eq!(runs("45 2 * * *", zone, spring, 1), ["10-04 02:45:00+11"]);
    assert_eq!(runs("45 1 * * *", zone, autumn, 2), ["04-05 01:45:00+11", "04-06 01:45:00+10:30"]);
    assert_eq!(
        runs("*/15 1,2 * * *", zone, "2026-04-04T14:25:00Z", 5),
        [
            "04-05 01:30:00+11",
            "04-05 01:45:00+11",
            "04-05 01:30:00+10:30",
            "04-05 01:45:00+10:30",
            "04-05 02:00:00+10:30"
        ]
    );
}

/// Clocks that change at midnight: the day begins at one.
#[test]
fn santiago_has_days_without_a_midnight() {
    let zone = "America/Santiago";
    assert_eq!(
        runs("0 0 * * *", zone, "2026-09-05T12:00:00Z", 2),
        ["09-06 01:00:00-03", "09-07 00:00:00-03"]
    );
    assert_eq!(
        runs("0 0 * * SUN", zone, "2026-09-05T12:00:00Z", 2),
        ["09-06 01:00:00-03", "09-13 00:00:00-03"]
    );
}

/// A zone may change by a whole day.
#[test]
fn apia_had_no_30_december() {
    let zone = "Pacific/Apia";
    assert_eq!(
        runs("0 9 * * *", zone, "2011-12-29T23:00:00Z", 3),
        ["12-31 00:00:00+14", "12-31 09:00:00+14", "01-01 09:00:00+14"]
    );
    assert_eq!(
        runs("0 */12 * * *", zone, "2011-12-29T20:00:00Z", 3),
        ["12-29 12:00:00-10", "12-31 00:00:00+14", "12-31 12:00:00+14"]
    );
}

#[test]
fn where_clocks_are_not_changed_all_days_are_alike() {
    for zone in ["UTC", "Asia/Tokyo", "Asia/Kolkata"] {
        let fixed = ticks(&cron("30 2 * * *", zone), at("2026-01-01T00:00:00Z"), 800);
        assert!(fixed.windows(2).all(|pair| pair[1].0 - pair[0].0 == 86_400_000), "{zone}");
        let hourly = ticks(&cron("15 * * * *", zone), at("2026-01-01T00:00:00Z"), 800);
        assert!(hourly.windows(2).all(|pair| pair[1].0 - pair[0].0 == 3_600_000), "{zone}");
    }
    assert_eq!(
        runs("0 12 * * *", "Asia/Kolkata", "2026-01-01T00:00:00Z", 1),
        ["01-01 12:00:00+05:30"]
    );
}

#[test]
fn an_interval_knows_no_clocks_and_does_not_drift() {
    let ticks = ticks(&every(7_000), at("2026-03-28T22:00:00.500Z"), 3_000);
    assert!(ticks.iter().all(|tick| tick.0 % 7_000 == 0), "counted from where it began");
    assert!(ticks.windows(2).all(|pair| pair[1].0 - pair[0].0 == 7_000));
}
