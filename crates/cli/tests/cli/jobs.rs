//! `evenkeel jobs` on the real binary: what is seen of queues and jobs, and what is done about them.

use crate::process::{Server, Started, eventually, run};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A server with a queue `mail` that has jobs in it.
struct Scene {
    _directory: TempDir,
    server: Server,
}

impl Scene {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let server = Server::serve(directory.path(), &["--init"]);
        let (status, said) = server.ask("PUT", "/v1/queues/mail", Some("{}"));
        assert_eq!(status, 201, "{said}");
        Self { _directory: directory, server }
    }

    fn enqueue(&self, jobs: &Value) -> Vec<String> {
        let body = json!({ "jobs": jobs }).to_string();
        let (status, said) = self.server.ask("POST", "/v1/queues/mail/jobs", Some(&body));
        assert_eq!(status, 201, "{said}");
        let jobs = said["jobs"].as_array().unwrap().iter();
        jobs.map(|job| job["job"].as_str().unwrap().to_owned()).collect()
    }

    /// Makes so many dead letters.
    fn bury(&self, kind: &str, count: usize) -> Vec<String> {
        let jobs: Vec<Value> = (0..count).map(|_| json!({ "kind": kind })).collect();
        let jobs = jobs.chunks(100).flat_map(|jobs| self.enqueue(&jobs.into())).collect();
        let script = "echo no mailbox >&2; exit 100";
        let args = ["work", "--queue", "mail", "--exec", script, "--concurrency", "8", "--once"];
        self.server.run(&args).succeeds();
        jobs
    }

    fn jobs(&self, args: &[&str]) -> crate::process::Ended {
        self.server.run(&[&["jobs"], args].concat())
    }

    fn listed(&self, args: &[&str]) -> Vec<Value> {
        let listed = self.jobs(&[&["list", "mail", "--json"], args].concat()).succeeds();
        listed.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[test]
fn a_list_is_followed_over_its_pages() {
    let scene = Scene::new();
    let kinds = |count: usize, kind: &str| vec![json!({ "kind": kind }); count];
    for _ in 0..6 {
        scene.enqueue(&kinds(100, "welcome").into());
    }
    let later = scene.enqueue(&json!([{ "kind": "reminder", "delay_ms": 3_600_000 }])).remove(0);
    assert_eq!(scene.listed(&[]).len(), 100);
    let all = scene.listed(&["--limit", "10000"]);
    assert_eq!(all.len(), 601);
    let jobs: std::collections::BTreeSet<_> = all.iter().map(|job| job["job"].as_str()).collect();
    assert_eq!(jobs.len(), 601, "each is listed once");
    assert_eq!(scene.listed(&["--limit", "550", "--state", "ready"]).len(), 550);
    let due = scene.listed(&["--kind", "reminder"]);
    assert_eq!(
        (due.len(), &due[0]["job"], &due[0]["state"]),
        (1, &json!(later), &json!("scheduled"))
    );
    let table = scene.jobs(&["list", "mail", "--limit", "2"]).succeeds();
    assert!(table.out.starts_with("JOB ") && table.out.lines().count() == 3, "{table:?}");
    assert!(table.err.contains("there are more"), "{table:?}");
}

#[test]
fn a_job_that_does_not_run_says_why() {
    let scene = Scene::new();
    let job = scene.enqueue(&json!([{ "kind": "welcome", "payload": { "to": "ada" } }])).remove(0);
    let show = |job: &str| scene.jobs(&["show", "mail", job]).succeeds().out;
    let shown = show(&job);
    assert!(shown.starts_with(&format!("job {job} of queue mail is ready\n")), "{shown}");
    assert!(shown.contains("`evenkeel work --queue mail"), "{shown}");
    assert!(shown.contains(r#"payload       {"to":"ada"}"#), "{shown}");
    let paused = scene.jobs(&["pause", "mail"]).succeeds().out;
    assert!(paused.starts_with("mail paused: 1 wait, 0 run"), "{paused}");
    assert!(show(&job).contains("the queue is paused (`evenkeel jobs resume mail`"), "{shown}");
    scene.jobs(&["resume", "mail"]).succeeds();
    let after = scene.enqueue(&json!([{ "kind": "welcome", "after": [job] }])).remove(0);
    assert!(show(&after).contains(&format!("not done, the first is {job}")), "{}", show(&after));
    let drained = scene.jobs(&["drain", "mail", "--json"]).succeeds().json();
    assert_eq!(drained["draining"], true);
    let body = r#"{"jobs":[{"kind":"welcome"}]}"#;
    assert_eq!(scene.server.ask("POST", "/v1/queues/mail/jobs", Some(body)).0, 409);
    let cancelled = scene.jobs(&["cancel", "mail", &job]).succeeds().out;
    assert_eq!(cancelled, format!("{job} cancelled\n"));
    let json = scene.jobs(&["show", "mail", &job, "--json"]).succeeds().json();
    assert_eq!((&json["state"], &json["waiting_for"]), (&json!("cancelled"), &Value::Null));
}

#[test]
fn dead_letters_come_back_when_it_is_meant() {
    let scene = Scene::new();
    let jobs = scene.bury("welcome", 12);
    let others = scene.bury("reminder", 3);
    let dead = || scene.listed(&["--state", "dead"]).len();
    assert_eq!(dead(), 15);
    let dry = scene.jobs(&["replay", "mail"]).succeeds();
    assert!(dry.out.starts_with("15 would be brought back\n"), "{dry:?}");
    assert!(dry.out.ends_with("and 5 more\n") && dry.err.contains("--yes does it"), "{dry:?}");
    assert_eq!(dead(), 15, "nothing has changed");
    for (args, count) in [
        (&["--kind", "reminder"][..], 3),
        (&["--error", "no mailbox"], 15),
        (&["--error", "disk"], 0),
        (&["--from", "1h"], 15),
        (&["--until", "1h"], 0),
    ] {
        let json = scene.jobs(&[&["replay", "mail", "--json"], args].concat()).succeeds().json();
        assert_eq!((&json["count"], &json["dry_run"]), (&json!(count), &json!(true)), "{args:?}");
    }
    let done = scene.jobs(&["replay", "mail", "--kind", "reminder", "--yes"]).succeeds();
    assert_eq!(done.out, "3 brought back\n");
    assert_eq!(dead(), 12);
    assert_eq!(scene.listed(&["--state", "ready"]).len(), others.len());
    let retried = scene.jobs(&["retry", "mail", &jobs[0]]).succeeds().out;
    assert_eq!(retried, format!("{} ready\n", jobs[0]));
    scene.jobs(&["retry", "mail", &jobs[0]]).fails(1, &["the job is ready", "not_dead"]);
    // One at once, then each a minute later than the one before it.
    let slowly = scene.jobs(&["replay", "mail", "--rate", "1", "--no-dry-run"]).succeeds();
    assert_eq!(slowly.out, "11 brought back\n");
    assert_eq!(dead(), 0);
    assert!(!scene.listed(&["--state", "scheduled"]).is_empty());
}

/// More than one request brings back.
#[test]
fn a_replay_goes_on_to_the_end() {
    let scene = Scene::new();
    let settings = r#"{"max_attempts":1}"#;
    assert_eq!(scene.server.ask("PUT", "/v1/queues/mail", Some(settings)).0, 200);
    let mut left = 1_100;
    while left > 0 {
        let jobs = vec![json!({ "kind": "welcome" }); 100];
        scene.enqueue(&jobs.into());
        let lease = r#"{"worker":"w","max":100,"wait_ms":10000}"#;
        let mut leased = 0;
        while leased < 100 {
            let (_, said) = scene.server.ask("POST", "/v1/queues/mail/lease", Some(lease));
            for job in said["jobs"].as_array().unwrap() {
                let body = json!({ "lease": job["lease"], "error": "no" }).to_string();
                let path = format!("/v1/queues/mail/jobs/{}/fail", job["job"].as_str().unwrap());
                assert_eq!(scene.server.ask("POST", &path, Some(&body)).0, 200);
                leased += 1;
            }
        }
        left -= 100;
    }
    let dry = scene.jobs(&["replay", "mail", "--json"]).succeeds().json();
    assert_eq!((&dry["count"], &dry["first"].as_array().unwrap().len()), (&json!(1_100), &10));
    let done = scene.jobs(&["replay", "mail", "--yes", "--json"]).succeeds().json();
    assert_eq!((&done["count"], &done["skipped"]), (&json!(1_100), &json!(0)));
    assert!(scene.listed(&["--state", "dead"]).is_empty());
}

#[test]
fn a_queue_is_followed() {
    let scene = Scene::new();
    let job = scene.bury("welcome", 1).remove(0);
    let tail = scene.jobs(&["tail", "mail", "--once"]).succeeds().out;
    assert!(tail.contains(&format!("{job} welcome is a dead letter: exit code 100")), "{tail}");
    assert!(tail.contains("open  waiting 0  scheduled 0  retry 0  ready 0  leased 0"), "{tail}");
    let command = scene.server.command(&["jobs", "tail", "mail", "--lines", "0", "--json"]);
    let mut tail = Started::new(command);
    eventually("the counts", || tail.out().contains(r#""type":"counts""#).then_some(()));
    assert!(!tail.out().contains("jobs.died"), "what was is not shown again: {}", tail.out());
    scene.jobs(&["retry", "mail", &job]).succeeds();
    eventually("the replay", || tail.out().contains(r#""type":"jobs.replayed""#).then_some(()));
    tail.signal(Signal::INT);
    let lines = tail.ended().succeeds().out;
    for line in lines.lines() {
        assert!(serde_json::from_str::<Value>(line).unwrap().is_object(), "{line}");
    }
}

#[test]
fn queues_are_listed_with_what_waits_in_them() {
    let scene = Scene::new();
    scene.server.ask("PUT", "/v1/queues/idle", Some("{}"));
    scene.enqueue(&json!([{ "kind": "welcome" }, { "kind": "welcome", "delay_ms": 3_600_000 }]));
    let queues = scene.jobs(&["queues", "--json"]).succeeds().json();
    let mail = queues.as_array().unwrap().iter().find(|queue| queue["queue"] == "mail").unwrap();
    assert_eq!((&mail["backlog"], &mail["counts"]["ready"]), (&json!(2), &json!(1)), "{mail}");
    let table = scene.jobs(&["queues"]).succeeds().out;
    let row: Vec<_> =
        table.lines().find(|line| line.starts_with("mail ")).unwrap().split_whitespace().collect();
    assert_eq!(row[..6], ["mail", "open", "2", "1", "0", "0"], "{table}");
    assert!(table.lines().any(|line| line.starts_with("idle ")), "{table}");
}

#[test]
fn mistakes_are_told() {
    let scene = Scene::new();
    for action in [&["list", "mial"][..], &["tail", "mial"], &["pause", "mial"]] {
        scene.jobs(action).fails(1, &["no queue \"mial\"", "did you mean \"mail\"?", "not_found"]);
    }
    scene.jobs(&["show", "mail", "0.1"]).fails(1, &["no such job"]);
    scene.jobs(&["show", "mail", "7"]).fails(2, &["two numbers with a point"]);
    scene.jobs(&["list", "a/b"]).fails(2, &["names are 1 to 128"]);
    scene.jobs(&["list", "mail", "--state", "lost"]).fails(2, &["possible values", "scheduled"]);
    scene.jobs(&["replay", "mail", "--from", "yesterday"]).fails(2, &["how long ago"]);
    scene.jobs(&["replay", "mail", "--rate", "0"]).fails(2, &["--rate"]);
    run(&["jobs", "queues", "--url", "http://127.0.0.1:1"]).fails(1, &["no answer"]);
    run(&["jobs", "queues", "--url", &scene.server.url]).fails(1, &["EVENKEEL_KEY"]);
}
