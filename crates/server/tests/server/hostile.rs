//! Requests that are too large, too slow, cut off, or nonsense: a clear answer or a closed
//! connection, and the next caller is served.

use crate::harness::{Answer, TestServer, request};
use evenkeel_server::{Auth, ServerOptions};
use std::{
    io::{BufReader, ErrorKind, Read, Write},
    net::Shutdown,
    time::Duration,
};

const HOLDS: &str = "/v1/resources/gig/holds";

/// Reads until the server closes; what came.
fn rest(stream: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    // A reset is a closed connection too; one that is left open is not.
    if let Err(error) = stream.read_to_end(&mut bytes) {
        let hung = [ErrorKind::WouldBlock, ErrorKind::TimedOut];
        assert!(!hung.contains(&error.kind()), "it was not closed");
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn is_served(server: &TestServer) {
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn a_body_over_the_bound_is_refused_declared_or_not() {
    let mut options = ServerOptions::new(Auth::Open);
    options.body_bytes_max = 1_000;
    let server = TestServer::start(options);
    let declared = server.raw(
        format!(
            "POST {HOLDS} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000000\r\n\r\n"
        )
        .as_bytes(),
    );
    assert_eq!((declared.status, declared.code().as_str()), (413, "too_large"));
    let chunk = format!("1f4\r\n{}\r\n", " ".repeat(500));
    let chunked = format!(
        "POST {HOLDS} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
        chunk.repeat(3)
    );
    assert_eq!(server.raw(chunked.as_bytes()).code(), "too_large");
    let fits = format!("{}{}", " ".repeat(900), "{\"holder\":\"u\",\"ttl_ms\":1}");
    assert_eq!(server.post(HOLDS, &fits).code(), "not_found", "it was read and asked");
    is_served(&server);
}

#[test]
fn a_thousand_long_seat_names_fit() {
    let server = TestServer::open();
    let seats: Vec<String> = (0..1_000).map(|at| format!("\"{at:0>128}\"")).collect();
    let body = format!("{{\"kind\":\"seats\",\"seats\":[{}]}}", seats.join(","));
    let created = server.put("/v1/resources/gig", &body);
    assert_eq!(created.status, 201, "{}", created.body);
    let one_more = body.replacen('[', "[\"one-more\",", 1);
    assert_eq!(server.put("/v1/resources/gig", &one_more).code(), "invalid_request");
}

#[test]
fn a_body_in_pieces_is_put_together() {
    let server = TestServer::open();
    let body = "{\"kind\":\"quantity\",\"capacity\":7}";
    let chunks: String = body.chars().map(|c| format!("1\r\n{c}\r\n")).collect();
    let text = format!(
        "PUT /v1/resources/gig HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"
    );
    assert_eq!(server.raw(text.as_bytes()).json()["capacity"], 7);
}

#[test]
fn heads_that_never_end_are_closed() {
    let mut options = ServerOptions::new(Auth::Open);
    options.head_timeout = Duration::from_millis(20);
    let server = TestServer::start(options);
    let mut stream = server.connect();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").unwrap();
    assert_eq!(rest(&mut stream), "", "closed without an answer");
    is_served(&server);
}

#[test]
fn idle_connections_are_closed() {
    let mut options = ServerOptions::new(Auth::Open);
    options.head_timeout = Duration::from_millis(10);
    options.idle_timeout = Duration::from_millis(20);
    let server = TestServer::start(options);
    let mut stream = server.connect();
    stream.write_all(request("GET", "/healthz", &[], None).as_bytes()).unwrap();
    let said = rest(&mut stream);
    assert!(said.starts_with("HTTP/1.1 200") && said.ends_with("{\"status\":\"ok\"}"), "{said}");
}

#[test]
fn a_body_that_never_comes_is_a_problem() {
    let mut options = ServerOptions::new(Auth::Open);
    options.body_timeout = Duration::from_millis(20);
    let server = TestServer::start(options);
    let slow = format!("POST {HOLDS} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{{");
    let answer = server.raw(slow.as_bytes());
    assert_eq!((answer.status, answer.code().as_str()), (408, "request_timeout"));
    is_served(&server);
}

#[test]
fn requests_that_are_cut_off_do_nothing() {
    let server = TestServer::open();
    let whole =
        request("PUT", "/v1/resources/gig", &[], Some("{\"kind\":\"quantity\",\"capacity\":7}"));
    for end in 1..whole.len() {
        let mut stream = server.connect();
        stream.write_all(&whole.as_bytes()[..end]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let said = rest(&mut stream);
        assert!(!said.starts_with("HTTP/1.1 2"), "{end} bytes: {said}");
    }
    assert_eq!(server.get("/v1/resources/gig").code(), "not_found");
    assert_eq!(server.raw(whole.as_bytes()).status, 201);
}

#[test]
fn what_is_not_http_is_answered_400_or_closed() {
    let server = TestServer::open();
    let long = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(100_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(1_000));
    let smuggled =
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc";
    let texts =
        ["\0\0\0\0\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", &long, &many, smuggled];
    for text in texts {
        let mut stream = server.connect();
        // The server may close before everything was sent.
        let _ = stream.write_all(text.as_bytes());
        let _ = stream.shutdown(Shutdown::Write);
        let said = rest(&mut stream);
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 4"), "{said}");
    }
    is_served(&server);
}

#[test]
fn requests_in_a_row_are_answered_in_that_order() {
    let server = TestServer::open();
    let mut stream = server.connect();
    let row =
        [("GET", "/healthz"), ("GET", "/nowhere"), ("PATCH", "/healthz"), ("GET", "/healthz")];
    let texts: String = row.iter().map(|(method, path)| request(method, path, &[], None)).collect();
    stream.write_all(texts.as_bytes()).unwrap();
    let mut reader = BufReader::new(stream);
    let statuses: Vec<u16> = row.iter().map(|_| Answer::read(&mut reader).status).collect();
    assert_eq!(statuses, [200, 404, 405, 200]);
}

#[test]
fn one_connection_too_many_is_told_so_and_closed() {
    let mut options = ServerOptions::new(Auth::Open);
    options.connections_max = 1;
    let server = TestServer::start(options);
    let mut first = server.connect();
    first.write_all(request("GET", "/healthz", &[], None).as_bytes()).unwrap();
    let mut first = BufReader::new(first);
    assert_eq!(Answer::read(&mut first).status, 200);
    let refused = server.get("/healthz");
    assert_eq!((refused.status, refused.code().as_str()), (503, "unavailable"));
    assert_eq!(refused.header("connection"), Some("close"));
    assert!(refused.header("retry-after").is_some());
    drop(first);
    while server.get("/healthz").status != 200 {}
}

#[test]
fn a_connection_too_many_that_asks_nothing_is_closed() {
    let mut options = ServerOptions::new(Auth::Open);
    options.connections_max = 1;
    options.refused_timeout = Duration::from_millis(20);
    let server = TestServer::start(options);
    let mut first = server.connect();
    first.write_all(request("GET", "/healthz", &[], None).as_bytes()).unwrap();
    let mut first = BufReader::new(first);
    assert_eq!(Answer::read(&mut first).status, 200);
    assert_eq!(rest(&mut server.connect()), "");
    let again = request("GET", "/healthz", &[], None);
    first.get_mut().write_all(again.as_bytes()).unwrap();
    assert_eq!(Answer::read(&mut first).status, 200, "the one that was let in stays");
}

#[test]
fn a_drain_lets_what_was_begun_finish() {
    let server = TestServer::open();
    let body = "{\"kind\":\"quantity\",\"capacity\":7}";
    let whole = request("PUT", "/v1/resources/gig", &[("Expect", "100-continue")], Some(body));
    let (head, body) = whole.split_once("\r\n\r\n").unwrap();
    let mut stream = server.connect();
    stream.write_all(format!("{head}\r\n\r\n").as_bytes()).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    assert_eq!(Answer::read(&mut reader).status, 100, "the request has begun");
    let stopped = std::thread::spawn(move || server.stop());
    stream.write_all(body.as_bytes()).unwrap();
    let answer = Answer::read(&mut reader);
    assert_eq!((answer.status, answer.header("evenkeel-staleness-ms")), (201, Some("0")));
    drop(stopped.join().unwrap());
}

/// Any bytes as any body: an answer, never a failure of the server.
#[test]
fn bodies_of_any_bytes_are_answered() {
    let iterations = std::env::var("EVENKEEL_FUZZ_ITERATIONS")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(2_000_u64);
    let server = TestServer::open();
    server.put("/v1/resources/gig", "{\"kind\":\"quantity\",\"capacity\":7}");
    let seeds = [
        ("POST", HOLDS, "{\"holder\":\"u1\",\"ttl_ms\":1,\"quantity\":1,\"seats\":[\"A1\"]}"),
        ("PUT", "/v1/resources/gig", "{\"kind\":\"seats\",\"seats\":[\"A1\"],\"capacity\":9}"),
        ("POST", "/v1/resources/gig/seats", "{\"seats\":[\"A1\",\"A2\"]}"),
        ("POST", "/v1/resources/gig/holds/1/confirm", "{\"late\":\"reacquire\"}"),
        ("POST", "/v1/resources/gig/holds/1/extend", "{\"ttl_ms\":5}"),
        ("POST", "/v1/keys", "{\"scopes\":[\"admin\"],\"tenant\":\"t\",\"label\":\"l\"}"),
        ("POST", "/v1/token-keys", "{\"algorithm\":\"HS256\",\"label\":\"l\"}"),
    ];
    let mut stream = server.connect();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    for seed in 0..iterations {
        let mut random = fastrand::Rng::with_seed(seed);
        let (method, path, body) = random.choice(seeds).unwrap();
        let bytes = mutated(&mut random, body.as_bytes());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
            bytes.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&bytes).unwrap();
        let answer = Answer::read(&mut reader);
        if answer.status >= 300 {
            answer.code();
        }
        assert!(
            answer.status < 500,
            "seed {seed}: {answer:?} to {:?}",
            String::from_utf8_lossy(&bytes)
        );
    }
}

/// `bytes` with a few of them changed, doubled, dropped or exchanged for JSON's own signs.
fn mutated(random: &mut fastrand::Rng, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..random.usize(0..6) {
        let at = random.usize(0..=bytes.len());
        match random.u8(0..5) {
            0 if at < bytes.len() => bytes[at] = random.u8(..),
            1 if at < bytes.len() => drop(bytes.remove(at)),
            2 => bytes.truncate(at),
            3 => bytes.insert(at, *random.choice(b"{}[],:\"0-e\\ ").unwrap()),
            _ => {
                let copy = bytes[at..].to_vec();
                bytes.extend(copy.iter().cycle().take(copy.len() * random.usize(0..4)));
            }
        }
    }
    bytes
}
