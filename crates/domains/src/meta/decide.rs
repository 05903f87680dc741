//! Decisions of meta.

use super::{
    ALL_LIMITS_MAX, Action, Command, KEYS_MAX, LIMITS_MAX, Refusal, Reply, TENANTS_MAX, queues,
    tables::{
        ALL_TENANTS, Contract, Contracts, Count, Key, Keys, Limit, LimitCounts, Limits,
        OutboxRules, Tenant, Tenants,
    },
    token_keys,
};
use crate::limits::Policy;
use crate::rules::{self, RULED_TENANTS_MAX, Rule, Rules, RulesError};
use evenkeel_engine::{Context, Stop, TenantId};
use evenkeel_state::{Order, Read, StateError};

/// Decides `command`.
pub fn decide(ctx: &mut Context<'_, '_>, command: &Command) -> Result<Reply, Stop<Refusal>> {
    match &command.action {
        Action::CreateKey { id, secret_hash, tenant, scopes, label } => {
            // Otherwise whoever names an id could put a secret of their own under it.
            if ctx.tx.get::<Keys>(id)?.is_some() {
                return Err(Stop::Refused(Refusal::KeyExists));
            }
            if ctx.tx.scan::<Keys>(.., Order::Ascending, KEYS_MAX)?.len() == KEYS_MAX {
                return Err(Stop::Refused(Refusal::TooManyKeys));
            }
            ensure_tenant(ctx, tenant)?;
            let key = Key {
                secret_hash: *secret_hash,
                tenant: tenant.clone(),
                scopes: scopes.clone(),
                label: label.clone(),
                created_at: ctx.now(),
            };
            ctx.tx.put::<Keys>(id, &key);
            Ok(Reply::Key {
                id: id.clone(),
                tenant: tenant.clone(),
                scopes: scopes.clone(),
                label: label.clone(),
            })
        }
        Action::RevokeKey { id, tenant } => {
            let key = ctx.tx.get::<Keys>(id)?.ok_or(Stop::Refused(Refusal::NoKey))?;
            if tenant.as_ref().is_some_and(|tenant| *tenant != key.tenant) {
                return Err(Stop::Refused(Refusal::NoKey));
            }
            ctx.tx.delete::<Keys>(id);
            Ok(Reply::Done)
        }
        Action::SetContracts(contracts) => {
            for (path, _) in ctx.tx.scan::<Contracts>(.., Order::Ascending, usize::MAX)? {
                ctx.tx.delete::<Contracts>(&path);
            }
            for (path, settings) in contracts {
                let row = Contract { settings: settings.clone() };
                ctx.tx.put::<Contracts>(path, &row);
            }
            Ok(Reply::Done)
        }
        Action::SetRules(all) => set_rules(ctx, all),
        Action::PutLimit { tenant, name, policy } => put_limit(ctx, *tenant, name, policy),
        Action::DeleteLimit { tenant, name } => {
            let key = (*tenant, name.clone());
            if !ctx.tx.contains::<Limits>(&key)? {
                return Err(Stop::Refused(Refusal::NoLimit));
            }
            ctx.tx.delete::<Limits>(&key);
            for scope in [*tenant, ALL_TENANTS] {
                let count = limits(ctx, scope)?;
                ctx.tx.put::<LimitCounts>(&scope, &Count(count.saturating_sub(1)));
            }
            Ok(Reply::Done)
        }
        Action::PutQueue { tenant, name, settings, push, partitions } => {
            queues::put(ctx, &(*tenant, name.clone()), settings, push.as_deref(), *partitions)
        }
        Action::DisablePush { tenant, name, version, reason } => {
            queues::disable_push(ctx, &(*tenant, name.clone()), *version, reason)
        }
        Action::SetQueueMode { tenant, name, mode } => {
            queues::set_mode(ctx, &(*tenant, name.clone()), *mode)
        }
        Action::DeleteQueue { tenant, name } => queues::delete(ctx, &(*tenant, name.clone())),
        Action::CreateTokenKey { kid, tenant, verifier, drawn: _, label } => {
            token_keys::create(ctx, kid, tenant, verifier, label)
        }
        Action::RevokeTokenKey { kid, tenant } => token_keys::revoke(ctx, kid, tenant),
    }
}

fn set_rules(
    ctx: &mut Context<'_, '_>,
    all: &[(String, Vec<Rule>)],
) -> Result<Reply, Stop<Refusal>> {
    if all.len() > RULED_TENANTS_MAX {
        return Err(Stop::Refused(Refusal::BadRules(RulesError::Tenants)));
    }
    for (tenant, _) in ctx.tx.scan::<OutboxRules>(.., Order::Ascending, usize::MAX)? {
        ctx.tx.delete::<OutboxRules>(&tenant);
    }
    for (name, rules) in all {
        rules::check(rules).map_err(|error| Stop::Refused(Refusal::BadRules(error)))?;
        let tenant = ensure_tenant(ctx, name)?;
        if !rules.is_empty() {
            let rules = Rules { tenant: name.clone(), rules: rules.clone() };
            ctx.tx.put::<OutboxRules>(&tenant, &rules);
        }
    }
    Ok(Reply::Done)
}

fn put_limit(
    ctx: &mut Context<'_, '_>,
    tenant: TenantId,
    name: &str,
    policy: &Policy,
) -> Result<Reply, Stop<Refusal>> {
    policy.check().map_err(|error| Stop::Refused(Refusal::BadPolicy(error)))?;
    let key = (tenant, name.to_owned());
    let before = ctx.tx.get::<Limits>(&key)?;
    match &before {
        Some(Limit(before)) if before == policy => return Ok(Reply::Limit(*policy, false)),
        Some(Limit(before)) => {
            let algorithm = (before.algorithm != policy.algorithm).then_some("algorithm");
            let scoped = (before.scoped != policy.scoped).then_some("scoped");
            if let Some(field) = algorithm.or(scoped) {
                return Err(Stop::Refused(Refusal::LimitFixed { field }));
            }
        }
        None => {
            for (scope, most) in [(tenant, LIMITS_MAX), (ALL_TENANTS, ALL_LIMITS_MAX)] {
                let count = limits(ctx, scope)?;
                if count >= most {
                    return Err(Stop::Refused(Refusal::TooManyLimits));
                }
                ctx.tx.put::<LimitCounts>(&scope, &Count(count + 1));
            }
        }
    }
    ctx.tx.put::<Limits>(&key, &Limit(*policy));
    Ok(Reply::Limit(*policy, before.is_none()))
}

/// How many limits a tenant has, or all have.
fn limits(ctx: &Context<'_, '_>, scope: TenantId) -> Result<u64, StateError> {
    Ok(ctx.tx.get::<LimitCounts>(&scope)?.unwrap_or_default().0)
}

/// The first tenant is `default`, number 0, which exists without a row.
fn ensure_tenant(ctx: &mut Context<'_, '_>, name: &str) -> Result<TenantId, Stop<Refusal>> {
    if name == super::queries::DEFAULT_TENANT {
        return Ok(TenantId(0));
    }
    if let Some(tenant) = ctx.tx.get::<Tenants>(&name.to_owned())? {
        return Ok(TenantId(tenant.id));
    }
    let tenants = ctx.tx.scan::<Tenants>(.., Order::Ascending, TENANTS_MAX)?;
    if tenants.len() == TENANTS_MAX {
        return Err(Stop::Refused(Refusal::TooManyTenants));
    }
    let id = tenants.iter().map(|(_, tenant)| tenant.id).max().unwrap_or(0) + 1;
    ctx.tx.put::<Tenants>(&name.to_owned(), &Tenant { id });
    Ok(TenantId(id))
}
