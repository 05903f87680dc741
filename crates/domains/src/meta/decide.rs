//! Decisions of meta.

use super::{
    Action, Command, KEYS_MAX, Refusal, Reply, TENANTS_MAX,
    tables::{Contract, Contracts, Key, Keys, Tenant, Tenants},
};
use evenkeel_engine::{Context, Stop};
use evenkeel_state::{Order, Read};

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
    }
}

/// The first tenant is `default`, number 0, which exists without a row.
fn ensure_tenant(ctx: &mut Context<'_, '_>, name: &str) -> Result<(), Stop<Refusal>> {
    if name == super::queries::DEFAULT_TENANT || ctx.tx.get::<Tenants>(&name.to_owned())?.is_some()
    {
        return Ok(());
    }
    let tenants = ctx.tx.scan::<Tenants>(.., Order::Ascending, TENANTS_MAX)?;
    if tenants.len() == TENANTS_MAX {
        return Err(Stop::Refused(Refusal::TooManyTenants));
    }
    let id = tenants.iter().map(|(_, tenant)| tenant.id).max().unwrap_or(0) + 1;
    ctx.tx.put::<Tenants>(&name.to_owned(), &Tenant { id });
    Ok(())
}
