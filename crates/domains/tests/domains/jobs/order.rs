//! Ordering keys: strict order, one live lease, and what a head that failed for good does.

use super::{Desk, in_order, job, standing, tight};
use evenkeel_domains::jobs::{
    Action, Found, HeadPolicy, NewJob, Query, Refusal, Settings, State, WaitingFor, When,
};

fn desk(head: HeadPolicy) -> Desk {
    Desk::new(Settings { head, ..tight() })
}

fn three(desk: &mut Desk) -> [u64; 3] {
    [(); 3].map(|()| desk.enqueue(in_order("step", "o")))
}

/// Fails the head for good.
fn kill_head(desk: &mut Desk) -> u64 {
    let leased = desk.lease(9).remove(0);
    assert_eq!(desk.fail(&leased, false), Ok(State::Dead));
    leased.job
}

#[test]
fn jobs_of_a_key_run_one_after_the_other() {
    let mut desk = desk(HeadPolicy::Block);
    let jobs = three(&mut desk);
    let other = desk.enqueue(in_order("step", "p"));
    let free = desk.enqueue(job("step"));
    let leased = desk.lease(9);
    let numbers: Vec<u64> = leased.iter().map(|leased| leased.job).collect();
    assert_eq!(numbers, [jobs[0], other, free]);
    let held = WaitingFor::OrderingKey { job: jobs[0], state: State::Leased };
    assert_eq!(desk.get(jobs[2]).unwrap().waiting_for, Some(held));
    assert!(desk.leased(9).is_empty(), "one live lease a key");
    desk.complete(&leased[0]).unwrap();
    assert_eq!(desk.leased(9), [jobs[1]]);
}

/// A head that waits for another attempt, or for its time, is still the head.
#[test]
fn order_outlives_retries_and_crashes() {
    let mut desk = desk(HeadPolicy::Block);
    let jobs = three(&mut desk);
    let leased = desk.lease(9).remove(0);
    assert_eq!(desk.fail(&leased, true), Ok(State::Retry));
    assert!(desk.leased(9).is_empty());
    desk.driver.pass(150);
    assert_eq!(desk.leased(9), [jobs[0]]);
    desk.driver.pass(1_000);
    let leased = desk.lease(9).remove(0);
    assert_eq!(leased.job, jobs[0], "it crashed and is first again");
    let (job, lease) = (leased.job, leased.lease);
    desk.ask(Action::Snooze { job, lease, delay_ms: 100 }).unwrap();
    assert!(desk.leased(9).is_empty());
    desk.driver.pass(100);
    let leased = desk.lease(9).remove(0);
    assert_eq!(leased.job, jobs[0]);
    desk.complete(&leased).unwrap();
    assert_eq!(desk.leased(9), [jobs[1]]);
}

#[test]
fn a_job_that_is_not_due_holds_up_its_key() {
    let mut desk = desk(HeadPolicy::Skip);
    let late = NewJob { when: When::DelayMs(300), ..in_order("step", "o") };
    let late = desk.enqueue(late);
    let next = desk.enqueue(in_order("step", "o"));
    assert!(desk.leased(9).is_empty());
    desk.driver.pass(300);
    assert_eq!(desk.leased(9), [late]);
    assert_eq!(desk.state(next), Some(State::Waiting));
}

#[test]
fn a_dead_head_blocks_until_it_is_replayed() {
    let mut desk = desk(HeadPolicy::Block);
    let jobs = three(&mut desk);
    kill_head(&mut desk);
    assert!(desk.leased(9).is_empty());
    let held = WaitingFor::OrderingKey { job: jobs[0], state: State::Dead };
    assert_eq!(desk.get(jobs[1]).unwrap().waiting_for, Some(held));
    desk.ask(Action::Retry { job: jobs[0], by: "ada".into() }).unwrap();
    let leased = desk.lease(9).remove(0);
    assert_eq!(leased.job, jobs[0]);
    desk.complete(&leased).unwrap();
    assert_eq!(desk.leased(9), [jobs[1]]);
}

#[test]
fn a_dead_head_blocks_until_it_is_cancelled_or_forgotten() {
    let mut cancelled = desk(HeadPolicy::Block);
    let jobs = three(&mut cancelled);
    kill_head(&mut cancelled);
    assert_eq!(standing(cancelled.ask(Action::Cancel { job: jobs[0] })), Ok(State::Cancelled));
    assert_eq!(cancelled.leased(9), [jobs[1]]);

    let mut forgotten = desk(HeadPolicy::Block);
    let jobs = three(&mut forgotten);
    kill_head(&mut forgotten);
    forgotten.driver.pass(39_999);
    assert!(forgotten.leased(9).is_empty());
    forgotten.driver.pass(1);
    assert_eq!(forgotten.leased(9), [jobs[1]]);
}

#[test]
fn a_dead_head_is_skipped_and_comes_back_before_the_younger() {
    let mut desk = desk(HeadPolicy::Skip);
    let jobs = three(&mut desk);
    assert_eq!(kill_head(&mut desk), jobs[0]);
    let leased = desk.lease(9).remove(0);
    assert_eq!(leased.job, jobs[1]);
    desk.ask(Action::Retry { job: jobs[0], by: "ada".into() }).unwrap();
    assert!(desk.leased(9).is_empty(), "it takes no turn away");
    desk.complete(&leased).unwrap();
    let leased = desk.lease(9).remove(0);
    assert_eq!(leased.job, jobs[0]);
    desk.complete(&leased).unwrap();
    assert_eq!(desk.leased(9), [jobs[2]]);
}

/// More than one step makes dead letters of.
#[test]
fn nothing_runs_after_a_gap() {
    let head = HeadPolicy::DeadLetter;
    let mut desk = Desk::new(Settings { head, max_backlog: 1_000, ..tight() });
    let line: Vec<u64> = (0..200).map(|_| desk.enqueue(in_order("step", "o"))).collect();
    let other = desk.enqueue(in_order("step", "p"));
    let leased = desk.lease(9);
    assert_eq!(leased.len(), 2);
    let (job, lease) = (line[0], leased[0].lease);
    let fail = Action::Fail { job, lease, error: "no".into(), retry: false };
    let fresh = Action::Enqueue(vec![in_order("step", "o")]);
    let before = desk.driver.log.len();
    // In one batch: whoever comes while the condemned are not done with is none of them.
    let tickets = [fail, fresh]
        .map(|action| desk.driver.submit(super::command("q", desk.settings, action), None));
    desk.driver.settle();
    assert!(desk.driver.log.len() > before + 1, "in steps");
    tickets.iter().for_each(|ticket| assert!(desk.driver.answers.remove(ticket).is_some()));
    let dead = line.iter().filter(|job| desk.state(**job) == Some(State::Dead)).count();
    assert_eq!(dead, 200);
    assert_eq!(desk.state(other), Some(State::Leased), "another key is not concerned");
    let error = desk.get(line[199]).unwrap().job.error.unwrap().text;
    assert!(error.contains("before it"), "{error}");
    // Who comes back is to run, before the younger as soon as that is done.
    let fresh = desk.lease(9).remove(0);
    assert_eq!(fresh.job, line[199] + 2);
    desk.ask(Action::Retry { job: line[5], by: "ada".into() }).unwrap();
    desk.complete(&fresh).unwrap();
    assert_eq!(desk.leased(9), [line[5]]);
}

/// Some of them were dead before their turn came: under the policy that blocked, nothing passed them.
#[test]
fn a_dead_letter_dies_once() {
    for dead_before in 1..80 {
        let mut desk = desk(HeadPolicy::Block);
        let cause = desk.enqueue(job("cause"));
        let line: Vec<u64> = (0..80)
            .map(|place| {
                let after = if place == dead_before { vec![super::id(cause)] } else { Vec::new() };
                desk.enqueue(NewJob { after, ..in_order("step", "o") })
            })
            .collect();
        desk.ask(Action::Cancel { job: cause }).unwrap();
        let early = desk.get(line[dead_before]).unwrap().job;
        assert_eq!(early.state, State::Dead);
        desk.set(|settings| settings.head = HeadPolicy::DeadLetter);
        let leased = desk.lease(9).remove(0);
        assert_eq!(leased.job, line[0]);
        desk.driver.pass(10);
        desk.fail(&leased, false).unwrap();
        desk.driver.settle();
        assert!(line.iter().all(|job| desk.state(*job) == Some(State::Dead)), "{dead_before}");
        let queue = Query::Queue { queue: "q".into(), after: None };
        let Found::Queue(view) = desk.query(&queue).unwrap() else { panic!("a queue") };
        assert_eq!(view.totals.died, 80, "with the dead one at place {dead_before}");
        let late = desk.get(line[dead_before]).unwrap().job;
        assert_eq!((late.at, late.error), (early.at, early.error), "it died then, of that");
    }
}

/// A job that comes back before the head, which a worker has: whoever else leaves the line, the head
/// stays the head.
#[test]
fn the_head_stays_the_head() {
    let mut desk = desk(HeadPolicy::Skip);
    let jobs = three(&mut desk);
    kill_head(&mut desk);
    assert_eq!(desk.leased(9), [jobs[1]]);
    desk.ask(Action::Retry { job: jobs[0], by: "ada".into() }).unwrap();
    desk.ask(Action::Cancel { job: jobs[2] }).unwrap();
    assert!(desk.leased(9).is_empty(), "I9: one live lease an ordering key");
}

/// One that died in the line before its turn came holds the line up when it comes.
#[test]
fn a_dead_letter_in_the_line_blocks_it_too() {
    let mut desk = desk(HeadPolicy::Block);
    let cause = desk.enqueue(job("cause"));
    let first = desk.enqueue(in_order("step", "o"));
    let second = desk.enqueue(NewJob { after: vec![super::id(cause)], ..in_order("step", "o") });
    let third = desk.enqueue(in_order("step", "o"));
    desk.ask(Action::Cancel { job: cause }).unwrap();
    assert_eq!(desk.state(second), Some(State::Dead));
    let leased = desk.lease(9).remove(0);
    assert_eq!(leased.job, first);
    desk.complete(&leased).unwrap();
    assert_eq!(desk.state(second), Some(State::Dead), "it is not tried for that");
    assert!(desk.leased(9).is_empty());
    desk.ask(Action::Cancel { job: second }).unwrap();
    assert_eq!(desk.leased(9), [third]);
}

#[test]
fn cancelling_in_the_middle_of_a_line() {
    let mut desk = desk(HeadPolicy::Block);
    let jobs = three(&mut desk);
    desk.ask(Action::Cancel { job: jobs[1] }).unwrap();
    let leased = desk.lease(9).remove(0);
    assert_eq!(leased.job, jobs[0]);
    desk.complete(&leased).unwrap();
    let last = desk.lease(9).remove(0);
    assert_eq!(last.job, jobs[2]);
    desk.complete(&last).unwrap();
    let fresh = desk.enqueue(in_order("step", "o"));
    assert_eq!(desk.leased(9), [fresh]);
    let over = desk.ask(Action::Cancel { job: jobs[2] });
    assert_eq!(over, Err(Refusal::Over(State::Done)));
}

/// A condemned job whose turn to die has come and not been worked off, and which is spared since one of
/// them is to run again: it still waits for what it is to run after, and for its time.
#[test]
fn who_is_spared_still_waits() {
    for is_late in [false, true] {
        let mut desk = Desk::new(Settings {
            head: HeadPolicy::DeadLetter,
            max_backlog: 1_000,
            lease_ms: 5_000,
            ..tight()
        });
        let cause = desk.enqueue(job("cause"));
        let cause_leased = desk.lease(1).remove(0);
        let first = desk.enqueue(in_order("step", "o"));
        let behind = || match is_late {
            true => NewJob { when: When::DelayMs(4_000), ..in_order("step", "o") },
            false => NewJob { after: vec![super::id(cause)], ..in_order("step", "o") },
        };
        let line: Vec<u64> = (0..400).map(|_| desk.enqueue(behind())).collect();
        let leased = desk.lease(1).remove(0);
        let (job, lease) = (leased.job, leased.lease);
        assert_eq!(job, first);
        let fail = Action::Fail { job, lease, error: "no".into(), retry: false };
        let retry = Action::Retry { job: first, by: "ada".into() };
        for action in [fail, retry] {
            desk.driver.submit(super::command("q", desk.settings, action), None);
        }
        desk.driver.settle();
        let spared: Vec<u64> =
            line.into_iter().filter(|job| desk.state(*job) != Some(State::Dead)).collect();
        assert!(spared.len() > 9, "some were yet to die");
        let waits = if is_late { State::Scheduled } else { State::Waiting };
        assert_eq!(desk.state(spared[0]), Some(waits));
        assert!(desk.leased(9).is_empty());
        desk.complete(&cause_leased).unwrap();
        desk.driver.pass(4_000);
        let head = desk.lease(9).remove(0);
        assert_eq!(head.job, spared[0], "its turn has come, and it is not forgotten");
        desk.complete(&head).unwrap();
        assert_eq!(desk.leased(9), [first], "who comes back is before the younger");
    }
}

/// Those that came back are older than the job of which the head hears that it was in vain.
#[test]
fn all_that_are_condemned_die_however_old() {
    let mut desk = Desk::new(Settings { head: HeadPolicy::Skip, max_backlog: 1_000, ..tight() });
    let older: Vec<u64> = (0..100).map(|_| desk.enqueue(in_order("step", "o"))).collect();
    older.iter().for_each(|job| assert_eq!(kill_head(&mut desk), *job));
    let cause = desk.enqueue(job("cause"));
    let head = desk.enqueue(NewJob { after: vec![super::id(cause)], ..in_order("step", "o") });
    for job in &older {
        desk.ask(Action::Retry { job: *job, by: "ada".into() }).unwrap();
    }
    desk.set(|settings| settings.head = HeadPolicy::DeadLetter);
    desk.ask(Action::Cancel { job: cause }).unwrap();
    desk.driver.settle();
    assert_eq!(desk.state(head), Some(State::Dead));
    let left = older.iter().filter(|job| desk.state(**job) != Some(State::Dead)).count();
    assert_eq!(left, 0, "and nothing holds the line up");
    let fresh = desk.enqueue(in_order("step", "o"));
    assert_eq!(desk.leased(9), [fresh]);
}
