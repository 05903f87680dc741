//! Tokens that somebody has tampered with, and bytes that were never any. `EVENKEEL_FUZZ_ITERATIONS` makes
//! the runs longer.

use super::{tests::*, *};
use crate::{auth::USER_SCOPES, text::is_name};
use serde_json::json;

fn iterations() -> u64 {
    let asked = std::env::var("EVENKEEL_FUZZ_ITERATIONS").ok();
    asked.map_or(3_000, |text| text.parse().expect("EVENKEEL_FUZZ_ITERATIONS is a number"))
}

/// Whatever is changed of a good token, it is good no more: there is no second way to write it.
#[test]
fn hostile_changes_of_a_token_are_refused() {
    let meta = meta();
    let good = [
        shared(SHARED, &claims()),
        public(&claims_with("scope", json!("chat:read"))),
        shared(FOREIGN, &claims_with("conversations", json!(["a", "b"]))),
    ];
    let letters = b"ABCXYZabcxyz0189-_.=+/ \n\0\x7f";
    for seed in 0..iterations() {
        let mut random = fastrand::Rng::with_seed(seed);
        let token = random.choice(&good).unwrap();
        let mut bytes = token.clone().into_bytes();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(0..bytes.len());
            match random.u8(0..5) {
                0 => bytes[at] = letters[random.usize(0..letters.len())],
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, letters[random.usize(0..letters.len())]),
                3 => bytes.truncate(at.max(1)),
                _ => {
                    let other = random.choice(&good).unwrap().as_bytes();
                    let from = at.min(other.len());
                    bytes.truncate(at);
                    bytes.extend_from_slice(&other[from..]);
                }
            }
            if bytes.is_empty() {
                break;
            }
        }
        let changed = String::from_utf8(bytes).unwrap();
        let verified = verify(&changed, &meta, NOW);
        assert_eq!(verified.is_ok(), good.contains(&changed), "seed {seed}: {changed}");
    }
}

/// Any bytes are refused, whatever is signed of them.
#[test]
fn hostile_bytes_are_refused_signed_or_not() {
    let meta = meta();
    for seed in 0..iterations() {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut some = |most: usize| -> Vec<u8> {
            let bytes = random.usize(0..most);
            (0..bytes).map(|_| random.u8(..)).collect()
        };
        let (header_bytes, claims, text) = (some(60), some(60), some(300));
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(verify(&text, &meta, NOW).is_err(), "seed {seed}");
        let any = signed(&header_bytes, &claims, by_secret(&SECRET));
        assert!(verify(&any, &meta, NOW).is_err(), "seed {seed}");
        let named = signed(&header("HS256", SHARED), &claims, by_secret(&SECRET));
        assert!(verify(&named, &meta, NOW).is_err(), "seed {seed}");
    }
}

/// What a key signs is a user within every bound, or refused.
#[test]
fn hostile_claims_are_a_user_within_bounds_or_refused() {
    let meta = meta();
    let names = ["sub", "exp", "nbf", "iat", "aud", "scope", "conversations", "x"];
    let values = [
        "null",
        "true",
        "0",
        "-1",
        "1800000060",
        "1800000001.5",
        "1e18",
        "1e400",
        "18446744073709551615",
        "18446744073709551616",
        "\"ada\"",
        "\"\"",
        "\"a b\"",
        "\"chat:read\"",
        "\"chat:read  chat:write\"",
        "\"\\ud800\"",
        "[]",
        "[\"a\"]",
        "[[\"a\"]]",
        "{}",
        "{\"a\":{}}",
        "\"evenkeel\"",
        "",
    ];
    let mut good = 0;
    for seed in 0..iterations() * 4 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut fields = vec![("sub", "\"ada\""), ("exp", "1800000060")];
        for _ in 0..random.usize(0..4) {
            let field = (*random.choice(&names).unwrap(), *random.choice(&values).unwrap());
            if random.bool() {
                fields.retain(|(name, _)| *name != field.0);
            }
            fields.push(field);
        }
        let fields: Vec<String> =
            fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let claims = format!("{{{}}}", fields.join(","));
        let token = signed(&header("HS256", SHARED), claims.as_bytes(), by_secret(&SECRET));
        let Ok((tenant, user)) = verify(&token, &meta, NOW) else { continue };
        good += 1;
        assert_eq!(&*tenant.name, "acme");
        assert!(is_name(&user.name), "seed {seed}: {claims}");
        assert!(user.expires_at > NOW, "seed {seed}: {claims}");
        assert!(user.expires_at <= NOW.plus_ms(TOKEN_LIFE_S_MAX * 1_000), "seed {seed}: {claims}");
        let conversations = user.conversations.unwrap_or_default();
        assert!(conversations.iter().all(|name| is_name(name)), "seed {seed}");
        assert!(user.scopes.iter().all(|scope| USER_SCOPES.contains(scope)));
    }
    assert!(good > 100, "some are good: {good}");
}
