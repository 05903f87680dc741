//! How a request becomes a connection (RFC 6455, section 4.2).

use super::{session::Session, who::Who};
use crate::{
    answer::{Answer, Body},
    call::Call,
    code::Code,
    connection::Watched,
    edge::Edge,
    problem::Problem,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use hyper::{
    HeaderMap, StatusCode,
    header::{
        CONNECTION, CONTENT_LENGTH, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT,
        SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
    },
    upgrade::{OnUpgrade, Upgraded},
};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::{net::TcpStream, sync::OwnedSemaphorePermit};

/// What every server adds to the client's key.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Where a connection finds what it goes on as, once it has answered that it does.
#[derive(Clone, Default)]
pub(crate) struct Slot(Arc<Mutex<Option<Begun>>>);

struct Begun {
    upgrade: OnUpgrade,
    who: Option<Who>,
    permit: OwnedSemaphorePermit,
}

/// `GET /v1/realtime`
pub(crate) fn connect(mut call: Call) -> Result<Answer, Problem> {
    call.parameters()?;
    let accept = accept(&call.parts.headers)?;
    let who = Who::of_headers(&call.edge, &call.parts.headers)?;
    let upgrade = call.parts.extensions.remove::<OnUpgrade>();
    let slot = call.parts.extensions.remove::<Slot>();
    let (Some(upgrade), Some(Slot(slot))) = (upgrade, slot) else {
        return Err(Problem::invalid("this connection cannot go on as a WebSocket"));
    };
    let permit = Arc::clone(&call.edge.realtime)
        .try_acquire_owned()
        .map_err(|_| Problem::new(Code::Overloaded, "as many WebSockets are open as may be"))?;
    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(Begun { upgrade, who, permit });
    let answer = Answer::new(
        StatusCode::SWITCHING_PROTOCOLS,
        HeaderValue::from_static(""),
        Body::from(Vec::new()),
    );
    Ok(answer
        .header(CONNECTION, HeaderValue::from_static("upgrade"))
        .header(UPGRADE, HeaderValue::from_static("websocket"))
        .header(SEC_WEBSOCKET_ACCEPT, accept))
}

/// What proves to the client that its key was read.
fn accept(headers: &HeaderMap) -> Result<HeaderValue, Problem> {
    let has = |name: HeaderName, token: &str| {
        headers.get_all(name).iter().any(|value| {
            let text = value.to_str().unwrap_or_default();
            text.split(',').any(|part| part.trim().eq_ignore_ascii_case(token))
        })
    };
    if !has(CONNECTION, "upgrade") || !has(UPGRADE, "websocket") {
        let detail = "this address speaks WebSocket: ask for Upgrade: websocket";
        return Err(Problem::new(Code::InvalidRequest, detail)
            .header(UPGRADE, HeaderValue::from_static("websocket")));
    }
    let has_body = headers.contains_key(TRANSFER_ENCODING)
        || headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0");
    if has_body {
        return Err(Problem::invalid("what becomes a WebSocket has no body"));
    }
    if !has(SEC_WEBSOCKET_VERSION, "13") {
        return Err(Problem::bad_header("Sec-WebSocket-Version", "must be 13")
            .header(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")));
    }
    let rule = "must be 16 bytes in base64";
    let bad = || Problem::bad_header("Sec-WebSocket-Key", rule);
    let key = headers.get(SEC_WEBSOCKET_KEY).ok_or_else(bad)?.to_str().map_err(|_| bad())?;
    if !STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16) {
        return Err(bad());
    }
    let proof = digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{GUID}").as_bytes());
    Ok(HeaderValue::from_str(&STANDARD.encode(proof)).expect("base64 is legal in a header"))
}

/// Goes on with a connection that has ended as HTTP, if it has become something else.
pub(crate) async fn go_on(edge: Arc<Edge>, slot: Slot) {
    let begun = slot.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(Begun { upgrade, who, permit }) = begun else { return };
    let Ok(upgraded) = upgrade.await else { return };
    let (stream, read) = stream_of(upgraded);
    Box::pin(Session::new(edge, stream, read, who).run()).await;
    drop(permit);
}

/// The bare connection, and what was read of it already.
fn stream_of(upgraded: Upgraded) -> (TcpStream, Vec<u8>) {
    let parts = upgraded.downcast::<Watched>().expect("every connection here is a watched one");
    (parts.io.into_stream(), parts.read_buf.into())
}
