//! What a product does with conversations. Who may do it is in `chat_access`.

use crate::harness::{Answer, TestServer, request};
use evenkeel_server::{Auth, ServerOptions};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
};

pub(crate) const C: &str = "/v1/conversations/c";
/// A list that has everything that was answered before.
pub(crate) const NOW: [(&str, &str); 1] = [("Evenkeel-Consistency", "linearizable")];

/// A conversation's events, as they come.
pub(crate) struct Followed(BufReader<TcpStream>);

impl Followed {
    pub(crate) fn open(server: &TestServer, query: &str, headers: &[(&str, &str)]) -> Self {
        let mut stream = server.connect();
        let path = format!("{C}/stream{query}");
        stream.write_all(request("GET", &path, headers, None).as_bytes()).unwrap();
        let mut reader = BufReader::new(stream);
        let head = Answer::read(&mut reader);
        assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
        Self(reader)
    }

    /// The `event` and the `data` of the next one; `None` once the stream has ended properly.
    pub(crate) fn next(&mut self) -> Option<(String, Value)> {
        let (mut id, mut kind, mut data) = (String::new(), String::new(), Value::Null);
        loop {
            let mut line = String::new();
            assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "cut off");
            let line = line.trim_end();
            match line.split_once(": ") {
                Some(("id", said)) => id = said.to_owned(),
                Some(("event", said)) => kind = said.to_owned(),
                Some(("data", said)) => data = serde_json::from_str(said).unwrap(),
                _ if line.is_empty() && !data.is_null() => break,
                _ if line == "0" => return None,
                _ => {}
            }
        }
        assert_eq!(data["position"], id.as_str());
        if data["type"].is_string() {
            assert_eq!((&data["type"], &data["entity"]), (&json!(kind), &json!("conversation:c")));
            assert!(data["at"].is_string(), "{data}");
        }
        Some((kind, data))
    }

    /// So many events, which follow one another: of each the type and the data.
    pub(crate) fn events(&mut self, count: usize) -> Vec<(String, Value)> {
        let mut events: Vec<(String, Value)> = Vec::new();
        for _ in 0..count {
            let (kind, mut event) = self.next().unwrap();
            let data = event["data"].take();
            if let Some((_, last)) = events.last() {
                assert_eq!(data["seq"].as_u64(), last["seq"].as_u64().map(|seq| seq + 1));
            }
            events.push((kind, data));
        }
        events
    }
}

/// Two writers, a reader and a moderator.
pub(crate) fn members() -> Value {
    let eve = json!({ "user": "eve", "role": "reader" });
    json!(["ada", "bob", eve, { "user": "mia", "role": "moderator" }])
}

/// A server that asks for no keys, with a conversation of two writers, a reader and a moderator.
pub(crate) fn open() -> TestServer {
    let server = TestServer::open();
    let made = ask(&server, "PUT", &json!({ "members": members() }));
    assert_eq!(made.status, 201, "{}", made.body);
    server
}

/// Asks for something of the conversation, as `PATCH /messages/2`.
pub(crate) fn ask(server: &TestServer, what: &str, body: &Value) -> Answer {
    let (method, path) = what.split_once(' ').unwrap_or((what, ""));
    let body = (!body.is_null()).then(|| body.to_string());
    server.send(method, &format!("{C}{path}"), &[], body.as_deref())
}

/// The same without a body, which must be answered well.
#[track_caller]
pub(crate) fn get(server: &TestServer, path: &str) -> Value {
    let answer = server.get(&format!("{C}{path}"));
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.json()
}

pub(crate) fn send(server: &TestServer, client_id: &str, body: &Value) -> Answer {
    ask(server, &format!("PUT /messages/by-client-id/{client_id}"), body)
}

/// Has `sender` say something; its number.
#[track_caller]
pub(crate) fn say(server: &TestServer, sender: &str, client_id: &str) -> u64 {
    let sent = send(server, client_id, &json!({ "sender": sender, "body": client_id }));
    assert_eq!(sent.status, 201, "{}", sent.body);
    sent.json()["seq"].as_u64().unwrap()
}

/// The status and the code of a problem.
pub(crate) fn refusal(answer: &Answer) -> (u16, String) {
    (answer.status, answer.code())
}

pub(crate) fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

/// All of a list, in pages of at most `limit`: what each item has as `field`.
pub(crate) fn walk(server: &TestServer, path: &str, limit: usize, field: &str) -> Vec<Value> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    let joint = if path.contains('?') { '&' } else { '?' };
    loop {
        let page = server.send("GET", &format!("{path}{joint}limit={limit}{cursor}"), &NOW, None);
        assert_eq!(page.status, 200, "{}", page.body);
        let page = page.json();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= limit);
        found.extend(items.iter().map(|item| item[field].clone()));
        match page["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

#[test]
fn a_conversation_is_put_and_put_again() {
    let server = TestServer::open();
    let made = ask(&server, "PUT", &json!({ "members": ["ada"], "retention_ms": 3_600_000 }));
    assert_eq!(made.status, 201);
    let mut body = made.json();
    let position = body["position"].as_str().unwrap().to_owned();
    assert!(position.ends_with(".1") && body["created_at"].is_string(), "{body}");
    for varying in ["created_at", "position"] {
        body.as_object_mut().unwrap().remove(varying);
    }
    let expected = json!({
        "conversation": "c", "members": 1, "messages": 0, "last_message_at": null,
        "retention_ms": 3_600_000, "first_seq": 1, "last_seq": 1,
    });
    assert_eq!(body, expected);
    let eve = json!({ "user": "eve", "role": "reader" });
    let ada = json!({ "user": "ada", "role": "moderator" });
    let again = ask(&server, "PUT", &json!({ "members": [ada, eve, "bob"] }));
    assert_eq!((again.status, &again.json()["members"]), (200, &json!(3)));
    let roles = walk(&server, &format!("{C}/members"), 2, "role");
    assert_eq!(roles, ["writer", "writer", "reader"], "whoever is there stays what they are");
    assert_eq!(again.json()["last_seq"], 3);
    assert_eq!(ask(&server, "PUT", &Value::Null).json(), again.json(), "nothing changes nothing");
    let longer = ask(&server, "PUT", &json!({ "members": ["ada"], "retention_ms": 7_200_000 }));
    assert_eq!((longer.status, &longer.json()["retention_ms"]), (200, &json!(7_200_000)));
    assert_eq!(get(&server, ""), longer.json());
    let mut stream = Followed::open(&server, "?since=start", &[]);
    let expected = [
        ("chat.created", json!({ "seq": 1, "members": [{ "user": "ada", "role": "writer" }] })),
        ("chat.member_added", json!({ "seq": 2, "user": "bob", "role": "writer" })),
        ("chat.member_added", json!({ "seq": 3, "user": "eve", "role": "reader" })),
        ("chat.retention_changed", json!({ "seq": 4, "retention_ms": 7_200_000 })),
    ];
    assert_eq!(stream.events(4), expected.map(|(kind, data)| (kind.to_owned(), data)));
}

#[test]
fn members_come_change_and_go() {
    let server = open();
    say(&server, "bob", "m1");
    let role = |role: &str| json!({ "role": role });
    let come = ask(&server, "PUT /members/zoe", &role("reader"));
    let zoe = come.json();
    assert_eq!((come.status, &zoe["user"], &zoe["role"]), (201, &json!("zoe"), &json!("reader")));
    assert_eq!((&zoe["read_seq"], &zoe["unread"]), (&json!(2), &json!(0)), "nothing is unread");
    assert_eq!(ask(&server, "PUT /members/zoe", &role("reader")).status, 200);
    say(&server, "bob", "m2");
    let changed = ask(&server, "PUT /members/zoe", &json!({})).json();
    assert_eq!((&changed["role"], &changed["unread"]), (&json!("writer"), &json!(1)));
    assert_eq!(changed["joined_at"], zoe["joined_at"]);
    for limit in [1, 2, 5, 100] {
        let users = walk(&server, &format!("{C}/members"), limit, "user");
        assert_eq!(users, ["ada", "bob", "eve", "mia", "zoe"]);
    }
    let last = get(&server, "")["last_seq"].clone();
    assert_eq!(last, 5, "a member who is one already is no news");
    for _ in 0..2 {
        let gone = ask(&server, "DELETE /members/zoe", &Value::Null);
        assert_eq!((gone.status, gone.body.as_str()), (204, ""));
        assert_eq!(get(&server, "")["last_seq"], 6, "who is none is told the same");
    }
    let left = send(&server, "m3", &json!({ "sender": "zoe", "body": 1 }));
    assert_eq!(refusal(&left), refused(403, "not_a_member"));
    assert_eq!(left.json()["user"], "zoe");
    let back = ask(&server, "PUT /members/zoe", &Value::Null);
    assert_eq!((back.status, &back.json()["unread"]), (201, &json!(0)), "begins anew");
    let nowhere = server.put("/v1/conversations/none/members/zoe", "{}");
    assert_eq!(refusal(&nowhere), refused(404, "not_found"));
}

#[test]
fn a_message_is_sent_once() {
    let server = open();
    let path = format!("{C}/messages/by-client-id/m1");
    let text = "{\"sender\":\"ada\",\"body\":{\"n\":1.50}}";
    let first = server.put(&path, text);
    assert_eq!((first.status, &first.json()["seq"]), (201, &json!(2)));
    assert_eq!(first.json()["duplicate"], false);
    let again = server.put(&path, text);
    let mut expected = first.json();
    expected["duplicate"] = true.into();
    assert_eq!((again.status, again.json()), (200, expected));
    let anew = "{\"sender\":\"ada\",\"body\":{\"n\":1.5}}";
    let replies = "{\"sender\":\"ada\",\"body\":{\"n\":1.50},\"reply_to\":2}";
    for other in [anew, replies] {
        let conflict = server.put(&path, other);
        assert_eq!(refusal(&conflict), refused(422, "idempotency_conflict"));
        assert_eq!(conflict.json()["seq"], 2);
    }
    let of_bob = server.put(&path, "{\"sender\":\"bob\",\"body\":{\"n\":1.50}}");
    assert_eq!((of_bob.status, &of_bob.json()["seq"]), (201, &json!(3)), "an id is its sender's");
    let keyed = [("Idempotency-Key", "k")];
    for (client_id, seq) in [("m2", 4), ("m3", 5)] {
        let path = format!("{C}/messages/by-client-id/{client_id}");
        let sent = server.send("PUT", &path, &keyed, Some("{\"sender\":\"ada\",\"body\":1}"));
        assert_eq!(sent.json()["seq"], seq, "Idempotency-Key does nothing here");
    }
    // What became of it meanwhile does not matter, nor does a restart.
    ask(&server, "DELETE /messages/2", &Value::Null);
    let server = TestServer::start_on(server.stop(), ServerOptions::new(Auth::Open));
    assert_eq!(
        (server.put(&path, text).status, get(&server, "")["last_seq"].clone()),
        (200, 6.into())
    );
    assert_eq!(get(&server, "/messages/2")["body"], Value::Null);
}

#[test]
fn a_reply_answers_a_message_that_there_is() {
    let server = open();
    say(&server, "ada", "m1");
    let reply = json!({ "sender": "bob", "body": "yes", "reply_to": 2 });
    assert_eq!(send(&server, "r1", &reply).json()["seq"], 3);
    assert_eq!(get(&server, "/messages/3")["reply_to"], 2);
    assert!(get(&server, "/messages/2").get("reply_to").is_none());
    for none in [0, 1, 4, u64::MAX] {
        let reply = json!({ "sender": "bob", "body": "yes", "reply_to": none });
        assert_eq!(refusal(&send(&server, "r2", &reply)), refused(404, "not_found"), "{none}");
    }
    for none in ["0", "1", "4", "02", "+2", "-1", "x", "18446744073709551616"] {
        let answer = server.get(&format!("{C}/messages/{none}"));
        let status = if none == "+2" { (400, "invalid_request") } else { (404, "not_found") };
        assert_eq!(refusal(&answer), refused(status.0, status.1), "{none}");
    }
}

#[test]
fn a_body_is_passed_on_to_the_letter() {
    let server = open();
    let path = format!("{C}/messages/by-client-id");
    let bodies = [
        "{ \"b\" : 1.50,\n \"a\":\t[1e2, \"\\u00e9\"]}",
        "null",
        "\"\"",
        "[]",
        "0",
        "\"é\u{2028}\"",
    ];
    for (at, body) in bodies.iter().enumerate() {
        let sent = server
            .put(&format!("{path}/m{at}"), &format!("{{\"sender\":\"ada\",\"body\":{body}}}"));
        assert_eq!(sent.status, 201, "{}", sent.body);
        let shown = server.get(&format!("{C}/messages/{}", at + 2)).body;
        assert!(shown.contains(&format!("\"body\":{body},\"reactions\":{{}}")), "{shown}");
    }
    let all = server.get(&format!("{C}/messages")).body;
    let mut stream = Followed::open(&server, "?since=1.1", &[]);
    for (body, (kind, data)) in bodies.iter().zip(stream.events(bodies.len())) {
        assert!(all.contains(&format!("\"body\":{body},")), "{body} in {all}");
        assert_eq!(kind, "chat.message");
        assert_eq!(data["body"], serde_json::from_str::<Value>(body).unwrap());
    }
}

#[test]
fn history_is_read_both_ways() {
    let server = open();
    // Other things have numbers too, and are no messages.
    let said: Vec<u64> = (0..12)
        .map(|at| {
            let seq = say(&server, "ada", &format!("m{at}"));
            ask(&server, &format!("PUT /messages/{seq}/reactions/heart/bob"), &Value::Null);
            seq
        })
        .collect();
    let back: Vec<u64> = said.iter().rev().copied().collect();
    let list = format!("{C}/messages");
    for limit in [1, 3, 4, 12, 1_000] {
        assert_eq!(walk(&server, &list, limit, "seq"), back, "{limit}");
        assert_eq!(walk(&server, &format!("{list}?after=0"), limit, "seq"), said, "{limit}");
        let middle = said[5];
        let before = walk(&server, &format!("{list}?before={middle}"), limit, "seq");
        assert_eq!(before, back[7..], "{limit}");
        let after = walk(&server, &format!("{list}?after={middle}"), limit, "seq");
        assert_eq!(after, said[6..], "{limit}");
    }
    for empty in ["?before=0", "?before=2", "?after=24", "?after=18446744073709551615"] {
        assert_eq!(
            get(&server, &format!("/messages{empty}")),
            json!({ "items": [], "cursor": null })
        );
    }
    let far = walk(&server, &format!("{list}?before=18446744073709551615"), 100, "seq");
    assert_eq!(far, back);
    let cursor = get(&server, "/messages?limit=2")["cursor"].as_str().unwrap().to_owned();
    for wrong in [
        "after=1&before=9".to_owned(),
        "after=x".to_owned(),
        "before=-1".to_owned(),
        "limit=0".to_owned(),
        "limit=1001".to_owned(),
        "cursor=00".to_owned(),
        "since=1".to_owned(),
        format!("after=1&cursor={cursor}"),
    ] {
        let answer = server.get(&format!("{list}?{wrong}"));
        assert_eq!(refusal(&answer), refused(400, "invalid_request"), "{wrong}");
    }
    let elsewhere = server.get(&format!("{C}/members?cursor={cursor}"));
    assert_eq!(elsewhere.code(), "invalid_request");
    assert_eq!(server.get("/v1/conversations/none/messages").code(), "not_found");
}

#[test]
fn a_page_of_long_messages_is_short_and_none_is_passed_over() {
    let server = open();
    let body = "x".repeat(32 * 1_024 - 2);
    let said: Vec<u64> = (0..50)
        .map(|at| {
            let sent = send(&server, &format!("m{at}"), &json!({ "sender": "ada", "body": body }));
            sent.json()["seq"].as_u64().unwrap()
        })
        .collect();
    let page = server.get(&format!("{C}/messages?limit=1000"));
    assert!(page.body.len() <= 1_100_000, "{} bytes", page.body.len());
    assert!(page.json()["cursor"].is_string());
    let back: Vec<u64> = said.iter().rev().copied().collect();
    assert_eq!(walk(&server, &format!("{C}/messages"), 1_000, "seq"), back);
    assert_eq!(walk(&server, &format!("{C}/messages?after=0"), 1_000, "seq"), said);
    let events = Followed::open(&server, "?since=start", &[]).events(51);
    assert_eq!(events[50].1["seq"], said[49]);
}

#[test]
fn a_message_says_what_its_last_edit_says() {
    let server = open();
    say(&server, "ada", "m1");
    let edit = |body: &Value| ask(&server, "PATCH /messages/2", body);
    let same = edit(&json!({ "by": "ada", "body": "m1" }));
    assert_eq!((same.status, same.json()), (200, json!({ "message": 2, "seq": null })));
    assert!(get(&server, "/messages/2").get("edited_at").is_none());
    let edited = edit(&json!({ "by": "ada", "body": { "text": 2 } }));
    assert_eq!((edited.status, edited.json()), (200, json!({ "message": 2, "seq": 3 })));
    assert_eq!(edit(&json!({ "body": 3 })).json()["seq"], 4, "the back end may");
    let shown = get(&server, "/messages/2");
    assert_eq!((&shown["body"], &shown["sender"]), (&json!(3), &json!("ada")));
    assert!(shown["edited_at"].as_str() >= shown["at"].as_str(), "{shown}");
    assert_eq!(get(&server, "/messages")["items"], json!([shown]));
    let mut stream = Followed::open(&server, "?since=1.1", &[]);
    let events = stream.events(3);
    assert_eq!(events[0].1["body"], "m1", "as it was first said");
    let expected = json!({ "seq": 3, "message": 2, "by": "ada", "body": { "text": 2 } });
    assert_eq!(events[1], ("chat.edited".to_owned(), expected));
    assert_eq!(events[2].1, json!({ "seq": 4, "message": 2, "body": 3 }), "nobody is named");
    for (what, status, code) in [
        (json!({ "by": "bob", "body": 1 }), 403, "forbidden"),
        (json!({ "by": "mia", "body": 1 }), 403, "forbidden"),
        (json!({ "by": "eve", "body": 1 }), 403, "forbidden"),
        (json!({ "by": "zoe", "body": 1 }), 403, "not_a_member"),
    ] {
        assert_eq!(refusal(&edit(&what)), refused(status, code), "{what}");
    }
    for at in 2..100 {
        assert_eq!(edit(&json!({ "body": at + 100 })).status, 200, "{at}");
    }
    assert_eq!(refusal(&edit(&json!({ "body": 0 }))), refused(409, "too_many_edits"));
    let none = ask(&server, "PATCH /messages/3", &json!({ "body": 1 }));
    assert_eq!(refusal(&none), refused(404, "not_found"), "an edit is no message");
}

#[test]
fn what_is_deleted_is_nowhere_any_more() {
    let server = open();
    let sent = json!({ "sender": "ada", "body": "secret-1" });
    assert_eq!(send(&server, "m1", &sent).status, 201);
    ask(&server, "PATCH /messages/2", &json!({ "by": "ada", "body": "secret-2" }));
    ask(&server, "PUT /messages/2/reactions/heart/bob", &Value::Null);
    for (by, code) in [("bob", "forbidden"), ("eve", "forbidden"), ("zoe", "not_a_member")] {
        let answer = ask(&server, &format!("DELETE /messages/2?by={by}"), &Value::Null);
        assert_eq!(refusal(&answer), refused(403, code), "{by}");
    }
    let delete = || ask(&server, "DELETE /messages/2?by=mia", &Value::Null);
    assert_eq!(delete().json(), json!({ "message": 2, "seq": 5 }), "a moderator may");
    assert_eq!(delete().json(), json!({ "message": 2, "seq": null }));
    let shown = server.get(&format!("{C}/messages/2"));
    assert!(shown.body.contains("\"body\":null") && shown.json()["deleted_at"].is_string());
    assert_eq!(server.get(&format!("{C}/messages")).json()["items"], json!([shown.json()]));
    assert!(!shown.body.contains("secret"), "{}", shown.body);
    let events = Followed::open(&server, "?since=1.1", &[]).events(4);
    let said = json!({ "seq": 2, "sender": "ada", "client_id": "m1", "deleted": true });
    assert_eq!(events[0], ("chat.message".to_owned(), said));
    let edited = json!({ "seq": 3, "message": 2, "by": "ada", "deleted": true });
    assert_eq!(events[1], ("chat.edited".to_owned(), edited));
    let deleted = json!({ "seq": 5, "message": 2, "by": "mia" });
    assert_eq!(events[3], ("chat.deleted".to_owned(), deleted));
    for (what, body) in [
        ("PATCH /messages/2", json!({ "body": 1 })),
        ("PUT /messages/2/reactions/smile/bob", Value::Null),
        ("DELETE /messages/2/reactions/heart/bob", Value::Null),
    ] {
        assert_eq!(refusal(&ask(&server, what, &body)), refused(409, "message_deleted"), "{what}");
    }
    say(&server, "bob", "m2");
    assert_eq!(ask(&server, "DELETE /messages/6", &Value::Null).json()["seq"], 7, "the back end");
    let none = ask(&server, "DELETE /messages/7", &Value::Null);
    assert_eq!(refusal(&none), refused(404, "not_found"), "a deletion is no message");
}

#[test]
fn reactions_are_counted_and_listed() {
    let server = open();
    say(&server, "ada", "m1");
    let react = |method: &str, kind: &str, user: &str| {
        ask(&server, &format!("{method} /messages/2/reactions/{kind}/{user}"), &Value::Null)
    };
    for (kind, user, seq) in
        [("heart", "bob", 3), ("heart", "ada", 4), ("+1", "ada", 0), ("ok", "mia", 5)]
    {
        let answer = react("PUT", kind, user);
        if seq == 0 {
            assert_eq!(refusal(&answer), refused(400, "invalid_request"), "{kind} is no name");
            continue;
        }
        assert_eq!((answer.status, answer.json()), (200, json!({ "message": 2, "seq": seq })));
        assert_eq!(react("PUT", kind, user).json()["seq"], Value::Null, "it is there");
    }
    assert_eq!(get(&server, "/messages/2")["reactions"], json!({ "heart": 2, "ok": 1 }));
    let list = format!("{C}/messages/2/reactions");
    for limit in [1, 2, 3, 100] {
        assert_eq!(walk(&server, &list, limit, "kind"), ["heart", "heart", "ok"], "{limit}");
        assert_eq!(walk(&server, &list, limit, "user"), ["ada", "bob", "mia"], "{limit}");
    }
    for user in ["bob", "ada"] {
        assert!(react("DELETE", "heart", user).json()["seq"].is_u64());
        assert_eq!(react("DELETE", "heart", user).json()["seq"], Value::Null);
    }
    assert_eq!(get(&server, "/messages/2")["reactions"], json!({ "ok": 1 }));
    let events = Followed::open(&server, "?since=1.4", &[]).events(2);
    let reacted = json!({ "seq": 5, "message": 2, "kind": "ok", "user": "mia" });
    assert_eq!(events[0], ("chat.reacted".to_owned(), reacted));
    let unreacted = json!({ "seq": 6, "message": 2, "kind": "heart", "user": "bob" });
    assert_eq!(events[1], ("chat.unreacted".to_owned(), unreacted));
    for kind in 1..32 {
        assert_eq!(react("PUT", &format!("k{kind}"), "ada").status, 200);
    }
    assert_eq!(refusal(&react("PUT", "k32", "ada")), refused(409, "too_many_reactions"));
    assert_eq!(react("PUT", "k1", "bob").status, 200, "a kind that it has");
    react("DELETE", "ok", "mia");
    assert_eq!(react("PUT", "k32", "ada").status, 200, "at once, not ever");
    assert_eq!(refusal(&react("PUT", "k1", "eve")), refused(403, "forbidden"));
    assert_eq!(refusal(&react("PUT", "k1", "zoe")), refused(403, "not_a_member"));
    let none = ask(&server, "PUT /messages/1/reactions/ok/ada", &Value::Null);
    assert_eq!(refusal(&none), refused(404, "not_found"));
    assert_eq!(server.get(&format!("{C}/messages/1/reactions")).code(), "not_found");
}

#[test]
fn whoever_is_named_in_a_body_has_a_name() {
    let server = open();
    say(&server, "ada", "m1");
    for (what, body) in [
        ("PUT /members/zoe", json!({ "by": "a b" })),
        ("PATCH /messages/2", json!({ "by": "x".repeat(129), "body": 1 })),
    ] {
        let answer = ask(&server, what, &body);
        assert_eq!(refusal(&answer), refused(400, "invalid_request"), "{what}");
        assert_eq!(answer.json()["field"], "by", "{what}");
    }
}
