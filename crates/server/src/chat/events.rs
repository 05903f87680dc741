//! An event of a conversation as its readers get it, on whatever way.

use crate::{json::Verbatim, time::Rfc3339};
use evenkeel_domains::chat::{ChatEvent, EventView, Happening, What};
use serde::Serialize;

/// An event.
#[derive(Serialize)]
pub(crate) struct EventBody<'e> {
    position: String,
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    entity: String,
    at: Rfc3339,
    data: EventData<'e>,
}

/// What happened. `seq` is the event's own place; `message` the one that it is about.
#[derive(Default, Serialize)]
struct EventData<'e> {
    seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Vec<MemberData<'e>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retention_ms: Option<u64>,
    /// Whether what was said is not kept any more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Verbatim<'e>>,
}

#[derive(Serialize)]
struct MemberData<'e> {
    user: &'e str,
    role: &'static str,
}

/// An event of `conversation`.
pub(crate) fn event_body<'e>(conversation: &str, view: &'e EventView) -> EventBody<'e> {
    let seq = view.position.sequence;
    let (kind, data) = match &view.event {
        ChatEvent::Message(message) => {
            let data = EventData {
                seq,
                sender: Some(&message.sender),
                client_id: Some(&message.client_id),
                reply_to: message.reply_to,
                deleted: message.is_deleted(),
                body: (!message.is_deleted()).then(|| Verbatim(&message.body)),
                ..EventData::default()
            };
            ("chat.message", data)
        }
        ChatEvent::Happening(happening) => happening_data(seq, happening),
    };
    EventBody {
        position: view.position.to_string(),
        kind,
        entity: format!("conversation:{conversation}"),
        at: Rfc3339(view.event.at()),
        data,
    }
}

fn happening_data(seq: u64, happening: &Happening) -> (&'static str, EventData<'_>) {
    let base = || EventData { seq, by: happening.by.as_deref(), ..EventData::default() };
    let of = |message: u64| EventData { message: Some(message), ..base() };
    match &happening.what {
        What::Created { members } => {
            let members = members.iter().map(|(user, role)| MemberData { user, role: role.name() });
            ("chat.created", EventData { members: Some(members.collect()), ..base() })
        }
        What::Edited { message, body } => {
            // An edit of a message that was deleted since says nothing.
            let deleted = body.is_empty();
            let body = (!deleted).then(|| Verbatim(body));
            ("chat.edited", EventData { body, deleted, ..of(*message) })
        }
        What::Deleted { message } => ("chat.deleted", of(*message)),
        What::Reacted { message, kind, user } => {
            ("chat.reacted", EventData { kind: Some(kind), user: Some(user), ..of(*message) })
        }
        What::Unreacted { message, kind, user } => {
            ("chat.unreacted", EventData { kind: Some(kind), user: Some(user), ..of(*message) })
        }
        What::Read { user, message } => {
            ("chat.read", EventData { user: Some(user), ..of(*message) })
        }
        What::MemberAdded { user, role } => {
            ("chat.member_added", EventData { user: Some(user), role: Some(role.name()), ..base() })
        }
        What::MemberChanged { user, role } => (
            "chat.member_changed",
            EventData { user: Some(user), role: Some(role.name()), ..base() },
        ),
        What::MemberRemoved { user } => {
            ("chat.member_removed", EventData { user: Some(user), ..base() })
        }
        What::RetentionChanged { retention_ms } => {
            ("chat.retention_changed", EventData { retention_ms: Some(*retention_ms), ..base() })
        }
    }
}
