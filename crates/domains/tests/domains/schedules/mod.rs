//! Schedules: when they are due, and what the engine that runs them does about it.

mod clocks;
mod cron;
pub(crate) mod declared;
mod firing;
mod hostile;
mod model;

use crate::driver::{Driver, ID, TENANT};
use evenkeel_domains::{
    Command, Domains, Found, Item, Query, Refusal, Reply, jobs,
    meta::Meta,
    schedules::{
        self, Action, JobSpec, Missed, ScheduleView, Spec, Timetable, Timing, TimingError,
    },
};
use evenkeel_engine::{Failure, OUTBOX_ID, Options, Parcel, Partition, Stop, Time};
use evenkeel_log::Incarnation;
use evenkeel_state::{Effect, Layer, Row, State, Store};
use jiff::{Timestamp, tz::TimeZone};
use std::{collections::BTreeMap, sync::Arc};

pub(crate) fn cron(cron: &str, timezone: &str) -> Timing {
    Timing::Cron { cron: cron.to_owned(), timezone: timezone.to_owned() }
}

pub(crate) fn every(every_ms: u64) -> Timing {
    Timing::Every { every_ms }
}

/// A time as `2026-03-29T01:00:00Z` or with another offset.
pub(crate) fn at(text: &str) -> Time {
    let timestamp: Timestamp = text.parse().unwrap();
    Time(u64::try_from(timestamp.as_millisecond()).unwrap())
}

/// A time as the clocks of `zone` show it, with the offset: `03-29 03:00:00+02`.
pub(crate) fn shown(time: Time, zone: &str) -> String {
    let timestamp = Timestamp::from_millisecond(i64::try_from(time.0).unwrap()).unwrap();
    let zone = TimeZone::get(zone).unwrap();
    let offset = zone.to_offset(timestamp);
    let civil = offset.to_datetime(timestamp);
    let (month, day) = (civil.month(), civil.day());
    format!("{month:02}-{day:02} {}{offset}", civil.time())
}

pub(crate) fn timetable(timing: &Timing) -> Result<Timetable, TimingError> {
    Timetable::new(timing, Time(0))
}

/// The next ticks after `after`.
pub(crate) fn ticks(timing: &Timing, after: Time, count: usize) -> Vec<Time> {
    let timetable = timetable(timing).unwrap();
    let next =
        std::iter::successors(timetable.next_after(after), |last| timetable.next_after(*last));
    next.take(count).collect()
}

pub(crate) fn spec(timing: Timing, missed: Missed) -> Spec {
    let job = JobSpec {
        kind: "report".into(),
        payload: "{}".into(),
        unique_key: None,
        ordering_key: None,
        priority: 4,
    };
    Spec { timing, queue: "mail".into(), job, missed }
}

pub(crate) fn command(schedule: &str, action: Action) -> Command {
    Command::Schedules(schedules::Command { schedule: schedule.to_owned(), action })
}

pub(crate) fn put(spec: Spec) -> Action {
    Action::Put(Box::new(spec))
}

/// Meta with a queue, `mail`, that uses three partitions.
pub(crate) fn domains() -> Domains {
    let mut meta = Meta::default();
    let queues = BTreeMap::from([("mail".to_owned(), jobs::Settings::of(3))]);
    meta.queues.insert(TENANT, Arc::new(queues));
    Domains { meta: Arc::new(meta), ..Domains::default() }
}

/// A partition with schedules, and what they have fired.
pub(crate) struct Desk {
    pub(crate) driver: Driver,
    /// Records that were looked at for what was sent.
    seen: usize,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self { driver: Driver::knowing(domains(), ID, Options::default()), seen: 0 }
    }

    /// What a process finds that starts now: the log, and other knowledge of meta.
    pub(crate) fn restart(&mut self, domains: Domains) {
        let store = Store::memory().unwrap();
        let state = State::open(&store, ID).unwrap();
        let driver = &mut self.driver;
        driver.partition = Partition::new(ID, domains, Options::default(), state);
        driver.store = store;
        driver.log.iter().for_each(|record| driver.partition.follow(record).unwrap());
        driver.partition.announce(driver.now);
        driver.settle();
    }

    pub(crate) fn ask(&mut self, action: Action) -> Result<schedules::Reply, schedules::Refusal> {
        match self.driver.ask(command("s", action), None) {
            Ok(Reply::Schedules(reply)) => Ok(reply),
            Err(Failure::Refused(Refusal::Schedules(refusal))) => Err(refusal),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn put(&mut self, spec: Spec) -> ScheduleView {
        match self.ask(put(spec)).unwrap() {
            schedules::Reply::Schedule(view, _) => *view,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn view(&self) -> Option<ScheduleView> {
        match read(&self.driver, schedules::Query::Schedule { schedule: "s".into() }) {
            Ok(schedules::Found::Schedule(view)) => Some(*view),
            Err(schedules::Refusal::NoSchedule) => None,
            other => panic!("{other:?}"),
        }
    }

    /// Lets the clock stand at `now`, and what is due happen.
    pub(crate) fn until(&mut self, now: Time) {
        self.driver.now = now;
        self.driver.settle();
    }

    /// Jobs that were sent since this was last asked: the partition, the queue and the job.
    pub(crate) fn sent(&mut self) -> Vec<(u16, String, jobs::NewJob)> {
        let mut sent = Vec::new();
        for record in &self.driver.log[self.seen..] {
            for effect in Layer::decode(record.body()).unwrap().effects() {
                let Effect::Put { key: [OUTBOX_ID, to @ ..], row } = effect else { continue };
                let to = u16::from_be_bytes([to[0], to[1]]);
                let parcel = Parcel::decode(row).unwrap();
                assert_eq!(parcel.tenant, TENANT);
                let Item::Jobs(item) = postcard::from_bytes(&parcel.item).unwrap() else {
                    panic!("schedules send jobs")
                };
                let jobs::Item::Enqueue { queue, partition, settings, jobs } = item else {
                    panic!("{item:?}")
                };
                assert_eq!(to, partition, "it is told where it is");
                assert!(settings.max_backlog < jobs::Settings::of(3).max_backlog, "a share");
                sent.extend(jobs.into_iter().map(|job| (to, queue.clone(), job)));
            }
        }
        self.seen = self.driver.log.len();
        sent
    }
}

pub(crate) fn read(
    driver: &Driver,
    query: schedules::Query,
) -> Result<schedules::Found, schedules::Refusal> {
    let view = driver.partition.view();
    let query = Query::Schedules(query);
    match evenkeel_domains::query(&view, driver.now, Incarnation(1), TENANT, &query) {
        Ok(Found::Schedules(found)) => Ok(found),
        Err(Stop::Refused(Refusal::Schedules(refusal))) => Err(refusal),
        other => panic!("{other:?}"),
    }
}
