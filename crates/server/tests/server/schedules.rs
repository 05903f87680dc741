//! Schedules over HTTP.

use crate::harness::TestServer;
use evenkeel_server::{Auth, ServerOptions};
use serde_json::{Value, json};

const REPORT: &str = "/v1/schedules/report";

fn weekdays() -> Value {
    json!({
        "cron": "0 7 * * MON-FRI", "timezone": "Europe/Berlin", "queue": "mail",
        "job": { "kind": "report", "payload": { "to": ["ada", 1.5] } },
    })
}

fn with(change: impl FnOnce(&mut Value)) -> String {
    let mut body = weekdays();
    change(&mut body);
    body.to_string()
}

fn put_queue(server: &TestServer) {
    let answer = server.put("/v1/queues/mail", "{}");
    assert!([200, 201].contains(&answer.status), "{}", answer.body);
}

#[test]
fn a_life_of_a_schedule() {
    let server = TestServer::open();
    put_queue(&server);
    let sent = weekdays().to_string().replace("1.5]", "1.50]");
    let created = server.put(REPORT, &sent);
    assert_eq!(created.status, 201, "{}", created.body);
    assert_eq!(server.put(REPORT, &sent).status, 200, "the same is no news");
    let read = server.get(REPORT);
    assert_eq!(read.json(), created.json());
    let mut body = read.json();
    assert_eq!(body["next_runs"].as_array().unwrap().len(), 5);
    assert!(body["next_runs"][0].as_str().unwrap() < body["next_runs"][1].as_str().unwrap());
    assert!(body["created_at"].is_string());
    for varying in ["next_runs", "created_at"] {
        body.as_object_mut().unwrap().remove(varying);
    }
    let expected = json!({
        "schedule": "report", "cron": "0 7 * * MON-FRI", "timezone": "Europe/Berlin",
        "every_ms": null, "queue": "mail", "missed": "skip", "paused": false,
        "job": {
            "kind": "report", "payload": { "to": ["ada", 1.5] }, "unique_key": null,
            "ordering_key": null, "priority": 4,
        },
        "last_run_at": null, "totals": { "fired": 0, "missed": 0, "failed": 0 },
        "last_error": null,
    });
    assert_eq!(body, expected);
    assert!(read.body.contains("1.50"), "a payload is what was sent, to the letter");

    let paused = server.post(&format!("{REPORT}/pause"), "").json();
    assert_eq!((&paused["paused"], &paused["next_runs"]), (&json!(true), &json!([])));
    let resumed = server.post(&format!("{REPORT}/resume"), "{}").json();
    assert_eq!(resumed["paused"], false);
    assert_eq!(resumed["next_runs"].as_array().unwrap().len(), 5);

    assert_eq!(server.send("DELETE", REPORT, &[], None).status, 204);
    assert_eq!(server.get(REPORT).code(), "not_found");
    assert_eq!(server.send("DELETE", REPORT, &[], None).code(), "not_found");
    assert_eq!(server.post(&format!("{REPORT}/pause"), "").code(), "not_found");
}

#[test]
fn a_job_arrives_where_it_belongs() {
    let server = TestServer::open();
    put_queue(&server);
    let often = json!({ "every_ms": 1_000, "queue": "mail", "job": { "kind": "often" } });
    assert_eq!(server.put("/v1/schedules/often", &often.to_string()).status, 201);
    let lease = json!({ "worker": "w", "wait_ms": 20_000 }).to_string();
    let leased = server.post("/v1/queues/mail/lease", &lease).json();
    assert_eq!(leased["jobs"][0]["kind"], "often");
    assert_eq!(leased["jobs"][0]["payload"], Value::Null);
    let body = server.get("/v1/schedules/often").json();
    assert!(body["totals"]["fired"].as_u64().unwrap() >= 1);
    assert!(body["last_run_at"].is_string());
}

#[test]
fn all_partitions_are_listed() {
    let server = TestServer::open();
    put_queue(&server);
    let names: Vec<String> = (0..12).map(|at| format!("s{at:02}")).collect();
    for name in &names {
        assert_eq!(
            server.put(&format!("/v1/schedules/{name}"), &weekdays().to_string()).status,
            201
        );
    }
    let mut found = Vec::new();
    let mut query = "?limit=5".to_owned();
    loop {
        let page = server.get(&format!("/v1/schedules{query}")).json();
        for item in page["items"].as_array().unwrap() {
            assert_eq!(item["next_runs"].as_array().unwrap().len(), 5);
            assert_eq!(item["job"].get("payload"), None, "one schedule shows its payload");
            found.push(item["schedule"].as_str().unwrap().to_owned());
        }
        let Some(cursor) = page["cursor"].as_str() else { break };
        query = format!("?limit=5&cursor={cursor}");
    }
    found.sort_unstable();
    assert_eq!(found, names);
}

#[test]
fn what_is_wrong_is_said() {
    let server = TestServer::open();
    let refused = |body: String| {
        let answer = server.put(REPORT, &body);
        let problem = answer.json();
        let text = |member: &str| problem[member].as_str().unwrap_or_default().to_owned();
        (answer.code(), text("field"), text("detail"))
    };
    let said = |code: &str, field: &str, detail: &str| {
        (code.to_owned(), field.to_owned(), detail.to_owned())
    };
    assert_eq!(
        refused(with(|body| body["timezone"] = "Europe/Berln".into())),
        said(
            "invalid_schedule",
            "timezone",
            "\"Europe/Berln\" is no time zone of the IANA database, did you mean \
             \"Europe/Berlin\"?"
        )
    );
    assert_eq!(
        refused(with(|body| body["cron"] = "0 25 * * *".into())),
        said(
            "invalid_schedule",
            "cron",
            "the cron expression is not one: its hour is \"25\": Number out of bounds"
        )
    );
    assert_eq!(
        refused(with(|body| body["cron"] = "0 0 30 2 *".into())),
        said("invalid_schedule", "cron", "the cron expression names no time in the next 50 years")
    );
    let every =
        |every_ms: u64| json!({ "every_ms": every_ms, "queue": "q", "job": { "kind": "k" } });
    assert_eq!(refused(every(999).to_string()).1, "every_ms");
    for (field, value) in
        [("every_ms", json!(5_000)), ("queue", json!("a b")), ("queue", json!(""))]
    {
        let (code, said, _) = refused(with(|body| body[field] = value));
        assert_eq!((code.as_str(), said.as_str()), ("invalid_request", field));
    }
    for (field, value) in [
        ("kind", json!("")),
        ("priority", json!(10)),
        ("unique_key", json!("é")),
        ("ordering_key", json!("x".repeat(129))),
        ("payload", json!("x".repeat(65_536))),
    ] {
        let (code, said, _) = refused(with(|body| body["job"][field] = value));
        assert_eq!((code.as_str(), said.as_str()), ("invalid_request", field));
    }
    let (_, _, detail) = refused(with(|body| body["timezon"] = "UTC".into()));
    assert!(
        detail.starts_with("unknown field \"timezon\", did you mean \"timezone\"?"),
        "{detail}"
    );
    let (_, field, _) = refused(json!({ "queue": "q", "job": { "kind": "k" } }).to_string());
    assert_eq!(field, "cron");
    let zoned =
        json!({ "every_ms": 1_000, "timezone": "UTC", "queue": "q", "job": { "kind": "k" } });
    assert_eq!(refused(zoned.to_string()).1, "timezone");
}

#[test]
fn a_queue_is_put_first() {
    let server = TestServer::open();
    let answer = server.put(REPORT, &weekdays().to_string());
    assert_eq!((answer.status, answer.code().as_str()), (409, "no_queue"));
    put_queue(&server);
    let answer = server.put(REPORT, &with(|body| body["queue"] = "mial".into()));
    assert_eq!(answer.code(), "no_queue");
    assert_eq!(answer.json()["detail"], "there is no queue \"mial\", did you mean \"mail\"?");
    assert_eq!(answer.json()["queue"], "mial");
}

#[test]
fn schedules_have_the_scopes_of_jobs() {
    let server = TestServer::start(ServerOptions::new(Auth::Keys));
    let admin = format!("Bearer {}", server.admin_key());
    let key = |scope: &str| {
        let body = json!({ "scopes": [scope], "label": "l" }).to_string();
        let headers = [("Authorization", admin.as_str())];
        let answer = server.send("POST", "/v1/keys", &headers, Some(&body));
        format!("Bearer {}", answer.json()["key"].as_str().unwrap())
    };
    let (reader, writer) = (key("jobs:read"), key("jobs:write"));
    let ask = |method: &str, key: &str, body: Option<&str>| {
        server.send(method, REPORT, &[("Authorization", key)], body).code()
    };
    assert_eq!(ask("GET", &reader, None), "not_found");
    assert_eq!(ask("GET", &writer, None), "forbidden");
    assert_eq!(ask("DELETE", &reader, None), "forbidden");
    assert_eq!(ask("DELETE", &writer, None), "not_found");
    assert_eq!(ask("PUT", &reader, Some("{}")), "forbidden");
}
