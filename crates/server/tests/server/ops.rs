//! What operators and tools read.

use crate::harness::{TestServer, request};
use evenkeel_server::{Auth, Demo, DemoBreakage, ServerOptions, StaticFile};
use std::{
    collections::BTreeSet,
    io::{Read, Write},
};

/// The addresses that the public surface names for what this program serves.
const ADDRESSES: [&str; 103] = [
    "GET /v1/conversations/{c}",
    "PUT /v1/conversations/{c}",
    "GET /v1/conversations/{c}/members",
    "PUT /v1/conversations/{c}/members/{u}",
    "DELETE /v1/conversations/{c}/members/{u}",
    "GET /v1/conversations/{c}/messages",
    "PUT /v1/conversations/{c}/messages/by-client-id/{client_id}",
    "GET /v1/conversations/{c}/messages/{seq}",
    "PATCH /v1/conversations/{c}/messages/{seq}",
    "DELETE /v1/conversations/{c}/messages/{seq}",
    "GET /v1/conversations/{c}/messages/{seq}/reactions",
    "PUT /v1/conversations/{c}/messages/{seq}/reactions/{kind}/{user}",
    "DELETE /v1/conversations/{c}/messages/{seq}/reactions/{kind}/{user}",
    "PUT /v1/conversations/{c}/read/{u}",
    "GET /v1/conversations/{c}/stream",
    "GET /v1/users/{u}/inbox",
    "GET /v1/realtime",
    "PUT /v1/resources/{r}",
    "GET /v1/resources/{r}",
    "GET /v1/resources",
    "POST /v1/resources/{r}/seats",
    "GET /v1/resources/{r}/seats",
    "POST /v1/resources/{r}/holds",
    "GET /v1/resources/{r}/holds",
    "GET /v1/resources/{r}/holds/{h}",
    "POST /v1/resources/{r}/holds/{h}/confirm",
    "POST /v1/resources/{r}/holds/{h}/release",
    "POST /v1/resources/{r}/holds/{h}/extend",
    "POST /v1/resources/{r}/holds/{h}/cancel",
    "GET /v1/resources/{r}/events",
    "PUT /v1/limits/{limit}",
    "GET /v1/limits/{limit}",
    "DELETE /v1/limits/{limit}",
    "GET /v1/limits",
    "GET /v1/limits/{limit}/peek",
    "POST /v1/limits/check",
    "POST /v1/limits/refund",
    "POST /v1/limits/release",
    "POST /v1/limits/renew",
    "POST /v1/limits/reset",
    "PUT /v1/schedules/{s}",
    "GET /v1/schedules/{s}",
    "GET /v1/schedules",
    "DELETE /v1/schedules/{s}",
    "POST /v1/schedules/{s}/pause",
    "POST /v1/schedules/{s}/resume",
    "PUT /v1/queues/{q}",
    "GET /v1/queues/{q}",
    "DELETE /v1/queues/{q}",
    "GET /v1/queues",
    "POST /v1/queues/{q}/pause",
    "POST /v1/queues/{q}/resume",
    "POST /v1/queues/{q}/drain",
    "POST /v1/queues/{q}/jobs",
    "GET /v1/queues/{q}/jobs",
    "GET /v1/queues/{q}/jobs/{j}",
    "POST /v1/queues/{q}/lease",
    "POST /v1/queues/{q}/complete",
    "POST /v1/queues/{q}/jobs/{j}/complete",
    "POST /v1/queues/{q}/jobs/{j}/fail",
    "POST /v1/queues/{q}/jobs/{j}/extend",
    "POST /v1/queues/{q}/jobs/{j}/snooze",
    "POST /v1/queues/{q}/jobs/{j}/progress",
    "POST /v1/queues/{q}/jobs/{j}/cancel",
    "POST /v1/queues/{q}/jobs/{j}/retry",
    "GET /v1/queues/{q}/dead",
    "POST /v1/queues/{q}/dead/replay",
    "GET /v1/queues/{q}/events",
    "GET /v1/feeds/{u}",
    "POST /v1/feeds/{u}/posts",
    "GET /v1/feeds/{u}/posts",
    "GET /v1/feeds/{u}/posts/{p}",
    "DELETE /v1/feeds/{u}/posts/{p}",
    "GET /v1/feeds/{u}/posts/{p}/reactions",
    "PUT /v1/feeds/{u}/posts/{p}/reactions/{kind}/{by}",
    "DELETE /v1/feeds/{u}/posts/{p}/reactions/{kind}/{by}",
    "PUT /v1/feeds/{u}/follows/{v}",
    "DELETE /v1/feeds/{u}/follows/{v}",
    "PUT /v1/feeds/{u}/blocks/{v}",
    "DELETE /v1/feeds/{u}/blocks/{v}",
    "PUT /v1/feeds/{u}/mutes/{v}",
    "DELETE /v1/feeds/{u}/mutes/{v}",
    "GET /v1/feeds/{u}/timeline",
    "GET /v1/feeds/{u}/timeline/stream",
    "GET /v1/feeds/{u}/followers",
    "GET /v1/feeds/{u}/following",
    "GET /v1/feeds/{u}/blocks",
    "GET /v1/feeds/{u}/mutes",
    "POST /v1/keys",
    "GET /v1/keys",
    "DELETE /v1/keys/{id}",
    "POST /v1/token-keys",
    "GET /v1/token-keys",
    "DELETE /v1/token-keys/{kid}",
    "GET /v1/contracts",
    "GET /v1/contracts/{path}",
    "GET /metrics",
    "GET /v1/top",
    "GET /healthz",
    "GET /readyz",
    "GET /openapi.json",
    "GET /",
    "GET /docs/problems/{code}",
];

#[test]
fn the_openapi_document_says_what_is_served() {
    let server = TestServer::open();
    let document = server.get("/openapi.json").json();
    let mut found = BTreeSet::new();
    for (address, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            found.insert(format!("{} {address}", method.to_uppercase()));
            assert!(operation["responses"]["default"].is_object(), "{address}");
        }
    }
    assert_eq!(found, ADDRESSES.into_iter().map(str::to_owned).collect());
    let text = document.to_string();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{name} is described");
    }
    let hold = &document["components"]["schemas"]["HoldRequest"];
    assert_eq!(hold["additionalProperties"], false, "unknown fields are refused: {hold}");
    let fields: Vec<&String> = hold["properties"].as_object().unwrap().keys().collect();
    assert_eq!(fields.len(), 4, "{fields:?}");
}

#[test]
fn contracts_are_shown_with_what_was_delivered() {
    let server = TestServer::open();
    server.put("/v1/resources/gig", "{\"kind\":\"quantity\",\"capacity\":1}");
    server.hold("gig", ",\"quantity\":1");
    let more = "{\"holder\":\"u1\",\"ttl_ms\":60000,\"quantity\":1}";
    assert_eq!(server.post("/v1/resources/gig/holds", more).code(), "sold_out");
    assert_eq!(server.post("/v1/resources/gig/holds", "{}").code(), "invalid_request");
    let contracts = server.get("/v1/contracts").json();
    let items = contracts["items"].as_array().unwrap();
    assert_eq!(items.len(), evenkeel_domains::paths().len());
    let hold = items.iter().find(|item| item["path"] == "reservations.hold").unwrap();
    let delivered = &hold["delivered"];
    let outcomes = serde_json::json!({ "ok": 1, "sold_out": 1, "invalid_request": 1 });
    assert_eq!(delivered["outcomes"], outcomes, "each request once, by its code");
    assert_eq!(delivered["appends"], 1);
    let explained = server.get("/v1/contracts/reservations.hold").json();
    assert_eq!(explained["delivered"]["outcomes"], outcomes);
    assert!(explained["sections"].as_array().is_some_and(|sections| !sections.is_empty()));
}

#[test]
fn metrics_are_a_prometheus_page() {
    let server = TestServer::open();
    server.put("/v1/resources/gig", "{\"kind\":\"quantity\",\"capacity\":1}");
    let answer = server.get("/metrics");
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let page = answer.body;
    for sample in [
        "evenkeel_path_requests_total{path=\"reservations.create\",code=\"ok\"} 1",
        "evenkeel_partition_leads{partition=\"meta\"} 1",
        "evenkeel_partition_quarantined{partition=\"meta\"} 0",
        "evenkeel_partition_timers_due{partition=\"meta\"} 0",
        "evenkeel_partition_batch_commands_count{partition=\"meta\"} 0",
        "evenkeel_streams_open 0",
    ] {
        assert!(page.lines().any(|line| line == sample), "{sample} in {page}");
    }
    let batches = |of: &str| {
        let prefix = format!("evenkeel_partition_batch_commands_{of}{{");
        let values = page.lines().filter(|line| line.starts_with(&prefix));
        let values = values.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok());
        values.sum::<u64>()
    };
    assert_eq!((batches("sum"), batches("count")), (1, 1), "one command in one batch");
    let mut families = BTreeSet::new();
    for line in page.lines() {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            assert!(families.insert(family.to_owned()), "{family} is declared twice");
        } else if !line.starts_with('#') {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok() && name.starts_with("evenkeel_"), "{line}");
        }
    }
}

#[test]
fn readiness_is_a_check_a_dependency() {
    let server = TestServer::open();
    let ready = server.get("/readyz");
    assert_eq!(ready.status, 200);
    let checks = ready.json()["checks"].clone();
    let names: Vec<&str> =
        checks.as_array().unwrap().iter().map(|check| check["name"].as_str().unwrap()).collect();
    assert_eq!(&names[..3], ["server", "log", "store"]);
    assert_eq!(names.len(), 3 + 5, "and each of four partitions and meta: {names:?}");
}

#[test]
fn pages_need_nothing_from_elsewhere() {
    let server = TestServer::open();
    let page = server.get("/");
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.header("content-security-policy").unwrap();
    let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap();
    assert!(page.body.contains(&format!("<script nonce=\"{nonce}\">")));
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"));
    assert!(!page.body.contains("{{") && !page.body.contains("src=\""));
    assert_ne!(
        server.get("/").header("content-security-policy"),
        Some(policy),
        "a nonce is used once"
    );
    assert_eq!(page.header("x-frame-options"), Some("DENY"));
    let explained = server.get("/docs/problems/seat_taken");
    assert!(explained.status == 200 && explained.body.contains("seat_taken"));
    assert_eq!(server.get("/docs/problems/nonsense").code(), "not_found");
    let mut stream = server.connect();
    let head = request("HEAD", "/", &[("Connection", "close")], None);
    stream.write_all(head.as_bytes()).unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    assert!(said.starts_with("HTTP/1.1 200") && said.ends_with("\r\n\r\n"), "{said}");
}

/// What the page has in the attribute `name` of each section, as paths.
fn paths_of(page: &str, name: &str) -> Vec<String> {
    let sections = page.split("<section aria-labelledby=\"").skip(1);
    let paths = sections.filter_map(|section| {
        let product = section.split('"').next()?;
        let names = section.split_once(&format!("{name}=\""))?.1.split('"').next()?;
        Some(names.split(' ').map(|name| format!("{product}.{name}")).collect::<Vec<_>>())
    });
    paths.flatten().collect()
}

#[test]
fn the_page_knows_what_there_is_to_play_with() {
    let serving = TestServer::open().get("/").body;
    assert!(serving.contains(">null</script>"), "nothing, unless somebody says so");
    let breakage = DemoBreakage {
        product: "chat",
        takes_away: "</script><script>",
        protects: "pages",
        command: "true".to_owned(),
    };
    let watch = [("chat", vec!["/v1/users/ada/inbox".to_owned()])].into();
    let demo = Some(Demo { watch, breakages: vec![breakage] });
    let server = TestServer::start(ServerOptions { demo, ..ServerOptions::new(Auth::Open) });
    let page = server.get("/").body;
    assert!(page.contains(r#"{"watch":{"chat":["/v1/users/ada/inbox"]},"#), "{page}");
    assert!(page.contains(r#""takes_away":"\u003c/script>\u003cscript>""#), "{page}");

    let contracts = server.get("/v1/contracts").json();
    let known = |path: &String| {
        contracts["items"].as_array().unwrap().iter().any(|item| item["path"] == **path)
    };
    for name in ["data-first", "data-main"] {
        let paths = paths_of(&page, name);
        assert!(paths.len() >= 10 && paths.iter().all(known), "{paths:?}");
    }
}

#[test]
fn files_are_served_where_nothing_else_is() {
    const FILES: &[StaticFile] = &[
        StaticFile { path: "/a/", content_type: "text/html; charset=utf-8", text: "<p>a</p>" },
        StaticFile { path: "/healthz", content_type: "text/plain", text: "in the way" },
    ];
    let server =
        TestServer::start(ServerOptions { files: FILES, ..ServerOptions::new(Auth::Keys) });
    let page = server.get("/a/");
    assert_eq!((page.status, page.body.as_str()), (200, "<p>a</p>"));
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"));
    assert!(policy.contains("script-src 'self';"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_ne!(server.get("/healthz").body, "in the way");
    assert_eq!(server.get("/a").code(), "not_found");
    let post = server.post("/a/", "{}");
    assert_eq!((post.status, post.header("allow")), (405, Some("GET")));
    assert_eq!(TestServer::open().get("/a/").code(), "not_found");
    let open = TestServer::start(ServerOptions { files: FILES, ..ServerOptions::new(Auth::Open) });
    let sockets = |server: &TestServer, host: &str| {
        let page = server.send("GET", "/a/", &[("Host", host)], None);
        let policy = page.header("content-security-policy").unwrap();
        policy.split("; ").find_map(|part| part.strip_prefix("connect-src ")).unwrap().to_owned()
    };
    assert_eq!(sockets(&open, "localhost:7480"), "'self' ws://localhost:7480");
    assert_eq!(sockets(&open, "[::1]:7480"), "'self'", "a policy cannot say that");
    assert_eq!(sockets(&server, "evil.example"), "'self'");
    assert_eq!(open.get("/a/").status, 200);
    assert_eq!(open.send("GET", "/a/", &[("Host", "evil.example")], None).code(), "forbidden");
}
