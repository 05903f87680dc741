//! What is said on a connection: JSON, an object a frame.

use crate::{
    chat::{check_name, outgoing},
    code::Code,
    problem::Problem,
    time::Rfc3339,
};
use evenkeel_domains::chat::{Outgoing, SentView, Start};
use evenkeel_engine::Position;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt::Write};

/// Bytes of the `id` that a client gives what it sends.
const ID_BYTES_MAX: usize = 64;
const CONVERSATION: &str = "conversation:";
const TIMELINE: &str = "timeline:";

/// A frame from a client: one of these verbs, and what goes with it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spoken<'f> {
    #[serde(borrow)]
    auth: Option<Cow<'f, str>>,
    #[serde(borrow)]
    subscribe: Option<Cow<'f, str>>,
    #[serde(borrow)]
    since: Option<Cow<'f, str>>,
    #[serde(borrow)]
    user: Option<Cow<'f, str>>,
    presence: Option<bool>,
    #[serde(borrow)]
    unsubscribe: Option<Cow<'f, str>>,
    #[serde(borrow)]
    send: Option<SpokenSend<'f>>,
    #[serde(borrow)]
    read: Option<SpokenRead<'f>>,
    #[serde(borrow)]
    typing: Option<SpokenTyping<'f>>,
    #[serde(borrow)]
    ping: Option<&'f RawValue>,
    #[serde(borrow)]
    id: Option<&'f RawValue>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SpokenSend<'f> {
    #[serde(borrow)]
    conversation: Cow<'f, str>,
    #[serde(borrow)]
    client_id: Cow<'f, str>,
    #[serde(borrow)]
    sender: Option<Cow<'f, str>>,
    #[serde(borrow)]
    body: &'f RawValue,
    reply_to: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SpokenRead<'f> {
    #[serde(borrow)]
    conversation: Cow<'f, str>,
    seq: u64,
    #[serde(borrow)]
    user: Option<Cow<'f, str>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SpokenTyping<'f> {
    #[serde(borrow)]
    conversation: Cow<'f, str>,
    /// Whether they have stopped.
    #[serde(default)]
    stopped: bool,
}

/// What a client wants.
#[derive(Debug)]
pub(super) enum Wish {
    /// Be known.
    Auth(String),
    /// Follow a conversation.
    Subscribe {
        conversation: String,
        since: Since,
        /// Who is present by it.
        user: Option<String>,
        presence: bool,
    },
    /// Follow it no more.
    Unsubscribe { conversation: String },
    /// Follow a user's timeline.
    SubscribeTimeline { user: String, since: Since },
    /// Follow it no more.
    UnsubscribeTimeline { user: String },
    /// Say something.
    Send { conversation: String, outgoing: Outgoing },
    /// Move a marker.
    Read { conversation: String, seq: u64, user: String },
    /// Be seen typing, where one is present.
    Typing { conversation: String, stopped: bool },
    /// Hear something.
    Ping(String),
}

/// Where a subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Since {
    Now,
    Start,
    After(Position),
}

impl Since {
    pub(super) fn start(self) -> Start {
        match self {
            Self::Now => Start::Now,
            Self::Start => Start::Oldest,
            Self::After(position) => Start::After(position),
        }
    }
}

/// What a client calls what it wants: JSON, as it was sent.
pub(super) type Id = Option<Box<str>>;

/// What a frame says; and by which `id` the answer is to be known. `user` speaks, if it is one.
pub(super) fn parse(text: &str, user: Option<&str>) -> (Id, Result<Wish, Problem>) {
    let spoken: Spoken<'_> = match serde_json::from_str(text) {
        Ok(spoken) => spoken,
        Err(error) => {
            return (None, Err(Problem::invalid(format!("the frame cannot be read: {error}"))));
        }
    };
    let id = spoken.id.map(|id| id.get().into());
    if spoken.id.is_some_and(|id| id.get().len() > ID_BYTES_MAX) {
        let rule = format!("must have at most {ID_BYTES_MAX} bytes");
        return (None, Err(Problem::field("id", &rule)));
    }
    (id, wish(spoken, user))
}

fn wish(spoken: Spoken<'_>, speaker: Option<&str>) -> Result<Wish, Problem> {
    let Spoken {
        auth,
        subscribe,
        since,
        user,
        presence,
        unsubscribe,
        send,
        read,
        typing,
        ping,
        id: _,
    } = spoken;
    let verbs = [
        auth.is_some(),
        subscribe.is_some(),
        unsubscribe.is_some(),
        send.is_some(),
        read.is_some(),
        typing.is_some(),
        ping.is_some(),
    ];
    if verbs.into_iter().filter(|said| *said).count() != 1 {
        let detail =
            "a frame says one of auth, subscribe, unsubscribe, send, read, typing and ping";
        return Err(Problem::invalid(detail));
    }
    if subscribe.is_none() && (since.is_some() || user.is_some() || presence.is_some()) {
        return Err(Problem::invalid("since, user and presence go with subscribe"));
    }
    // A user speaks for themselves; the back end says for whom.
    let spoken_for = |field: &'static str, named: Option<Cow<'_, str>>| match (named, speaker) {
        (Some(named), Some(speaker)) if named != speaker => {
            Err(Problem::new(Code::Forbidden, "nobody speaks for somebody else"))
        }
        (Some(named), _) => Ok(named.into_owned()),
        (None, Some(speaker)) => Ok(speaker.to_owned()),
        (None, None) => Err(Problem::field(field, "must be given")),
    };
    if let Some(auth) = auth {
        return Ok(Wish::Auth(auth.into_owned()));
    }
    if let Some(topic) = subscribe {
        let since = since.map_or(Ok(Since::Now), |since| begin(&since))?;
        let conversation = match topic_of(&topic)? {
            Topic::Conversation(name) => name,
            Topic::Timeline(_) if user.is_some() || presence.is_some() => {
                return Err(Problem::invalid("nobody is present in a timeline"));
            }
            Topic::Timeline(user) => return Ok(Wish::SubscribeTimeline { user, since }),
        };
        let presence = presence.unwrap_or(false);
        let user = match (presence, user) {
            (false, None) => None,
            (false, Some(user)) => Some(spoken_for("user", Some(user))?),
            (true, user) => Some(spoken_for("user", user)?),
        };
        user.as_ref().map_or(Ok(()), |user| check_name("user", user))?;
        return Ok(Wish::Subscribe { conversation, since, user, presence });
    }
    if let Some(topic) = unsubscribe {
        return Ok(match topic_of(&topic)? {
            Topic::Conversation(conversation) => Wish::Unsubscribe { conversation },
            Topic::Timeline(user) => Wish::UnsubscribeTimeline { user },
        });
    }
    if let Some(SpokenSend { conversation, client_id, sender, body, reply_to }) = send {
        check_name("conversation", &conversation)?;
        let sender = spoken_for("sender", sender)?;
        let outgoing = outgoing(client_id.into_owned(), sender, body, reply_to)?;
        return Ok(Wish::Send { conversation: conversation.into_owned(), outgoing });
    }
    if let Some(SpokenRead { conversation, seq, user }) = read {
        check_name("conversation", &conversation)?;
        let user = spoken_for("user", user)?;
        check_name("user", &user)?;
        return Ok(Wish::Read { conversation: conversation.into_owned(), seq, user });
    }
    if let Some(SpokenTyping { conversation, stopped }) = typing {
        check_name("conversation", &conversation)?;
        return Ok(Wish::Typing { conversation: conversation.into_owned(), stopped });
    }
    let ping = ping.map_or("null", RawValue::get);
    if ping.len() > ID_BYTES_MAX {
        return Err(Problem::field("ping", &format!("must have at most {ID_BYTES_MAX} bytes")));
    }
    Ok(Wish::Ping(ping.to_owned()))
}

/// What can be followed.
enum Topic {
    Conversation(String),
    Timeline(String),
}

fn topic_of(topic: &str) -> Result<Topic, Problem> {
    if let Some(name) = topic.strip_prefix(CONVERSATION) {
        check_name("conversation", name)?;
        return Ok(Topic::Conversation(name.to_owned()));
    }
    let Some(user) = topic.strip_prefix(TIMELINE) else {
        let detail = "what is followed is \"conversation:<name>\" or \"timeline:<user>\"";
        return Err(Problem::invalid(detail));
    };
    check_name("user", user)?;
    Ok(Topic::Timeline(user.to_owned()))
}

/// A conversation as it is followed.
pub(super) fn conversation(name: &str) -> String {
    format!("{CONVERSATION}{name}")
}

/// A timeline as it is followed.
pub(super) fn timeline(user: &str) -> String {
    format!("{TIMELINE}{user}")
}

fn begin(since: &str) -> Result<Since, Problem> {
    match since {
        "start" => Ok(Since::Start),
        position => {
            let position = position.parse();
            position.map(Since::After).map_err(|()| {
                Problem::field("since", "must be a position that an event carried, or start")
            })
        }
    }
}

/// Writes what follows the first member of an answer: its `id`, if it has one.
fn with_id(out: &mut String, id: Option<&str>) {
    if let Some(id) = id {
        let _ = write!(out, ",\"id\":{id}");
    }
    out.push('}');
}

/// A client is known now.
pub(super) fn authenticated(tenant: &str, user: Option<&str>, id: Option<&str>) -> String {
    let mut out = format!("{{\"authenticated\":{{\"tenant\":\"{tenant}\"");
    if let Some(user) = user {
        let _ = write!(out, ",\"user\":\"{user}\"");
    }
    out.push('}');
    with_id(&mut out, id);
    out
}

/// Something is followed from a position on.
pub(super) fn subscribed(topic: &str, position: Position, id: Option<&str>) -> String {
    let mut out = format!("{{\"subscribed\":\"{topic}\",\"position\":\"{position}\"");
    with_id(&mut out, id);
    out
}

/// Something is followed no more.
pub(super) fn unsubscribed(topic: &str, reason: &str, id: Option<&str>) -> String {
    let mut out = format!("{{\"unsubscribed\":\"{topic}\",\"reason\":\"{reason}\"");
    with_id(&mut out, id);
    out
}

/// History is gone: what to read anew, and from where to follow then.
pub(super) fn reset(topic: &str, position: Position, reload: &str, what: &str) -> String {
    format!(
        "{{\"reset\":\"{topic}\",\"position\":\"{position}\",\"reload\":\"{reload}\",\
         \"detail\":\"the events after your position are not kept any more, or it is of another life \
         of the log; read {what} again, then follow from position\"}}"
    )
}

/// A message is durable.
pub(super) fn sent(id: &str, view: &SentView) -> String {
    let SentView { seq, at, duplicate } = view;
    let mut out = format!("{{\"ack\":{id},\"seq\":{seq},\"at\":\"{}\"", Rfc3339(*at));
    if *duplicate {
        out.push_str(",\"duplicate\":true");
    }
    out.push('}');
    out
}

/// A marker is where it is, or was already.
pub(super) fn read(id: &str, seq: u64, unread: u64) -> String {
    format!("{{\"ack\":{id},\"seq\":{seq},\"unread\":{unread}}}")
}

/// What was asked was heard.
pub(super) fn pong(payload: &str) -> String {
    format!("{{\"pong\":{payload}}}")
}

/// Somebody is there, or is not any more.
pub(super) fn presence(conversation: &str, user: &str, online: bool) -> String {
    format!(
        "{{\"presence\":\"conversation:{conversation}\",\"user\":\"{user}\",\"online\":{online}}}"
    )
}

/// Somebody types for so long at most, or has stopped.
pub(super) fn typing(conversation: &str, user: &str, expires_in_ms: u64) -> String {
    format!(
        "{{\"typing\":\"conversation:{conversation}\",\"user\":\"{user}\",\
         \"expires_in_ms\":{expires_in_ms}}}"
    )
}

/// What was asked was not done, or nobody knows whether it was.
pub(super) fn failed(id: Option<&str>, problem: &Problem) -> String {
    #[derive(Serialize)]
    struct Failed<'p> {
        error: Option<&'p RawValue>,
        code: &'static str,
        detail: &'p str,
        retryable: bool,
        side_effects: &'static str,
    }
    let meaning = problem.code.meaning();
    let failed = Failed {
        error: id.and_then(|id| serde_json::from_str(id).ok()),
        code: meaning.code,
        detail: &problem.detail,
        retryable: meaning.retryable,
        side_effects: problem.side_effects(),
    };
    serde_json::to_string(&failed).expect("strings and flags serialise")
}
