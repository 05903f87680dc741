//! A job's ways through its states, one at a time.

use super::{Desk, NOBODYS, id, job, standing, tight};
use evenkeel_domains::jobs::{
    Action, Cursor, DeadFilter, EVENT_RETENTION_MS, Found, JobId, LeaseId, Leased, NewJob, Query,
    QueueEvent, Refusal, Reply, Settings, State, WaitingFor, When, all_readiness, readiness,
    readiness_of,
};

#[test]
fn a_job_is_done() {
    let mut desk = Desk::new(tight());
    let number = desk.enqueue(job("mail"));
    assert_eq!(desk.get(number).unwrap().waiting_for, Some(WaitingFor::Worker { since: None }));
    let leased = desk.lease(10).remove(0);
    assert_eq!((leased.job, leased.lease.attempt), (number, 1));
    assert_eq!(leased.payload, "{\"of\":\"mail\"}");
    let (job, lease) = (number, leased.lease);
    let complete = Action::Complete { job, lease, result: Some("7".into()) };
    assert_eq!(standing(desk.ask(complete.clone())), Ok(State::Done));
    let written = desk.driver.log.len();
    assert_eq!(standing(desk.ask(complete)), Ok(State::Done), "said twice, answered twice");
    assert_eq!(desk.driver.log.len(), written, "and done once");
    assert_eq!(desk.get(number).unwrap().result.unwrap().text, "7");
    desk.driver.pass(20_000);
    assert_eq!(desk.state(number), None, "it was kept as long as the queue says");
}

#[test]
fn a_lease_that_finds_nothing_costs_nothing() {
    let mut desk = Desk::new(tight());
    let written = desk.driver.log.len();
    assert!(desk.leased(1).is_empty());
    assert_eq!(desk.driver.log.len(), written, "of a queue that nobody has heard of");
    desk.enqueue(job("mail"));
    desk.lease(1);
    let written = desk.driver.log.len();
    assert!(desk.leased(1).is_empty());
    assert_eq!(desk.driver.log.len(), written);
}

/// I9: a stale lease changes nothing, whatever it says.
#[test]
fn a_stale_lease_changes_nothing() {
    let mut desk = Desk::new(tight());
    let job = desk.enqueue(job("mail"));
    let first = desk.lease(1).remove(0);
    desk.driver.pass(1_000);
    let second = desk.lease(1).remove(0);
    assert!(second.lease.fence > first.lease.fence, "whoever comes later has the higher fence");
    assert_eq!((second.job, second.lease.attempt, second.crashes), (job, 2, 1));
    let written = desk.driver.log.len();
    let mixed = [
        LeaseId { attempt: 2, ..first.lease },
        LeaseId { attempt: 1, ..second.lease },
        NOBODYS,
        first.lease,
    ];
    for lease in mixed {
        for said in [
            Action::Complete { job, lease, result: None },
            Action::Fail { job, lease, error: "no".into(), retry: true },
            Action::Extend { job, lease, lease_ms: 1 },
            Action::Snooze { job, lease, delay_ms: 1 },
            Action::Progress { job, lease, progress: "x".into() },
        ] {
            let refused = desk.ask(said).unwrap_err();
            assert!(matches!(refused, Refusal::StaleLease(now) if now.state == State::Leased));
        }
    }
    assert_eq!(desk.driver.log.len(), written, "nothing was changed");
    assert_eq!(desk.complete(&second), Ok(State::Done));
    assert!(desk.complete(&first).is_err(), "and the other's word is not taken for its own");
}

/// Whether or not the timer has come: at its end a lease is over.
#[test]
fn a_lease_ends_at_its_end() {
    let mut desk = Desk::new(tight());
    desk.enqueue(job("mail"));
    let leased = desk.lease(1).remove(0);
    desk.driver.now = leased.expires_at;
    assert!(matches!(desk.complete(&leased), Err(Refusal::StaleLease(_))));
}

#[test]
fn an_extension_is_as_long_as_asked_or_refused() {
    let mut desk = Desk::new(tight());
    let job = desk.enqueue(job("mail"));
    let leased = desk.lease(1).remove(0);
    let lease = leased.lease;
    let too_long = desk.ask(Action::Extend { job, lease, lease_ms: 5_001 });
    assert_eq!(too_long, Err(Refusal::LeaseTooLong { max_ms: 5_000 }));
    let Ok(Reply::Job(standing)) = desk.ask(Action::Extend { job, lease, lease_ms: 5_000 }) else {
        panic!()
    };
    assert_eq!(standing.at, desk.driver.now.plus_ms(5_000));
    desk.driver.pass(4_999);
    assert_eq!(desk.complete(&leased), Ok(State::Done));
}

#[test]
fn crashes_and_failures_have_budgets_of_their_own() {
    let mut desk = Desk::new(tight());
    let number = desk.enqueue(job("mail"));
    for failures in 1..=2 {
        let leased = desk.lease(1).remove(0);
        assert_eq!(leased.failures, failures - 1);
        assert_eq!(desk.fail(&leased, true), Ok(State::Retry));
        desk.driver.pass(2_000);
    }
    desk.lease(1);
    desk.driver.pass(1_000);
    assert_eq!(desk.state(number), Some(State::Ready), "the first crash is tried again at once");
    desk.lease(1);
    desk.driver.pass(1_000);
    let detail = desk.get(number).unwrap();
    assert_eq!((detail.job.state, detail.job.failures, detail.job.crashes), (State::Dead, 2, 2));
    assert_eq!(detail.job.error.unwrap().text, "2 leases ended without a word");
}

#[test]
fn the_last_attempt_makes_a_dead_letter() {
    let mut desk = Desk::new(tight());
    desk.enqueue(job("mail"));
    for state in [State::Retry, State::Retry, State::Dead] {
        let leased = desk.lease(1).remove(0);
        assert_eq!(desk.fail(&leased, true), Ok(state));
        desk.driver.pass(2_000);
    }
}

#[test]
fn a_job_that_is_not_worth_a_retry_is_dead_and_comes_back() {
    let mut desk = Desk::new(tight());
    let number = desk.enqueue(job("mail"));
    let leased = desk.lease(1).remove(0);
    assert_eq!(desk.fail(&leased, false), Ok(State::Dead));
    let retry = |job| Action::Retry { job, by: "ada".into() };
    assert_eq!(standing(desk.ask(retry(number))), Ok(State::Ready));
    assert_eq!(desk.ask(retry(number)), Err(Refusal::NotDead(State::Ready)));
    let again = desk.lease(1).remove(0);
    assert_eq!((again.lease.attempt, again.failures), (2, 0), "its budget is full again");
    assert!(desk.complete(&leased).is_err(), "the lease of before is not");
    let query = Query::Events { queue: "q".into(), after: None, limit: 9 };
    let Ok(Found::Events(events, false)) = desk.query(&query) else { panic!() };
    let events: Vec<QueueEvent> = events.into_iter().map(|event| event.event).collect();
    let replayed = QueueEvent::Replayed { by: "ada".into(), count: 1, jobs: (number, number) };
    assert_eq!(events[1], replayed, "and it is known who did it");
    assert_eq!(events.len(), 2);
}

#[test]
fn events_are_kept_for_a_time() {
    let mut desk = Desk::new(tight());
    for _ in 0..300 {
        desk.enqueue(job("mail"));
        let leased = desk.lease(1).remove(0);
        desk.fail(&leased, false).unwrap();
    }
    let read = |desk: &Desk, after| {
        let query = Query::Events { queue: "q".into(), after, limit: 1_000 };
        let Ok(Found::Events(events, reset)) = desk.query(&query) else { panic!() };
        (events, reset)
    };
    let (events, _) = read(&desk, None);
    let second = events[1].position;
    assert_eq!(second.sequence, 2);
    let (rest, reset) = read(&desk, Some(second));
    assert_eq!((rest[0].position.sequence, reset), (3, false));
    desk.driver.pass(EVENT_RETENTION_MS - 1);
    assert_eq!(read(&desk, None).0.len(), events.len());
    desk.driver.pass(1);
    assert_eq!(read(&desk, None), (Vec::new(), false), "all of them, in steps");
    assert_eq!(read(&desk, Some(second)), (Vec::new(), true), "who was behind is told");
}

#[test]
fn a_cancelled_job_is_told_at_its_next_word() {
    let mut desk = Desk::new(tight());
    let waiting = desk.enqueue(job("mail"));
    assert_eq!(standing(desk.ask(Action::Cancel { job: waiting })), Ok(State::Cancelled));
    assert!(desk.leased(1).is_empty());
    let running = desk.enqueue(job("mail"));
    let leased = desk.lease(1).remove(0);
    assert_eq!(standing(desk.ask(Action::Cancel { job: running })), Ok(State::Leased));
    let written = desk.driver.log.len();
    assert_eq!(standing(desk.ask(Action::Cancel { job: running })), Ok(State::Leased));
    assert_eq!(desk.driver.log.len(), written, "it is to stop already");
    let extend = Action::Extend { job: running, lease: leased.lease, lease_ms: 1_000 };
    let Ok(Reply::Job(standing)) = desk.ask(extend) else { panic!() };
    assert!(standing.cancel);
    assert_eq!(desk.fail(&leased, true), Ok(State::Cancelled), "and it is not tried again");
}

#[test]
fn progress_survives_its_worker() {
    let mut desk = Desk::new(tight());
    let job = desk.enqueue(job("mail"));
    let lease = desk.lease(1).remove(0).lease;
    desk.ask(Action::Progress { job, lease, progress: "page 7".into() }).unwrap();
    desk.driver.pass(1_000);
    assert_eq!(desk.lease(1)[0].progress.as_deref(), Some("page 7"));
}

#[test]
fn a_unique_key_is_free_when_its_job_is_over() {
    let mut desk = Desk::new(tight());
    let unique = || NewJob { unique_key: Some("ada".into()), ..job("mail") };
    let number = desk.enqueue(unique());
    let elsewhere = NewJob { ordering_key: Some("o".into()), ..unique() };
    assert_ne!(desk.enqueue(elsewhere), number, "it is unique within its ordering key");
    desk.driver.pass(10_000);
    let again = desk.enqueue_all(vec![unique(), unique()]);
    assert!(again.iter().all(|taken| taken.duplicate && taken.job == number));
    let leased = desk.lease(1).remove(0);
    assert_eq!(desk.enqueue(unique()), number, "also while it runs");
    desk.fail(&leased, false).unwrap();
    let next = desk.enqueue(unique());
    assert_ne!(next, number);
    let taken = desk.ask(Action::Retry { job: number, by: "ada".into() });
    assert_eq!(taken, Err(Refusal::UniqueKeyTaken { job: next }));
    // Its row is the other's: to cancel the dead one does not free the key.
    desk.ask(Action::Cancel { job: number }).unwrap();
    assert_eq!(desk.enqueue(unique()), next);
}

/// The lowest priority runs too: one that is ready long enough before is first.
#[test]
fn priorities_age() {
    let mut desk = Desk::new(tight());
    let of = |priority| NewJob { priority, ..job("mail") };
    let low = desk.enqueue(of(0));
    let high = desk.enqueue(of(9));
    let first = desk.lease(1).remove(0);
    assert_eq!(first.job, high);
    desk.complete(&first).unwrap();
    desk.driver.pass(9 * 500 - 1);
    let high = desk.enqueue(of(9));
    desk.driver.pass(2);
    let late = desk.enqueue(of(9));
    assert_eq!(desk.leased(3)[..], [high, low, late]);
}

#[test]
fn the_backlog_is_full_for_low_priorities_first() {
    let mut desk = Desk::new(Settings { max_backlog: 50, ..tight() });
    let of = |priority, count| vec![NewJob { priority, ..job("mail") }; count];
    desk.enqueue_all(of(0, 41));
    let full = Err(Refusal::BacklogFull { backlog: 41, max: 41 });
    assert_eq!(desk.ask(Action::Enqueue(of(0, 1))), full);
    desk.enqueue_all(of(9, 8));
    let too_many = desk.ask(Action::Enqueue(of(9, 2)));
    assert_eq!(too_many, Err(Refusal::BacklogFull { backlog: 50, max: 50 }), "all or none");
    desk.enqueue_all(of(9, 1));
    desk.lease(1);
    desk.enqueue_all(of(9, 1));
}

#[test]
fn a_limit_is_the_number_of_live_leases() {
    let mut desk = Desk::new(Settings { concurrency_limit: Some(2), ..tight() });
    let numbers: Vec<u64> =
        desk.enqueue_all(vec![job("mail"); 4]).iter().map(|taken| taken.job).collect();
    let leased = desk.lease(10);
    assert_eq!(leased.len(), 2);
    let waiting_for = desk.get(numbers[2]).unwrap().waiting_for;
    assert_eq!(waiting_for, Some(WaitingFor::Limit { limit: 2 }));
    desk.complete(&leased[0]).unwrap();
    assert_eq!(desk.leased(10), [numbers[2]]);
    desk.driver.pass(1_000);
    assert_eq!(desk.leased(10).len(), 2, "a slot cannot leak: its lease has ended");
}

#[test]
fn a_paused_queue_leases_nothing() {
    let mut desk = Desk::new(tight());
    let number = desk.enqueue(job("mail"));
    desk.set(|settings| settings.paused = true);
    assert!(desk.leased(1).is_empty());
    assert_eq!(desk.get(number).unwrap().waiting_for, Some(WaitingFor::Paused));
    desk.settings.paused = false;
    assert!(desk.leased(1).is_empty(), "of the same version: it is not news");
    desk.set(|settings| settings.paused = false);
    assert_eq!(desk.leased(1), [number]);
}

#[test]
fn a_job_is_not_started_before_its_time() {
    let mut desk = Desk::new(tight());
    let at = desk.driver.now.plus_ms(700);
    let number = desk.enqueue(NewJob { when: When::At(at), ..job("mail") });
    assert_eq!(desk.get(number).unwrap().waiting_for, Some(WaitingFor::Due(at)));
    desk.driver.pass(699);
    assert!(desk.leased(1).is_empty());
    desk.driver.pass(1);
    assert_eq!(desk.leased(1), [number]);
}

/// Whoever leads workers is told what there is to lease whenever that changes, and whenever jobs come
/// or go.
#[test]
fn what_there_is_to_lease_is_told() {
    let mut desk = Desk::new(Settings { concurrency_limit: Some(1), ..tight() });
    let leasable = |desk: &mut Desk| {
        let told = std::mem::take(&mut desk.driver.changed);
        let entity = *told.last()?;
        let found = readiness(&desk.driver.partition.view(), entity).unwrap().unwrap();
        let named = readiness_of(&desk.driver.partition.view(), found.tenant, "q").unwrap();
        assert_eq!(named.as_ref(), Some(&found));
        let all = all_readiness(&desk.driver.partition.view()).unwrap();
        assert_eq!(all, std::slice::from_ref(&found));
        Some(found.next.leasable)
    };
    desk.enqueue(NewJob { when: When::DelayMs(100), ..job("late") });
    assert_eq!(leasable(&mut desk), Some(0), "one has come, which is not due");
    desk.driver.pass(100);
    assert_eq!(leasable(&mut desk), Some(1), "it is due");
    let leased = desk.lease(1).remove(0);
    assert_eq!(leasable(&mut desk), Some(0));
    desk.enqueue(job("next"));
    assert_eq!(leasable(&mut desk), Some(0), "there is no slot for it");
    let (job_id, lease) = (leased.job, leased.lease);
    desk.ask(Action::Extend { job: job_id, lease, lease_ms: 50 }).unwrap();
    desk.ask(Action::Progress { job: job_id, lease, progress: "half".into() }).unwrap();
    assert_eq!(leasable(&mut desk), None, "nothing has come or gone");
    desk.complete(&leased).unwrap();
    assert_eq!(leasable(&mut desk), Some(1), "now there is a slot");
    desk.set(|settings| settings.paused = true);
    desk.lease(1);
    assert_eq!(leasable(&mut desk), Some(0), "the queue is paused");
    desk.set(|settings| settings.paused = false);
    desk.ask(Action::Lease { worker: "w".into(), max: 0, lease_ms: None }).unwrap();
    assert_eq!(leasable(&mut desk), Some(1), "the settings alone tell");
}

#[test]
fn a_job_runs_after_those_that_it_names() {
    let mut desk = Desk::new(tight());
    let first = desk.enqueue(job("fetch"));
    let Ok(Reply::Enqueued(other)) = desk.ask_of("other", Action::Enqueue(vec![job("b")])) else {
        panic!()
    };
    let other = other[0].job;
    let after = vec![id(first), id(other), id(first)];
    let number = desk.enqueue(NewJob { after, ..job("join") });
    let waits = WaitingFor::Jobs { count: 2, first: Some(id(first)) };
    assert_eq!(desk.get(number).unwrap().waiting_for, Some(waits));
    let leased = desk.lease(5);
    assert_eq!(leased.len(), 1);
    desk.complete(&leased[0]).unwrap();
    assert_eq!(desk.state(number), Some(State::Waiting));
    let worker = Action::Lease { worker: "w".into(), max: 1, lease_ms: None };
    let Ok(Reply::Leased(leased, _)) = desk.ask_of("other", worker) else { panic!() };
    let (job, lease) = (leased[0].job, leased[0].lease);
    desk.ask_of("other", Action::Complete { job, lease, result: None }).unwrap();
    assert_eq!(desk.leased(5), [number], "a job of another queue tells it too");
}

#[test]
fn what_can_never_be_done_is_not_waited_for() {
    let mut desk = Desk::new(tight());
    let after = |id| Action::Enqueue(vec![NewJob { after: vec![id], ..job("next") }]);
    let nowhere = JobId { partition: 16, number: 1 };
    for unknown in [id(1), nowhere] {
        assert_eq!(desk.ask(after(unknown)), Err(Refusal::NoAfter(unknown)));
    }
    let first = desk.enqueue(job("first"));
    desk.ask(after(id(first))).unwrap();
    let second = desk.enqueue_all(vec![NewJob { after: vec![id(first)], ..job("second") }])[0].job;
    desk.ask(Action::Cancel { job: first }).unwrap();
    assert_eq!(desk.state(second), Some(State::Dead));
    assert_eq!(desk.ask(after(id(first))), Err(Refusal::NoAfter(id(first))));
}

#[test]
fn dead_letters_are_replayed_by_what_they_are() {
    let mut desk = Desk::new(Settings { max_backlog: 1_000, ..tight() });
    let mut died = Vec::new();
    for at in 0..6 {
        desk.enqueue(job(["mail", "scale"][at % 2]));
        let leased = desk.lease(1).remove(0);
        let (job, lease) = (leased.job, leased.lease);
        let error = format!("no such address {at}");
        desk.ask(Action::Fail { job, lease, error, retry: false }).unwrap();
        died.push((job, desk.driver.now));
        desk.driver.pass(10);
    }
    let ask = |desk: &mut Desk, filter: DeadFilter, after, max, dry_run| {
        let by = "ada".to_owned();
        match desk.ask(Action::Replay { filter, after, max, dry_run, pace: None, by }).unwrap() {
            Reply::Replayed(replayed) => (replayed.jobs, replayed.next),
            other => panic!("{other:?}"),
        }
    };
    let mail = DeadFilter { kind: Some("mail".into()), ..DeadFilter::default() };
    let error = DeadFilter { error: Some("address 3".into()), ..DeadFilter::default() };
    let (from, until) = (Some(died[2].1), Some(died[4].1));
    let time = DeadFilter { from, until, ..DeadFilter::default() };
    for (filter, expected) in [(&mail, vec![0, 2, 4]), (&error, vec![3]), (&time, vec![2, 3])] {
        let expected: Vec<u64> = expected.into_iter().map(|at: usize| died[at].0).collect();
        let written = desk.driver.log.len();
        assert_eq!(ask(&mut desk, filter.clone(), None, 9, true), (expected.clone(), None));
        assert_eq!(desk.driver.log.len(), written, "a dry run changes nothing");
        let query =
            Query::Dead { queue: "q".into(), filter: filter.clone(), after: None, limit: 9 };
        let Ok(Found::Jobs(found, None)) = desk.query(&query) else { panic!() };
        assert_eq!(found.iter().map(|job| job.job).collect::<Vec<u64>>(), expected);
    }
    let (jobs, next) = ask(&mut desk, mail.clone(), None, 2, false);
    assert_eq!(jobs, [died[0].0, died[2].0]);
    let last = Cursor { slot: State::Dead as u8, at: died[2].1.0, number: died[2].0 };
    assert_eq!(next, Some(last), "it goes on after the last that came back");
    assert_eq!(ask(&mut desk, mail, next, 2, false), (vec![died[4].0], None));
}

#[test]
fn a_replay_goes_on_and_stops_where_it_is_told_to() {
    let mut desk = Desk::new(Settings { max_backlog: 2, ..tight() });
    let mut dead = Vec::new();
    for _ in 0..4 {
        desk.enqueue(NewJob { priority: 9, ..job("mail") });
        let leased = desk.lease(1).remove(0);
        desk.fail(&leased, false).unwrap();
        dead.push(leased.job);
    }
    let replay = |max, after, dry_run| {
        let (filter, by) = (DeadFilter::default(), "ada".to_owned());
        Action::Replay { filter, after, max, dry_run, pace: None, by }
    };
    // All of them died at one time.
    let (mut after, mut seen) = (None, Vec::new());
    for _ in 0..dead.len() {
        let Ok(Reply::Replayed(one)) = desk.ask(replay(1, after, true)) else { panic!() };
        seen.extend(one.jobs);
        after = one.next;
    }
    assert_eq!((seen, after), (dead.clone(), None));
    let Ok(Reply::Replayed(some)) = desk.ask(replay(9, None, false)) else { panic!() };
    assert_eq!(some.jobs, dead[..2], "until the backlog is full");
    assert_eq!(some.next.map(|cursor| cursor.number), Some(dead[1]));
    let full = Refusal::BacklogFull { backlog: 2, max: 2 };
    assert_eq!(desk.ask(replay(9, some.next, false)), Err(full.clone()));
    assert_eq!(desk.ask(Action::Retry { job: dead[2], by: "ada".into() }), Err(full));
}

/// A job is asked for by its queue: whoever may use one queue does not reach another's.
#[test]
fn a_job_of_another_queue_is_none() {
    let mut desk = Desk::new(tight());
    desk.ask_of("other", Action::Enqueue(vec![job("b")])).unwrap();
    let number = desk.enqueue(job("mail"));
    let Leased { job, lease, .. } = desk.lease(1).remove(0);
    let complete = Action::Complete { job, lease, result: None };
    assert_eq!(desk.ask_of("other", complete), Err(Refusal::NoJob));
    assert_eq!(desk.ask_of("other", Action::Cancel { job }), Err(Refusal::NoJob));
    let retry = Action::Retry { job, by: "ada".into() };
    assert_eq!(desk.ask_of("other", retry), Err(Refusal::NoJob));
    assert_eq!(super::get(&desk.driver, "other", number), None);
}
