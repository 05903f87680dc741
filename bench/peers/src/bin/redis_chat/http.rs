//! The port's HTTP: the change to WebSocket, sends, pages, and conversations, which need no put here.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::frames::{HttpSend, SendFrame};
use crate::store::Answer;
use crate::{AnyError, Server, socket};

const REQUEST_BYTES_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 32;

/// A request whose head and body are whole.
struct Request {
    method: String,
    path: String,
    websocket_key: Option<String>,
    body: std::ops::Range<usize>,
}

/// Requests one after the other, until the client goes or changes to WebSocket.
pub(crate) async fn serve(mut stream: TcpStream, server: Arc<Server>) {
    let mut bytes = Vec::new();
    loop {
        let request = match read(&mut stream, &mut bytes).await {
            Ok(Some(request)) => request,
            // Gone, or no HTTP: the connection is closed either way.
            Ok(None) | Err(_) => return,
        };
        if let Some(key) = request.websocket_key {
            let accept = derive_accept_key(key.as_bytes());
            let head = format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            if stream.write_all(head.as_bytes()).await.is_ok() {
                bytes.drain(..request.body.end);
                socket::serve(stream, bytes, server).await;
            }
            return;
        }
        let body = &bytes[request.body.clone()];
        let (status, reply) = match answer(&request, body, &server).await {
            Ok(answer) => answer,
            Err(error) => (500, serde_json::json!({"detail": error.to_string()}).to_string()),
        };
        let length = reply.len();
        let reply = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{reply}"
        );
        if stream.write_all(reply.as_bytes()).await.is_err() {
            return;
        }
        bytes.drain(..request.body.end);
    }
}

async fn read(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Result<Option<Request>, AnyError> {
    loop {
        if let Some(request) = parse(bytes)? {
            return Ok(Some(request));
        }
        if bytes.len() > REQUEST_BYTES_MAX {
            return Err("the request is too large".into());
        }
        if stream.read_buf(bytes).await? == 0 {
            return Ok(None);
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Option<Request>, AnyError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = request.parse(bytes)? else { return Ok(None) };
    let mut length = 0;
    let mut websocket_key = None;
    for header in request.headers.iter() {
        let value = std::str::from_utf8(header.value)?;
        if header.name.eq_ignore_ascii_case("content-length") {
            length = value.parse()?;
        } else if header.name.eq_ignore_ascii_case("sec-websocket-key") {
            websocket_key = Some(value.to_owned());
        }
    }
    if length > REQUEST_BYTES_MAX || bytes.len() < head + length {
        return Ok(None);
    }
    Ok(Some(Request {
        method: request.method.unwrap_or_default().to_owned(),
        path: request.path.unwrap_or_default().to_owned(),
        websocket_key,
        body: head..head + length,
    }))
}

async fn answer(
    request: &Request,
    body: &[u8],
    server: &Server,
) -> Result<(u16, String), AnyError> {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let path = path.strip_prefix("/v1/conversations/").unwrap_or_default();
    let parts: Vec<&str> = path.split('/').collect();
    match (request.method.as_str(), parts.as_slice()) {
        ("PUT", [_]) => Ok((200, "{}".to_owned())),
        ("PUT", [conversation, "messages", "by-client-id", client_id]) => {
            let HttpSend { sender, body } = serde_json::from_slice(body)?;
            let send = SendFrame { conversation, client_id, sender, body };
            let (answer, answered) = oneshot::channel();
            server.store.send(&send, Answer::Http(answer)).await;
            let (number, at) = answered.await??;
            Ok((201, format!(r#"{{"seq":{number},"at":"{at}"}}"#)))
        }
        ("GET", [conversation, "messages"]) => {
            let number = |name: &str| {
                let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
                pairs.filter(|(found, _)| *found == name).find_map(|(_, value)| value.parse().ok())
            };
            let before = number("before").unwrap_or(u64::MAX);
            let limit = number("limit").unwrap_or(50);
            let found = server.store.before(conversation, before, limit).await?;
            let items: Vec<String> = found.iter().map(|(_, tail)| format!("{{{tail}")).collect();
            Ok((200, format!(r#"{{"items":[{}],"cursor":null}}"#, items.join(","))))
        }
        _ => Ok((404, "{}".to_owned())),
    }
}
