//! Tokens that are good, and everything that is wrong with others.

use super::*;
use crate::auth::{CHAT_READ, CHAT_WRITE, USER_SCOPES};
use evenkeel_contract::Registry;
use evenkeel_domains::meta::{Meta, TokenKeyView, TokenPublicKey, TokenSecret};
use evenkeel_engine::TenantId;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

/// Some time by the wall clock, in seconds.
pub(crate) const NOW_S: u64 = 1_800_000_000;
pub(crate) const NOW: Time = Time(NOW_S * 1_000);
pub(crate) const SECRET: [u8; 32] = [11; 32];
/// Token keys: two of `acme`, and one of `other` with the same secret as `acme` has.
pub(crate) const SHARED: &str = "tk_00000000000000a1";
pub(crate) const PUBLIC: &str = "tk_00000000000000b2";
pub(crate) const FOREIGN: &str = "tk_00000000000000c3";

fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[12; 32]).unwrap()
}

/// What is known of two tenants and their token keys.
pub(crate) fn meta() -> MetaView {
    let mut meta = Meta::default();
    let secret = || TokenVerifier::Hs256(TokenSecret::new(SECRET.to_vec()).unwrap());
    let public = TokenPublicKey::new(pair().public_key().as_ref()).unwrap();
    for (name, id) in [("acme", 1), ("other", 2)] {
        meta.tenants.insert(name.to_owned(), TenantId(id));
    }
    for (kid, tenant, verifier) in [
        (SHARED, "acme", secret()),
        (PUBLIC, "acme", TokenVerifier::EdDsa(public)),
        (FOREIGN, "other", secret()),
    ] {
        let (tenant, label) = (tenant.to_owned(), String::new());
        let key = TokenKeyView { tenant, verifier, label, created_at: Time(0) };
        meta.token_keys.insert(kid.to_owned(), key);
    }
    MetaView { meta, registry: Registry::new(evenkeel_domains::paths()).unwrap(), as_of: None }
}

/// The token of these parts, which `sign` signs.
pub(super) fn signed(header: &[u8], claims: &[u8], sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let mut token = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
    let signature = sign(token.as_bytes());
    token.push('.');
    token.push_str(&URL_SAFE_NO_PAD.encode(signature));
    token
}

pub(super) fn by_secret(secret: &[u8]) -> impl Fn(&[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    move |message| hmac::sign(&key, message).as_ref().to_vec()
}

fn by_pair(message: &[u8]) -> Vec<u8> {
    pair().sign(message).as_ref().to_vec()
}

pub(super) fn header(alg: &str, kid: &str) -> Vec<u8> {
    json!({ "alg": alg, "typ": "JWT", "kid": kid }).to_string().into_bytes()
}

/// A token of HS256 with these claims, of this key and its secret.
pub(crate) fn shared(kid: &str, claims: &Value) -> String {
    signed(&header("HS256", kid), claims.to_string().as_bytes(), by_secret(&SECRET))
}

/// A token of EdDSA with these claims.
pub(super) fn public(claims: &Value) -> String {
    signed(&header("EdDSA", PUBLIC), claims.to_string().as_bytes(), by_pair)
}

/// The least that a token says.
pub(crate) fn claims() -> Value {
    json!({ "sub": "ada", "exp": NOW_S + 60 })
}

/// The same with another claim.
pub(crate) fn claims_with(claim: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[claim] = value;
    claims
}

fn user_of(token: &str) -> Result<TokenUser, TokenError> {
    verify(token, &meta(), NOW).map(|(_, user)| user)
}

fn with(claim: &str, value: Value) -> Result<TokenUser, TokenError> {
    user_of(&shared(SHARED, &claims_with(claim, value)))
}

#[test]
fn a_signed_token_names_a_user_of_the_keys_tenant() {
    for (token, kid) in [(shared(SHARED, &claims()), SHARED), (public(&claims()), PUBLIC)] {
        let (tenant, user) = verify(&token, &meta(), NOW).unwrap();
        assert_eq!((&*tenant.name, tenant.id), ("acme", TenantId(1)));
        let expected = TokenUser {
            name: "ada".into(),
            expires_at: NOW.plus_ms(60_000),
            kid: kid.into(),
            conversations: None,
            scopes: USER_SCOPES.to_vec(),
        };
        assert_eq!(user, expected);
        assert!(user.reaches("any"));
    }
}

#[test]
fn another_tenants_key_gives_that_tenant_and_nothing_of_this_one() {
    let claims = claims_with("tenant", json!("acme"));
    let (tenant, _) = verify(&shared(FOREIGN, &claims), &meta(), NOW).unwrap();
    assert_eq!((&*tenant.name, tenant.id), ("other", TenantId(2)));
    let mut gone = meta();
    gone.meta.tenants.remove("other");
    assert_eq!(verify(&shared(FOREIGN, &claims), &gone, NOW), Err(TokenError::Signature));
}

/// RFC 7515, appendix A.1, and RFC 8037, appendix A.4.
#[test]
fn the_examples_of_the_standards_are_signed() {
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let secret = decode(
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
    );
    let public = decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    for (verifier, example) in [
        (
            TokenVerifier::Hs256(TokenSecret::new(secret).unwrap()),
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAs\
             DQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1\
             gFWFOEjXk",
        ),
        (
            TokenVerifier::EdDsa(TokenPublicKey::new(&public).unwrap()),
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-\
             09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        ),
    ] {
        let (text, signature) = example.rsplit_once('.').unwrap();
        let mut signature = decode(signature);
        assert!(is_signed(&verifier, text.as_bytes(), &signature));
        assert!(!is_signed(&verifier, &text.as_bytes()[1..], &signature));
        signature[5] ^= 1;
        assert!(!is_signed(&verifier, text.as_bytes(), &signature));
    }
}

#[test]
fn what_is_not_signed_with_the_key_is_refused_and_all_alike() {
    let body = claims().to_string().into_bytes();
    let sign = |alg, kid, sign: &dyn Fn(&[u8]) -> Vec<u8>| signed(&header(alg, kid), &body, sign);
    let mut public_key = pair().public_key().as_ref().to_vec();
    let shouted = SHARED.to_uppercase();
    let forged = [
        sign("HS256", SHARED, &by_secret(&[10; 32])),
        sign("HS256", SHARED, &|message| by_secret(&SECRET)(message)[..16].to_vec()),
        sign("HS256", "tk_0000000000000000", &by_secret(&SECRET)),
        sign("HS256", "", &by_secret(&SECRET)),
        sign("HS256", &shouted, &by_secret(&SECRET)),
        // Each algorithm is that of its key: no public key is a secret, and none means none.
        sign("HS256", PUBLIC, &by_secret(&public_key)),
        sign("EdDSA", PUBLIC, &by_secret(&public_key)),
        sign("EdDSA", SHARED, &by_pair),
        sign("EdDSA", SHARED, &by_secret(&SECRET)),
        sign("HS256", PUBLIC, &by_pair),
        sign("none", SHARED, &by_secret(&SECRET)),
        sign("None", SHARED, &by_secret(&SECRET)),
        sign("hs256", SHARED, &by_secret(&SECRET)),
        sign("HS512", SHARED, &by_secret(&SECRET)),
        sign("", SHARED, &by_secret(&SECRET)),
    ];
    for token in forged {
        assert_eq!(user_of(&token), Err(TokenError::Signature), "{token}");
    }
    public_key.push(0);
    assert_eq!(
        user_of(&sign("EdDSA", PUBLIC, &|_| public_key.clone())),
        Err(TokenError::Signature)
    );
    // A key that is brought along is no key.
    let own = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
    let x = URL_SAFE_NO_PAD.encode(own.public_key());
    let header = json!({ "alg": "EdDSA", "kid": PUBLIC, "jku": "https://evil.example",
        "jwk": { "kty": "OKP", "crv": "Ed25519", "x": x } });
    let token =
        signed(header.to_string().as_bytes(), &body, |text| own.sign(text).as_ref().to_vec());
    assert_eq!(user_of(&token), Err(TokenError::Signature));
}

/// What `alg` none is sent with: no signature at all.
#[test]
fn a_token_without_a_signature_has_not_its_form() {
    let unsigned = signed(&header("none", SHARED), claims().to_string().as_bytes(), |_| Vec::new());
    assert_eq!(user_of(&unsigned), Err(TokenError::Form));
}

/// Such a key would let anybody in, which is why none can be made: see `TokenPublicKey`.
#[test]
fn anybody_signs_for_a_weak_key() {
    // The neutral point and 0: a signature that nobody made.
    let mut signature = [0; 64];
    signature[0] = 1;
    let key = UnparsedPublicKey::new(&ED25519, [0; 32]);
    let messages = (0..64_u8).map(|message| [message]);
    assert!(messages.filter(|message| key.verify(message, &signature).is_ok()).count() > 0);
    assert_eq!(TokenPublicKey::new(&[0; 32]), None);
}

#[test]
fn a_part_that_is_none_is_refused() {
    let good = shared(SHARED, &claims());
    let parts: Vec<&str> = good.split('.').collect();
    let [head, body, signature] = parts[..] else { panic!("three parts") };
    for wrong in [
        "",
        ".",
        "..",
        "nonsense",
        "é",
        &format!("{head}.{body}"),
        &format!("{head}.{body}."),
        &format!(".{body}.{signature}"),
        &format!("{head}..{signature}"),
        &format!("{good}."),
        &format!(".{good}"),
        &format!("{good}.{signature}"),
        &format!("{head}.{body}.{signature}="),
        &format!("{head} .{body}.{signature}"),
        &format!("{head}\n.{body}.{signature}"),
        &format!("{head}.{body}.{}/+", &signature[2..]),
    ] {
        assert_eq!(user_of(wrong), Err(TokenError::Form), "{wrong:?}");
    }
    let padded = format!("{head}.{body}.{}", &signature[..signature.len() - 1]);
    assert!(user_of(&padded).is_err());
}

#[test]
fn a_header_that_says_nothing_is_refused() {
    let token = |header: &str| {
        signed(header.as_bytes(), claims().to_string().as_bytes(), by_secret(&SECRET))
    };
    let kid = format!("\"kid\":\"{SHARED}\"");
    for wrong in [
        "{}",
        "null",
        "[]",
        "{\"alg\":\"HS256\"}",
        &format!("{{{kid}}}"),
        &format!("[\"HS256\",\"{SHARED}\"]"),
        &format!("{{\"alg\":null,{kid}}}"),
        &format!("{{\"alg\":256,{kid}}}"),
        &format!("{{\"alg\":\"HS256\",{kid},{kid}}}"),
        &format!("{{\"alg\":\"none\",\"alg\":\"HS256\",{kid}}}"),
        &format!("{{\"alg\":\"HS256\",{kid}}} x"),
        &format!("{{\"alg\":\"HS256\",{kid},\"typ\":null}}"),
        "{\"alg\":\"HS256\",\"kid\":\"\u{0}",
    ] {
        assert_eq!(user_of(&token(wrong)), Err(TokenError::Header), "{wrong}");
    }
    let critical = format!("{{\"alg\":\"HS256\",{kid},\"crit\":[\"b64\"],\"b64\":false}}");
    assert_eq!(user_of(&token(&critical)), Err(TokenError::Critical));
    let kind = format!("{{\"alg\":\"HS256\",{kid},\"typ\":\"dpop+jwt\"}}");
    assert_eq!(user_of(&token(&kind)), Err(TokenError::Kind));
    for fine in [
        format!("{{\"alg\":\"HS256\",{kid}}}"),
        format!("\t{{{kid},\"alg\":\"HS256\",\"typ\":\"jwt\",\"x\":{{}}}}"),
    ] {
        assert!(user_of(&token(&fine)).is_ok(), "{fine}");
    }
}

#[test]
fn claims_that_are_none_are_refused() {
    let token =
        |claims: &str| signed(&header("HS256", SHARED), claims.as_bytes(), by_secret(&SECRET));
    let exp = NOW_S + 60;
    for wrong in [
        "null".to_owned(),
        "7".to_owned(),
        "not json".to_owned(),
        format!("[\"ada\",{exp}]"),
        format!("{{\"sub\":\"ada\",\"exp\":{exp}"),
        format!("{{\"sub\":\"ada\",\"sub\":\"eve\",\"exp\":{exp}}}"),
        format!("{{\"sub\":\"ada\",\"exp\":1,\"exp\":{exp}}}"),
        "{\"sub\":\"ada\",\"exp\":1e999}".to_owned(),
        format!(
            "{{\"sub\":\"ada\",\"exp\":{exp},\"scope\":{}1{}}}",
            "[".repeat(999),
            "]".repeat(999)
        ),
    ] {
        assert_eq!(user_of(&token(&wrong)), Err(TokenError::Claims), "{wrong}");
    }
    let invalid = signed(&header("HS256", SHARED), b"{\"sub\":\"\xff\"}", by_secret(&SECRET));
    assert_eq!(user_of(&invalid), Err(TokenError::Claims));
}

#[test]
fn an_expired_token_is_expired_to_the_second() {
    assert!(with("exp", json!(NOW_S + 1)).is_ok());
    for at in [NOW_S, NOW_S - 1, 0] {
        assert_eq!(with("exp", json!(at)), Err(TokenError::Expired), "{at}");
    }
    assert_eq!(with("exp", json!(NOW_S as f64 + 0.5)), Err(TokenError::Expired));
    let furthest = NOW_S + TOKEN_LIFE_S_MAX;
    assert_eq!(with("exp", json!(furthest)).unwrap().expires_at, Time(furthest * 1_000));
    for at in [furthest + 1, u64::MAX] {
        assert_eq!(with("exp", json!(at)), Err(TokenError::TooFar), "{at}");
    }
    let token = shared(SHARED, &claims());
    let last = NOW.plus_ms(59_999);
    assert!(verify(&token, &meta(), last).is_ok());
    assert_eq!(verify(&token, &meta(), last.plus_ms(1)), Err(TokenError::Expired));
    // Whatever else is wrong with it, and only if it was signed here.
    let old = json!({ "sub": "no name", "exp": 1 });
    assert_eq!(user_of(&shared(SHARED, &old)), Err(TokenError::Expired));
    let forged = signed(&header("HS256", SHARED), old.to_string().as_bytes(), by_secret(&[10; 32]));
    assert_eq!(user_of(&forged), Err(TokenError::Signature));
}

#[test]
fn a_token_of_the_future_waits_but_for_a_clock_that_is_a_little_ahead() {
    for claim in ["nbf", "iat"] {
        for at in [0, NOW_S, NOW_S + LEEWAY_S] {
            assert!(with(claim, json!(at)).is_ok(), "{claim} {at}");
        }
        assert_eq!(with(claim, json!(NOW_S + LEEWAY_S + 1)), Err(TokenError::NotYet));
    }
}

#[test]
fn each_claim_is_what_it_must_be() {
    let long = "n".repeat(129);
    let many: Vec<String> = (0..=TOKEN_CONVERSATIONS_MAX).map(|at| at.to_string()).collect();
    for (claim, value) in [
        ("sub", json!(null)),
        ("sub", json!("")),
        ("sub", json!("a b")),
        ("sub", json!("é")),
        ("sub", json!("a/b")),
        ("sub", json!(7)),
        ("sub", json!(long)),
        ("exp", json!(null)),
        ("exp", json!("1800000060")),
        ("exp", json!(-1)),
        ("exp", json!(1e300)),
        ("nbf", json!(null)),
        ("nbf", json!("now")),
        ("iat", json!(null)),
        ("iat", json!([])),
        ("aud", json!(null)),
        ("aud", json!("another")),
        ("aud", json!([])),
        ("aud", json!(["another", "Evenkeel"])),
        ("aud", json!({ "evenkeel": 1 })),
        ("conversations", json!(null)),
        ("conversations", json!("lobby")),
        ("conversations", json!({})),
        ("conversations", json!(["lobby", "a b"])),
        ("conversations", json!(["lobby", 7])),
        ("conversations", json!(many)),
        ("scope", json!(null)),
        ("scope", json!(["chat:read"])),
        ("scope", json!("admin")),
        ("scope", json!("chat:read,chat:write")),
        ("scope", json!("chat:read jobs:read")),
    ] {
        let refused = with(claim, value.clone()).unwrap_err();
        assert!(
            matches!(refused, TokenError::Claim { claim: named, .. } if named == claim),
            "{claim} {value}: {refused}"
        );
        assert!(refused.to_string().starts_with(&format!("the token's claim {claim} ")));
    }
    for missing in ["sub", "exp"] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(missing);
        let refused = user_of(&shared(SHARED, &claims)).unwrap_err();
        assert!(refused.to_string().contains("is missing"), "{refused}");
    }
}

#[test]
fn a_token_may_be_good_for_less() {
    let some = with("conversations", json!(["lobby", "ops:7", "lobby"])).unwrap();
    assert!(some.reaches("lobby") && some.reaches("ops:7") && !some.reaches("ops:8"));
    let none = with("conversations", json!([])).unwrap();
    assert!(!none.reaches("lobby"));
    let most: Vec<String> = (0..TOKEN_CONVERSATIONS_MAX).map(|at| at.to_string()).collect();
    assert!(with("conversations", json!(most)).unwrap().reaches("99"));
    for (scope, read, write) in [
        ("chat:read", true, false),
        ("chat:write", false, true),
        ("chat:write chat:read", true, true),
        ("", false, false),
    ] {
        let user = with("scope", json!(scope)).unwrap();
        assert_eq!((user.may(CHAT_READ), user.may(CHAT_WRITE)), (read, write), "{scope}");
        assert!(!user.may("admin") && !user.may(""));
    }
    for audience in [json!("evenkeel"), json!(["another", "evenkeel"])] {
        assert!(with("aud", audience).is_ok());
    }
    let others = json!({ "sub": "u@x:1", "exp": NOW_S as f64 + 60.25, "iss": null, "jti": [1], "name": "é" });
    assert_eq!(user_of(&shared(SHARED, &others)).unwrap().expires_at, NOW.plus_ms(60_000));
}

#[test]
fn a_huge_token_is_not_looked_at() {
    let padded = |bytes: usize| shared(SHARED, &claims_with("pad", json!("x".repeat(bytes))));
    let token = padded(5_900);
    assert!(token.len() < TOKEN_BYTES_MAX && user_of(&token).is_ok());
    assert_eq!(user_of(&padded(6_200)), Err(TokenError::TooLong));
    assert_eq!(user_of(&".".repeat(TOKEN_BYTES_MAX + 1)), Err(TokenError::TooLong));
}

#[test]
fn who_was_let_in_is_so_until_the_end_or_until_the_key_is_revoked() {
    let (tenant, user) = verify(&shared(SHARED, &claims()), &meta(), NOW).unwrap();
    assert_eq!(still(&user, &tenant, &meta(), NOW), Ok(()));
    let end = user.expires_at;
    assert_eq!(still(&user, &tenant, &meta(), end), Err(TokenError::Expired));
    let mut revoked = meta();
    revoked.meta.token_keys.remove(SHARED);
    assert_eq!(still(&user, &tenant, &revoked, NOW), Err(TokenError::Signature));
}
