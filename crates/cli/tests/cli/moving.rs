//! What moves by itself in `dev`, and that nothing does elsewhere.

use crate::process::{LAST_LINE_OF_DEV, Server, evenkeel, eventually};
use serde_json::Value;
use tempfile::TempDir;

/// What each product does within seconds: how often its paths were answered, by code.
const DONE: [(&str, &str); 18] = [
    ("reservations.hold", "ok"),
    ("reservations.confirm", "ok"),
    ("reservations.release", "ok"),
    ("reservations.cancel", "ok"),
    ("limits.check", "ok"),
    ("limits.check", "limited"),
    ("limits.release", "ok"),
    ("jobs.enqueue", "ok"),
    ("jobs.lease", "ok"),
    ("jobs.complete", "ok"),
    ("jobs.fail", "ok"),
    ("chat.send", "ok"),
    ("chat.read", "ok"),
    ("chat.react", "ok"),
    ("feed.post", "ok"),
    ("feed.follow", "ok"),
    ("feed.unfollow", "ok"),
    ("feed.react", "ok"),
];

fn dev(args: &[&str]) -> Server {
    let mut command = evenkeel(&["dev", "--http", "127.0.0.1:0"]);
    command.args(args);
    Server::start(command, LAST_LINE_OF_DEV)
}

fn get(server: &Server, path: &str) -> Value {
    let (status, body) = server.ask("GET", &format!("/v1/{path}"), None);
    assert_eq!(status, 200, "{path}: {body}");
    body
}

/// What `contracts` has of `path`, in `code`.
fn outcomes(contracts: &Value, path: &str, code: &str) -> u64 {
    let mut items = contracts["items"].as_array().unwrap().iter();
    let found = items.find(|item| item["path"] == path).unwrap();
    found["delivered"]["outcomes"][code].as_u64().unwrap_or(0)
}

#[test]
fn dev_moves_all_five_and_nobody_is_told_of_a_failure() {
    let server = dev(&[]);
    eventually("everything that dev does by itself", || {
        let contracts = get(&server, "contracts");
        DONE.iter().all(|(path, code)| outcomes(&contracts, path, code) > 1).then_some(())
    });
    eventually("a hold that ran out", || {
        let list = get(&server, "resources/hall/holds?state=expired");
        list["items"].as_array().unwrap().first().map(|_| ())
    });
    eventually("a dead letter and a job that was tried again", || {
        let queue = get(&server, "queues/thumbnails");
        let died = queue["totals"]["died"].as_u64().unwrap();
        (died > 0 && queue["totals"]["failed"].as_u64().unwrap() > died).then_some(())
    });
    let timeline = eventually("posts with reactions in a timeline", || {
        let timeline = get(&server, "feeds/bob/timeline?limit=50");
        let items = timeline["items"].as_array().unwrap();
        let liked = items.iter().any(|post| post["reactions"]["heart"].as_u64() > Some(1));
        liked.then(|| timeline.clone())
    });
    assert!(timeline["items"].as_array().unwrap().len() > 1, "{timeline}");
    let followers = get(&server, "feeds/nova")["followers"].as_u64().unwrap();
    assert!(followers > 10, "{followers}");
    let said = server.stderr();
    assert!(!said.contains("refused") && !said.contains("WARN"), "{said}");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn nothing_moves_where_it_is_not_wanted() {
    let served = TempDir::new().unwrap();
    let serving = Server::serve(served.path(), &["--init", "--insecure-no-auth"]);
    let alone = dev(&["--no-traffic"]);
    // By the time that one has done all of it, the others would have begun.
    let moving = dev(&[]);
    eventually("some traffic", || {
        let contracts = get(&moving, "contracts");
        DONE.iter().all(|(path, code)| outcomes(&contracts, path, code) > 0).then_some(())
    });
    for server in [&serving, &alone] {
        let contracts = get(server, "contracts");
        for (path, code) in DONE {
            assert_eq!(outcomes(&contracts, path, code), 0, "{path}");
        }
    }
    assert_eq!(get(&alone, "resources/hall")["available"], 30);
    assert_eq!(get(&alone, "feeds/bob/timeline")["items"][0]["author"], "ada");
}
