//! Outcomes as bytes.

use super::*;
use crate::resp::reply::Protocol;
use bytes::Bytes;
use evenkeel_domains::limits::{Algorithm, Durability, LeaseId, Mode, OnUnavailable, Rate};

const NS_PER_S: u64 = 1_000_000_000;

fn result() -> CheckResult {
    CheckResult {
        allowed: true,
        quantity: 16,
        remaining: 15,
        retry_after_ns: None,
        reset_after_ns: 2 * NS_PER_S,
        lease: None,
        shadow_refused: false,
    }
}

fn written(protocol: Protocol, write: impl Fn(&mut Replies)) -> String {
    let mut replies = Replies::new(protocol);
    write(&mut replies);
    String::from_utf8(replies.as_bytes().to_vec()).unwrap().replace("\r\n", " ")
}

fn verdict(result: CheckResult) -> Verdict {
    Verdict { result, lease: None, degraded: false, over_admission_max: None }
}

fn of_throttle(allowed: bool, result: &CheckResult) -> String {
    written(Protocol::Resp2, |replies| {
        let verdicts = [verdict(result.clone())].into_iter().collect();
        let checked = Outcome::Checked { allowed, counted_at: None, verdicts };
        outcome(&Awaited::Throttle, Some(checked), replies);
    })
}

#[test]
fn throttles_are_answered_as_redis_cell_answers() {
    assert_eq!(of_throttle(true, &result()), "*5 :0 :16 :15 :-1 :2 ");
    let refused = CheckResult { allowed: false, retry_after_ns: Some(NS_PER_MS), ..result() };
    assert_eq!(of_throttle(false, &refused), "*5 :1 :16 :15 :1 :2 ");
    let never = CheckResult { retry_after_ns: None, reset_after_ns: 0, ..refused };
    assert_eq!(of_throttle(false, &never), "*5 :1 :16 :15 :-1 :0 ");
    let admitted = CheckResult { retry_after_ns: Some(5), ..result() };
    assert_eq!(of_throttle(true, &admitted), "*5 :0 :16 :15 :-1 :2 ");
}

/// One key through time, as redis-cell's arithmetic has it: capacity 5, one back a second.
#[test]
fn a_key_is_answered_as_redis_cell_would_through_time() {
    let rate = Rate::of(&Policy::throttle(4, 1, 1).unwrap());
    let begin = 1_000 * NS_PER_S;
    let mut tat = 0;
    for (at_ms, quantity, said) in [
        (0, 6, "*5 :1 :5 :5 :-1 :0 "),
        (0, 0, "*5 :0 :5 :5 :-1 :0 "),
        (0, 1, "*5 :0 :5 :4 :-1 :1 "),
        (0, 4, "*5 :0 :5 :0 :-1 :5 "),
        (0, 1, "*5 :1 :5 :0 :1 :5 "),
        (1, 1, "*5 :1 :5 :0 :1 :5 "),
        (999, 1, "*5 :1 :5 :0 :1 :5 "),
        (1_000, 1, "*5 :0 :5 :0 :-1 :5 "),
        (3_250, 3, "*5 :1 :5 :2 :1 :3 "),
        (3_250, 2, "*5 :0 :5 :0 :-1 :5 "),
        (3_250, 5, "*5 :1 :5 :0 :5 :5 "),
        (3_250, 6, "*5 :1 :5 :0 :-1 :5 "),
        (9_000, 0, "*5 :0 :5 :5 :-1 :0 "),
    ] {
        let (result, next) = rate.check(tat, begin + at_ms * NS_PER_MS, quantity);
        tat = next;
        assert_eq!(of_throttle(result.allowed, &result), said, "{quantity} after {at_ms} ms");
    }
}

#[test]
fn seconds_are_rounded_up_from_milliseconds_and_numbers_end_where_they_must() {
    for (ns, seconds) in [
        (0, 0),
        (NS_PER_MS - 1, 0),
        (NS_PER_MS, 1),
        (NS_PER_S, 1),
        (NS_PER_S + NS_PER_MS - 1, 1),
        (NS_PER_S + NS_PER_MS, 2),
        (u64::MAX, 18_446_744_074_u64),
    ] {
        let text = of_throttle(true, &CheckResult { reset_after_ns: ns, ..result() });
        assert_eq!(text, format!("*5 :0 :16 :15 :-1 :{seconds} "));
    }
    let vast = CheckResult { quantity: u64::MAX, remaining: u64::MAX, ..result() };
    let most = i64::MAX;
    assert_eq!(of_throttle(true, &vast), format!("*5 :0 :{most} :{most} :-1 :2 "));
}

#[test]
fn a_check_is_a_map() {
    let name = |name: &'static str| Name::new(Bytes::from_static(name.as_bytes())).unwrap();
    let awaited = Awaited::Check([name("api"), name("slots")].into_iter().collect());
    let lease = LeaseId { partition: 3, key: [0xab; 16], number: 7 };
    let leased = Verdict { lease: Some(lease), ..verdict(result()) };
    let limited = CheckResult {
        allowed: false,
        retry_after_ns: Some(NS_PER_MS + 1),
        shadow_refused: true,
        ..result()
    };
    let limited = Verdict { degraded: true, ..verdict(limited) };
    let verdicts = [limited, leased].into_iter().collect();
    let counted_at = Some(Time(1_700_000_000_123));
    let checked = Outcome::Checked { allowed: false, counted_at, verdicts };
    let text =
        |protocol| written(protocol, |replies| outcome(&awaited, Some(checked.clone()), replies));
    let slot = "3.abababababababababababababababab.0000000000000007";
    let expected = format!(
        "%4 $7 allowed #f $8 degraded #t $10 counted_at :1700000000123 $7 results *2 \
         %8 $5 limit $3 api $7 allowed #f $8 quantity :16 $9 remaining :15 $14 retry_after_ms :2 \
         $14 reset_after_ms :2000 $14 shadow_refused #t $8 degraded #t \
         %7 $5 limit $5 slots $7 allowed #t $8 quantity :16 $9 remaining :15 $14 retry_after_ms _ \
         $14 reset_after_ms :2000 $5 lease ${} {slot} ",
        slot.len()
    );
    assert_eq!(text(Protocol::Resp3), expected);
    assert!(text(Protocol::Resp2).starts_with("*8 $7 allowed :0 $8 degraded :1 "));
    assert!(text(Protocol::Resp2).contains("$14 retry_after_ms $-1 "));
}

#[test]
fn what_the_service_got_wrong_is_an_error() {
    let internal = "-INTERNAL something went wrong inside; it is in the log ";
    let say = |awaited: &Awaited, said: Option<Outcome>| {
        written(Protocol::Resp2, |replies| outcome(awaited, said.clone(), replies))
    };
    assert_eq!(say(&Awaited::Throttle, None), internal);
    assert_eq!(say(&Awaited::Throttle, Some(Outcome::Released(true))), internal);
    let none = Outcome::Checked { allowed: true, counted_at: None, verdicts: SmallVec::new() };
    assert_eq!(say(&Awaited::Throttle, Some(none)), internal);
    let failure = Failure { code: "outcome_unknown", detail: "nobody\r\nknows".into() };
    let failed = Outcome::Failed(failure);
    assert_eq!(say(&Awaited::Released, Some(failed)), "-OUTCOME_UNKNOWN nobody  knows ");
    assert_eq!(say(&Awaited::Released, Some(Outcome::Released(true))), ":1 ");
    assert_eq!(say(&Awaited::Released, Some(Outcome::Released(false))), ":0 ");
    let until = Outcome::Renewed(Some(Time(1_700_000_000_123)));
    assert_eq!(say(&Awaited::Renewed, Some(until)), ":1700000000123 ");
    assert_eq!(say(&Awaited::Renewed, Some(Outcome::Renewed(None))), "$-1 ");
    assert_eq!(say(&Awaited::Renewed, Some(Outcome::Released(true))), internal);
    let wrong = Awaited::Nothing(Wrong(b"ERR syntax error".to_vec()));
    assert_eq!(say(&wrong, None), "-ERR syntax error ");
}

#[test]
fn a_policy_is_a_map() {
    let policy = Policy {
        algorithm: Algorithm::SlidingWindow,
        quantity: 100,
        period_ms: 60_000,
        burst: 0,
        scoped: true,
        mode: Mode::Exact,
        durability: Durability::Synced,
        on_unavailable: OnUnavailable::Deny,
        shadow: false,
    };
    let found = Managed::Found(Some(policy));
    let rest = "$9 algorithm $14 sliding_window $8 quantity :100 $9 period_ms :60000 $5 burst :0 \
         $6 scoped #t $4 mode $5 exact $10 durability $6 synced $14 on_unavailable $4 deny \
         $6 shadow #f ";
    assert_eq!(written(Protocol::Resp3, |r| managed(&found, r)), format!("%9 {rest}"));
    let name = Name::new(Bytes::from_static(b"api")).unwrap();
    let listed = Managed::Listed(vec![(name, policy)]);
    let text = written(Protocol::Resp3, |r| managed(&listed, r));
    assert_eq!(text, format!("*1 %10 $5 limit $3 api {rest}"));
    assert_eq!(written(Protocol::Resp2, |r| managed(&Managed::Found(None), r)), "$-1 ");
    assert_eq!(written(Protocol::Resp2, |r| managed(&Managed::Deleted(true), r)), ":1 ");
    assert_eq!(written(Protocol::Resp2, |r| managed(&Managed::Done, r)), "+OK ");
}
