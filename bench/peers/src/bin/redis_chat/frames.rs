//! The protocol's frames, as far as this peer reads and writes them.

use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::value::RawValue;

/// One frame of a client.
#[derive(Deserialize)]
pub(crate) struct Frame<'a> {
    #[serde(borrow)]
    pub(crate) send: Option<SendFrame<'a>>,
    pub(crate) subscribe: Option<&'a str>,
    pub(crate) since: Option<&'a str>,
    pub(crate) unsubscribe: Option<&'a str>,
    pub(crate) auth: Option<&'a str>,
    pub(crate) ping: Option<u64>,
    pub(crate) id: Option<u64>,
}

/// A message to be stored.
#[derive(Deserialize)]
pub(crate) struct SendFrame<'a> {
    pub(crate) conversation: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) sender: Option<&'a str>,
    #[serde(borrow)]
    pub(crate) body: &'a RawValue,
}

/// What an HTTP send has in its body.
#[derive(Deserialize)]
pub(crate) struct HttpSend<'a> {
    pub(crate) sender: Option<&'a str>,
    #[serde(borrow)]
    pub(crate) body: &'a RawValue,
}

/// Everything of an event behind its entity: what is stored, and what is published.
pub(crate) fn tail(number: u64, at: &str, send: &SendFrame<'_>) -> String {
    let mut tail = String::with_capacity(160 + send.body.get().len());
    let sender = send.sender.unwrap_or_default();
    let (client_id, body) = (send.client_id, send.body.get());
    let _ = write!(
        tail,
        r#""at":"{at}","data":{{"seq":{number},"sender":"{sender}","client_id":"{client_id}","body":{body}}}}}"#
    );
    tail
}

/// An event as its readers get it.
pub(crate) fn event(conversation: &str, number: u64, tail: &str) -> String {
    let mut event = String::with_capacity(96 + conversation.len() + tail.len());
    let _ = write!(
        event,
        r#"{{"position":"1.{number}","type":"chat.message","entity":"conversation:{conversation}",{tail}"#
    );
    event
}

/// The number in a position; `start` is the beginning.
pub(crate) fn number_of(position: &str) -> Option<u64> {
    match position {
        "start" => Some(0),
        _ => position.strip_prefix("1.")?.parse().ok(),
    }
}

/// The instant as the protocol writes it.
pub(crate) fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}

/// `,"id":7`, if there is one.
pub(crate) fn id_field(id: Option<u64>) -> String {
    id.map_or_else(String::new, |id| format!(r#","id":{id}"#))
}
