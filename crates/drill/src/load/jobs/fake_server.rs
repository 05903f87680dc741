//! A tiny stand-in for the server: enough of the jobs API, in memory, to show that the workloads
//! ask for what they mean. Leases never run out; a long poll is woken by an enqueue.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

#[derive(Default)]
pub(super) struct Book {
    pub(super) settings: Value,
    pub(super) ready: VecDeque<(String, Value)>,
    pub(super) leased: BTreeMap<String, String>,
    pub(super) completed: u64,
    /// Leases that came back with less than was asked for.
    pub(super) partial: u64,
    pub(super) keys: BTreeSet<String>,
    pub(super) waits_ms: Vec<u64>,
    /// At most so many jobs a lease, if not 0.
    pub(super) lease_max: u64,
    /// Answer this many enqueues with 429 first.
    pub(super) busy: u64,
    /// Take these in, and never hand them out.
    pub(super) swallowed: u64,
    pub(super) jobs: u64,
}

pub(super) struct Server {
    pub(super) target: String,
    pub(super) book: Arc<Mutex<Book>>,
}

pub(super) async fn start() -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap().to_string();
    let book = Arc::new(Mutex::new(Book::default()));
    let (shared, came) = (Arc::clone(&book), Arc::new(Notify::new()));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, Arc::clone(&shared), Arc::clone(&came)));
        }
    });
    Server { target, book }
}

async fn answer(mut stream: TcpStream, book: Arc<Mutex<Book>>, came: Arc<Notify>) {
    while let Some((path, body)) = read(&mut stream).await {
        let (status, reply) = if path.ends_with("/lease") {
            let wait_ms = body["wait_ms"].as_u64().unwrap();
            book.lock().unwrap().waits_ms.push(wait_ms);
            let leased = lease(&book, &came, body["max"].as_u64().unwrap());
            let leased = tokio::time::timeout(Duration::from_millis(wait_ms), leased).await;
            (200, json!({"jobs": leased.unwrap_or_default()}))
        } else {
            let answer = book.lock().unwrap().answer(&path, &body);
            came.notify_waiters();
            answer
        };
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
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.ok()?;
    let path = head.split(' ').nth(1)?.to_owned();
    Some((path, serde_json::from_slice(&body).unwrap()))
}

async fn lease(book: &Mutex<Book>, came: &Notify, jobs_max: u64) -> Vec<Value> {
    loop {
        let woken = came.notified();
        let leased = book.lock().unwrap().lease(jobs_max);
        if !leased.is_empty() {
            return leased;
        }
        woken.await;
    }
}

impl Book {
    fn lease(&mut self, jobs_max: u64) -> Vec<Value> {
        let limit = if self.lease_max > 0 { jobs_max.min(self.lease_max) } else { jobs_max };
        let mut leased = Vec::new();
        while (leased.len() as u64) < limit {
            let Some((job, payload)) = self.ready.pop_front() else { break };
            let lease = format!("1.{}", self.leased.len());
            leased.push(json!({"job": job, "lease": lease, "attempt": 1, "payload": payload}));
            self.leased.insert(job, lease);
        }
        self.partial += u64::from((leased.len() as u64) < jobs_max && !leased.is_empty());
        leased
    }

    fn answer(&mut self, path: &str, body: &Value) -> (u16, Value) {
        let parts: Vec<&str> = path.trim_start_matches("/v1/queues/").split('/').collect();
        match parts.as_slice() {
            [_] => {
                self.settings = body.clone();
                (201, json!({}))
            }
            [_, "jobs"] => self.enqueue(body["jobs"].as_array().unwrap()),
            [_, "jobs", job, "complete"] => match self.complete(job, &body["lease"]) {
                true => (200, self.and_next(body, json!({"job": job, "state": "done"}))),
                false => (409, json!({"code": "stale_lease"})),
            },
            [_, "complete"] => {
                let jobs = body["jobs"].as_array().unwrap();
                let done = jobs.iter().map(|job| {
                    match self.complete(job["job"].as_str().unwrap(), &job["lease"]) {
                        true => json!({"job": job["job"], "state": "done"}),
                        false => json!({"job": job["job"], "error": {"code": "stale_lease"}}),
                    }
                });
                let done = json!({"jobs": done.collect::<Vec<_>>()});
                (200, self.and_next(body, done))
            }
            _ => (404, json!({"code": "not_found"})),
        }
    }

    /// The answer with what is next, if that was asked for.
    fn and_next(&mut self, body: &Value, mut answer: Value) -> Value {
        if let Some(jobs_max) = body["next"]["max"].as_u64() {
            answer["next"] = json!({"jobs": self.lease(jobs_max)});
        }
        answer
    }

    fn enqueue(&mut self, jobs: &[Value]) -> (u16, Value) {
        if self.busy > 0 {
            self.busy -= 1;
            return (429, json!({"code": "backlog_full", "retryable": true}));
        }
        for job in jobs {
            if let Some(key) = job["ordering_key"].as_str() {
                self.keys.insert(key.to_owned());
            }
            self.jobs += 1;
            if self.swallowed > 0 {
                self.swallowed -= 1;
            } else {
                self.ready.push_back((format!("0.{}", self.jobs), job["payload"].clone()));
            }
        }
        (201, json!({"jobs": []}))
    }

    fn complete(&mut self, job: &str, lease: &Value) -> bool {
        let held = self.leased.get(job).is_some_and(|held| held == lease);
        if held {
            self.leased.remove(job);
            self.completed += 1;
        }
        held
    }
}
