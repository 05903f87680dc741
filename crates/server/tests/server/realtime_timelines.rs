//! Timelines on a WebSocket.

use crate::{
    harness::TestServer,
    realtime_harness::{ChatServer, Wire},
};
use serde_json::{Value, json};

fn post(server: &TestServer, user: &str, text: &str) -> u64 {
    let body = json!({ "client_id": text, "body": text }).to_string();
    let posted = server.send("POST", &format!("/v1/feeds/{user}/posts"), &[], Some(&body));
    assert_eq!(posted.status, 201, "{}", posted.body);
    posted.json()["post"].as_u64().unwrap()
}

fn put(server: &TestServer, path: &str) {
    assert_eq!(server.send("PUT", &format!("/v1/feeds/{path}"), &[], None).status, 200, "{path}");
}

/// So many events: author, and what is said or that it was taken back.
fn events(wire: &mut Wire, count: usize) -> Vec<(String, Value)> {
    let mut seen = Vec::new();
    while seen.len() < count {
        let event = wire.hear();
        assert_eq!(event["entity"], "timeline:bob", "{event}");
        let author = event["data"]["author"].as_str().unwrap().to_owned();
        seen.push((author, event["data"]["body"].clone()));
    }
    seen
}

#[test]
fn what_comes_to_a_timeline_is_told_as_it_comes_and_resumed_without_a_gap() {
    let server = TestServer::open();
    put(&server, "bob/follows/ada");
    let mut wire = Wire::open(&server);
    let subscribed = wire.ask(&json!({ "subscribe": "timeline:bob", "id": 7 }));
    assert_eq!((&subscribed["subscribed"], &subscribed["id"]), (&json!("timeline:bob"), &json!(7)));
    let since = subscribed["position"].clone();
    let again = wire.ask(&json!({ "subscribe": "timeline:bob", "id": 8 }));
    assert_eq!(again["code"], "invalid_request");
    let first = post(&server, "ada", "1");
    assert_eq!(events(&mut wire, 1), [("ada".to_owned(), json!("1"))]);
    post(&server, "eve", "nobodys");
    post(&server, "bob", "2");
    assert_eq!(events(&mut wire, 1), [("bob".to_owned(), json!("2"))]);
    server.send("DELETE", &format!("/v1/feeds/ada/posts/{first}"), &[], None);
    assert_eq!(events(&mut wire, 1), [("ada".to_owned(), Value::Null)]);
    let ended = wire.ask(&json!({ "unsubscribe": "timeline:bob", "id": 9 }));
    assert_eq!(
        (&ended["unsubscribed"], &ended["reason"]),
        (&json!("timeline:bob"), &json!("asked"))
    );
    drop(wire);
    for nth in 0..600 {
        post(&server, "ada", &format!("m{nth}"));
    }
    let mut wire = Wire::open(&server);
    let asked = json!({ "subscribe": "timeline:bob", "since": since });
    assert_eq!(wire.ask(&asked)["position"], since);
    // The first is gone, which its end says.
    let seen = events(&mut wire, 602);
    let mut posts: Vec<_> = seen.iter().filter(|(_, body)| !body.is_null()).collect();
    assert_eq!(posts.remove(0), &("bob".to_owned(), json!("2")));
    let expected: Vec<_> =
        (0..600).map(|nth| ("ada".to_owned(), json!(format!("m{nth}")))).collect();
    assert!(posts.into_iter().eq(&expected), "each once and in order");
}

#[test]
fn what_cannot_be_followed_is_refused() {
    let server = TestServer::open();
    let mut wire = Wire::open(&server);
    for (frame, code) in [
        (json!({ "subscribe": "timeline:" }), "invalid_request"),
        (json!({ "subscribe": "timelines:bob" }), "invalid_request"),
        (json!({ "subscribe": "timeline:bob", "presence": true }), "invalid_request"),
        (json!({ "subscribe": "timeline:bob", "since": "x" }), "invalid_request"),
    ] {
        assert_eq!(wire.ask(&frame)["code"], code, "{frame}");
    }
    let reset = wire.ask(&json!({ "subscribe": "timeline:bob", "since": "9.9" }));
    assert_eq!(
        (&reset["reset"], &reset["reload"]),
        (&json!("timeline:bob"), &json!("/v1/feeds/bob/timeline"))
    );
    assert_eq!(wire.closed(), Some(3010));
}

#[test]
fn a_timeline_is_its_users_alone() {
    let chat = ChatServer::start();
    let bob = chat.token("bob");
    let mut wire = Wire::of(&chat.server, &bob);
    assert_eq!(wire.ask(&json!({ "subscribe": "timeline:ada" }))["code"], "forbidden");
    assert_eq!(wire.ask(&json!({ "subscribe": "timeline:bob" }))["subscribed"], "timeline:bob");
    let limited = chat.token_with("bob", "conversations", json!(["c"]));
    let mut wire = Wire::of(&chat.server, &limited);
    assert_eq!(wire.ask(&json!({ "subscribe": "timeline:bob" }))["code"], "forbidden");
    let for_chat = chat.token_with("bob", "scope", json!("chat:read"));
    let mut wire = Wire::of(&chat.server, &for_chat);
    assert_eq!(wire.ask(&json!({ "subscribe": "timeline:bob" }))["code"], "forbidden");
    // The same over HTTP.
    let get = |token: &str, path: &str| chat.send(token, "GET", path, None).status;
    assert_eq!(get(&bob, "/v1/feeds/bob/timeline"), 200);
    assert_eq!(get(&bob, "/v1/feeds/ada/timeline"), 403);
    assert_eq!(get(&bob, "/v1/feeds/ada/posts"), 200);
    assert_eq!(get(&bob, "/v1/feeds/ada/blocks"), 403);
    assert_eq!(get(&limited, "/v1/feeds/bob/timeline"), 403);
    assert_eq!(get(&for_chat, "/v1/feeds/bob/timeline"), 403);
    let post = json!({ "client_id": "1", "body": 1 });
    assert_eq!(chat.send(&bob, "POST", "/v1/feeds/bob/posts", Some(&post)).status, 201);
    assert_eq!(chat.send(&bob, "POST", "/v1/feeds/ada/posts", Some(&post)).status, 403);
    let (key, _) = chat.key("other", &["feed:read"]);
    assert_eq!(get(&key, "/v1/feeds/bob/posts"), 200);
    let theirs = chat.send(&key, "GET", "/v1/feeds/bob/posts", None).json();
    assert_eq!(theirs["items"], json!([]), "another tenant has another bob");
}
