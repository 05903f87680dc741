//! Every kind of problem, as its caller sees it: a golden listing.

use crate::harness::{Answer, TestServer};
use std::fmt::Write;

struct Listing(String);

impl Listing {
    fn note(&mut self, what: &str, answer: &Answer) {
        answer.code();
        let mut problem = answer.json();
        problem["request_id"] = "redacted".into();
        writeln!(self.0, "{what}\n  {problem}").unwrap();
        for name in ["allow", "retry-after", "www-authenticate"] {
            if let Some(value) = answer.header(name) {
                writeln!(self.0, "  {name}: {value}").unwrap();
            }
        }
    }
}

#[test]
fn requests_that_are_not_valid() {
    let server = TestServer::open();
    let mut listing = Listing(String::new());
    let holds = "/v1/resources/gig/holds";
    for body in [
        "",
        "[]",
        "\"text\"",
        "{",
        "{\"holder\":\"u1\",}",
        "{\"holdr\":\"u1\",\"ttl_ms\":1}",
        "{\"holder\":\"u1\",\"ttl_ms\":1,\"best_available\":{}}",
        "{\"ttl_ms\":1}",
        "{\"holder\":1,\"ttl_ms\":1}",
        "{\"holder\":\"u1\",\"ttl_ms\":-1}",
        "{\"holder\":\"u1\",\"ttl_ms\":1.5}",
        "{\"holder\":\"u1\",\"ttl_ms\":0}",
        "{\"holder\":\"u 1\",\"ttl_ms\":1}",
        "{\"holder\":\"u1\",\"holder\":\"u1\",\"ttl_ms\":1}",
        "{\"holder\":\"u1\",\"ttl_ms\":604800001}",
        "{\"holder\":\"u1\",\"ttl_ms\":1,\"quantity\":0}",
        "{\"holder\":\"u1\",\"ttl_ms\":1,\"quantity\":1000000001}",
        "{\"holder\":\"u1\",\"ttl_ms\":1,\"quantity\":1,\"seats\":[\"A1\"]}",
        "{\"holder\":\"u1\",\"ttl_ms\":1,\"seats\":[]}",
        "{\"holder\":\"u1\",\"ttl_ms\":1,\"seats\":[\"A1\",\"A1\"]}",
        "{\"holder\":\"u1\",\"ttl_ms\":1,\"seats\":[\"A1\",\"a seat\"]}",
    ] {
        listing.note(&format!("POST {holds} {body}"), &server.post(holds, body));
    }
    for body in [
        "{\"kind\":\"seat\"}",
        "{\"kind\":\"seats\"}",
        "{\"kind\":\"quantity\",\"seats\":[\"A1\"]}",
        "{\"kind\":\"quantity\",\"capacity\":1000000000001}",
        "{\"kind\":\"lock\"}",
    ] {
        listing.note(&format!("PUT {body}"), &server.put("/v1/resources/gig", body));
    }
    for path in [
        "/v1/resources/a%20b",
        "/v1/resources/%zz",
        "/v1/resources?limit=0",
        "/v1/resources?limit=10&limit=10",
        "/v1/resources?limt=1",
        "/v1/resources/gig?x=1",
        "/v1/resources?cursor=00",
        "/v1/resources/gig/seats?state=sold",
        "/v1/resources/gig/events?since=x",
    ] {
        listing.note(&format!("GET {path}"), &server.get(path));
    }
    for (name, value) in [
        ("Idempotency-Key", "\"open"),
        ("Evenkeel-Deadline-Ms", "soon"),
        ("Evenkeel-Consistency", "strong"),
        ("Evenkeel-Session", "1.2"),
        ("Evenkeel-Priority", "urgent"),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ] {
        let body = Some("{\"holder\":\"u1\",\"ttl_ms\":1}");
        let answer = server.send("POST", holds, &[(name, value)], body);
        listing.note(&format!("POST {holds} with {name}: {value}"), &answer);
    }
    let bounded = ("Evenkeel-Consistency", "linearizable");
    let answer = server.send("GET", "/v1/contracts", &[bounded], None);
    listing.note("GET /v1/contracts, linearizable", &answer);
    insta::assert_snapshot!(listing.0);
}

#[test]
fn refusals_and_other_noes() {
    let server = TestServer::open();
    let mut listing = Listing(String::new());
    server.put("/v1/resources/few", "{\"kind\":\"quantity\",\"capacity\":2}");
    server.put("/v1/resources/map", "{\"kind\":\"seats\",\"seats\":[\"A1\",\"A2\"]}");
    server.put("/v1/resources/job", "{\"kind\":\"lock\",\"protects\":\"one export at a time\"}");
    let (few, seat, lock) = (
        server.hold("few", ",\"quantity\":1"),
        server.hold("map", ",\"seats\":[\"A1\"]"),
        server.hold("job", ""),
    );
    let hold = |resource: &str, places: &str| {
        let body = format!("{{\"holder\":\"u2\",\"ttl_ms\":60000{places}}}");
        server.post(&format!("/v1/resources/{resource}/holds"), &body)
    };
    listing.note("more than are free", &hold("few", ",\"quantity\":2"));
    listing.note("a seat that is taken", &hold("map", ",\"seats\":[\"A1\",\"A2\"]"));
    listing.note("a seat that is not there", &hold("map", ",\"seats\":[\"Z9\"]"));
    listing.note("a lock that is held", &hold("job", ""));
    listing.note("seats of a quantity", &hold("few", ",\"seats\":[\"A1\"]"));
    listing.note("nothing of a quantity", &hold("few", ""));
    listing.note("a quantity of seats", &hold("map", ",\"quantity\":1"));
    listing.note("a resource that is not there", &hold("nowhere", ""));
    let shrunk = server.put("/v1/resources/few", "{\"kind\":\"quantity\",\"capacity\":0}");
    listing.note("less capacity than is taken", &shrunk);
    let act = |resource: &str, hold: &str, action: &str| {
        server.post(&format!("/v1/resources/{resource}/holds/{hold}/{action}"), "")
    };
    listing.note("cancel what is only held", &act("few", &few, "cancel"));
    assert_eq!(act("few", &few, "release").status, 200);
    listing.note("confirm what was released", &act("few", &few, "confirm"));
    listing.note("confirm a lock", &act("job", &lock, "confirm"));
    assert_eq!(act("map", &seat, "confirm").status, 200);
    listing.note("a hold that is not there", &act("few", "1", "confirm"));
    listing.note("a hold of no hold's name", &act("few", "007", "confirm"));
    listing.note("no such key", &server.send("DELETE", "/v1/keys/abc", &[], None));
    listing.note("no such path", &server.get("/v1/contracts/reservations.hol"));
    listing.note("no such address", &server.get("/v1/nothing"));
    listing.note("another method", &server.send("PATCH", "/v1/resources/few", &[], None));
    insta::assert_snapshot!(listing.0);
}

#[test]
fn a_hold_that_has_expired() {
    let server = TestServer::open();
    server.put("/v1/resources/gig", "{\"kind\":\"quantity\",\"capacity\":1}");
    let body = "{\"holder\":\"u1\",\"ttl_ms\":1,\"quantity\":1}";
    let hold = server.post("/v1/resources/gig/holds", body).json()["hold"].clone();
    let address = format!("/v1/resources/gig/holds/{}", hold.as_str().unwrap());
    while server.get(&address).json()["state"] != "expired" {}
    let late = server.post(&format!("{address}/confirm"), "{\"late\":\"refuse\"}");
    assert_eq!((late.status, late.code().as_str()), (410, "hold_expired"));
    let again = server.post(&format!("{address}/confirm"), "{\"late\":\"reacquire\"}");
    assert_eq!((again.status, &again.json()["state"]), (200, &"confirmed".into()));
    assert_eq!(server.get(&address).json()["reacquired_as"], again.json()["hold"]);
}

#[test]
fn one_key_for_two_requests_and_a_foreign_session() {
    let server = TestServer::open();
    server.put("/v1/resources/gig", "{\"kind\":\"quantity\",\"capacity\":10}");
    let hold = |quantity: u64| {
        let body = format!("{{\"holder\":\"u1\",\"ttl_ms\":60000,\"quantity\":{quantity}}}");
        server.send("POST", "/v1/resources/gig/holds", &[("Idempotency-Key", "k")], Some(&body))
    };
    assert_eq!(hold(1).status, 201);
    let conflict = hold(2);
    assert_eq!((conflict.status, conflict.code().as_str()), (422, "idempotency_conflict"));
    let foreign = [("Evenkeel-Session", "0.4711.1")];
    let reset = server.send("GET", "/v1/resources/gig", &foreign, None);
    assert_eq!((reset.status, reset.code().as_str()), (410, "session_reset"));
}
