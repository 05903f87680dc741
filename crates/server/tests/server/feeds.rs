//! What a product does with feeds.

use crate::{
    chat::refusal,
    harness::{Answer, TestServer, request},
};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};

/// What waits until all that happened before is in it.
const NOW: [(&str, &str); 1] = [("Evenkeel-Consistency", "session")];

/// Asks for something of a feed, as `PUT bob/follows/ada`.
fn ask(server: &TestServer, what: &str, body: &Value) -> Answer {
    let (method, path) = what.split_once(' ').unwrap();
    let body = (!body.is_null()).then(|| body.to_string());
    server.send(method, &format!("/v1/feeds/{path}"), &NOW, body.as_deref())
}

#[track_caller]
fn ok(server: &TestServer, what: &str) -> Value {
    let answer = ask(server, what, &Value::Null);
    assert_eq!(answer.status, 200, "{what}: {}", answer.body);
    answer.json()
}

/// Has a user post something; its number.
#[track_caller]
fn post(server: &TestServer, user: &str, client_id: &str) -> u64 {
    let body = json!({ "client_id": client_id, "body": { "text": client_id } });
    let posted = ask(server, &format!("POST {user}/posts"), &body);
    assert_eq!(posted.status, 201, "{}", posted.body);
    posted.json()["post"].as_u64().unwrap()
}

/// Author and client id of what is in a timeline, page by page.
fn timeline(server: &TestServer, user: &str, limit: usize) -> Vec<(String, String)> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = ok(server, &format!("GET {user}/timeline?limit={limit}{cursor}"));
        for item in page["items"].as_array().unwrap() {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            all.push((text(&item["author"]), text(&item["body"]["text"])));
        }
        let Some(next) = page["cursor"].as_str() else { return all };
        cursor = format!("&cursor={next}");
    }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(author, text)| ((*author).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn who_follows_sees_what_was_and_is_posted() {
    let server = TestServer::open();
    post(&server, "ada", "a1");
    post(&server, "eve", "e1");
    assert_eq!(ok(&server, "PUT bob/follows/ada"), json!({ "changed": true }));
    assert_eq!(ok(&server, "PUT bob/follows/ada"), json!({ "changed": false }));
    ok(&server, "PUT bob/follows/eve");
    post(&server, "bob", "b1");
    post(&server, "ada", "a2");
    let all = pairs(&[("ada", "a2"), ("bob", "b1"), ("eve", "e1"), ("ada", "a1")]);
    for limit in [1, 2, 3, 100] {
        assert_eq!(timeline(&server, "bob", limit), all, "{limit} a page");
    }
    ok(&server, "PUT bob/mutes/ada");
    assert_eq!(timeline(&server, "bob", 9), pairs(&[("bob", "b1"), ("eve", "e1")]));
    ok(&server, "DELETE bob/mutes/ada");
    ok(&server, "DELETE bob/follows/eve");
    assert_eq!(timeline(&server, "bob", 9), pairs(&[("ada", "a2"), ("bob", "b1"), ("ada", "a1")]));
    let user = json!({ "user": "bob", "posts": 1, "followers": 0, "following": 1 });
    assert_eq!(ok(&server, "GET bob"), user);
    assert_eq!(ok(&server, "GET ada")["followers"], 1);
    let followers = ok(&server, "GET ada/followers");
    assert_eq!(followers["items"][0]["user"], "bob");
    assert!(followers["items"][0]["since"].is_string() && followers["cursor"].is_null());
}

#[test]
fn a_post_is_posted_once_and_taken_back_for_good() {
    let server = TestServer::open();
    let body = json!({ "client_id": "p", "body": [1, 2] });
    let first = ask(&server, "POST ada/posts", &body);
    let again = ask(&server, "POST ada/posts", &body);
    assert_eq!((first.status, again.status), (201, 200));
    assert_eq!(first.json()["post"], again.json()["post"]);
    assert_eq!(
        (&first.json()["duplicate"], &again.json()["duplicate"]),
        (&json!(false), &json!(true))
    );
    let other = ask(&server, "POST ada/posts", &json!({ "client_id": "p", "body": 1 }));
    assert_eq!(refusal(&other), (422, "idempotency_conflict".to_owned()));
    assert_eq!(other.json()["post"], first.json()["post"]);
    let number = first.json()["post"].as_u64().unwrap();
    ok(&server, "PUT bob/follows/ada");
    ok(&server, &format!("PUT ada/posts/{number}/reactions/heart/bob"));
    let read = ok(&server, &format!("GET ada/posts/{number}"));
    assert_eq!((&read["body"], &read["reactions"]), (&json!([1, 2]), &json!({ "heart": 1 })));
    let who = ok(&server, &format!("GET ada/posts/{number}/reactions"));
    assert_eq!(who["items"], json!([{ "kind": "heart", "user": "bob" }]));
    assert_eq!(ok(&server, &format!("DELETE ada/posts/{number}")), json!({ "changed": true }));
    assert_eq!(ok(&server, &format!("DELETE ada/posts/{number}")), json!({ "changed": false }));
    for gone in [format!("GET ada/posts/{number}"), format!("GET ada/posts/{number}/reactions")] {
        assert_eq!(refusal(&ask(&server, &gone, &Value::Null)), (404, "not_found".to_owned()));
    }
    assert_eq!(ok(&server, "GET ada/posts")["items"], json!([]));
    assert_eq!(timeline(&server, "bob", 9), []);
    let late = ask(&server, "POST ada/posts", &body);
    assert_eq!((late.status, &late.json()["post"]), (200, &json!(number)), "it stays taken back");
}

/// Hundreds of posts and followers, read both ways and to the end.
#[test]
fn lists_go_both_ways_to_their_end() {
    let server = TestServer::open();
    let names: Vec<String> = (0..25).map(|n| format!("u{n:02}")).collect();
    for name in &names {
        ok(&server, &format!("PUT {name}/follows/ada"));
        ok(&server, &format!("PUT ada/blocks/x{name}"));
    }
    for (list, prefix) in [("followers", ""), ("blocks", "x")] {
        for order in ["asc", "desc"] {
            let (mut seen, mut cursor) = (Vec::new(), String::new());
            loop {
                let path = format!("GET ada/{list}?limit=7&order={order}{cursor}");
                let page = ok(&server, &path);
                let items = page["items"].as_array().unwrap();
                seen.extend(items.iter().map(|item| item["user"].as_str().unwrap().to_owned()));
                let Some(next) = page["cursor"].as_str() else { break };
                cursor = format!("&cursor={next}");
            }
            let mut expected: Vec<_> = names.iter().map(|name| format!("{prefix}{name}")).collect();
            if order == "desc" {
                expected.reverse();
            }
            assert_eq!(seen, expected, "{list} {order}");
        }
    }
}

#[test]
fn what_cannot_be_is_refused_and_says_why() {
    let server = TestServer::open();
    let number = post(&server, "ada", "1");
    ok(&server, "PUT ada/blocks/eve");
    let large = json!({ "client_id": "l", "body": "x".repeat(32 * 1_024) });
    for (what, body, status, code) in [
        ("PUT ada/follows/ada", Value::Null, 409, "oneself"),
        ("PUT ada/mutes/ada", Value::Null, 409, "oneself"),
        ("PUT ada/follows/eve", Value::Null, 403, "blocked"),
        ("PUT eve/follows/ada", Value::Null, 403, "blocked"),
        (&format!("PUT ada/posts/{number}/reactions/x/eve"), Value::Null, 403, "blocked"),
        ("POST ada/posts", large, 400, "invalid_request"),
        ("POST ada/posts", json!({ "client_id": "", "body": 1 }), 400, "invalid_request"),
        ("POST ada/posts", json!({ "client_id": "1" }), 400, "invalid_request"),
        ("POST ada/posts", json!({ "client_id": "1", "body": 1, "x": 1 }), 400, "invalid_request"),
        ("POST ada/posts", Value::Null, 400, "invalid_request"),
        ("PUT bob/follows/a%20b", Value::Null, 400, "invalid_request"),
        ("PUT bob/follows/ada", json!({ "x": 1 }), 400, "invalid_request"),
        ("GET ada/posts/7", Value::Null, 404, "not_found"),
        ("GET ada/posts/007", Value::Null, 404, "not_found"),
        ("DELETE ada/posts/x", Value::Null, 404, "not_found"),
        ("GET ada/followers?order=up", Value::Null, 400, "invalid_request"),
        ("GET ada/timeline?cursor=zz", Value::Null, 400, "invalid_request"),
        ("GET ada/timeline?limit=0", Value::Null, 400, "invalid_request"),
        ("POST ada/follows/bob", Value::Null, 405, "method_not_allowed"),
    ] {
        assert_eq!(refusal(&ask(&server, what, &body)), (status, code.to_owned()), "{what} {body}");
    }
    assert_eq!(ok(&server, "GET nobody/timeline"), json!({ "items": [], "cursor": null }));
    // The cursor of one list is not one of another.
    post(&server, "ada", "2");
    let cursor = ok(&server, "GET ada/posts?limit=1")["cursor"].as_str().unwrap().to_owned();
    let other = ask(&server, &format!("GET ada/timeline?cursor={cursor}"), &Value::Null);
    assert_eq!(other.status, 400);
}

#[test]
fn a_timeline_says_how_late_it_may_be() {
    let server = TestServer::open();
    post(&server, "ada", "1");
    ok(&server, "PUT bob/follows/ada");
    let answer = server.get("/v1/feeds/bob/timeline");
    let late: u64 = answer.header("evenkeel-staleness-ms").unwrap().parse().unwrap();
    assert!(late <= 1_000, "{late}");
    assert!(answer.header("evenkeel-as-of").is_some());
}

#[test]
fn a_timeline_is_followed_from_any_position() {
    let server = TestServer::open();
    ok(&server, "PUT bob/follows/ada");
    let stream = |since: &str, count: usize| {
        let mut connection = server.connect();
        let path = format!("/v1/feeds/bob/timeline/stream{since}");
        connection.write_all(request("GET", &path, &[], None).as_bytes()).unwrap();
        let mut reader = BufReader::new(connection);
        assert_eq!(Answer::read(&mut reader).status, 200);
        let mut events = Vec::new();
        while events.len() < count {
            let mut line = String::new();
            assert_ne!(reader.read_line(&mut line).unwrap(), 0, "cut off");
            if let Some(data) = line.strip_prefix("data: ") {
                let event: Value = serde_json::from_str(data).unwrap();
                events.push(event);
            }
        }
        events
    };
    let first = post(&server, "ada", "1");
    post(&server, "eve", "nobodys");
    ok(&server, "GET bob/timeline");
    ok(&server, &format!("DELETE ada/posts/{first}"));
    post(&server, "ada", "2");
    post(&server, "bob", "3");
    ok(&server, "GET bob/timeline");
    let events = stream("?since=start", 3);
    let said = |events: &[Value]| {
        let mut said: Vec<_> = events
            .iter()
            .map(|event| {
                assert_eq!(event["entity"], "timeline:bob");
                let text = event["data"]["body"]["text"].as_str().unwrap_or("-").to_owned();
                (event["type"].as_str().unwrap().to_owned(), text)
            })
            .collect();
        said.sort();
        said
    };
    let expected = pairs(&[("feed.deleted", "-"), ("feed.posted", "2"), ("feed.posted", "3")]);
    assert_eq!(said(&events), expected);
    let position = events[0]["position"].as_str().unwrap();
    assert_eq!(stream(&format!("?since={position}"), 2), events[1..]);
}

/// A value of `/metrics`.
fn metric(server: &TestServer, name: &str) -> u64 {
    let page = server.get("/metrics").body;
    let line = page.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// What is kept is given again, and a write takes it away before the writer is answered.
#[test]
fn what_is_kept_is_never_older_than_ones_own_writes() {
    let server = TestServer::open();
    let texts = |answer: &Answer| -> Vec<String> {
        let items = answer.json()["items"].as_array().unwrap().clone();
        items.iter().map(|item| item["body"]["text"].as_str().unwrap().to_owned()).collect()
    };
    // Whatever was read before, and kept: `eventual` takes what is seconds old.
    let eventual = [("Evenkeel-Consistency", "eventual")];
    let mut expected = Vec::new();
    for nth in 0..50 {
        let name = format!("p{nth}");
        let read = || server.send("GET", "/v1/feeds/ada/timeline", &eventual, None);
        assert_eq!(texts(&read()), expected);
        post(&server, "ada", &name);
        expected.insert(0, name);
        assert_eq!(texts(&read()), expected, "at once, after {nth}");
    }
    assert!(metric(&server, "evenkeel_cache_reads_total{found=\"fresh\"}") > 0);
    assert!(metric(&server, "evenkeel_cache_dropped_total{why=\"written\"}") > 0);
}

#[test]
fn what_is_kept_honours_a_session_and_a_bound() {
    let server = TestServer::open();
    ok(&server, "PUT bob/follows/ada");
    ok(&server, "GET bob/timeline");
    let read =
        |headers: &[(&str, &str)]| server.send("GET", "/v1/feeds/bob/timeline", headers, None);
    read(&[]);
    let loads = || metric(&server, "evenkeel_cache_loads_total{outcome=\"ok\"}");
    let before = loads();
    // What is not to be stale at all is not of the cache.
    read(&[("Evenkeel-Consistency", "session")]);
    read(&[("Evenkeel-Consistency", "linearizable")]);
    assert_eq!(loads(), before);
    // A token of what somebody else wrote in the same partition: newer than what is kept.
    let written = server.send("PUT", "/v1/feeds/bob/mutes/zoe", &[], None);
    let token = written.header("evenkeel-session").unwrap().to_owned();
    let answer = read(&[("Evenkeel-Session", &token)]);
    let as_of = |answer: &Answer| {
        let text = answer.header("evenkeel-as-of").unwrap().to_owned();
        text.split_once('/').unwrap().1.parse::<u64>().unwrap()
    };
    assert!(as_of(&answer) >= as_of(&written));
    assert_eq!(read(&[("Evenkeel-Session", "nonsense")]).status, 400);
    let page = read(&[("Evenkeel-Consistency", "bounded;max_staleness_ms=10")]);
    let late: u64 = page.header("evenkeel-staleness-ms").unwrap().parse().unwrap();
    assert!(late <= 10, "{late}");
}

/// What another partition's resource or conversation is, is kept too, and what there is not.
#[test]
fn availability_and_heads_are_kept_and_never_old() {
    let server = TestServer::open();
    let bounded = [("Evenkeel-Consistency", "eventual")];
    let read = |path: &str| server.send("GET", path, &bounded, None);
    for path in ["/v1/resources/gig", "/v1/conversations/c"] {
        assert_eq!(read(path).status, 404);
        assert_eq!(read(path).status, 404, "{path}");
    }
    let put =
        |path: &str, body: Value| server.send("PUT", path, &[], Some(&body.to_string())).status;
    assert_eq!(put("/v1/resources/gig", json!({ "kind": "quantity", "capacity": 5 })), 201);
    assert_eq!(put("/v1/conversations/c", json!({ "members": ["ada"] })), 201);
    for taken in 1..=5 {
        assert_eq!(read("/v1/resources/gig").json()["available"], 6 - taken);
        let hold = json!({ "holder": "u", "ttl_ms": 60_000, "quantity": 1 }).to_string();
        let held = server.send("POST", "/v1/resources/gig/holds", &[], Some(&hold));
        assert_eq!(held.status, 201);
        assert_eq!(read("/v1/resources/gig").json()["available"], 5 - taken);
        let message = format!("/v1/conversations/c/messages/by-client-id/m{taken}");
        put(&message, json!({ "sender": "ada", "body": 1 }));
        assert_eq!(read("/v1/conversations/c").json()["messages"], taken);
    }
    assert!(metric(&server, "evenkeel_cache_reads_total{found=\"fresh\"}") > 0);
}
