//! Requests over HTTP, and answers and events in the words of a history.

use super::DEADLINE_MS;
use crate::{
    history::feed::{Bond, Delivery, Item, Outcome, Page, Request},
    load::{Reply, RequestWriter},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Many of these at the end of a body are room that it takes, and are only counted in a history.
const FILLER: char = '.';

/// By partition: offset and token.
pub(super) type Session = BTreeMap<u16, (u64, String)>;

#[derive(Deserialize)]
struct PostedBody {
    post: u64,
    duplicate: bool,
}

#[derive(Deserialize)]
struct SetBody {
    changed: bool,
}

/// A page of a list.
#[derive(Deserialize)]
pub(super) struct List<T> {
    pub(super) items: Vec<T>,
    pub(super) cursor: Option<String>,
}

/// A post, on its author's page or in a timeline.
#[derive(Deserialize)]
pub(super) struct PostBody {
    author: Option<String>,
    post: u64,
    body: Value,
    reactions: BTreeMap<String, u64>,
}

impl PostBody {
    /// As it is written down; of this author, if it does not say.
    pub(super) fn item(self, author: &str) -> Item {
        let Self { author: by, post, body, reactions } = self;
        Item { author: by.unwrap_or_else(|| author.to_owned()), post, body: said(&body), reactions }
    }
}

#[derive(Deserialize)]
struct EventBody {
    position: String,
    data: EventData,
}

#[derive(Deserialize)]
struct EventData {
    author: String,
    post: u64,
    body: Option<Value>,
}

#[derive(Deserialize)]
struct ProblemBody {
    code: String,
    side_effects: String,
    retryable: bool,
}

/// What a user posts as their so-manyth, with room that it takes.
pub(super) fn body(user: &str, number: u64, filler: usize) -> String {
    let filler: String = std::iter::repeat_n(FILLER, filler).collect();
    json!(format!("{user} says {number}{filler}")).to_string()
}

/// A body as it is written down: without what only takes room, but with how much that was.
fn said(body: &Value) -> String {
    let Value::String(text) = body else { return body.to_string() };
    let words = text.trim_end_matches(FILLER);
    match text.len() - words.len() {
        0 => text.clone(),
        filler => format!("{words} and {filler} more"),
    }
}

/// A request as it is written down.
pub(super) fn written_down(request: &Request) -> Request {
    match request {
        Request::Post { client_id, body } => {
            let body: Value = serde_json::from_str(body).unwrap_or_default();
            Request::Post { client_id: client_id.clone(), body: said(&body) }
        }
        other => other.clone(),
    }
}

/// What goes along to say what was seen.
pub(super) fn tokens(session: &Session) -> String {
    let tokens: Vec<&str> = session.values().map(|(_, token)| token.as_str()).collect();
    tokens.join(",")
}

/// Takes note of what an answer rests on.
pub(super) fn learn(session: &mut Session, reply: &Reply<'_>) {
    let tokens = reply.header("Evenkeel-Session").unwrap_or_default();
    for token in tokens.split(',').map(str::trim) {
        let mut parts = token.split('.');
        let Some(Ok(partition)) = parts.next().map(str::parse) else { continue };
        let Some(Ok(offset)) = parts.nth(1).map(str::parse) else { continue };
        let known = session.entry(partition).or_default();
        if offset >= known.0 {
            *known = (offset, token.to_owned());
        }
    }
}

/// The bytes of a request of `user`; of a read, from a cursor on, as fresh as is said.
pub(super) fn request<'w>(
    writer: &'w mut RequestWriter,
    user: &str,
    request: &Request,
    cursor: Option<&str>,
    (freshness, session): (Option<&str>, Option<&str>),
) -> &'w [u8] {
    let deadline = DEADLINE_MS.to_string();
    let mut headers = vec![("Evenkeel-Deadline-Ms", deadline.as_str())];
    headers.extend(freshness.map(|level| ("Evenkeel-Consistency", level)));
    let session = session.filter(|session| !session.is_empty());
    headers.extend(session.map(|session| ("Evenkeel-Session", session)));
    let set = |on: bool| if on { "PUT" } else { "DELETE" };
    let (method, path, body) = match request {
        Request::Post { client_id, body } => {
            let body: Value = serde_json::from_str(body).unwrap_or_default();
            let post = json!({"client_id": client_id, "body": body}).to_string();
            ("POST", format!("{user}/posts"), Some(post))
        }
        Request::Delete { post } => ("DELETE", format!("{user}/posts/{post}"), None),
        Request::Set { bond, other, on } => {
            let list = match bond {
                Bond::Follow => "follows",
                Bond::Block => "blocks",
                Bond::Mute => "mutes",
            };
            (set(*on), format!("{user}/{list}/{other}"), None)
        }
        Request::React { author, post, kind, on } => {
            (set(*on), format!("{author}/posts/{post}/reactions/{kind}/{user}"), None)
        }
        Request::Read { of, limit, .. } => {
            let cursor = cursor.map_or(String::new(), |cursor| format!("&cursor={cursor}"));
            ("GET", format!("{of}/timeline?limit={limit}{cursor}"), None)
        }
    };
    let path = format!("/v1/feeds/{path}");
    writer.write(method, &path, &headers, body.as_deref().map(str::as_bytes))
}

/// What an answer says, and where it goes on.
pub(super) fn outcome(
    request: &Request,
    reply: &Reply<'_>,
    called_ms: u64,
) -> (Outcome, Option<String>) {
    if !reply.is_success() {
        let refused = match serde_json::from_slice::<ProblemBody>(reply.body) {
            Ok(problem) if problem.side_effects != "none" => Outcome::Unknown,
            Ok(problem) if problem.retryable => Outcome::TurnedAway(problem.code),
            Ok(problem) => Outcome::Refused(problem.code),
            Err(_) => Outcome::Unknown,
        };
        return (refused, None);
    }
    let understood = match request {
        Request::Post { .. } => serde_json::from_slice::<PostedBody>(reply.body)
            .map(|PostedBody { post, duplicate }| (Outcome::Posted { post, duplicate }, None)),
        Request::Read { of, .. } => serde_json::from_slice::<List<PostBody>>(reply.body)
            .map(|list| page(of, list, reply, called_ms)),
        _ => serde_json::from_slice::<SetBody>(reply.body)
            .map(|SetBody { changed }| (Outcome::Done { changed }, None)),
    };
    understood.unwrap_or((Outcome::Unknown, None))
}

fn page(
    of: &str,
    List { items, cursor }: List<PostBody>,
    reply: &Reply<'_>,
    called_ms: u64,
) -> (Outcome, Option<String>) {
    let staleness_ms: Option<u64> =
        reply.header("Evenkeel-Staleness-Ms").and_then(|text| text.parse().ok());
    // The first is of the user's partition.
    let as_of = reply.header("Evenkeel-As-Of").unwrap_or_default();
    let first = as_of.split(',').next().and_then(|token| token.split('/').nth(1));
    let page = Page {
        items: items.into_iter().map(|item| item.item(of)).collect(),
        is_last: cursor.is_none(),
        offset: first.and_then(|offset| offset.parse().ok()),
        // It was found out after the call how old it is: by then it was complete to that, or later.
        complete_to_ms: staleness_ms.map(|stale_ms| called_ms.saturating_sub(stale_ms)),
    };
    (Outcome::Page(page), cursor)
}

/// What a subscriber was sent, and its sequence; none if it makes no sense.
pub(super) fn delivery(kind: &str, data: &str) -> Option<(u64, Delivery)> {
    let EventBody { position, data } = serde_json::from_str(data).ok()?;
    let EventData { author, post, body } = data;
    let what = match (kind, body) {
        ("feed.posted", Some(body)) => Delivery::Posted { author, post, body: said(&body) },
        ("feed.deleted", None) => Delivery::Deleted { author, post },
        _ => return None,
    };
    Some((sequence(&position)?, what))
}

/// The sequence of a position.
pub(super) fn sequence(position: &str) -> Option<u64> {
    position.split_once('.')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_posted_is_written_down_as_it_is_read() {
        let sent = body("ada", 3, 4);
        assert_eq!(sent, "\"ada says 3....\"");
        let request = Request::Post { client_id: "a3".into(), body: sent.clone() };
        let Request::Post { body: written, .. } = written_down(&request) else { panic!("a post") };
        assert_eq!(written, "ada says 3 and 4 more");
        let read: PostBody = serde_json::from_str(&format!(
            "{{\"post\":7,\"at\":\"z\",\"body\":{sent},\"reactions\":{{}}}}"
        ))
        .unwrap();
        let item = read.item("ada");
        assert_eq!((item.author.as_str(), item.body), ("ada", written));
    }

    #[test]
    fn events_are_understood_and_others_told_apart() {
        let data = r#"{"position":"1.3","type":"feed.posted","entity":"timeline:bob","at":"z",
            "data":{"author":"ada","post":7,"body":"hi"}}"#;
        let posted = Delivery::Posted { author: "ada".into(), post: 7, body: "hi".into() };
        assert_eq!(delivery("feed.posted", data), Some((3, posted)));
        assert_eq!(delivery("feed.deleted", data), None, "what is gone says nothing");
        assert_eq!(delivery("feed.posted", "{}"), None);
    }
}
