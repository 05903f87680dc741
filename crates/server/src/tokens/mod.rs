//! Tokens of end users: JSON Web Tokens (RFC 7519) in the compact form of RFC 7515 which a tenant's own
//! back end signs, so that a browser can ask this server by itself. What they are verified with are the
//! token keys of `meta`; a token names one by its `kid`, and the key names the tenant, the algorithm and
//! nothing else. Who may do what with it is checked in `auth`.
//!
//! Followed is the advice of RFC 8725: the algorithm is that of the key, never that of the token alone;
//! nothing of a header is used but `alg` and `kid`; nothing is read of the claims before the signature
//! fits. No clock is read here: whoever asks says what time it is.

mod claims;
mod user;

pub(crate) use user::TokenUser;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use claims::Header;
use evenkeel_domains::meta::TokenVerifier;
use evenkeel_engine::Time;
use evenkeel_node::{MetaView, Tenant};
use ring::{
    hmac,
    signature::{ED25519, UnparsedPublicKey},
};

/// Bytes of a token.
pub(crate) const TOKEN_BYTES_MAX: usize = 8 * 1_024;
/// How far ahead a token may expire, in seconds: 30 days. It cannot be taken back by itself.
pub(crate) const TOKEN_LIFE_S_MAX: u64 = 30 * 24 * 3_600;
/// Conversations that a token may name.
pub(crate) const TOKEN_CONVERSATIONS_MAX: usize = 100;
/// What a token that names an audience must name.
pub(crate) const AUDIENCE: &str = "evenkeel";
/// By how much the clock of whoever made a token may be ahead, in seconds. Of its end there is none.
const LEEWAY_S: u64 = 5;

/// Why a token is not good. What it says repeats nothing of the token, and of a token that is not signed
/// here only what its holder can see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// Not even looked at.
    #[error("a token may have at most {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    /// It is something else.
    #[error(
        "what was sent is neither an API key, ek_<id>_<secret>, nor a token: a JWT of three parts in \
         base64url without padding, with full stops between"
    )]
    Form,
    /// Its first part says nothing that is understood.
    #[error("the token's header must be a JSON object with alg and kid, each once")]
    Header,
    /// It asks for an extension that nobody here knows (RFC 7515, section 4.1.11).
    #[error("the token's header has crit: no extension is understood here")]
    Critical,
    /// It was made for another purpose (RFC 8725, section 3.11).
    #[error("the token's header has a typ other than JWT")]
    Kind,
    /// Whatever is wrong with it: who tries keys learns nothing.
    #[error(
        "the token is not signed with a token key of this server: its kid names none, or one that was \
         revoked or has another alg, or the signature does not fit"
    )]
    Signature,
    /// Its second part is no such object.
    #[error("the token's claims must be a JSON object with each claim once")]
    Claims,
    /// A claim that is not there, or not so.
    #[error("the token's claim {claim} {rule}")]
    Claim {
        /// Which.
        claim: &'static str,
        /// What it must be.
        rule: &'static str,
    },
    /// It was good once.
    #[error("the token has expired")]
    Expired,
    /// It will be good, by its maker's clock.
    #[error("the token is not valid yet: compare the clock of its maker with this server's")]
    NotYet,
    /// It would be good for too long.
    #[error(
        "the token's claim exp is too far ahead: a token may last {TOKEN_LIFE_S_MAX} s from now"
    )]
    TooFar,
}

/// Whose user sends `token`, if it is good at `now` by the wall clock.
pub(crate) fn verify(
    token: &str,
    meta: &MetaView,
    now: Time,
) -> Result<(Tenant, TokenUser), TokenError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::TooLong);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Form)?;
    let (header, claims) = signed.split_once('.').ok_or(TokenError::Form)?;
    let [header, claims, signature] = [decoded(header)?, decoded(claims)?, decoded(signature)?];
    let Header { alg, kid } = claims::header(&header)?;

    let key = meta.meta.token_keys.get(&kid).ok_or(TokenError::Signature)?;
    // The key says how its tokens are signed; one that says otherwise is not looked at further.
    let fits = alg == key.verifier.algorithm().name()
        && is_signed(&key.verifier, signed.as_bytes(), &signature);
    let id = meta.meta.tenants.get(&key.tenant).copied().filter(|_| fits);
    let id = id.ok_or(TokenError::Signature)?;

    let user = claims::user(&claims, kid, now)?;
    Ok((Tenant { id, name: key.tenant.as_str().into() }, user))
}

/// Whether the token of a user who was let in before is good at `now` all the same.
pub(crate) fn still(
    user: &TokenUser,
    tenant: &Tenant,
    meta: &MetaView,
    now: Time,
) -> Result<(), TokenError> {
    if user.expires_at <= now {
        return Err(TokenError::Expired);
    }
    let key = meta.meta.token_keys.get(&user.kid).filter(|key| *key.tenant == *tenant.name);
    key.map(|_| ()).ok_or(TokenError::Signature)
}

/// A part, which is never empty. There is one way to write it: what differs in unused bits is refused.
fn decoded(part: &str) -> Result<Vec<u8>, TokenError> {
    match URL_SAFE_NO_PAD.decode(part) {
        Ok(bytes) if !bytes.is_empty() => Ok(bytes),
        _ => Err(TokenError::Form),
    }
}

/// Whether this is the signature of that. The time that it takes does not say how nearly it fits.
fn is_signed(verifier: &TokenVerifier, signed: &[u8], signature: &[u8]) -> bool {
    match verifier {
        TokenVerifier::Hs256(secret) => {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret.bytes());
            hmac::verify(&key, signed, signature).is_ok()
        }
        TokenVerifier::EdDsa(public) => {
            UnparsedPublicKey::new(&ED25519, public.bytes()).verify(signed, signature).is_ok()
        }
    }
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
pub(crate) mod tests;
