//! A tiny stand-in for the server: enough of the feeds API, in memory, to show that the workloads ask
//! for what they mean and see what goes wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::super::canned::read_request;

/// Partitions that its answers name.
const PARTITIONS: usize = 4;

#[derive(Default)]
pub(super) struct Book {
    /// Who follows whom: follower, author.
    pub(super) follows: BTreeSet<(String, String)>,
    /// Of each author by client id, the oldest first.
    pub(super) posts: BTreeMap<String, Vec<(String, Value)>>,
    /// Requests for timelines of each user: the query, and the level.
    pub(super) pages: BTreeMap<String, Vec<(String, String)>>,
    pub(super) keys: BTreeSet<String>,
    /// Turn this many away first, or leave them in doubt.
    pub(super) busy: u64,
    /// This many times a timeline is not fresh enough yet, and a user has a follower fewer.
    pub(super) unready: [u64; 2],
    /// This many timelines that are read at the level `eventual` show only what is older than the last post.
    pub(super) late: u64,
    /// Does not say that it has a cache.
    pub(super) is_silent: bool,
    /// Whose timelines have been loaded.
    loaded: BTreeSet<String>,
}

pub(super) struct Server {
    pub(super) target: String,
    pub(super) book: Arc<Mutex<Book>>,
}

pub(super) async fn start() -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap().to_string();
    let book = Arc::new(Mutex::new(Book::default()));
    let shared = Arc::clone(&book);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&shared)));
        }
    });
    Server { target, book }
}

async fn serve(mut stream: TcpStream, book: Arc<Mutex<Book>>) {
    while let Some((head, body)) = read_request(&mut stream).await {
        let (status, place, reply) = book.lock().unwrap().answer(&head, &body);
        let length = reply.len();
        let bytes = format!(
            "HTTP/1.1 {status} X\r\nEvenkeel-As-Of: {place}/7\r\nContent-Length: {length}\r\n\r\n{reply}"
        );
        if stream.write_all(bytes.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn header<'h>(head: &'h str, name: &str) -> &'h str {
    let found = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    found.unwrap_or_default()
}

impl Book {
    fn answer(&mut self, head: &str, body: &[u8]) -> (u16, usize, String) {
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        self.keys.insert(header(head, "Authorization").to_owned());
        let parts: Vec<&str> = path.trim_start_matches("/v1/feeds/").split('/').collect();
        let place = parts[0].bytes().map(usize::from).sum::<usize>() % PARTITIONS;
        if method != "GET" && self.busy > 0 {
            self.busy -= 1;
            let status = if self.busy.is_multiple_of(2) { 429 } else { 504 };
            return (status, place, json!({"code": "overloaded"}).to_string());
        }
        let (status, reply) = match (method, parts.as_slice()) {
            ("GET", ["", "metrics"]) => return (200, 0, self.metrics()),
            ("PUT", [follower, "follows", author]) => {
                assert_ne!(follower, author);
                let changed = self.follows.insert(((*follower).into(), (*author).into()));
                (200, json!({ "changed": changed }))
            }
            ("POST", [author, "posts"]) => {
                self.post(author, &serde_json::from_slice(body).unwrap())
            }
            ("GET", [user, "timeline"]) => {
                let level = header(head, "Evenkeel-Consistency").to_owned();
                if level == "session" && self.is_unready(0) {
                    return (503, place, json!({"code": "not_up_to_bound"}).to_string());
                }
                let asked = self.pages.entry((*user).to_owned()).or_default();
                let late = u64::from(self.late > 0 && level == "eventual");
                asked.push((query.to_owned(), level));
                self.late -= late;
                self.loaded.insert((*user).to_owned());
                (200, json!({"items": self.timeline(user, late as usize), "cursor": null}))
            }
            ("GET", [user]) => {
                let followers = self.follows.iter().filter(|(_, author)| author == user).count();
                (200, json!({"followers": followers - usize::from(self.is_unready(1))}))
            }
            _ => (404, json!({})),
        };
        (status, place, reply.to_string())
    }

    fn is_unready(&mut self, what: usize) -> bool {
        let is_unready = self.unready[what] > 0;
        self.unready[what] -= u64::from(is_unready);
        is_unready
    }

    fn post(&mut self, author: &str, request: &Value) -> (u16, Value) {
        let client_id = request["client_id"].as_str().unwrap();
        let posts = self.posts.entry(author.to_owned()).or_default();
        let duplicate = posts.iter().any(|(before, _)| before == client_id);
        if !duplicate {
            posts.push((client_id.to_owned(), request["body"].clone()));
        }
        (201, json!({"post": posts.len(), "duplicate": duplicate}))
    }

    /// Without so many of the newest of each author.
    fn timeline(&self, user: &str, late: usize) -> Vec<Value> {
        let mut items = Vec::new();
        for (author, posts) in &self.posts {
            if self.follows.contains(&(user.to_owned(), author.clone())) {
                let newest = posts.iter().rev().skip(late).take(10);
                items.extend(newest.map(|(_, body)| json!({"post": 1, "body": body})));
            }
        }
        items
    }

    fn metrics(&self) -> String {
        match self.is_silent {
            true => "other_total 3\n".to_owned(),
            false => {
                let loads = self.loaded.len();
                let of = |outcome, count| {
                    format!("evenkeel_cache_loads_total{{outcome=\"{outcome}\"}} {count}\n")
                };
                of("ok", loads) + &of("error", 0)
            }
        }
    }
}
