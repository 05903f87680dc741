//! Jobs of several partitions: they wait for each other by way of the outbox.

use super::{command, job, tight};
use crate::driver::{Driver, TENANT};
use evenkeel_domains::{
    Command, Item, Refusal as AnyRefusal, Reply as AnyReply,
    jobs::{
        self, Action, Enqueued, Found, HeadPolicy, Item as JobsItem, JobDetail, JobId, NewJob,
        Query, Refusal, Reply, Settings, State, WaitingFor,
    },
};
use evenkeel_engine::{Delivery, Failure, Mark, Options, Parcel, dead_deliveries};
use evenkeel_log::{Incarnation, PartitionId};

/// Some partitions, and all that is on its way between them.
struct Floor {
    drivers: Vec<Driver>,
    settings: Settings,
}

impl Floor {
    fn new(partitions: u16) -> Self {
        let drivers = (0..partitions).map(|id| Driver::of(PartitionId(id), Options::default()));
        Self { drivers: drivers.collect(), settings: tight() }
    }

    fn ask(&mut self, partition: u16, action: Action) -> Result<Reply, Refusal> {
        let Command::Jobs(asked) = command("q", self.settings, action) else { unreachable!() };
        let asked = Command::Jobs(jobs::Command { partition, ..asked });
        match self.drivers[usize::from(partition)].ask(asked, None) {
            Ok(AnyReply::Jobs(reply)) => Ok(reply),
            Err(Failure::Refused(AnyRefusal::Jobs(refusal))) => Err(refusal),
            other => panic!("{other:?}"),
        }
    }

    fn enqueue(&mut self, partition: u16, job: NewJob) -> JobId {
        let Ok(Reply::Enqueued(taken)) = self.ask(partition, Action::Enqueue(vec![job])) else {
            panic!()
        };
        let Enqueued { job: number, .. } = taken[0];
        JobId { partition, number }
    }

    fn complete(&mut self, partition: u16) -> u64 {
        let lease = Action::Lease { worker: "w".into(), max: 1, lease_ms: None };
        let Ok(Reply::Leased(leased, _)) = self.ask(partition, lease) else { panic!() };
        let (job, lease) = (leased[0].job, leased[0].lease);
        self.ask(partition, Action::Complete { job, lease, result: None }).unwrap();
        job
    }

    fn get(&self, id: JobId) -> Option<JobDetail> {
        super::get(&self.drivers[usize::from(id.partition)], "q", id.number)
    }

    fn state(&self, id: JobId) -> Option<State> {
        self.get(id).map(|detail| detail.job.state)
    }

    /// Carries everything until nothing is under way.
    fn carry(&mut self) {
        loop {
            let mut carried = 0;
            for at in 0..self.drivers.len() {
                self.drivers[at].settle();
                let by = PartitionId(u16::try_from(at).unwrap());
                for (to, delivery) in std::mem::take(&mut self.drivers[at].sent) {
                    self.drivers[usize::from(to.0)].partition.deliver(delivery);
                    carried += 1;
                }
                for (to, through) in std::mem::take(&mut self.drivers[at].acknowledged) {
                    self.drivers[usize::from(to.0)].partition.acknowledged(by, through);
                    carried += 1;
                }
            }
            if carried == 0 {
                return;
            }
        }
    }

    fn wait_ms(&mut self, ms: u64) {
        self.drivers.iter_mut().for_each(|driver| driver.now = driver.now.plus_ms(ms));
        self.carry();
    }

    /// Nothing died on its way.
    fn check(&self) {
        for driver in &self.drivers {
            assert_eq!(dead_deliveries(&driver.partition.view(), 9).unwrap(), []);
            assert_eq!(driver.partition.outbox_stats().rows, 0);
        }
    }
}

fn after(ids: &[JobId]) -> NewJob {
    NewJob { after: ids.to_vec(), ..job("next") }
}

#[test]
fn a_job_runs_after_jobs_of_other_partitions() {
    let mut floor = Floor::new(3);
    let first = floor.enqueue(0, job("first"));
    let second = floor.enqueue(1, job("second"));
    let third = floor.enqueue(2, job("third"));
    let waiter = floor.enqueue(2, after(&[first, second, third, second]));
    floor.carry();
    let waits = |count, first| Some(WaitingFor::Jobs { count, first: Some(first) });
    assert_eq!(floor.get(waiter).unwrap().waiting_for, waits(3, third));
    assert_eq!(floor.complete(2), third.number);
    assert_eq!(floor.get(waiter).unwrap().waiting_for, waits(2, first), "or the other elsewhere");
    floor.complete(0);
    floor.carry();
    assert_eq!(floor.state(waiter), Some(State::Waiting));
    floor.complete(1);
    floor.carry();
    assert_eq!(floor.complete(2), waiter.number);
    floor.check();
}

#[test]
fn what_is_over_when_somebody_begins_to_wait_is_told_at_once() {
    let mut floor = Floor::new(2);
    let first = floor.enqueue(0, job("first"));
    floor.complete(0);
    let waiter = floor.enqueue(1, after(&[first]));
    assert_eq!(floor.state(waiter), Some(State::Waiting), "nobody here knows yet");
    floor.carry();
    assert_eq!(floor.state(waiter), Some(State::Ready));
    floor.check();
}

#[test]
fn who_waits_elsewhere_in_vain_is_a_dead_letter_that_says_so() {
    let mut floor = Floor::new(2);
    let cancelled = floor.enqueue(0, job("first"));
    floor.ask(0, Action::Cancel { job: cancelled.number }).unwrap();
    let never = JobId { partition: 0, number: 77 };
    let later = floor.enqueue(0, job("first"));
    let waiters: Vec<JobId> =
        [cancelled, never, later].iter().map(|id| floor.enqueue(1, after(&[*id]))).collect();
    floor.carry();
    assert_eq!(floor.state(waiters[2]), Some(State::Waiting));
    floor.ask(0, Action::Cancel { job: later.number }).unwrap();
    floor.carry();
    for (waiter, of) in waiters.iter().zip([cancelled, never, later]) {
        let detail = floor.get(*waiter).unwrap();
        assert_eq!(detail.job.state, State::Dead);
        let error = detail.job.error.unwrap().text;
        assert!(error.starts_with(&format!("job {of}, which it was to run after,")), "{error}");
    }
    // Of a partition that there is not, everybody knows.
    let nowhere = JobId { partition: 16, number: 1 };
    let refused = floor.ask(1, Action::Enqueue(vec![after(&[nowhere])]));
    assert_eq!(refused, Err(Refusal::NoAfter(nowhere)));
    floor.check();
}

#[test]
fn a_dead_letter_that_is_forgotten_is_told_elsewhere() {
    let mut floor = Floor::new(2);
    let first = floor.enqueue(0, job("first"));
    let waiter = floor.enqueue(1, after(&[first]));
    floor.carry();
    let lease = Action::Lease { worker: "w".into(), max: 1, lease_ms: None };
    let Ok(Reply::Leased(leased, _)) = floor.ask(0, lease) else { panic!() };
    let (job, lease) = (leased[0].job, leased[0].lease);
    let error = "no".to_owned();
    floor.ask(0, Action::Fail { job, lease, error, retry: false }).unwrap();
    floor.wait_ms(floor.settings.dead_retention_ms - 1);
    assert_eq!(floor.state(waiter), Some(State::Waiting), "it can still be brought back");
    floor.wait_ms(1);
    assert_eq!(floor.state(waiter), Some(State::Dead));
}

#[test]
fn many_elsewhere_are_told_in_steps() {
    let mut floor = Floor::new(2);
    floor.settings.max_backlog = 10_000;
    let first = floor.enqueue(0, job("first"));
    for _ in 0..10 {
        floor.ask(1, Action::Enqueue(vec![after(&[first]); 100])).unwrap();
    }
    floor.carry();
    floor.complete(0);
    floor.carry();
    for _ in 0..10 {
        let lease = Action::Lease { worker: "w".into(), max: 100, lease_ms: None };
        let Ok(Reply::Leased(leased, _)) = floor.ask(1, lease) else { panic!() };
        assert_eq!(leased.len(), 100);
    }
    floor.wait_ms(2_000);
    floor.check();
}

fn arriving(items: &[JobsItem]) -> Delivery {
    let parcels = items.iter().map(|item| Parcel {
        incarnation: Incarnation(1),
        tenant: TENANT,
        at: crate::driver::START,
        item: postcard::to_stdvec(&Item::Jobs(item.clone())).unwrap(),
    });
    Delivery { from: PartitionId(9), after: Mark::default(), parcels: parcels.collect() }
}

#[test]
fn jobs_that_are_delivered_are_taken_in_however_many_wait() {
    let mut floor = Floor::new(1);
    floor.settings.max_backlog = 1;
    floor.enqueue(0, job("first"));
    assert!(matches!(
        floor.ask(0, Action::Enqueue(vec![job("second")])),
        Err(Refusal::BacklogFull { .. })
    ));
    let unique = NewJob { unique_key: Some("u".into()), ..job("mail") };
    let in_vain = after(&[JobId { partition: 0, number: 77 }]);
    let item = |queue: &str| JobsItem::Enqueue {
        queue: queue.to_owned(),
        partition: 0,
        settings: Box::new(floor.settings),
        jobs: vec![unique.clone(), unique.clone(), job("mail"), in_vain.clone()],
    };
    let items = [item("q"), item("q"), item("new")];
    floor.drivers[0].partition.deliver(arriving(&items));
    floor.drivers[0].settle();
    let counts = |queue: &str| {
        let query = Query::Queue { queue: queue.to_owned(), after: None };
        match super::read(&floor.drivers[0], &query) {
            Ok(Found::Queue(view)) => {
                (view.counts[State::Ready as usize], view.counts[State::Dead as usize])
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((counts("q"), counts("new")), ((4, 2), (2, 1)));
    floor.check();
}

/// With all that a job can have, and each waiting for another: elsewhere, and perhaps in vain.
#[test]
fn the_largest_item_fits() {
    let name = |at: usize| format!("{at:0>128}");
    let (elsewhere, never) =
        (JobId { partition: 0, number: 100 }, JobId { partition: 1, number: 100 });
    for (after, state) in [(vec![elsewhere], State::Waiting), (vec![elsewhere, never], State::Dead)]
    {
        let mut floor = Floor::new(2);
        let largest = |at: usize| NewJob {
            kind: name(at),
            payload: "p".repeat(4_096),
            unique_key: Some(name(at)),
            ordering_key: Some(name(at)),
            after: after.clone(),
            trace: Some("t".repeat(55)),
            ..job("x")
        };
        let item = JobsItem::Enqueue {
            queue: "q".to_owned(),
            partition: 1,
            settings: Box::new(Settings { head: HeadPolicy::DeadLetter, ..floor.settings }),
            jobs: (0..jobs::ITEM_JOBS_MAX).map(largest).collect(),
        };
        floor.drivers[1].partition.deliver(arriving(&[item]));
        floor.drivers[1].settle();
        let dead = dead_deliveries(&floor.drivers[1].partition.view(), 9).unwrap();
        assert_eq!(dead.first().map(|dead| &dead.why), None);
        let query = Query::Queue { queue: "q".to_owned(), after: None };
        let Ok(Found::Queue(view)) = super::read(&floor.drivers[1], &query) else { panic!() };
        assert_eq!(view.counts[state as usize], jobs::ITEM_JOBS_MAX as u64);
        let rows = floor.drivers[1].partition.outbox_stats().rows;
        assert_eq!(rows, jobs::ITEM_JOBS_MAX as u64);
    }
}

/// What one job's end elsewhere does here may be much: a head that waited in vain takes its line with it,
/// and each of that has all that a job can have.
#[test]
fn a_head_that_waited_elsewhere_in_vain_takes_its_line_with_it() {
    let mut floor = Floor::new(2);
    floor.settings.head = HeadPolicy::DeadLetter;
    let cause = floor.enqueue(0, job("cause"));
    let name = |at: usize| format!("{at:0>128}");
    let line: Vec<JobId> = (0..80)
        .map(|at| NewJob {
            unique_key: Some(name(at)),
            ordering_key: Some("o".into()),
            after: if at == 0 { vec![cause] } else { Vec::new() },
            ..job(&name(at))
        })
        .map(|job| floor.enqueue(1, job))
        .collect();
    floor.carry();
    floor.ask(0, Action::Cancel { job: cause.number }).unwrap();
    floor.carry();
    floor.check();
    let dead = line.iter().filter(|job| floor.state(**job) == Some(State::Dead)).count();
    assert_eq!(dead, 80);
}

/// Golden values: what is on its way when a server is replaced by a newer one must be readable there.
#[test]
fn items_never_change() {
    let (of, other) = (JobId { partition: 1, number: 2 }, JobId { partition: 3, number: 4 });
    let bytes = |item: JobsItem| postcard::to_stdvec(&Item::Jobs(item)).unwrap();
    assert_eq!(bytes(JobsItem::Await { of, waiter: other }), [0, 1, 1, 2, 3, 4]);
    assert_eq!(bytes(JobsItem::Told { waiter: 5, of, done: true }), [0, 2, 5, 1, 2, 1]);
    let settings = Box::new(Settings::of(1));
    let enqueue = JobsItem::Enqueue { queue: "q".into(), partition: 7, settings, jobs: Vec::new() };
    let bytes = bytes(enqueue);
    assert_eq!(bytes[..5], [0, 0, 1, b'q', 7]);
    assert_eq!(bytes.last(), Some(&0), "no jobs, behind the settings");
}
