//! What a token says: its header before it is trusted, its claims once it is.

use super::{AUDIENCE, LEEWAY_S, TOKEN_CONVERSATIONS_MAX, TOKEN_LIFE_S_MAX, TokenError, TokenUser};
use crate::{auth::USER_SCOPES, text::is_name};
use evenkeel_engine::Time;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;
use std::collections::BTreeSet;

/// The largest whole number that every JSON parser reads as it is.
const SECONDS_MAX: f64 = 9_007_199_254_740_991.0;

/// What is used of a header.
pub(super) struct Header {
    pub(super) alg: String,
    pub(super) kid: String,
}

/// What is looked at of a header. All else is ignored: a key that a token brings along is no key.
#[derive(Deserialize)]
struct HeaderFields {
    alg: String,
    kid: String,
    #[serde(default, deserialize_with = "present")]
    typ: Option<String>,
    #[serde(default, deserialize_with = "present")]
    crit: Option<Value>,
}

/// The registered claims that are looked at, and our own. Others are the issuer's business.
#[derive(Deserialize)]
struct Claims {
    #[serde(default, deserialize_with = "present")]
    sub: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    exp: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    iat: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    aud: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    conversations: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    scope: Option<Value>,
}

/// A `null` is something that is there: a restriction that somebody forgot to fill in is none that was
/// left out.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// An object, in which no field that is looked at is there twice. A struct would also be read from an
/// array of its fields.
fn object<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let begins = bytes.trim_ascii_start().first() == Some(&b'{');
    begins.then(|| serde_json::from_slice(bytes).ok()).flatten()
}

pub(super) fn header(bytes: &[u8]) -> Result<Header, TokenError> {
    let HeaderFields { alg, kid, typ, crit } = object(bytes).ok_or(TokenError::Header)?;
    if crit.is_some() {
        return Err(TokenError::Critical);
    }
    if typ.is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT")) {
        return Err(TokenError::Kind);
    }
    Ok(Header { alg, kid })
}

/// The user that these claims are about, if they are good at `now`.
pub(super) fn user(bytes: &[u8], kid: String, now: Time) -> Result<TokenUser, TokenError> {
    let claims: Claims = object(bytes).ok_or(TokenError::Claims)?;
    let expires_at = times(&claims, now)?;
    if let Some(audience) = &claims.aud {
        check_audience(audience)?;
    }
    Ok(TokenUser {
        name: subject(claims.sub)?,
        expires_at,
        kid,
        conversations: claims.conversations.map(conversations).transpose()?,
        scopes: claims.scope.as_ref().map_or(Ok(USER_SCOPES.to_vec()), scopes)?,
    })
}

const fn wrong(claim: &'static str, rule: &'static str) -> TokenError {
    TokenError::Claim { claim, rule }
}

/// When it expires, if `now` is within its time. Said before anything else that is wrong with it: whoever
/// holds an old token is to get another one.
fn times(claims: &Claims, now: Time) -> Result<Time, TokenError> {
    let at = |claim, value: &Value| {
        let seconds = seconds(value).ok_or(wrong(claim, "must be a time in seconds since 1970"))?;
        Ok(Time(seconds.saturating_mul(1_000)))
    };
    let exp = claims.exp.as_ref().ok_or(wrong("exp", "is missing: seconds since 1970"))?;
    let expires_at = at("exp", exp)?;
    if expires_at <= now {
        return Err(TokenError::Expired);
    }
    if expires_at > now.plus_ms(TOKEN_LIFE_S_MAX * 1_000) {
        return Err(TokenError::TooFar);
    }
    for (claim, value) in [("nbf", &claims.nbf), ("iat", &claims.iat)] {
        let Some(value) = value else { continue };
        if at(claim, value)? > now.plus_ms(LEEWAY_S * 1_000) {
            return Err(TokenError::NotYet);
        }
    }
    Ok(expires_at)
}

/// A `NumericDate` (RFC 7519, section 2), which may have a fraction.
fn seconds(value: &Value) -> Option<u64> {
    let fraction =
        || value.as_f64().filter(|seconds| (0.0..=SECONDS_MAX).contains(seconds)).map(f64::trunc);
    // In those bounds each number is whole and fits.
    value.as_u64().or_else(|| fraction().map(|seconds| seconds as u64))
}

/// A token for somebody else is not for us (RFC 7519, section 4.1.3), whoever signed it.
fn check_audience(audience: &Value) -> Result<(), TokenError> {
    let is_us = |one: &Value| one.as_str() == Some(AUDIENCE);
    let for_us = match audience {
        Value::Array(several) => several.iter().any(is_us),
        one => is_us(one),
    };
    for_us.then_some(()).ok_or(wrong("aud", "must be evenkeel, or have it among others"))
}

fn subject(sub: Option<Value>) -> Result<String, TokenError> {
    match sub {
        None => Err(wrong("sub", "is missing: the user's name")),
        Some(Value::String(name)) if is_name(&name) => Ok(name),
        Some(_) => Err(wrong("sub", "must be 1 to 128 of A-Z a-z 0-9 . _ : @ -")),
    }
}

fn conversations(value: Value) -> Result<BTreeSet<String>, TokenError> {
    let wrong = || wrong("conversations", "must be an array of at most 100 conversations' names");
    let Value::Array(several) = value else { return Err(wrong()) };
    if several.len() > TOKEN_CONVERSATIONS_MAX {
        return Err(wrong());
    }
    let names = several.into_iter().map(|one| match one {
        Value::String(name) if is_name(&name) => Ok(name),
        _ => Err(wrong()),
    });
    names.collect()
}

fn scopes(value: &Value) -> Result<Vec<&'static str>, TokenError> {
    let wrong = || wrong("scope", "must be chat:read, chat:write or both with a space between");
    let text = value.as_str().ok_or_else(wrong)?;
    let words = text.split(' ').filter(|word| !word.is_empty());
    let known = |word| USER_SCOPES.into_iter().find(|scope| *scope == word);
    words.map(|word| known(word).ok_or_else(wrong)).collect()
}
