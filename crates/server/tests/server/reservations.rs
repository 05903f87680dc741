//! What a product does with resources and holds.

use crate::harness::TestServer;

#[test]
fn a_life_of_a_hold() {
    let server = TestServer::open();
    let spec = "{\"kind\":\"seats\",\"seats\":[\"A1\",\"A2\",\"A3\"]}";
    let created = server.put("/v1/resources/gig", spec);
    assert_eq!(created.status, 201);
    assert_eq!(server.put("/v1/resources/gig", spec).status, 200, "the same again is no news");
    let added = server.post("/v1/resources/gig/seats", "{\"seats\":[\"A4\"]}").json();
    assert_eq!((&added["capacity"], &added["kind"]), (&4.into(), &"seats".into()));
    let name = server.hold("gig", ",\"seats\":[\"A1\",\"A2\"]");
    let address = format!("/v1/resources/gig/holds/{name}");
    let held = server.get(&address);
    let body = held.json();
    assert_eq!(
        (&body["state"], &body["seats"]),
        (&"held".into(), &serde_json::json!(["A1", "A2"]))
    );
    assert_eq!(body["fence"].to_string(), name, "a hold is named by its fence");
    let times = ["created_at", "expires_at"].map(|at| body[at].as_str().unwrap().to_owned());
    let [created_at, expires_at] = times.map(|at| at.parse::<jiff::Timestamp>().unwrap());
    assert_eq!((expires_at - created_at).as_millis(), 600_000);
    let extended = server.post(&format!("{address}/extend"), "{\"ttl_ms\":900000}");
    assert_ne!(extended.json()["expires_at"], body["expires_at"]);
    let confirmed = server.post(&format!("{address}/confirm"), "").json();
    assert_eq!(confirmed["state"], "confirmed");
    assert!(confirmed["resolved_at"].is_string());
    let counted = server.get("/v1/resources/gig").json();
    let counts = ["available", "held", "confirmed"].map(|count| counted[count].as_u64().unwrap());
    assert_eq!(counts, [2, 0, 2]);
    let cancelled = server.post(&format!("{address}/cancel"), "{}").json();
    assert_eq!(cancelled["state"], "cancelled");
    assert_eq!(server.get("/v1/resources/gig").json()["available"], 4);
}

/// Whoever was told no and asks elsewhere must not be answered from before the no.
#[test]
fn a_no_says_what_it_rests_on() {
    let server = TestServer::open();
    let put = server.put("/v1/resources/gig", "{\"kind\":\"quantity\",\"capacity\":1}");
    let rests_on = put.header("evenkeel-session").unwrap();
    let too_many = "{\"holder\":\"u1\",\"ttl_ms\":60000,\"quantity\":2}";
    for (no, code) in [
        (server.post("/v1/resources/gig/holds", too_many), "sold_out"),
        (server.post("/v1/resources/gig/holds/9/release", ""), "not_found"),
        (server.get("/v1/resources/gig/holds/9"), "not_found"),
    ] {
        assert_eq!(no.code(), code);
        assert_eq!(no.header("evenkeel-session"), Some(rests_on), "{code}");
        assert_eq!(no.header("evenkeel-as-of"), put.header("evenkeel-as-of"), "{code}");
        assert_eq!(no.header("evenkeel-staleness-ms"), Some("0"), "{code}");
    }
    let undecided = server.post("/v1/resources/gig/holds", "{");
    assert_eq!(undecided.header("evenkeel-session"), None, "nothing was asked of a partition");
}

#[test]
fn a_retry_is_answered_as_the_first_time() {
    let server = TestServer::open();
    server.put("/v1/resources/gig", "{\"kind\":\"quantity\",\"capacity\":10}");
    let body = Some("{\"holder\":\"u1\",\"ttl_ms\":60000,\"quantity\":1}");
    let hold = |key: &str| {
        server.send("POST", "/v1/resources/gig/holds", &[("Idempotency-Key", key)], body)
    };
    let first = hold("\"order 1\"");
    assert_eq!(first.header("idempotent-replayed"), None);
    let again = hold("\"order 1\"");
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!((first.status, &first.body), (again.status, &again.body));
    assert_ne!(first.json()["hold"], hold("other").json()["hold"]);
    assert_eq!(server.get("/v1/resources/gig").json()["held"], 2, "two keys, two effects");
}

/// It is known of the partition that the key was used: a no like any other.
#[test]
fn an_idempotency_conflict_says_what_it_rests_on() {
    let server = TestServer::open();
    server.put("/v1/resources/gig", "{\"kind\":\"quantity\",\"capacity\":9}");
    let hold = |quantity: u32| {
        let body = format!("{{\"holder\":\"u1\",\"ttl_ms\":60000,\"quantity\":{quantity}}}");
        let key = [("Idempotency-Key", "order-1")];
        server.send("POST", "/v1/resources/gig/holds", &key, Some(&body))
    };
    let held = hold(1);
    let conflict = hold(2);
    assert_eq!((held.status, conflict.code().as_str()), (201, "idempotency_conflict"));
    for header in ["evenkeel-session", "evenkeel-as-of", "evenkeel-staleness-ms"] {
        assert!(held.header(header).is_some(), "{header}");
        assert_eq!(conflict.header(header), held.header(header), "{header}");
    }
}

#[test]
fn answers_say_what_they_rest_on() {
    let server = TestServer::open();
    let written = server.put("/v1/resources/gig", "{\"kind\":\"quantity\",\"capacity\":10}");
    let session = written.header("evenkeel-session").unwrap();
    let read = server.send("GET", "/v1/resources/gig", &[("Evenkeel-Session", session)], None);
    assert_eq!(read.status, 200);
    let stale_ms: u64 = read.header("evenkeel-staleness-ms").unwrap().parse().unwrap();
    assert!(stale_ms <= 1_000, "{stale_ms}");
    let now = [("Evenkeel-Consistency", "session"), ("Evenkeel-Session", session)];
    let read = server.send("GET", "/v1/resources/gig", &now, None);
    assert_eq!((read.status, read.header("evenkeel-staleness-ms")), (200, Some("0")));
    let parts: Vec<&str> = session.split('.').collect();
    let as_of = format!("{}/{}", parts[0], parts[2]);
    assert_eq!(written.header("evenkeel-as-of"), Some(as_of.as_str()));
    let everywhere = server.get("/v1/resources");
    let places = everywhere.header("evenkeel-as-of").unwrap().split(", ").count();
    assert_eq!(places, 4, "a list over all partitions rests on each");
    let bounded = [("Evenkeel-Consistency", "bounded;max_staleness_ms=0")];
    assert_eq!(server.send("GET", "/v1/resources/gig", &bounded, None).status, 200);
}

#[test]
fn lists_end_where_they_end() {
    let server = TestServer::open();
    let seats: Vec<String> = (0..25).map(|at| format!("\"S{at:02}\"")).collect();
    let spec = format!("{{\"kind\":\"seats\",\"seats\":[{}]}}", seats.join(","));
    assert_eq!(server.put("/v1/resources/gig", &spec).status, 201);
    for at in 0..7 {
        server.hold("gig", &format!(",\"seats\":[\"S{at:02}\"]"));
        let name = format!("/v1/resources/other-{at}");
        assert_eq!(server.put(&name, "{\"kind\":\"quantity\",\"capacity\":1}").status, 201);
    }
    let walk = |path: &str, field: &str| {
        let mut found = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = server.get(&format!("{path}limit=3{cursor}"));
            assert_eq!(page.status, 200, "{}", page.body);
            let page = page.json();
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= 3);
            found.extend(items.iter().map(|item| item[field].as_str().unwrap().to_owned()));
            match page["cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return found,
            }
        }
    };
    let all = walk("/v1/resources/gig/seats?", "seat");
    assert_eq!(all.len(), 25);
    assert!(all.is_sorted());
    assert_eq!(walk("/v1/resources/gig/seats?state=held&", "seat").len(), 7);
    assert_eq!(walk("/v1/resources/gig/seats?state=free&", "seat").len(), 18);
    assert_eq!(walk("/v1/resources/gig/holds?", "hold").len(), 7);
    assert_eq!(walk("/v1/resources/gig/holds?state=confirmed&", "hold").len(), 0);
    let mut resources = walk("/v1/resources?", "resource");
    resources.sort();
    resources.dedup();
    assert_eq!(resources.len(), 8, "each resource once");
    let page = server.get("/v1/resources/gig/seats?limit=3").json();
    let cursor = page["cursor"].as_str().unwrap();
    let elsewhere = format!("/v1/resources/gig/holds?cursor={cursor}");
    assert_eq!(server.get(&elsewhere).code(), "invalid_request");
}

#[test]
fn what_was_acknowledged_is_there_after_a_restart() {
    let server = TestServer::open();
    server.put("/v1/resources/gig", "{\"kind\":\"quantity\",\"capacity\":3}");
    let name = server.hold("gig", ",\"quantity\":2");
    let options = evenkeel_server::ServerOptions::new(evenkeel_server::Auth::Open);
    let server = TestServer::start_on(server.stop(), options);
    let held = server.get(&format!("/v1/resources/gig/holds/{name}")).json();
    assert_eq!((&held["state"], &held["quantity"]), (&"held".into(), &2.into()));
}
