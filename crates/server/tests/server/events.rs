//! Event streams: in order, resumable, and honest when history is gone.

use crate::harness::{Answer, TestServer, request};
use evenkeel_server::{Auth, ServerOptions};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::Duration,
};

struct EventStream(BufReader<TcpStream>);

#[derive(Debug, PartialEq)]
struct Event {
    id: String,
    kind: String,
    data: Value,
}

impl EventStream {
    fn open(server: &TestServer, query: &str, headers: &[(&str, &str)]) -> Self {
        let mut stream = server.connect();
        let path = format!("/v1/resources/gig/events{query}");
        stream.write_all(request("GET", &path, headers, None).as_bytes()).unwrap();
        let mut reader = BufReader::new(stream);
        let head = Answer::read(&mut reader);
        assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
        Self(reader)
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.0.read_line(&mut line).unwrap();
        (read > 0).then(|| line.trim_end().to_owned())
    }

    /// The next event; `None` once the stream has ended properly. Lines of the chunked framing
    /// and comments are passed over.
    fn next(&mut self) -> Option<Event> {
        let mut event = Event { id: String::new(), kind: String::new(), data: Value::Null };
        loop {
            let line = self.line()?;
            match line.split_once(": ") {
                Some(("id", id)) => event.id = id.to_owned(),
                Some(("event", kind)) => event.kind = kind.to_owned(),
                Some(("data", data)) => event.data = serde_json::from_str(data).unwrap(),
                _ if line.is_empty() && !event.data.is_null() => return Some(event),
                _ if line == "0" => return None,
                _ => {}
            }
        }
    }

    fn kinds(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.next().unwrap().kind).collect()
    }
}

fn with_gig() -> TestServer {
    let server = TestServer::open();
    server.put("/v1/resources/gig", "{\"kind\":\"quantity\",\"capacity\":1000}");
    server
}

#[test]
fn everything_from_the_start_and_then_as_it_comes() {
    let server = with_gig();
    let hold = server.hold("gig", ",\"quantity\":3");
    let mut stream = EventStream::open(&server, "?since=start", &[]);
    assert_eq!(stream.kinds(1), ["reservations.created"]);
    let held = stream.next().unwrap();
    assert_eq!(held.kind, "reservations.held");
    assert_eq!(held.data["position"].as_str(), Some(held.id.as_str()));
    assert_eq!(held.data["entity"], "resource:gig");
    assert_eq!(held.data["type"], "reservations.held");
    let data = &held.data["data"];
    assert_eq!((&data["hold"], &data["quantity"]), (&hold.as_str().into(), &3.into()));
    let address = format!("/v1/resources/gig/holds/{hold}");
    server.post(&format!("{address}/extend"), "{\"ttl_ms\":900000}");
    server.post(&format!("{address}/confirm"), "");
    server.post(&format!("{address}/cancel"), "");
    let live = ["reservations.extended", "reservations.confirmed", "reservations.cancelled"];
    assert_eq!(stream.kinds(3), live);
}

#[test]
fn from_now_begins_with_a_position_to_come_back_to() {
    let server = with_gig();
    let mut stream = EventStream::open(&server, "", &[]);
    let open = stream.next().unwrap();
    assert_eq!(open.kind, "open");
    assert_eq!(open.data["position"].as_str(), Some(open.id.as_str()));
    drop(stream);
    let hold = server.hold("gig", ",\"quantity\":1");
    let mut resumed = EventStream::open(&server, "", &[("Last-Event-ID", &open.id)]);
    let missed = resumed.next().unwrap();
    assert_eq!(
        (missed.kind.as_str(), &missed.data["data"]["hold"]),
        ("reservations.held", &hold.as_str().into())
    );
}

#[test]
fn a_reader_that_resumes_sees_each_event_once_across_a_restart() {
    let mut server = with_gig();
    let mut position = "start".to_owned();
    let mut seen = Vec::new();
    for round in 0..3 {
        let made: Vec<String> = (0..300).map(|_| server.hold("gig", ",\"quantity\":1")).collect();
        let mut stream = EventStream::open(&server, &format!("?since={position}"), &[]);
        let news = if round == 0 { 301 } else { 300 };
        for _ in 0..news {
            let event = stream.next().unwrap();
            position = event.id;
            seen.extend(event.data["data"]["hold"].as_str().map(str::to_owned));
        }
        assert!(seen.ends_with(&made), "round {round}");
        drop(stream);
        server = TestServer::start_on(server.stop(), ServerOptions::new(Auth::Open));
    }
    assert_eq!(seen.len(), 900);
}

#[test]
fn a_position_of_another_life_is_told_so() {
    let server = with_gig();
    for unknown in ["4711.1", "1.99"] {
        let mut stream = EventStream::open(&server, &format!("?since={unknown}"), &[]);
        let reset = stream.next().unwrap();
        assert_eq!(
            (reset.kind.as_str(), &reset.data["reload"]),
            ("reset", &"/v1/resources/gig".into())
        );
        assert_eq!(stream.next(), None, "and nothing more");
        let mut again = EventStream::open(&server, &format!("?since={}", reset.id), &[]);
        server.hold("gig", ",\"quantity\":1");
        assert_eq!(again.kinds(1), ["reservations.held"]);
    }
    assert!(server.get("/metrics").body.contains("evenkeel_streams_reset_total 2\n"));
}

#[test]
fn a_quiet_stream_is_kept_alive_and_ends_with_the_server() {
    let mut options = ServerOptions::new(Auth::Open);
    options.heartbeat = Duration::from_millis(5);
    // A stream is no idle connection, however short idleness is made.
    options.head_timeout = Duration::from_millis(10);
    options.idle_timeout = Duration::from_millis(20);
    let server = TestServer::start(options);
    server.put("/v1/resources/gig", "{\"kind\":\"quantity\",\"capacity\":1}");
    let mut stream = EventStream::open(&server, "", &[]);
    let mut beats = 0;
    while beats < 20 {
        beats += usize::from(stream.line().unwrap().starts_with(": still here"));
    }
    let data = server.stop();
    while let Some(line) = stream.line() {
        assert!(!line.starts_with("event: reservations"), "{line}");
    }
    drop(data);
}

#[test]
fn a_stream_ends_when_its_key_is_revoked_and_streams_are_bounded() {
    let mut options = ServerOptions::new(Auth::Keys);
    options.heartbeat = Duration::from_millis(5);
    options.streams_max = 1;
    let server = TestServer::start(options);
    let admin = format!("Bearer {}", server.admin_key());
    let authorized = [("Authorization", admin.as_str())];
    let body = Some("{\"kind\":\"quantity\",\"capacity\":1}");
    server.send("PUT", "/v1/resources/gig", &authorized, body);
    let key =
        server.send("POST", "/v1/keys", &authorized, Some("{\"scopes\":[\"reservations:read\"]}"));
    let (key, id) = (key.json()["key"].clone(), key.json()["id"].clone());
    let bearer = format!("Bearer {}", key.as_str().unwrap());
    let mut stream = EventStream::open(&server, "", &[("Authorization", &bearer)]);
    let full = server.send("GET", "/v1/resources/gig/events", &authorized, None);
    assert_eq!((full.status, full.code().as_str()), (429, "overloaded"));
    let address = format!("/v1/keys/{}", id.as_str().unwrap());
    assert_eq!(server.send("DELETE", &address, &authorized, None).status, 204);
    assert_eq!(stream.kinds(1), ["open"]);
    assert_eq!(stream.next(), None);
}

#[test]
fn events_of_nothing_are_a_problem() {
    let server = TestServer::open();
    assert_eq!(server.get("/v1/resources/gig/events").code(), "not_found");
}
