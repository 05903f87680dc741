//! What producers, workers and operators do with jobs.

use crate::harness::{Answer, TestServer, request};
use evenkeel_server::{Auth, ServerOptions};
use serde_json::{Value, json};
use std::{
    io::{BufReader, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

pub(crate) const QUEUE: &str = "/v1/queues/mail";
/// Waiting for longer than this for something that must happen is a failure.
const HANG: Duration = Duration::from_secs(30);

pub(crate) fn open(settings: &Value) -> TestServer {
    let server = TestServer::open();
    let answer = server.put(QUEUE, &settings.to_string());
    assert_eq!(answer.status, 201, "{}", answer.body);
    server
}

pub(crate) fn post(server: &TestServer, what: &str, body: &Value) -> Answer {
    server.post(&format!("{QUEUE}/{what}"), &body.to_string())
}

pub(crate) fn enqueue(server: &TestServer, job: &Value) -> String {
    let answer = post(server, "jobs", &json!({ "jobs": [job] }));
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.json()["jobs"][0]["job"].as_str().unwrap().to_owned()
}

pub(crate) fn lease(server: &TestServer, max: usize) -> Vec<Value> {
    let answer = post(server, "lease", &json!({ "worker": "w", "max": max }));
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["jobs"].as_array().unwrap().clone()
}

fn get(server: &TestServer, job: &str) -> Value {
    let answer = server.get(&format!("{QUEUE}/jobs/{job}"));
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

pub(crate) fn about(server: &TestServer, leased: &Value, what: &str, rest: &Value) -> Answer {
    let mut body = rest.clone();
    body["lease"] = leased["lease"].clone();
    post(server, &format!("jobs/{}/{what}", leased["job"].as_str().unwrap()), &body)
}

/// Asks until it is so.
fn until(server: &TestServer, path: &str, so: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let found = server.get(path).json();
        if so(&found) {
            return found;
        }
        assert!(began.elapsed() < HANG, "never so: {found}");
        std::thread::yield_now();
    }
}

/// Begins to wait for a job.
fn wait(server: &TestServer, worker: &str) -> BufReader<TcpStream> {
    let body = json!({ "worker": worker, "wait_ms": 30_000 }).to_string();
    let mut stream = server.connect();
    let text = request("POST", &format!("{QUEUE}/lease"), &[], Some(&body));
    stream.write_all(text.as_bytes()).unwrap();
    BufReader::new(stream)
}

fn given(waiting: &mut BufReader<TcpStream>) -> Vec<Value> {
    let answer = Answer::read(waiting);
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["jobs"].as_array().unwrap().clone()
}

#[test]
fn a_life_of_a_job() {
    let server = open(&json!({}));
    let payload = json!({ "to": "ada", "n": [1, 2.5, null] });
    let trace = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let body = json!({ "jobs": [{ "kind": "welcome", "payload": payload }] }).to_string();
    let taken = server.send("POST", &format!("{QUEUE}/jobs"), &[trace], Some(&body));
    assert_eq!(taken.status, 201, "{}", taken.body);
    assert!(taken.header("evenkeel-session").is_some() && taken.header("evenkeel-as-of").is_some());
    let job = taken.json()["jobs"][0]["job"].as_str().unwrap().to_owned();
    assert_eq!(
        taken.json()["jobs"][0],
        json!({ "job": job, "state": "ready", "duplicate": false })
    );
    assert_eq!(get(&server, &job)["waiting_for"]["reason"], "worker");
    let leased = lease(&server, 10).remove(0);
    assert_eq!((&leased["job"], &leased["payload"]), (&job.as_str().into(), &payload));
    assert_eq!(leased["traceparent"], trace.1);
    let fence = leased["fence"].as_u64().unwrap();
    assert_eq!(leased["lease"], format!("1.{fence}"));
    let told = about(&server, &leased, "progress", &json!({ "progress": { "done": 1 } }));
    assert_eq!(told.json()["state"], "leased");
    let told = about(&server, &leased, "extend", &json!({ "lease_ms": 60_000 }));
    assert_eq!((told.status, &told.json()["cancel"]), (200, &false.into()));
    assert!(told.json()["lease_expires_at"].is_string());
    let seen = get(&server, &job);
    assert_eq!((&seen["worker"], &seen["fence"]), (&"w".into(), &fence.into()));
    assert_eq!(seen["progress"], json!({ "done": 1 }));
    let done = about(&server, &leased, "complete", &json!({ "result": [7] }));
    assert_eq!((done.status, &done.json()["state"]), (200, &"done".into()));
    assert_eq!(about(&server, &leased, "complete", &json!({})).status, 200, "said twice");
    let stale = about(&server, &leased, "fail", &json!({ "error": "late" }));
    assert_eq!((stale.status, stale.code()), (409, "stale_lease".to_owned()));
    let seen = get(&server, &job);
    assert_eq!((&seen["result"], &seen["waiting_for"]), (&json!([7]), &Value::Null));
}

#[test]
fn a_queue_is_put_before_it_is_used_and_deleted_when_it_is_empty() {
    let server = open(&json!({ "max_attempts": 3, "backoff": { "jitter": 0.5 } }));
    let again = server.put(QUEUE, &json!({ "lease_ms": 5_000 }).to_string());
    assert_eq!(again.status, 200, "{}", again.body);
    assert_eq!(
        (&again.json()["max_attempts"], &again.json()["lease_ms"]),
        (&25.into(), &5_000.into())
    );
    assert_eq!(again.json()["spread"], 4);
    for (wrong, code) in [
        (json!({ "spread": 2 }), "queue_fixed"),
        (json!({ "spread": 0 }), "invalid_request"),
        (json!({ "spread": 5 }), "invalid_queue"),
        (json!({ "concurrency_limit": 3 }), "invalid_queue"),
        (json!({ "backoff": { "jitter": 2 } }), "invalid_request"),
        (json!({ "max_atempts": 2 }), "invalid_request"),
    ] {
        assert_eq!(server.put(QUEUE, &wrong.to_string()).code(), code, "{wrong}");
    }
    let unknown = server.post("/v1/queues/mial/jobs", "{\"jobs\":[{\"kind\":\"a\"}]}");
    assert_eq!(unknown.code(), "not_found");
    assert!(unknown.json()["detail"].as_str().unwrap().contains("did you mean \"mail\"?"));
    let delete = || server.send("DELETE", QUEUE, &[], None);
    assert_eq!(delete().code(), "queue_in_use", "it is not draining");
    enqueue(&server, &json!({ "kind": "a" }));
    assert_eq!(post(&server, "drain", &json!({})).json()["draining"], true);
    assert_eq!(
        post(&server, "jobs", &json!({ "jobs": [{ "kind": "a" }] })).code(),
        "queue_draining"
    );
    assert_eq!(delete().code(), "queue_in_use", "a job waits");
    let leased = lease(&server, 1).remove(0);
    assert_eq!(delete().code(), "queue_in_use", "a job runs");
    about(&server, &leased, "complete", &json!({}));
    assert_eq!(delete().status, 204);
    assert_eq!(server.get(QUEUE).code(), "not_found");
    assert_eq!(server.put(QUEUE, "").status, 201, "it can be put again");
    enqueue(&server, &json!({ "kind": "a" }));
    let names: Vec<_> = server.get("/v1/queues").json()["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|queue| queue["queue"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["mail"]);
}

#[test]
fn who_waits_is_woken_in_turn() {
    let server = open(&json!({}));
    let mut waiting = Vec::new();
    for at in 0..3_usize {
        waiting.push(wait(&server, &format!("w{at}")));
        until(&server, QUEUE, |queue| queue["workers_waiting"] == at + 1);
    }
    for (at, waiting) in waiting.iter_mut().enumerate() {
        let job = enqueue(&server, &json!({ "kind": "a" }));
        let given = given(waiting);
        assert_eq!(given[0]["job"], job.as_str());
        assert_eq!(get(&server, &job)["worker"], format!("w{at}"));
    }
    until(&server, QUEUE, |queue| queue["workers_waiting"] == 0);
}

#[test]
fn what_makes_a_job_ready_wakes_who_waits() {
    let server = open(&json!({ "spread": 1, "concurrency_limit": 1 }));
    let mut first = wait(&server, "w1");
    enqueue(&server, &json!({ "kind": "later", "delay_ms": 50 }));
    let later = given(&mut first).remove(0);
    assert_eq!(later["kind"], "later", "it was due");
    let mut second = wait(&server, "w2");
    until(&server, QUEUE, |queue| queue["workers_waiting"] == 1);
    let next = enqueue(&server, &json!({ "kind": "next" }));
    let why = get(&server, &next)["waiting_for"].clone();
    assert_eq!((&why["reason"], &why["limit"]), (&"limit".into(), &1.into()));
    about(&server, &later, "complete", &json!({}));
    assert_eq!(given(&mut second)[0]["job"], next.as_str(), "a slot became free");
    about(&server, &json!({ "job": next, "lease": "0.0" }), "complete", &json!({}));
    post(&server, "pause", &json!({}));
    let mut third = wait(&server, "w3");
    until(&server, QUEUE, |queue| queue["workers_waiting"] == 1);
    let paused = enqueue(&server, &json!({ "kind": "paused" }));
    assert_eq!(get(&server, &paused)["waiting_for"]["reason"], "paused");
    server.put(QUEUE, &json!({ "spread": 1 }).to_string());
    assert_eq!(post(&server, "resume", &json!({})).json()["paused"], false);
    assert_eq!(given(&mut third)[0]["job"], paused.as_str(), "the queue goes on");
}

#[test]
fn who_goes_away_waits_no_more_and_a_stop_ends_waiting() {
    let server = open(&json!({}));
    drop(wait(&server, "gone"));
    let mut stays = wait(&server, "stays");
    until(&server, QUEUE, |queue| queue["workers_waiting"] == 1);
    server.stop();
    assert!(given(&mut stays).is_empty(), "answered before the server ends");
}

#[test]
fn a_batch_is_taken_in_and_done_together() {
    let server = open(&json!({}));
    let jobs: Vec<Value> = (0..100).map(|at| json!({ "kind": "a", "payload": at })).collect();
    let body = json!({ "jobs": jobs }).to_string();
    let keyed = |key| {
        let headers = [("Idempotency-Key", key)];
        server.send("POST", &format!("{QUEUE}/jobs"), &headers, Some(&body))
    };
    let first = keyed("batch-1");
    let again = keyed("batch-1");
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(first.body, again.body);
    let leased = lease(&server, 100);
    let payloads: Vec<u64> = leased.iter().map(|job| job["payload"].as_u64().unwrap()).collect();
    assert_eq!(payloads, (0..100).collect::<Vec<_>>(), "one partition, one order");
    let done = leased.iter().map(|job| json!({ "job": job["job"], "lease": job["lease"] }));
    let mut done: Vec<Value> = done.take(99).collect();
    done.push(json!({ "job": leased[99]["job"], "lease": "1.7" }));
    let answer = post(&server, "complete", &json!({ "jobs": done }));
    assert_eq!(answer.status, 200, "{}", answer.body);
    let told = answer.json()["jobs"].as_array().unwrap().clone();
    assert!(told[..99].iter().all(|job| job["state"] == "done"));
    assert_eq!(told[99]["error"]["code"], "stale_lease");
    let counts = server.get(QUEUE).json()["counts"].clone();
    assert_eq!((&counts["done"], &counts["leased"]), (&99.into(), &1.into()));
}

#[test]
fn a_word_can_ask_for_the_next_job() {
    let server = open(&json!({}));
    for at in 0..4 {
        enqueue(&server, &json!({ "kind": "a", "payload": at }));
    }
    let next = |wait_ms: u64| json!({ "worker": "w", "wait_ms": wait_ms });
    let mut leased = lease(&server, 1).remove(0);
    for (what, rest) in [
        ("complete", json!({ "next": next(0) })),
        ("fail", json!({ "error": "no", "retry": false, "next": next(0) })),
        ("snooze", json!({ "delay_ms": 60_000, "next": next(0) })),
    ] {
        let answer = about(&server, &leased, what, &rest);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let given = answer.json()["next"]["jobs"].as_array().unwrap().clone();
        assert_eq!(given.len(), 1, "{what}");
        assert_ne!(given[0]["job"], leased["job"]);
        leased = given[0].clone();
    }
    let stale = about(
        &server,
        &json!({ "job": leased["job"], "lease": "1.1" }),
        "complete",
        &json!({ "next": next(0) }),
    );
    assert_eq!(stale.code(), "stale_lease", "whose word is not taken is given nothing");
    let wrong = about(&server, &leased, "complete", &json!({ "next": { "worker": "" } }));
    assert_eq!(wrong.code(), "invalid_request");
    assert_eq!(
        get(&server, leased["job"].as_str().unwrap())["state"],
        "leased",
        "nothing was done"
    );
    let long = json!({ "next": { "worker": "w", "lease_ms": 3_600_001 } });
    let taken = about(&server, &leased, "complete", &long);
    let body = taken.json();
    assert_eq!((taken.status, &body["state"]), (200, &"done".into()), "the word stands");
    assert_eq!(body["next"]["error"]["code"], "lease_too_long");
    assert_eq!(body["next"]["jobs"], json!([]));
    let jobs: Vec<Value> = (0..60).map(|at| json!({ "kind": "b", "payload": at })).collect();
    post(&server, "jobs", &json!({ "jobs": jobs }));
    let leased = lease(&server, 60);
    let done: Vec<Value> =
        leased.iter().map(|job| json!({ "job": job["job"], "lease": job["lease"] })).collect();
    enqueue(&server, &json!({ "kind": "c" }));
    let body = json!({ "jobs": done, "next": { "worker": "w", "max": 100 } });
    let answer = post(&server, "complete", &body).json();
    let states = answer["jobs"].as_array().unwrap().iter();
    assert!(states.clone().count() == 60 && states.into_iter().all(|job| job["state"] == "done"));
    assert_eq!(answer["next"]["jobs"][0]["kind"], "c");
}

#[test]
fn jobs_of_several_partitions_are_taken_in_each_for_itself() {
    let server = open(&json!({ "max_backlog": 4 }));
    let job = |key: &str| json!({ "kind": "a", "unique_key": key, "priority": 9 });
    let jobs: Vec<Value> = (0..40).map(|at| job(&format!("u{at}"))).collect();
    let answer = post(&server, "jobs", &json!({ "jobs": jobs[..1] }));
    assert_eq!(answer.status, 201, "{}", answer.body);
    let answer = post(&server, "jobs", &json!({ "jobs": jobs[..1] }));
    assert_eq!(answer.json()["jobs"][0]["duplicate"], true);
    // A partition has room for one: that of the first job is full, others take theirs or refuse.
    let answer = post(&server, "jobs", &json!({ "jobs": jobs[1..] }));
    assert_eq!((answer.status, answer.code()), (429, "backlog_full".to_owned()), "all had more");
    assert_eq!(answer.header("retry-after"), Some("60"), "nothing leaves the backlog");
    let mut others = 0;
    for job in &jobs[1..] {
        let answer = post(&server, "jobs", &json!({ "jobs": [job] }));
        others += u64::from(answer.status == 201);
    }
    assert_eq!(others, 3);
    let leased = lease(&server, 1).remove(0);
    about(&server, &leased, "complete", &json!({}));
    // Its partition has room again, the others have not.
    let first = jobs.iter().find(|job| {
        post(&server, "jobs", &json!({ "jobs": [job] })).json()["jobs"][0]["duplicate"] == false
    });
    assert!(first.is_some());
}

#[test]
fn what_was_taken_in_beside_others_says_so() {
    let server = open(&json!({ "max_backlog": 4 }));
    let job = |key: &str| json!({ "kind": "a", "unique_key": key, "priority": 9 });
    let names: Vec<String> = (0..40).map(|at| format!("u{at}")).collect();
    let first = enqueue(&server, &job(&names[0]));
    let partition = |id: &str| id.split('.').next().unwrap().to_owned();
    let answers = names[1..].iter().map(|name| {
        let answer = post(&server, "jobs", &json!({ "jobs": [job(&names[0]), job(name)] }));
        (answer.status, answer.json())
    });
    let (_, mixed) = answers
        .into_iter()
        .find(|(status, body)| *status == 201 && body["jobs"][1]["job"].is_string())
        .expect("one of forty goes elsewhere");
    assert_eq!(mixed["jobs"][0], json!({ "job": first, "state": "ready", "duplicate": true }));
    assert_ne!(partition(mixed["jobs"][1]["job"].as_str().unwrap()), partition(&first));
    // Of two partitions one is full now: what goes there is refused in its place.
    let (_, refused) = names[1..]
        .iter()
        .map(|name| {
            let fresh = json!({ "kind": "a", "unique_key": format!("{name}-b"), "priority": 9 });
            let jobs = json!({ "jobs": [job(&names[0]), fresh] });
            let answer = post(&server, "jobs", &jobs);
            (answer.status, answer.json())
        })
        .find(|(status, body)| *status == 201 && body["jobs"][1]["error"].is_object())
        .expect("one of forty meets a full partition");
    let error = &refused["jobs"][1]["error"];
    assert_eq!((&error["code"], &error["retryable"]), (&"backlog_full".into(), &true.into()));
}

#[test]
fn dead_letters_are_found_and_brought_back() {
    let server = open(&json!({ "max_attempts": 1 }));
    for at in 0..9 {
        let kind = if at % 3 == 0 { "odd" } else { "mail" };
        enqueue(&server, &json!({ "kind": kind, "payload": at }));
        let leased = lease(&server, 1).remove(0);
        let failed = about(&server, &leased, "fail", &json!({ "error": format!("no {at}!") }));
        assert_eq!(failed.json()["state"], "dead");
    }
    let mut seen = Vec::new();
    let mut path = format!("{QUEUE}/dead?kind=mail&limit=2");
    loop {
        let page = server.get(&path).json();
        seen.extend(page["items"].as_array().unwrap().iter().map(|job| job["job"].clone()));
        let Some(cursor) = page["cursor"].as_str() else { break };
        path = format!("{QUEUE}/dead?kind=mail&limit=2&cursor={cursor}");
    }
    assert_eq!(seen.len(), 6);
    let of = |error: &str| server.get(&format!("{QUEUE}/dead?error={error}")).json();
    assert_eq!(of("no%204")["items"].as_array().unwrap().len(), 1);
    assert_eq!(of("no%204")["items"][0]["error"]["text"], "no 4!");
    let dry = post(&server, "dead/replay", &json!({ "filter": { "kind": "mail" } })).json();
    assert_eq!((&dry["dry_run"], &dry["count"]), (&true.into(), &6.into()));
    assert_eq!(server.get(QUEUE).json()["counts"]["dead"], 9, "nothing has come back");
    let slow = json!({ "filter": { "kind": "mail" }, "dry_run": false, "rate_per_s": 1 });
    let back = post(&server, "dead/replay", &slow).json();
    assert_eq!((&back["count"], &back["cursor"]), (&6.into(), &Value::Null));
    let counts = server.get(QUEUE).json()["counts"].clone();
    assert_eq!((&counts["dead"], &counts["ready"]), (&3.into(), &1.into()), "one a second");
    assert_eq!(counts["scheduled"], 5);
    let one = server.get(&format!("{QUEUE}/dead")).json()["items"][0]["job"].clone();
    let retried = post(&server, &format!("jobs/{}/retry", one.as_str().unwrap()), &json!({}));
    assert_eq!((retried.status, &retried.json()["state"]), (200, &"ready".into()));
    let again = post(&server, &format!("jobs/{}/retry", one.as_str().unwrap()), &json!({}));
    assert_eq!(again.code(), "not_dead");
    let mut path = format!("{QUEUE}/events?limit=100");
    let first = server.get(&path).json();
    let kinds = |page: &Value, kind: &str| {
        page["items"].as_array().unwrap().iter().filter(|event| event["type"] == kind).count()
    };
    assert_eq!(kinds(&first, "jobs.died"), 9);
    assert!(kinds(&first, "jobs.replayed") >= 2);
    path = format!("{QUEUE}/events?after={}", first["cursor"].as_str().unwrap());
    assert_eq!(server.get(&path).json()["items"], json!([]), "each is seen once");
}

#[test]
fn lists_go_on_over_partitions() {
    let server = open(&json!({}));
    for at in 0..25 {
        enqueue(&server, &json!({ "kind": format!("k{}", at % 2) }));
    }
    for (filter, expected) in [("", 25), ("&kind=k1", 12), ("&state=done", 0), ("&state=ready", 25)]
    {
        let mut seen = std::collections::BTreeSet::new();
        let mut cursor = String::new();
        loop {
            let page = server.get(&format!("{QUEUE}/jobs?limit=4{filter}{cursor}")).json();
            for job in page["items"].as_array().unwrap() {
                assert!(seen.insert(job["job"].as_str().unwrap().to_owned()), "listed twice");
            }
            let Some(next) = page["cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen.len(), expected, "{filter}");
    }
    let first = server.get(&format!("{QUEUE}/jobs?limit=4")).json();
    let foreign = format!("{QUEUE}/jobs?kind=k1&cursor={}", first["cursor"].as_str().unwrap());
    assert_eq!(server.get(&foreign).code(), "invalid_request", "a cursor is of its list");
}

#[test]
fn what_is_wrong_is_told() {
    let server = open(&json!({}));
    let jobs = |job: Value| post(&server, "jobs", &json!({ "jobs": [job] }));
    for (wrong, word) in [
        (json!({ "kind": "" }), "kind"),
        (json!({ "kind": "a", "priority": 10 }), "priority"),
        (json!({ "kind": "a", "unique_key": "ü" }), "unique_key"),
        (json!({ "kind": "a", "run_at": "tomorrow" }), "run_at"),
        (json!({ "kind": "a", "run_at": "2026-01-31T12:00:00Z", "delay_ms": 1 }), "delay_ms"),
        (json!({ "kind": "a", "after": ["7"] }), "after"),
        (json!({ "kind": "a", "payload": "x".repeat(65 * 1_024) }), "payload"),
        (json!({ "kind": "a", "delay_ms": u64::MAX }), "delay_ms"),
        (json!({ "kind": "a", "delay": 7 }), "delay_ms"),
    ] {
        let answer = jobs(wrong);
        assert_eq!((answer.status, answer.code()), (400, "invalid_request".to_owned()));
        assert!(answer.json()["detail"].as_str().unwrap().contains(word), "{}", answer.body);
    }
    assert_eq!(jobs(json!({ "kind": "a", "after": ["1.7"] })).code(), "no_after");
    assert_eq!(post(&server, "jobs", &json!({ "jobs": [] })).code(), "invalid_request");
    for body in [
        json!({ "worker": "w", "max": 0 }),
        json!({ "worker": "w", "max": 101 }),
        json!({ "worker": "w", "wait_ms": 60_001 }),
        json!({ "worker": "w", "lease_ms": 0 }),
        json!({ "worker": "" }),
    ] {
        assert_eq!(post(&server, "lease", &body).code(), "invalid_request", "{body}");
    }
    let long = post(&server, "lease", &json!({ "worker": "w", "lease_ms": 3_600_001 }));
    assert_eq!((long.code(), &long.json()["max_ms"]), ("lease_too_long".into(), &3_600_000.into()));
    for job in ["0.1", "9.1", "x", "1.2.3"] {
        let answer = post(&server, &format!("jobs/{job}/complete"), &json!({ "lease": "1.1" }));
        let expected = if job.len() == 3 && !job.ends_with('x') { 404 } else { 400 };
        assert_eq!(answer.status, expected, "{job}: {}", answer.body);
    }
    assert_eq!(server.get(&format!("{QUEUE}/jobs?state=redy")).code(), "invalid_request");
    let replay = post(&server, "dead/replay", &json!({ "rate_per_s": 0 }));
    assert_eq!(replay.code(), "invalid_request");
}

#[test]
fn a_failed_job_is_tried_again_and_a_cancelled_one_is_not() {
    let server = open(&json!({ "backoff": { "base_ms": 1, "max_ms": 1, "jitter": 0 } }));
    let job = enqueue(&server, &json!({ "kind": "a" }));
    let leased = lease(&server, 1).remove(0);
    let failed = about(&server, &leased, "fail", &json!({ "error": "x".repeat(10_000) }));
    assert_eq!(failed.json()["state"], "retry");
    let path = format!("{QUEUE}/jobs/{job}");
    let seen = until(&server, &path, |job| job["state"] == "ready");
    assert_eq!(seen["error"]["text"].as_str().unwrap().len(), 4_096, "the beginning is kept");
    let leased = lease(&server, 1).remove(0);
    assert_eq!((&leased["attempt"], &leased["failures"]), (&2.into(), &1.into()));
    let snoozed = about(&server, &leased, "snooze", &json!({ "delay_ms": 60_000 }));
    assert_eq!(snoozed.json()["state"], "scheduled");
    assert_eq!(get(&server, &job)["waiting_for"]["reason"], "due");
    let cancelled = post(&server, &format!("jobs/{job}/cancel"), &json!({}));
    assert_eq!(cancelled.json()["state"], "cancelled");
    let other = enqueue(&server, &json!({ "kind": "a" }));
    let leased = lease(&server, 1).remove(0);
    let cancel = post(&server, &format!("jobs/{other}/cancel"), &json!({})).json();
    assert_eq!((&cancel["state"], &cancel["cancel"]), (&"leased".into(), &true.into()));
    let told = about(&server, &leased, "extend", &json!({ "lease_ms": 1_000 })).json();
    assert_eq!(told["cancel"], true, "the worker is told");
    let ended = about(&server, &leased, "fail", &json!({ "error": "stopped" })).json();
    assert_eq!(ended["state"], "cancelled");
}

#[test]
fn queues_and_kinds_are_measured() {
    let server = open(&json!({}));
    enqueue(&server, &json!({ "kind": "welcome" }));
    let leased = lease(&server, 1).remove(0);
    about(&server, &leased, "complete", &json!({}));
    enqueue(&server, &json!({ "kind": "welcome" }));
    let page = server.get("/metrics").body;
    let of = "tenant=\"default\",queue=\"mail\"";
    for line in [
        format!("evenkeel_queue_jobs{{{of},state=\"ready\"}} 1"),
        format!("evenkeel_queue_jobs{{{of},state=\"done\"}} 1"),
        format!("evenkeel_queue_events_total{{{of},event=\"enqueued\"}} 2"),
        format!("evenkeel_queue_workers_waiting{{{of}}} 0"),
        format!("evenkeel_job_kind_jobs{{{of},kind=\"welcome\",state=\"ready\"}} 1"),
        format!("evenkeel_job_kind_wait_seconds_count{{{of},kind=\"welcome\"}} 1"),
        format!("evenkeel_job_kind_run_seconds_count{{{of},kind=\"welcome\"}} 1"),
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
    }
    let queue = server.get(QUEUE).json();
    assert!(queue["enqueued_per_s"].as_f64().unwrap() > 0.0);
    assert_eq!(queue["kinds"][0]["totals"]["enqueued"], 2);
    assert_eq!(queue["totals"]["completed"], 1);
}

#[test]
fn jobs_have_scopes_of_their_own() {
    let server = TestServer::start(ServerOptions::new(Auth::Keys));
    let admin = format!("Bearer {}", server.admin_key());
    let ask = |key: &str, method: &str, path: &str, body: &str| {
        server.send(method, path, &[("Authorization", key)], Some(body))
    };
    assert_eq!(ask(&admin, "PUT", QUEUE, "{}").status, 201);
    let make = |scope: &str, tenant: &str| {
        let body = json!({ "tenant": tenant, "scopes": [scope] }).to_string();
        let made = ask(&admin, "POST", "/v1/keys", &body);
        assert_eq!(made.status, 201, "{}", made.body);
        format!("Bearer {}", made.json()["key"].as_str().unwrap())
    };
    let (reader, writer) = (make("jobs:read", "default"), make("jobs:write", "default"));
    let jobs = "{\"jobs\":[{\"kind\":\"a\"}]}";
    let path = format!("{QUEUE}/jobs");
    assert_eq!(ask(&reader, "POST", &path, jobs).code(), "forbidden");
    assert_eq!(ask(&writer, "POST", &path, jobs).status, 201);
    assert_eq!(ask(&writer, "GET", QUEUE, "").code(), "forbidden");
    assert_eq!(ask(&reader, "GET", QUEUE, "").status, 200);
    let other = make("jobs:write", "acme");
    assert_eq!(ask(&other, "POST", &path, jobs).code(), "not_found", "another tenant's queue");
    let job = ask(&reader, "GET", &path, "").json()["items"][0]["job"].clone();
    assert_eq!(ask(&other, "PUT", QUEUE, "{}").status, 201);
    let peep = format!("{QUEUE}/jobs/{}/cancel", job.as_str().unwrap());
    assert_eq!(ask(&other, "POST", &peep, "{}").code(), "not_found", "another tenant's job");
    let metrics = server.send("GET", "/metrics", &[("Authorization", &other)], None).body;
    assert!(!metrics.contains("tenant=\"default\""), "{metrics}");
}
