//! The WebSocket edge: who speaks, what is followed, sent and answered.

use crate::{
    harness::{TestServer, request},
    realtime_harness::{ChatServer, TEXT, UPGRADE, Wire, masked, message, now_s, seq},
};
use evenkeel_server::{Auth, ServerOptions};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    time::Duration,
};

/// A server that asks for no keys, with a conversation `c` of `u1` and `u2`.
fn open() -> TestServer {
    let server = TestServer::open();
    put(&server, "c", &["u1", "u2"]);
    server
}

fn put(server: &TestServer, conversation: &str, members: &[&str]) {
    let body = json!({ "members": members }).to_string();
    let made = server.put(&format!("/v1/conversations/{conversation}"), &body);
    assert_eq!(made.status, 201, "{}", made.body);
}

fn send(conversation: &str, client_id: &str, id: impl Into<Value>) -> Value {
    let message = message(conversation, "u1", client_id, json!({ "text": client_id }));
    json!({ "send": message, "id": id.into() })
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

/// Reads on until the answer that says `member`; what came before it.
#[track_caller]
fn until(wire: &mut Wire, member: &str) -> (Vec<Value>, Value) {
    let mut before = Vec::new();
    loop {
        let heard = wire.hear();
        if heard.get(member).is_some() {
            return (before, heard);
        }
        before.push(heard);
    }
}

#[test]
fn a_request_becomes_a_connection_only_if_it_asks_properly() {
    let server = open();
    for wrong in 0..UPGRADE.len() {
        let mut headers = UPGRADE.to_vec();
        headers.remove(wrong);
        let answer = server.send("GET", "/v1/realtime", &headers, None);
        assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_request"), "{wrong}");
    }
    for (name, value) in [
        ("Sec-WebSocket-Version", "8"),
        ("Sec-WebSocket-Key", "c2hvcnQ="),
        ("Sec-WebSocket-Key", "not base64"),
        ("Upgrade", "h2c"),
    ] {
        let mut headers = UPGRADE.to_vec();
        headers.retain(|(known, _)| *known != name);
        headers.push((name, value));
        let answer = server.send("GET", "/v1/realtime", &headers, None);
        assert_eq!(answer.code(), "invalid_request", "{name}: {value}");
        if name == "Sec-WebSocket-Version" {
            assert_eq!(answer.header("sec-websocket-version"), Some("13"));
        }
    }
    let foreign = [&UPGRADE[..], &[("Origin", "https://evil.example")]].concat();
    assert_eq!(server.send("GET", "/v1/realtime", &foreign, None).code(), "forbidden");
    assert_eq!(server.send("POST", "/v1/realtime", &UPGRADE, None).status, 405);
    let unknown = server.send("GET", "/v1/realtime?token=t", &UPGRADE, None);
    assert_eq!(unknown.code(), "invalid_request", "credentials are in no address");
}

#[test]
fn what_is_sent_with_the_request_already_is_read() {
    let server = open();
    let mut stream = server.connect();
    let mut bytes = request("GET", "/v1/realtime", &UPGRADE, None).into_bytes();
    bytes.extend(masked(0x80 | TEXT, b"{\"ping\":1}"));
    stream.write_all(&bytes).unwrap();
    let mut heard = Vec::new();
    while !heard.ends_with(b"\r\n\r\n\x81\x0a{\"pong\":1}") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        heard.push(byte[0]);
    }
    let heard = String::from_utf8_lossy(&heard);
    assert!(heard.starts_with("HTTP/1.1 101 "), "{heard}");
    let names: Vec<&str> = heard.lines().filter_map(|line| line.strip_suffix(": ")).collect();
    assert_eq!(names, Vec::<&str>::new(), "headers without a value");
}

#[test]
fn the_first_frame_says_who_it_is() {
    let chat = ChatServer::start();
    chat.conversation("c", &["u1"]);
    let mut wire = Wire::open(&chat.server);
    let known = wire.ask(&json!({ "auth": chat.admin, "id": "a" }));
    assert_eq!(known, json!({ "authenticated": { "tenant": "default" }, "id": "a" }));
    wire.follow("c", None);
    let mut wire = Wire::open(&chat.server);
    let known = wire.ask(&json!({ "auth": chat.token("u1") }));
    assert_eq!(known, json!({ "authenticated": { "tenant": "default", "user": "u1" } }));
    wire.follow("c", None);
}

#[test]
fn the_request_may_say_it_too() {
    let chat = ChatServer::start();
    chat.conversation("c", &["u1"]);
    for credentials in [&chat.admin, &chat.token("u1")] {
        let bearer = format!("Bearer {credentials}");
        let mut wire = Wire::open_with(&chat.server, &[("Authorization", &bearer)]);
        wire.follow("c", None);
    }
    let expired = chat.token_with("u1", "exp", 1.into());
    for wrong in ["Bearer ek_a_b", "Bearer", &format!("Bearer {expired}"), "Basic dTpw"] {
        let headers = [&UPGRADE[..], &[("Authorization", wrong)]].concat();
        let answer = chat.server.send("GET", "/v1/realtime", &headers, None);
        assert_eq!((answer.status, answer.code().as_str()), (401, "unauthenticated"), "{wrong}");
    }
    let other_scheme = format!("Basic {}", chat.admin);
    let headers = [&UPGRADE[..], &[("Authorization", &other_scheme)]].concat();
    let answer = chat.server.send("GET", "/v1/realtime", &headers, None);
    assert_eq!(answer.status, 401, "a key goes with Bearer, as anywhere");
}

#[test]
fn whoever_is_not_known_is_told_so_and_closed() {
    let chat = ChatServer::start();
    for first in [
        json!({ "auth": "ek_a_b" }),
        json!({ "auth": "nonsense" }),
        json!({ "auth": chat.token_with("u1", "exp", 1.into()) }),
        json!({ "subscribe": "conversation:c" }),
        json!({ "ping": 1 }),
    ] {
        let mut wire = Wire::open(&chat.server);
        let refused = wire.ask(&first);
        assert_eq!(
            (&refused["error"], &refused["code"]),
            (&Value::Null, &json!("unauthenticated")),
            "{first}"
        );
        assert_eq!(wire.closed(), Some(3500), "{first}");
    }
    let mut wire = Wire::open(&chat.server);
    wire.frame(TEXT, b"nonsense");
    assert_eq!(wire.rest().1, Some(3500));
}

#[test]
fn whoever_says_nothing_is_closed() {
    let mut options = ServerOptions::new(Auth::Keys);
    options.auth_timeout = Duration::from_millis(50);
    let chat = ChatServer::start_with(options);
    assert_eq!(Wire::open(&chat.server).closed(), Some(3500));
}

#[test]
fn from_now_from_the_start_and_from_a_position() {
    let server = open();
    let mut sender = Wire::open(&server);
    for client_id in ["m1", "m2"] {
        assert!(sender.ask(&send("c", client_id, 1))["ack"].is_number());
    }
    let mut from_start = Wire::open(&server);
    let begins = from_start.follow("c", Some("start"));
    let events = from_start.events(3);
    assert_eq!(kinds(&events), ["chat.created", "chat.message", "chat.message"]);
    let life = begins.strip_suffix(".0").expect("before the first event");
    let mut from_now = Wire::open(&server);
    assert_eq!(from_now.follow("c", None), format!("{life}.3"));
    let mut from_position = Wire::open(&server);
    let after = events[1]["position"].as_str().unwrap();
    assert_eq!(from_position.follow("c", Some(after)), after);
    assert_eq!(from_position.events(1), events[2..]);
    assert!(sender.ask(&send("c", "m3", 1))["ack"].is_number());
    let news = from_now.events(1);
    let expected = json!({
        "position": format!("{life}.4"),
        "type": "chat.message",
        "entity": "conversation:c",
        "at": news[0]["at"],
        "data": { "seq": 4, "sender": "u1", "client_id": "m3", "body": { "text": "m3" } },
    });
    assert_eq!(news, [expected]);
    assert_eq!(from_start.events(1), news);
    assert_eq!(from_position.events(1), news);
    for wire in [&mut from_start, &mut from_now, &mut from_position] {
        wire.is_quiet();
    }
}

#[test]
fn a_long_history_is_read_while_more_comes() {
    let server = open();
    let mut sender = Wire::open(&server);
    let mut reader = Wire::open(&server);
    for round in 0..6 {
        for at in 0..100 {
            sender.say(&send("c", &format!("m{round}-{at}"), at));
        }
        if round == 3 {
            reader.follow("c", Some("start"));
        }
        for _ in 0..100 {
            assert!(sender.hear()["ack"].is_number());
        }
    }
    let events = reader.events(601);
    assert_eq!((seq(&events[0]), seq(&events[600])), (1, 601));
    reader.is_quiet();
}

#[test]
fn several_conversations_are_followed_on_one_connection() {
    let server = open();
    put(&server, "d", &["u1"]);
    let mut wire = Wire::open(&server);
    wire.follow("c", None);
    wire.follow("d", Some("start"));
    assert_eq!(wire.events(1)[0]["entity"], "conversation:d");
    for (conversation, id) in [("c", 1), ("d", 2), ("c", 3)] {
        wire.say(&send(conversation, &format!("m{id}"), id));
        let (before, ack) = until(&mut wire, "ack");
        let event = before.into_iter().next().unwrap_or_else(|| wire.hear());
        assert_eq!(event["entity"], format!("conversation:{conversation}"));
        assert_eq!((&ack["ack"], &ack["seq"]), (&json!(id), &event["data"]["seq"]));
    }
}

#[test]
fn a_send_is_acknowledged_and_a_repeat_is_the_same_message() {
    let server = open();
    let mut wire = Wire::open(&server);
    let first = wire.ask(&send("c", "m1", json!({ "any": ["thing"] })));
    assert_eq!((&first["ack"], &first["seq"]), (&json!({ "any": ["thing"] }), &json!(2)));
    assert_eq!(first["duplicate"], Value::Null);
    let mut again = wire.ask(&send("c", "m1", 8));
    assert_eq!(again["duplicate"].take(), true);
    assert_eq!((&again["ack"], &again["seq"], &again["at"]), (&json!(8), &json!(2), &first["at"]));
    let other = json!({ "send": message("c", "u1", "m1", json!("other")), "id": 9 });
    let refused = wire.ask(&other);
    assert_eq!((&refused["error"], &refused["code"]), (&json!(9), &json!("idempotency_conflict")));
    let mut anonymous = send("c", "m2", 0);
    anonymous.as_object_mut().unwrap().remove("id");
    let unnamed = wire.ask(&anonymous);
    assert_eq!((&unnamed["ack"], &unnamed["seq"]), (&Value::Null, &json!(3)));
    let mut reply = message("c", "u2", "m3", json!("yes"));
    reply["reply_to"] = 3.into();
    assert_eq!(wire.ask(&json!({ "send": reply, "id": 1 }))["seq"], 4);
    let listed = server.get("/v1/conversations/c/messages").json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 3);
    assert_eq!(listed["items"][0]["reply_to"], 3);
}

#[test]
fn what_is_refused_says_so_and_the_connection_stays() {
    let server = open();
    let mut wire = Wire::open(&server);
    let long = "x".repeat(32 * 1_024);
    let mut lost = message("c", "u1", "m1", json!(1));
    lost["reply_to"] = 99.into();
    for (said, code) in [
        (json!({ "send": message("c", "u9", "m1", json!(1)) }), "not_a_member"),
        (json!({ "send": message("nowhere", "u1", "m1", json!(1)) }), "not_found"),
        (json!({ "send": message("c", "u1", "m1", json!(long)) }), "invalid_request"),
        (json!({ "send": message("c", "u1", "m 1", json!(1)) }), "invalid_request"),
        (json!({ "send": message("c d", "u1", "m1", json!(1)) }), "invalid_request"),
        (json!({ "send": message("c", "u 1", "m1", json!(1)) }), "invalid_request"),
        (
            json!({ "send": { "conversation": "c", "client_id": "m1", "body": 1 } }),
            "invalid_request",
        ),
        (json!({ "send": lost }), "not_found"),
        (json!({ "read": { "conversation": "c", "seq": 1 } }), "invalid_request"),
        (json!({ "read": { "conversation": "c", "seq": 1, "user": "u9" } }), "not_a_member"),
        (json!({ "subscribe": "conversation:nowhere" }), "not_found"),
        (json!({ "subscribe": "inbox:u1" }), "invalid_request"),
        (json!({ "subscribe": "conversation:" }), "invalid_request"),
        (json!({ "subscribe": "conversation:c", "since": "yesterday" }), "invalid_request"),
        (json!({ "subscribe": "conversation:c", "presence": true }), "invalid_request"),
        (json!({ "typing": { "conversation": "c" } }), "invalid_request"),
        (json!({ "since": "start" }), "invalid_request"),
        (json!({ "subscribe": "conversation:c", "ping": 1 }), "invalid_request"),
        (json!({ "ping": "x".repeat(64) }), "invalid_request"),
    ] {
        let mut said = said;
        said["id"] = "here".into();
        let refused = wire.ask(&said);
        assert_eq!((&refused["error"], &refused["code"]), (&json!("here"), &json!(code)), "{said}");
        let whole = refused["detail"].is_string() && refused["retryable"] == false;
        assert!(whole && refused["side_effects"] == "none", "{refused}");
    }
    wire.follow("c", None);
    wire.is_quiet();
}

#[test]
fn what_is_no_frame_is_answered_until_it_is_too_much() {
    let server = open();
    let mut wire = Wire::open(&server);
    let nonsense: [&[u8]; 9] = [
        b"",
        b"{",
        b"[]",
        b"1",
        b"{}",
        b"{\"shout\":1}",
        b"{\"ping\":1,\"id\":1,\"id\":2}",
        b"{\"auth\":1}",
        b"{\"send\":{\"conversation\":\"c\",\"client_id\":\"m1\"},\"id\":1}",
    ];
    for said in nonsense.iter().cycle().take(64) {
        wire.frame(TEXT, said);
        let refused = wire.hear();
        assert_eq!(
            (&refused["error"], &refused["code"]),
            (&Value::Null, &json!("invalid_request")),
            "{refused}"
        );
    }
    assert_eq!(wire.closed(), Some(3501));
}

#[test]
fn a_hundred_sends_on_their_way_at_once_keep_their_order() {
    let server = open();
    let mut wire = Wire::open(&server);
    let frames: Vec<u8> = (0..100)
        .flat_map(|at| masked(0x80 | TEXT, send("c", &format!("m{at}"), at).to_string().as_bytes()))
        .collect();
    wire.raw(&frames);
    for at in 0..100 {
        let ack = wire.hear();
        assert_eq!((&ack["ack"], &ack["seq"]), (&json!(at), &json!(at + 2)));
    }
    wire.follow("c", Some("start"));
    let events = wire.events(101);
    for (at, event) in events[1..].iter().enumerate() {
        assert_eq!(event["data"]["client_id"], format!("m{at}"));
    }
}

#[test]
fn more_than_may_be_on_their_way_wait_and_are_all_answered() {
    let server = open();
    let mut wire = Wire::open(&server);
    let frames: Vec<u8> = (0..1_000)
        .flat_map(|at| masked(0x80 | TEXT, send("c", &format!("m{at}"), at).to_string().as_bytes()))
        .collect();
    wire.raw(&frames);
    for at in 0..1_000 {
        assert_eq!(wire.hear()["seq"], at + 2);
    }
}

#[test]
fn a_marker_moves_and_says_what_is_unread() {
    let server = open();
    let mut wire = Wire::open(&server);
    for client_id in ["m1", "m2", "m3"] {
        wire.ask(&send("c", client_id, 1));
    }
    let read =
        |seq: u64| json!({ "read": { "conversation": "c", "seq": seq, "user": "u2" }, "id": 5 });
    assert_eq!(wire.ask(&read(3)), json!({ "ack": 5, "seq": 3, "unread": 1 }));
    assert_eq!(
        wire.ask(&read(2)),
        json!({ "ack": 5, "seq": 3, "unread": 1 }),
        "it never goes back"
    );
    wire.follow("c", Some("start"));
    let read = wire.events(5).remove(4);
    assert_eq!(read["type"], "chat.read");
    assert_eq!(read["data"], json!({ "seq": 5, "user": "u2", "message": 3 }));
}

#[test]
fn pings_say_what_was_asked() {
    let server = open();
    let mut wire = Wire::open(&server);
    for payload in [json!(1), json!("x"), json!({ "a": [1, "b"] }), json!(true), json!([])] {
        assert_eq!(wire.ask(&json!({ "ping": payload })), json!({ "pong": payload }));
    }
}

#[test]
fn a_conversation_is_followed_once_at_a_time() {
    let server = open();
    let mut wire = Wire::open(&server);
    wire.follow("c", None);
    let twice = wire.ask(&json!({ "subscribe": "conversation:c", "id": 2 }));
    assert_eq!((&twice["error"], &twice["code"]), (&json!(2), &json!("invalid_request")));
    let gone = json!({ "unsubscribed": "conversation:c", "reason": "asked", "id": 3 });
    let unsubscribe = json!({ "unsubscribe": "conversation:c", "id": 3 });
    assert_eq!(wire.ask(&unsubscribe), gone);
    assert!(wire.ask(&send("c", "m1", 4))["ack"].is_number());
    wire.is_quiet();
    wire.follow("c", Some("start"));
    assert_eq!(wire.events(2)[1]["data"]["client_id"], "m1");
    assert_eq!(wire.ask(&unsubscribe), gone);
    assert_eq!(wire.ask(&unsubscribe), gone, "a repeat is answered the same");
}

#[test]
fn a_user_speaks_for_themselves() {
    let chat = ChatServer::start();
    chat.conversation("c", &["u1", "u2"]);
    chat.conversation("d", &["u2"]);
    let mut wire = Wire::of(&chat.server, &chat.token("u1"));
    let own = json!({ "conversation": "c", "client_id": "m1", "body": 1 });
    assert_eq!(wire.ask(&json!({ "send": own, "id": 1 }))["seq"], 2);
    let mine = json!({ "read": { "conversation": "c", "seq": 2 }, "id": 1 });
    assert_eq!(wire.ask(&mine), json!({ "ack": 1, "seq": 2, "unread": 0 }));
    let sent = |conversation: &str, sender: &str| json!({ "send": message(conversation, sender, "m2", json!(1)) });
    for (said, code) in [
        (sent("c", "u2"), "forbidden"),
        (sent("d", "u1"), "not_a_member"),
        (json!({ "read": { "conversation": "c", "seq": 2, "user": "u2" } }), "forbidden"),
        (json!({ "subscribe": "conversation:d" }), "not_a_member"),
        (json!({ "subscribe": "conversation:c", "presence": true, "user": "u2" }), "forbidden"),
    ] {
        assert_eq!(wire.ask(&said)["code"], code, "{said}");
    }
}

#[test]
fn a_token_reaches_what_it_says() {
    let chat = ChatServer::start();
    chat.conversation("c", &["u1"]);
    chat.conversation("d", &["u1"]);
    let mut wire = Wire::of(&chat.server, &chat.token_with("u1", "conversations", json!(["c"])));
    wire.follow("c", None);
    assert_eq!(wire.ask(&json!({ "subscribe": "conversation:d" }))["code"], "forbidden");
    assert_eq!(wire.ask(&send("d", "m1", 1))["code"], "forbidden");
    let mut wire = Wire::of(&chat.server, &chat.token_with("u1", "scope", json!("chat:read")));
    wire.follow("c", None);
    assert_eq!(wire.ask(&send("c", "m1", 1))["code"], "forbidden");
    let (reads, _) = chat.key("default", &["chat:read"]);
    let mut wire = Wire::of(&chat.server, &reads);
    wire.follow("c", None);
    assert_eq!(wire.ask(&send("c", "m1", 1))["code"], "forbidden");
    let (none, _) = chat.key("default", &["jobs:read"]);
    let mut wire = Wire::of(&chat.server, &none);
    assert_eq!(wire.ask(&json!({ "subscribe": "conversation:c" }))["code"], "forbidden");
}

#[test]
fn another_tenant_sees_nothing() {
    let chat = ChatServer::start();
    chat.conversation("c", &["u1"]);
    let (key, _) = chat.key("other", &["chat:read", "chat:write"]);
    let mut wire = Wire::of(&chat.server, &key);
    assert_eq!(wire.ask(&json!({ "subscribe": "conversation:c" }))["code"], "not_found");
    assert_eq!(wire.ask(&send("c", "m1", 1))["code"], "not_found");
}

#[test]
fn a_user_brings_their_next_token_and_nobody_takes_their_place() {
    let chat = ChatServer::start();
    chat.conversation("c", &["u1", "u2"]);
    let soon = chat.token_with("u1", "exp", (now_s() + 3_600).into());
    let mut wire = Wire::of(&chat.server, &soon);
    wire.follow("c", None);
    let next = wire.ask(&json!({ "auth": chat.token("u1") }));
    assert_eq!(next["authenticated"]["user"], "u1");
    chat.message("c", "u2", "m1");
    assert_eq!(wire.events(1)[0]["data"]["client_id"], "m1");
    // What was followed as somebody is not followed as somebody else, who may not be let in.
    wire.say(&json!({ "auth": chat.token("u3") }));
    if wire.hear()["authenticated"].is_object() {
        chat.message("c", "u2", "m2");
        wire.say(&json!({ "ping": 1 }));
        let (before, _) = until(&mut wire, "pong");
        let leaked = before.iter().find(|heard| heard["type"].is_string());
        assert_eq!(leaked, None, "u3 is no member");
    } else {
        assert_eq!(wire.closed(), Some(3500));
    }
}
