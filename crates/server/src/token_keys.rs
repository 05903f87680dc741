//! Token keys over HTTP: made, listed without their secrets, revoked; each tenant its own. What tokens
//! are verified with them for is in `tokens`. A kid and, if none is given, a secret are drawn at random for
//! each request: what a retry finds under its idempotency key is the first kid, without the secret.

use crate::{
    answer::Answer,
    auth,
    call::{Call, Filled, Page},
    cursor::List,
    json,
    keys::checked_label,
    problem::Problem,
    text::push_hex,
    time::Rfc3339,
};
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use evenkeel_domains::{
    Command, Reply,
    meta::{self, TokenAlgorithm, TokenPublicKey, TokenSecret, TokenVerifier},
};
use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use std::ops::Bound;
use utoipa::ToSchema;

type Answered = Result<Answer, Problem>;

const PREFIX: &str = "tk_";
const KID_BYTES: usize = 8;
/// Keys come from many tools: with padding or without.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A token key to be made. It has no `Debug`: it may hold a secret.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenKeyRequest {
    /// HS256, a secret that is shared with this server; or EdDSA, a key of Ed25519 of which this server
    /// has the public half alone.
    algorithm: String,
    /// For HS256: 32 to 64 bytes in base64url; drawn here if it is left out.
    secret: Option<String>,
    /// For EdDSA: the 32 bytes of the public key in base64url.
    public_key: Option<String>,
    /// What it is for.
    label: Option<String>,
}

impl json::Document for TokenKeyRequest {
    const FIELDS: &'static [&'static str] = &["algorithm", "secret", "public_key", "label"];
}

/// A token key that was made.
#[derive(Serialize, ToSchema)]
#[schema(as = CreatedTokenKey)]
pub(crate) struct CreatedTokenKeyBody {
    /// What the header of its tokens names it by.
    kid: String,
    #[schema(value_type = String)]
    algorithm: &'static str,
    label: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Rfc3339,
    /// The secret in base64url, if it was drawn here: shown only now. Null in a replay, and whenever the
    /// caller has brought the key.
    #[schema(required)]
    secret: Option<String>,
}

/// A token key, without what its tokens are verified with.
#[derive(Serialize, ToSchema)]
#[schema(as = TokenKey)]
pub(crate) struct TokenKeyBody<'k> {
    kid: &'k str,
    #[schema(value_type = String)]
    algorithm: &'static str,
    label: &'k str,
    #[schema(value_type = String, format = DateTime)]
    created_at: Rfc3339,
}

/// A page of a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenKeyList<'k> {
    items: Vec<TokenKeyBody<'k>>,
    /// Where the list goes on; null only at its end.
    cursor: Option<String>,
}

/// What tokens are to be verified with. It has no `Debug`: what was drawn is to be shown once.
struct Material {
    verifier: TokenVerifier,
    /// The secret as it is shown, if it was drawn here.
    drawn: Option<String>,
}

/// `POST /v1/token-keys`
pub(crate) async fn create(mut call: Call) -> Answered {
    let TokenKeyRequest { algorithm, secret, public_key, label } = call.document().await?;
    let Material { verifier, drawn } = material(&algorithm, secret, public_key)?;
    let action = meta::Action::CreateTokenKey {
        kid: kid(),
        tenant: call.caller.tenant.name.to_string(),
        verifier,
        drawn: drawn.is_some(),
        label: checked_label(label)?,
    };
    let (reply, delivered) = call.command(Command::Meta(meta::Command { action })).await?;
    let Reply::Meta(meta::Reply::TokenKey { kid, algorithm, label, created_at }) = reply else {
        unreachable!("a token key is answered by a token key")
    };
    let body = CreatedTokenKeyBody {
        kid,
        algorithm: algorithm.name(),
        label,
        created_at: Rfc3339(created_at),
        secret: drawn.filter(|_| !delivered.replayed),
    };
    Ok(Answer::json(StatusCode::CREATED, &body).delivered(delivered))
}

/// A name that no other key has, whoever's it is.
fn kid() -> String {
    let mut kid = PREFIX.to_owned();
    push_hex(&mut kid, &auth::entropy()[..KID_BYTES]);
    kid
}

/// What is wrong with a key is said without repeating it.
fn material(
    algorithm: &str,
    secret: Option<String>,
    public_key: Option<String>,
) -> Result<Material, Problem> {
    match (TokenAlgorithm::from_name(algorithm), secret, public_key) {
        (Some(TokenAlgorithm::Hs256), None, None) => {
            let bytes = auth::entropy();
            let secret = TokenSecret::new(bytes.to_vec()).expect("32 bytes are enough for one");
            let drawn = Some(BASE64URL.encode(bytes));
            Ok(Material { verifier: TokenVerifier::Hs256(secret), drawn })
        }
        (Some(TokenAlgorithm::Hs256), Some(secret), None) => {
            let secret = BASE64URL.decode(secret).ok().and_then(TokenSecret::new);
            let secret = secret.ok_or_else(|| {
                Problem::field("secret", "must be 32 to 64 bytes, written in base64url")
            })?;
            Ok(Material { verifier: TokenVerifier::Hs256(secret), drawn: None })
        }
        (Some(TokenAlgorithm::EdDsa), None, Some(public_key)) => {
            let key = BASE64URL.decode(public_key).ok();
            let key = key.and_then(|bytes| TokenPublicKey::new(&bytes)).ok_or_else(|| {
                let rule = "must be the 32 bytes of a public key of Ed25519, written in base64url; \
                            not one for which anybody could sign, such as 32 zeroes";
                Problem::field("public_key", rule)
            })?;
            Ok(Material { verifier: TokenVerifier::EdDsa(key), drawn: None })
        }
        (Some(TokenAlgorithm::EdDsa), None, None) => {
            Err(Problem::field("public_key", "is needed for EdDSA"))
        }
        (Some(TokenAlgorithm::EdDsa), Some(_), _) => {
            Err(Problem::field("secret", "is for HS256: of EdDSA this server sees no secret"))
        }
        (Some(TokenAlgorithm::Hs256), _, Some(_)) => {
            Err(Problem::field("public_key", "is for EdDSA"))
        }
        (None, ..) => Err(Problem::field("algorithm", "must be HS256 or EdDSA")),
    }
}

/// `GET /v1/token-keys`: those of one's tenant.
pub(crate) fn list(call: &Call) -> Answered {
    let parameters = call.parameters()?;
    let view = call.meta()?;
    let own = &*call.caller.tenant.name;
    let list = List(&["token-keys", own]);
    let page = Page::of(&parameters, &list)?;
    let from = page.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let keys = view.meta.token_keys.range::<str, _>((from, Bound::Unbounded));
    let seen = keys.filter(|(_, key)| key.tenant == own);
    let Filled { items, more } = page.fill(seen.map(|(kid, key)| TokenKeyBody {
        kid,
        algorithm: key.verifier.algorithm().name(),
        label: &key.label,
        created_at: Rfc3339(key.created_at),
    }));
    let cursor = items.last().filter(|_| more).map(|key| list.cursor(key.kid));
    Ok(Answer::json(StatusCode::OK, &TokenKeyList { items, cursor }).resting(&view))
}

/// `DELETE /v1/token-keys/{kid}`
pub(crate) async fn revoke(call: Call) -> Answered {
    let (kid, tenant) = (call.name(0)?, call.caller.tenant.name.to_string());
    let action = meta::Action::RevokeTokenKey { kid, tenant };
    let (_, delivered) = call.command(Command::Meta(meta::Command { action })).await?;
    Ok(Answer::empty().delivered(delivered))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(algorithm: &str, secret: Option<&str>, public_key: Option<&str>) -> String {
        let (secret, public_key) = (secret.map(str::to_owned), public_key.map(str::to_owned));
        let material = material(algorithm, secret, public_key);
        material.err().expect("it is refused").detail.into_owned()
    }

    #[test]
    fn keys_are_read_with_padding_or_without() {
        let encoded = BASE64URL.encode([7; 32]);
        for text in [encoded.clone(), format!("{encoded}=")] {
            let secret = material("HS256", Some(text.clone()), None).unwrap_or_else(|_| panic!());
            let expected = TokenSecret::new(vec![7; 32]).map(TokenVerifier::Hs256);
            assert_eq!((Some(secret.verifier), secret.drawn), (expected, None));
            let public = material("EdDSA", None, Some(text)).unwrap_or_else(|_| panic!());
            let expected = TokenPublicKey::new(&[7; 32]).map(TokenVerifier::EdDsa);
            assert_eq!((Some(public.verifier), public.drawn), (expected, None));
        }
    }

    #[test]
    fn what_is_drawn_is_what_is_shown_and_another_each_time() {
        let [one, other] = [(), ()].map(|()| material("HS256", None, None).ok().unwrap());
        assert_ne!(one.verifier, other.verifier);
        let bytes = BASE64URL.decode(one.drawn.unwrap()).unwrap();
        assert_eq!(TokenSecret::new(bytes).map(TokenVerifier::Hs256), Some(one.verifier));
        assert_ne!(kid(), kid());
        assert!(kid().len() == PREFIX.len() + 16 && crate::text::is_name(&kid()));
    }

    #[test]
    fn what_is_wrong_is_said_without_repeating_it() {
        let short = BASE64URL.encode([7; 31]);
        let zeroes = BASE64URL.encode([0; 32]);
        for (algorithm, secret, public_key, begins) in [
            ("none", None, None, "algorithm "),
            ("hs256", None, None, "algorithm "),
            ("HS256", Some(short.as_str()), None, "secret must"),
            ("HS256", Some("not base64!"), None, "secret must"),
            ("HS256", None, Some(short.as_str()), "public_key is for"),
            ("EdDSA", None, None, "public_key is needed"),
            ("EdDSA", None, Some(short.as_str()), "public_key must"),
            ("EdDSA", None, Some(zeroes.as_str()), "public_key must"),
            ("EdDSA", Some(short.as_str()), None, "secret is for"),
        ] {
            let said = refused(algorithm, secret, public_key);
            assert!(said.starts_with(begins), "{said}");
            assert!(!secret.or(public_key).is_some_and(|sent| said.contains(sent)), "{said}");
        }
    }
}
