//! Concurrency limits against a list of leases.

use super::{LEASES, Limits, check, policy};
use evenkeel_domains::{
    Refusal,
    limits::{self, Action, Algorithm, CheckResult, EXPIRE_MAX, LeaseId, Reply, SWEEP_EVERY_MS},
};
use evenkeel_engine::Failure;
use proptest::prelude::*;

const SLOTS: u64 = 4;
const TTL_MS: u64 = 1_000;

#[derive(Debug, Clone)]
enum Step {
    Check(u64),
    Release(usize),
    Renew(usize, u64),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (0..=SLOTS + 1).prop_map(Step::Check),
        2 => (0..6_usize).prop_map(Step::Release),
        2 => (0..6_usize, 1..3_000_u64).prop_map(|(lease, ttl_ms)| Step::Renew(lease, ttl_ms)),
        4 => prop_oneof![0..700_u64, Just(TTL_MS), Just(100_000)].prop_map(Step::Pass),
    ];
    proptest::collection::vec(step, 1..120)
}

/// As one would first write it.
#[derive(Debug, Clone, Copy)]
struct Lease {
    id: LeaseId,
    slots: u64,
    ends_at: u64,
    released: bool,
}

fn id(number: u64) -> LeaseId {
    LeaseId { partition: 3, key: check(slots(), "job", 1).key(), number }
}

fn slots() -> limits::Policy {
    policy(Algorithm::Concurrency, SLOTS, TTL_MS)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn slots_are_what_the_model_says(steps in steps()) {
        let mut limits = Limits::new();
        let mut leases: Vec<Lease> = Vec::new();
        for step in steps {
            let now = limits.driver.now.0;
            let live = |lease: &&Lease| !lease.released && now < lease.ends_at;
            let used: u64 = leases.iter().filter(live).map(|lease| lease.slots).sum();
            match step {
                Step::Check(cost) => {
                    // Drawn twice now and then: the next free number is taken.
                    let drawn = leases.len() as u64 / 2;
                    let answered = limits.check_as(drawn, vec![check(slots(), "job", cost)]);
                    let fits = used + cost <= SLOTS;
                    prop_assert_eq!(answered.is_ok(), fits);
                    let (Ok(results) | Err(results)) = answered;
                    let after = if fits { used + cost } else { used };
                    prop_assert_eq!(results[0].remaining, SLOTS - after);
                    prop_assert_eq!(results[0].lease.is_some(), fits && cost > 0);
                    let mut ends: Vec<&Lease> = leases.iter().filter(live).collect();
                    ends.sort_by_key(|lease| lease.ends_at);
                    let retry_ms = ends.iter().scan(used, |used, lease| {
                        *used -= lease.slots;
                        Some((*used, lease.ends_at - now))
                    });
                    let mut retry_ms = retry_ms.filter(|(used, _)| used + cost <= SLOTS);
                    let retry_ms = retry_ms.next().filter(|_| !fits).map(|(_, after_ms)| after_ms);
                    prop_assert_eq!(results[0].retry_after_ns, retry_ms.map(|ms| ms * 1_000_000));
                    let last_ms = ends.last().map_or(0, |lease| lease.ends_at - now);
                    let reset_ms = if fits && cost > 0 { last_ms.max(TTL_MS) } else { last_ms };
                    prop_assert_eq!(results[0].reset_after_ns, reset_ms * 1_000_000);
                    if let Some(number) = results[0].lease {
                        let ends_at = now + TTL_MS;
                        let free = leases.iter().filter(live).all(|one| one.id.number != number);
                        prop_assert!(free, "a number is one lease's");
                        leases.push(Lease { id: id(number), slots: cost, ends_at, released: false });
                    }
                }
                Step::Release(back) => {
                    let Some(named) = named(&leases, back) else { continue };
                    let records = limits.driver.log.len();
                    let answered = limits.ask(Vec::new(), Action::Release { lease: named });
                    match live_one(&mut leases, now, named) {
                        Some(lease) => {
                            prop_assert_eq!(answered, Ok(Reply::Released));
                            lease.released = true;
                        }
                        None => {
                            prop_assert_eq!(answered, no_lease());
                            prop_assert_eq!(limits.driver.log.len(), records, "nothing changes");
                        }
                    }
                }
                Step::Renew(back, ttl_ms) => {
                    let Some(named) = named(&leases, back) else { continue };
                    let answered = limits.ask(Vec::new(), Action::Renew { lease: named, ttl_ms });
                    match live_one(&mut leases, now, named) {
                        Some(lease) => {
                            let expires_at = limits.driver.now.plus_ms(ttl_ms);
                            prop_assert_eq!(answered, Ok(Reply::Renewed { expires_at }));
                            lease.ends_at = expires_at.0;
                        }
                        None => prop_assert_eq!(answered, no_lease()),
                    }
                }
                Step::Pass(ms) => limits.driver.pass(ms),
            }
            let now = limits.driver.now.0;
            let live = leases.iter().filter(|lease| !lease.released && now < lease.ends_at);
            let peeked = limits.peek(check(slots(), "job", 0));
            prop_assert_eq!(SLOTS - peeked.remaining, live.map(|lease| lease.slots).sum::<u64>());
        }
        limits.driver.pass(200_000);
        limits.driver.pass(200_000);
        prop_assert_eq!(limits.rows(), [0; LEASES + 1], "nothing is left of what is over");
    }
}

/// The lease so many from the end, whatever became of it.
fn named(leases: &[Lease], back: usize) -> Option<LeaseId> {
    leases.iter().rev().nth(back).map(|lease| lease.id)
}

/// The live lease of that name: numbers may come again once they are free.
fn live_one(leases: &mut [Lease], now: u64, named: LeaseId) -> Option<&mut Lease> {
    leases.iter_mut().find(|one| one.id == named && !one.released && now < one.ends_at)
}

fn no_lease() -> Result<Reply, Failure<Refusal>> {
    Err(Failure::Refused(Refusal::Limits(limits::Refusal::NoLease)))
}

/// More leases end at once than one turn forgets: the next check waits for no more than that.
#[test]
fn a_crowd_of_leases_ends() {
    let many = policy(Algorithm::Concurrency, 1_000, TTL_MS);
    let mut limits = Limits::new();
    for number in 0..1_000 {
        limits.check_as(number, vec![check(many, "job", 1)]).unwrap();
    }
    assert!(limits.check_as(0, vec![check(many, "job", 1)]).is_err());
    limits.driver.now = limits.driver.now.plus_ms(TTL_MS);
    assert!(limits.driver.log.len() > EXPIRE_MAX);
    assert!(limits.check_as(0, vec![check(many, "job", 1_000)]).is_ok(), "all of them are over");
    let peeked = limits.peek(check(many, "job", 1));
    assert!(!peeked.allowed && peeked.retry_after_ns == Some(TTL_MS * 1_000_000));
}

/// Nobody asks any more: the sweep forgets them all in one pass, some at a time.
#[test]
fn a_crowd_of_leases_is_forgotten() {
    let many = policy(Algorithm::Concurrency, 1_000, TTL_MS);
    let mut limits = Limits::new();
    for number in 0..1_000 {
        limits.check_as(number, vec![check(many, "job", 1)]).unwrap();
    }
    limits.driver.pass(SWEEP_EVERY_MS);
    assert_eq!(limits.rows(), [1, 1_000 - EXPIRE_MAX]);
    for _ in 0..4 {
        limits.driver.pass(10);
    }
    assert_eq!(limits.rows(), [0, 0]);
}

#[test]
fn a_lease_is_named_by_what_releases_it() {
    let lease = LeaseId { partition: 7, key: [0xab; 16], number: 5 };
    let text = lease.to_string();
    assert_eq!(text, format!("7.{}.0000000000000005", "ab".repeat(16)));
    assert_eq!(text.parse(), Ok(lease));
    for other in ["", "7", "7.ab.5", "-7.ab", &text[1..], &text.replace('5', "g"), "+7.0.0"] {
        assert_eq!(other.parse::<LeaseId>(), Err(()), "{other}");
    }
}

#[test]
fn slots_say_when_they_are_free() {
    let mut limits = Limits::new();
    limits.check_as(1, vec![check(slots(), "job", 3)]).unwrap();
    limits.driver.pass(400);
    limits.check_as(2, vec![check(slots(), "job", 1)]).unwrap();
    let Err(results) = limits.check_as(3, vec![check(slots(), "job", 1)]) else { panic!("full") };
    let CheckResult { retry_after_ns, reset_after_ns, .. } = results[0];
    assert_eq!((retry_after_ns, reset_after_ns), (Some(600_000_000), 1_000_000_000));
}

/// More leases than an answer looks through: a moment before which it is in vain, also to a look that
/// finds them over and not yet forgotten.
#[test]
fn a_crowd_of_slots_says_when_to_try_at_the_earliest() {
    let many = policy(Algorithm::Concurrency, 300, 1_000_000);
    let mut limits = Limits::new();
    for number in 0..300 {
        limits.check_as(number, vec![check(many, "job", 1)]).unwrap();
        limits.driver.pass(1);
    }
    let refused = limits.check(vec![check(many, "job", 300)]).unwrap_err();
    let end_ms = |number: u64| 1_000_000 - 300 + number;
    assert_eq!(refused[0].retry_after_ns, Some(end_ms(EXPIRE_MAX as u64 - 1) * 1_000_000));
    assert_eq!(refused[0].reset_after_ns, end_ms(299) * 1_000_000);
    limits.driver.now = limits.driver.now.plus_ms(1_000_000);
    let peeked = limits.peek(check(many, "job", 300));
    assert_eq!((peeked.allowed, peeked.retry_after_ns, peeked.reset_after_ns), (false, Some(0), 0));
}
