//! What a check means: its limit looked up in the node's copy, its key and scope held against it.

use super::requests::{CheckItem, checked_count};
use crate::{
    call::{Call, read},
    code::Code,
    names::meant,
    problem::Problem,
    text::{cut, is_name},
};
use evenkeel_domains::limits::{Check, CheckError, Subject};
use evenkeel_engine::TenantId;
use evenkeel_node::MetaView;

const NAMED_BYTES_MAX: usize = 128;

/// The checks that `items` ask for, by the policies that hold now.
pub(super) fn resolve(call: &Call, items: &[CheckItem]) -> Result<Vec<Check>, Problem> {
    checked_count(items)?;
    let view = read(call.edge.node.meta())?;
    let resolved = items.iter().enumerate().map(|(at, item)| {
        one(&view, call.caller.tenant.id, item).map_err(|problem| match items.len() {
            1 => problem,
            _ => problem.with("check", at),
        })
    });
    resolved.collect()
}

fn one(view: &MetaView, tenant: TenantId, item: &CheckItem) -> Result<Check, Problem> {
    let CheckItem { limit, key, scope, cost } = item;
    let rule = "must be 1 to 128 of A-Z a-z 0-9 . _ : @ -";
    if !is_name(limit) {
        return Err(Problem::field("limit", rule));
    }
    if scope.as_ref().is_some_and(|scope| !is_name(scope)) {
        return Err(Problem::field("scope", rule));
    }
    let policy = view.meta.limit(tenant, limit).ok_or_else(|| unknown(view, tenant, limit))?;
    let subject =
        Subject { limit: limit.clone(), scope: scope.clone(), key: key.as_bytes().to_vec() };
    Check::new(subject, *policy, *cost).map_err(|error| {
        let field = match error {
            CheckError::KeyTooLong => "key",
            CheckError::ScopeMissing | CheckError::ScopeUnwanted => "scope",
            CheckError::NoChecks | CheckError::TooManyChecks => "checks",
        };
        Problem::invalid(format!("limit {limit}: {error}")).with("field", field)
    })
}

/// There is no limit of this name; maybe another was meant.
pub(super) fn unknown(view: &MetaView, tenant: TenantId, name: &str) -> Problem {
    let meant = view.meta.limits.get(&tenant).and_then(|limits| meant(name, limits));
    let named = cut(name, NAMED_BYTES_MAX);
    let detail = match meant {
        Some(meant) => format!("there is no limit {named:?}; did you mean {meant:?}?"),
        None => format!("there is no limit {named:?}"),
    };
    Problem::new(Code::NotFound, detail).with("limit", named.into_owned())
}
