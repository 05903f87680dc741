//! Meters: what is recorded is what is delivered, slot by slot and thread by thread.

use evenkeel_contract::{Failure, Meter, Outcome, WINDOW_S, metric, render_prometheus};

const START_S: u64 = 1_000_000;

fn meter() -> Meter {
    Meter::new(&["shelf_empty"], START_S)
}

#[test]
fn a_window_counts_what_was_recorded() {
    let meter = meter();
    for at in 0..60 {
        meter.record(Outcome::Ok, 2_000, Some(3), START_S + at);
    }
    meter.record(Outcome::Refused("shelf_empty"), 1_000, None, START_S + 60);
    meter.record(Outcome::Refused("never_declared"), 1_000, None, START_S + 60);
    meter.record(Outcome::Failed(Failure::Overloaded), 50, None, START_S + 60);
    meter.record(Outcome::Failed(Failure::NotFound), 50, None, START_S + 60);
    meter.add_appends(7, START_S + 60);
    meter.add_barriers(2, START_S + 60);
    meter.add_replay(START_S + 60);

    let delivered = meter.snapshot(START_S + 64);
    assert_eq!((delivered.requests, delivered.window_s), (64, 64));
    assert!((delivered.rate_per_s - 1.0).abs() < 1e-9);
    assert_eq!(
        (delivered.ok, delivered.refused, delivered.rejected, delivered.errors),
        (60, 2, 1, 1)
    );
    assert_eq!(delivered.outcomes["shelf_empty"], 1);
    assert_eq!(delivered.outcomes["refused"], 1, "a code that was not declared");
    assert_eq!(delivered.outcomes.len(), 5);
    assert_eq!((delivered.appends, delivered.barriers, delivered.replays), (7, 2, 1));
    assert_eq!((delivered.eligible_since_start, delivered.errors_since_start), (63, 1));
    let p99 = delivered.latency_p99_ms.unwrap();
    assert!((p99 - 2.0).abs() <= 2.0 / 16.0, "{p99}");
    assert_eq!(delivered.staleness_p99_ms, Some(3.0));
}

#[test]
fn what_is_older_than_the_window_leaves_it_and_stays_in_the_lifetime() {
    let meter = meter();
    meter.record(Outcome::Failed(Failure::Internal), 10, None, START_S);
    meter.record(Outcome::Ok, 10, None, START_S + 20);
    assert_eq!(meter.snapshot(START_S + 20).requests, 2);
    assert_eq!(meter.snapshot(START_S + WINDOW_S).requests, 1, "the first slot has left");
    let later = meter.snapshot(START_S + 10 * WINDOW_S);
    assert_eq!((later.requests, later.window_s >= WINDOW_S - 10), (0, true));
    assert_eq!(later.latency_p99_ms, None);
    assert_eq!((later.eligible_since_start, later.errors_since_start), (2, 1));
    assert_eq!(meter.lifetime().requests, 2);
}

#[test]
fn what_is_spent_before_the_first_request_of_a_window_counts_in_it() {
    let meter = meter();
    let later_s = START_S + 2 * WINDOW_S;
    meter.add_appends(1, later_s);
    meter.record(Outcome::Ok, 10, None, later_s);
    assert_eq!(meter.snapshot(later_s).appends, 1);
    meter.add_barriers(1, later_s + WINDOW_S);
    meter.record(Outcome::Ok, 10, None, later_s + WINDOW_S);
    assert_eq!(meter.snapshot(later_s + WINDOW_S).barriers, 1);
    meter.add_replay(later_s + 2 * WINDOW_S);
    meter.record(Outcome::Ok, 10, None, later_s + 2 * WINDOW_S);
    assert_eq!(meter.snapshot(later_s + 2 * WINDOW_S).replays, 1);
}

/// Against a plain list: any steps of time, any window, many times round the ring.
#[test]
fn slots_agree_with_a_list_of_everything() {
    let meter = meter();
    let mut all = Vec::new();
    let (mut now_s, mut seed) = (START_S, 12_345_u64);
    for _ in 0..5_000 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let draw = seed >> 33;
        now_s += match draw % 100 {
            0 => 400 + draw % 1_000,
            1..=40 => draw % 23,
            _ => 0,
        };
        meter.record(Outcome::Ok, draw % 5_000, None, now_s);
        all.push(now_s);
        let first_s = (now_s / 10 - 29) * 10;
        let expected = all.iter().rev().take_while(|at| **at >= first_s).count() as u64;
        assert_eq!(meter.snapshot(now_s).requests, expected, "at {now_s}");
    }
}

#[test]
fn a_clock_that_stands_behind_loses_nothing() {
    let meter = meter();
    meter.record(Outcome::Ok, 10, None, START_S + 50);
    meter.record(Outcome::Ok, 10, None, START_S + 20);
    meter.record(Outcome::Ok, 10, None, 0);
    assert_eq!(meter.snapshot(START_S + 50).requests, 3);
    assert_eq!(meter.snapshot(0).window_s, 1);
}

#[test]
fn threads_lose_no_request_while_slots_change() {
    const THREADS: u64 = 4;
    const EACH: u64 = 20_000;
    let meter = meter();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for at in 0..EACH {
                    meter.record(Outcome::Ok, at, Some(1), START_S + at / 100);
                }
            });
        }
    });
    let lifetime = meter.lifetime();
    assert_eq!(lifetime.requests, THREADS * EACH);
    assert_eq!(lifetime.outcomes["ok"], THREADS * EACH);
    assert_eq!(lifetime.latency_sum_us, THREADS * (EACH * (EACH - 1) / 2));
    assert_eq!(meter.snapshot(START_S + EACH / 100).requests, THREADS * EACH);
}

#[test]
fn the_metrics_page_is_cumulative_and_grouped_by_family() {
    let meter = meter();
    meter.record(Outcome::Ok, 100, None, START_S);
    meter.record(Outcome::Ok, 3_000, None, START_S);
    meter.record(Outcome::Refused("shelf_empty"), 1 << 40, None, START_S);
    let mut page = String::new();
    render_prometheus(
        &[("library.lend", meter.lifetime()), ("library.shelf", self::meter().lifetime())],
        &mut page,
    );
    for line in [
        "evenkeel_path_requests_total{path=\"library.lend\",code=\"ok\"} 2",
        "evenkeel_path_requests_total{path=\"library.lend\",code=\"shelf_empty\"} 1",
        "evenkeel_path_latency_seconds_bucket{path=\"library.lend\",le=\"0.000128\"} 1",
        "evenkeel_path_latency_seconds_bucket{path=\"library.lend\",le=\"0.002048\"} 1",
        "evenkeel_path_latency_seconds_bucket{path=\"library.lend\",le=\"0.004096\"} 2",
        "evenkeel_path_latency_seconds_bucket{path=\"library.lend\",le=\"67.108864\"} 2",
        "evenkeel_path_latency_seconds_bucket{path=\"library.lend\",le=\"+Inf\"} 3",
        "evenkeel_path_latency_seconds_count{path=\"library.lend\"} 3",
        "evenkeel_path_appends_total{path=\"library.shelf\"} 0",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n{page}");
    }
    for name in metric::EVERY_PATH {
        let types =
            page.lines().filter(|line| line.starts_with(&format!("# TYPE {name} "))).count();
        assert_eq!(types, 1, "{name}");
    }
}
