//! What this edge asks of the node: its requests as the domain's commands, and the answers back.
//! Policies are looked up here, in the node's copy of `meta`.

use super::{
    Batch, Caller, Check as Asked, Cost, Failure, Limits, Manage, Managed, Name, Outcome, Request,
    Subject as Named, Throttle, Verdict,
};
use crate::failure;
use evenkeel_domains::{
    Command, Refusal, Reply,
    limits::{self, Action, Check, LeaseId, Subject},
    meta,
};
use evenkeel_engine::Time;
use evenkeel_node::{CallOptions, Called, CheckFailure, Checked, MetaView, Node, NodeError};
use std::{ops::Bound, sync::Arc};

/// Limits as a node counts them.
pub struct Counted(pub Node);

impl Limits for Counted {
    async fn decide(&self, caller: &Caller, batch: &mut Batch) {
        let mut throttles = Vec::new();
        for request in batch.requests.drain(..) {
            // Those that come one after the other go together; whatever else comes waits for them.
            match request {
                Request::Throttle(throttle) => throttles.push(throttle),
                other => {
                    self.throttle(caller, &mut throttles, &mut batch.outcomes).await;
                    batch.outcomes.push(self.one(caller, other).await);
                }
            }
        }
        self.throttle(caller, &mut throttles, &mut batch.outcomes).await;
    }

    async fn manage(&self, caller: &Caller, request: Manage) -> Managed {
        let (tenant, view) = (caller.tenant.id, self.0.meta());
        match request {
            Manage::Put { limit, policy } => {
                let name = limit.as_str().to_owned();
                let action = meta::Action::PutLimit { tenant, name, policy };
                self.change(caller, action).await.map_or_else(Managed::Failed, |_| Managed::Done)
            }
            Manage::Delete { limit } => {
                let name = limit.as_str().to_owned();
                if view.meta.limit(tenant, &name).is_none() {
                    return Managed::Deleted(false);
                }
                let action = meta::Action::DeleteLimit { tenant, name };
                let gone = self.change(caller, action).await;
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

    fn meta(&self) -> Arc<MetaView> {
        self.0.meta()
    }

    fn now(&self) -> Time {
        self.0.now()
    }
}

impl Counted {
    /// Has all of them decided, each for itself, and puts their outcomes behind the others.
    async fn throttle(
        &self,
        caller: &Caller,
        throttles: &mut Vec<Throttle>,
        outcomes: &mut Vec<Outcome>,
    ) {
        if throttles.is_empty() {
            return;
        }
        let first = outcomes.len();
        let mut commands = Vec::with_capacity(throttles.len());
        for throttle in throttles.drain(..) {
            // The place is taken, so that outcomes stay in order; an illegal one has its outcome.
            match command(&throttle) {
                Ok(command) => {
                    commands.push(command);
                    outcomes.push(Outcome::Failed(Failure::unanswered()));
                }
                Err(why) => outcomes.push(Outcome::Failed(why)),
            }
        }
        let options = CallOptions::default();
        let answers = self.0.commands(&caller.tenant, commands, &options).await;
        let places = outcomes[first..].iter_mut();
        let asked = places.filter(|outcome| **outcome == Outcome::Failed(Failure::unanswered()));
        for (place, answer) in asked.zip(answers) {
            *place = throttled(answer);
        }
    }

    async fn one(&self, caller: &Caller, request: Request) -> Outcome {
        let done = match request {
            Request::Throttle(throttle) => {
                let mut outcomes = Vec::new();
                self.throttle(caller, &mut vec![throttle], &mut outcomes).await;
                return outcomes.swap_remove(0);
            }
            Request::Check(asked) => self.check(caller, asked).await,
            Request::Refund { check, counted_at } => self.refund(caller, check, counted_at).await,
            Request::Reset(asked) => self.reset(caller, &asked).await,
            Request::Release(lease) => self.release(caller, lease).await,
            Request::Renew { lease, ttl_ms } => self.renew(caller, lease, ttl_ms).await,
        };
        done.unwrap_or_else(Outcome::Failed)
    }

    fn checks(&self, caller: &Caller, costs: &[Cost]) -> Result<Vec<Check>, Failure> {
        let check = |cost: &Cost| {
            let policy = self.policy(caller, &cost.subject)?;
            Check::new(subject(&cost.subject), policy, cost.cost)
                .map_err(|error| Failure::invalid(error.to_string()))
        };
        costs.iter().map(check).collect()
    }

    async fn check(&self, caller: &Caller, asked: Asked) -> Result<Outcome, Failure> {
        let Asked { costs, peek, once } = asked;
        let checks = self.checks(caller, &costs)?;
        let idempotency_key = once.map(|id| String::from_utf8_lossy(&id).into_owned());
        let options = CallOptions { idempotency_key, ..CallOptions::default() };
        let called = self.0.check(&caller.tenant, checks, peek, options).await;
        called.map(|called| checked(called, !peek)).map_err(|failure| match failure {
            CheckFailure::Node(error) => failed(error),
            error @ CheckFailure::KeyAcrossPartitions { .. } => {
                Failure::invalid(format!("{error}; leave ONCE out, or make the limits scoped"))
            }
            error @ CheckFailure::KeyForSlots => {
                Failure::invalid(format!("{error}; leave ONCE out"))
            }
        })
    }

    async fn refund(
        &self,
        caller: &Caller,
        asked: Asked,
        counted_at: Time,
    ) -> Result<Outcome, Failure> {
        let Asked { costs, once, .. } = asked;
        let checks = self.checks(caller, &costs)?;
        let idempotency_key = once.map(|id| String::from_utf8_lossy(&id).into_owned());
        let options = CallOptions { idempotency_key, ..CallOptions::default() };
        let called = self.0.refund(&caller.tenant, checks, counted_at, options).await;
        called.map(|called| checked(called, false)).map_err(failed)
    }

    async fn reset(&self, caller: &Caller, asked: &Asked) -> Result<Outcome, Failure> {
        let checks = self.checks(caller, &asked.costs)?;
        let called = self.0.reset(&caller.tenant, checks, CallOptions::default()).await;
        called.map(|called| checked(called, false)).map_err(failed)
    }

    async fn release(&self, caller: &Caller, lease: LeaseId) -> Result<Outcome, Failure> {
        let command = Command::Limits(limits::Command::release(lease));
        match self.call(caller, command).await {
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
        match self.call(caller, command).await {
            Ok(Called { answer: Reply::Limits(limits::Reply::Renewed { expires_at }), .. }) => {
                Ok(Outcome::Renewed(Some(expires_at)))
            }
            Ok(_) => unreachable!("what is renewed is answered with its end"),
            Err(error) if is_gone(&error) => Ok(Outcome::Renewed(None)),
            Err(error) => Err(failed(error)),
        }
    }

    fn policy(&self, caller: &Caller, subject: &Named) -> Result<limits::Policy, Failure> {
        let view = self.0.meta();
        let policy = view.meta.limit(caller.tenant.id, subject.limit.as_str()).copied();
        policy.ok_or_else(|| {
            let detail = format!("there is no limit '{}'", subject.limit.as_str());
            Failure { code: "not_found", detail: detail.into() }
        })
    }

    async fn change(&self, caller: &Caller, action: meta::Action) -> Result<Reply, Failure> {
        let command = Command::Meta(meta::Command { action });
        self.call(caller, command).await.map(|called| called.answer).map_err(failed)
    }

    async fn call(&self, caller: &Caller, command: Command) -> Result<Called<Reply>, NodeError> {
        self.0.command(&caller.tenant, command, CallOptions::default()).await
    }
}

impl Failure {
    fn invalid(detail: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Self { code: "invalid_request", detail: detail.into() }
    }

    /// What stands where an answer will be put.
    fn unanswered() -> Self {
        Self { code: "internal", detail: "the request was not answered".into() }
    }
}

/// The check that a `CL.THROTTLE` is.
fn command(throttle: &Throttle) -> Result<Command, Failure> {
    let Throttle { key, max_burst, count, period_s, quantity } = throttle;
    let policy = limits::Policy::throttle(*max_burst, *count, *period_s)
        .map_err(|error| Failure::invalid(error.to_string()))?;
    let subject = Subject { limit: String::new(), scope: None, key: key.to_vec() };
    let cost = u64::try_from(*quantity).unwrap_or(0);
    let action = Action::Check { lease: 0 };
    Check::new(subject, policy, cost)
        .and_then(|check| limits::Command::new(vec![check], action))
        .map(Command::Limits)
        .map_err(|error| Failure::invalid(error.to_string()))
}

fn throttled(answer: Result<Called<Reply>, NodeError>) -> Outcome {
    let results = match answer {
        Ok(Called { answer: Reply::Limits(limits::Reply::Checked(results)), .. })
        | Err(NodeError::Refused {
            refusal: Refusal::Limits(limits::Refusal::Limited(results)),
            ..
        }) => results,
        Ok(_) => unreachable!("a check is answered by results"),
        Err(error) => return Outcome::Failed(failed(error)),
    };
    let allowed = results.iter().all(|result| result.allowed);
    let verdict = |result| Verdict { result, lease: None, degraded: false };
    let verdicts = results.into_iter().map(verdict).collect();
    Outcome::Checked { allowed, counted_at: None, verdicts }
}

/// The outcome of checks; `counts` if they are such as count.
fn checked(called: Called<Checked>, counts: bool) -> Outcome {
    let Called { answer: Checked { allowed, verdicts }, at, replayed, as_of, .. } = called;
    // A repeat was counted when it was first asked, and nobody knows any more when that was.
    let counted = counts && allowed && !replayed && !as_of.is_empty();
    let verdicts = verdicts.into_iter().map(|verdict| {
        let evenkeel_node::Verdict { result, lease, degraded, .. } = verdict;
        Verdict { result, lease, degraded }
    });
    Outcome::Checked { allowed, counted_at: counted.then_some(at), verdicts: verdicts.collect() }
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
