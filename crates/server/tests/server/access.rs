//! Who may do what.

use crate::harness::{Answer, TestServer};
use evenkeel_server::{Auth, ServerOptions};

struct Keyed {
    server: TestServer,
}

impl Keyed {
    fn start() -> (Self, String) {
        let server = TestServer::start(ServerOptions::new(Auth::Keys));
        let admin = server.admin_key();
        (Self { server }, admin)
    }

    fn send(&self, key: &str, method: &str, path: &str, body: Option<&str>) -> Answer {
        let bearer = format!("Bearer {key}");
        self.server.send(method, path, &[("Authorization", &bearer)], body)
    }

    fn make_key(&self, by: &str, body: &str) -> String {
        let made = self.send(by, "POST", "/v1/keys", Some(body));
        assert_eq!(made.status, 201, "{}", made.body);
        made.json()["key"].as_str().unwrap().to_owned()
    }
}

const SPEC: Option<&str> = Some("{\"kind\":\"quantity\",\"capacity\":1}");

#[test]
fn each_scope_opens_its_own_doors() {
    let (keyed, admin) = Keyed::start();
    let reader = keyed.make_key(&admin, "{\"scopes\":[\"reservations:read\"]}");
    let writer = keyed.make_key(&admin, "{\"scopes\":[\"reservations:write\"]}");
    let gig = "/v1/resources/gig";
    let tries = [
        ("PUT", gig, SPEC, [403, 201, 200]),
        ("GET", gig, None, [200, 403, 200]),
        ("GET", "/v1/keys", None, [403, 403, 200]),
        ("GET", "/v1/contracts", None, [200, 200, 200]),
        ("GET", "/metrics", None, [200, 200, 200]),
        ("GET", "/healthz", None, [200, 200, 200]),
    ];
    for (method, path, body, expected) in tries {
        let keys = [&reader, &writer, &admin];
        let statuses = keys.map(|key| keyed.send(key, method, path, body).status);
        assert_eq!(statuses, expected, "{method} {path}");
    }
    let refused = keyed.send(&reader, "PUT", gig, SPEC);
    assert_eq!(
        (refused.code().as_str(), &refused.json()["scope"]),
        ("forbidden", &"reservations:write".into())
    );
}

#[test]
fn without_a_valid_key_only_what_is_open() {
    let (keyed, admin) = Keyed::start();
    let unknown = "ek_0000000000000000_00";
    let wrong_secret = format!("{}0", &admin[..admin.len() - 1]);
    let wrong_secret = if wrong_secret == admin {
        format!("{}1", &admin[..admin.len() - 1])
    } else {
        wrong_secret
    };
    let truncated = &admin[..admin.len() - 1];
    for key in [unknown, wrong_secret.as_str(), truncated, "", "ek_", "nonsense"] {
        let refused = keyed.send(key, "GET", "/v1/resources", None);
        assert_eq!((refused.status, refused.code().as_str()), (401, "unauthenticated"), "{key}");
        assert!(refused.header("www-authenticate").is_some());
    }
    assert_eq!(keyed.server.get("/v1/resources").status, 401);
    let basic = [("Authorization", "Basic dTpw")];
    assert_eq!(keyed.server.send("GET", "/v1/resources", &basic, None).status, 401);
    for open in ["/", "/healthz", "/readyz", "/openapi.json", "/docs/problems/sold_out"] {
        assert_eq!(keyed.server.get(open).status, 200, "{open}");
    }
    let metrics = keyed.send(&admin, "GET", "/metrics", None).body;
    assert!(metrics.contains("evenkeel_unauthenticated_total 8\n"), "{metrics}");
}

#[test]
fn tenants_do_not_see_each_other() {
    let (keyed, admin) = Keyed::start();
    let [one, other] = ["one", "other"].map(|tenant| {
        keyed.make_key(&admin, &format!("{{\"tenant\":\"{tenant}\",\"scopes\":[\"admin\"]}}"))
    });
    assert_eq!(keyed.send(&one, "PUT", "/v1/resources/gig", SPEC).status, 201);
    assert_eq!(keyed.send(&other, "GET", "/v1/resources/gig", None).status, 404);
    assert_eq!(keyed.send(&other, "PUT", "/v1/resources/gig", SPEC).status, 201, "another gig");
    let seen = keyed.send(&admin, "GET", "/v1/resources", None).json();
    assert_eq!(seen["items"], serde_json::json!([]));
    let keys = keyed.send(&one, "GET", "/v1/keys", None).json();
    assert_eq!(keys["items"].as_array().unwrap().len(), 1, "only one's own");
    let foreign = Some("{\"tenant\":\"other\",\"scopes\":[\"admin\"]}");
    assert_eq!(keyed.send(&one, "POST", "/v1/keys", foreign).code(), "forbidden");
    let id = other.split('_').nth(1).unwrap();
    let revoked = keyed.send(&one, "DELETE", &format!("/v1/keys/{id}"), None);
    assert_eq!(revoked.code(), "not_found", "another tenant's key is not there");
    let cursor = keyed.send(&admin, "GET", "/v1/keys?limit=1", None).json()["cursor"].clone();
    let stolen = format!("/v1/keys?cursor={}", cursor.as_str().unwrap());
    assert_eq!(keyed.send(&one, "GET", &stolen, None).code(), "invalid_request");
}

#[test]
fn a_key_lives_until_it_is_revoked() {
    let (keyed, admin) = Keyed::start();
    let body = "{\"scopes\":[\"reservations:read\"],\"label\":\"for the bench\"}";
    let key = keyed.make_key(&admin, body);
    let (id, secret) = key.strip_prefix("ek_").unwrap().split_once('_').unwrap();
    let listed = keyed.send(&admin, "GET", "/v1/keys", None);
    assert!(!listed.body.contains(secret), "a secret is shown once");
    let labels = listed.json()["items"]
        .as_array()
        .unwrap()
        .iter()
        .any(|key| key["label"] == "for the bench");
    assert!(labels);
    assert_eq!(keyed.send(&key, "GET", "/v1/resources", None).status, 200);
    let address = format!("/v1/keys/{id}");
    assert_eq!(keyed.send(&admin, "DELETE", &address, None).status, 204);
    assert_eq!(keyed.send(&key, "GET", "/v1/resources", None).status, 401);
    assert_eq!(keyed.send(&admin, "DELETE", &address, None).code(), "not_found");
}

#[test]
fn a_repeated_request_makes_one_key_and_shows_its_secret_once() {
    let (keyed, admin) = Keyed::start();
    let bearer = format!("Bearer {admin}");
    let make = |scopes: &str| {
        let headers = [("Authorization", bearer.as_str()), ("Idempotency-Key", "k")];
        let body = format!("{{\"scopes\":[\"{scopes}\"]}}");
        keyed.server.send("POST", "/v1/keys", &headers, Some(&body))
    };
    let (first, again) = (make("admin"), make("admin"));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(first.json()["id"], again.json()["id"]);
    assert!(first.json()["key"].is_string());
    assert_eq!(again.json().get("key"), Some(&serde_json::Value::Null));
    assert_eq!(make("reservations:read").code(), "idempotency_conflict");
}

/// A retry does not know that the server was started again in between.
#[test]
fn a_repeat_after_a_restart_finds_the_key_that_was_made() {
    let (keyed, admin) = Keyed::start();
    let bearer = format!("Bearer {admin}");
    let headers = [("Authorization", bearer.as_str()), ("Idempotency-Key", "k")];
    let body = Some("{\"scopes\":[\"admin\"]}");
    let first = keyed.server.send("POST", "/v1/keys", &headers, body);
    let server = TestServer::start_on(keyed.server.stop(), ServerOptions::new(Auth::Keys));
    let again = server.send("POST", "/v1/keys", &headers, body);
    assert_eq!((again.status, again.header("idempotent-replayed")), (201, Some("true")));
    assert_eq!(first.json()["id"], again.json()["id"]);
    assert!(again.json()["key"].is_null());
}

/// What a key's list rests on is what the node has, and never older than what its reader has seen.
#[test]
fn a_list_of_keys_says_what_it_rests_on() {
    let (keyed, admin) = Keyed::start();
    let bearer = format!("Bearer {admin}");
    let body = Some("{\"scopes\":[\"reservations:read\"]}");
    let made = keyed.send(&admin, "POST", "/v1/keys", body);
    let session = made.header("evenkeel-session").unwrap();
    let listed = keyed.send(&admin, "GET", "/v1/keys", None);
    assert_eq!(listed.header("evenkeel-session"), Some(session));
    assert_eq!(listed.header("evenkeel-as-of"), made.header("evenkeel-as-of"));
    let (place, _) = session.rsplit_once('.').unwrap();
    let ahead = format!("{place}.1000000");
    let headers = [("Authorization", bearer.as_str()), ("Evenkeel-Session", &ahead)];
    let refused = keyed.server.send("GET", "/v1/keys", &headers, None);
    assert_eq!(refused.code(), "session_reset");
    assert_eq!(refused.header("evenkeel-session"), None, "no echo");
}

/// Each key once, page by page, to the end.
#[test]
fn a_list_of_keys_is_read_page_by_page() {
    let (keyed, admin) = Keyed::start();
    for _ in 0..4 {
        keyed.make_key(&admin, "{\"scopes\":[\"reservations:read\"]}");
    }
    let ids = |page: &serde_json::Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap().iter();
        items.map(|key| key["id"].as_str().unwrap().to_owned()).collect()
    };
    let whole = keyed.send(&admin, "GET", "/v1/keys", None).json();
    assert_eq!((ids(&whole).len(), whole["cursor"].is_null()), (5, true));
    let (mut seen, mut sizes) = (Vec::new(), Vec::new());
    let mut at = "/v1/keys?limit=2".to_owned();
    loop {
        let page = keyed.send(&admin, "GET", &at, None).json();
        sizes.push(ids(&page).len());
        seen.extend(ids(&page));
        let Some(cursor) = page["cursor"].as_str() else { break };
        at = format!("/v1/keys?limit=2&cursor={cursor}");
    }
    assert_eq!((seen, sizes), (ids(&whole), vec![2, 2, 1]));
    for wrong in ["limit=0", "limit=1001", "limit=x", "cursor=00"] {
        let refused = keyed.send(&admin, "GET", &format!("/v1/keys?{wrong}"), None);
        assert_eq!(refused.code(), "invalid_request", "{wrong}");
    }
}

#[test]
fn a_mistyped_scope_is_answered_with_the_right_one() {
    let (keyed, admin) = Keyed::start();
    let body = Some("{\"scopes\":[\"reservation:raed\"]}");
    let refused = keyed.send(&admin, "POST", "/v1/keys", body).json();
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.ends_with("did you mean reservations:read?"), "{detail}");
}

#[test]
fn keys_are_asked_for_properly() {
    let (keyed, admin) = Keyed::start();
    for body in [
        "{\"scopes\":[]}",
        "{\"scopes\":[\"all\"]}",
        "{\"scopes\":[\"admin\",\"admin\"]}",
        "{\"scopes\":[\"admin\"],\"tenant\":\"a b\"}",
        "{\"scopes\":[\"admin\"],\"label\":\"a\\nb\"}",
    ] {
        assert_eq!(
            keyed.send(&admin, "POST", "/v1/keys", Some(body)).code(),
            "invalid_request",
            "{body}"
        );
    }
}

#[test]
fn without_keys_only_this_machine_is_answered() {
    let server = TestServer::open();
    let foreign = [
        [("Host", "evil.example"), ("Accept", "*/*")],
        [("Host", "localhost.evil.example:7480"), ("Accept", "*/*")],
        [("Host", "127.0.0.1:7480"), ("Origin", "https://evil.example")],
        [("Host", "127.0.0.1:7480"), ("Origin", "null")],
    ];
    for headers in foreign {
        let refused = server.send("PUT", "/v1/resources/gig", &headers, SPEC);
        assert_eq!((refused.status, refused.code().as_str()), (403, "forbidden"), "{headers:?}");
    }
    let local = [("Host", "localhost:9"), ("Origin", "http://127.0.0.1:7480")];
    assert_eq!(server.send("PUT", "/v1/resources/gig", &local, SPEC).status, 201);
    let ignored = [("Authorization", "Bearer nonsense")];
    assert_eq!(server.send("GET", "/v1/resources/gig", &ignored, None).status, 200);
    assert_eq!(server.raw(b"GET / HTTP/1.0\r\n\r\n").status, 403, "no Host at all");
}
