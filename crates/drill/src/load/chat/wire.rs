//! The frames of the realtime protocol, as far as the load generator speaks it.
//!
//! Acknowledgements and messages are most of what comes, and the server has no share of the time that
//! is spent on them: where their fields stand in the order in which a server writes them, they are
//! picked out by one walk over the text. Anything else is parsed in full.

use std::fmt;

use serde_json::Value;

use super::super::request::push_decimal;

/// What a message says besides the instant at which it was sent: 60 bytes with it.
const TEXT: &[u8] = br#","text":"see you at the gate at 7"}"#;

/// Something that a server said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard<'a> {
    /// A send is durable.
    Ack { id: u64, seq: u64 },
    /// A message, in the conversation whose name ends in this number.
    Message { conversation: u32, seq: u64, sent_us: u64, position: &'a str },
    /// A subscription begins behind this position.
    Subscribed { position: String },
    /// It ended, and why.
    Unsubscribed { reason: String },
    /// A request was refused.
    Refused { id: Option<u64>, refusal: Refusal },
    /// Anything else: other events, pongs, presence.
    Other,
}

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: String,
    pub(super) detail: String,
    pub(super) retryable: bool,
    /// That it was done all the same is possible.
    pub(super) unknown: bool,
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ({})", self.detail, self.code)
    }
}

impl<'a> Heard<'a> {
    /// None if it is no frame of the protocol.
    pub(super) fn parse(text: &'a [u8]) -> Option<Self> {
        quick_ack(text).or_else(|| quick_message(text)).or_else(|| parse_in_full(text))
    }
}

fn quick_ack(text: &[u8]) -> Option<Heard<'_>> {
    let (id, rest) = number(text.strip_prefix(br#"{"ack":"#)?)?;
    let (seq, _) = number(rest.strip_prefix(br#","seq":"#)?)?;
    Some(Heard::Ack { id, seq })
}

fn quick_message(text: &[u8]) -> Option<Heard<'_>> {
    let (position, rest) = until_quote(text.strip_prefix(br#"{"position":""#)?)?;
    let rest = rest.strip_prefix(br#","type":"chat.message","entity":""#)?;
    let (entity, rest) = until_quote(rest)?;
    let (seq, rest) = number(behind(rest, br#""seq":"#)?)?;
    let (sent_us, _) = number(behind(rest, br#""sent_us":"#)?)?;
    let conversation = number_of(entity)?;
    Some(Heard::Message { conversation, seq, sent_us, position })
}

fn until_quote(text: &[u8]) -> Option<(&str, &[u8])> {
    let end = text.iter().position(|byte| *byte == b'"')?;
    Some((std::str::from_utf8(&text[..end]).ok()?, &text[end + 1..]))
}

/// What follows the first `name`, which begins with a quote: all other bytes are stepped over.
fn behind<'a>(text: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut rest = text;
    loop {
        let quote = rest.iter().position(|byte| *byte == b'"')?;
        rest = &rest[quote..];
        if let Some(found) = rest.strip_prefix(name) {
            return Some(found);
        }
        rest = &rest[1..];
    }
}

fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let mut number = 0_u64;
    for digit in digits {
        number = number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    (!digits.is_empty()).then_some((number, rest))
}

/// The number that a measured conversation's name ends in.
fn number_of(entity: &str) -> Option<u32> {
    entity.rsplit_once('-')?.1.parse().ok()
}

fn parse_in_full(text: &[u8]) -> Option<Heard<'_>> {
    let frame: Value = serde_json::from_slice(text).ok()?;
    let word = |name: &str| frame[name].as_str().unwrap_or_default().to_owned();
    if let Some(id) = frame["ack"].as_u64() {
        return Some(Heard::Ack { id, seq: frame["seq"].as_u64()? });
    }
    if frame.get("error").is_some() {
        let refusal = Refusal {
            code: word("code"),
            detail: word("detail"),
            retryable: frame["retryable"].as_bool().unwrap_or(false),
            unknown: frame["side_effects"] != "none",
        };
        return Some(Heard::Refused { id: frame["error"].as_u64(), refusal });
    }
    if frame.get("subscribed").is_some() {
        return Some(Heard::Subscribed { position: word("position") });
    }
    if frame.get("unsubscribed").is_some() {
        return Some(Heard::Unsubscribed { reason: word("reason") });
    }
    if frame["type"] == "chat.message" {
        let data = &frame["data"];
        return Some(Heard::Message {
            conversation: number_of(frame["entity"].as_str()?)?,
            seq: data["seq"].as_u64()?,
            sent_us: data["body"]["sent_us"].as_u64()?,
            position: position_in(text)?,
        });
    }
    frame.is_object().then_some(Heard::Other)
}

/// A position is opaque and never escaped; borrowed, as the quick way does it.
fn position_in(text: &[u8]) -> Option<&str> {
    let rest = behind(text, br#""position""#)?;
    let quote = rest.iter().position(|byte| *byte == b'"')?;
    Some(until_quote(&rest[quote + 1..])?.0)
}

/// The body of a message, sent at this instant.
pub(super) fn push_body(out: &mut Vec<u8>, sent_us: u64) {
    out.extend_from_slice(br#"{"sent_us":"#);
    push_decimal(out, sent_us);
    out.extend_from_slice(TEXT);
}

/// A send, written over what `out` held.
pub(super) fn write_send(
    out: &mut Vec<u8>,
    id: u64,
    conversation: &str,
    client_id: &str,
    sender: &str,
    sent_us: u64,
) {
    out.clear();
    for part in [
        r#"{"send":{"conversation":""#,
        conversation,
        r#"","client_id":""#,
        client_id,
        r#"","sender":""#,
        sender,
        r#"","body":"#,
    ] {
        out.extend_from_slice(part.as_bytes());
    }
    push_body(out, sent_us);
    out.extend_from_slice(br#"},"id":"#);
    push_decimal(out, id);
    out.push(b'}');
}

/// A subscription, from this position on or from now on.
pub(super) fn subscription(conversation: &str, since: Option<&str>) -> Vec<u8> {
    let mut frame = serde_json::json!({"subscribe": format!("conversation:{conversation}")});
    if let Some(since) = since {
        frame["since"] = since.into();
    }
    frame.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn message() -> Value {
        let body = json!({"sent_us": 99, "text": "x"});
        json!({"position": "1.58", "type": "chat.message", "entity": "conversation:b-a-7", "at": "z",
            "data": {"seq": 58, "sender": "u1", "client_id": "c", "body": body}})
    }

    #[test]
    fn messages_are_understood_in_any_order_of_fields() {
        let expected = Heard::Message { conversation: 7, seq: 58, sent_us: 99, position: "1.58" };
        let quick = br#"{"position":"1.58","type":"chat.message","entity":"conversation:b-a-7","at":"z","data":{"seq":58,"sender":"u1","client_id":"c","body":{"sent_us":99,"text":"x"}}}"#;
        assert_eq!(quick_message(quick).unwrap(), expected);
        // Sorted by name, so that the quick way does not find them.
        let sorted = message().to_string();
        assert_eq!(quick_message(sorted.as_bytes()), None);
        assert_eq!(Heard::parse(sorted.as_bytes()).unwrap(), expected);
    }

    #[test]
    fn other_frames_are_told_apart() {
        let heard = |text: &'static str| Heard::parse(text.as_bytes());
        assert_eq!(heard(r#"{"ack":7,"seq":58,"at":"z"}"#), Some(Heard::Ack { id: 7, seq: 58 }));
        assert_eq!(heard(r#"{"seq":58,"ack":7}"#), Some(Heard::Ack { id: 7, seq: 58 }));
        let subscribed = heard(r#"{"subscribed":"conversation:b-1","position":"1.9"}"#);
        assert_eq!(subscribed, Some(Heard::Subscribed { position: "1.9".into() }));
        let Some(Heard::Refused { id: None, refusal }) = heard(
            r#"{"error":null,"code":"c","detail":"d","retryable":true,"side_effects":"none"}"#,
        ) else {
            panic!()
        };
        assert!(refusal.retryable && !refusal.unknown && refusal.code == "c");
        assert_eq!(heard(r#"{"pong":1}"#), Some(Heard::Other));
        assert_eq!(heard("[]"), None);
        assert_eq!(heard(r#"{"ack":99999999999999999999999,"seq":1}"#), Some(Heard::Other));
    }

    #[test]
    fn a_send_is_the_protocols() {
        let mut out = Vec::new();
        write_send(&mut out, 7, "b-1", "x1", "u1", 12);
        let send: Value = serde_json::from_slice(&out).unwrap();
        let body = json!({"sent_us": 12, "text": "see you at the gate at 7"});
        assert_eq!(
            send,
            json!({"send": {"conversation": "b-1", "client_id": "x1", "sender": "u1",
                "body": body}, "id": 7})
        );
    }
}
