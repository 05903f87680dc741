//! Schedules against naive models: of a clock, looked at second by second, and of what becomes of
//! ticks, kept as a list of all of them.

use super::{Desk, cron, domains, every, put, spec, ticks, timetable};
use evenkeel_domains::{
    Domains,
    schedules::{Action, CATCH_UP_MAX, COUNTED_MAX, GRACE_MS, Missed, Reply, Timing, Totals},
};
use evenkeel_engine::Time;
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use proptest::prelude::*;

const ZONES: [&str; 7] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Asia/Tokyo",
    "Africa/Casablanca",
];

/// A part of the day: which values, and how it is written.
#[derive(Debug, Clone)]
struct Part {
    values: Vec<i8>,
    text: String,
}

impl Part {
    fn is_star(&self) -> bool {
        self.text.starts_with('*')
    }
}

fn part(end: i8) -> impl Strategy<Value = Part> {
    let steps = (1..end).prop_map(move |step| Part {
        values: (0..end).step_by(usize::try_from(step).unwrap()).collect(),
        text: if step == 1 { "*".to_owned() } else { format!("*/{step}") },
    });
    let lists = proptest::collection::btree_set(0..end, 1..5).prop_map(|values| Part {
        text: values.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        values: values.into_iter().collect(),
    });
    prop_oneof![steps, lists.clone(), lists]
}

/// Every tick of a day's minutes and hours between two times, found by looking at a clock each minute.
fn looked_at(minute: &Part, hour: &Part, zone: &TimeZone, from: i64, until: i64) -> Vec<i64> {
    let names = |civil: DateTime| {
        minute.values.contains(&civil.minute()) && hour.values.contains(&civil.hour())
    };
    let clock = |second: i64| zone.to_datetime(Timestamp::from_second(second).unwrap());
    let mut found = Vec::new();
    let mut latest = clock(from - 86_400);
    for second in (from - 86_400..until).step_by(60) {
        let shows = clock(second);
        let passes = minute.is_star() || hour.is_star();
        let runs = if passes {
            names(shows)
        } else {
            // All that the clock has come to show since the latest time that it ever showed.
            let mut since = latest;
            let mut any = false;
            while since < shows {
                since = since.checked_add(jiff::Span::new().minutes(1)).unwrap();
                any |= names(since);
            }
            any
        };
        latest = latest.max(shows);
        if runs && second > from {
            found.push(second);
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn ticks_are_those_of_somebody_who_watches_the_clock(
        minute in part(60),
        hour in part(24),
        zone in proptest::sample::select(ZONES.to_vec()),
        // Days of 2024 to 2027, and a quarter of all times near a change.
        day in 19_723..21_184_i64,
        change in proptest::option::weighted(0.7, 0..8_usize),
    ) {
        let rules = TimeZone::get(zone).unwrap();
        let began = Timestamp::from_second(day * 86_400).unwrap();
        let near = change.and_then(|nth| rules.following(began).nth(nth));
        let from = near.map_or(began, |change| change.timestamp()).as_second() - 2 * 3_600;
        let until = from + 3 * 86_400;
        let expected = looked_at(&minute, &hour, &rules, from, until);
        let timing = cron(&format!("{} {} * * *", minute.text, hour.text), zone);
        let from = Time(u64::try_from(from).unwrap() * 1_000);
        let found: Vec<i64> = ticks(&timing, from, expected.len() + 1)
            .into_iter()
            .map(|tick| i64::try_from(tick.0 / 1_000).unwrap())
            .take_while(|tick| *tick < until)
            .collect();
        prop_assert_eq!(found, expected);
    }
}

/// Something that happens.
#[derive(Debug, Clone)]
enum Step {
    /// Time passes in one leap, the process being busy or down.
    Leap(u64),
    Restart,
    Pause,
    Resume,
    Put(u8),
    /// The queue goes, or comes back.
    Queue(bool),
    Delete,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..GRACE_MS).prop_map(Step::Leap),
        4 => (1..400_000_u64).prop_map(Step::Leap),
        1 => (1..90_000_000_u64).prop_map(Step::Leap),
        2 => Just(Step::Restart),
        1 => Just(Step::Pause),
        2 => Just(Step::Resume),
        2 => (0..6_u8).prop_map(Step::Put),
        1 => any::<bool>().prop_map(Step::Queue),
        1 => Just(Step::Delete),
    ]
}

fn timing(number: u8) -> Timing {
    match number % 3 {
        0 => every(7_000),
        1 => cron("*/5 * * * *", "Europe/Berlin"),
        _ => cron("*/20 * * * * *", "UTC"),
    }
}

/// A schedule, with nothing but a list of what is due.
struct Model {
    timing: Timing,
    since: Time,
    /// What was due up to here is dealt with.
    dealt: Time,
    paused: bool,
    totals: Totals,
}

impl Model {
    /// All that became due up to `now`, dealt with at once.
    fn deal(&mut self, now: Time, missed: Missed, queue: bool) -> u64 {
        let before = self.dealt;
        self.dealt = now;
        if self.paused {
            return 0;
        }
        let (due, interval) = match self.timing {
            Timing::Every { every_ms } => {
                let nth = |time: Time| (time.0 - self.since.0) / every_ms;
                let due = nth(before) + 1..=nth(now);
                (due.map(|n| self.since.plus_ms(n * every_ms)).collect(), true)
            }
            Timing::Cron { .. } => {
                let timetable = timetable(&self.timing).unwrap();
                let next = std::iter::successors(timetable.next_after(before), |last| {
                    timetable.next_after(*last)
                });
                (next.take_while(|tick| *tick <= now).collect::<Vec<Time>>(), false)
            }
        };
        let late = due.iter().filter(|tick| tick.0 + GRACE_MS < now.0).count() as u64;
        let all = due.len() as u64;
        let counted = |ticks: u64| if interval { ticks } else { ticks.min(COUNTED_MAX) };
        let (runs, not) = match missed {
            Missed::Skip => (all - late, counted(late)),
            Missed::Once if late > 0 => (1, counted(all) - 1),
            Missed::Once => (all, 0),
            Missed::All => {
                let made_up = late.min(CATCH_UP_MAX);
                (all - late + made_up, counted(late - made_up))
            }
        };
        self.totals.missed += not;
        if queue {
            self.totals.fired += runs;
            return runs;
        }
        self.totals.failed += runs;
        0
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_tick_fires_once_or_is_missed(
        steps in proptest::collection::vec(step(), 1..40),
        missed in proptest::sample::select(vec![Missed::Skip, Missed::Once, Missed::All]),
        first in 0..6_u8,
    ) {
        let mut desk = Desk::new();
        desk.until(super::at("2026-03-27T12:00:00Z"));
        let mut queue = true;
        let mut model: Option<Model> = None;
        for step in [Step::Put(first)].into_iter().chain(steps) {
            let mut fired = 0;
            match step {
                Step::Leap(ms) => {
                    desk.driver.pass(ms);
                    let now = desk.driver.now;
                    fired = model.as_mut().map_or(0, |model| model.deal(now, missed, queue));
                }
                Step::Restart => desk.restart(known(queue)),
                Step::Queue(there) => {
                    queue = there;
                    desk.restart(known(queue));
                }
                Step::Pause | Step::Resume => {
                    let pauses = matches!(step, Step::Pause);
                    let action = if pauses { Action::Pause } else { Action::Resume };
                    prop_assert_eq!(desk.ask(action).is_ok(), model.is_some());
                    if let Some(model) = &mut model {
                        model.paused = pauses;
                        model.dealt = desk.driver.now;
                    }
                }
                Step::Delete => {
                    prop_assert_eq!(desk.ask(Action::Delete).is_ok(), model.is_some());
                    model = None;
                }
                Step::Put(number) => {
                    let timing = timing(number);
                    let answered = desk.ask(put(spec(timing.clone(), missed)));
                    prop_assert_eq!(answered.is_ok(), queue);
                    if let Ok(Reply::Schedule(_, new)) = answered {
                        prop_assert_eq!(new, model.is_none());
                        model = Some(was_put(model, &timing, desk.driver.now));
                    }
                }
            }
            prop_assert_eq!(desk.sent().len() as u64, fired);
            let view = desk.view();
            prop_assert_eq!(view.is_some(), model.is_some());
            if let (Some(view), Some(model)) = (view, &model) {
                prop_assert_eq!((view.totals, view.paused), (model.totals, model.paused));
                prop_assert_eq!(view.since, model.since);
            }
        }
    }
}

fn known(queue: bool) -> Domains {
    let none = Domains::default();
    if queue { domains() } else { none }
}

fn was_put(model: Option<Model>, timing: &Timing, now: Time) -> Model {
    let fresh = Model {
        timing: timing.clone(),
        since: now,
        dealt: now,
        paused: false,
        totals: Totals::default(),
    };
    match model {
        None => fresh,
        Some(model) if model.timing == *timing => model,
        Some(model) => Model { paused: model.paused, totals: model.totals, ..fresh },
    }
}
