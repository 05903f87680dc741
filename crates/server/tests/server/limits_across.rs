//! Checks that several partitions count, or one that is not served.

use crate::{
    harness::{Answer, TestServer},
    limits::{LONG_MS, as_of, ask, key_in, put, remaining, window},
};
use evenkeel_log::{HEADER_BYTES, PartitionId, RealFiles};
use evenkeel_server::{Auth, ServerOptions};
use serde_json::{Value, json};
use std::{
    fs::{self, OpenOptions},
    io::{Seek, SeekFrom, Write},
    ops::ControlFlow,
    path::Path,
    thread,
};

#[test]
fn checks_of_two_partitions_are_counted_all_or_none() {
    let server = TestServer::open();
    put(&server, "wide", &window(5));
    put(&server, "narrow", &window(1));
    let (wide, narrow) = (key_in(1, "wide"), key_in(2, "narrow"));
    let both = json!([
        { "limit": "wide", "key": wide, "cost": 2 },
        { "limit": "narrow", "key": narrow },
    ]);
    let first = ask(&server, both.clone());
    assert_eq!(first.json()["allowed"], true, "{}", first.body);
    let before = as_of(&first);
    assert_eq!(before.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    let refused = ask(&server, both);
    let body = refused.json();
    assert_eq!(body["allowed"], false);
    let each: Vec<&Value> =
        body["results"].as_array().unwrap().iter().map(|result| &result["allowed"]).collect();
    assert_eq!(each, [true, false], "each says its own");
    assert_eq!(body["results"][0]["remaining"], 3, "as it is once that was given back");
    let after = as_of(&refused);
    assert_eq!(after[0].1, before[0].1 + 2, "it was counted, and given back");
    assert_eq!(after[1].1, before[1].1, "the other never was");
    assert_eq!(remaining(&server, "wide", &wide), 3);
    assert_eq!(remaining(&server, "narrow", &narrow), 0);
}

/// Of what a partition refuses nothing was counted, so nothing of it is given back.
#[test]
fn what_was_not_counted_is_not_given_back() {
    let server = TestServer::open();
    put(&server, "wide", &window(5));
    put(&server, "narrow", &window(1));
    let item = |limit: &str, number: u16| json!({ "limit": limit, "key": key_in(number, limit) });
    let (wide, narrow, elsewhere) = (item("wide", 1), item("narrow", 1), item("wide", 2));
    assert_eq!(ask(&server, json!([wide, narrow])).json()["allowed"], true);
    let refused = ask(&server, json!([wide, narrow, elsewhere])).json();
    assert_eq!(refused["allowed"], false);
    let left = [1, 2].map(|number| remaining(&server, "wide", &key_in(number, "wide")));
    assert_eq!(left, [4, 5]);
}

#[test]
fn no_limit_admits_more_than_it_says_whoever_asks_at_once() {
    let server = TestServer::open();
    put(&server, "wide", &window(60));
    put(&server, "narrow", &window(25));
    let (wide, narrow) = (key_in(0, "wide"), key_in(3, "narrow"));
    let both = json!([{ "limit": "wide", "key": wide }, { "limit": "narrow", "key": narrow }]);
    let admitted: usize = thread::scope(|scope| {
        let asking: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let answers = (0..10).map(|_| ask(&server, both.clone()).json());
                    answers.filter(|answer| answer["allowed"] == true).count()
                })
            })
            .collect();
        asking.into_iter().map(|asked| asked.join().unwrap()).sum()
    });
    assert!((1..=25).contains(&admitted), "{admitted}");
    let (wide, narrow) = (remaining(&server, "wide", &wide), remaining(&server, "narrow", &narrow));
    assert_eq!(
        (wide, narrow),
        (60 - admitted as u64, 25 - admitted as u64),
        "nothing is left over"
    );
}

#[test]
fn the_limits_of_a_scope_are_one_append() {
    let server = TestServer::open();
    for limit in ["user", "tenant", "everybody"] {
        let mut policy = window(2);
        policy["scoped"] = true.into();
        put(&server, limit, &policy);
    }
    let all = json!([
        { "limit": "user", "scope": "acme", "key": "ada" },
        { "limit": "tenant", "scope": "acme", "key": "" },
        { "limit": "everybody", "scope": "acme", "key": "*" },
    ]);
    let first = ask(&server, all.clone());
    assert_eq!(first.json()["allowed"], true, "{}", first.body);
    let second = ask(&server, all.clone());
    assert_eq!(second.json()["allowed"], true);
    let (first, second) = (as_of(&first), as_of(&second));
    assert_eq!((first.len(), second.len()), (1, 1), "one partition");
    assert_eq!(second[0].1, first[0].1 + 1, "one append");
    let refused = ask(&server, all);
    assert_eq!(refused.json()["allowed"], false);
    assert_eq!(as_of(&refused), second, "and none for a no");
}

#[test]
fn a_slot_of_a_call_that_is_refused_elsewhere_is_free_again() {
    let server = TestServer::open();
    put(
        &server,
        "jobs",
        &json!({ "algorithm": "concurrency", "quantity": 1, "period_ms": LONG_MS }),
    );
    put(&server, "narrow", &window(1));
    let (jobs, narrow) = (key_in(1, "jobs"), key_in(2, "narrow"));
    assert_eq!(ask(&server, json!([{ "limit": "narrow", "key": narrow }])).json()["allowed"], true);
    let both = json!([{ "limit": "jobs", "key": jobs }, { "limit": "narrow", "key": narrow }]);
    let refused = ask(&server, both).json();
    assert_eq!(
        (&refused["allowed"], &refused["results"][0]["lease"]),
        (&false.into(), &Value::Null)
    );
    assert_eq!(refused["results"][0]["remaining"], 1, "and is shown as free");
    assert_eq!(remaining(&server, "jobs", &jobs), 1);
}

/// Flips a bit in the newest record of `partition` that lies before another of its.
fn damage(log: &Path, partition: PartitionId) {
    let mut places = Vec::new();
    let files = RealFiles::open(log).unwrap();
    evenkeel_log::inspect(&files, |placed| {
        if placed.record.header().partition == partition && !placed.record.body().is_empty() {
            places.push((placed.segment.to_owned(), placed.position + HEADER_BYTES as u64 + 3));
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    let (segment, position) = &places[places.len() - 2];
    let path = log.join(segment);
    let byte = fs::read(&path).unwrap()[usize::try_from(*position).unwrap()];
    let mut file = OpenOptions::new().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(*position)).unwrap();
    file.write_all(&[byte ^ 1]).unwrap();
}

#[test]
fn where_nobody_counts_the_limit_says_what_is_answered() {
    let server = TestServer::open();
    for (limit, on_unavailable) in [("open", "allow"), ("shut", "deny")] {
        let mut policy = window(1_000);
        policy["on_unavailable"] = on_unavailable.into();
        put(&server, limit, &policy);
    }
    let (open, shut, live) = (key_in(1, "open"), key_in(1, "shut"), key_in(2, "shut"));
    for _ in 0..5 {
        ask(&server, json!([{ "limit": "open", "key": open }]));
        ask(&server, json!([{ "limit": "shut", "key": live }]));
    }
    let data = server.stop();
    damage(&data.path().join("data/log"), PartitionId(1));
    let server = TestServer::start_on(data, ServerOptions::new(Auth::Open));
    let degraded = |answer: &Answer, allowed: bool| {
        assert_eq!(answer.status, 200, "{}", answer.body);
        let body = answer.json();
        assert_eq!((&body["allowed"], &body["degraded"]), (&allowed.into(), &true.into()));
        body
    };
    let allowed = ask(&server, json!([{ "limit": "open", "key": open }]));
    assert_eq!(degraded(&allowed, true)["counted_at"], Value::Null);
    assert_eq!((allowed.header("ratelimit"), allowed.header("evenkeel-as-of")), (None, None));
    let denied = ask(&server, json!([{ "limit": "shut", "key": shut }]));
    degraded(&denied, false);
    assert_eq!(denied.header("retry-after"), Some("1"));
    let peeked = server.get(&format!("/v1/limits/shut/peek?key={shut}"));
    degraded(&peeked, false);
    let before = remaining(&server, "shut", &live);
    let with = |limit: &str, key: &str| {
        ask(&server, json!([{ "limit": "shut", "key": live }, { "limit": limit, "key": key }]))
    };
    let body = degraded(&with("open", &open), true);
    assert_eq!(body["counted_at"], Value::Null, "not all of it was counted: none is refunded");
    assert_eq!(
        (&body["results"][0]["degraded"], &body["results"][1]["degraded"]),
        (&Value::Null, &true.into())
    );
    assert_eq!(remaining(&server, "shut", &live), before - 1, "the living one counted");
    degraded(&with("shut", &shut), false);
    assert_eq!(remaining(&server, "shut", &live), before - 1, "and gave back what was in vain");
    let outcomes = server.get("/v1/contracts/limits.check").json()["delivered"]["outcomes"].clone();
    assert_eq!(outcomes, json!({ "unavailable": 4 }), "and it spends the error budget");
}

/// What nobody has read is not what is not there.
#[test]
fn without_meta_nothing_is_said_of_limits_and_keys() {
    let server = TestServer::open();
    for limit in ["a", "b", "c"] {
        put(&server, limit, &window(5));
    }
    let data = server.stop();
    damage(&data.path().join("data/log"), PartitionId::META);
    let server = TestServer::start_on(data, ServerOptions::new(Auth::Open));
    assert_eq!(ask(&server, json!([{ "limit": "a", "key": "k" }])).code(), "unavailable");
    for path in ["/v1/limits", "/v1/limits/a", "/v1/limits/a/peek?key=k", "/v1/keys"] {
        assert_eq!(server.get(path).code(), "unavailable", "{path}");
    }
    assert_eq!(server.get("/v1/contracts").status, 200, "what it does without, it can say");
}

#[test]
fn what_is_read_of_meta_is_of_the_log_that_the_caller_has_seen() {
    let server = TestServer::open();
    put(&server, "a", &window(5));
    let seen = server.get("/v1/limits/a");
    let token = seen.header("evenkeel-session").unwrap().to_owned();
    let (place, _) = token.rsplit_once('.').unwrap();
    let made_up = format!("{place}.999999");
    for path in ["/v1/limits", "/v1/limits/a", "/v1/keys", "/v1/contracts"] {
        let with = |token: &str| server.send("GET", path, &[("Evenkeel-Session", token)], None);
        assert_eq!(with(&token).status, 200, "{path}");
        assert_eq!(with(&made_up).code(), "session_reset", "{path}");
    }
}
