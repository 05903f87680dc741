//! Who asks, and whether they may. Keys are `ek_<id>_<secret>`; of the secret only a hash is
//! known, and it is never written anywhere. How tokens of end users are verified is in `tokens`.

use crate::{
    code::Code,
    options::Auth,
    problem::Problem,
    text::push_hex,
    tokens::{self, TokenUser},
};
use evenkeel_domains::meta::KeyView;
use evenkeel_engine::Time;
use evenkeel_node::{MetaView, Tenant};
use hyper::{
    HeaderMap, Uri,
    header::{AUTHORIZATION, HOST, HeaderValue, ORIGIN, WWW_AUTHENTICATE},
};
use std::borrow::Cow;

/// The scope that stands for every other of its tenant.
pub(crate) const ADMIN: &str = "admin";
/// The scope of reading conversations.
pub(crate) const CHAT_READ: &str = "chat:read";
/// The scope of changing them.
pub(crate) const CHAT_WRITE: &str = "chat:write";
/// The scope of reading feeds.
pub(crate) const FEED_READ: &str = "feed:read";
/// The scope of changing them.
pub(crate) const FEED_WRITE: &str = "feed:write";
/// Every scope that a key may have.
pub(crate) const SCOPES: [&str; 11] = [
    ADMIN,
    "reservations:read",
    "reservations:write",
    "limits:read",
    "limits:write",
    "jobs:read",
    "jobs:write",
    CHAT_READ,
    CHAT_WRITE,
    FEED_READ,
    FEED_WRITE,
];
/// Every scope that a token of an end user may have.
pub(crate) const USER_SCOPES: [&str; 4] = [CHAT_READ, CHAT_WRITE, FEED_READ, FEED_WRITE];
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
    /// The same, or a token of an end user with this scope.
    User(&'static str),
}

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) tenant: Tenant,
    /// The public half of their key; `None` where nobody needs one, and for an end user.
    pub(crate) key: Option<String>,
    /// The end user, if a token says who asks.
    pub(crate) user: Option<TokenUser>,
}

/// Finds out who asks, and refuses them if they may not. `now` is the wall clock's.
pub(crate) fn admit(
    auth: Auth,
    needs: Needs,
    headers: &HeaderMap,
    uri: &Uri,
    meta: &MetaView,
    now: Time,
) -> Result<Caller, Problem> {
    match auth {
        Auth::Open => {
            check_local(headers, uri)?;
            Ok(anonymous(meta))
        }
        Auth::Keys if needs == Needs::Nothing => Ok(anonymous(meta)),
        Auth::Keys => {
            let Some(header) = headers.get(AUTHORIZATION) else {
                return Err(unauthenticated("this needs Authorization: Bearer ek_<id>_<secret>"));
            };
            let sent = header.to_str().ok().and_then(bearer).ok_or_else(not_bearer)?;
            identify(sent, needs, meta, now)
        }
    }
}

/// Whoever asks where nobody needs a key.
pub(crate) fn anonymous(meta: &MetaView) -> Caller {
    let id = meta.meta.tenants.get(DEFAULT_TENANT).copied().unwrap_or_default();
    Caller { tenant: Tenant { id, name: DEFAULT_TENANT.into() }, key: None, user: None }
}

/// Who sends `bearer`, an API key or a token of an end user, if they may do what needs `needs`. `now` is the
/// wall clock's.
pub(crate) fn identify(
    bearer: &str,
    needs: Needs,
    meta: &MetaView,
    now: Time,
) -> Result<Caller, Problem> {
    if bearer.starts_with(PREFIX) {
        let (id, secret) = halves(bearer)
            .ok_or_else(|| unauthenticated("an API key must be ek_<id>_<secret>, whole"))?;
        let (tenant, key) = known(id, secret, meta).ok_or_else(unknown_key)?;
        check_key(key, needs)?;
        return Ok(Caller { tenant, key: Some(id.to_owned()), user: None });
    }
    let (tenant, user) =
        tokens::verify(bearer, meta, now).map_err(|error| unauthenticated(error.to_string()))?;
    check_user(&user, needs)?;
    Ok(Caller { tenant, key: None, user: Some(user) })
}

/// Whether somebody who was identified before still is who they were, and may do what needs `needs`: for
/// connections that outlive a request. `now` is the wall clock's.
pub(crate) fn recheck(
    auth: Auth,
    caller: &Caller,
    needs: Needs,
    meta: &MetaView,
    now: Time,
) -> Result<(), Problem> {
    match (auth, &caller.user, &caller.key) {
        (Auth::Open, _, _) => Ok(()),
        (Auth::Keys, Some(user), _) => {
            tokens::still(user, &caller.tenant, meta, now)
                .map_err(|error| unauthenticated(error.to_string()))?;
            check_user(user, needs)
        }
        (Auth::Keys, None, Some(id)) => {
            check_key(meta.meta.keys.get(id).ok_or_else(unknown_key)?, needs)
        }
        (Auth::Keys, None, None) if needs == Needs::Nothing => Ok(()),
        (Auth::Keys, None, None) => Err(unauthenticated("this needs an API key or a token")),
    }
}

fn check_key(key: &KeyView, needs: Needs) -> Result<(), Problem> {
    match needs {
        Needs::Nothing | Needs::Key => Ok(()),
        Needs::Scope(scope) | Needs::User(scope) => {
            let may = key.scopes.iter().any(|has| has == scope || has == ADMIN);
            if may { Ok(()) } else { Err(lacks("key", scope)) }
        }
    }
}

fn check_user(user: &TokenUser, needs: Needs) -> Result<(), Problem> {
    match needs {
        Needs::Nothing => Ok(()),
        Needs::User(scope) if user.may(scope) => Ok(()),
        Needs::User(scope) => Err(lacks("token", scope)),
        Needs::Key | Needs::Scope(_) => Err(Problem::new(
            Code::Forbidden,
            "this address needs an API key: a token of an end user is not enough",
        )),
    }
}

fn lacks(what: &str, scope: &'static str) -> Problem {
    Problem::new(Code::Forbidden, format!("the {what} lacks the scope {scope}"))
        .with("scope", scope)
}

/// The header is of another scheme, or not text.
pub(crate) fn not_bearer() -> Problem {
    unauthenticated("Authorization must be Bearer ek_<id>_<secret>, or Bearer and a token")
}

fn unknown_key() -> Problem {
    unauthenticated("the API key is not known, or was revoked")
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

/// The key or token in an `Authorization` header.
pub(crate) fn bearer(header: &str) -> Option<&str> {
    let (scheme, credentials) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| credentials.trim())
}

/// The public and the secret half of a key as its holder sends it.
pub(crate) fn halves(key: &str) -> Option<(&str, &str)> {
    key.strip_prefix(PREFIX)?.split_once('_')
}

fn unauthenticated(detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem::new(Code::Unauthenticated, detail)
        .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"evenkeel\""))
}

/// Without keys, whoever can make a browser on this machine send something could ask anything: by
/// a page from elsewhere (its `Origin` tells), or by a name that resolves to this machine (its
/// `Host` tells).
fn check_local(headers: &HeaderMap, uri: &Uri) -> Result<(), Problem> {
    if local_host(headers, uri).is_none() {
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

/// The name and port that a request was sent to, if they are of this machine.
pub(crate) fn local_host<'r>(headers: &'r HeaderMap, uri: &'r Uri) -> Option<&'r str> {
    let host = match headers.get(HOST) {
        Some(host) => host.to_str().ok(),
        None => uri.authority().map(hyper::http::uri::Authority::as_str),
    };
    host.filter(|host| is_local(host))
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
    use crate::tokens::tests;

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
        let (id, secret) = bearer(&header).and_then(halves).unwrap();
        assert_eq!(id, minted.id);
        assert_eq!(*blake3::hash(secret.as_bytes()).as_bytes(), minted.secret_hash);
        assert_ne!(minted.id, Minted::at_random().id, "no two keys are the same");
        for wrong in ["Basic ek_a_b", "Bearer", "Bearer ek_a", "Bearer xx_a_b"] {
            assert_eq!(bearer(wrong).and_then(halves), None, "{wrong}");
        }
    }

    const READ: Needs = Needs::User(CHAT_READ);
    const WRITE: Needs = Needs::User(CHAT_WRITE);
    const LATER: Time = Time(tests::NOW.0 + 60_000);

    /// What a key of the tenant `acme` with this scope sends; `meta` knows it.
    fn key_with(scope: &str, meta: &mut MetaView) -> Minted {
        let minted = Minted::at_random();
        let key = KeyView {
            secret_hash: minted.secret_hash,
            tenant: "acme".to_owned(),
            scopes: vec![scope.to_owned()],
            label: String::new(),
            created_at: Time(0),
        };
        meta.meta.keys.insert(minted.id.clone(), key);
        minted
    }

    fn code_of<T>(result: Result<T, Problem>) -> Option<Code> {
        result.err().map(|problem| problem.code)
    }

    #[test]
    fn a_token_opens_the_doors_of_users_and_no_others() {
        let mut meta = tests::meta();
        let token = tests::shared(tests::SHARED, &tests::claims());
        let reads = tests::claims_with("scope", "chat:read".into());
        let reads = tests::shared(tests::SHARED, &reads);
        let key = key_with(CHAT_READ, &mut meta).shown();
        let admin = key_with(ADMIN, &mut meta).shown();
        let forbidden = Some(Code::Forbidden);
        for (needs, expected) in [
            (Needs::Nothing, [None; 4]),
            (READ, [None; 4]),
            (WRITE, [None, forbidden, forbidden, None]),
            (Needs::Key, [forbidden, forbidden, None, None]),
            (Needs::Scope(CHAT_READ), [forbidden, forbidden, None, None]),
            (Needs::Scope(ADMIN), [forbidden, forbidden, forbidden, None]),
        ] {
            let told = [&token, &reads, &key, &admin]
                .map(|sent| code_of(identify(sent, needs, &meta, tests::NOW)));
            assert_eq!(told, expected, "{needs:?}");
        }
        let caller = identify(&token, READ, &meta, tests::NOW).unwrap();
        assert_eq!((&*caller.tenant.name, caller.key), ("acme", None));
        assert_eq!(caller.user.map(|user| user.name).as_deref(), Some("ada"));
        let caller = identify(&key, READ, &meta, tests::NOW).unwrap();
        assert!(caller.key.is_some() && caller.user.is_none());
        let refused = identify(&token, Needs::Key, &meta, tests::NOW).unwrap_err();
        assert!(refused.detail.contains("needs an API key"), "{}", refused.detail);
    }

    #[test]
    fn what_is_neither_a_key_nor_a_token_is_nobody() {
        let meta = tests::meta();
        for sent in ["", "ek_", "ek_a", "ek_a_b", "a.b.c", "nonsense"] {
            let refused = identify(sent, Needs::Nothing, &meta, tests::NOW).unwrap_err();
            assert_eq!(refused.code, Code::Unauthenticated, "{sent}");
        }
    }

    #[test]
    fn who_stays_connected_is_looked_at_again() {
        let mut meta = tests::meta();
        let key = key_with(CHAT_READ, &mut meta);
        let token = tests::shared(tests::SHARED, &tests::claims());
        let [user, program] =
            [&token, &key.shown()].map(|sent| identify(sent, READ, &meta, tests::NOW).unwrap());
        let look = |caller: &Caller, needs, meta: &MetaView, now| {
            code_of(recheck(Auth::Keys, caller, needs, meta, now))
        };
        let (nobody, unauthenticated) = (anonymous(&meta), Some(Code::Unauthenticated));
        assert_eq!(look(&user, WRITE, &meta, tests::NOW), None);
        assert_eq!(look(&user, WRITE, &meta, LATER), unauthenticated, "it has expired");
        assert_eq!(look(&user, Needs::Key, &meta, tests::NOW), Some(Code::Forbidden));
        assert_eq!(look(&program, READ, &meta, LATER), None);
        assert_eq!(look(&program, WRITE, &meta, LATER), Some(Code::Forbidden));
        assert_eq!(look(&nobody, Needs::Nothing, &meta, LATER), None);
        assert_eq!(look(&nobody, READ, &meta, LATER), unauthenticated);
        assert_eq!(code_of(recheck(Auth::Open, &nobody, WRITE, &meta, LATER)), None);
        meta.meta.keys.clear();
        meta.meta.token_keys.clear();
        for caller in [&user, &program] {
            assert_eq!(look(caller, READ, &meta, tests::NOW), unauthenticated, "it was revoked");
        }
    }
}
