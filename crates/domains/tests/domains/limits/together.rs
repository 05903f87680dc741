//! What all limits have in common: all or nothing, peeks, shadows, refunds, idle keys.

use super::{Limits, check, command, policy, reply, rows};
use crate::driver::{Driver, TENANT, key_for, meta};
use evenkeel_domains::{
    Command, Refusal, Reply as AnyReply,
    limits::{
        self, Action, Algorithm, CHECKS_MAX, Check, CheckError, CheckResult, KEY_BYTES_MAX, Mode,
        Policy, PolicyError, Reply, SWEEP_EVERY_MS, SWEEP_ROWS_MAX, Subject,
    },
    meta as metas,
};
use evenkeel_engine::{Failure, Options, TIMERS_ID, TenantId, Time};
use evenkeel_state::{Effect, Layer};
use proptest::prelude::*;

const HOUR_MS: u64 = 3_600_000;
const ALL: [Algorithm; 3] = [Algorithm::Gcra, Algorithm::SlidingWindow, Algorithm::Concurrency];

/// `quantity` at once and nothing back for long, whatever the algorithm.
fn at_once(algorithm: Algorithm, quantity: u64) -> Policy {
    let burst = if algorithm == Algorithm::Gcra { quantity - 1 } else { 0 };
    Policy { burst, ..policy(algorithm, quantity, HOUR_MS * quantity) }
}

fn remaining(results: &[CheckResult]) -> Vec<u64> {
    results.iter().map(|result| result.remaining).collect()
}

/// So much of each subject has been used, told by what remains.
fn used(limits: &Limits, policies: &[Policy], names: &[String]) -> Vec<u64> {
    let left = policies.iter().zip(names).map(|(policy, name)| {
        let peeked = limits.peek(check(*policy, name, 0));
        peeked.quantity - peeked.remaining
    });
    left.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Of any checks, also several of one subject: all are counted, or none.
    #[test]
    fn checks_are_counted_all_or_none(
        quantities in proptest::collection::vec((0..3_usize, 1..6_u64), 1..4),
        asks in proptest::collection::vec(
            (proptest::collection::vec((0..4_usize, 0..4_u64), 1..5), any::<bool>()), 1..20,
        ),
    ) {
        let policies: Vec<Policy> =
            quantities.iter().map(|(which, quantity)| at_once(ALL[*which], *quantity)).collect();
        let names: Vec<String> = (0..policies.len()).map(|n| n.to_string()).collect();
        let mut limits = Limits::new();
        let mut model = vec![0; policies.len()];
        let mut drawn = 0;
        for (ask, peek) in asks {
            drawn += 100;
            let mut after = model.clone();
            let mut fits = Vec::new();
            let mut checks = Vec::new();
            for (which, cost) in ask {
                let which = which % policies.len();
                checks.push(check(policies[which], &names[which], cost));
                let fit = after[which] + cost <= quantities[which].1;
                after[which] += if fit { cost } else { 0 };
                fits.push(fit);
            }
            let all = fits.iter().all(|fit| *fit);
            let records = limits.driver.log.len();
            let peeked = limits.peek_all(checks.clone());
            prop_assert!(peeked.iter().all(|result| result.lease.is_none()));
            let answered = if peek { Ok(peeked.clone()) } else { limits.check_as(drawn, checks) };
            let counted = all && !peek;
            let results = match answered {
                Ok(results) if all || peek => results,
                Err(results) if !all && !peek => results,
                other => panic!("{other:?}"),
            };
            let retries = |results: &[CheckResult]| {
                results.iter().map(|result| result.retry_after_ns).collect::<Vec<_>>()
            };
            prop_assert_eq!(retries(&peeked), retries(&results));
            if !counted {
                prop_assert_eq!(&peeked, &results, "a peek is what a check is answered");
            }
            let allowed: Vec<bool> = results.iter().map(|result| result.allowed).collect();
            prop_assert_eq!(allowed, fits);
            if counted {
                model = after;
            } else {
                prop_assert_eq!(limits.driver.log.len(), records, "it has no effect");
                prop_assert!(results.iter().all(|result| result.lease.is_none()));
            }
            prop_assert_eq!(used(&limits, &policies, &names), model.clone());
        }
    }

    /// Checks and refunds of gcra at any time: net of what was given back, never more than the policy
    /// in any stretch.
    #[test]
    fn refunds_never_let_more_in(
        steps in proptest::collection::vec((0..3_000_u64, 1..5_u64, 0..4_usize), 1..80),
    ) {
        // One a second, five at once.
        let policy = Policy::gcra(1, 1_000, 4);
        let mut limits = Limits::new();
        let mut log: Vec<(u64, u64)> = Vec::new();
        for (wait_ms, units, refund) in steps {
            limits.driver.pass(wait_ms);
            let now = limits.driver.now.0;
            let back = log.len().checked_sub(refund).filter(|_| refund > 0);
            if let Some((at, counted)) = back.and_then(|index| log.get_mut(index)) {
                let units = units.min(*counted);
                let action = Action::Refund { counted_at: Time(*at) };
                limits.ask(vec![check(policy, "k", units)], action).unwrap();
                *counted -= units;
            } else if limits.check(vec![check(policy, "k", units)]).is_ok() {
                log.push((now, units));
            }
        }
        for (from, (began, _)) in log.iter().enumerate() {
            let mut units = 0;
            for (at, cost) in &log[from..] {
                units += cost;
                prop_assert!(units <= 5 + (at - began) / 1_000);
            }
        }
    }
}

#[test]
fn a_refused_check_is_answered_for_each() {
    let mut limits = Limits::new();
    let (wide, narrow) = (at_once(Algorithm::Gcra, 10), at_once(Algorithm::SlidingWindow, 2));
    let both = || vec![check(wide, "wide", 1), check(narrow, "narrow", 1)];
    assert_eq!(remaining(&limits.check(both()).unwrap()), [9, 1]);
    assert_eq!(remaining(&limits.check(both()).unwrap()), [8, 0]);
    let refused = limits.check(both()).unwrap_err();
    assert_eq!(remaining(&refused), [8, 0], "what stands, not what would have been");
    assert_eq!(refused.iter().map(|result| result.allowed).collect::<Vec<_>>(), [true, false]);
    assert!(refused[1].retry_after_ns.is_some() && refused[0].retry_after_ns.is_none());
}

#[test]
fn a_refused_check_is_not_remembered() {
    let mut driver = Driver::new(Options::default());
    let one = || vec![check(at_once(Algorithm::Gcra, 1), "k", 1)];
    let ask = |lease| command(one(), Action::Check { lease });
    let keyed = |number| key_for(&ask(0), number, 1);
    assert!(driver.ask(ask(1), keyed(1)).is_ok());
    let records = driver.log.len();
    assert!(reply(driver.ask(ask(2), keyed(2))).is_err());
    assert_eq!(driver.log.len(), records, "no row, no record");
    assert_eq!(
        reply(driver.ask(ask(3), keyed(1))).unwrap(),
        reply(driver.ask(ask(1), keyed(1))).unwrap()
    );
    driver.pass(HOUR_MS);
    assert!(driver.ask(ask(4), keyed(2)).is_ok(), "the same key may ask again, and is counted");
}

/// A repeat of a check is the same request, whatever was drawn for it and whatever the limit says by
/// then; a policy that comes with the request is part of it.
#[test]
fn a_repeated_check_is_known() {
    let asked = |limit: &str, policy: Policy, cost: u64, lease: u64| {
        let subject = Subject { limit: limit.into(), scope: None, key: b"k".to_vec() };
        let check = Check::new(subject, policy, cost).unwrap();
        command(vec![check], Action::Check { lease }).fingerprint_bytes()
    };
    let (one, other) = (Policy::gcra(1, 1_000, 0), Policy::gcra(2, 1_000, 0));
    assert_eq!(asked("l", one, 1, 1), asked("l", other, 1, 2));
    assert_ne!(asked("l", one, 1, 1), asked("l", one, 2, 1));
    assert_ne!(asked("", one, 1, 1), asked("", other, 1, 1));
}

#[test]
fn a_limit_that_only_watches_refuses_nobody() {
    for algorithm in ALL {
        let mut limits = Limits::new();
        let watching = Policy { shadow: true, ..at_once(algorithm, 1) };
        let real = at_once(Algorithm::Gcra, 3);
        let both = || vec![check(watching, "watching", 1), check(real, "real", 1)];
        let results = limits.check(both()).unwrap();
        assert!(results[0].allowed && !results[0].shadow_refused);
        for _ in 0..2 {
            let results = limits.check(both()).unwrap();
            assert!(results[0].allowed && results[0].shadow_refused);
            assert!(results[0].lease.is_none(), "there was no slot to take");
        }
        assert!(!limits.check(both()).unwrap_err()[1].allowed, "the other one still counts");
        let refused = limits.check(both().into_iter().rev().collect()).unwrap_err();
        assert!(!refused[0].allowed && refused[1].shadow_refused, "whichever comes first");
    }
}

#[test]
fn a_peek_is_what_a_check_would_say_and_counts_nothing() {
    for algorithm in ALL {
        let mut limits = Limits::new();
        let two = at_once(algorithm, 2);
        limits.check(vec![check(two, "k", 1)]).unwrap();
        let records = limits.driver.log.len();
        for (cost, fits) in [(0, true), (1, true), (2, false), (3, false)] {
            let query = limits.peek(check(two, "k", cost));
            assert_eq!((query.allowed, query.remaining), (fits, 1));
            assert_eq!(query.retry_after_ns.is_some(), cost == 2, "3 never fit");
        }
        assert_eq!(limits.driver.log.len(), records);
    }
}

/// Also of several checks of one subject: what only watches does not count what does not fit.
#[test]
fn a_peek_of_several_counts_as_a_check_does() {
    for algorithm in ALL {
        let mut limits = Limits::new();
        let watching = Policy { shadow: true, ..at_once(algorithm, 5) };
        let asked = || vec![check(watching, "k", 6), check(watching, "k", 1)];
        let peeked = limits.peek_all(asked());
        let checked = limits.check(asked()).unwrap();
        let refused = |results: &[CheckResult]| {
            results.iter().map(|it| it.shadow_refused).collect::<Vec<_>>()
        };
        assert_eq!((refused(&peeked), refused(&checked)), (vec![true, false], vec![true, false]));
        assert_eq!((remaining(&peeked), remaining(&checked)), (vec![5, 5], vec![5, 4]));
    }
}

/// Checks of one subject must all fit at once: when they do, or that they never will.
#[test]
fn checks_of_one_subject_fit_together_or_never() {
    for algorithm in ALL {
        let mut limits = Limits::new();
        let five = at_once(algorithm, 5);
        let of = |costs: [u64; 2]| costs.map(|cost| check(five, "k", cost)).to_vec();
        let never = limits.check(of([3, 3])).unwrap_err();
        assert!(never[0].allowed && never[1].retry_after_ns.is_none(), "six of five");
        limits.check(vec![check(five, "k", 5)]).unwrap();
        let never = limits.check(of([3, 3])).unwrap_err();
        assert!(never[1].retry_after_ns.is_none());
        let later = limits.check(of([2, 2])).unwrap_err();
        let after_ns = later.iter().filter_map(|result| result.retry_after_ns).max().unwrap();
        limits.driver.pass(after_ns.div_ceil(1_000_000));
        limits.check(of([2, 2])).unwrap();
    }
}

#[test]
fn resets_and_refunds_leave_no_row_of_a_full_key() {
    for algorithm in [Algorithm::Gcra, Algorithm::SlidingWindow] {
        let mut limits = Limits::new();
        let three = at_once(algorithm, 3);
        let counted_at = limits.driver.now;
        limits.check(vec![check(three, "k", 2)]).unwrap();
        let refund = |units| (vec![check(three, "k", units)], Action::Refund { counted_at });
        let (checks, action) = refund(1);
        let Ok(Reply::Changed(left)) = limits.ask(checks, action) else { panic!("given back") };
        assert_eq!((remaining(&left), limits.rows()), (vec![2], [1, 0]));
        let (checks, action) = refund(9);
        let Ok(Reply::Changed(left)) = limits.ask(checks, action) else { panic!("given back") };
        assert_eq!((remaining(&left), limits.rows()), (vec![3], [0, 0]), "no more than was held");
        limits.check(vec![check(three, "k", 3)]).unwrap();
        limits.ask(vec![check(three, "k", 0)], Action::Reset).unwrap();
        assert_eq!(limits.rows(), [0, 0]);
        limits.check(vec![check(three, "k", 3)]).unwrap();
    }
    let mut limits = Limits::new();
    let slots = at_once(Algorithm::Concurrency, 1);
    limits.check(vec![check(slots, "k", 1)]).unwrap();
    for action in [Action::Reset, Action::Refund { counted_at: Time(0) }] {
        let wrong = limits::Refusal::WrongAlgorithm(Algorithm::Concurrency);
        let refused = Failure::Refused(Refusal::Limits(wrong));
        assert_eq!(limits.ask(vec![check(slots, "k", 1)], action), Err(refused));
    }
}

/// After each check the partition is led anew, from the log alone: that admits nothing more, and slots are
/// still their holders'.
#[test]
fn a_restart_forgets_nothing() {
    for algorithm in ALL {
        let mut limits = Limits::new();
        let five = at_once(algorithm, 5);
        let asked = check(five, "k", 1);
        let mut lease = None;
        for number in 0..10 {
            let answered = limits.check_as(number, vec![asked.clone()]);
            assert_eq!(answered.is_ok(), number < 5);
            lease = lease.or(answered.ok().and_then(|results| results[0].lease));
            limits = Limits::led_anew(limits.driver.log, limits.driver.now);
        }
        let Some(number) = lease else { continue };
        let lease = limits::LeaseId { partition: 3, key: asked.key(), number };
        limits.ask(Vec::new(), Action::Release { lease }).unwrap();
        limits = Limits::led_anew(limits.driver.log, limits.driver.now);
        limits.check(vec![asked]).unwrap();
    }
}

/// A check writes its key's row, and nothing else once the key is known: forty bytes, in the log too, and
/// eight more of a named limit, which say what it is counted by.
#[test]
fn a_check_writes_one_small_row() {
    let throttle = Policy::throttle(1_000_000, 1_000, 1).unwrap();
    for (limit, policy, bytes) in [("", throttle, 40), ("limit", throttle, 48)] {
        let mut limits = Limits::new();
        limits.driver.now = Time(1_700_000_000_000);
        for _ in 0..2 {
            let subject = Subject { limit: limit.into(), scope: None, key: b"k".to_vec() };
            limits.check(vec![Check::new(subject, policy, 1).unwrap()]).unwrap();
        }
        let body = limits.driver.log.last().unwrap().body();
        assert_eq!(Layer::decode(body).unwrap().effects().count(), 1);
        assert!(body.len() <= bytes, "{}", body.len());
    }
}

/// Keys that are full again go, whatever counts them; the sweep ends with the last, and comes back
/// with the next.
#[test]
fn idle_keys_vanish() {
    let mut limits = Limits::new();
    let keys = 2 * SWEEP_ROWS_MAX + 10;
    for number in 0..keys {
        let short = policy(ALL[number % 3], 1, 1_000);
        limits.check(vec![check(short, &number.to_string(), 1)]).unwrap();
    }
    let long = policy(Algorithm::Gcra, 1, 4 * SWEEP_EVERY_MS);
    limits.check(vec![check(long, "long", 1)]).unwrap();
    assert_eq!(limits.rows(), [keys + 1, keys / 3]);
    let late_ms = SWEEP_EVERY_MS + 1_000;
    for _ in 0..late_ms / 10 {
        limits.driver.pass(10);
    }
    assert_eq!(limits.rows(), [1, 0], "all that is full, as late as is said");
    for _ in 0..6 {
        limits.driver.pass(SWEEP_EVERY_MS);
    }
    assert_eq!((limits.rows(), rows(&limits.driver.log, "limit_sweep")), ([0, 0], 0));
    assert!(!has_timer(&limits), "nothing to do, nothing to wake up for");
    limits.check(vec![check(long, "long", 1)]).unwrap();
    assert!(has_timer(&limits));
}

fn has_timer(limits: &Limits) -> bool {
    let mut timers = std::collections::BTreeSet::new();
    for record in &limits.driver.log {
        for effect in Layer::decode(record.body()).unwrap().effects() {
            match effect {
                Effect::Put { key, .. } if key[0] == TIMERS_ID => _ = timers.insert(key.to_vec()),
                Effect::Delete { key } if key[0] == TIMERS_ID => _ = timers.remove(key),
                _ => {}
            }
        }
    }
    !timers.is_empty()
}

/// Subjects are told apart by each of their parts, and by what counts them.
#[test]
fn subjects_do_not_share_rows() {
    let gcra = at_once(Algorithm::Gcra, 1);
    let scoped = Policy { scoped: true, ..gcra };
    let subject = |limit: &str, scope: Option<&str>, key: &[u8]| Subject {
        limit: limit.into(),
        scope: scope.map(Into::into),
        key: key.into(),
    };
    let checks = [
        Check::new(subject("a", None, b"bc"), gcra, 1),
        Check::new(subject("ab", None, b"c"), gcra, 1),
        Check::new(subject("a", Some("b"), b"c"), scoped, 1),
        Check::new(subject("a", Some(""), b"b\0c"), scoped, 1),
        Check::new(subject("", None, b"abc"), gcra, 1),
        Check::new(subject("a", None, b"bc"), at_once(Algorithm::SlidingWindow, 1), 1),
        Check::new(subject("a", None, b"bc"), at_once(Algorithm::Concurrency, 1), 1),
    ];
    let mut limits = Limits::new();
    for check in checks {
        assert!(limits.check(vec![check.clone().unwrap()]).is_ok());
        assert!(limits.check(vec![check.unwrap()]).is_err());
    }
    let long = vec![0; KEY_BYTES_MAX + 1];
    let wrong = [
        (subject("a", None, &long), gcra, CheckError::KeyTooLong),
        (subject("a", None, b""), scoped, CheckError::ScopeMissing),
        (subject("a", Some("b"), b""), gcra, CheckError::ScopeUnwanted),
    ];
    let many =
        |count| limits::Command::new(vec![check(gcra, "k", 1); count], Action::Reset).map(|_| ());
    assert_eq!((many(0), many(1)), (Err(CheckError::NoChecks), Ok(())));
    assert_eq!((many(CHECKS_MAX), many(CHECKS_MAX + 1)), (Ok(()), Err(CheckError::TooManyChecks)));
    for (subject, policy, error) in wrong {
        assert_eq!(Check::new(subject, policy, 1), Err(error));
    }
}

fn put(name: &str, policy: Policy) -> Command {
    meta(metas::Action::PutLimit { tenant: TENANT, name: name.into(), policy })
}

#[test]
fn limits_are_put_and_deleted() {
    let mut driver = Driver::new(Options::default());
    let gcra = Policy::gcra(10, 1_000, 9);
    let limit = |policy, new| Ok(AnyReply::Meta(metas::Reply::Limit(policy, new)));
    assert_eq!(driver.ask(put("l", gcra), None), limit(gcra, true));
    let records = driver.log.len();
    assert_eq!(driver.ask(put("l", gcra), None), limit(gcra, false));
    assert_eq!(driver.log.len(), records, "the same again is no record");
    let wider = Policy { quantity: 20, ..gcra };
    assert_eq!(driver.ask(put("l", wider), None), limit(wider, false));
    let refused = |no| Err(Failure::Refused(Refusal::Meta(no)));
    for (other, field) in [
        (Policy { scoped: true, ..gcra }, "scoped"),
        (policy(Algorithm::SlidingWindow, 1, 1), "algorithm"),
    ] {
        let no = metas::Refusal::LimitFixed { field };
        assert_eq!(driver.ask(put("l", other), None), refused(no));
    }
    for (bad, error) in [
        (
            Policy { mode: Mode::Leased, ..policy(Algorithm::Concurrency, 1, 1_000) },
            PolicyError::LeasedSlots,
        ),
        (Policy { mode: Mode::Leased, shadow: true, ..gcra }, PolicyError::LeasedShadow),
        (Policy { period_ms: 0, ..gcra }, PolicyError::Period),
    ] {
        let no = metas::Refusal::BadPolicy(error);
        assert_eq!(driver.ask(put("m", bad), None), refused(no));
    }
    let loaded = metas::load(&driver.partition.view()).unwrap();
    assert_eq!(loaded.limit(TENANT, "l"), Some(&wider));
    assert_eq!(loaded.limit(TenantId(1), "l"), None);
    let delete = || meta(metas::Action::DeleteLimit { tenant: TENANT, name: "l".into() });
    assert_eq!(driver.ask(delete(), None), Ok(AnyReply::Meta(metas::Reply::Done)));
    assert_eq!(driver.ask(delete(), None), refused(metas::Refusal::NoLimit));
    assert_eq!(metas::load(&driver.partition.view()).unwrap().limit(TENANT, "l"), None);
}

#[test]
fn limits_are_bounded() {
    let mut driver = Driver::new(Options::default());
    let gcra = Policy::gcra(10, 1_000, 9);
    let mut tickets = Vec::new();
    for number in 0..=metas::LIMITS_MAX {
        tickets.push(driver.submit(put(&number.to_string(), gcra), None));
        if tickets.len() % 1_000 == 0 {
            driver.settle();
        }
    }
    driver.settle();
    let last = driver.answers.remove(tickets.last().unwrap()).unwrap().outcome;
    assert_eq!(last, Err(Failure::Refused(Refusal::Meta(metas::Refusal::TooManyLimits))));
    assert!(driver.answers.values().all(|answer| answer.outcome.is_ok()));
    let delete = meta(metas::Action::DeleteLimit { tenant: TENANT, name: "7".into() });
    driver.ask(delete, None).unwrap();
    driver.ask(put("another", gcra), None).unwrap();
}
