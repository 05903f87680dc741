//! A tiny stand-in for the server: enough of the reservations API, in memory, to show that
//! the workloads ask for what they mean. Seats and counts are kept, holds never expire.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[derive(Default)]
pub(super) struct Book {
    pub(super) resources: BTreeMap<String, Value>,
    pub(super) taken_seats: BTreeSet<(String, String)>,
    pub(super) taken_counts: BTreeMap<String, u64>,
    pub(super) keys: BTreeSet<String>,
    pub(super) repeated_keys: u64,
    pub(super) requests: BTreeMap<String, u64>,
    pub(super) late: u64,
    pub(super) late_cancelled: u64,
    confirmed: BTreeSet<String>,
    pub(super) authorised: u64,
    /// Answer this many requests with 429 first.
    pub(super) busy: u64,
    holds: u64,
}

pub(super) async fn start() -> (String, Arc<Mutex<Book>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let book = Arc::new(Mutex::new(Book::default()));
    let shared = Arc::clone(&book);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, Arc::clone(&shared)));
        }
    });
    (address, book)
}

async fn answer(mut stream: TcpStream, book: Arc<Mutex<Book>>) {
    while let Some((head, body)) = read(&mut stream).await {
        let (status, reply) = book.lock().unwrap().answer(&head, &body);
        let reply = reply.to_string();
        let bytes =
            format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{reply}", reply.len());
        if stream.write_all(bytes.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<(String, Value)> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(bytes).ok()?;
    let length = header(&head, "Content-Length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
    Some((head, body))
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

impl Book {
    fn answer(&mut self, head: &str, body: &Value) -> (u16, Value) {
        if self.busy > 0 {
            self.busy -= 1;
            return (429, json!({"code": "overloaded", "retryable": true}));
        }
        self.authorised += u64::from(header(head, "Authorization").is_some());
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let parts: Vec<&str> = path.trim_start_matches("/v1/resources/").split('/').collect();
        let verb = if method == "POST" { parts.last() } else { None };
        *self.requests.entry(format!("{method} {}", verb.unwrap_or(&""))).or_default() += 1;
        if method == "POST" {
            let key = header(head, "Idempotency-Key").unwrap().to_owned();
            self.repeated_keys += u64::from(!self.keys.insert(key));
        }
        match (method, parts.as_slice()) {
            ("PUT", [resource]) => {
                self.resources.insert((*resource).into(), body.clone());
                (201, json!({}))
            }
            ("GET", [resource]) if self.resources.contains_key(*resource) => (200, json!({})),
            ("POST", [resource, "holds"]) if self.resources.contains_key(*resource) => {
                self.hold(resource, body)
            }
            ("POST", [_, "holds", hold, "confirm"]) if body["late"] == "reacquire" => {
                self.late += 1;
                let hold = format!("{hold}-late");
                self.confirmed.insert(hold.clone());
                (200, json!({"hold": hold, "state": "confirmed"}))
            }
            ("POST", [_, "holds", hold, "confirm"]) => {
                self.confirmed.insert((*hold).into());
                (200, json!({"hold": hold, "state": "confirmed"}))
            }
            ("POST", [_, "holds", hold, "cancel"]) => {
                self.late_cancelled += u64::from(hold.ends_with("-late"));
                match self.confirmed.remove(*hold) {
                    true => (200, json!({})),
                    false => (409, json!({"code": "not_confirmed"})),
                }
            }
            ("POST", [_, "holds", _, "release"]) => (200, json!({})),
            _ => (404, json!({"code": "not_found"})),
        }
    }

    fn hold(&mut self, resource: &str, body: &Value) -> (u16, Value) {
        let known = &self.resources[resource];
        if let Some(quantity) = body["quantity"].as_u64() {
            let taken = self.taken_counts.entry(resource.into()).or_default();
            if *taken + quantity > known["capacity"].as_u64().unwrap() {
                return (409, json!({"code": "sold_out"}));
            }
            *taken += quantity;
        } else {
            let wanted: Vec<(String, String)> = body["seats"]
                .as_array()
                .unwrap()
                .iter()
                .inspect(|seat| assert!(known["seats"].as_array().unwrap().contains(seat)))
                .map(|seat| (resource.to_owned(), seat.as_str().unwrap().to_owned()))
                .collect();
            if wanted.iter().any(|seat| self.taken_seats.contains(seat)) {
                return (409, json!({"code": "seat_taken"}));
            }
            self.taken_seats.extend(wanted);
        }
        self.holds += 1;
        (201, json!({"hold": format!("h{}", self.holds), "fence": 1, "state": "held"}))
    }
}
