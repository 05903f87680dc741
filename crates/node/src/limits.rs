//! Checks of limits over one partition or several: grouped by who counts them, asked, and put
//! together again, all or nothing. And what is answered where nobody could count. How a partition
//! counts is the domain's.
//!
//! Checks of one partition are one command. Those of several are in `across`, which also says by how
//! much limits may then admit less than they could.

mod across;
mod leased;
mod underway;

pub(crate) use leased::Leases;
pub(crate) use underway::{Place, Underway};

use crate::{CallOptions, Called, Node, NodeError, ReadOptions, SessionToken, Tenant};
use evenkeel_domains::{
    Command, Found, Query, Refusal, Reply, Scope,
    limits::{
        self, Action, Algorithm, CHECKS_MAX, Check, CheckResult, LeaseId, OnUnavailable, Policy,
    },
};
use evenkeel_engine::{Failure, Time};
use evenkeel_log::{Files, PartitionId};
use std::{
    collections::hash_map::RandomState,
    future::{Future, poll_fn},
    hash::{BuildHasher, Hasher},
    pin::Pin,
    task::Poll,
};
use tokio::time::timeout;

/// When to ask again where nobody could count.
const DEGRADED_RETRY_NS: u64 = 1_000_000_000;

/// What was decided about checks that were asked together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Whether all of them are allowed: then all were counted, else none stays counted.
    pub allowed: bool,
    /// Each, in the order in which they were asked.
    pub verdicts: Vec<Verdict>,
}

/// What was decided about one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What its partition says. If none did: what the policy's `on_unavailable` says, and no
    /// number but `quantity` means anything.
    pub result: CheckResult,
    /// The slot that was taken, by its whole name.
    pub lease: Option<LeaseId>,
    /// Whether nobody could count it, so that its policy's `on_unavailable` was answered.
    pub degraded: bool,
    /// Of one that was decided from leased tokens: how many units each node may admit beyond the
    /// policy.
    pub over_admission_max: Option<u64>,
}

impl Checked {
    fn of(verdicts: Vec<Verdict>) -> Self {
        Self { allowed: verdicts.iter().all(|verdict| verdict.result.allowed), verdicts }
    }

    /// Whether any check was answered by its `on_unavailable`.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.verdicts.iter().any(|verdict| verdict.degraded)
    }
}

/// Why checks were not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckFailure {
    /// A partition remembers a key for what it did itself. If one of several counts and another
    /// refuses, the first would remember as counted what was given back, and a repeat would be
    /// admitted without being counted: so there is no key for several.
    #[error("the checks are counted in {partitions} partitions, which cannot share a key")]
    KeyAcrossPartitions {
        /// How many.
        partitions: usize,
    },
    /// The answer that is remembered names a slot, which by then may have ended and be another's: a
    /// repeat would let two into one slot.
    #[error("a key would hand out a slot again that is no longer held")]
    KeyForSlots,
    /// As for any other command.
    #[error(transparent)]
    Node(#[from] NodeError),
}

/// Checks that one partition counts.
#[derive(Debug, Clone)]
struct Part {
    partition: PartitionId,
    checks: Vec<Check>,
    /// Where each stood among all.
    places: Vec<usize>,
}

/// What is needed of a check once it was sent away.
struct Terms {
    policy: Policy,
    key: [u8; 16],
    /// Only a named limit says what to answer where nobody can count.
    named: bool,
}

impl Terms {
    fn of(checks: &[Check]) -> Vec<Self> {
        let terms = |check: &Check| Self {
            policy: *check.policy(),
            key: check.key(),
            named: !check.subject().limit.is_empty(),
        };
        checks.iter().map(terms).collect()
    }
}

type Asked = Result<Called<Checked>, NodeError>;
/// Checks that are counted together, and how.
pub type Ask = (Vec<Check>, CallOptions);
/// What they are answered.
pub type Answered = Result<Called<Checked>, CheckFailure>;

impl<F: Files> Node<F> {
    /// Asks whether all `checks` fit, at most [`CHECKS_MAX`], and counts all of them or none; with
    /// `peek` it counts nothing, and writes no record. A check that does not fit is an answer, no
    /// failure. Where a partition cannot answer, the policies' `on_unavailable` does, for checks of
    /// named limits.
    pub async fn check(
        &self,
        tenant: &Tenant,
        checks: Vec<Check>,
        peek: bool,
        options: CallOptions,
    ) -> Result<Called<Checked>, CheckFailure> {
        if peek {
            let CallOptions { deadline, session, .. } = options;
            let options = ReadOptions { deadline, session, ..ReadOptions::default() };
            return Ok(self.peek(tenant, checks, options).await?);
        }
        let slots = |check: &Check| check.policy().algorithm == Algorithm::Concurrency;
        if options.idempotency_key.is_some() && checks.iter().any(slots) {
            return Err(CheckFailure::KeyForSlots);
        }
        bounded(&checks)?;
        if options.idempotency_key.is_none() && checks.iter().any(leased::is_leased) {
            return leased::check(self, tenant, checks, options).await;
        }
        self.count_exactly(tenant, checks, options).await
    }

    /// The same as [`Self::check`] without `peek` for many at once, each for itself. All are sent,
    /// in their order, before any is waited for.
    pub async fn checks(&self, tenant: &Tenant, asked: Vec<Ask>) -> Vec<Answered> {
        let counts_in =
            |(checks, options): &Ask| self.only_partition(tenant, checks, options).ok_or(());
        let Ok(partitions) = asked.iter().map(counts_in).collect::<Result<Vec<_>, ()>>() else {
            let one = |(checks, options): Ask| self.check(tenant, checks, false, options);
            return together(asked.into_iter().map(one)).await;
        };
        let mut sent = Vec::with_capacity(asked.len());
        let mut commands = Vec::with_capacity(asked.len());
        for (partition, (checks, options)) in partitions.into_iter().zip(asked) {
            sent.push((partition, Terms::of(&checks)));
            commands.push((partition, counting(checks), options));
        }
        let called = self.commands_at(tenant, commands).await.into_iter();
        let counted = called
            .zip(sent)
            .map(|(called, (partition, terms))| Ok(self.counted(partition, called, &terms)?));
        counted.collect()
    }

    /// The one partition that counts `checks`, if they need nothing but that.
    fn only_partition(
        &self,
        tenant: &Tenant,
        checks: &[Check],
        options: &CallOptions,
    ) -> Option<PartitionId> {
        bounded(checks).ok()?;
        let plain = |check: &Check| {
            let keyed = options.idempotency_key.is_some();
            let slots = check.policy().algorithm == Algorithm::Concurrency;
            if keyed { !slots } else { !leased::is_leased(check) }
        };
        let mut partitions = checks.iter().map(|check| self.partition_of_check(tenant, check));
        let first = partitions.next()?;
        (checks.iter().all(plain) && partitions.all(|other| other == first)).then_some(first)
    }

    /// Asks the partitions that count `checks`, whatever their mode.
    async fn count_exactly(
        &self,
        tenant: &Tenant,
        checks: Vec<Check>,
        options: CallOptions,
    ) -> Result<Called<Checked>, CheckFailure> {
        let mut parts = self.by_partition(tenant, checks)?;
        match (parts.len(), options.idempotency_key.is_some()) {
            (1, _) => {
                let Part { partition, checks, .. } = parts.remove(0);
                Ok(self.count(tenant, partition, checks, options).await?)
            }
            (partitions, true) => Err(CheckFailure::KeyAcrossPartitions { partitions }),
            (_, false) => Ok(across::check(self, tenant, parts, options).await?),
        }
    }

    /// What [`Self::check`] would answer. Each partition is read at one moment of its own.
    pub async fn peek(&self, tenant: &Tenant, checks: Vec<Check>, options: ReadOptions) -> Asked {
        let parts = self.by_partition(tenant, checks)?.into_iter();
        let reads = parts.map(|Part { checks, places, .. }| {
            let options = options.clone();
            async move { (places, self.peek_part(tenant, checks, options).await) }
        });
        let mut found = Vec::new();
        for (places, read) in together(reads).await {
            found.push((places, read?));
        }
        Ok(join(found))
    }

    /// Gives back what a check had counted at the record time `counted_at`. Each partition does so
    /// once for an idempotency key, so that all of it can be sent again.
    pub async fn refund(
        &self,
        tenant: &Tenant,
        checks: Vec<Check>,
        counted_at: Time,
        options: CallOptions,
    ) -> Asked {
        self.change(tenant, checks, Action::Refund { counted_at }, options).await
    }

    /// Forgets what the subjects of `checks` have counted.
    pub async fn reset(&self, tenant: &Tenant, checks: Vec<Check>, options: CallOptions) -> Asked {
        let give_up = self.now().plus_ms(self.deadline_ms("limits.reset", options.deadline));
        let reset = self.change(tenant, checks.clone(), Action::Reset, options).await?;
        for check in &checks {
            // Who is not let in by then has refusals that are soon too old anyway.
            let forgotten = self.0.leases.forget(tenant.id, check);
            let _ = timeout(leased::left(self, give_up), forgotten).await;
        }
        Ok(reset)
    }

    /// Does `action` in every partition that counts one of `checks`. The first failure is answered;
    /// it is [`NodeError::Partly`] if others have done theirs, or may have.
    async fn change(
        &self,
        tenant: &Tenant,
        checks: Vec<Check>,
        action: Action,
        options: CallOptions,
    ) -> Asked {
        let mut parts = self.by_partition(tenant, checks)?;
        // Slots are refused, and nothing else must be done then: only who refuses is asked.
        let slots = |check: &Check| check.policy().algorithm == Algorithm::Concurrency;
        if let Some(at) = parts.iter().position(|part| part.checks.iter().any(slots)) {
            parts = vec![parts.swap_remove(at)];
        }
        let calls = parts.into_iter().map(|Part { partition, checks, places }| {
            let command = Command::Limits(command_of(checks, action.clone()));
            let options = options.clone();
            async move { (places, self.command_at(partition, tenant, command, options).await) }
        });
        let answers = together(calls).await;
        let effects = answers.iter().filter(|(_, called)| may_have_had_effect(called)).count();
        let mut done = Vec::new();
        for (places, called) in answers {
            let called = called.map_err(|error| match effects {
                0 => error,
                _ => NodeError::Partly(Box::new(error)),
            })?;
            done.push((places, called.map(|reply| Checked::of(verdicts(results(reply))))));
        }
        Ok(join(done))
    }

    fn by_partition(&self, tenant: &Tenant, checks: Vec<Check>) -> Result<Vec<Part>, NodeError> {
        bounded(&checks)?;
        let mut parts: Vec<Part> = Vec::with_capacity(1);
        for (place, check) in checks.into_iter().enumerate() {
            let partition = self.partition_of_check(tenant, &check);
            let part = match parts.iter_mut().find(|part| part.partition == partition) {
                Some(part) => part,
                None => {
                    parts.push(Part { partition, checks: Vec::new(), places: Vec::new() });
                    parts.last_mut().expect("it was just put there")
                }
            };
            part.checks.push(check);
            part.places.push(place);
        }
        Ok(parts)
    }

    fn partition_of_check(&self, tenant: &Tenant, check: &Check) -> PartitionId {
        self.partition_of(tenant, Scope::Key { domain: "limits", key: check.partition_key() })
    }

    /// Has one partition count `checks`, all of them or none.
    async fn count(
        &self,
        tenant: &Tenant,
        partition: PartitionId,
        checks: Vec<Check>,
        options: CallOptions,
    ) -> Asked {
        let terms = Terms::of(&checks);
        let called = self.command_at(partition, tenant, counting(checks), options).await;
        self.counted(partition, called, &terms)
    }

    /// What a partition's answer about checks with these `terms` means.
    fn counted(
        &self,
        partition: PartitionId,
        called: Result<Called<Reply>, NodeError>,
        terms: &[Terms],
    ) -> Asked {
        match called {
            Ok(called) => Ok(called.map(|reply| {
                let mut verdicts = verdicts(results(reply));
                for (verdict, terms) in verdicts.iter_mut().zip(terms) {
                    let lease = |number| LeaseId { partition: partition.0, key: terms.key, number };
                    verdict.lease = verdict.result.lease.map(lease);
                }
                Checked::of(verdicts)
            })),
            Err(NodeError::Refused {
                refusal: Refusal::Limits(limits::Refusal::Limited(results)),
                as_of,
            }) => Ok(Called {
                answer: Checked { allowed: false, verdicts: verdicts(results) },
                replayed: false,
                as_of: vec![as_of],
                staleness_ms: 0,
                at: self.now(),
            }),
            Err(error) => self.stand_in(error, terms),
        }
    }

    async fn peek_part(&self, tenant: &Tenant, checks: Vec<Check>, options: ReadOptions) -> Asked {
        let terms = Terms::of(&checks);
        let query = Query::Limits(limits::Query::Peek { checks });
        match self.query(tenant, query, options).await {
            Ok(called) => Ok(called.map(|found| {
                let Found::Limits(limits::Found::Peeked(results)) = found else {
                    unreachable!("a peek is answered by what it saw")
                };
                Checked::of(verdicts(results))
            })),
            Err(error) => self.stand_in(error, &terms),
        }
    }

    /// What the policies say where nobody could count, if every one of them says something.
    fn stand_in(&self, error: NodeError, terms: &[Terms]) -> Asked {
        let nobody_counted = matches!(
            error,
            NodeError::Failed(
                Failure::Unavailable(_)
                    | Failure::Overloaded
                    | Failure::DeadlineExceeded
                    | Failure::OutcomeUnknown
            )
        );
        if !nobody_counted || !terms.iter().all(|terms| terms.named) {
            return Err(error);
        }
        let verdicts = terms.iter().map(|terms| degraded(&terms.policy)).collect();
        Ok(Called {
            answer: Checked::of(verdicts),
            replayed: false,
            as_of: Vec::new(),
            staleness_ms: 0,
            at: self.now(),
        })
    }
}

fn may_have_had_effect(called: &Result<Called<Reply>, NodeError>) -> bool {
    matches!(called, Ok(_) | Err(NodeError::Failed(Failure::OutcomeUnknown)))
}

fn degraded(policy: &Policy) -> Verdict {
    let allow = policy.on_unavailable == OnUnavailable::Allow;
    let allowed = allow || policy.shadow;
    let result = CheckResult {
        allowed,
        quantity: policy.capacity(),
        remaining: 0,
        retry_after_ns: (!allowed).then_some(DEGRADED_RETRY_NS),
        reset_after_ns: 0,
        lease: None,
        shadow_refused: policy.shadow && !allow,
    };
    Verdict { result, lease: None, degraded: true, over_admission_max: None }
}

fn verdicts(results: Vec<CheckResult>) -> Vec<Verdict> {
    let verdict =
        |result| Verdict { result, lease: None, degraded: false, over_admission_max: None };
    results.into_iter().map(verdict).collect()
}

fn results(reply: Reply) -> Vec<CheckResult> {
    let Reply::Limits(limits::Reply::Checked(results) | limits::Reply::Changed(results)) = reply
    else {
        unreachable!("checks are answered by results")
    };
    results
}

fn bounded(checks: &[Check]) -> Result<(), NodeError> {
    let fits = (1..=CHECKS_MAX).contains(&checks.len());
    if fits { Ok(()) } else { Err(Failure::TooLarge.into()) }
}

/// The command that counts checks that were [`bounded`].
fn counting(checks: Vec<Check>) -> Command {
    let slots = checks.iter().any(|check| check.policy().algorithm == Algorithm::Concurrency);
    let lease = if slots { random() } else { 0 };
    Command::Limits(command_of(checks, Action::Check { lease }))
}

/// Of checks that were [`bounded`], or some of them.
fn command_of(checks: Vec<Check>, action: Action) -> limits::Command {
    limits::Command::new(checks, action).expect("at least one, and at most as many as all")
}

/// Runs all of `work` side by side, in this task; answers in its order.
pub(crate) async fn together<W: Future>(work: impl Iterator<Item = W>) -> Vec<W::Output> {
    let mut running: Vec<Pin<Box<W>>> = work.map(Box::pin).collect();
    let mut done: Vec<Option<W::Output>> = running.iter().map(|_| None).collect();
    poll_fn(|context| {
        let mut all = Poll::Ready(());
        for (work, done) in running.iter_mut().zip(&mut done).filter(|(_, done)| done.is_none()) {
            match work.as_mut().poll(context) {
                Poll::Ready(value) => *done = Some(value),
                Poll::Pending => all = Poll::Pending,
            }
        }
        all
    })
    .await;
    done.into_iter().map(|done| done.expect("each was waited for")).collect()
}

/// Puts answers about parts together, each check in its place.
fn join(answers: Vec<(Vec<usize>, Called<Checked>)>) -> Called<Checked> {
    let mut placed = Vec::new();
    let mut as_of = Vec::new();
    // The earliest: whoever gives something back by it must not get back more than there is.
    let (mut replayed, mut at) = (true, Time(u64::MAX));
    for (places, called) in answers {
        placed.extend(places.into_iter().zip(called.answer.verdicts));
        called.as_of.into_iter().for_each(|token| see(&mut as_of, token));
        replayed &= called.replayed;
        at = at.min(called.at);
    }
    placed.sort_unstable_by_key(|(place, _)| *place);
    let verdicts = placed.into_iter().map(|(_, verdict)| verdict).collect();
    Called { answer: Checked::of(verdicts), replayed, as_of, staleness_ms: 0, at }
}

impl Called<Checked> {
    /// What a refund of the same checks names: when all of them were counted. None if one was not, or
    /// nobody knows: nobody could count it, or its limit only watched, or this is a replay. To give
    /// back what was not counted would admit it twice.
    #[must_use]
    pub fn counted_at(&self) -> Option<Time> {
        let Checked { allowed, verdicts } = &self.answer;
        let counted =
            verdicts.iter().all(|verdict| !verdict.degraded && !verdict.result.shadow_refused);
        (*allowed && counted && !self.replayed).then_some(self.at)
    }
}

/// Of each partition the newest place.
fn see(seen: &mut Vec<SessionToken>, token: SessionToken) {
    match seen.iter_mut().find(|known| known.partition == token.partition) {
        Some(known) => known.offset = known.offset.max(token.offset),
        None => seen.push(token),
    }
}

/// Another number each time, which nobody can guess without trying: a name, not a secret.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
