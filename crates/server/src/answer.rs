//! Answers: a status, a body and what was delivered with it, made into an HTTP response.

use crate::{code::Code, connection::InFlight, json, text::push_decimal};
use bytes::Bytes;
use evenkeel_log::Incarnation;
use evenkeel_node::{Called, MetaView, SessionToken};
use hyper::{
    Response, StatusCode,
    body::{Frame, SizeHint},
    header::{
        CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS,
    },
};
use serde::Serialize;
use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("evenkeel-request-id");
const SESSION: HeaderName = HeaderName::from_static("evenkeel-session");
const AS_OF: HeaderName = HeaderName::from_static("evenkeel-as-of");
const STALENESS_MS: HeaderName = HeaderName::from_static("evenkeel-staleness-ms");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const TRUE: HeaderValue = HeaderValue::from_static("true");
const FRESH: HeaderValue = HeaderValue::from_static("0");

/// What a handler answers.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Body,
    pub(crate) delivered: Option<Delivered>,
    /// How long it took because its caller had asked to wait: no part of how fast it was.
    pub(crate) waited: Duration,
    /// As what it is counted, if not as simply answered.
    pub(crate) counted_as: Option<Code>,
    content_type: HeaderValue,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// What an answer rests on.
pub(crate) struct Delivered {
    pub(crate) as_of: Vec<SessionToken>,
    pub(crate) staleness_ms: u64,
    pub(crate) replayed: bool,
}

/// The life of the log that an answer is from; all partitions share it.
pub(crate) fn life_of(as_of: &[SessionToken]) -> Incarnation {
    as_of.first().map(|token| token.incarnation).unwrap_or_default()
}

impl Delivered {
    /// Takes the answer out of `called`; what is left says what it rests on.
    pub(crate) fn split<A>(called: Called<A>) -> (A, Self) {
        let Called { answer, replayed, as_of, staleness_ms, .. } = called;
        (answer, Self { as_of, staleness_ms, replayed })
    }

    /// It rests on these too: of a partition on the newest.
    pub(crate) fn see(&mut self, tokens: &[SessionToken]) {
        for token in tokens {
            match self.as_of.iter_mut().find(|seen| seen.partition == token.partition) {
                Some(seen) => seen.offset = seen.offset.max(token.offset),
                None => self.as_of.push(*token),
            }
        }
    }
}

impl Answer {
    /// A JSON body.
    pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Self {
        Self::new(status, JSON, Body::from(json::written(value)))
    }

    /// A JSON body that is written already.
    pub(crate) fn written(body: Bytes) -> Self {
        Self::new(StatusCode::OK, JSON, Body::Whole(body))
    }

    /// Any body.
    pub(crate) fn new(status: StatusCode, content_type: HeaderValue, body: Body) -> Self {
        Self {
            status,
            body,
            delivered: None,
            waited: Duration::ZERO,
            counted_as: None,
            content_type,
            headers: Vec::new(),
        }
    }

    /// No body.
    pub(crate) fn empty() -> Self {
        Self::new(StatusCode::NO_CONTENT, JSON, Body::from(Vec::new()))
    }

    pub(crate) fn delivered(mut self, delivered: Delivered) -> Self {
        self.delivered = Some(delivered);
        self
    }

    /// The same, read from the node's copy of `meta`.
    pub(crate) fn resting(self, view: &MetaView) -> Self {
        let as_of = view.as_of.into_iter().collect();
        self.delivered(Delivered { as_of, staleness_ms: 0, replayed: false })
    }

    pub(crate) fn waited(mut self, waited: Duration) -> Self {
        self.waited = waited;
        self
    }

    pub(crate) fn counted_as(mut self, code: Option<Code>) -> Self {
        self.counted_as = code;
        self
    }

    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn respond(self) -> Response<Body> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        json_headers(headers);
        if ![StatusCode::NO_CONTENT, StatusCode::SWITCHING_PROTOCOLS].contains(&self.status) {
            headers.insert(CONTENT_TYPE, self.content_type);
        }
        if let Some(delivered) = &self.delivered {
            deliver(headers, delivered);
        }
        for (name, value) in self.headers {
            headers.insert(name, value);
        }
        response
    }
}

/// What every answer carries, whatever it is: nobody keeps it, nobody guesses its type.
pub(crate) fn json_headers(headers: &mut HeaderMap) {
    headers.reserve(10);
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
}

/// Says what an answer, a yes or a no, rests on.
pub(crate) fn deliver(headers: &mut HeaderMap, delivered: &Delivered) {
    let (mut session, mut as_of) = (Vec::with_capacity(24), Vec::with_capacity(24));
    for (index, token) in delivered.as_of.iter().enumerate() {
        if index > 0 {
            session.push(b',');
            as_of.extend_from_slice(b", ");
        }
        push_decimal(&mut session, u64::from(token.partition.0));
        session.push(b'.');
        push_decimal(&mut session, u64::from(token.incarnation.0));
        session.push(b'.');
        push_decimal(&mut session, token.offset.0);
        if token.partition == evenkeel_log::PartitionId::META {
            as_of.extend_from_slice(b"meta");
        } else {
            push_decimal(&mut as_of, u64::from(token.partition.0));
        }
        as_of.push(b'/');
        push_decimal(&mut as_of, token.offset.0);
    }
    // A worker that waited in vain asked no partition.
    if !delivered.as_of.is_empty() {
        headers.insert(SESSION, ascii(session));
        headers.insert(AS_OF, ascii(as_of));
    }
    let staleness = match delivered.staleness_ms {
        0 => FRESH,
        stale => HeaderValue::from(stale),
    };
    headers.insert(STALENESS_MS, staleness);
    if delivered.replayed {
        headers.insert(REPLAYED, TRUE);
    }
}

fn ascii(bytes: Vec<u8>) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from(bytes))
        .expect("digits and punctuation are legal in a header")
}

/// The body of a response: all at once, or pulled piece by piece.
pub(crate) enum Body {
    /// All of it; empty once it was taken.
    Whole(Bytes),
    /// A stream.
    Pulled(Stream),
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Whole(bytes.into())
    }
}

/// Something that makes the next piece of a body when it is asked to, and not before: a reader
/// that is slow costs no buffer.
pub(crate) trait Pull: Send + Sized + 'static {
    /// The next piece and what makes the one after it; `None` at the end.
    fn pull(self) -> impl Future<Output = Option<(Bytes, Self)>> + Send;
}

type Step = Pin<Box<dyn Future<Output = Option<(Bytes, Stream)>> + Send>>;

/// The making of the next piece; none after the last.
pub(crate) struct Stream {
    step: Option<Step>,
    in_flight: Option<InFlight>,
}

impl Stream {
    pub(crate) fn new(source: impl Pull) -> Self {
        let step: Step = Box::pin(async move {
            let (piece, source) = source.pull().await?;
            Some((piece, Self::new(source)))
        });
        Self { step: Some(step), in_flight: None }
    }
}

impl Body {
    /// Has a stream count as a request that is being answered until its end.
    pub(crate) fn keep(&mut self, in_flight: InFlight) {
        if let Self::Pulled(stream) = self {
            stream.in_flight = Some(in_flight);
        }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Pulled(stream) => {
                let Some(step) = &mut stream.step else {
                    return Poll::Ready(None);
                };
                let piece = std::task::ready!(step.as_mut().poll(cx));
                stream.step = None;
                Poll::Ready(piece.map(|(piece, rest)| {
                    stream.step = rest.step;
                    Ok(Frame::data(piece))
                }))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Pulled(stream) => stream.step.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Pulled(_) => SizeHint::default(),
        }
    }
}
