//! What the paths of schedules declare about their code, run and looked at; and lists.

use super::{Desk, at, command, cron, domains, every, put, read, spec};
use crate::{
    driver::{Driver, ID},
    facts::Seen,
};
use evenkeel_domains::{
    Command,
    schedules::{self, Action, Missed},
};
use evenkeel_engine::{Options, Time};

/// One of each.
pub(crate) fn commands() -> Vec<Command> {
    let put = put(spec(every(1_000), Missed::Skip));
    let actions = [put, Action::Pause, Action::Resume, Action::Delete];
    actions.map(|action| command("s", action)).to_vec()
}

/// Everything that a command may do or say no with, but for `too_many_schedules`.
pub(crate) fn story(seen: &mut Seen) {
    let driver = &mut Driver::knowing(domains(), ID, Options::default());
    let mut tell = |action| seen.run(driver, command("s", action));
    for action in [Action::Pause, Action::Resume, Action::Delete] {
        tell(action).unwrap_err();
    }
    tell(put(spec(every(1), Missed::Skip))).unwrap_err();
    let mut nowhere = spec(every(1_000), Missed::Skip);
    nowhere.queue = "nowhere".into();
    tell(put(nowhere)).unwrap_err();
    tell(put(spec(every(1_000), Missed::Skip))).unwrap();
    tell(put(spec(every(2_000), Missed::Skip))).unwrap();
    tell(Action::Pause).unwrap();
    tell(Action::Resume).unwrap();
    tell(Action::Delete).unwrap();
}

#[test]
fn a_tenant_has_so_many_schedules_and_no_more() {
    let mut driver = Driver::knowing(domains(), ID, Options::default());
    let spec = spec(cron("0 0 1 1 *", "UTC"), Missed::Skip);
    let mut put = |name: u64, action| driver.ask(command(&name.to_string(), action), None);
    for name in 0..schedules::SCHEDULES_MAX {
        put(name, super::put(spec.clone())).unwrap();
    }
    let code = |answered: crate::driver::Answered| match answered {
        Err(evenkeel_engine::Failure::Refused(refusal)) => refusal.code(),
        other => panic!("{other:?}"),
    };
    let one_more = schedules::SCHEDULES_MAX;
    assert_eq!(code(put(one_more, super::put(spec.clone()))), "too_many_schedules");
    put(7, super::put(spec.clone())).expect("it is there already");
    put(7, Action::Delete).unwrap();
    put(one_more, super::put(spec.clone())).unwrap();
    assert_eq!(code(put(7, super::put(spec.clone()))), "too_many_schedules");
}

#[test]
fn a_list_is_by_name_and_ends_by_rows_and_by_bytes() {
    let mut desk = Desk::new();
    for name in ["b", "a", "d", "c"] {
        let mut large = spec(every(1_000), Missed::Skip);
        large.job.payload = format!("\"{}\"", "x".repeat(50_000));
        desk.driver.ask(command(name, put(large)), None).unwrap();
    }
    let list = |desk: &Desk, after: Option<&str>, limit| {
        let after = after.map(str::to_owned);
        match read(&desk.driver, schedules::Query::Schedules { after, limit }).unwrap() {
            schedules::Found::Schedules(views, next) => {
                assert!(views.iter().all(|view| view.spec.job.payload.is_empty()));
                let names: Vec<String> = views.into_iter().map(|view| view.schedule).collect();
                (names.concat(), next)
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(list(&desk, None, 9), ("abcd".into(), None));
    assert_eq!(list(&desk, None, 2), ("ab".into(), Some("b".into())));
    assert_eq!(list(&desk, Some("b"), 2), ("cd".into(), None));
    for name in 0..40 {
        let mut large = spec(every(1_000), Missed::Skip);
        large.job.payload = format!("\"{}\"", "x".repeat(50_000));
        desk.driver.ask(command(&format!("z{name:02}"), put(large)), None).unwrap();
    }
    let (names, next) = list(&desk, None, 1_000);
    assert!(next.is_some() && names.len() < 4 + 3 * 20, "a page has its bytes: {names}");
}

#[test]
fn runs_to_come_are_those_that_will_be() {
    let mut desk = Desk::new();
    desk.until(at("2026-03-28T12:00:00Z"));
    let view = desk.put(spec(cron("30 2 * * *", "Europe/Berlin"), Missed::Skip));
    let runs = view.next_runs();
    let expected = [
        "2026-03-29T01:00:00Z",
        "2026-03-30T00:30:00Z",
        "2026-03-31T00:30:00Z",
        "2026-04-01T00:30:00Z",
        "2026-04-02T00:30:00Z",
    ];
    assert_eq!(runs, expected.map(at));
    for run in runs {
        desk.until(Time(run.0 - 1));
        assert_eq!(desk.sent(), []);
        desk.until(run);
        assert_eq!(desk.sent().len(), 1);
    }
}
