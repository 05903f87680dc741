//! What a service does with limits, one partition at a time.

use crate::harness::{Answer, TestServer};
use evenkeel_domains::{KeyParts, route};
use evenkeel_log::PartitionId;
use evenkeel_server::{Auth, ServerOptions};
use serde_json::{Value, json};

const PARTITIONS: u16 = 4;
/// So long that nothing comes back while a test runs.
pub(crate) const LONG_MS: u64 = 24 * 3_600_000;
const CHECK: &str = "/v1/limits/check";

pub(crate) fn put(server: &TestServer, limit: &str, policy: &Value) {
    let answer = server.put(&format!("/v1/limits/{limit}"), &policy.to_string());
    assert!([200, 201].contains(&answer.status), "{}", answer.body);
}

pub(crate) fn window(quantity: u64) -> Value {
    json!({ "algorithm": "sliding_window", "quantity": quantity, "period_ms": LONG_MS })
}

/// `checks`, asked together.
pub(crate) fn ask(server: &TestServer, checks: impl Into<Value>) -> Answer {
    server.post(CHECK, &json!({ "checks": checks.into() }).to_string())
}

pub(crate) fn remaining(server: &TestServer, limit: &str, key: &str) -> u64 {
    let answer = server.get(&format!("/v1/limits/{limit}/peek?key={key}"));
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["results"][0]["remaining"].as_u64().unwrap()
}

/// A key of `limit` that partition `number` counts.
pub(crate) fn key_in(number: u16, limit: &str) -> String {
    let is_there = |key: &String| {
        let parts = KeyParts::two(limit.as_bytes(), key.as_bytes());
        route("limits", "default", parts, PARTITIONS) == PartitionId(number)
    };
    (0..).map(|at| format!("k{at}")).find(is_there).unwrap()
}

/// The partitions and offsets that an answer rests on.
pub(crate) fn as_of(answer: &Answer) -> Vec<(String, u64)> {
    let header = answer.header("evenkeel-as-of").unwrap_or_default();
    let places = header.split(", ").filter(|place| !place.is_empty());
    let split = places.map(|place| place.split_once('/').unwrap());
    split.map(|(partition, offset)| (partition.to_owned(), offset.parse().unwrap())).collect()
}

#[test]
fn a_life_of_a_limit() {
    let server = TestServer::open();
    let policy = window(3).to_string();
    let created = server.put("/v1/limits/logins", &policy);
    assert_eq!(created.status, 201, "{}", created.body);
    assert_eq!(server.put("/v1/limits/logins", &policy).status, 200, "the same again is no news");
    let expected = json!({
        "limit": "logins", "algorithm": "sliding_window", "scoped": false, "quantity": 3,
        "period_ms": LONG_MS, "burst": 0, "mode": "exact", "durability": "synced",
        "on_unavailable": "deny", "shadow": false,
    });
    assert_eq!(created.json(), expected);
    let read = server.get("/v1/limits/logins");
    assert_eq!(read.json(), expected);
    assert!(read.header("evenkeel-as-of").unwrap().starts_with("meta/"));
    let check =
        |cost: u64| ask(&server, json!([{ "limit": "logins", "key": "ada", "cost": cost }]));
    let first = check(2).json();
    assert_eq!((&first["allowed"], &first["degraded"]), (&true.into(), &false.into()));
    assert!(first["counted_at"].is_string());
    let counted = &first["results"][0];
    assert_eq!((&counted["limit"], &counted["key"]), (&"logins".into(), &"ada".into()));
    assert_eq!((&counted["remaining"], &counted["quantity"]), (&1.into(), &3.into()));
    assert_eq!(counted["retry_after_ms"], Value::Null);
    let refused = check(2);
    assert_eq!(refused.status, 200, "a check that does not fit is a good answer");
    let body = refused.json();
    assert_eq!((&body["allowed"], &body["counted_at"]), (&false.into(), &Value::Null));
    assert_eq!(body["results"][0]["remaining"], 1, "nothing was counted");
    assert!(body["results"][0]["retry_after_ms"].as_u64().unwrap() > 0);
    assert_eq!(check(1).json()["allowed"], true);
    assert_eq!(ask(&server, json!([{ "limit": "logins", "key": "" }])).json()["allowed"], true);
    assert_eq!(server.send("DELETE", "/v1/limits/logins", &[], None).status, 204);
    assert_eq!(server.get("/v1/limits/logins").code(), "not_found");
    assert_eq!(server.send("DELETE", "/v1/limits/logins", &[], None).code(), "not_found");
    assert_eq!(check(1).code(), "not_found");
}

#[test]
fn limits_are_listed_once_each_by_name() {
    let server = TestServer::open();
    for at in 0..7 {
        put(&server, &format!("l{at}"), &window(1));
    }
    let mut names = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = server.get(&format!("/v1/limits?limit=3{cursor}")).json();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 3);
        names.extend(items.iter().map(|item| item["limit"].as_str().unwrap().to_owned()));
        match page["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(names, ["l0", "l1", "l2", "l3", "l4", "l5", "l6"]);
}

/// A cursor names a place in one list: nobody goes on in another's with it.
#[test]
fn a_cursor_of_another_tenants_limits_is_refused() {
    let server = TestServer::start(ServerOptions::new(Auth::Keys));
    let admin = server.admin_key();
    let as_one = |key: &str, method: &str, path: &str, body: Option<&str>| {
        server.send(method, path, &[("Authorization", &format!("Bearer {key}"))], body)
    };
    let made = "{\"tenant\":\"acme\",\"scopes\":[\"admin\"]}";
    let other = as_one(&admin, "POST", "/v1/keys", Some(made)).json();
    let other = other["key"].as_str().unwrap().to_owned();
    let policy = window(1).to_string();
    for key in [&admin, &other] {
        for limit in ["a", "b"] {
            assert_eq!(
                as_one(key, "PUT", &format!("/v1/limits/{limit}"), Some(&policy)).status,
                201
            );
        }
    }
    let first = as_one(&other, "GET", "/v1/limits?limit=1", None).json();
    let next = format!("/v1/limits?limit=1&cursor={}", first["cursor"].as_str().unwrap());
    assert_eq!(as_one(&other, "GET", &next, None).json()["items"][0]["limit"], "b");
    assert_eq!(as_one(&admin, "GET", &next, None).code(), "invalid_request");
}

#[test]
fn mistakes_are_named() {
    let server = TestServer::open();
    put(&server, "logins", &window(1));
    let mut scoped = window(1);
    scoped["scoped"] = true.into();
    put(&server, "calls", &scoped);
    put(
        &server,
        "slots",
        &json!({ "algorithm": "concurrency", "quantity": 1, "period_ms": 60000 }),
    );
    let long = "k".repeat(513);
    let many: Vec<Value> = (0..33).map(|_| json!({ "limit": "logins", "key": "a" })).collect();
    let at = "2026-01-01T00:00:00.000Z";
    let one = json!([{ "limit": "logins", "key": "a" }]);
    let cases = [
        (CHECK, json!({}), 400, "missing field `checks`"),
        (CHECK, json!({ "checks": [] }), 400, "checks must be 1 to 32"),
        (CHECK, json!({ "checks": many }), 400, "checks must be 1 to 32"),
        (CHECK, json!({ "checks": one, "peak": true }), 400, "did you mean \"peek\"?"),
        (CHECK, json!({ "checks": [{ "limit": "logins" }] }), 400, "missing field `key`"),
        (
            CHECK,
            json!({ "checks": [{ "limit": "logins", "key": "a", "csot": 1 }] }),
            400,
            "\"cost\"",
        ),
        (CHECK, json!({ "checks": [{ "limit": "logins", "key": "a", "cost": -1 }] }), 400, "`-1`"),
        (CHECK, json!({ "checks": [{ "limit": "logins", "key": 1 }] }), 400, "expected a string"),
        (CHECK, json!({ "checks": [{ "limit": "logins", "key": long }] }), 400, "512 bytes"),
        (CHECK, json!({ "checks": [{ "limit": "a b", "key": "a" }] }), 400, "limit must be"),
        (CHECK, json!({ "checks": [{ "limit": "calls", "key": "a" }] }), 400, "carry a scope"),
        (
            CHECK,
            json!({ "checks": [{ "limit": "calls", "key": "a", "scope": "/" }] }),
            400,
            "scope must",
        ),
        (
            CHECK,
            json!({ "checks": [{ "limit": "logins", "key": "a", "scope": "s" }] }),
            400,
            "not carry",
        ),
        (
            CHECK,
            json!({ "checks": [{ "limit": "lgoins", "key": "a" }] }),
            404,
            "there is no limit \"lgoins\"; did you mean \"logins\"?",
        ),
        (CHECK, json!({ "checks": [{ "limit": "xyz", "key": "a" }] }), 404, "no limit \"xyz\""),
        ("/v1/limits/refund", json!({ "checks": one, "counted_at": at }), 400, "Idempotency-Key"),
        ("/v1/limits/refund", json!({ "checks": one }), 400, "missing field `counted_at`"),
        (
            "/v1/limits/refund",
            json!({ "checks": one, "counted_at": "now" }),
            400,
            "counted_at must",
        ),
        (
            "/v1/limits/reset",
            json!({ "checks": [{ "limit": "slots", "key": "a" }] }),
            409,
            "releasing",
        ),
        ("/v1/limits/release", json!({ "lease": "1.2.3" }), 400, "lease must be"),
        ("/v1/limits/release", json!({}), 400, "missing field `lease`"),
        ("/v1/limits/renew", json!({ "lease": no_lease(), "ttl_ms": 0 }), 400, "ttl_ms must be"),
        ("/v1/limits/renew", json!({ "lease": no_lease(), "ttl_ms": 1 }), 409, "not taken"),
        ("/v1/limits/release", json!({ "lease": no_lease() }), 409, "not taken"),
    ];
    for (path, body, status, said) in cases {
        let answer = server.post(path, &body.to_string());
        let codes: &[&str] = match status {
            400 => &["invalid_request"],
            404 => &["not_found"],
            _ => &["wrong_algorithm", "no_lease"],
        };
        assert!(codes.contains(&answer.code().as_str()), "{path} {body}: {}", answer.code());
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert_eq!(answer.status, status, "{path} {body}: {detail}");
        assert!(detail.contains(said), "{path} {body}: {detail}");
    }
    let second = json!([{ "limit": "logins", "key": "a" }, { "limit": "x", "key": "a" }]);
    assert_eq!(ask(&server, second).json()["check"], 1, "which of them");
    assert_eq!(remaining(&server, "logins", "a"), 1, "none of all that counted");
}

/// A lease that nobody has, of a partition that is not there.
fn no_lease() -> String {
    format!("65535.{}.{}", "0".repeat(32), "0".repeat(16))
}

#[test]
fn a_policy_that_is_not_legal_is_told_why() {
    let server = TestServer::open();
    let whole = json!({ "algorithm": "gcra", "quantity": 100, "period_ms": 60000, "burst": 20 });
    let cases = [
        ("algorithm", json!("fixed_window"), 400, "invalid_request"),
        ("quantity", json!(0), 400, "invalid_policy"),
        ("quantity", json!(-1), 400, "invalid_request"),
        ("quantity", json!(1.5), 400, "invalid_request"),
        ("period_ms", json!(0), 400, "invalid_policy"),
        ("burst", json!(1_000_000_001_u64), 400, "invalid_policy"),
        ("on_unavailable", json!("maybe"), 400, "invalid_request"),
        ("period_s", json!(60), 400, "invalid_request"),
        ("shadow", json!(1), 400, "invalid_request"),
    ];
    for (field, value, status, code) in cases {
        let mut policy = whole.clone();
        policy[field] = value;
        let answer = server.put("/v1/limits/l", &policy.to_string());
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{policy}");
    }
    assert_eq!(server.get("/v1/limits/l").code(), "not_found");
    put(&server, "l", &whole);
    let mut other = whole.clone();
    other["scoped"] = true.into();
    let fixed = server.put("/v1/limits/l", &other.to_string());
    assert_eq!((fixed.code().as_str(), &fixed.json()["field"]), ("limit_fixed", &"scoped".into()));
}

#[test]
fn a_policy_that_changes_loses_nothing() {
    let server = TestServer::open();
    put(&server, "calls", &window(10));
    let check = |cost: u64| ask(&server, json!([{ "limit": "calls", "key": "a", "cost": cost }]));
    assert_eq!(check(4).json()["allowed"], true);
    put(&server, "calls", &window(6));
    let narrower = check(1).json();
    assert_eq!(
        (&narrower["allowed"], &narrower["results"][0]["remaining"]),
        (&true.into(), &1.into())
    );
    assert_eq!(check(2).json()["allowed"], false);
    put(&server, "calls", &window(100));
    assert_eq!(check(1).json()["results"][0]["remaining"], 94);
}

#[test]
fn slots_are_taken_renewed_and_given_back_once() {
    let server = TestServer::open();
    let policy = json!({ "algorithm": "concurrency", "quantity": 2, "period_ms": 3_600_000 });
    put(&server, "jobs", &policy);
    let take = || ask(&server, json!([{ "limit": "jobs", "key": "q" }])).json();
    let lease = take()["results"][0]["lease"].as_str().unwrap().to_owned();
    assert_eq!(take()["allowed"], true);
    let full = take();
    assert_eq!((&full["allowed"], &full["results"][0]["lease"]), (&false.into(), &Value::Null));
    let renew = json!({ "lease": lease, "ttl_ms": 7_200_000 }).to_string();
    let renewed = server.post("/v1/limits/renew", &renew);
    assert_eq!(renewed.status, 200, "{}", renewed.body);
    let ends: jiff::Timestamp = renewed.json()["expires_at"].as_str().unwrap().parse().unwrap();
    let soonest = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(3_601);
    assert!(ends > soonest, "longer than it was taken for: {ends}");
    let release = json!({ "lease": lease }).to_string();
    let released = server.post("/v1/limits/release", &release);
    assert_eq!(released.json(), json!({ "lease": lease, "released": true }));
    assert_eq!(remaining(&server, "jobs", "q"), 1);
    assert_eq!(server.post("/v1/limits/release", &release).code(), "no_lease", "once");
    assert_eq!(server.post("/v1/limits/renew", &renew).code(), "no_lease");
    assert_eq!(remaining(&server, "jobs", "q"), 1, "and no slot came of that");
}

#[test]
fn a_refund_is_given_once_a_key() {
    let server = TestServer::open();
    put(&server, "calls", &window(10));
    let keys = [key_in(0, "calls"), key_in(1, "calls")];
    let checks: Vec<Value> =
        keys.iter().map(|key| json!({ "limit": "calls", "key": key, "cost": 3 })).collect();
    let counted = ask(&server, json!(checks)).json();
    ask(&server, json!(checks));
    let refund = |idempotency_key: &str| {
        let body = json!({ "checks": checks, "counted_at": counted["counted_at"] }).to_string();
        let headers = [("Idempotency-Key", idempotency_key)];
        server.send("POST", "/v1/limits/refund", &headers, Some(&body))
    };
    for (key, left, replayed) in [("one", 7, None), ("one", 7, Some("true")), ("two", 10, None)] {
        let refunded = refund(key);
        assert_eq!(refunded.status, 200, "{}", refunded.body);
        assert_eq!(refunded.header("idempotent-replayed"), replayed);
        assert_eq!(refunded.json()["results"][1]["remaining"], left);
        assert_eq!(keys.each_ref().map(|key| remaining(&server, "calls", key)), [left, left]);
    }
    let reset = json!({ "checks": [{ "limit": "calls", "key": keys[0] }] }).to_string();
    ask(&server, json!(checks));
    let full = server.post("/v1/limits/reset", &reset);
    assert_eq!(full.json()["results"][0]["remaining"], 10);
    assert_eq!(remaining(&server, "calls", &keys[0]), 10);
    assert_eq!(remaining(&server, "calls", &keys[1]), 7);
}

/// Another order, or some of what was given back, is no new request in its partition.
#[test]
fn a_refund_under_a_key_is_one_in_its_partition() {
    let server = &TestServer::open();
    let [a, b] = ["first", "second"].map(|limit| {
        put(server, limit, &window(10));
        json!({ "limit": limit, "key": key_in(3, limit), "cost": 3 })
    });
    let counted = ask(server, json!([a, b])).json();
    ask(server, json!([a, b]));
    let refund = |checks: Value| {
        let body = json!({ "checks": checks, "counted_at": counted["counted_at"] }).to_string();
        server.send("POST", "/v1/limits/refund", &[("Idempotency-Key", "order")], Some(&body))
    };
    assert_eq!(refund(json!([a, b])).json()["results"][1]["remaining"], 7);
    for again in [json!([b, a]), json!([b]), json!([a])] {
        assert_eq!(refund(again).code(), "idempotency_conflict");
    }
    let left = ["first", "second"].map(|limit| remaining(server, limit, &key_in(3, limit)));
    assert_eq!(left, [7, 7]);
}

#[test]
fn a_check_under_a_key_is_counted_once() {
    let server = TestServer::open();
    put(&server, "calls", &window(10));
    let keyed = |body: Value| {
        let headers = [("Idempotency-Key", "request-1")];
        server.send("POST", CHECK, &headers, Some(&json!({ "checks": body }).to_string()))
    };
    let one = json!([{ "limit": "calls", "key": "a", "cost": 4 }]);
    let first = keyed(one.clone());
    put(&server, "calls", &window(20));
    let again = keyed(one);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.json()["results"], first.json()["results"]);
    assert_eq!(again.json()["counted_at"], Value::Null, "a replay does not know it");
    assert_eq!(remaining(&server, "calls", "a"), 16);
    let two = json!([
        { "limit": "calls", "key": key_in(0, "calls") },
        { "limit": "calls", "key": key_in(1, "calls") },
    ]);
    let across = keyed(two);
    assert_eq!(across.code(), "invalid_request", "no partition remembers for another");
    assert_eq!(remaining(&server, "calls", &key_in(0, "calls")), 20);
}

/// A repeat would be answered with a slot that may have ended, or be another's.
#[test]
fn slots_take_no_key() {
    let server = TestServer::open();
    let policy = json!({ "algorithm": "concurrency", "quantity": 1, "period_ms": 3_600_000 });
    put(&server, "jobs", &policy);
    put(&server, "calls", &window(10));
    let headers = [("Idempotency-Key", "request-1")];
    let slot = json!({ "limit": "jobs", "key": "q" });
    for checks in [json!([slot]), json!([{ "limit": "calls", "key": "a" }, slot])] {
        let body = json!({ "checks": checks }).to_string();
        let refused = server.send("POST", CHECK, &headers, Some(&body));
        assert_eq!(refused.code(), "invalid_request");
        assert!(refused.body.contains("concurrency"), "{}", refused.body);
    }
    assert_eq!(remaining(&server, "jobs", "q"), 1);
}

/// What only watches does not count what does not fit: a look at several sees that too.
#[test]
fn a_peek_of_several_is_what_a_check_is_answered() {
    let server = TestServer::open();
    let mut policy = window(5);
    policy["shadow"] = true.into();
    put(&server, "calls", &policy);
    let checks = json!([
        { "limit": "calls", "key": "a", "cost": 6 },
        { "limit": "calls", "key": "a", "cost": 1 },
    ]);
    for peek in [true, false] {
        let body = json!({ "checks": checks, "peek": peek }).to_string();
        let answer = server.post(CHECK, &body).json();
        let refused = [0, 1].map(|check| answer["results"][check]["shadow_refused"].clone());
        assert_eq!(refused, [true.into(), Value::Null], "{answer}");
    }
}

#[test]
fn a_peek_counts_nothing_and_appends_nothing() {
    let server = TestServer::open();
    put(&server, "calls", &window(3));
    let key = key_in(2, "calls");
    let counted = ask(&server, json!([{ "limit": "calls", "key": key }]));
    let item = json!({ "limit": "calls", "key": key, "cost": 1 });
    let peek = |checks: Value| {
        let answer = server.post(CHECK, &json!({ "checks": checks, "peek": true }).to_string());
        assert_eq!(as_of(&answer), as_of(&counted), "no record");
        answer.json()
    };
    let fits = peek(json!([item, item]));
    assert_eq!((&fits["allowed"], &fits["counted_at"]), (&true.into(), &Value::Null));
    assert_eq!(fits["results"][1]["remaining"], 2);
    let too_many = peek(json!([item, item, item]));
    let each = too_many["results"].as_array().unwrap().iter();
    let each: Vec<bool> = each.map(|result| result["allowed"].as_bool().unwrap()).collect();
    assert_eq!(each, [true, true, false], "checks of one key add up");
    let path = format!("/v1/limits/calls/peek?key={key}&cost=3");
    let read = server.get(&path);
    assert_eq!((&read.json()["allowed"], as_of(&read)), (&false.into(), as_of(&counted)));
    assert_eq!(server.get("/v1/limits/calls/peek").code(), "invalid_request");
    assert_eq!(server.get("/v1/limits/calls/peek?key=a&cost=x").code(), "invalid_request");
    assert_eq!(server.get("/v1/limits/cals/peek?key=a").code(), "not_found");
}

#[test]
fn a_limit_that_watches_refuses_nobody() {
    let server = TestServer::open();
    let mut watching = window(1);
    watching["shadow"] = true.into();
    put(&server, "calls", &watching);
    let check = || ask(&server, json!([{ "limit": "calls", "key": "a" }])).json();
    assert_eq!(check()["results"][0]["shadow_refused"], Value::Null);
    let over = check();
    assert_eq!(
        (&over["allowed"], &over["results"][0]["shadow_refused"]),
        (&true.into(), &true.into())
    );
    assert_eq!(over["counted_at"], Value::Null, "it was let through, and not counted");
}

#[test]
fn headers_say_what_is_left() {
    let server = TestServer::open();
    put(
        &server,
        "calls",
        &json!({ "algorithm": "gcra", "quantity": 2, "period_ms": 119_500, "burst": 1 }),
    );
    put(
        &server,
        "jobs",
        &json!({ "algorithm": "concurrency", "quantity": 5, "period_ms": 60_000 }),
    );
    let both = json!({
        "checks": [{ "limit": "calls", "key": "a", "cost": 2 }, { "limit": "jobs", "key": "a" }],
        "legacy_headers": true,
    });
    let first = server.post(CHECK, &both.to_string());
    assert_eq!(first.json()["allowed"], true, "{}", first.body);
    assert_eq!(
        first.header("ratelimit-policy"),
        Some("\"calls\";q=2;w=120, \"jobs\";q=5;qu=\"concurrent-requests\"")
    );
    assert_eq!(first.header("ratelimit"), Some("\"calls\";r=0;t=120, \"jobs\";r=4;t=60"));
    assert_eq!(first.header("retry-after"), None);
    let legacy = ["limit", "remaining", "reset"];
    let legacy = |answer: &Answer| {
        legacy.map(|name| answer.header(&format!("x-ratelimit-{name}")).map(str::to_owned))
    };
    assert_eq!(legacy(&first), ["2", "0", "120"].map(|value| Some(value.to_owned())));
    let one = json!([{ "limit": "calls", "key": "a" }]);
    let refused = ask(&server, one);
    let after: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&after), "{after}");
    assert_eq!(refused.header("ratelimit"), Some(format!("\"calls\";r=0;t={after}").as_str()));
    assert_eq!(
        after,
        refused.json()["results"][0]["retry_after_ms"].as_u64().unwrap().div_ceil(1_000)
    );
    assert_eq!(legacy(&refused), [None, None, None], "only on request");
    let never = ask(&server, json!([{ "limit": "calls", "key": "b", "cost": 3 }]));
    assert_eq!(
        (never.json()["allowed"].clone(), never.header("retry-after")),
        (false.into(), None)
    );
}

#[test]
fn what_does_not_fit_is_counted_as_such() {
    let server = TestServer::open();
    put(&server, "calls", &window(1));
    for _ in 0..3 {
        ask(&server, json!([{ "limit": "calls", "key": "a" }]));
    }
    let check = server.get("/v1/contracts/limits.check").json();
    assert_eq!(check["delivered"]["outcomes"], json!({ "ok": 1, "limited": 2 }));
    assert_eq!(check["delivered"]["appends"], 1);
}

#[test]
fn who_may_read_may_not_write() {
    let server = TestServer::start(ServerOptions::new(Auth::Keys));
    let admin = server.admin_key();
    let send = |key: &str, method: &str, path: &str, body: Option<&str>| {
        let bearer = format!("Bearer {key}");
        server.send(method, path, &[("Authorization", &bearer), ("Idempotency-Key", "k")], body)
    };
    let make = |scope: &str| {
        let body = format!("{{\"scopes\":[\"{scope}\"],\"label\":\"{scope}\"}}");
        let bearer = format!("Bearer {admin}");
        let made = server.send("POST", "/v1/keys", &[("Authorization", &bearer)], Some(&body));
        assert_eq!(made.status, 201, "{}", made.body);
        made.json()["key"].as_str().unwrap().to_owned()
    };
    let (reader, writer, other) =
        (make("limits:read"), make("limits:write"), make("reservations:write"));
    let policy = window(9).to_string();
    let check = "{\"checks\":[{\"limit\":\"l\",\"key\":\"a\"}]}";
    let refund = format!("{},\"counted_at\":\"2026-01-01T00:00:00Z\"}}", &check[..check.len() - 1]);
    let release = json!({ "lease": no_lease() }).to_string();
    let renew = json!({ "lease": no_lease(), "ttl_ms": 1 }).to_string();
    let tries = [
        ("PUT", "/v1/limits/l", Some(policy.as_str()), [403, 201, 403]),
        ("GET", "/v1/limits/l", None, [200, 403, 403]),
        ("GET", "/v1/limits", None, [200, 403, 403]),
        ("GET", "/v1/limits/l/peek?key=a", None, [200, 403, 403]),
        ("POST", CHECK, Some(check), [403, 200, 403]),
        ("POST", "/v1/limits/refund", Some(refund.as_str()), [403, 200, 403]),
        ("POST", "/v1/limits/reset", Some(check), [403, 200, 403]),
        ("POST", "/v1/limits/release", Some(release.as_str()), [403, 409, 403]),
        ("POST", "/v1/limits/renew", Some(renew.as_str()), [403, 409, 403]),
        ("DELETE", "/v1/limits/l", None, [403, 204, 403]),
    ];
    for (method, path, body, expected) in tries {
        // Whoever may write goes before those who may read what they wrote.
        let written = send(&writer, method, path, body).status;
        let (read, foreign) =
            (send(&reader, method, path, body).status, send(&other, method, path, body).status);
        assert_eq!([read, written, foreign], expected, "{method} {path}");
    }
    let refused = send(&reader, "POST", CHECK, Some(check));
    assert_eq!(refused.json()["scope"], "limits:write");
}
