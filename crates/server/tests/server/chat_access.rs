//! Who may do what in conversations, and what each is told: unread messages, inboxes, streams.

use crate::{
    chat::{C, Followed, NOW, ask, get, members, open, refusal, refused, say, send, walk},
    harness::TestServer,
    realtime_harness::{ChatServer, now_s},
};
use evenkeel_server::{Auth, ServerOptions};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

const INBOX: &str = "/v1/users/ada/inbox";
const SEND: &str = "PUT /messages/by-client-id/m1";
/// A test that waits longer than this has hung.
const HANG: Duration = Duration::from_secs(15);

/// A server that asks for keys, with a conversation of two writers, a reader and a moderator.
fn keyed() -> ChatServer {
    let chat = ChatServer::start();
    chat.admin("PUT", C, Some(&json!({ "members": members() })));
    chat
}

/// Asks as somebody for something of the conversation; the status, and the code of a problem.
fn asked(chat: &ChatServer, bearer: &str, what: &str, body: &Value) -> (u16, String) {
    let (method, path) = what.split_once(' ').unwrap();
    let path = if path.starts_with("/v1/") { path.to_owned() } else { format!("{C}{path}") };
    let answer = chat.send(bearer, method, &path, (!body.is_null()).then_some(body));
    let code = if answer.status < 400 { String::new() } else { answer.code() };
    (answer.status, code)
}

fn done(status: u16) -> (u16, String) {
    refused(status, "")
}

/// Ada's inbox, with everything that was answered before.
fn inbox(server: &TestServer) -> Value {
    let answer = server.send("GET", INBOX, &NOW, None);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.header("evenkeel-staleness-ms").is_some());
    answer.json()["items"].clone()
}

#[test]
fn users_speak_for_themselves_alone() {
    let chat = keyed();
    let ada = chat.token("ada");
    let hello = json!({ "body": "hello" });
    assert_eq!(asked(&chat, &ada, SEND, &hello), done(201));
    let sent = chat.send(&ada, "GET", &format!("{C}/messages/2"), None).json();
    assert_eq!((&sent["sender"], &sent["body"]), (&json!("ada"), &json!("hello")));
    let named = json!({ "sender": "ada", "body": "hello" });
    assert_eq!(asked(&chat, &ada, SEND, &named), done(200), "the same");
    for (what, body, status) in [
        ("PATCH /messages/2", json!({ "body": 2 }), 200),
        ("PATCH /messages/2", json!({ "by": "ada", "body": 3 }), 200),
        ("PUT /messages/2/reactions/ok/ada", Value::Null, 200),
        ("GET /messages/2/reactions", Value::Null, 200),
        ("DELETE /messages/2/reactions/ok/ada", Value::Null, 200),
        ("PUT /read/ada", json!({ "seq": 2 }), 200),
        ("GET /v1/users/ada/inbox", Value::Null, 200),
        ("DELETE /messages/2?by=ada", Value::Null, 200),
        ("DELETE /members/ada?by=ada", Value::Null, 204),
    ] {
        assert_eq!(asked(&chat, &ada, what, &body), done(status), "{what}");
    }
    chat.admin("PUT", &format!("{C}/members/ada"), None);
    chat.message("c", "ada", "m2");
    let seq = chat.message("c", "bob", "m3");
    let of_bob = format!("PATCH /messages/{seq}");
    let of_bob_deleted = format!("DELETE /messages/{seq}");
    for (what, body) in [
        ("PUT /messages/by-client-id/m4", json!({ "sender": "bob", "body": 1 })),
        (of_bob.as_str(), json!({ "body": 1 })),
        (of_bob.as_str(), json!({ "by": "bob", "body": 1 })),
        (of_bob_deleted.as_str(), Value::Null),
        ("DELETE /messages/2?by=bob", Value::Null),
        ("PUT /messages/2/reactions/ok/bob", Value::Null),
        ("DELETE /messages/2/reactions/ok/bob", Value::Null),
        ("PUT /read/bob", json!({ "seq": 2 })),
        ("GET /v1/users/bob/inbox", Value::Null),
        ("PUT /members/zoe", json!({})),
        ("PUT /members/zoe", json!({ "by": "mia" })),
        ("DELETE /members/bob", Value::Null),
        ("DELETE /members/bob?by=bob", Value::Null),
        ("PUT /v1/conversations/c", json!({})),
        ("PUT /v1/conversations/mine", json!({ "members": ["ada"] })),
        ("POST /v1/token-keys", json!({ "algorithm": "HS256" })),
    ] {
        assert_eq!(asked(&chat, &ada, what, &body), refused(403, "forbidden"), "{what}");
    }
}

#[test]
fn each_role_may_do_what_it_says() {
    let chat = keyed();
    chat.message("c", "bob", "m1");
    let tokens = ["eve", "ada", "mia"].map(|user| (user, chat.token(user)));
    let body = json!({ "body": 1 });
    for (what, body, status, may) in [
        ("GET ", &Value::Null, 200, [true, true, true]),
        ("GET /members", &Value::Null, 200, [true, true, true]),
        ("GET /messages", &Value::Null, 200, [true, true, true]),
        ("GET /messages/2", &Value::Null, 200, [true, true, true]),
        ("GET /messages/2/reactions", &Value::Null, 200, [true, true, true]),
        ("PUT /read/{user}", &json!({ "seq": 1 }), 200, [true, true, true]),
        ("PUT /messages/by-client-id/m2", &body, 201, [false, true, true]),
        ("PUT /messages/2/reactions/ok/{user}", &Value::Null, 200, [false, true, true]),
        ("PUT /members/zoe", &json!({ "role": "reader" }), 201, [false, false, true]),
        ("DELETE /members/zoe", &Value::Null, 204, [false, false, true]),
        ("DELETE /messages/2", &Value::Null, 200, [false, false, true]),
    ] {
        for ((user, token), may) in tokens.iter().zip(may) {
            let expected = if may { done(status) } else { refused(403, "forbidden") };
            let what = what.replace("{user}", user);
            assert_eq!(asked(&chat, token, &what, body), expected, "{user}: {what}");
        }
    }
    chat.admin("PUT", &format!("{C}/members/ada"), Some(&json!({ "role": "reader" })));
    let demoted = asked(&chat, &tokens[1].1, "PUT /messages/by-client-id/later", &body);
    assert_eq!(demoted, refused(403, "forbidden"), "on a role that they have no more");
    let left = asked(&chat, &tokens[0].1, "DELETE /members/eve", &Value::Null);
    assert_eq!(left, done(204), "anybody may leave");
}

/// The back end is answered as whoever it names would be.
#[test]
fn a_back_end_asks_for_itself_or_on_behalf_of_a_user() {
    let chat = keyed();
    chat.message("c", "bob", "m1");
    for (what, body, expected) in [
        ("PUT /messages/by-client-id/m2", json!({ "body": 1 }), refused(400, "invalid_request")),
        ("PUT /members/zoe", json!({ "by": "ada" }), refused(403, "forbidden")),
        ("PUT /members/zoe", json!({ "by": "max" }), refused(403, "not_a_member")),
        ("PUT /members/zoe", json!({ "by": "mia" }), done(201)),
        ("DELETE /members/zoe?by=ada", Value::Null, refused(403, "forbidden")),
        ("DELETE /members/zoe?by=zoe", Value::Null, done(204)),
        ("DELETE /members/eve?by=mia", Value::Null, done(204)),
        ("PUT /read/eve", json!({ "seq": 2 }), refused(403, "not_a_member")),
        ("DELETE /members/mia", Value::Null, done(204)),
        ("PATCH /messages/2", json!({ "body": 2 }), done(200)),
    ] {
        assert_eq!(asked(&chat, &chat.admin, what, &body), expected, "{what} {body}");
    }
    let (reads, _) = chat.key("default", &["chat:read"]);
    let (writes, _) = chat.key("default", &["chat:write"]);
    let (neither, _) = chat.key("default", &["jobs:write"]);
    let sent = json!({ "sender": "ada", "body": 1 });
    for (key, read, write) in [(&reads, 200, 403), (&writes, 403, 201), (&neither, 403, 403)] {
        for path in ["", "/messages", "/members"] {
            assert_eq!(asked(&chat, key, &format!("GET {path}"), &Value::Null).0, read, "{path}");
        }
        assert_eq!(asked(&chat, key, "GET /v1/users/ada/inbox", &Value::Null).0, read);
        assert_eq!(asked(&chat, key, "PUT /messages/by-client-id/k", &sent).0, write);
    }
}

#[test]
fn a_token_is_good_for_what_it_says_and_no_more() {
    let chat = keyed();
    chat.conversation("d", &["ada"]);
    let some = chat.token_with("ada", "conversations", json!(["d"]));
    let body = json!({ "body": 1 });
    for (name, expected) in [("d", done(201)), ("c", refused(403, "forbidden"))] {
        let send = format!("PUT /v1/conversations/{name}/messages/by-client-id/m1");
        assert_eq!(asked(&chat, &some, &send, &body), expected);
        for read in ["", "/messages", "/members", "/messages/2", "/messages/2/reactions"] {
            let read = format!("GET /v1/conversations/{name}{read}");
            let (status, _) = asked(&chat, &some, &read, &Value::Null);
            assert_eq!(status, if name == "d" { 200 } else { 403 }, "{read}");
        }
    }
    assert_eq!(asked(&chat, &some, "GET /stream", &Value::Null), refused(403, "forbidden"));
    let unknown = asked(&chat, &some, "GET /v1/conversations/none", &Value::Null);
    assert_eq!(unknown, refused(403, "forbidden"), "whether there is such a one is not said");
    let whole = asked(&chat, &some, "GET /v1/users/ada/inbox", &Value::Null);
    assert_eq!(whole, refused(403, "forbidden"));
    let none = chat.token_with("ada", "conversations", json!([]));
    assert_eq!(asked(&chat, &none, "GET /messages", &Value::Null).0, 403);
    let reads = chat.token_with("ada", "scope", json!("chat:read"));
    assert_eq!(asked(&chat, &reads, "GET /messages", &Value::Null), done(200));
    let sent = asked(&chat, &reads, SEND, &body);
    assert_eq!(sent, refused(403, "forbidden"));
    let over = chat.token_with("ada", "exp", json!(now_s() - 1));
    let token = chat.token("ada");
    let forged = format!("{}.{}", token.rsplit_once('.').unwrap().0, "A".repeat(43));
    for wrong in [over, forged] {
        for what in ["GET /messages", SEND] {
            assert_eq!(asked(&chat, &wrong, what, &body), refused(401, "unauthenticated"));
        }
    }
}

#[test]
fn whoever_is_no_member_or_of_another_tenant_reads_and_does_nothing() {
    let chat = keyed();
    chat.message("c", "bob", "m1");
    let zoe = chat.token("zoe");
    let (other, _) = chat.key("acme", &["chat:read", "chat:write"]);
    for (what, body) in [
        ("GET ", Value::Null),
        ("GET /members", Value::Null),
        ("GET /messages", Value::Null),
        ("GET /messages/2", Value::Null),
        ("GET /messages/2/reactions", Value::Null),
        ("GET /stream", Value::Null),
        ("GET /stream?since=start", Value::Null),
        (SEND, json!({ "sender": "zoe", "body": 1 })),
        ("PATCH /messages/2", json!({ "body": 1 })),
        ("DELETE /messages/2", Value::Null),
        ("PUT /messages/2/reactions/ok/zoe", Value::Null),
        ("DELETE /messages/2/reactions/ok/zoe", Value::Null),
        ("PUT /read/zoe", json!({ "seq": 1 })),
        ("PUT /members/zoe", json!({})),
        ("DELETE /members/bob", Value::Null),
    ] {
        assert_eq!(asked(&chat, &zoe, what, &body), refused(403, "not_a_member"), "{what}");
        assert_eq!(asked(&chat, &other, what, &body), refused(404, "not_found"), "{what}");
    }
    let nothing = json!({ "items": [], "cursor": null });
    assert_eq!(chat.send(&zoe, "GET", "/v1/users/zoe/inbox", None).json(), nothing);
    assert_eq!(chat.send(&other, "GET", INBOX, None).json(), nothing);
    let own = chat.send(&other, "PUT", C, Some(&json!({ "members": ["ada"] })));
    assert_eq!((own.status, &own.json()["last_seq"]), (201, &json!(1)), "one of its own");
    assert_eq!(chat.admin("GET", C, None).json()["last_seq"], 2);
    // A user of the first tenant is none of the second's, whatever the names.
    let page = chat.send(&chat.token("ada"), "GET", &format!("{C}/messages"), None).json();
    assert_eq!(page["items"][0]["client_id"], "m1");
}

#[test]
fn a_stream_ends_for_whoever_may_not_read_any_more() {
    let chat = keyed();
    let [ada, bob] = ["ada", "bob"].map(|user| format!("Bearer {}", chat.token(user)));
    let [mut removed, mut revoked] =
        [&ada, &bob].map(|bearer| Followed::open(&chat.server, "", &[("Authorization", bearer)]));
    for stream in [&mut removed, &mut revoked] {
        assert_eq!(stream.next().unwrap().0, "open");
    }
    chat.admin("DELETE", &format!("{C}/members/ada"), None);
    let mut after = Vec::new();
    while let Some((kind, _)) = removed.next() {
        after.push(kind);
    }
    assert!(after.is_empty() || after == ["chat.member_removed"], "{after:?}");
    assert_eq!(revoked.next().unwrap().0, "chat.member_removed");
    chat.admin("DELETE", &format!("/v1/token-keys/{}", chat.kid), None);
    chat.message("c", "mia", "m1");
    assert_eq!(revoked.next(), None, "nothing of what came after");
}

/// What must be unread, from the sentence in the documentation: messages after the marker, not one's
/// own, not deleted.
#[derive(Default)]
struct Expected {
    said: Vec<(u64, String)>,
    deleted: BTreeSet<u64>,
    markers: BTreeMap<String, u64>,
}

impl Expected {
    fn of(&self, user: &str) -> u64 {
        let counts = |(seq, sender): &&(u64, String)| {
            *seq > self.markers[user] && sender != user && !self.deleted.contains(seq)
        };
        self.said.iter().filter(counts).count() as u64
    }

    fn check(&self, server: &TestServer) {
        let list = get(server, "/members");
        let members = list["items"].as_array().unwrap();
        assert_eq!(members.len(), self.markers.len());
        for (member, (user, marker)) in members.iter().zip(&self.markers) {
            let shown = ["user", "read_seq", "unread"].map(|field| &member[field]);
            assert_eq!(shown, [&json!(user), &json!(marker), &json!(self.of(user))]);
        }
    }
}

#[test]
fn unread_are_the_messages_after_the_marker_not_ones_own_not_deleted() {
    let server = open();
    let users = ["ada", "bob", "mia", "zoe"];
    let markers = ["ada", "bob", "eve", "mia"].map(|user| (user.to_owned(), 0)).into();
    let mut expected = Expected { markers, ..Expected::default() };
    let mut dice = fastrand::Rng::with_seed(7);
    for step in 0..150 {
        let user = users[dice.usize(..users.len())];
        let last = get(&server, "")["last_seq"].as_u64().unwrap();
        match dice.u8(..10) {
            _ if !expected.markers.contains_key(user) => {
                assert_eq!(ask(&server, &format!("PUT /members/{user}"), &json!({})).status, 201);
                expected.markers.insert(user.to_owned(), last);
            }
            0..5 => {
                let seq = say(&server, user, &format!("m{step}"));
                expected.said.push((seq, user.to_owned()));
            }
            5..7 => {
                let Some((seq, _)) = dice.choice(&expected.said) else { continue };
                ask(&server, &format!("DELETE /messages/{seq}"), &Value::Null);
                expected.deleted.insert(*seq);
            }
            7 if user == "zoe" => {
                ask(&server, "DELETE /members/zoe", &Value::Null);
                expected.markers.remove(user);
            }
            _ => {
                let seq = dice.u64(..last + 5);
                let read = ask(&server, &format!("PUT /read/{user}"), &json!({ "seq": seq }));
                let newest = expected.said.last().map_or(0, |(seq, _)| *seq);
                let marker = seq.min(newest).max(expected.markers[user]);
                expected.markers.insert(user.to_owned(), marker);
                let answered = json!({ "seq": marker, "unread": expected.of(user) });
                assert_eq!((read.status, read.json()), (200, answered), "{step}: {user} {seq}");
            }
        }
        expected.check(&server);
    }
    let server = TestServer::start_on(server.stop(), ServerOptions::new(Auth::Open));
    expected.check(&server);
    assert_eq!(inbox(&server)[0]["unread"], expected.of("ada"));
}

#[test]
fn a_marker_never_goes_back_and_each_move_is_told() {
    let server = open();
    for at in 0..3 {
        say(&server, "ada", &format!("m{at}"));
    }
    let read = |seq: u64| ask(&server, "PUT /read/eve", &json!({ "seq": seq })).json();
    assert_eq!(read(3), json!({ "seq": 3, "unread": 1 }));
    assert_eq!(read(2), json!({ "seq": 3, "unread": 1 }), "another device comes later");
    let newest = json!({ "seq": 4, "unread": 0 });
    assert_eq!(read(u64::MAX), newest, "beyond the newest message is the newest message");
    assert_eq!(read(5), newest, "to have read that one has read is nothing new");
    let events = Followed::open(&server, "?since=1.4", &[]).events(2);
    for (event, (seq, message)) in events.iter().zip([(5, 3), (6, 4)]) {
        let data = json!({ "seq": seq, "user": "eve", "message": message });
        assert_eq!(event, &("chat.read".to_owned(), data));
    }
    assert_eq!(get(&server, "")["last_seq"], 6, "what moves nothing is no event");
    let none = ask(&server, "PUT /read/zoe", &json!({ "seq": 1 }));
    assert_eq!(refusal(&none), refused(403, "not_a_member"));
}

#[test]
fn an_inbox_has_the_last_active_first() {
    let server = TestServer::open();
    let members = json!({ "members": ["ada", "bob"] }).to_string();
    let names: Vec<String> = (0..9).map(|at| format!("c{at}")).collect();
    for name in &names {
        assert_eq!(server.put(&format!("/v1/conversations/{name}"), &members).status, 201);
    }
    let mut active = BTreeMap::new();
    for (at, name) in names.iter().rev().chain(&names[3..6]).enumerate() {
        let path = format!("/v1/conversations/{name}/messages/by-client-id/m{at}");
        let sent = server.put(&path, "{\"sender\":\"bob\",\"body\":1}").json();
        active.insert(name.as_str(), sent["at"].as_str().unwrap().to_owned());
    }
    let items = inbox(&server);
    let items = items.as_array().unwrap();
    assert_eq!(items.len(), names.len());
    for item in items {
        let name = item["conversation"].as_str().unwrap();
        let at = active.remove(name).expect("each is there once");
        let count = 1 + u64::from(names[3..6].iter().any(|twice| twice == name));
        let expected = json!({
            "conversation": name, "role": "writer", "unread": count, "read_seq": 0,
            "last_seq": count + 1, "active_at": at,
        });
        assert_eq!(item, &expected);
    }
    let at = |item: &Value| item["active_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert!(items.is_sorted_by(|one, next| at(one) >= at(next)), "{items:?}");
    let all: Vec<Value> = items.iter().map(|item| item["conversation"].clone()).collect();
    for limit in [1, 2, 3, 9, 100] {
        assert_eq!(walk(&server, INBOX, limit, "conversation"), all, "{limit}");
    }
    let page = server.send("GET", &format!("{INBOX}?limit=2"), &NOW, None).json();
    let foreign = format!("/v1/users/bob/inbox?cursor={}", page["cursor"].as_str().unwrap());
    assert_eq!(refusal(&server.get(&foreign)), refused(400, "invalid_request"));
}

#[test]
fn an_inbox_is_told_within_a_moment_and_says_how_late_it_is() {
    let server = open();
    say(&server, "bob", "m1");
    let begun = Instant::now();
    loop {
        let answer = server.get(INBOX);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let staleness = answer.header("evenkeel-staleness-ms").unwrap().parse::<u64>().unwrap();
        assert!(staleness <= 1_000, "{staleness} is beyond the bound");
        if answer.json()["items"][0]["unread"] == 1 {
            break;
        }
        assert!(begun.elapsed() < HANG, "an inbox is told nothing");
    }
}

#[test]
fn whoever_asks_for_an_inbox_of_now_is_told_what_was_answered_before() {
    let server = open();
    let mut unread = 0;
    for round in 0..10 {
        for level in ["linearizable", "session", "bounded;max_staleness_ms=0"] {
            let body = json!({ "sender": "bob", "body": level });
            let sent = send(&server, &format!("{round}-{}", &level[..7]), &body);
            let session = sent.header("evenkeel-session").unwrap();
            let headers = [("Evenkeel-Consistency", level), ("Evenkeel-Session", session)];
            let answer = server.send("GET", INBOX, &headers, None);
            unread += 1;
            assert_eq!(answer.json()["items"][0]["unread"], unread, "{level}");
        }
    }
}

#[test]
fn an_inbox_has_what_concerns_its_user_alone() {
    let server = open();
    let said: Vec<u64> = (0..4).map(|at| say(&server, "bob", &format!("m{at}"))).collect();
    ask(&server, "PUT /read/ada", &json!({ "seq": said[1] }));
    ask(&server, "PUT /members/ada", &json!({ "role": "moderator" }));
    let item = inbox(&server)[0].clone();
    assert_eq!((&item["unread"], &item["read_seq"]), (&json!(2), &json!(said[1])));
    assert_eq!(item["role"], "moderator");
    ask(&server, &format!("DELETE /messages/{}", said[3]), &Value::Null);
    assert_eq!(inbox(&server)[0]["unread"], 1, "not deleted");
    ask(&server, "DELETE /members/ada", &Value::Null);
    assert_eq!(inbox(&server), json!([]), "whoever is removed loses their place");
}

#[test]
fn a_stream_goes_on_where_it_was_across_a_restart() {
    let mut server = open();
    let mut stream = Followed::open(&server, "", &[]);
    let (kind, opened) = stream.next().unwrap();
    assert_eq!((kind.as_str(), &opened), ("open", &json!({ "position": "1.1" })));
    say(&server, "ada", "live");
    assert_eq!(stream.events(1)[0].1["client_id"], "live");
    let mut position = "1.1".to_owned();
    let mut seen = Vec::new();
    for round in 0..3 {
        for at in 0..100 {
            say(&server, "bob", &format!("m{round}-{at}"));
        }
        // What the address said once is as old as it is.
        let headers = [("Last-Event-ID", position.as_str())];
        let mut stream = Followed::open(&server, "?since=start", &headers);
        let events = stream.events(if round == 0 { 101 } else { 100 });
        seen.extend(events.iter().map(|(_, data)| data["seq"].as_u64().unwrap()));
        position = get(&server, "")["position"].as_str().unwrap().to_owned();
        drop(stream);
        server = TestServer::start_on(server.stop(), ServerOptions::new(Auth::Open));
    }
    assert_eq!(seen, (2..=302).collect::<Vec<u64>>(), "no gap and no repeat");
}

#[test]
fn a_position_of_which_nothing_is_known_is_told_so() {
    let server = open();
    for unknown in ["4711.1", "1.2", "1.18446744073709551614", "1.18446744073709551615"] {
        let mut stream = Followed::open(&server, "", &[("Last-Event-ID", unknown)]);
        let (kind, reset) = stream.next().unwrap();
        assert_eq!((kind.as_str(), &reset["reload"]), ("reset", &json!(C)), "{unknown}");
        assert_eq!(reset["position"], "1.1");
        assert_eq!(stream.next(), None, "and nothing more");
    }
    for wrong in ["x", "1", "1.", "-1.1", "1.1.1"] {
        let since = server.get(&format!("{C}/stream?since={wrong}"));
        let last = server.send("GET", &format!("{C}/stream"), &[("Last-Event-ID", wrong)], None);
        assert_eq!([since.code(), last.code()], ["invalid_request", "invalid_request"], "{wrong}");
    }
    assert_eq!(server.get("/v1/conversations/none/stream").code(), "not_found");
}

#[test]
fn what_is_beyond_its_bounds_is_refused_and_does_nothing() {
    let server = open();
    let members = |count: usize| (0..count).map(|at| format!("u{at}")).collect::<Vec<_>>();
    let twice = json!({ "members": ["ada", { "user": "ada", "role": "reader" }] });
    let text = |bytes: usize| json!("x".repeat(bytes - 2));
    let long = format!("PUT /members/{}", "u".repeat(129));
    for (what, body, field) in [
        ("PUT", json!({ "members": members(201) }), "members"),
        ("PUT", twice, "members"),
        ("PUT", json!({ "members": ["a b"] }), "members"),
        ("PUT", json!({ "members": [""] }), "members"),
        ("PUT", json!({ "retention_ms": 3_599_999 }), "retention_ms"),
        ("PUT", json!({ "retention_ms": 316_224_000_001_u64 }), "retention_ms"),
        ("PUT", json!({ "members": [{ "user": "zoe", "role": "king" }] }), ""),
        ("PUT", json!({ "members": [{ "user": "zoe", "rank": "reader" }] }), ""),
        (&long, json!({}), ""),
        ("PUT /members/a%20b", json!({}), ""),
        ("PUT /members/zoe", json!({ "role": "king" }), ""),
        ("DELETE /members/ada?by=a%20b", Value::Null, "by"),
        (SEND, json!({ "sender": "ada", "body": text(32_769) }), "body"),
        (SEND, json!({ "sender": "a b", "body": 1 }), "sender"),
        (SEND, json!({ "body": 1 }), "sender"),
        (SEND, json!({ "sender": "ada" }), ""),
        (SEND, Value::Null, ""),
        ("PUT /messages/by-client-id/a%2Fb", json!({ "sender": "ada", "body": 1 }), ""),
        ("PATCH /messages/2", json!({ "body": text(32_769) }), "body"),
        ("PUT /read/ada", json!({ "seq": -1 }), ""),
        ("PUT /read/ada", json!({}), ""),
    ] {
        let answer = ask(&server, what, &body);
        assert_eq!(refusal(&answer), refused(400, "invalid_request"), "{what} {field}");
        let named = answer.json()["field"].as_str().unwrap_or_default().to_owned();
        assert_eq!(named, field, "{what}: {}", answer.body);
    }
    for unread in ["\"\\ud800\"", "1e999"] {
        let body = format!("{{\"sender\":\"ada\",\"body\":{unread}}}");
        let answer = server.put(&format!("{C}/messages/by-client-id/m1"), &body).json();
        assert_eq!([&answer["code"], &answer["field"]], ["invalid_request", "body"], "{unread}");
    }
    let large = ask(&server, SEND, &json!({ "sender": "ada", "body": text(300_000) }));
    assert_eq!(refusal(&large), refused(413, "too_large"));
    assert_eq!(get(&server, "")["last_seq"], 1, "nothing was done");
    assert_eq!(ask(&server, "PUT", &json!({ "members": members(200) })).status, 200);
    let most = json!({ "sender": "ada", "body": text(32_768) });
    assert_eq!(ask(&server, SEND, &most).status, 201);
    assert_eq!(ask(&server, "PATCH /messages/202", &json!({ "body": text(32_768) })).status, 200);
}

#[test]
fn what_is_not_known_is_answered_with_what_may_be_meant() {
    let server = open();
    for (what, body, meant) in [
        ("PUT", json!({ "member": ["ada"] }), "members"),
        ("PUT", json!({ "retention": 1 }), "retention_ms"),
        ("PUT /members/zoe", json!({ "rolle": "reader" }), "role"),
        (SEND, json!({ "sendr": "ada", "body": 1 }), "sender"),
        (SEND, json!({ "sender": "ada", "body": 1, "replyto": 2 }), "reply_to"),
        ("PATCH /messages/2", json!({ "bodi": 1 }), "body"),
        ("PUT /read/ada", json!({ "sec": 1 }), "seq"),
        ("GET /messages?befor=2", Value::Null, "before"),
        ("GET /stream?sinc=1.1", Value::Null, "since"),
        ("DELETE /messages/2?bye=ada", Value::Null, "by"),
    ] {
        let answer = ask(&server, what, &body);
        assert_eq!(refusal(&answer), refused(400, "invalid_request"), "{what}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(&format!("did you mean {meant:?}?")), "{what}: {detail}");
    }
}
