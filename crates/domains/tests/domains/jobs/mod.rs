//! Jobs, through the engine that runs them.

mod declared;
mod elsewhere;
mod heavy;
mod model;
mod order;
mod properties;
mod settings;
mod ways;

use crate::driver::{Driver, ID, TENANT};
use evenkeel_domains::{
    Command, Found, Query, Refusal, Reply,
    jobs::{
        self, Action, Enqueued, JobDetail, JobId, LeaseId, Leased, NewJob, PushRequest, PushSecret,
        Settings, State, When,
    },
};
use evenkeel_engine::{Failure, Stop};
use evenkeel_log::Incarnation;

/// Settings of which every bound is soon reached.
pub(crate) fn tight() -> Settings {
    Settings {
        max_backlog: 100,
        max_attempts: 3,
        max_crashes: 2,
        backoff_base_ms: 100,
        backoff_max_ms: 1_000,
        lease_ms: 1_000,
        lease_ms_max: 5_000,
        retention_ms: 20_000,
        dead_retention_ms: 40_000,
        result_bytes_max: 8,
        ageing_ms: 500,
        ..Settings::of(1)
    }
}

pub(crate) fn command(queue: &str, settings: Settings, action: Action) -> Command {
    let settings = Box::new(settings);
    Command::Jobs(jobs::Command { queue: queue.to_owned(), partition: ID.0, settings, action })
}

pub(crate) fn job(kind: &str) -> NewJob {
    NewJob {
        kind: kind.to_owned(),
        payload: format!("{{\"of\":\"{kind}\"}}"),
        unique_key: None,
        ordering_key: None,
        priority: 5,
        when: When::Now,
        after: Vec::new(),
        trace: None,
    }
}

/// Has jobs be sent there, signed with a secret of this byte.
pub(crate) fn pushed(url: &str, byte: u8) -> PushRequest {
    let secret = Some(PushSecret::new(vec![byte; 24]).unwrap());
    PushRequest { url: url.to_owned(), secret, timeout_ms: 1_000, concurrency_max: 8 }
}

pub(crate) fn in_order(kind: &str, key: &str) -> NewJob {
    NewJob { ordering_key: Some(key.to_owned()), ..job(kind) }
}

pub(crate) fn id(number: u64) -> JobId {
    JobId { partition: ID.0, number }
}

/// One queue, `q`.
pub(crate) struct Desk {
    pub(crate) driver: Driver,
    pub(crate) settings: Settings,
}

impl Desk {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { driver: Driver::new(evenkeel_engine::Options::default()), settings }
    }

    pub(crate) fn ask(&mut self, action: Action) -> Result<jobs::Reply, jobs::Refusal> {
        self.ask_of("q", action)
    }

    pub(crate) fn ask_of(
        &mut self,
        queue: &str,
        action: Action,
    ) -> Result<jobs::Reply, jobs::Refusal> {
        match self.driver.ask(command(queue, self.settings, action), None) {
            Ok(Reply::Jobs(reply)) => Ok(reply),
            Err(Failure::Refused(Refusal::Jobs(refusal))) => Err(refusal),
            other => panic!("{other:?}"),
        }
    }

    /// Changes what the queue says, from the next command on.
    pub(crate) fn set(&mut self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings);
        self.settings.version += 1;
    }

    pub(crate) fn enqueue_all(&mut self, jobs: Vec<NewJob>) -> Vec<Enqueued> {
        match self.ask(Action::Enqueue(jobs)).unwrap() {
            jobs::Reply::Enqueued(taken) => taken,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn enqueue(&mut self, job: NewJob) -> u64 {
        self.enqueue_all(vec![job])[0].job
    }

    pub(crate) fn lease(&mut self, max: u32) -> Vec<Leased> {
        let lease = Action::Lease { worker: "w".into(), max, lease_ms: None };
        match self.ask(lease).unwrap() {
            jobs::Reply::Leased(leased, _) => leased,
            other => panic!("{other:?}"),
        }
    }

    /// The jobs that a lease of so many gives, and nothing else of them.
    pub(crate) fn leased(&mut self, max: u32) -> Vec<u64> {
        self.lease(max).iter().map(|leased| leased.job).collect()
    }

    pub(crate) fn complete(&mut self, leased: &Leased) -> Result<State, jobs::Refusal> {
        let (job, lease) = (leased.job, leased.lease);
        standing(self.ask(Action::Complete { job, lease, result: None }))
    }

    pub(crate) fn fail(&mut self, leased: &Leased, retry: bool) -> Result<State, jobs::Refusal> {
        let (job, lease) = (leased.job, leased.lease);
        standing(self.ask(Action::Fail { job, lease, error: "no".into(), retry }))
    }

    pub(crate) fn query(&self, query: &jobs::Query) -> Result<jobs::Found, jobs::Refusal> {
        read(&self.driver, query)
    }

    pub(crate) fn get(&self, number: u64) -> Option<JobDetail> {
        get(&self.driver, "q", number)
    }

    pub(crate) fn state(&self, number: u64) -> Option<State> {
        self.get(number).map(|detail| detail.job.state)
    }
}

pub(crate) fn standing(
    answered: Result<jobs::Reply, jobs::Refusal>,
) -> Result<State, jobs::Refusal> {
    match answered? {
        jobs::Reply::Job(standing) => Ok(standing.state),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn read(driver: &Driver, query: &jobs::Query) -> Result<jobs::Found, jobs::Refusal> {
    let view = driver.partition.view();
    let query = Query::Jobs(query.clone());
    match evenkeel_domains::query(&view, driver.now, Incarnation(1), TENANT, &query) {
        Ok(Found::Jobs(found)) => Ok(found),
        Err(Stop::Refused(Refusal::Jobs(refusal))) => Err(refusal),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn get(driver: &Driver, queue: &str, number: u64) -> Option<JobDetail> {
    let query = jobs::Query::Job { queue: queue.to_owned(), job: id(number) };
    match read(driver, &query) {
        Ok(jobs::Found::Job(detail)) => Some(*detail),
        Err(jobs::Refusal::NoJob) => None,
        other => panic!("{other:?}"),
    }
}

/// A lease that nobody has.
pub(crate) const NOBODYS: LeaseId = LeaseId { attempt: 1, fence: 7 };
