//! Bodies of requests: read within their bounds, then parsed with an answer that says where they
//! are wrong. And how long a body of an answer is. What the fields mean is not here.

use crate::{code::Code, problem::Problem, text::cut};
use bytes::{Bytes, BytesMut};
use evenkeel_contract::nearest;
use hyper::{
    HeaderMap,
    body::{Body, Incoming},
    header::CONTENT_TYPE,
};
use serde::{Serialize, Serializer, de::DeserializeOwned};
use serde_json::{Value, error::Category, value::RawValue};
use std::{future::poll_fn, io::Write, pin::Pin, time::Duration};

/// How much of what a parser says is repeated: it quotes what was sent.
const DETAIL_BYTES_MAX: usize = 300;

/// The body of a request, as a type.
pub(crate) trait Document: DeserializeOwned {
    /// The fields that it may have, to suggest one for a field that it may not.
    const FIELDS: &'static [&'static str];
    /// What no body at all means; `None` if there must be one.
    fn absent() -> Option<Self> {
        None
    }
}

/// Reads a body whole: at most `bytes_max`, within `timeout`.
pub(crate) async fn read(
    body: Incoming,
    bytes_max: usize,
    timeout: Duration,
) -> Result<Bytes, Problem> {
    let too_large = || {
        Problem::new(Code::TooLarge, format!("a body may have at most {bytes_max} bytes"))
            .with("bytes_max", bytes_max)
    };
    // A declared length is refused before a byte of it is read.
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large());
    }
    let whole = async {
        let mut body = body;
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            let frame =
                frame.map_err(|_| Problem::invalid("the body was cut off or is malformed"))?;
            let Ok(piece) = frame.into_data() else {
                continue;
            };
            if first.len() + rest.len() + piece.len() > bytes_max {
                return Err(too_large());
            }
            // Nearly every body comes in one piece, which is then not copied.
            if first.is_empty() && rest.is_empty() {
                first = piece;
                continue;
            }
            if rest.is_empty() {
                rest.extend_from_slice(&std::mem::take(&mut first));
            }
            rest.extend_from_slice(&piece);
        }
        Ok(if rest.is_empty() { first } else { rest.freeze() })
    };
    tokio::time::timeout(timeout, whole).await.unwrap_or_else(|_| {
        let limit_ms = timeout.as_millis();
        let detail = format!("the body did not arrive within {limit_ms} ms");
        Err(Problem::new(Code::RequestTimeout, detail))
    })
}

/// Whether a body may be taken for JSON. One that does not say what it is may.
pub(crate) fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Ok(());
    };
    let kind = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    if kind.trim_ascii().eq_ignore_ascii_case(b"application/json") {
        return Ok(());
    }
    let said = String::from_utf8_lossy(value.as_bytes());
    let detail = format!("the body is said to be {:?}", cut(&said, DETAIL_BYTES_MAX));
    Err(Problem::new(Code::UnsupportedMediaType, detail))
}

/// The length of most bodies: one allocation for them.
const BODY_BYTES_USUAL: usize = 512;

/// `value` as JSON.
pub(crate) fn written(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(BODY_BYTES_USUAL);
    serde_json::to_writer(&mut bytes, value)
        .expect("bodies are structs and strings: they serialise, and a Vec takes them");
    bytes
}

/// How many bytes `value` takes as JSON.
pub(crate) fn bytes(value: &impl Serialize) -> usize {
    struct Count(usize);

    impl Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let mut count = Count(0);
    serde_json::to_writer(&mut count, value)
        .expect("bodies are structs and strings: they serialise, and counting cannot fail");
    count.0
}

/// JSON within a body that is passed on to the letter: at most `bytes_max` of it, and such as common
/// parsers read. Half a character, a number beyond all or nesting without end in one job would keep a
/// worker from reading the others that it got with it.
pub(crate) fn passed_on(
    field: &'static str,
    raw: &RawValue,
    bytes_max: usize,
) -> Result<String, Problem> {
    let text = raw.get();
    if text.len() > bytes_max {
        return Err(Problem::field(field, &format!("must have at most {bytes_max} bytes")));
    }
    match serde_json::from_str::<Value>(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => {
            Err(Problem::field(field, &format!("is JSON that many cannot read: {error}")))
        }
    }
}

/// JSON that a caller sent, as it was sent.
pub(crate) struct Verbatim<'j>(pub(crate) &'j str);

impl Serialize for Verbatim<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serde_json::from_str::<&RawValue>(self.0) {
            Ok(raw) => raw.serialize(serializer),
            // It was looked at when it came; should it have been damaged since, it is shown as text.
            Err(_) => self.0.serialize(serializer),
        }
    }
}

/// Parses a body.
pub(crate) fn parse<T: Document>(bytes: &[u8]) -> Result<T, Problem> {
    // A struct would also be read from an array of its fields, which nobody means.
    match bytes.trim_ascii_start().first() {
        Some(b'{') => serde_json::from_slice(bytes).map_err(|error| explain(&error, T::FIELDS)),
        Some(_) => Err(Problem::invalid("the body must be a JSON object")),
        None => T::absent().ok_or_else(|| Problem::invalid("there must be a body, a JSON object")),
    }
}

fn explain(error: &serde_json::Error, fields: &'static [&'static str]) -> Problem {
    let (line, column) = (error.line(), error.column());
    let said = error.to_string();
    let position = format!(" at line {line} column {column}");
    let said = cut(said.strip_suffix(&position).unwrap_or(&said), DETAIL_BYTES_MAX);
    let at = format!("line {line}, column {column}");
    let detail = match (error.classify(), unknown_field(&said)) {
        (Category::Data, Some(field)) => match nearest(field, fields.iter().copied()) {
            Some(meant) => format!("unknown field {field:?}, did you mean {meant:?}? ({at})"),
            None => format!("unknown field {field:?}; known are {} ({at})", fields.join(", ")),
        },
        (Category::Data, None) => format!("{said} ({at})"),
        _ => format!("the body is not JSON: {said} ({at})"),
    };
    Problem::invalid(detail)
}

fn unknown_field(said: &str) -> Option<&str> {
    said.strip_prefix("unknown field `")?.split('`').next()
}
