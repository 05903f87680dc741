//! Many at once: every step is bounded, and all is done in the end.

use super::{Desk, id, in_order, job, tight};
use evenkeel_domains::jobs::{
    Action, ENQUEUE_AFTER_MAX, ENQUEUE_BYTES_MAX, ENQUEUE_JOBS_MAX, LEASE_BYTES_MAX,
    LEASE_JOBS_MAX, NewJob, PAYLOAD_BYTES_MAX, Refusal, Reply, Settings, State, When,
};
use evenkeel_engine::Options;
use evenkeel_log::BODY_BYTES_MAX;

const NAME_BYTES_MAX: usize = 128;

fn roomy() -> Settings {
    Settings { max_backlog: 100_000, concurrency_limit: None, ..tight() }
}

/// A hundred jobs with all that a job can have.
fn largest(desk: &mut Desk) -> Vec<NewJob> {
    let waited_for: Vec<u64> = (0..ENQUEUE_AFTER_MAX).map(|_| desk.enqueue(job("first"))).collect();
    let payload_bytes = ENQUEUE_BYTES_MAX / ENQUEUE_JOBS_MAX;
    let name = |at: usize| format!("{at:0>NAME_BYTES_MAX$}");
    (0..ENQUEUE_JOBS_MAX)
        .map(|at| NewJob {
            kind: name(at),
            payload: "p".repeat(payload_bytes),
            unique_key: Some(name(at)),
            ordering_key: Some(name(at)),
            priority: 9,
            when: When::Now,
            after: vec![id(waited_for[at])],
            trace: Some("t".repeat(55)),
        })
        .collect()
}

#[test]
fn the_largest_commands_fit() {
    let mut desk = Desk::new(roomy());
    let jobs = largest(&mut desk);
    let command = super::command("q", desk.settings, Action::Enqueue(jobs));
    let key = crate::driver::key_for(&command, 1, 1);
    desk.driver.ask(command, key).unwrap();
    for _ in 0..2 {
        let leased = desk.lease(u32::MAX);
        assert_eq!(leased.len(), LEASE_JOBS_MAX);
        leased.iter().for_each(|leased| assert_eq!(desk.complete(leased), Ok(State::Done)));
    }
    assert!(desk.driver.log.iter().all(|record| record.body().len() <= BODY_BYTES_MAX));
}

/// More of each than one step handles.
#[test]
fn a_stampede_is_settled_in_steps() {
    let mut desk = Desk::new(roomy());
    let count = 1_000;
    let mut leases = 0;
    for _ in 0..count / 100 {
        desk.enqueue_all(vec![job("ready"); 100]);
        desk.enqueue_all(vec![NewJob { when: When::DelayMs(1_000), ..job("late") }; 100]);
        leases += desk.lease(100).len();
    }
    assert_eq!(leases, count);
    let before = desk.driver.log.len();
    desk.driver.pass(1_000);
    assert!(desk.driver.log.len() - before > 8, "in steps");
    for record in &desk.driver.log[before..] {
        assert!(record.body().len() <= Options::COMMAND_BYTES_MAX, "each is bounded");
    }
    let mut leased = desk.lease(100);
    while leased.len() < 2 * count {
        let more = desk.lease(100);
        assert!(!more.is_empty(), "all that crashed and all that was due is ready");
        leased.extend(more);
    }
    assert!(leased.iter().all(|leased| desk.complete(leased) == Ok(State::Done)));
    desk.driver.pass(20_000);
    let gone = leased.iter().all(|leased| desk.state(leased.job).is_none());
    assert!(gone, "and forgotten");
}

/// A step that stops early for what it has written goes on where it stopped.
#[test]
fn a_stampede_into_the_dead_letters() {
    let mut desk = Desk::new(Settings { max_crashes: 1, ..roomy() });
    let kind = "k".repeat(NAME_BYTES_MAX);
    let mut numbers = Vec::new();
    for _ in 0..200 {
        numbers.push(desk.enqueue(job(&kind)));
        desk.lease(1);
        desk.driver.now = desk.driver.now.plus_ms(1);
    }
    desk.driver.pass(1_000);
    assert!(numbers.iter().all(|number| desk.state(*number) == Some(State::Dead)));
}

/// A lease that is over is over, even while so many are that its turn has not come.
#[test]
fn a_lease_ends_at_its_end_in_a_stampede() {
    let mut desk = Desk::new(roomy());
    let mut leased = Vec::new();
    for _ in 0..6 {
        desk.enqueue_all(vec![job("crashes"); 100]);
        leased.extend(desk.lease(100));
    }
    let last = leased.last().unwrap();
    desk.driver.now = last.expires_at;
    let refused = desk.complete(last);
    assert!(
        matches!(refused, Err(Refusal::StaleLease(standing)) if standing.state == State::Leased),
        "{refused:?}"
    );
}

#[test]
fn many_that_wait_for_one_are_told_in_steps() {
    let mut desk = Desk::new(roomy());
    let first = desk.enqueue(job("first"));
    let waiter = || NewJob { after: vec![id(first)], ..job("next") };
    for _ in 0..5 {
        desk.enqueue_all(vec![waiter(); 100]);
    }
    let leased = desk.lease(9);
    assert_eq!(leased.len(), 1);
    desk.complete(&leased[0]).unwrap();
    for _ in 0..5 {
        assert_eq!(desk.leased(100).len(), 100);
    }
}

/// Those of another queue are told fewer at a time: each has a queue's row to be written.
#[test]
fn many_of_another_queue_are_told_in_steps() {
    let mut desk = Desk::new(roomy());
    let first = desk.enqueue(job("first"));
    let waiter = NewJob { after: vec![id(first)], ..job("next") };
    desk.ask_of("other", Action::Enqueue(vec![waiter; 50])).unwrap();
    let leased = desk.lease(1);
    let before = desk.driver.log.len();
    desk.complete(&leased[0]).unwrap();
    assert!(desk.driver.log.len() >= before + 1 + 50 / 8);
    let lease = Action::Lease { worker: "w".into(), max: 100, lease_ms: None };
    let Ok(Reply::Leased(leased, _)) = desk.ask_of("other", lease) else { panic!() };
    assert_eq!(leased.len(), 50);
}

#[test]
fn a_lease_of_large_payloads_gives_fewer() {
    let mut desk = Desk::new(roomy());
    let payload = "p".repeat(PAYLOAD_BYTES_MAX);
    for _ in 0..20 {
        desk.enqueue(NewJob { payload: payload.clone(), ..job("large") });
    }
    assert_eq!(desk.leased(100).len(), LEASE_BYTES_MAX / PAYLOAD_BYTES_MAX);
    assert_eq!(desk.leased(100).len(), 20 - LEASE_BYTES_MAX / PAYLOAD_BYTES_MAX);
}

/// What a command costs does not grow with the backlog: what it writes does not.
#[test]
fn a_backlog_makes_no_command_larger() {
    let bytes = |desk: &mut Desk| {
        let before = desk.driver.log.len();
        desk.enqueue(in_order("one", "more"));
        let leased = desk.lease(1).remove(0);
        desk.complete(&leased).unwrap();
        let records = &desk.driver.log[before..];
        records.iter().map(|record| record.body().len()).sum::<usize>()
    };
    let mut desk = Desk::new(roomy());
    let fill = |desk: &mut Desk, times| {
        for _ in 0..times {
            desk.enqueue_all(vec![in_order("many", "of one key"); 50]);
            desk.enqueue_all(vec![job("many"); 50]);
        }
    };
    fill(&mut desk, 1);
    let small = bytes(&mut desk);
    fill(&mut desk, 50);
    let large = bytes(&mut desk);
    assert!(large <= small + 16, "{small} {large}: only counts have more digits");
}
