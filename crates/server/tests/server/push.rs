//! Queues that are pushed, over HTTP: how they are put and shown, and a consumer that gets jobs.

use crate::harness::{Answer, TestServer};
use evenkeel_server::{Auth, ServerOptions};
use serde_json::{Value, json};
use std::{
    io::{BufReader, Write},
    net::{SocketAddr, TcpListener},
    sync::mpsc::{Receiver, sync_channel},
    time::{Duration, Instant},
};

const HANG: Duration = Duration::from_secs(30);
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";

fn push(url: &str, more: &Value) -> String {
    let mut push = json!({ "url": url, "secret": SECRET });
    let fields = more.as_object().unwrap().clone();
    push.as_object_mut().unwrap().extend(fields);
    json!({ "push": push }).to_string()
}

/// Answers each request with the next of `answers`, the last one again and again; says which jobs came.
fn consumer(answers: &'static [(&'static str, &'static str)]) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, jobs) = sync_channel(1_024);
    std::thread::spawn(move || {
        let mut answers = answers.iter().copied();
        let mut next = answers.next().unwrap();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // A request has the shape of an answer but for its first line, of which the second word is
            // then the path.
            let head = {
                let mut reader = BufReader::new(&mut stream);
                read(&mut reader)
            };
            let (status, body) = next;
            next = answers.next().unwrap_or(next);
            let length = body.len();
            let close = "connection: close";
            let answer =
                format!("HTTP/1.1 {status}\r\n{close}\r\ncontent-length: {length}\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).unwrap();
            let job = head.iter().find(|line| line.starts_with("evenkeel-job: ")).cloned();
            let _ = sender.send(job.unwrap_or_default());
        }
    });
    (address, jobs)
}

/// The head of a request, and its body read.
fn read(reader: &mut impl std::io::BufRead) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim_end().is_empty() {
            break;
        }
        lines.push(line.trim_end().to_owned());
    }
    let length = lines.iter().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    lines
}

/// Asks until it is so.
fn until(server: &TestServer, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let found = server.get(path).json();
        if wanted(&found) {
            return found;
        }
        assert!(begun.elapsed() < HANG, "{found}");
    }
}

fn enqueue(server: &TestServer, count: usize) {
    let jobs = vec![json!({ "kind": "mail", "payload": { "to": "ada" } }); count];
    let answer = server.post("/v1/queues/q/jobs", &json!({ "jobs": jobs }).to_string());
    assert_eq!(answer.status, 201, "{}", answer.body);
}

#[test]
fn a_push_is_put_and_shown_without_its_secret() {
    let server = TestServer::pushing();
    let mut answers: Vec<Answer> = Vec::new();
    answers.push(server.put("/v1/queues/q", &push("http://127.0.0.1:1/a", &json!({}))));
    let shown = &answers[0].json()["push"];
    assert_eq!(shown["url"], "http://127.0.0.1:1/a");
    assert_eq!((&shown["timeout_ms"], &shown["concurrency_max"]), (&json!(10_000), &json!(32)));
    assert_eq!((&shown["secret_set"], &shown["disabled"]), (&json!(true), &Value::Null));
    assert_eq!(shown["rotates_until"], Value::Null);
    let standing = until(&server, "/v1/queues/q", |found| !found["push"]["breaker"].is_null());
    assert_eq!(
        (&standing["push"]["breaker"], &standing["push"]["in_flight"]),
        (&json!("closed"), &json!(0))
    );
    let more = json!({ "secret": OTHER, "timeout_ms": 500, "concurrency_max": 2 });
    answers.push(server.put("/v1/queues/q", &push("http://127.0.0.1:1/a", &more)));
    assert!(answers[1].json()["push"]["rotates_until"].is_string(), "{}", answers[1].body);
    let kept = json!({ "push": { "url": "http://127.0.0.1:1/b" } }).to_string();
    answers.push(server.put("/v1/queues/q", &kept));
    assert_eq!(answers[2].json()["push"]["url"], "http://127.0.0.1:1/b");
    answers.push(server.get("/v1/queues/q"));
    answers.push(server.get("/v1/queues"));
    for answer in &answers {
        assert!(answer.status == 200 || answer.status == 201, "{}", answer.body);
        assert!(!answer.body.contains("whsec") && !answer.body.contains("MfKQ"), "{}", answer.body);
    }
    let without = server.put("/v1/queues/q", "{}");
    assert_eq!(without.json()["push"], Value::Null);
    let new = server.put("/v1/queues/q", &kept);
    assert_eq!((new.status, &new.json()["code"]), (400, &json!("invalid_queue")), "no secret");
}

#[test]
fn what_is_not_legal_is_refused_and_says_why() {
    let server = TestServer::pushing();
    let good = "http://127.0.0.1:1/";
    let long = format!("http://127.0.0.1:1/{}", "x".repeat(2_048));
    for (body, says) in [
        (push("ftp://127.0.0.1/", &json!({})), "URL"),
        (push("http://u:p@127.0.0.1/", &json!({})), "URL"),
        (push("http://127.0.0.1/#a", &json!({})), "fragment"),
        (push(&long, &json!({})), "1 to 2048 bytes"),
        (push("http://10.1.2.3/", &json!({})), "push.allow_private"),
        (push(good, &json!({ "secret": "hunter2" })), "push.secret begins with whsec_"),
        (push(good, &json!({ "secret": "whsec_!" })), "base64"),
        (push(good, &json!({ "secret": "whsec_MfKQ" })), "24 to 64 bytes"),
        (push(good, &json!({ "timeout_ms": 1 })), "push.timeout_ms is 100 to 300000"),
        (push(good, &json!({ "concurrency_max": 0 })), "push.concurrency_max is 1 to 256"),
        (push(good, &json!({ "secrets": [] })), "did you mean"),
    ] {
        let answer = server.put("/v1/queues/q", &body);
        assert_eq!(answer.status, 400, "{body}: {}", answer.body);
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(says), "{body}: {detail}");
        assert!(!detail.contains("hunter2") && !detail.contains("MfKQ"), "{detail}");
    }
    assert_eq!(server.get("/v1/queues/q").status, 404);
    let public = TestServer::start(ServerOptions::new(Auth::Open));
    for url in [good, "http://localhost:1/", "http://[::1]/"] {
        let answer = public.put("/v1/queues/q", &push(url, &json!({})));
        assert!(answer.body.contains("push.allow_private"), "{url}: {}", answer.body);
    }
    assert_eq!(public.put("/v1/queues/q", &push("http://a.example/", &json!({}))).status, 201);
}

#[test]
fn jobs_are_pushed_until_their_consumer_is_gone_and_again_when_it_is_put_again() {
    let server = TestServer::pushing();
    let (address, jobs) = consumer(&[
        ("200 OK", "{\"sent\": true}"),
        ("410 Gone", ""),
        ("500 No", "later"),
        ("200 OK", ""),
    ]);
    let body = json!({
        "backoff": { "base_ms": 1, "max_ms": 1 },
        "push": { "url": format!("http://{address}/"), "secret": SECRET, "concurrency_max": 1 },
    });
    let body = body.to_string();
    assert_eq!(server.put("/v1/queues/q", &body).status, 201);
    enqueue(&server, 1);
    let done = until(&server, "/v1/queues/q", |found| found["counts"]["done"] == 1);
    assert_eq!(done["push"]["breaker"], "closed", "{done}");
    let job = jobs.recv_timeout(HANG).unwrap().replace("evenkeel-job: ", "");
    let job = server.get(&format!("/v1/queues/q/jobs/{job}")).json();
    assert_eq!(
        (&job["state"], &job["result"]),
        (&json!("done"), &json!({ "sent": true })),
        "{job}"
    );
    assert_eq!(job["worker"], Value::Null);
    enqueue(&server, 1);
    let gone = until(&server, "/v1/queues/q", |found| !found["push"]["disabled"].is_null());
    assert_eq!(gone["push"]["disabled"], "answered 410 Gone");
    let ready = until(&server, "/v1/queues/q", |found| found["counts"]["ready"] == 1);
    assert_eq!((&ready["totals"]["failed"], &ready["totals"]["crashed"]), (&json!(0), &json!(0)));
    until(&server, "/v1/queues/q", |found| found["push"]["breaker"].is_null());
    assert_eq!(server.put("/v1/queues/q", &body).json()["push"]["disabled"], Value::Null);
    let done = until(&server, "/v1/queues/q", |found| found["counts"]["done"] == 2);
    assert_eq!((&done["totals"]["failed"], &done["counts"]["ready"]), (&json!(1), &json!(0)));
    assert_eq!(jobs.try_iter().count(), 3);
    let metrics = server.get("/metrics").body;
    let queue = "{tenant=\"default\",queue=\"q\"";
    assert!(metrics.contains(&format!("evenkeel_push_concurrency{queue}}} 1\n")), "{metrics}");
}
