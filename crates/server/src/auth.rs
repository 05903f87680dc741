//! Who asks, and whether they may. Keys are `ek_<id>_<secret>`; of the secret only a hash is
//! known, and it is never written anywhere.

use crate::{code::Code, options::Auth, problem::Problem, text::push_hex};
use evenkeel_domains::meta::KeyView;
use evenkeel_node::{MetaView, Tenant};
use hyper::{
    HeaderMap, Uri,
    header::{AUTHORIZATION, HOST, HeaderValue, ORIGIN, WWW_AUTHENTICATE},
};

/// The scope that stands for every other of its tenant.
pub(crate) const ADMIN: &str = "admin";
/// Every scope that a key may have.
pub(crate) const SCOPES: [&str; 7] = [
    ADMIN,
    "reservations:read",
    "reservations:write",
    "limits:read",
    "limits:write",
    "jobs:read",
    "jobs:write",
];
/// The tenant that exists from the start; its administrators may make keys for others.
pub(crate) const DEFAULT_TENANT: &str = "default";

const PREFIX: &str = "ek_";
const ID_BYTES: usize = 8;
const SECRET_BYTES: usize = 32;

/// What a route asks of whoever calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Nothing: no key either.
    Nothing,
    /// Any key.
    Key,
    /// A key with this scope, or an administrator's.
    Scope(&'static str),
}

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) tenant: Tenant,
    /// The public half of their key; `None` where nobody needs one.
    pub(crate) key: Option<String>,
}

/// Finds out who asks, and refuses them if they may not.
pub(crate) fn admit(
    auth: Auth,
    needs: Needs,
    headers: &HeaderMap,
    uri: &Uri,
    meta: &MetaView,
) -> Result<Caller, Problem> {
    match auth {
        Auth::Open => {
            check_local(headers, uri)?;
            Ok(anonymous(meta))
        }
        Auth::Keys if needs == Needs::Nothing => Ok(anonymous(meta)),
        Auth::Keys => identify(needs, headers, meta),
    }
}

/// Whoever asks where nobody needs a key.
pub(crate) fn anonymous(meta: &MetaView) -> Caller {
    let id = meta.meta.tenants.get(DEFAULT_TENANT).copied().unwrap_or_default();
    Caller { tenant: Tenant { id, name: DEFAULT_TENANT.into() }, key: None }
}

fn identify(needs: Needs, headers: &HeaderMap, meta: &MetaView) -> Result<Caller, Problem> {
    let Some(header) = headers.get(AUTHORIZATION) else {
        return Err(unauthenticated("this needs Authorization: Bearer ek_<id>_<secret>"));
    };
    let unknown = || unauthenticated("the API key is not known, or was revoked");
    let (id, secret) = header
        .to_str()
        .ok()
        .and_then(bearer)
        .ok_or_else(|| unauthenticated("Authorization must be Bearer ek_<id>_<secret>"))?;
    let (tenant, key) = known(id, secret, meta).ok_or_else(unknown)?;
    if let Needs::Scope(scope) = needs
        && !key.scopes.iter().any(|has| has == scope || has == ADMIN)
    {
        return Err(Problem::new(Code::Forbidden, format!("the key lacks the scope {scope}"))
            .with("scope", scope));
    }
    Ok(Caller { tenant, key: Some(id.to_owned()) })
}

/// The key of which these are both halves, and whose it is.
pub(crate) fn known<'a>(
    id: &str,
    secret: &str,
    meta: &'a MetaView,
) -> Option<(Tenant, &'a KeyView)> {
    let key = meta.meta.keys.get(id)?;
    // The comparison of `blake3::Hash` takes the same time wherever two hashes differ.
    if blake3::hash(secret.as_bytes()) != blake3::Hash::from_bytes(key.secret_hash) {
        return None;
    }
    Some((tenant_of(key, meta)?, key))
}

/// The tenant whose key it is, if there is one.
pub(crate) fn tenant_of(key: &KeyView, meta: &MetaView) -> Option<Tenant> {
    let id = *meta.meta.tenants.get(&key.tenant)?;
    Some(Tenant { id, name: key.tenant.as_str().into() })
}

/// The two halves of the key in an `Authorization` header.
fn bearer(header: &str) -> Option<(&str, &str)> {
    let (scheme, credentials) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    halves(credentials.trim())
}

/// The public and the secret half of a key as its holder sends it.
pub(crate) fn halves(key: &str) -> Option<(&str, &str)> {
    key.strip_prefix(PREFIX)?.split_once('_')
}

fn unauthenticated(detail: &'static str) -> Problem {
    Problem::new(Code::Unauthenticated, detail)
        .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"evenkeel\""))
}

/// Without keys, whoever can make a browser on this machine send something could ask anything: by
/// a page from elsewhere (its `Origin` tells), or by a name that resolves to this machine (its
/// `Host` tells).
fn check_local(headers: &HeaderMap, uri: &Uri) -> Result<(), Problem> {
    let host = match headers.get(HOST) {
        Some(host) => host.to_str().ok(),
        None => uri.authority().map(hyper::http::uri::Authority::as_str),
    };
    if !host.is_some_and(is_local) {
        let detail =
            "without keys this server answers only to localhost, 127.0.0.1 and [::1] as Host";
        return Err(Problem::new(Code::Forbidden, detail).with("header", "Host"));
    }
    for origin in headers.get_all(ORIGIN) {
        let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        let local = matches!(authority, Some(("http" | "https", host)) if is_local(host));
        if !local {
            let detail = "without keys this server answers only to pages of this machine";
            return Err(Problem::new(Code::Forbidden, detail).with("header", "Origin"));
        }
    }
    Ok(())
}

/// Whether `authority` names this machine, with whatever port.
fn is_local(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    host.eq_ignore_ascii_case("localhost") || matches!(host, "127.0.0.1" | "[::1]")
}

/// A key that was just made. It has no `Debug`: its secret is to be shown once, not logged.
pub(crate) struct Minted {
    pub(crate) id: String,
    pub(crate) secret_hash: [u8; 32],
    secret: String,
}

impl Minted {
    /// A key that nobody can guess, another one each time.
    pub(crate) fn at_random() -> Self {
        let mut bytes = [0; ID_BYTES + SECRET_BYTES];
        let mut output =
            blake3::Hasher::new_derive_key("evenkeel api key").update(&entropy()).finalize_xof();
        output.fill(&mut bytes);
        let (mut id, mut secret) = (String::new(), String::new());
        push_hex(&mut id, &bytes[..ID_BYTES]);
        push_hex(&mut secret, &bytes[ID_BYTES..]);
        Self { id, secret_hash: *blake3::hash(secret.as_bytes()).as_bytes(), secret }
    }

    /// The key as its holder sends it.
    pub(crate) fn shown(&self) -> String {
        format!("{PREFIX}{}_{}", self.id, self.secret)
    }
}

/// 32 bytes that nobody can guess.
pub(crate) fn entropy() -> [u8; 32] {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the operating system has random bytes once it is up");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_names_are_told_from_foreign_ones() {
        for local in ["localhost", "LocalHost:7480", "127.0.0.1:1", "[::1]:7480", "[::1]"] {
            assert!(is_local(local), "{local}");
        }
        for foreign in [
            "",
            "evil.example",
            "localhost.evil.example:80",
            "127.0.0.1.nip.io",
            "::1",
            "127.0.0.2",
            "localhost:80:evil",
        ] {
            assert!(!is_local(foreign), "{foreign}");
        }
    }

    #[test]
    fn a_key_is_read_back_from_its_header() {
        let minted = Minted::at_random();
        let header = format!("Bearer {}", minted.shown());
        let (id, secret) = bearer(&header).unwrap();
        assert_eq!(id, minted.id);
        assert_eq!(*blake3::hash(secret.as_bytes()).as_bytes(), minted.secret_hash);
        assert_ne!(minted.id, Minted::at_random().id, "no two keys are the same");
        for wrong in ["Basic ek_a_b", "Bearer", "Bearer ek_a", "Bearer xx_a_b"] {
            assert_eq!(bearer(wrong), None, "{wrong}");
        }
    }
}
