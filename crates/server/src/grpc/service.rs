//! `ShouldRateLimit`: each descriptor finds its rule, is counted for itself, and gets its status. What
//! a partition cannot count fails the call, within its deadline: Envoy's `failure_mode_deny` says what
//! that means for the request. Every request is counted under the contract of `limits.check`.

use super::{
    directory::Directory,
    messages::{
        Code, Descriptor, DescriptorStatus, Entry, HeaderValue, RateLimit, RateLimitRequest,
        RateLimitResponse,
    },
    rules::Level,
    windows::{self, Limit, Windows},
};
use crate::{code, failure, meters::Meters, problem::Problem};
use evenkeel_contract::{Meter, Outcome};
use evenkeel_domains::{
    Command, Refusal, Reply,
    limits::{self, Action, CheckResult},
};
use evenkeel_engine::Time;
use evenkeel_node::{CallOptions, Called, Node, NodeError, Tenant};
use std::{
    borrow::Cow,
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};
use tonic::Status;

/// Descriptors of a request.
const DESCRIPTORS_MAX: usize = 64;
const NS_A_S: u64 = 1_000_000_000;

/// What answers.
pub(super) struct Decider {
    pub(super) node: Node,
    pub(super) rules: Arc<Directory>,
    pub(super) windows: Windows,
    /// Whether answers carry `ratelimit-*` headers.
    pub(super) response_headers: bool,
    pub(super) meters: Meters,
    /// That of `limits.check`.
    pub(super) meter: Arc<Meter>,
}

/// The rule that a descriptor meets, or the limit that it brings along.
struct Met<'r> {
    /// None if it is unlimited.
    limit: Option<Limit>,
    name: &'r str,
    replaces: &'r [String],
    /// What tells what is counted apart.
    entries: Cow<'r, [Entry]>,
}

/// What becomes of a descriptor.
enum Plan {
    /// It meets no rule, or one that gives way to another.
    Free,
    Unlimited,
    Counted(Terms),
}

/// What is needed of a limit once its check was sent away.
struct Terms {
    limit: Limit,
    name: String,
    /// When its window ends, if the clock decides.
    ends_at: Option<Time>,
}

impl Decider {
    /// Answers `request` of `tenant`, within `deadline` if there is one.
    pub(super) async fn decide(
        &self,
        tenant: &Tenant,
        request: &RateLimitRequest,
        deadline: Option<Duration>,
    ) -> Result<RateLimitResponse, Status> {
        let began = Instant::now();
        let (plans, commands) = self.plan(request)?;
        let answered = self.answer(tenant, plans, commands, deadline).await;
        let outcome = match &answered {
            Ok(answer) if answer.overall_code() == Code::OverLimit => Outcome::from_code("limited"),
            Ok(_) => Outcome::Ok,
            Err(problem) => Outcome::from_code(problem.code.meaning().code),
        };
        self.meters.record(&self.meter, outcome, began, None);
        answered.map_err(|problem| failed(&problem))
    }

    async fn answer(
        &self,
        tenant: &Tenant,
        plans: Vec<Plan>,
        commands: Vec<Command>,
        deadline: Option<Duration>,
    ) -> Result<RateLimitResponse, Problem> {
        let options = CallOptions { deadline, ..CallOptions::default() };
        let answers = match commands.is_empty() {
            true => Vec::new(),
            false => self.node.commands(tenant, commands, &options).await,
        };
        for Called { replayed, as_of, .. } in answers.iter().flatten() {
            self.meters.rested(&self.meter, *replayed, as_of);
        }
        let now = self.node.now();
        let mut answers = answers.into_iter();
        let mut statuses = Vec::with_capacity(plans.len());
        for plan in plans {
            statuses.push(match plan {
                Plan::Free => ok(0),
                Plan::Unlimited => ok(u32::MAX),
                Plan::Counted(terms) => {
                    let answer = answers.next().expect("each command is answered");
                    terms.status(&result(answer)?, now)
                }
            });
        }
        let over = statuses.iter().any(|status| status.code() == Code::OverLimit);
        let overall_code = if over { Code::OverLimit } else { Code::Ok };
        let response_headers_to_add =
            if self.response_headers { headers(&statuses) } else { Vec::new() };
        Ok(RateLimitResponse {
            overall_code: overall_code.into(),
            statuses,
            response_headers_to_add,
        })
    }

    /// What becomes of each descriptor, and a command for each that is counted.
    fn plan(&self, request: &RateLimitRequest) -> Result<(Vec<Plan>, Vec<Command>), Status> {
        let RateLimitRequest { domain, descriptors, hits_addend } = request;
        if domain.is_empty() {
            return Err(Status::invalid_argument("rate limit domain must not be empty"));
        }
        if descriptors.is_empty() {
            return Err(Status::invalid_argument("rate limit descriptor list must not be empty"));
        }
        if descriptors.len() > DESCRIPTORS_MAX {
            return Err(Status::invalid_argument(format!(
                "a request has at most {DESCRIPTORS_MAX} descriptors"
            )));
        }
        let rules = self.rules.rules();
        let rules = rules.domain(domain);
        let met = descriptors.iter().map(|descriptor| meet(rules?, descriptor));
        let met: Vec<Option<Met<'_>>> = met.collect();
        let replaced: HashSet<&str> =
            met.iter().flatten().flat_map(|met| met.replaces).map(String::as_str).collect();
        let now = self.node.now();
        let mut plans = Vec::with_capacity(met.len());
        let mut commands = Vec::new();
        for (met, descriptor) in met.iter().zip(descriptors) {
            plans.push(match met {
                None => Plan::Free,
                Some(Met { limit: None, .. }) => Plan::Unlimited,
                Some(Met { name, .. }) if !name.is_empty() && replaced.contains(name) => Plan::Free,
                Some(Met { limit: Some(limit), name, entries, .. }) => {
                    let hits =
                        descriptor.hits_addend.unwrap_or_else(|| (*hits_addend).max(1).into());
                    let counted = windows::check(domain, entries, *limit, hits, self.windows, now)
                        .ok_or_else(|| {
                            Status::invalid_argument("a limit must say its unit of time")
                        })?
                        .map_err(|error| Status::internal(error.to_string()))?;
                    let action = match descriptor.is_negative_hits {
                        true => Action::GiveBack,
                        false => Action::Check { lease: 0 },
                    };
                    let command = limits::Command::new(vec![counted.check], action)
                        .map_err(|error| Status::internal(error.to_string()))?;
                    commands.push(Command::Limits(command));
                    let name = (*name).to_owned();
                    Plan::Counted(Terms { limit: *limit, name, ends_at: counted.ends_at })
                }
            });
        }
        Ok((plans, commands))
    }
}

/// The rule of `descriptor`; the limit that it brings along goes before any.
fn meet<'r>(rules: &'r Level, descriptor: &'r Descriptor) -> Option<Met<'r>> {
    if let Some(limit) = &descriptor.limit {
        let requests_per_unit = limit.requests_per_unit;
        return Some(Met {
            limit: Some(Limit { requests_per_unit, unit: limit.unit(), shadow: false }),
            name: "",
            replaces: &[],
            entries: Cow::Borrowed(&descriptor.entries),
        });
    }
    let found = rules.find(&descriptor.entries)?;
    let mut entries = Cow::Borrowed(descriptor.entries.as_slice());
    for (at, pattern) in found.patterns {
        pattern.clone_into(&mut entries.to_mut()[at].value);
    }
    let rule = found.rule;
    Some(Met { limit: rule.limit, name: &rule.name, replaces: &rule.replaces, entries })
}

impl Terms {
    fn status(self, result: &CheckResult, now: Time) -> DescriptorStatus {
        let Self { limit: Limit { requests_per_unit, unit, .. }, name, ends_at } = self;
        let code = if result.allowed { Code::Ok } else { Code::OverLimit };
        let reset_ns = match (ends_at, result.allowed) {
            (Some(ends_at), _) => ends_at.0.saturating_sub(now.0).saturating_mul(1_000_000),
            (None, true) => result.reset_after_ns,
            // What was refused asks when it would fit.
            (None, false) => result.retry_after_ns.unwrap_or(result.reset_after_ns),
        };
        DescriptorStatus {
            code: code.into(),
            current_limit: Some(RateLimit { requests_per_unit, unit: unit.into(), name }),
            limit_remaining: u32::try_from(result.remaining).unwrap_or(u32::MAX),
            duration_until_reset: Some(duration(reset_ns)),
        }
    }
}

fn duration(ns: u64) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(ns / NS_A_S).expect("64 bits of nanoseconds are fewer seconds"),
        nanos: i32::try_from(ns % NS_A_S).expect("less than a second's"),
    }
}

/// The status of what nobody limits.
fn ok(limit_remaining: u32) -> DescriptorStatus {
    DescriptorStatus { code: Code::Ok.into(), limit_remaining, ..DescriptorStatus::default() }
}

/// What was decided about the one check of a command.
fn result(answer: Result<Called<Reply>, NodeError>) -> Result<CheckResult, Problem> {
    let results = match answer {
        Ok(Called {
            answer: Reply::Limits(limits::Reply::Checked(results) | limits::Reply::Changed(results)),
            ..
        })
        | Err(NodeError::Refused {
            refusal: Refusal::Limits(limits::Refusal::Limited(results)),
            ..
        }) => results,
        Ok(_) => unreachable!("a check is answered by results"),
        Err(error) => return Err(failure::problem(error)),
    };
    Ok(results.into_iter().next().expect("a check has a result"))
}

/// What a caller is told where nobody could count: that it is unavailable, however it came to that.
fn failed(problem: &Problem) -> Status {
    let said = format!("{}: {}", problem.code.meaning().code, problem.detail);
    match problem.code {
        code::Code::Unavailable
        | code::Code::Overloaded
        | code::Code::DeadlineExceeded
        | code::Code::OutcomeUnknown => Status::unavailable(said),
        _ => Status::internal(said),
    }
}

/// What the limit that is used up, or else nearest to it, says: in seconds, rounded up.
fn headers(statuses: &[DescriptorStatus]) -> Vec<HeaderValue> {
    let limited =
        statuses.iter().filter_map(|status| Some((status, status.current_limit.as_ref()?)));
    let nearest = limited
        .min_by_key(|(status, _)| (status.code() != Code::OverLimit, status.limit_remaining));
    let Some((status, limit)) = nearest else { return Vec::new() };
    let reset = status.duration_until_reset.unwrap_or_default();
    let reset_s = reset.seconds + i64::from(reset.nanos > 0);
    let header = |key: &str, value: String| HeaderValue { key: key.to_owned(), value };
    vec![
        header("ratelimit-limit", limit.requests_per_unit.to_string()),
        header("ratelimit-remaining", status.limit_remaining.to_string()),
        header("ratelimit-reset", reset_s.to_string()),
    ]
}

#[cfg(test)]
#[path = "service_tests.rs"]
pub(super) mod tests;
