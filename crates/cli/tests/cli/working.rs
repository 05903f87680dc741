//! `evenkeel work` on the real binary: what becomes of jobs, of their commands, and of both when
//! somebody is killed.

use crate::process::{Ended, READY, Server, Started, ended, evenkeel, eventually};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::Path, process::Command};
use tempfile::TempDir;

/// A server without keys, and a queue.
struct Scene {
    directory: TempDir,
    server: Server,
}

impl Scene {
    /// With a queue `q` of these settings.
    fn new(settings: &Value) -> Self {
        let directory = TempDir::new().unwrap();
        let data = directory.path().join("data");
        let server = Server::serve(&data, &["--init", "--insecure-no-auth"]);
        let (status, said) = server.ask("PUT", "/v1/queues/q", Some(&settings.to_string()));
        assert_eq!(status, 201, "{said}");
        Self { directory, server }
    }

    fn enqueue(&self, jobs: &Value) -> Vec<String> {
        let body = json!({ "jobs": jobs }).to_string();
        let (status, said) = self.server.ask("POST", "/v1/queues/q/jobs", Some(&body));
        assert_eq!(status, 201, "{said}");
        let jobs = said["jobs"].as_array().unwrap().iter();
        jobs.map(|job| job["job"].as_str().unwrap().to_owned()).collect()
    }

    /// One job of the kind `k`.
    fn job(&self) -> String {
        self.enqueue(&json!([{ "kind": "k" }])).remove(0)
    }

    fn show(&self, job: &str) -> Value {
        let (status, said) = self.server.ask("GET", &format!("/v1/queues/q/jobs/{job}"), None);
        assert_eq!(status, 200, "{said}");
        said
    }

    /// The job once it is in this state.
    #[track_caller]
    fn becomes(&self, job: &str, state: &str) -> Value {
        eventually(&format!("{job} to be {state}"), || {
            Some(self.show(job)).filter(|shown| shown["state"] == state)
        })
    }

    fn work(&self, script: &str, args: &[&str]) -> Command {
        let mut command = self.server.command(&["work", "--queue", "q", "--exec", script]);
        // Where commands leave what the test waits for.
        command.args(args).env("DIR", self.directory.path());
        command
    }

    fn start(&self, script: &str, args: &[&str]) -> Started {
        Started::new(self.work(script, args))
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    /// What a command wrote into a file, once the whole line is there.
    #[track_caller]
    fn line(&self, name: &str) -> String {
        eventually(name, || {
            let text = fs::read_to_string(self.file(name)).ok()?;
            text.strip_suffix('\n').map(str::to_owned)
        })
    }

    /// A pipe that holds a command up which reads from it, until it is written to.
    fn gate(&self, name: &str) {
        let made = Command::new("mkfifo").arg(self.file(name)).status().unwrap();
        assert!(made.success());
    }

    fn open_gate(&self, name: &str) {
        fs::write(self.file(name), "go\n").unwrap();
    }
}

fn outcomes(ended: &Ended) -> BTreeMap<String, Value> {
    let lines = ended.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| (line["job"].as_str().unwrap().to_owned(), line)).collect()
}

/// Waits until a process is gone, or only waits to be buried.
#[track_caller]
fn gone(pid: &str) {
    eventually(&format!("process {pid} to be gone"), || {
        let status = fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
        let state = status.map(|text| text.rsplit(") ").next().unwrap_or_default().to_owned());
        state.map_or(Some(()), |state| state.starts_with('Z').then_some(()))
    });
}

const BY_KIND: &str = r#"
case $EVENKEEL_KIND in
  echo) cat ;;
  env) printf '["%s","%s","%s","%s","%s","%s"]' "$EVENKEEL_JOB" "$EVENKEEL_ATTEMPT" \
         "$EVENKEEL_FENCE" "$EVENKEEL_QUEUE" "$EVENKEEL_LEASE" "$TRACEPARENT" ;;
  words) echo fine ;;
  much) yes | head -c 100000 ;;
  fail) echo first >&2; echo "no mailbox" >&2; exit 3 ;;
  hopeless) exit 100 ;;
  later) exit 75 ;;
  shot) kill -9 $$ ;;
  slow) sleep 1000 ;;
esac"#;

#[test]
fn what_a_command_says_becomes_of_its_job() {
    let scene =
        Scene::new(&json!({ "result_bytes_max": 1000, "backoff": { "base_ms": 3_600_000 } }));
    let kinds = ["echo", "words", "much", "fail", "hopeless", "later", "shot", "slow"];
    let jobs: Vec<Value> = kinds
        .iter()
        .map(|kind| json!({ "kind": kind, "payload": { "b": 1.50, "a": 2 } }))
        .collect();
    let jobs = scene.enqueue(&jobs.into());
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let body = r#"{"jobs":[{"kind":"env"}]}"#;
    let headers = [("traceparent", trace)];
    let taken = scene.server.ask_with("POST", "/v1/queues/q/jobs", &headers, Some(body)).1;
    let env = taken["jobs"][0]["job"].as_str().unwrap().to_owned();

    let args = ["--concurrency", "3", "--max-jobs", "9", "--json", "--exec-timeout-ms", "3000"];
    let ended = ended(scene.work(BY_KIND, &args)).succeeds();
    let outcomes = outcomes(&ended);
    assert_eq!(outcomes.len(), 9, "{ended:?}");
    let shown: BTreeMap<&str, Value> =
        kinds.into_iter().zip(jobs.iter().map(|job| scene.show(job))).collect();
    for (kind, state, outcome, error) in [
        ("echo", "done", "done", ""),
        ("words", "done", "done", ""),
        ("much", "done", "done", ""),
        ("fail", "retry", "failed", "exit code 3\nfirst\nno mailbox"),
        ("hopeless", "dead", "failed", "exit code 100"),
        ("later", "scheduled", "snoozed", ""),
        ("shot", "retry", "failed", "ended by signal 9"),
        ("slow", "retry", "failed", "ended after 3000 ms, which is its timeout"),
    ] {
        let job = &shown[kind];
        assert_eq!(job["state"], state, "{job}");
        assert_eq!(job["error"]["text"].as_str().unwrap_or_default(), error, "{job}");
        assert_eq!(outcomes[job["job"].as_str().unwrap()]["outcome"], outcome, "{kind}");
        assert_eq!((&job["attempt"], &job["crashes"]), (&json!(1), &json!(0)), "{job}");
    }
    assert_eq!(shown["echo"]["result"], json!({ "b": 1.5, "a": 2 }));
    assert!(shown["words"]["result"].is_null() && shown["much"]["result"].is_null());
    let said = scene.show(&env)["result"].clone();
    assert_eq!(
        (&said[0], &said[1], &said[3], &said[5]),
        (&json!(env), &json!("1"), &json!("q"), &json!(trace))
    );
    let fence = said[2].as_str().unwrap();
    assert_eq!(said[4], json!(format!("1.{fence}")));
    assert!(ended.err.contains("no mailbox"), "what a command says is seen: {ended:?}");
}

/// It says where it runs, and goes on when it may.
const HELD_UP: &str = r#"
echo $$ >"$DIR/pid.$EVENKEEL_ATTEMPT"
[ "$EVENKEEL_ATTEMPT" != 1 ] || cat "$DIR/gate""#;

#[test]
fn a_job_of_a_worker_that_was_killed_is_done_by_another_and_counts_as_a_crash() {
    let scene = Scene::new(&json!({ "lease_ms": 1500 }));
    scene.gate("gate");
    let job = scene.job();
    let mut first = scene.start(HELD_UP, &["--worker", "first"]);
    let pid = scene.line("pid.1");
    assert_eq!(scene.becomes(&job, "leased")["worker"], "first");
    first.signal(Signal::KILL);
    assert_eq!(first.ended().code, None);
    gone(&pid);
    let _second = scene.start(HELD_UP, &["--worker", "second"]);
    let done = scene.becomes(&job, "done");
    let counts = (&done["attempt"], &done["crashes"], &done["failures"]);
    assert_eq!(counts, (&json!(2), &json!(1), &json!(0)), "{done}");
}

#[test]
fn a_server_that_is_killed_is_waited_for() {
    let mut scene = Scene::new(&json!({}));
    scene.gate("gate");
    let job = scene.job();
    let mut worker = scene.start(HELD_UP, &[]);
    scene.line("pid.1");
    let (url, data) = (scene.server.url.clone(), scene.file("data"));
    let address = url.strip_prefix("http://").unwrap().to_owned();
    let restarted = || {
        let mut command = evenkeel(&["serve", "--insecure-no-auth", "--http", &address]);
        command.arg("--data").arg(&data);
        command
    };
    let pid = rustix::process::Pid::from_raw(scene.server.pid().cast_signed()).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
    scene.server.wait();
    // The command ends while nobody can be told.
    scene.open_gate("gate");
    eventually("the worker to notice", || worker.err().contains("waiting for it").then_some(()));
    scene.server = Server::start(restarted(), READY);
    let done = scene.becomes(&job, "done");
    assert_eq!((&done["attempt"], &done["crashes"]), (&json!(1), &json!(0)), "{done}");

    // It goes on with others, and has said once what happened.
    let job = scene.enqueue(&json!([{ "kind": "k", "payload": 2 }])).remove(0);
    fs::remove_file(scene.file("pid.1")).unwrap();
    scene.line("pid.1");
    scene.open_gate("gate");
    scene.becomes(&job, "done");
    worker.signal(Signal::TERM);
    let ended = worker.ended().succeeds();
    assert_eq!(ended.err.matches("waiting for it").count(), 1, "{ended:?}");
    assert_eq!(ended.err.matches("answers again").count(), 1, "{ended:?}");
    assert_eq!(ended.out.lines().count(), 2, "{ended:?}");
}

#[test]
fn a_job_that_kills_its_workers_is_a_dead_letter_and_holds_up_no_other() {
    let backoff = json!({ "base_ms": 10, "max_ms": 10, "jitter": 0.0 });
    let scene = Scene::new(&json!({ "lease_ms": 1500, "max_crashes": 2, "backoff": backoff }));
    let kinds = ["poison", "k", "k", "k", "k"].map(|kind| json!({ "kind": kind }));
    let jobs = scene.enqueue(&Value::from(kinds.to_vec()));
    // The parent of a command is its worker.
    let script = r#"[ "$EVENKEEL_KIND" != poison ] || kill -9 $PPID"#;
    let mut killed = 0;
    let dead = eventually("the poison to be a dead letter", || {
        killed += usize::from(ended(scene.work(script, &["--once"])).code.is_none());
        Some(scene.show(&jobs[0])).filter(|shown| shown["state"] == "dead")
    });
    assert_eq!(killed, 2, "{dead}");
    assert_eq!((&dead["crashes"], &dead["failures"]), (&json!(2), &json!(0)), "{dead}");
    for job in &jobs[1..] {
        let done = scene.becomes(job, "done");
        assert_eq!((&done["attempt"], &done["crashes"]), (&json!(1), &json!(0)), "{done}");
    }
}

#[test]
fn a_cancelled_job_ends_its_command() {
    let scene = Scene::new(&json!({ "lease_ms": 1500 }));
    scene.gate("gate");
    let job = scene.job();
    let mut worker = scene.start(HELD_UP, &["--max-jobs", "1", "--json"]);
    let pid = scene.line("pid.1");
    let cancelled = scene.server.run(&["jobs", "cancel", "q", &job]).succeeds();
    assert!(cancelled.out.contains("its worker is told"), "{cancelled:?}");
    let shown = scene.becomes(&job, "cancelled");
    assert_eq!((&shown["crashes"], &shown["failures"]), (&json!(0), &json!(0)), "{shown}");
    gone(&pid);
    assert_eq!(outcomes(&worker.ended().succeeds())[&job]["outcome"], "cancelled");
}

/// A worker that is stopped cannot know what time it is; it learns it when it goes on.
#[test]
fn a_worker_whose_lease_was_over_ends_its_command() {
    let scene = Scene::new(&json!({ "lease_ms": 1500 }));
    scene.gate("gate");
    let job = scene.job();
    let mut first = scene.start(HELD_UP, &["--max-jobs", "1", "--json"]);
    let pid = scene.line("pid.1");
    first.signal(Signal::STOP);
    ended(scene.work(HELD_UP, &["--max-jobs", "1"])).succeeds();
    assert_eq!(scene.becomes(&job, "done")["attempt"], 2);
    first.signal(Signal::CONT);
    gone(&pid);
    let lost = outcomes(&first.ended().succeeds());
    assert_eq!(lost[&job]["outcome"], "lost", "{lost:?}");
    let shown = scene.show(&job);
    assert_eq!((&shown["state"], &shown["attempt"]), (&json!("done"), &json!(2)), "{shown}");
}

#[test]
fn a_worker_that_is_told_to_stop_lets_what_runs_finish() {
    let scene = Scene::new(&json!({}));
    scene.gate("gate");
    let job = scene.job();
    let mut worker = scene.start(HELD_UP, &["--grace-ms", "60000"]);
    scene.line("pid.1");
    worker.signal(Signal::TERM);
    eventually("the worker to have heard", || worker.err().contains("finishing").then_some(()));
    let next = scene.job();
    scene.open_gate("gate");
    worker.ended().succeeds();
    assert_eq!(scene.show(&job)["state"], "done");
    assert_eq!(scene.show(&next)["attempt"], 0, "it takes no new jobs");
}

#[test]
fn what_does_not_finish_in_time_is_given_back() {
    let scene = Scene::new(&json!({}));
    scene.gate("gate");
    let job = scene.job();
    let mut worker = scene.start(HELD_UP, &["--grace-ms", "1", "--json"]);
    let pid = scene.line("pid.1");
    worker.signal(Signal::INT);
    let ended = worker.ended().succeeds();
    gone(&pid);
    assert_eq!(outcomes(&ended)[&job]["outcome"], "given_back", "{ended:?}");
    // At once, for whoever comes next, and nothing is held against it.
    let shown = scene.becomes(&job, "ready");
    let counts = (&shown["attempt"], &shown["crashes"], &shown["failures"]);
    assert_eq!(counts, (&json!(1), &json!(0), &json!(0)), "{shown}");
}

#[test]
fn who_interrupts_twice_leaves_no_command_behind() {
    let scene = Scene::new(&json!({}));
    scene.gate("gate");
    scene.job();
    let mut worker = scene.start(HELD_UP, &["--grace-ms", "60000"]);
    let pid = scene.line("pid.1");
    worker.signal(Signal::INT);
    eventually("the worker to have heard", || worker.err().contains("finishing").then_some(()));
    worker.signal(Signal::INT);
    assert_eq!(worker.ended().code, Some(130));
    gone(&pid);
}

#[test]
fn a_lease_is_extended_while_its_command_runs() {
    let scene = Scene::new(&json!({ "lease_ms": 2000 }));
    scene.gate("gate");
    let job = scene.job();
    let mut worker = scene.start(HELD_UP, &["--max-jobs", "1"]);
    scene.line("pid.1");
    let mut ends = std::collections::BTreeSet::new();
    eventually("the lease to have been extended", || {
        let shown = scene.show(&job);
        assert_eq!((&shown["state"], &shown["attempt"]), (&json!("leased"), &json!(1)), "{shown}");
        ends.insert(shown["at"].to_string());
        // Each extension is a third: by then it would be over without them.
        (ends.len() > 4).then_some(())
    });
    scene.open_gate("gate");
    worker.ended().succeeds();
    let done = scene.show(&job);
    assert_eq!((&done["state"], &done["crashes"]), (&json!("done"), &json!(0)), "{done}");
}

/// What becomes ready while others run is not left behind.
#[test]
fn once_works_off_everything_that_can_be() {
    let scene = Scene::new(&json!({}));
    let keys = (0..12).map(|job| json!({ "kind": "k", "ordering_key": format!("o{}", job % 3) }));
    let mut jobs = scene.enqueue(&keys.collect::<Vec<_>>().into());
    for _ in 0..4 {
        let last = jobs.last().unwrap();
        let next = json!([{ "kind": "k", "after": [last], "ordering_key": "o2" }]);
        jobs.push(scene.enqueue(&next).remove(0));
    }
    // It runs for longer than nothing else has to come.
    jobs.extend(scene.enqueue(&json!([{ "kind": "long", "ordering_key": "l" }])));
    jobs.extend(scene.enqueue(&json!([{ "kind": "k", "ordering_key": "l" }])));
    let later = scene.enqueue(&json!([{ "kind": "k", "delay_ms": 3_600_000 }])).remove(0);
    let script = r#"[ "$EVENKEEL_KIND" != long ] || sleep 2.5"#;
    let ended = ended(scene.work(script, &["--once", "--concurrency", "4"])).succeeds();
    assert_eq!(ended.out.lines().count(), 18, "{ended:?}");
    assert!(jobs.iter().all(|job| scene.show(job)["state"] == "done"));
    assert_eq!(scene.show(&later)["state"], "scheduled");
}

#[test]
fn what_cannot_be_worked_on_is_said() {
    let directory = TempDir::new().unwrap();
    let server = Server::serve(directory.path(), &["--init"]);
    server.ask("PUT", "/v1/queues/mail", Some(r#"{"lease_ms_max":60000}"#));
    let work = |args: &[&str]| server.run(&[&["work", "--exec", "true"], args].concat());
    work(&["--queue", "mial"]).fails(1, &["no queue \"mial\"", "did you mean \"mail\"?"]);
    work(&["--queue", "mail", "--lease-ms", "60001"]).fails(1, &["longest lease", "60000 ms"]);
    work(&["--queue", "a/b"]).fails(2, &["names are 1 to 128"]);
    work(&["--queue", "mail", "--concurrency", "0"]).fails(2, &["--concurrency"]);
    work(&[]).fails(2, &["--queue"]);
    let mut stranger = evenkeel(&["work", "--queue", "mail", "--exec", "true", "--once"]);
    stranger.args(["--url", &server.url]);
    ended(stranger).fails(1, &["unauthenticated", "EVENKEEL_KEY"]);
    work(&["--queue", "mail", "--once"]).succeeds();
}
