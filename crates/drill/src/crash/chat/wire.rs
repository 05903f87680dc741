//! The frames of the realtime protocol, and events in the words of a history.

use super::{super::answers::ms, CONVERSATIONS};
use crate::history::chat::{Event, Happened};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Many of these at the end of a body are room that it takes, and are only counted here.
pub(super) const FILLER: char = '.';

/// Subscriptions are asked for under the numbers from this on, sends under those below.
const SUBSCRIBES: u64 = 1 << 40;

/// Something that a server said. Conversations are numbers.
pub(super) enum Heard {
    /// A send is durable.
    Acked { id: u64, seq: u64, duplicate: bool },
    /// What was asked under this id was not done; none: it was no send.
    Refused { id: Option<u64>, code: String, retryable: bool, unknown: bool },
    /// Something happened.
    Event { place: usize, position: String, event: Event },
    /// History is gone.
    Reset { place: usize, position: String },
    /// Somebody is there, or is not.
    Present { place: usize, user: String, online: bool },
    /// A subscription ended, because the user was removed or for another reason, or did not begin.
    Ended { place: usize, removed: bool },
    /// Anything else.
    Other,
}

#[derive(Deserialize)]
struct Frame {
    ack: Option<u64>,
    error: Option<Value>,
    code: Option<String>,
    retryable: Option<bool>,
    side_effects: Option<String>,
    seq: Option<u64>,
    duplicate: Option<bool>,
    unsubscribed: Option<String>,
    reason: Option<String>,
    reset: Option<String>,
    presence: Option<String>,
    user: Option<String>,
    online: Option<bool>,
    #[serde(flatten)]
    event: EventFrame,
}

#[derive(Deserialize)]
struct EventFrame {
    position: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    entity: Option<String>,
    at: Option<String>,
    data: Option<EventData>,
}

#[derive(Deserialize)]
struct EventData {
    seq: u64,
    sender: Option<String>,
    client_id: Option<String>,
    body: Option<String>,
    message: Option<u64>,
    user: Option<String>,
    members: Option<Vec<Member>>,
}

#[derive(Deserialize)]
struct Member {
    user: String,
}

/// What a frame says; none if it is none of the protocol.
pub(super) fn heard(text: &[u8]) -> Option<Heard> {
    // Most are events, which are read without looking at what else a frame may be.
    if let Ok(frame) = serde_json::from_slice::<EventFrame>(text)
        && frame.kind.is_some()
    {
        return event(frame);
    }
    let frame: Frame = serde_json::from_slice(text).ok()?;
    if let Some(id) = frame.ack {
        let duplicate = frame.duplicate.unwrap_or(false);
        return Some(Heard::Acked { id, seq: frame.seq?, duplicate });
    }
    if let Some(code) = frame.code {
        let id = frame.error.and_then(|id| id.as_u64());
        if let Some(place) = id.and_then(|id| id.checked_sub(SUBSCRIBES)) {
            return Some(Heard::Ended { place: usize::try_from(place).ok()?, removed: false });
        }
        let unknown = frame.side_effects.as_deref() != Some("none");
        return Some(Heard::Refused { id, code, retryable: frame.retryable?, unknown });
    }
    if let Some(topic) = frame.presence {
        let (user, online) = (frame.user?, frame.online?);
        return Some(Heard::Present { place: place(&topic)?, user, online });
    }
    if let Some(topic) = frame.reset {
        return Some(Heard::Reset { place: place(&topic)?, position: frame.event.position? });
    }
    if let Some(topic) = frame.unsubscribed {
        let removed = frame.reason.as_deref() == Some("removed");
        return Some(Heard::Ended { place: place(&topic)?, removed });
    }
    Some(Heard::Other)
}

/// An event as a stream over HTTP carries it.
pub(super) fn streamed(text: &str) -> Option<Event> {
    match event(serde_json::from_str(text).ok()?)? {
        Heard::Event { event, .. } => Some(event),
        _ => None,
    }
}

fn event(frame: EventFrame) -> Option<Heard> {
    let EventFrame { position, kind, entity, at, data } = frame;
    let (kind, position, data) = (kind?, position?, data?);
    let place = place(&entity?)?;
    let body = data.body.as_deref().map(said).unwrap_or_default();
    let happened = match kind.as_str() {
        "chat.created" => {
            let members: BTreeSet<String> = data.members?.into_iter().map(|one| one.user).collect();
            Happened::Created { members }
        }
        "chat.message" => {
            Happened::Message { sender: data.sender?, client_id: data.client_id?, body }
        }
        "chat.edited" => Happened::Edited { message: data.message?, body },
        "chat.deleted" => Happened::Deleted { message: data.message? },
        "chat.read" => Happened::Read { user: data.user?, message: data.message? },
        "chat.member_added" => Happened::Joined { user: data.user? },
        "chat.member_removed" => Happened::Left { user: data.user? },
        _ => Happened::Other(kind),
    };
    // A position and the sequence in it are one.
    (sequence(&position) == Some(data.seq)).then_some(())?;
    let event = Event { seq: data.seq, at_ms: ms(&at?)?, happened };
    Some(Heard::Event { place, position, event })
}

/// The sequence of a position.
pub(super) fn sequence(position: &str) -> Option<u64> {
    position.split_once('.')?.1.parse().ok()
}

fn place(topic: &str) -> Option<usize> {
    let name = topic.strip_prefix("conversation:")?;
    CONVERSATIONS.iter().position(|conversation| *conversation == name)
}

/// A body as it is written down: without what only takes room, but with how much that was.
pub(super) fn said(body: &str) -> String {
    let words = body.trim_end_matches(FILLER);
    match body.len() - words.len() {
        0 => words.to_owned(),
        filler => format!("{words} and {filler} more"),
    }
}

pub(super) fn subscription(place: usize, position: Option<&str>, present: Option<&str>) -> Vec<u8> {
    let mut frame = json!({
        "id": SUBSCRIBES + place as u64,
        "subscribe": format!("conversation:{}", CONVERSATIONS[place]),
        "since": position.unwrap_or("start"),
    });
    if let Some(user) = present {
        frame["presence"] = json!(true);
        frame["user"] = json!(user);
    }
    frame.to_string().into_bytes()
}

pub(super) fn send(id: u64, place: usize, sender: &str, client_id: &str, body: &str) -> Vec<u8> {
    let conversation = CONVERSATIONS[place];
    let send = json!({
        "conversation": conversation, "client_id": client_id, "sender": sender, "body": body,
    });
    json!({"send": send, "id": id}).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_understood_and_others_told_apart() {
        let text = r#"{"position":"1.3","type":"chat.message","entity":"conversation:general",
            "at":"1970-01-01T00:00:00.007Z",
            "data":{"seq":3,"sender":"ada","client_id":"m","body":"hi...."}}"#;
        let Some(Heard::Event { place: 0, position, event }) = heard(text.as_bytes()) else {
            panic!("an event")
        };
        let happened = Happened::Message {
            sender: "ada".into(),
            client_id: "m".into(),
            body: "hi and 4 more".into(),
        };
        assert_eq!((position.as_str(), &event), ("1.3", &Event { seq: 3, at_ms: 7, happened }));
        assert_eq!(streamed(text), Some(event));
        assert_eq!(streamed(&text.replace("1.3", "1.4")), None, "it is at two places");
        let ack = heard(br#"{"ack":4,"seq":58,"at":"z","duplicate":true}"#);
        assert!(matches!(ack, Some(Heard::Acked { id: 4, seq: 58, duplicate: true })));
        let refused = heard(
            br#"{"error":null,"code":"c","detail":"d","retryable":true,"side_effects":"none"}"#,
        );
        let Some(Heard::Refused { id: None, retryable: true, unknown: false, .. }) = refused else {
            panic!("a refusal")
        };
        let denied = br#"{"error":1099511627777,"code":"not_a_member","retryable":false}"#;
        assert!(matches!(heard(denied), Some(Heard::Ended { place: 1, removed: false })));
        let present = heard(br#"{"presence":"conversation:general","user":"bob","online":true}"#);
        assert!(matches!(present, Some(Heard::Present { place: 0, online: true, .. })));
        let ended = heard(br#"{"unsubscribed":"conversation:general","reason":"internal"}"#);
        assert!(matches!(ended, Some(Heard::Ended { place: 0, removed: false })));
        assert!(matches!(heard(br#"{"pong":1}"#), Some(Heard::Other)));
        assert!(heard(b"[]").is_none());
    }
}
