//! The search for an order, on the smallest objects there are.

use evenkeel_drill::checker::linear::{Call, Model, Verdict, check};

/// A number that can be read, written and counted up.
struct Register;

#[derive(Debug, Clone, Copy)]
enum Op {
    Read,
    Write(u64),
    /// Answers the new number.
    Add,
}

impl Model for Register {
    type State = u64;
    type Op = Op;
    type Ret = u64;

    fn init(&self) -> u64 {
        0
    }

    fn step(&self, state: &u64, op: &Op, ret: Option<&u64>) -> Vec<u64> {
        let (next, answer) = match op {
            Op::Read => (*state, *state),
            Op::Write(number) => (*number, *number),
            Op::Add => (state + 1, state + 1),
        };
        if ret.is_none_or(|ret| *ret == answer) { vec![next] } else { Vec::new() }
    }
}

/// An operation from `called` to `returned`.
fn at(called: u64, returned: u64, op: Op, ret: u64) -> Call<Op, u64> {
    Call { op, called, returned: Some((returned, ret)) }
}

fn open(called: u64, op: Op) -> Call<Op, u64> {
    Call { op, called, returned: None }
}

fn judge(calls: &[Call<Op, u64>]) -> Verdict {
    check(&Register, calls, 100_000)
}

#[test]
fn nothing_and_one_after_another_are_fine() {
    assert_eq!(judge(&[]), Verdict::Valid);
    assert_eq!(
        judge(&[at(1, 2, Op::Write(5), 5), at(3, 4, Op::Read, 5), at(5, 6, Op::Add, 6)]),
        Verdict::Valid
    );
}

#[test]
fn a_stale_read_is_not() {
    let verdict = judge(&[at(1, 2, Op::Write(5), 5), at(3, 4, Op::Read, 0)]);
    assert_eq!(verdict, Verdict::Invalid { placed: vec![0], stuck: 1 });
}

#[test]
fn a_lost_update_is_not() {
    let verdict = judge(&[at(1, 10, Op::Add, 1), at(2, 9, Op::Add, 1)]);
    assert!(matches!(verdict, Verdict::Invalid { .. }), "{verdict:?}");
}

#[test]
fn what_overlaps_may_come_in_any_order() {
    let calls = [
        at(1, 10, Op::Write(1), 1),
        at(2, 9, Op::Write(2), 2),
        at(3, 4, Op::Read, 2),
        at(5, 6, Op::Read, 1),
        at(11, 12, Op::Read, 1),
    ];
    assert_eq!(judge(&calls), Verdict::Valid);
}

#[test]
fn but_in_one_order_for_all() {
    let calls = [
        at(1, 20, Op::Write(1), 1),
        at(2, 19, Op::Write(2), 2),
        at(3, 4, Op::Read, 2),
        at(5, 6, Op::Read, 1),
        at(7, 8, Op::Read, 2),
    ];
    assert!(matches!(judge(&calls), Verdict::Invalid { .. }));
}

#[test]
fn an_unanswered_write_may_have_its_effect_at_any_later_time() {
    let calls = [open(1, Op::Write(7)), at(2, 3, Op::Read, 0), at(4, 5, Op::Read, 7)];
    assert_eq!(judge(&calls), Verdict::Valid);
}

#[test]
fn or_never() {
    let calls = [open(1, Op::Write(7)), at(2, 3, Op::Read, 0), at(4, 5, Op::Read, 0)];
    assert_eq!(judge(&calls), Verdict::Valid);
}

#[test]
fn but_not_before_it_was_asked_nor_twice() {
    let calls = [at(1, 2, Op::Read, 7), open(3, Op::Write(7))];
    assert!(matches!(judge(&calls), Verdict::Invalid { .. }));
    let calls = [
        open(1, Op::Write(7)),
        at(2, 3, Op::Read, 7),
        at(4, 5, Op::Write(0), 0),
        at(6, 7, Op::Read, 7),
    ];
    assert!(matches!(judge(&calls), Verdict::Invalid { .. }));
}

#[test]
fn a_spent_budget_says_so() {
    let calls = [at(1, 2, Op::Add, 1), at(3, 4, Op::Add, 2)];
    assert_eq!(check(&Register, &calls, 1), Verdict::Unknown { steps: 1 });
    assert_eq!(check(&Register, &calls, 2), Verdict::Valid);
}

#[test]
fn what_was_seen_is_not_looked_at_again() {
    // Twelve writes at once and a read of none of them: 12! orders, but only 12 · 2^11 places.
    let mut calls: Vec<_> = (1..=12).map(|number| at(number, 100, Op::Write(1), 1)).collect();
    calls.push(at(101, 102, Op::Read, 2));
    assert!(matches!(judge(&calls), Verdict::Invalid { stuck: 12, .. }));
}

/// The register, where answers also say in which order they were decided.
struct Stamped;

impl Model for Stamped {
    type State = u64;
    type Op = (Op, u64);
    type Ret = u64;

    fn init(&self) -> u64 {
        0
    }

    fn step(&self, state: &u64, op: &(Op, u64), ret: Option<&u64>) -> Vec<u64> {
        Register.step(state, &op.0, ret)
    }

    fn stamps(&self, op: &(Op, u64), _ret: &u64) -> [Option<u64>; 2] {
        [Some(op.1), None]
    }
}

#[test]
fn stamps_forbid_what_overlap_would_allow() {
    let judge = |stamps: [u64; 2]| {
        let write = Call { op: (Op::Write(1), stamps[0]), called: 1, returned: Some((9, 1)) };
        let read = Call { op: (Op::Read, stamps[1]), called: 2, returned: Some((8, 1)) };
        check(&Stamped, &[write, read], 100)
    };
    assert_eq!(judge([1, 2]), Verdict::Valid);
    assert_eq!(judge([1, 1]), Verdict::Valid);
    assert!(matches!(judge([2, 1]), Verdict::Invalid { .. }));
}
