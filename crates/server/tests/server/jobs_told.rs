//! What is told of jobs is so: names, counts, pages, and what is passed on.

use crate::jobs::{QUEUE, about, enqueue, lease, open, post};
use serde_json::{Value, json};

#[test]
fn json_that_would_keep_workers_from_other_jobs_is_refused() {
    let server = open(&json!({}));
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for wrong in [r#""\ud800""#, r#"{"a":["\udfff"]}"#, "1e999", deep.as_str()] {
        let body = format!(r#"{{"jobs":[{{"kind":"a","payload":{wrong}}}]}}"#);
        let answer = server.post(&format!("{QUEUE}/jobs"), &body);
        assert_eq!(
            (answer.code(), &answer.json()["field"]),
            ("invalid_request".into(), &"payload".into())
        );
    }
    let odd = r#"{ "a" : 1, "a" : [ 123456789012345678901234567890, "\u0000\ud83d\ude00" ]  }"#;
    let body = format!(r#"{{"jobs":[{{"kind":"a","payload": {odd} }}]}}"#);
    let answer = server.post(&format!("{QUEUE}/jobs"), &body);
    assert_eq!(answer.status, 201, "{}", answer.body);
    let leased = post(&server, "lease", &json!({ "worker": "w" })).body;
    assert!(leased.contains(odd), "to the letter: {leased}");
}

#[test]
fn keys_of_callers_are_not_those_that_are_made_of_them() {
    let server = open(&json!({}));
    let job = |key: &str| json!({ "kind": "a", "unique_key": key });
    let names: Vec<String> = (0..40).map(|at| format!("u{at}")).collect();
    let partition = |name: &String| {
        let id = enqueue(&server, &job(name));
        id.split('.').next().unwrap().to_owned()
    };
    let partitions: Vec<String> = names.iter().map(partition).collect();
    let here = &partitions[0];
    let beside = (1..40).find(|at| partitions[*at] == *here).expect("one of forty is here too");
    let elsewhere = (1..40).find(|at| partitions[*at] != *here).expect("one of forty is not");
    let keyed = |key: &str, jobs: Value| {
        let body = json!({ "jobs": jobs }).to_string();
        server.send("POST", &format!("{QUEUE}/jobs"), &[("Idempotency-Key", key)], Some(&body))
    };
    let both = || json!([job(&names[0]), job(&names[elsewhere])]);
    assert_eq!(keyed("k", both()).status, 201);
    assert_eq!(keyed("k", both()).header("idempotent-replayed"), Some("true"));
    let other = keyed(&format!("k/{here}"), json!([job(&names[beside])]));
    assert_eq!(other.status, 201, "{}", other.body);
}

#[test]
fn a_page_of_events_has_as_many_as_were_asked_for_and_none_is_passed_over() {
    let server = open(&json!({ "max_attempts": 1 }));
    let mut died = Vec::new();
    for at in 0..20 {
        died.push(Value::from(enqueue(&server, &json!({ "kind": "a", "payload": at }))));
        let leased = lease(&server, 1).remove(0);
        about(&server, &leased, "fail", &json!({ "error": "no" }));
    }
    let (mut seen, mut path) = (Vec::new(), format!("{QUEUE}/events?limit=3"));
    loop {
        let page = server.get(&path).json();
        let items = page["items"].as_array().unwrap();
        if items.is_empty() {
            break;
        }
        assert!(items.len() <= 3, "{page}");
        seen.extend(items.iter().map(|event| event["data"]["job"].clone()));
        path = format!("{QUEUE}/events?limit=3&after={}", page["cursor"].as_str().unwrap());
    }
    seen.sort_by_key(Value::to_string);
    died.sort_by_key(Value::to_string);
    assert_eq!(seen, died);
}

#[test]
fn a_job_has_one_name() {
    let server = open(&json!({}));
    let job = enqueue(&server, &json!({ "kind": "a" }));
    let (partition, number) = job.split_once('.').unwrap();
    let partition: u16 = partition.parse().unwrap();
    for other in [partition + 4, u16::MAX] {
        let answer = server.get(&format!("{QUEUE}/jobs/{other}.{number}"));
        assert_eq!((answer.status, answer.code()), (404, "not_found".to_owned()), "{other}");
    }
}

#[test]
fn who_waits_no_longer_is_given_nothing() {
    let server = open(&json!({}));
    let body = json!({ "worker": "w", "wait_ms": 60_000 }).to_string();
    let deadline = ("Evenkeel-Deadline-Ms", "50");
    let answer = server.send("POST", &format!("{QUEUE}/lease"), &[deadline], Some(&body));
    assert_eq!((answer.status, answer.json()), (200, json!({ "jobs": [] })));
    let other_life = [("Evenkeel-Session", "0.77.1")];
    let answer = server.send("POST", &format!("{QUEUE}/lease"), &other_life, Some(&body));
    assert_eq!(answer.code(), "session_reset", "before it waits");
}

#[test]
fn queues_that_are_no_more_are_not_measured() {
    let server = open(&json!({}));
    enqueue(&server, &json!({ "kind": "a" }));
    let leased = lease(&server, 1).remove(0);
    about(&server, &leased, "complete", &json!({}));
    post(&server, "drain", &json!({}));
    let measured = || server.get("/metrics").body.contains("evenkeel_queue_jobs{");
    assert!(measured());
    assert_eq!(server.send("DELETE", QUEUE, &[], None).status, 204);
    assert!(!measured());
}

#[test]
fn what_became_of_each_of_several_says_whether_it_is_known() {
    let server = open(&json!({}));
    let known = enqueue(&server, &json!({ "kind": "a" }));
    let missing = format!("{known}1");
    let jobs = json!({ "jobs": [{ "job": missing, "lease": "1.1" }] });
    let answer = post(&server, "complete", &jobs);
    let error = &answer.json()["jobs"][0]["error"];
    assert_eq!((&error["code"], &error["side_effects"]), (&"not_found".into(), &"none".into()));
    let page = server.get("/metrics").body;
    let mut counted = page.lines().filter(|line| {
        line.contains("path=\"jobs.complete_many\"") && line.contains("=\"not_found\"")
    });
    assert!(counted.next().is_some_and(|line| line.ends_with(" 1")), "{page}");
}

/// A wait that was asked for is no part of how fast the answer was: an idle worker would spoil the
/// path's objective.
#[test]
fn waiting_is_not_slowness() {
    let server = open(&json!({}));
    let body = json!({ "worker": "w", "wait_ms": 1_000 });
    let answer = post(&server, "lease", &body);
    assert_eq!((answer.status, &answer.json()["jobs"]), (200, &json!([])));
    let metrics = server.get("/metrics").body;
    let sum = "evenkeel_path_latency_seconds_sum{path=\"jobs.lease\"} ";
    let sum = metrics.lines().find_map(|line| line.strip_prefix(sum)).unwrap();
    assert!(sum.parse::<f64>().unwrap() < 1.0, "{sum} s, of which it waited 1 s");
}

/// Results that no one command holds are kept all the same: they are told in several.
#[test]
fn many_large_results_are_kept() {
    let server = open(&json!({ "spread": 1, "result_bytes_max": 8_192 }));
    for n in 0..50 {
        enqueue(&server, &json!({ "kind": "a".repeat(100), "unique_key": format!("{n:0>128}") }));
    }
    let leased = lease(&server, 50);
    let result = "x".repeat(5_000);
    let done = leased
        .iter()
        .map(|job| json!({ "job": job["job"], "lease": job["lease"], "result": result }));
    let answer = post(&server, "complete", &json!({ "jobs": done.collect::<Vec<_>>() }));
    assert_eq!(answer.status, 200, "{}", answer.body);
    let told = answer.json()["jobs"].as_array().unwrap().clone();
    assert!(told.len() == 50 && told.iter().all(|job| job["state"] == "done"), "{told:?}");
}
