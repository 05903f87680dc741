//! What this edge asks of the node: its requests as the domain's commands, and the answers back.
//! Policies are looked up here, in the node's copy of `meta`.

use super::{
    metered::{Metered, Path},
    service::{
        Batch, Caller, Check as Asked, Cost, Failure, INVALID_REQUEST, Limits, Manage, Managed,
        Name, Outcome, Request, Subject as Named, Throttle,
    },
};
use crate::{failure, meters::Meters};
use evenkeel_domains::{
    Command, Refusal, Reply,
    limits::{self, Check, CheckResult, LeaseId, PolicyError, Subject},
    meta,
};
use evenkeel_engine::Time;
use evenkeel_node::{
    Ask, CallOptions, Called, CheckFailure, Checked, MetaView, Node, NodeError, Verdict,
};
use smallvec::smallvec;
use std::{borrow::Cow, mem, ops::Bound, sync::Arc, time::Instant};

/// Limits as a node counts them.
pub(super) struct Counted {
    node: Node,
    meters: Metered,
}

impl Limits for Counted {
    async fn decide(&self, caller: &Caller, batch: &mut Batch) {
        let view = self.node.meta();
        let mut together = Together::default();
        for request in batch.requests.drain(..) {
            if !joins(&request) {
                self.settle(caller, &mut together, &mut batch.outcomes).await;
            }
            let began = Instant::now();
            let (path, done) = match request {
                Request::Throttle(throttle) => {
                    let checks = throttled(&throttle);
                    together.push(checks.map(|check| (vec![check], CallOptions::default())));
                    continue;
                }
                Request::Check(asked) => {
                    let checks = checks(&view, caller, &asked.costs);
                    if goes_with_others(&asked) {
                        let checks = checks.map_err(AtOnce::Failed);
                        together.push(checks.map(|checks| (checks, options(asked))));
                        continue;
                    }
                    let path = if asked.peek { Path::Peek } else { Path::Check };
                    (path, self.check(caller, checks, asked).await)
                }
                Request::Refund { check, counted_at } => {
                    (Path::Refund, self.refund(caller, &view, check, counted_at).await)
                }
                Request::Reset(asked) => (Path::Reset, self.reset(caller, &view, &asked).await),
                Request::Release(lease) => (Path::Release, self.release(caller, lease).await),
                Request::Renew { lease, ttl_ms } => {
                    (Path::Renew, self.renew(caller, lease, ttl_ms).await)
                }
            };
            let outcome = done.unwrap_or_else(Outcome::Failed);
            self.meters.record(path, &outcome, began);
            batch.outcomes.push(outcome);
        }
        self.settle(caller, &mut together, &mut batch.outcomes).await;
    }

    async fn manage(&self, caller: &Caller, request: Manage) -> Managed {
        let (path, began) = (Path::of(&request), Instant::now());
        let managed = self.manage_one(caller, request).await;
        self.meters.record_managed(path, &managed, began);
        managed
    }

    fn meta(&self) -> Arc<MetaView> {
        self.node.meta()
    }

    fn now(&self) -> Time {
        self.node.now()
    }
}

/// Checks that came one after the other, and are to be under way together.
#[derive(Default)]
struct Together {
    asks: Vec<Ask>,
    /// Of each that came, in order, whether it is among `asks`, or what it is answered instead.
    came: Vec<Result<(), AtOnce>>,
}

impl Together {
    fn push(&mut self, asked: Result<Ask, AtOnce>) {
        self.came.push(asked.map(|ask| self.asks.push(ask)));
    }
}

/// Whether `request` may be under way with others; else it has to wait for them.
fn joins(request: &Request) -> bool {
    match request {
        Request::Throttle(_) => true,
        Request::Check(asked) => goes_with_others(asked),
        _ => false,
    }
}

/// Whether one partition counts all of it. What several count may be given back later, and who
/// comes next must not find it counted. A peek reads beside what is being counted, so it waits.
fn goes_with_others(asked: &Asked) -> bool {
    let scope = |cost: &Cost| cost.subject.scope.clone();
    let first = asked.costs.first().and_then(scope);
    let one = asked.costs.len() == 1;
    !asked.peek && (one || first.is_some() && asked.costs.iter().all(|cost| scope(cost) == first))
}

impl Counted {
    pub(super) fn new(node: Node, meters: Meters) -> Self {
        Self { node, meters: Metered::new(meters) }
    }

    async fn manage_one(&self, caller: &Caller, request: Manage) -> Managed {
        let (tenant, view) = (caller.tenant.id, self.node.meta());
        if view.as_of.is_none() {
            return Managed::Failed(unread());
        }
        match request {
            Manage::Put { limit, policy } => {
                let name = limit.as_str().to_owned();
                let action = meta::Action::PutLimit { tenant, name, policy };
                let put = self.change(caller, Path::Put, action).await;
                put.map_or_else(Managed::Failed, |_| Managed::Done)
            }
            Manage::Delete { limit } => {
                let name = limit.as_str().to_owned();
                if view.meta.limit(tenant, &name).is_none() {
                    return Managed::Deleted(false);
                }
                let action = meta::Action::DeleteLimit { tenant, name };
                let gone = self.change(caller, Path::Delete, action).await;
                gone.map_or_else(Managed::Failed, |_| Managed::Deleted(true))
            }
            Manage::Get { limit } => {
                Managed::Found(view.meta.limit(tenant, limit.as_str()).copied())
            }
            Manage::List { after, count } => {
                let from =
                    after.as_ref().map_or(Bound::Unbounded, |name| Bound::Excluded(name.as_str()));
                let limits = view.meta.limits.get(&tenant).into_iter();
                let rest = limits.flat_map(|all| all.range::<str, _>((from, Bound::Unbounded)));
                let named = rest
                    .take(count)
                    .filter_map(|(name, policy)| Some((Name::new(name.clone().into())?, *policy)));
                Managed::Listed(named.collect())
            }
        }
    }

    /// Has all that waits decided, each for itself, and puts the outcomes behind the others.
    async fn settle(&self, caller: &Caller, together: &mut Together, outcomes: &mut Vec<Outcome>) {
        if together.came.is_empty() {
            return;
        }
        let (first, began) = (outcomes.len(), Instant::now());
        let answers = self.node.checks(&caller.tenant, mem::take(&mut together.asks)).await;
        let mut answers = answers.into_iter().map(|answer| {
            self.note(Path::Check, &answer);
            answer.map_or_else(|error| Outcome::Failed(refused(error)), |it| checked(it, true))
        });
        let mut answer = |()| answers.next().expect("each ask is answered");
        let came = together.came.drain(..);
        outcomes.extend(came.map(|came| came.map_or_else(AtOnce::outcome, &mut answer)));
        for outcome in &outcomes[first..] {
            self.meters.record(Path::Check, outcome, began);
        }
    }

    async fn check(
        &self,
        caller: &Caller,
        checks: Result<Vec<Check>, Failure>,
        asked: Asked,
    ) -> Result<Outcome, Failure> {
        let peek = asked.peek;
        let called = self.node.check(&caller.tenant, checks?, peek, options(asked)).await;
        self.note(if peek { Path::Peek } else { Path::Check }, &called);
        called.map(|called| checked(called, !peek)).map_err(refused)
    }

    async fn refund(
        &self,
        caller: &Caller,
        view: &MetaView,
        asked: Asked,
        counted_at: Time,
    ) -> Result<Outcome, Failure> {
        let checks = checks(view, caller, &asked.costs)?;
        let called = self.node.refund(&caller.tenant, checks, counted_at, options(asked)).await;
        self.note(Path::Refund, &called);
        called.map(|called| checked(called, false)).map_err(failed)
    }

    async fn reset(
        &self,
        caller: &Caller,
        view: &MetaView,
        asked: &Asked,
    ) -> Result<Outcome, Failure> {
        let checks = checks(view, caller, &asked.costs)?;
        let called = self.node.reset(&caller.tenant, checks, CallOptions::default()).await;
        self.note(Path::Reset, &called);
        called.map(|called| checked(called, false)).map_err(failed)
    }

    async fn release(&self, caller: &Caller, lease: LeaseId) -> Result<Outcome, Failure> {
        let command = Command::Limits(limits::Command::release(lease));
        match self.call(caller, Path::Release, command).await {
            Ok(_) => Ok(Outcome::Released(true)),
            Err(error) if is_gone(&error) => Ok(Outcome::Released(false)),
            Err(error) => Err(failed(error)),
        }
    }

    async fn renew(
        &self,
        caller: &Caller,
        lease: LeaseId,
        ttl_ms: u64,
    ) -> Result<Outcome, Failure> {
        let command = Command::Limits(limits::Command::renew(lease, ttl_ms));
        match self.call(caller, Path::Renew, command).await {
            Ok(Called { answer: Reply::Limits(limits::Reply::Renewed { expires_at }), .. }) => {
                Ok(Outcome::Renewed(Some(expires_at)))
            }
            Ok(_) => unreachable!("what is renewed is answered with its end"),
            Err(error) if is_gone(&error) => Ok(Outcome::Renewed(None)),
            Err(error) => Err(failed(error)),
        }
    }

    async fn change(
        &self,
        caller: &Caller,
        path: Path,
        action: meta::Action,
    ) -> Result<Called<Reply>, Failure> {
        let command = Command::Meta(meta::Command { action });
        self.call(caller, path, command).await.map_err(failed)
    }

    async fn call(
        &self,
        caller: &Caller,
        path: Path,
        command: Command,
    ) -> Result<Called<Reply>, NodeError> {
        let called = self.node.command(&caller.tenant, command, CallOptions::default()).await;
        self.note(path, &called);
        called
    }

    /// Counts what an answer rests on, if there is one.
    fn note<A, E>(&self, path: Path, called: &Result<Called<A>, E>) {
        if let Ok(called) = called {
            self.meters.rested(path, called);
        }
    }
}

impl Failure {
    fn invalid(detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code: INVALID_REQUEST, detail: detail.into() }
    }
}

fn options(asked: Asked) -> CallOptions {
    let idempotency_key = asked.once.map(|id| String::from_utf8_lossy(&id).into_owned());
    CallOptions { idempotency_key, ..CallOptions::default() }
}

/// The domain's checks of named limits, with the policies of `view`.
fn checks(view: &MetaView, caller: &Caller, costs: &[Cost]) -> Result<Vec<Check>, Failure> {
    let check = |cost: &Cost| {
        let limit = cost.subject.limit.as_str();
        if view.as_of.is_none() {
            return Err(unread());
        }
        let policy = view.meta.limit(caller.tenant.id, limit).copied().ok_or_else(|| Failure {
            code: "not_found",
            detail: format!("there is no limit '{limit}'").into(),
        })?;
        Check::new(subject(&cost.subject), policy, cost.cost)
            .map_err(|error| Failure::invalid(error.to_string()))
    };
    costs.iter().map(check).collect()
}

/// Whether there is such a limit, nobody can say.
fn unread() -> Failure {
    failed(NodeError::Failed(evenkeel_engine::Failure::Unavailable(
        "the partition of limits is not served".into(),
    )))
}

/// The check that a `CL.THROTTLE` is, or what it is answered at once.
fn throttled(throttle: &Throttle) -> Result<Check, AtOnce> {
    let Throttle { key, max_burst, count, period_s, quantity } = throttle;
    let wrong = |error: String| AtOnce::Failed(Failure::invalid(error));
    let policy = limits::Policy::throttle((*max_burst).max(0), *count, *period_s);
    let policy = policy.map_err(|error| match error {
        PolicyError::ZeroRate => wrong("Zero rates are not supported".to_owned()),
        error => wrong(error.to_string()),
    })?;
    let cost = u64::try_from(*quantity).unwrap_or(0);
    if *max_burst < 0 {
        return Err(AtOnce::NoRoom { allowed: cost == 0 });
    }
    let subject = Subject { limit: String::new(), scope: None, key: key.to_vec() };
    Check::new(subject, policy, cost).map_err(|error| wrong(error.to_string()))
}

/// What a throttle is answered without anybody being asked.
enum AtOnce {
    Failed(Failure),
    /// Its burst is -1, so that only nothing fits, and nothing is kept: so says redis-cell.
    NoRoom {
        allowed: bool,
    },
}

impl AtOnce {
    fn outcome(self) -> Outcome {
        let allowed = match self {
            Self::Failed(failure) => return Outcome::Failed(failure),
            Self::NoRoom { allowed } => allowed,
        };
        let result = CheckResult {
            allowed,
            quantity: 0,
            remaining: 0,
            retry_after_ns: None,
            reset_after_ns: 0,
            lease: None,
            shadow_refused: false,
        };
        let verdicts =
            smallvec![Verdict { result, lease: None, degraded: false, over_admission_max: None }];
        Outcome::Checked { allowed, counted_at: None, verdicts }
    }
}

/// The outcome of checks; `counts` if they are such as count.
fn checked(called: Called<Checked>, counts: bool) -> Outcome {
    let counted_at = called.counted_at().filter(|_| counts);
    let Checked { allowed, verdicts } = called.answer;
    Outcome::Checked { allowed, counted_at, verdicts: verdicts.into() }
}

/// Why checks were not answered, in this edge's words.
fn refused(failure: CheckFailure) -> Failure {
    match failure {
        CheckFailure::Node(error) => failed(error),
        error @ CheckFailure::KeyAcrossPartitions { .. } => {
            Failure::invalid(format!("{error}; leave ONCE out, or make the limits scoped"))
        }
        error @ CheckFailure::KeyForSlots => Failure::invalid(format!("{error}; leave ONCE out")),
    }
}

/// Whether the lease is over, or never was.
fn is_gone(error: &NodeError) -> bool {
    let gone = Refusal::Limits(limits::Refusal::NoLease);
    matches!(error, NodeError::Refused { refusal, .. } if *refusal == gone)
}

fn subject(named: &Named) -> Subject {
    Subject {
        limit: named.limit.as_str().to_owned(),
        scope: named.scope.as_ref().map(|scope| scope.as_str().to_owned()),
        key: named.key.to_vec(),
    }
}

/// The same words as over HTTP.
fn failed(error: NodeError) -> Failure {
    let problem = failure::problem(error);
    Failure { code: problem.code.meaning().code, detail: problem.detail }
}
