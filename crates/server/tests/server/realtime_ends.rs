//! How connections and subscriptions end, what is seen of who is there, and that nothing is lost by it.

use crate::{
    harness::TestServer,
    realtime_harness::{BINARY, ChatServer, TEXT, Wire, masked, message, now_s, seq},
};
use evenkeel_server::{Auth, ServerOptions};
use serde_json::{Value, json};
use std::time::Duration;

/// Bytes that are written together: an event of about so many makes a buffer of them exactly full.
const BUFFER_BYTES: usize = 16 * 1_024;
/// What no buffer on the way to a reader holds.
const MORE_THAN_BUFFERS_BYTES: usize = 12 << 20;

fn put(server: &TestServer, conversation: &str, members: &[&str]) {
    let body = json!({ "members": members }).to_string();
    let made = server.put(&format!("/v1/conversations/{conversation}"), &body);
    assert_eq!(made.status, 201, "{}", made.body);
}

fn open() -> TestServer {
    let server = TestServer::open();
    put(&server, "c", &["u1", "u2"]);
    server
}

fn send(conversation: &str, client_id: &str, body: impl Into<Value>) -> Value {
    json!({ "send": message(conversation, "u1", client_id, body.into()), "id": client_id })
}

fn come(wire: &mut Wire, conversation: &str, user: &str) {
    let topic = format!("conversation:{conversation}");
    let heard = wire.ask(&json!({ "subscribe": topic, "presence": true, "user": user }));
    assert_eq!(heard["subscribed"], topic, "{heard}");
}

fn presence(conversation: &str, user: &str, online: bool) -> Value {
    json!({ "presence": format!("conversation:{conversation}"), "user": user, "online": online })
}

#[test]
fn who_comes_back_after_a_restart_misses_nothing_and_hears_nothing_twice() {
    let mut server = open();
    let mut position = "start".to_owned();
    let mut seen = Vec::new();
    for round in 0..3 {
        let mut sender = Wire::open(&server);
        let mut reader = Wire::open(&server);
        let mut news = if round == 0 { 1 } else { 100 };
        reader.follow("c", Some(&position));
        for half in ["a", "b"] {
            for at in 0..100 {
                sender.say(&send("c", &format!("m{round}{half}{at}"), at));
            }
            for _ in 0..100 {
                assert!(sender.hear()["ack"].is_string());
            }
            if half == "a" {
                // The second half is there when it comes back.
                for event in reader.events(news + 100) {
                    position = event["position"].as_str().unwrap().to_owned();
                    seen.push(seq(&event));
                }
                news = 0;
                reader.frame(0x8, b"\x03\xe8");
                assert_eq!(reader.closed(), Some(1000));
            }
        }
        server = TestServer::start_on(server.stop(), ServerOptions::new(Auth::Open));
    }
    let mut reader = Wire::open(&server);
    reader.follow("c", Some(&position));
    seen.extend(reader.events(100).iter().map(seq));
    reader.is_quiet();
    assert_eq!(seen, (1..=601).collect::<Vec<_>>());
}

#[test]
fn what_comes_while_a_subscription_begins_comes_after_what_was_there() {
    let server = open();
    let mut wire = Wire::open(&server);
    let frame = |said: &Value| masked(0x80 | TEXT, said.to_string().as_bytes());
    let mut last = 1;
    for round in 0..40 {
        let mut frames = frame(&send("c", &format!("m{round}"), 1));
        frames.extend(frame(&json!({ "subscribe": "conversation:c", "since": "start" })));
        for at in 0..20 {
            frames.extend(frame(&send("c", &format!("m{round}-{at}"), 1)));
        }
        wire.raw(&frames);
        last += 21;
        let (mut acks, mut is_announced, mut events) = (0, false, Vec::new());
        while acks < 21 || events.last() != Some(&last) {
            let heard = wire.hear();
            acks += usize::from(heard.get("ack").is_some());
            is_announced |= heard.get("subscribed").is_some();
            if heard["type"].is_string() {
                assert!(is_announced, "round {round}: {heard} before what says from where");
                events.push(seq(&heard));
            }
        }
        assert_eq!(events, (1..=last).collect::<Vec<_>>(), "round {round}");
        let gone = wire.ask(&json!({ "unsubscribe": "conversation:c" }));
        assert_eq!(gone["reason"], "asked", "{gone}");
    }
}

#[test]
fn whoever_needs_history_that_is_gone_is_told_from_where_to_go_on() {
    let server = open();
    for unknown in ["9.1", "1.99"] {
        let mut wire = Wire::open(&server);
        wire.say(&json!({ "subscribe": "conversation:c", "since": unknown, "id": 1 }));
        let (texts, code) = wire.rest();
        assert_eq!(code, Some(3010));
        let [reset] = texts.as_slice() else { panic!("{texts:?}") };
        assert_eq!(reset["reset"], "conversation:c");
        assert_eq!(reset["reload"], "/v1/conversations/c");
        let position = reset["position"].as_str().unwrap();
        let mut again = Wire::open(&server);
        assert_eq!(again.follow("c", Some(position)), position);
        again.say(&send("c", unknown, 1));
        assert_eq!(until_event(&mut again)["data"]["client_id"], unknown);
    }
}

/// The next event.
fn until_event(wire: &mut Wire) -> Value {
    loop {
        let heard = wire.hear();
        if heard["type"].is_string() {
            return heard;
        }
    }
}

#[test]
fn who_is_removed_hears_that_and_then_nothing() {
    let chat = ChatServer::start();
    chat.conversation("c", &["u1", "u2"]);
    chat.conversation("d", &["u1"]);
    let mut gone = Wire::of(&chat.server, &chat.token("u1"));
    let mut stays = Wire::of(&chat.server, &chat.token("u2"));
    let mut back_end = Wire::of(&chat.server, &chat.admin);
    for wire in [&mut gone, &mut stays, &mut back_end] {
        wire.follow("c", None);
    }
    gone.follow("d", None);
    chat.admin("DELETE", "/v1/conversations/c/members/u1", None);
    chat.message("c", "u2", "m1");
    let removed = gone.events(1).remove(0);
    assert_eq!(
        (&removed["type"], &removed["data"]["user"]),
        (&json!("chat.member_removed"), &json!("u1"))
    );
    assert_eq!(gone.hear(), json!({ "unsubscribed": "conversation:c", "reason": "removed" }));
    for wire in [&mut stays, &mut back_end] {
        let events = wire.events(2);
        assert_eq!((&events[0], &events[1]["data"]["client_id"]), (&removed, &json!("m1")));
    }
    gone.is_quiet();
    let refused = gone.ask(&json!({ "subscribe": "conversation:c", "since": removed["position"] }));
    assert_eq!(refused["code"], "not_a_member");
    chat.message("d", "u1", "m2");
    assert_eq!(gone.events(1)[0]["entity"], "conversation:d", "the others go on");
    chat.conversation("c", &["u1"]);
    gone.follow("c", None);
    chat.message("c", "u2", "m3");
    assert_eq!(gone.events(1)[0]["data"]["client_id"], "m3", "who is let in again follows again");
}

#[test]
fn who_is_there_is_seen_until_they_are_gone() {
    let server = open();
    let mut first = Wire::open(&server);
    come(&mut first, "c", "u1");
    assert_eq!(first.hear(), presence("c", "u1", true));
    let mut unseen = Wire::open(&server);
    unseen.follow("c", None);
    let mut second = Wire::open(&server);
    come(&mut second, "c", "u2");
    let mut there = [second.hear(), second.hear()];
    there.sort_by_key(Value::to_string);
    assert_eq!(there, [presence("c", "u1", true), presence("c", "u2", true)]);
    assert_eq!(first.hear(), presence("c", "u2", true));
    let mut other_device = Wire::open(&server);
    come(&mut other_device, "c", "u2");
    drop(second);
    // Only when the last is gone: what comes first is about that.
    other_device.say(&json!({ "typing": { "conversation": "c" } }));
    let typing = json!({ "typing": "conversation:c", "user": "u2", "expires_in_ms": 5_000 });
    assert_eq!(first.hear(), typing);
    other_device.say(&json!({ "typing": { "conversation": "c", "stopped": true } }));
    assert_eq!(first.hear()["expires_in_ms"], 0);
    drop(other_device);
    assert_eq!(first.hear(), presence("c", "u2", false));
    let mut back = Wire::open(&server);
    come(&mut back, "c", "u2");
    assert_eq!(first.hear(), presence("c", "u2", true));
    back.ask(&json!({ "unsubscribe": "conversation:c" }));
    assert_eq!(first.hear(), presence("c", "u2", false), "who follows no more is not there");
    unseen.is_quiet();
}

#[test]
fn a_user_with_a_token_is_present_as_themselves() {
    let chat = ChatServer::start();
    chat.conversation("c", &["u1", "u2"]);
    let mut first = Wire::of(&chat.server, &chat.token("u1"));
    let mut second = Wire::of(&chat.server, &chat.token("u2"));
    for (wire, user) in [(&mut first, "u1"), (&mut second, "u2")] {
        let said = json!({ "subscribe": "conversation:c", "presence": true });
        assert_eq!(wire.ask(&said)["subscribed"], "conversation:c");
        assert_eq!(first_of(wire, user), presence("c", user, true));
    }
    assert_eq!(first_of(&mut first, "u2"), presence("c", "u2", true));
    // It does not say who: that is known.
    second.say(&json!({ "typing": { "conversation": "c" } }));
    assert_eq!(first_of(&mut first, "u2")["typing"], "conversation:c");
}

#[test]
fn who_is_not_known_any_more_is_not_there_any_more() {
    let chat = ChatServer::start();
    chat.conversation("c", &["u1", "u2"]);
    let mut watcher = Wire::of(&chat.server, &chat.token("u1"));
    watcher.ask(&json!({ "subscribe": "conversation:c", "presence": true }));
    for next in ["nonsense".to_owned(), chat.token("u1")] {
        let mut wire = Wire::of(&chat.server, &chat.token("u2"));
        wire.ask(&json!({ "subscribe": "conversation:c", "presence": true }));
        assert_eq!(first_of(&mut watcher, "u2"), presence("c", "u2", true));
        wire.say(&json!({ "auth": next }));
        assert_eq!(wire.rest().1, Some(3500));
        assert_eq!(first_of(&mut watcher, "u2"), presence("c", "u2", false));
    }
}

/// The next that is about `user`.
fn first_of(wire: &mut Wire, user: &str) -> Value {
    loop {
        let heard = wire.hear();
        if heard["user"] == user {
            return heard;
        }
    }
}

#[test]
fn only_text_is_spoken_and_not_too_much_of_it() {
    let server = open();
    let mut wire = Wire::open(&server);
    wire.frame(BINARY, b"{\"ping\":1}");
    assert_eq!(wire.closed(), Some(1003));
    for bytes in [64 * 1_024 + 1, 70_000, 1 << 20] {
        let mut wire = Wire::open(&server);
        let mut text = b"{\"ping\":1}".to_vec();
        text.resize(bytes, b' ');
        // The server need not take it all.
        let _ = wire.try_raw(&masked(0x80 | TEXT, &text));
        assert_eq!(wire.closed(), Some(1009), "{bytes} bytes");
    }
    let mut wire = Wire::open(&server);
    for opcode in [TEXT, 0, 0] {
        let _ = wire.try_raw(&masked(opcode, &[b' '; 30_000]));
    }
    assert_eq!(wire.closed(), Some(1009), "in several frames");
    let mut wire = Wire::open(&server);
    // Its length alone says it.
    wire.raw(&[0x80 | TEXT, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    assert_eq!(wire.closed(), Some(1009), "more than there is");
}

#[test]
fn a_server_that_stops_says_so() {
    let server = open();
    let mut wires: Vec<Wire> = (0..3).map(|_| Wire::open(&server)).collect();
    wires[0].follow("c", None);
    let watched =
        std::thread::spawn(move || wires.iter_mut().map(Wire::closed).collect::<Vec<_>>());
    server.stop();
    assert_eq!(watched.join().unwrap(), [Some(1001); 3]);
}

#[test]
fn who_is_not_welcome_any_more_is_closed() {
    let mut options = ServerOptions::new(Auth::Keys);
    options.ping_every = Duration::from_millis(50);
    let chat = ChatServer::start_with(options);
    chat.conversation("c", &["u1"]);
    let (key, id) = chat.key("default", &["chat:read"]);
    let mut with_key = Wire::of(&chat.server, &key);
    let mut with_token = Wire::of(&chat.server, &chat.token("u1"));
    let mut stays = Wire::of(&chat.server, &chat.admin);
    for wire in [&mut with_key, &mut with_token, &mut stays] {
        wire.follow("c", None);
    }
    chat.admin("DELETE", &format!("/v1/keys/{id}"), None);
    assert_eq!(with_key.closed(), Some(3503));
    chat.admin("DELETE", &format!("/v1/token-keys/{}", chat.kid), None);
    assert_eq!(with_token.closed(), Some(3503));
    chat.message("c", "u1", "m1");
    assert_eq!(stays.events(1)[0]["data"]["client_id"], "m1");
}

#[test]
fn a_token_whose_time_is_over_is_closed() {
    let mut options = ServerOptions::new(Auth::Keys);
    options.ping_every = Duration::from_millis(50);
    let chat = ChatServer::start_with(options);
    let mut wire = Wire::of(&chat.server, &chat.token_with("u1", "exp", (now_s() + 2).into()));
    assert_eq!(wire.closed(), Some(3503));
}

#[test]
fn who_does_not_answer_is_not_there_any_more() {
    let mut options = ServerOptions::new(Auth::Open);
    options.ping_every = Duration::from_millis(20);
    options.pong_timeout = Duration::from_millis(20);
    let server = TestServer::start(options);
    put(&server, "c", &["u1", "u2"]);
    let mut watcher = Wire::open(&server);
    come(&mut watcher, "c", "u1");
    let mut silent = Wire::open(&server);
    come(&mut silent, "c", "u2");
    assert_eq!(first_of(&mut watcher, "u2"), presence("c", "u2", true));
    assert_eq!(first_of(&mut watcher, "u2"), presence("c", "u2", false));
    drop(silent);
}

#[test]
fn a_slow_reader_is_closed_and_holds_nobody_up() {
    let mut options = ServerOptions::new(Auth::Open);
    options.slow_timeout = Duration::from_secs(1);
    let server = TestServer::start(options);
    put(&server, "c", &["u1", "u2"]);
    put(&server, "lobby", &["u1", "u2"]);
    let mut watcher = Wire::open(&server);
    come(&mut watcher, "lobby", "u1");
    assert_eq!(watcher.hear(), presence("lobby", "u1", true));
    let mut slow = Wire::open_small(&server);
    come(&mut slow, "lobby", "u2");
    assert_eq!(watcher.hear(), presence("lobby", "u2", true));
    slow.say(&json!({ "subscribe": "conversation:c" }));
    let mut quick = Wire::open(&server);
    quick.follow("c", None);
    let mut sender = Wire::open(&server);
    let body = "x".repeat(30_000);
    let count = MORE_THAN_BUFFERS_BYTES / body.len();
    for at in 0..count {
        let client_id = format!("m{at}");
        assert_eq!(sender.ask(&send("c", &client_id, body.as_str()))["ack"], client_id.as_str());
        assert_eq!(quick.events(1)[0]["data"]["client_id"], client_id.as_str());
    }
    quick.is_quiet();
    assert_eq!(watcher.hear(), presence("lobby", "u2", false));
    assert!(slow.count_of_what_is_left() < count, "it was closed before it had everything");
}

/// Of events that fill a buffer to its last byte, as of any others.
#[test]
fn a_reader_who_takes_nothing_is_closed_whatever_the_size_of_what_it_is_sent() {
    let mut options = ServerOptions::new(Auth::Open);
    options.slow_timeout = Duration::from_millis(500);
    options.refused_timeout = Duration::from_millis(100);
    let server = TestServer::start(options);
    put(&server, "c", &["u1", "u2"]);
    put(&server, "lobby", &["u1", "u2"]);
    let mut sender = Wire::open(&server);
    sender.follow("c", None);
    let mut length = 1;
    for at in 0..MORE_THAN_BUFFERS_BYTES / BUFFER_BYTES {
        sender.say(&send("c", &format!("m{at:09}"), "x".repeat(length)));
        let event = until_event(&mut sender);
        // The next takes the last byte; its number may have a digit more.
        let digits = if (seq(&event) + 1).ilog10() > seq(&event).ilog10() { 2 } else { 0 };
        length = BUFFER_BYTES - (event.to_string().len() - length) - digits;
    }
    let mut watcher = Wire::open(&server);
    come(&mut watcher, "lobby", "u1");
    assert_eq!(watcher.hear(), presence("lobby", "u1", true));
    let mut stuck = Wire::open_small(&server);
    come(&mut stuck, "lobby", "u2");
    assert_eq!(watcher.hear(), presence("lobby", "u2", true));
    stuck.say(&json!({ "subscribe": "conversation:c", "since": "start" }));
    assert_eq!(watcher.hear(), presence("lobby", "u2", false));
}
