//! What becomes of ticks: in time, late, paused, without a queue.

use super::{Desk, at, cron, domains, every, put, spec};
use evenkeel_domains::{
    Domains, jobs,
    schedules::{
        Action, CATCH_UP_MAX, COUNTED_MAX, GRACE_MS, Missed, Refusal, STEP_TICKS_MAX, Spec,
        TimingError, Totals,
    },
};
use evenkeel_engine::Time;
use std::collections::BTreeSet;

const MINUTE: u64 = 60_000;

/// A desk whose clock stands at the beginning of an hour, with a schedule for every minute.
fn minutely(missed: Missed) -> (Desk, Time) {
    let mut desk = Desk::new();
    let start = at("2026-05-13T10:00:00Z");
    desk.until(start);
    let view = desk.put(spec(cron("* * * * *", "Europe/Berlin"), missed));
    assert_eq!(view.next, Some(start.plus_ms(MINUTE)));
    (desk, start)
}

fn totals(desk: &Desk) -> Totals {
    desk.view().unwrap().totals
}

fn of(fired: u64, missed: u64) -> Totals {
    Totals { fired, missed, failed: 0 }
}

#[test]
fn a_tick_enqueues_its_job_where_that_belongs() {
    let mut desk = Desk::new();
    let mut keyed = spec(every(1_000), Missed::Skip);
    keyed.job.payload = "{\"a\":1}".into();
    keyed.job.ordering_key = Some("o".into());
    keyed.job.unique_key = Some("u".into());
    keyed.job.priority = 9;
    let view = desk.put(keyed.clone());
    let began = desk.driver.now;
    assert_eq!(view.next_runs(), [1, 2, 3, 4, 5].map(|tick| began.plus_ms(tick * 1_000)));
    desk.driver.pass(999);
    assert_eq!(desk.sent(), []);
    desk.driver.pass(1);
    let sent = desk.sent();
    let [(to, queue, job)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(queue, "mail");
    assert_eq!((job.kind.as_str(), job.payload.as_str()), ("report", "{\"a\":1}"));
    assert_eq!((job.unique_key.as_deref(), job.ordering_key.as_deref()), (Some("u"), Some("o")));
    assert_eq!((job.priority, job.when, job.after.len()), (9, jobs::When::Now, 0));
    let spread = jobs::Spread::Key("o");
    let place = jobs::place("default", "mail", &jobs::Settings::of(3), spread, 16);
    assert_eq!(*to, place.0, "all of an ordering key are in one place");
    let view = desk.view().unwrap();
    assert_eq!((view.totals, view.last_run_at), (of(1, 0), Some(desk.driver.now)));
    assert_eq!(view.next, Some(began.plus_ms(2_000)));
}

#[test]
fn jobs_without_keys_are_spread_over_their_queue() {
    let mut desk = Desk::new();
    desk.put(spec(every(1_000), Missed::All));
    for _ in 0..40 {
        desk.driver.pass(1_000);
    }
    let used: BTreeSet<u16> = desk.sent().into_iter().map(|(to, ..)| to).collect();
    let settings = jobs::Settings::of(3);
    let places = jobs::places("default", "mail", &settings, 16).map(|place| place.0);
    assert_eq!(used, places.collect());
    desk.put({
        let mut unique = spec(every(1_000), Missed::All);
        unique.job.unique_key = Some("u".into());
        unique
    });
    for _ in 0..10 {
        desk.driver.pass(1_000);
    }
    let used: BTreeSet<u16> = desk.sent().into_iter().map(|(to, ..)| to).collect();
    assert_eq!(used.len(), 1, "or the key would not be unique");
}

#[test]
fn an_interval_does_not_drift_however_late_its_timers_are() {
    let mut desk = Desk::new();
    desk.put(spec(every(10_000), Missed::Skip));
    let began = desk.driver.now;
    for tick in 1..100 {
        desk.driver.pass(10_000 + tick % 7);
        let next = desk.view().unwrap().next.unwrap();
        assert_eq!((next.0 - began.0) % 10_000, 0);
    }
    assert_eq!(desk.sent().len(), 99);
}

#[test]
fn a_tick_within_the_grace_is_in_time() {
    for missed in [Missed::Skip, Missed::Once, Missed::All] {
        let (mut desk, start) = minutely(missed);
        desk.until(start.plus_ms(MINUTE + GRACE_MS));
        assert_eq!((desk.sent().len(), totals(&desk)), (1, of(1, 0)), "{missed:?}");
    }
    let (mut desk, start) = minutely(Missed::Skip);
    desk.until(start.plus_ms(MINUTE + GRACE_MS + 1));
    assert_eq!((desk.sent().len(), totals(&desk)), (0, of(0, 1)));
}

#[test]
fn late_ticks_are_skipped_made_one_or_made_up_for() {
    for (missed, fired) in [(Missed::Skip, 1), (Missed::Once, 1), (Missed::All, 10)] {
        let (mut desk, start) = minutely(missed);
        desk.until(start.plus_ms(10 * MINUTE + 1));
        assert_eq!(desk.sent().len() as u64, fired, "{missed:?}");
        assert_eq!(totals(&desk), of(fired, 10 - fired));
        assert_eq!(desk.view().unwrap().next, Some(start.plus_ms(11 * MINUTE)));
        desk.until(start.plus_ms(11 * MINUTE));
        assert_eq!(desk.sent().len(), 1, "and goes on");
    }
}

#[test]
fn what_is_late_fires_after_a_restart_and_once() {
    for (missed, fired) in [(Missed::Skip, 0), (Missed::Once, 1), (Missed::All, 10)] {
        let (mut desk, start) = minutely(missed);
        desk.driver.now = start.plus_ms(10 * MINUTE + GRACE_MS + 1);
        desk.restart(domains());
        assert_eq!(desk.sent().len() as u64, fired, "{missed:?}");
        desk.restart(domains());
        desk.restart(domains());
        assert_eq!((desk.sent().len(), totals(&desk)), (0, of(fired, 10 - fired)));
    }
}

/// All three bounds at once: a step, an outage, and what is counted.
#[test]
fn making_up_has_bounds() {
    let (mut desk, start) = minutely(Missed::All);
    let records = desk.driver.log.len();
    let ticks = CATCH_UP_MAX + COUNTED_MAX + 500;
    desk.until(start.plus_ms(ticks * MINUTE + GRACE_MS + 1));
    assert_eq!(desk.sent().len() as u64, CATCH_UP_MAX, "the oldest");
    assert_eq!(totals(&desk), of(CATCH_UP_MAX, COUNTED_MAX), "at least so many");
    let steps = desk.driver.log.len() - records;
    assert!(steps * STEP_TICKS_MAX >= usize::try_from(CATCH_UP_MAX).unwrap(), "a step is small");
    assert_eq!(desk.view().unwrap().next, Some(start.plus_ms((ticks + 1) * MINUTE)));
    // The next outage has its own bound.
    desk.until(start.plus_ms((ticks + 10) * MINUTE + GRACE_MS + 1));
    assert_eq!(desk.sent().len(), 10);

    let mut desk = Desk::new();
    desk.put(spec(every(1_000), Missed::Skip));
    desk.driver.pass(86_400_000);
    let in_time = GRACE_MS / 1_000 + 1;
    assert_eq!(totals(&desk), of(in_time, 86_400 - in_time), "of an interval all are counted");
}

#[test]
fn large_jobs_make_small_steps() {
    let mut desk = Desk::new();
    let mut large = spec(every(1_000), Missed::All);
    large.job.payload = format!("\"{}\"", "x".repeat(60_000));
    desk.put(large);
    let records = desk.driver.log.len();
    desk.driver.pass(20_000);
    assert_eq!(desk.sent().len(), 20);
    let log = &desk.driver.log[records..];
    assert!(log.iter().all(|record| record.body().len() < 512 * 1_024), "records stay small");
}

#[test]
fn what_is_due_while_paused_is_neither_fired_nor_missed() {
    let (mut desk, start) = minutely(Missed::All);
    desk.until(start.plus_ms(2 * MINUTE));
    desk.ask(Action::Pause).unwrap();
    let view = desk.view().unwrap();
    assert!(view.paused && view.next.is_none() && view.next_runs().is_empty());
    desk.until(start.plus_ms(100 * MINUTE + 1));
    assert_eq!((desk.sent().len(), totals(&desk)), (2, of(2, 0)));
    let at = desk.driver.log.len();
    desk.ask(Action::Pause).unwrap();
    assert_eq!(desk.driver.log.len(), at, "it is paused already");
    // Put while it is paused: it stays so.
    desk.put(spec(cron("* * * * *", "Europe/Berlin"), Missed::Once));
    assert!(desk.view().unwrap().paused);
    desk.ask(Action::Resume).unwrap();
    assert_eq!(desk.view().unwrap().next, Some(start.plus_ms(101 * MINUTE)));
    desk.until(start.plus_ms(101 * MINUTE));
    assert_eq!((desk.sent().len(), totals(&desk)), (1, of(3, 0)));
    let at = desk.driver.log.len();
    desk.ask(Action::Resume).unwrap();
    assert_eq!(desk.driver.log.len(), at, "it is not paused");
}

#[test]
fn to_put_again_changes_what_it_says_and_nothing_else() {
    let mut desk = Desk::new();
    let began = desk.driver.now;
    let first = spec(every(10_000), Missed::Skip);
    desk.put(first.clone());
    desk.driver.pass(14_000);
    let at = desk.driver.log.len();
    let view = desk.put(first.clone());
    assert_eq!(desk.driver.log.len(), at, "nothing changed, nothing is written");
    assert_eq!((view.totals, view.created_at, view.since), (of(1, 0), began, began));

    let mut other = first;
    other.job.kind = "other".into();
    desk.driver.pass(1_000);
    let view = desk.put(other.clone());
    assert_eq!(view.next, Some(began.plus_ms(20_000)), "the beat is the same");
    desk.driver.pass(5_000);
    let kinds: Vec<String> = desk.sent().into_iter().map(|(_, _, job)| job.kind).collect();
    assert_eq!(kinds, ["report", "other"]);

    other.timing = every(7_000);
    desk.driver.pass(500);
    let view = desk.put(other);
    let now = desk.driver.now;
    assert_eq!((view.since, view.next), (now, Some(now.plus_ms(7_000))), "another beat");
    assert_eq!(view.totals, of(2, 0), "what was counted stays");
    desk.driver.pass(7_000);
    assert_eq!(desk.sent().len(), 1, "the old timer is gone");
}

#[test]
fn what_is_deleted_is_gone() {
    let (mut desk, start) = minutely(Missed::All);
    desk.ask(Action::Delete).unwrap();
    assert_eq!(desk.view(), None);
    desk.until(start.plus_ms(10 * MINUTE));
    assert_eq!(desk.sent(), []);
    for action in [Action::Delete, Action::Pause, Action::Resume] {
        assert_eq!(desk.ask(action).unwrap_err(), Refusal::NoSchedule);
    }
    let view = desk.put(spec(every(1_000), Missed::Skip));
    assert_eq!((view.totals, view.created_at), (of(0, 0), desk.driver.now), "a new one");
}

#[test]
fn what_can_never_be_due_is_refused() {
    let mut desk = Desk::new();
    let mut refused = |spec: Spec| desk.ask(put(spec)).unwrap_err();
    let bad = |timing| spec(timing, Missed::Skip);
    let never = refused(bad(cron("0 0 30 2 *", "UTC")));
    assert_eq!(never, Refusal::BadTiming(TimingError::Never));
    for wrong in [bad(cron("x", "UTC")), bad(cron("* * * * *", "Mars")), bad(every(999))] {
        assert!(matches!(refused(wrong), Refusal::BadTiming(_)));
    }
    assert_eq!(refused(bad(every(u64::MAX))), Refusal::BadTiming(TimingError::Every));
    let mut nowhere = bad(every(1_000));
    nowhere.queue = "mial".into();
    assert_eq!(refused(nowhere), Refusal::NoQueue { queue: "mial".into() });
    assert_eq!(desk.view(), None);
}

/// It was there when the schedule was put.
#[test]
fn a_queue_that_has_gone_is_counted_and_told() {
    let (mut desk, start) = minutely(Missed::Skip);
    desk.restart(Domains::default());
    desk.until(start.plus_ms(MINUTE));
    let view = desk.view().unwrap();
    assert_eq!(view.totals, Totals { fired: 0, missed: 0, failed: 1 });
    let error = "there is no queue \"mail\"".to_owned();
    assert_eq!(view.last_error, Some((desk.driver.now, error)));
    assert_eq!(view.next, Some(start.plus_ms(2 * MINUTE)), "it goes on");
    desk.restart(domains());
    desk.until(start.plus_ms(2 * MINUTE));
    assert_eq!(desk.sent().len(), 1, "the queue is back");
}
