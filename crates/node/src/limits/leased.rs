//! Limits in mode `leased`: what this node has of each subject, and asking the owner for more. What
//! tokens are good for, and by how much they may admit too much, is the domain's to say.
//!
//! Of checks that are asked together, those of leased limits are decided here and first; if
//! anything then does not fit, what was taken here is put back.

use super::{Asked, Checked, Terms, Verdict, command_of, join};
use crate::{
    CallOptions, Called, CheckFailure, Node, NodeError, ReadOptions, SessionToken, Tenant,
};
use evenkeel_domains::{
    Command, Refusal, Reply,
    limits::{self, Action, Check, CheckResult, Local, Mode, Tokens},
};
use evenkeel_engine::{Failure, TenantId, Time};
use evenkeel_log::Files;
use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::Mutex as AsyncMutex, time::timeout};

const SHARDS: usize = 16;
/// Subjects of which a node has tokens at once. Others are counted exactly.
const SUBJECTS_MAX: usize = 1 << 18;
/// A shard is looked through for idle subjects once it has so many, or twice what was left then.
const SWEPT_AT: usize = 1_024;
/// One that is nearly full of others is looked through this often, and not for each new subject.
const SWEEP_REST_MS: u64 = 1_000;

type Subject = (TenantId, [u8; 16]);
type Shared = Arc<AsyncMutex<Held>>;

/// What a node has of one subject.
struct Held {
    tokens: Tokens,
    /// The newest answer of the owner.
    as_of: Option<SessionToken>,
}

/// What a node has of all subjects.
pub(crate) struct Leases {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
}

struct Shard {
    subjects: HashMap<Subject, Shared>,
    swept_at: usize,
    rest_until: Time,
}

impl Default for Leases {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()), hasher: RandomState::new() }
    }
}

impl Default for Shard {
    fn default() -> Self {
        Self { subjects: HashMap::new(), swept_at: SWEPT_AT, rest_until: Time(0) }
    }
}

impl Leases {
    fn shard(&self, subject: &Subject) -> std::sync::MutexGuard<'_, Shard> {
        let at = self.hasher.hash_one(subject) as usize % SHARDS;
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What there is of a subject; `None` if there are too many already.
    fn of(&self, subject: Subject, check: &Check, now: Time) -> Option<Shared> {
        let mut shard = self.shard(&subject);
        if let Some(held) = shard.subjects.get(&subject) {
            return Some(Arc::clone(held));
        }
        if !shard.has_room(now) {
            return None;
        }
        let held = Held { tokens: Tokens::new(*check.policy()), as_of: None };
        let held = Arc::new(AsyncMutex::new(held));
        shard.subjects.insert(subject, Arc::clone(&held));
        Some(held)
    }

    /// Forgets what there is of a subject that was reset. Whoever waits for it goes on with the same:
    /// a second beside it could hold as much again.
    pub(super) async fn forget(&self, tenant: TenantId, check: &Check) {
        let subject = (tenant, check.key());
        let held = self.shard(&subject).subjects.get(&subject).cloned();
        if let Some(held) = held {
            held.lock().await.tokens = Tokens::new(*check.policy());
        }
    }
}

impl Shard {
    fn has_room(&mut self, now: Time) -> bool {
        if self.subjects.len() >= self.swept_at && now >= self.rest_until {
            self.sweep(now);
        }
        self.subjects.len() < SUBJECTS_MAX / SHARDS
    }

    fn sweep(&mut self, now: Time) {
        self.subjects.retain(|_, held| {
            // Whoever has it now may be about to use it.
            Arc::strong_count(held) > 1
                || held.try_lock().is_ok_and(|held| !held.tokens.is_idle(now))
        });
        self.swept_at = SWEPT_AT.max(2 * self.subjects.len()).min(SUBJECTS_MAX / SHARDS);
        if self.swept_at == SUBJECTS_MAX / SHARDS {
            self.rest_until = now.plus_ms(SWEEP_REST_MS);
        }
    }
}

/// Whether `check` is decided from tokens.
pub(super) fn is_leased(check: &Check) -> bool {
    check.policy().mode == Mode::Leased && check.cost() > 0
}

/// One check that was admitted here.
struct Taken<'c> {
    check: &'c Check,
    held: Shared,
    counted_at: Time,
}

/// Decides `checks`, of which some are leased, all of them or none.
pub(super) async fn check<F: Files>(
    node: &Node<F>,
    tenant: &Tenant,
    checks: Vec<Check>,
    options: CallOptions,
) -> Result<Called<Checked>, CheckFailure> {
    node.check_session(&options.session)?;
    let give_up = node.now().plus_ms(node.deadline_ms("limits.check", options.deadline));
    let mut taken = Vec::new();
    let mut answers = Vec::new();
    let mut rest = Vec::new();
    let mut fits = true;
    for (place, check) in checks.iter().enumerate() {
        let held =
            is_leased(check).then(|| node.0.leases.of((tenant.id, check.key()), check, node.now()));
        let Some(held) = held.flatten() else {
            rest.push(place);
            continue;
        };
        match take(node, tenant, check, &held, (&options, give_up)).await {
            Ok(called) => {
                if called.answer.allowed && !called.answer.is_degraded() {
                    taken.push(Taken { check, held, counted_at: called.at });
                }
                fits &= called.answer.allowed;
                answers.push((vec![place], called));
            }
            Err(error) => {
                put_back(node, taken, give_up).await;
                return Err(error.into());
            }
        }
    }
    if !rest.is_empty() {
        let others: Vec<Check> = rest.iter().map(|place| checks[*place].clone()).collect();
        let deadline = Some(left(node, give_up));
        // Where something does not fit nothing is counted any more.
        let called = if fits {
            node.count_exactly(tenant, others, CallOptions { deadline, ..options }).await
        } else {
            let session = options.session;
            let options = ReadOptions { deadline, session, ..ReadOptions::default() };
            node.peek(tenant, others, options).await.map_err(CheckFailure::from)
        };
        match called {
            Ok(called) => {
                fits &= called.answer.allowed;
                answers.push((rest, called));
            }
            Err(error) => {
                put_back(node, taken, give_up).await;
                return Err(error);
            }
        }
    }
    if !fits {
        put_back(node, taken, give_up).await;
    }
    Ok(join(answers))
}

/// What cannot be put back in time, since others ask for more of it, is lost.
async fn put_back<F: Files>(node: &Node<F>, taken: Vec<Taken<'_>>, give_up: Time) {
    for Taken { check, held, counted_at } in taken {
        if let Ok(mut held) = timeout(left(node, give_up), held.lock()).await {
            held.tokens.put_back(check.cost(), counted_at, node.now());
        }
    }
}

/// How long until `give_up`.
pub(super) fn left<F: Files>(node: &Node<F>, give_up: Time) -> Duration {
    Duration::from_millis(give_up.0.saturating_sub(node.now().0))
}

/// Decides one check, asking the owner if there are too few tokens. One asks at a time; others that
/// need more wait for what it brings.
async fn take<F: Files>(
    node: &Node<F>,
    tenant: &Tenant,
    check: &Check,
    held: &Shared,
    (options, give_up): (&CallOptions, Time),
) -> Asked {
    let terms = Terms::of(std::slice::from_ref(check));
    let Ok(mut held) = timeout(left(node, give_up), held.lock()).await else {
        return node.stand_in(Failure::DeadlineExceeded.into(), &terms);
    };
    let (policy, cost) = (check.policy(), check.cost());
    let (tokens, need) = match held.tokens.take(policy, cost, node.now()) {
        Local::Decided { result, counted_at } => {
            return Ok(answer(check, &held, result, counted_at));
        }
        Local::Ask { tokens, need } => (tokens, need),
    };
    let needed =
        Check::new(check.subject().clone(), *policy, need).expect("it costs less than one");
    let command = Command::Limits(command_of(vec![needed], Action::Lease { tokens }));
    let options = CallOptions { deadline: Some(left(node, give_up)), ..options.clone() };
    match node.command(tenant, command, options).await {
        Ok(Called {
            answer: Reply::Limits(limits::Reply::Leased { tokens, result }),
            as_of,
            at,
            ..
        }) => {
            held.as_of = as_of.into_iter().next();
            let (result, counted_at) = held.tokens.granted(tokens, result, at, (cost, node.now()));
            Ok(answer(check, &held, result, counted_at))
        }
        Ok(_) => unreachable!("a lease is answered by tokens"),
        Err(NodeError::Refused {
            refusal: Refusal::Limits(limits::Refusal::Limited(mut results)),
            as_of,
        }) => {
            held.as_of = Some(as_of);
            let result = held.tokens.refused(results.swap_remove(0), (cost, node.now()));
            Ok(answer(check, &held, result, node.now()))
        }
        Err(error) => node.stand_in(error, &terms),
    }
}

fn answer(check: &Check, held: &Held, result: CheckResult, at: Time) -> Called<Checked> {
    let verdict = Verdict {
        result,
        lease: None,
        degraded: false,
        over_admission_max: Some(check.policy().lease_tokens()),
    };
    Called {
        answer: Checked::of(vec![verdict]),
        replayed: false,
        as_of: held.as_of.into_iter().collect(),
        staleness_ms: 0,
        at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_domains::limits::{Algorithm, Policy, Subject};

    fn check() -> Check {
        let policy = Policy::of(Algorithm::SlidingWindow, 160, 400);
        let policy = Policy { mode: Mode::Leased, ..policy };
        let subject = Subject { limit: "l".into(), scope: None, key: b"ada".to_vec() };
        Check::new(subject, policy, 1).unwrap()
    }

    #[tokio::test]
    async fn a_reset_leaves_one_hand_that_holds_a_subject() {
        let (leases, check, tenant) = (Leases::default(), check(), TenantId(0));
        let of = || leases.of((tenant, check.key()), &check, Time(0)).unwrap();
        let waiting = of();
        leases.forget(tenant, &check).await;
        assert!(Arc::ptr_eq(&waiting, &of()));
    }

    /// What is held of a subject from `now` on.
    fn holding(check: &Check, now: Time) -> Shared {
        let mut tokens = Tokens::new(*check.policy());
        let Local::Ask { tokens: asked, .. } = tokens.take(check.policy(), 1, now) else {
            panic!("it has none")
        };
        let result = CheckResult {
            allowed: true,
            quantity: 160,
            remaining: 150,
            retry_after_ns: None,
            reset_after_ns: 0,
            lease: None,
            shadow_refused: false,
        };
        tokens.granted(asked, result, now, (1, now));
        Arc::new(AsyncMutex::new(Held { tokens, as_of: None }))
    }

    #[test]
    fn a_full_shard_is_not_looked_through_for_each_new_subject() {
        let (mut shard, check, now) = (Shard::default(), check(), Time(10_000));
        for number in 0..(SUBJECTS_MAX / SHARDS) as u128 {
            let subject = (TenantId(0), number.to_be_bytes());
            assert!(shard.has_room(now));
            shard.subjects.insert(subject, holding(&check, now));
        }
        assert!(!shard.has_room(now));
        let rest_until = shard.rest_until;
        assert!(!shard.has_room(Time(rest_until.0 - 1)), "all of it has lapsed, and is left alone");
        assert!(shard.has_room(rest_until));
        assert!(shard.subjects.is_empty());
    }
}
