//! A tiny stand-in for the server: enough of the chat API, in memory, to show that the workloads ask
//! for what they mean and see what goes wrong.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{Sender, channel};
use tungstenite::protocol::frame::FrameHeader;

use super::super::websocket::ACCEPT;

/// More than a test leaves unread.
const OUTBOX_MAX: usize = 100_000;

#[derive(Default)]
pub(super) struct Book {
    pub(super) members: BTreeMap<String, Value>,
    /// Of each conversation, `seq` 1 first.
    pub(super) messages: BTreeMap<String, Vec<Value>>,
    readers: BTreeMap<String, Vec<Sender<String>>>,
    pub(super) subscriptions: u64,
    pub(super) pages: Vec<String>,
    pub(super) heads: Vec<String>,
    /// Turn this many sends away first.
    pub(super) busy: u64,
    /// Store this many and deliver them to nobody, or twice.
    pub(super) lost: u64,
    pub(super) doubled: u64,
}

pub(super) struct Server {
    pub(super) target: String,
    pub(super) book: Arc<Mutex<Book>>,
}

pub(super) async fn start() -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap().to_string();
    let book = Arc::new(Mutex::new(Book::default()));
    let shared = Arc::clone(&book);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&shared)));
        }
    });
    Server { target, book }
}

async fn serve(mut stream: TcpStream, book: Arc<Mutex<Book>>) {
    while let Some((head, body)) = read_request(&mut stream).await {
        if head.contains("Upgrade: websocket") {
            book.lock().unwrap().heads.push(head);
            return serve_socket(stream, book).await;
        }
        let (status, reply) = book.lock().unwrap().answer(&head, &body);
        let reply = reply.to_string();
        let bytes =
            format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{reply}", reply.len());
        if stream.write_all(bytes.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<(String, Value)> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(bytes).ok()?;
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.ok()?;
    Some((head, serde_json::from_slice(&body).unwrap_or_default()))
}

async fn serve_socket(mut stream: TcpStream, book: Arc<Mutex<Book>>) {
    let head = format!("HTTP/1.1 101 X\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let (outbox, mut waiting) = channel::<String>(OUTBOX_MAX);
    tokio::spawn(async move {
        while let Some(text) = waiting.recv().await {
            let mut bytes = vec![0x81, 126];
            bytes.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
            bytes.extend(text.as_bytes());
            if write.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
    let mut bytes = Vec::new();
    while let Some(frame) = read_frame(&mut read, &mut bytes).await {
        book.lock().unwrap().take(&frame, &outbox);
    }
}

async fn read_frame(read: &mut OwnedReadHalf, bytes: &mut Vec<u8>) -> Option<Value> {
    loop {
        let mut unread = Cursor::new(&*bytes);
        if let Some((header, length)) = FrameHeader::parse(&mut unread).unwrap() {
            let begin = unread.position() as usize;
            let end = begin + length as usize;
            if bytes.len() >= end {
                let mask = header.mask.expect("a client masks");
                let masked = bytes[begin..end].iter().zip(mask.iter().cycle());
                let text: Vec<u8> = masked.map(|(byte, mask)| byte ^ mask).collect();
                bytes.drain(..end);
                return Some(serde_json::from_slice(&text).unwrap());
            }
        }
        if read.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    }
}

impl Book {
    fn answer(&mut self, head: &str, body: &Value) -> (u16, Value) {
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let parts: Vec<&str> = path.trim_start_matches("/v1/conversations/").split('/').collect();
        match (method, parts.as_slice()) {
            ("PUT", [name]) => {
                self.members.insert((*name).to_owned(), body["members"].clone());
                (201, json!({}))
            }
            ("PUT", [name, "messages", "by-client-id", client_id]) => {
                if self.busy > 0 {
                    self.busy -= 1;
                    return (429, json!({"code": "overloaded"}));
                }
                let mut send = body.clone();
                send["client_id"] = (*client_id).into();
                (201, json!({"seq": self.store(name, &send)}))
            }
            ("GET", [name, "messages"]) => {
                self.pages.push(query.to_owned());
                let before = query.trim_start_matches("before=").split('&').next().unwrap();
                let before: usize = before.parse().unwrap();
                let stored = self.messages.get(*name).map_or(&[][..], Vec::as_slice);
                (200, json!({"items": &stored[..(before - 1).min(stored.len())]}))
            }
            _ => (404, json!({})),
        }
    }

    fn take(&mut self, frame: &Value, outbox: &Sender<String>) {
        // A reader that has gone is none.
        let say = |value: Value| drop(outbox.try_send(value.to_string()));
        if let Some(entity) = frame["subscribe"].as_str() {
            let name = entity.trim_start_matches("conversation:");
            let stored = self.messages.entry(name.to_owned()).or_default();
            let last = stored.len();
            let since = frame["since"].as_str();
            let since = since.map_or(last, |since| since[2..].parse().unwrap());
            say(json!({"subscribed": entity, "position": format!("1.{since}")}));
            for event in &stored[since..] {
                say(event.clone());
            }
            self.readers.entry(name.to_owned()).or_default().push(outbox.clone());
            self.subscriptions += 1;
            return;
        }
        let (id, send) = (frame["id"].clone(), &frame["send"]);
        if self.busy > 0 {
            self.busy -= 1;
            return say(json!({"error": id, "code": "overloaded", "detail": "busy",
                "retryable": true, "side_effects": "none"}));
        }
        let seq = self.store(send["conversation"].as_str().unwrap(), send);
        say(json!({"ack": id, "seq": seq}));
    }

    fn store(&mut self, name: &str, send: &Value) -> usize {
        assert!(self.members[name].as_array().unwrap().contains(&send["sender"]), "{send}");
        let stored = self.messages.entry(name.to_owned()).or_default();
        let seq = stored.len() + 1;
        let data = json!({"seq": seq, "sender": send["sender"], "client_id": send["client_id"],
            "body": send["body"]});
        let event = json!({"position": format!("1.{seq}"), "type": "chat.message",
            "entity": format!("conversation:{name}"), "at": "z", "data": data});
        let mut copies = 1;
        for (knob, becomes) in [(&mut self.lost, 0), (&mut self.doubled, 2)] {
            if *knob > 0 {
                *knob -= 1;
                copies = becomes;
            }
        }
        for reader in self.readers.get(name).into_iter().flatten() {
            for _ in 0..copies {
                let _ = reader.try_send(event.to_string());
            }
        }
        stored.push(event);
        seq
    }

    /// Every client id that was stored.
    pub(super) fn client_ids(&self) -> Vec<&str> {
        let all = self.messages.values().flatten();
        all.map(|event| event["data"]["client_id"].as_str().unwrap()).collect()
    }
}
