//! What is decided about token keys, with which a tenant's own back end signs tokens of its users.

use super::{
    ALL_TOKEN_KEYS_MAX, Refusal, Reply, TOKEN_KEYS_MAX, TokenVerifier,
    tables::{TokenKey, TokenKeys},
};
use evenkeel_engine::{Context, Stop};
use evenkeel_state::{Order, Read};

type Decided = Result<Reply, Stop<Refusal>>;

/// Whoever asks has a key of `tenant`, so there is one of that name.
pub(super) fn create(
    ctx: &mut Context<'_, '_>,
    kid: &str,
    tenant: &str,
    verifier: &TokenVerifier,
    label: &str,
) -> Decided {
    let kid = kid.to_owned();
    // A kid names its tenant: nobody may put a key of their own under that of another.
    if ctx.tx.get::<TokenKeys>(&kid)?.is_some() {
        return Err(Stop::Refused(Refusal::KeyExists));
    }
    let all = ctx.tx.scan::<TokenKeys>(.., Order::Ascending, ALL_TOKEN_KEYS_MAX)?;
    let own = all.iter().filter(|(_, key)| key.tenant == tenant).count();
    if own >= TOKEN_KEYS_MAX || all.len() >= ALL_TOKEN_KEYS_MAX {
        return Err(Stop::Refused(Refusal::TooManyTokenKeys));
    }
    let (tenant, label, created_at) = (tenant.to_owned(), label.to_owned(), ctx.now());
    let key = TokenKey { tenant, verifier: verifier.clone(), label: label.clone(), created_at };
    ctx.tx.put::<TokenKeys>(&kid, &key);
    Ok(Reply::TokenKey { kid, algorithm: verifier.algorithm(), label, created_at })
}

/// That of another tenant is not there.
pub(super) fn revoke(ctx: &mut Context<'_, '_>, kid: &str, tenant: &str) -> Decided {
    let kid = kid.to_owned();
    let key = ctx.tx.get::<TokenKeys>(&kid)?.filter(|key| key.tenant == tenant);
    if key.is_none() {
        return Err(Stop::Refused(Refusal::NoTokenKey));
    }
    ctx.tx.delete::<TokenKeys>(&kid);
    Ok(Reply::Done)
}
