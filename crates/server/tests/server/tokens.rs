//! Token keys, and what their tokens are let in to.

use crate::harness::{Answer, TestServer};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use evenkeel_server::{Auth, ServerOptions};
use ring::{
    hmac,
    signature::{Ed25519KeyPair, KeyPair},
};
use serde_json::{Value, json};

const KEYS: &str = "/v1/token-keys";

struct Keyed {
    server: TestServer,
    admin: String,
}

impl Keyed {
    fn start() -> Self {
        let server = TestServer::start(ServerOptions::new(Auth::Keys));
        let admin = server.admin_key();
        Self { server, admin }
    }

    fn send(&self, bearer: &str, method: &str, path: &str, body: Option<&str>) -> Answer {
        let bearer = format!("Bearer {bearer}");
        self.server.send(method, path, &[("Authorization", &bearer)], body)
    }

    fn create(&self, by: &str, body: &Value) -> Value {
        let made = self.send(by, "POST", KEYS, Some(&body.to_string()));
        assert_eq!(made.status, 201, "{}", made.body);
        made.json()
    }

    fn list(&self, by: &str) -> Answer {
        let listed = self.send(by, "GET", KEYS, None);
        assert_eq!(listed.status, 200, "{}", listed.body);
        listed
    }

    /// A key that may do everything as this tenant.
    fn admin_of(&self, tenant: &str) -> String {
        let body = json!({ "tenant": tenant, "scopes": ["admin"] }).to_string();
        let made = self.send(&self.admin, "POST", "/v1/keys", Some(&body));
        made.json()["key"].as_str().unwrap().to_owned()
    }
}

fn kids(listed: &Value) -> Vec<&str> {
    let items = listed["items"].as_array().unwrap().iter();
    items.map(|key| key["kid"].as_str().unwrap()).collect()
}

/// A token of `u1`.
fn token(alg: &str, kid: &Value, exp: u64, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let header = json!({ "alg": alg, "kid": kid });
    let claims = json!({ "sub": "u1", "exp": exp });
    let mut token = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
    let signature = URL_SAFE_NO_PAD.encode(sign(token.as_bytes()));
    token.push('.');
    token.push_str(&signature);
    token
}

fn by_secret(secret: &str) -> impl Fn(&[u8]) -> Vec<u8> {
    let secret = URL_SAFE_NO_PAD.decode(secret).unwrap();
    move |text| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), text).as_ref().to_vec()
}

/// So that a token is good now, and for some days.
fn soon() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_second()).unwrap() + 7 * 24 * 3_600
}

#[test]
fn a_secret_that_is_drawn_is_shown_once() {
    let keyed = Keyed::start();
    let made = keyed.create(&keyed.admin, &json!({ "algorithm": "HS256", "label": "web" }));
    let secret = made["secret"].as_str().unwrap();
    assert_eq!(URL_SAFE_NO_PAD.decode(secret).unwrap().len(), 32);
    let kid = made["kid"].as_str().unwrap();
    let hex = kid.strip_prefix("tk_").unwrap();
    assert!(hex.len() == 16 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()), "{kid}");
    assert_eq!((&made["algorithm"], &made["label"]), (&json!("HS256"), &json!("web")));
    let listed = keyed.list(&keyed.admin);
    assert!(!listed.body.contains(secret) && !listed.body.contains("secret"), "{}", listed.body);
    let mut shown = made.clone();
    shown.as_object_mut().unwrap().remove("secret");
    assert_eq!(listed.json()["items"], json!([shown]));
}

#[test]
fn a_key_that_is_brought_is_not_shown() {
    let keyed = Keyed::start();
    let secret = URL_SAFE_NO_PAD.encode([7; 32]);
    let pair = Ed25519KeyPair::from_seed_unchecked(&[8; 32]).unwrap();
    let public = URL_SAFE_NO_PAD.encode(pair.public_key());
    for body in [
        json!({ "algorithm": "HS256", "secret": secret }),
        json!({ "algorithm": "EdDSA", "public_key": public }),
    ] {
        let made = keyed.create(&keyed.admin, &body);
        assert_eq!((&made["secret"], &made["label"]), (&Value::Null, &json!("")), "{made}");
        assert_eq!(made["algorithm"], body["algorithm"]);
    }
    let listed = keyed.list(&keyed.admin).body;
    assert!(!listed.contains(&secret), "{listed}");
}

#[test]
fn token_keys_are_asked_for_properly() {
    let keyed = Keyed::start();
    let key = |bytes: usize| URL_SAFE_NO_PAD.encode(vec![7; bytes]);
    for body in [
        json!({}),
        json!({ "algorithm": "none" }),
        json!({ "algorithm": "RS256" }),
        json!({ "algorithm": "HS256", "secret": key(31) }),
        json!({ "algorithm": "HS256", "secret": key(65) }),
        json!({ "algorithm": "HS256", "secret": "a b" }),
        json!({ "algorithm": "HS256", "public_key": key(32) }),
        json!({ "algorithm": "HS256", "kid": "tk_00" }),
        json!({ "algorithm": "HS256", "label": "a\nb" }),
        json!({ "algorithm": "HS256", "label": "l".repeat(129) }),
        json!({ "algorithm": "EdDSA" }),
        json!({ "algorithm": "EdDSA", "public_key": key(31) }),
        json!({ "algorithm": "EdDSA", "public_key": URL_SAFE_NO_PAD.encode([0; 32]) }),
        json!({ "algorithm": "EdDSA", "secret": key(32) }),
    ] {
        let refused = keyed.send(&keyed.admin, "POST", KEYS, Some(&body.to_string()));
        assert_eq!((refused.status, refused.code().as_str()), (400, "invalid_request"), "{body}");
        assert!(!refused.body.contains(&key(31)), "{}", refused.body);
    }
    assert_eq!(kids(&keyed.list(&keyed.admin).json()), Vec::<&str>::new());
}

#[test]
fn a_repeated_request_makes_one_token_key() {
    let keyed = Keyed::start();
    let bearer = format!("Bearer {}", keyed.admin);
    let make = |body: Value| {
        let headers = [("Authorization", bearer.as_str()), ("Idempotency-Key", "k")];
        keyed.server.send("POST", KEYS, &headers, Some(&body.to_string()))
    };
    let [first, again] = [(), ()].map(|()| make(json!({ "algorithm": "HS256" })));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let (first, mut again) = (first.json(), again.json());
    assert_eq!((again["secret"].take(), first["secret"].is_string()), (Value::Null, true));
    assert_eq!(first["kid"], again["kid"]);
    assert_eq!(first["created_at"], again["created_at"]);
    let secret = URL_SAFE_NO_PAD.encode([7; 32]);
    let other = make(json!({ "algorithm": "HS256", "secret": secret }));
    assert_eq!(other.code(), "idempotency_conflict");
}

#[test]
fn each_tenant_has_its_own_token_keys() {
    let keyed = Keyed::start();
    let [one, other] = ["one", "other"].map(|tenant| keyed.admin_of(tenant));
    let hs256 = json!({ "algorithm": "HS256" });
    let made = keyed.create(&one, &hs256);
    keyed.create(&one, &hs256);
    assert_eq!(kids(&keyed.list(&one).json()).len(), 2);
    for stranger in [&other, &keyed.admin] {
        assert_eq!(kids(&keyed.list(stranger).json()), Vec::<&str>::new());
        let address = format!("{KEYS}/{}", made["kid"].as_str().unwrap());
        assert_eq!(keyed.send(stranger, "DELETE", &address, None).code(), "not_found");
    }
    let page = keyed.send(&one, "GET", "/v1/token-keys?limit=1", None).json();
    let cursor = page["cursor"].as_str().unwrap();
    let rest = format!("{KEYS}?cursor={cursor}");
    let next = keyed.send(&one, "GET", &rest, None).json();
    assert_eq!((kids(&next).len(), &next["cursor"]), (1, &Value::Null));
    assert_ne!(kids(&page), kids(&next));
    assert_eq!(keyed.send(&other, "GET", &rest, None).code(), "invalid_request");
}

#[test]
fn a_token_is_refused_where_an_api_key_is_needed() {
    let keyed = Keyed::start();
    let made = keyed.create(&keyed.admin, &json!({ "algorithm": "HS256" }));
    let secret = by_secret(made["secret"].as_str().unwrap());
    let good = token("HS256", &made["kid"], soon(), secret);
    let spec = "{\"kind\":\"quantity\",\"capacity\":1}";
    for (method, path, body) in [
        ("GET", "/v1/resources", None),
        ("PUT", "/v1/resources/gig", Some(spec)),
        ("GET", "/v1/keys", None),
        ("GET", KEYS, None),
        ("POST", KEYS, Some("{\"algorithm\":\"HS256\"}")),
        ("GET", "/v1/contracts", None),
        ("GET", "/metrics", None),
    ] {
        let refused = keyed.send(&good, method, path, body);
        assert_eq!((refused.status, refused.code().as_str()), (403, "forbidden"), "{path}");
        let detail = refused.json()["detail"].to_string();
        assert!(detail.contains("needs an API key"), "{detail}");
    }
    assert_eq!(keyed.send(&good, "GET", "/healthz", None).status, 200);
}

#[test]
fn only_a_token_that_is_good_names_somebody() {
    let keyed = Keyed::start();
    let made = keyed.create(&keyed.admin, &json!({ "algorithm": "HS256" }));
    let pair = Ed25519KeyPair::from_seed_unchecked(&[8; 32]).unwrap();
    let public = URL_SAFE_NO_PAD.encode(pair.public_key());
    let public = keyed.create(&keyed.admin, &json!({ "algorithm": "EdDSA", "public_key": public }));
    let (kid, exp) = (&made["kid"], soon());
    let secret = || by_secret(made["secret"].as_str().unwrap());
    let by_pair = |text: &[u8]| pair.sign(text).as_ref().to_vec();
    let forged = |text: &[u8]| {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, pair.public_key().as_ref()), text)
            .as_ref()
            .to_vec()
    };
    // Known is answered forbidden here: somebody was named.
    let known = token("EdDSA", &public["kid"], exp, by_pair);
    assert_eq!(keyed.send(&known, "GET", "/v1/resources", None).status, 403);
    let wrong = [
        (token("HS256", kid, 1, secret()), "has expired"),
        (token("HS256", kid, 9 * exp, secret()), "too far ahead"),
        (token("HS256", &json!("tk_0000000000000000"), exp, secret()), "not signed"),
        (token("HS256", &public["kid"], exp, forged), "not signed"),
        (token("none", kid, exp, secret()), "not signed"),
        ("a.b".to_owned(), "neither an API key"),
        (".".repeat(9_000), "at most 8192 bytes"),
    ];
    for (token, said) in &wrong {
        let refused = keyed.send(token, "GET", "/v1/resources", None);
        assert_eq!((refused.status, refused.code().as_str()), (401, "unauthenticated"), "{said}");
        assert!(refused.header("www-authenticate").is_some());
        let detail = refused.json()["detail"].to_string();
        assert!(detail.contains(said), "{detail}");
    }
    let metrics = keyed.send(&keyed.admin, "GET", "/metrics", None).body;
    let counted = format!("evenkeel_unauthenticated_total {}\n", wrong.len());
    assert!(metrics.contains(&counted), "{metrics}");
}

#[test]
fn a_revoked_token_key_lets_nobody_in_also_after_a_restart() {
    let keyed = Keyed::start();
    let hs256 = json!({ "algorithm": "HS256" });
    let [kept, gone] = [(), ()].map(|()| keyed.create(&keyed.admin, &hs256));
    let of = |made: &Value| {
        token("HS256", &made["kid"], soon(), by_secret(made["secret"].as_str().unwrap()))
    };
    let (kept, token) = (of(&kept), of(&gone));
    let address = format!("{KEYS}/{}", gone["kid"].as_str().unwrap());
    assert_eq!(keyed.send(&token, "GET", "/metrics", None).status, 403);
    assert_eq!(keyed.send(&keyed.admin, "DELETE", &address, None).status, 204);
    assert_eq!(keyed.send(&token, "GET", "/metrics", None).status, 401);
    assert_eq!(keyed.send(&keyed.admin, "DELETE", &address, None).code(), "not_found");
    let Keyed { server, admin } = keyed;
    let server = TestServer::start_on(server.stop(), ServerOptions::new(Auth::Keys));
    let keyed = Keyed { server, admin };
    assert_eq!(keyed.send(&kept, "GET", "/metrics", None).status, 403);
    assert_eq!(keyed.send(&token, "GET", "/metrics", None).status, 401);
}

#[test]
fn without_keys_a_token_is_ignored() {
    let server = TestServer::open();
    let ignored = [("Authorization", "Bearer a.b.c")];
    assert_eq!(server.send("GET", "/v1/token-keys", &ignored, None).status, 200);
}
