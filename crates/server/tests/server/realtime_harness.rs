//! A small WebSocket client that writes its frames itself, so that it can write wrong ones too; and
//! a server whose users have tokens.

use crate::harness::{Answer, TestServer, request};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use evenkeel_server::{Auth, ServerOptions};
use ring::hmac;
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    time::Duration,
};

pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xA;
/// The bit of a frame that is its message's last.
pub(crate) const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// A receive buffer that is soon full.
const SMALL_BUFFER_BYTES: usize = 4 * 1_024;
/// A test that waits longer than this for a byte has hung.
const HANG: Duration = Duration::from_secs(15);

/// What every client of the tests says of itself, and what a server must say to it (RFC 6455, 1.3).
pub(crate) const UPGRADE: [(&str, &str); 4] = [
    ("Connection", "keep-alive, Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A client's end of a connection.
pub(crate) struct Wire(BufReader<TcpStream>);

/// A frame as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

impl Wire {
    pub(crate) fn open(server: &TestServer) -> Self {
        Self::open_with(server, &[])
    }

    pub(crate) fn open_with(server: &TestServer, headers: &[(&str, &str)]) -> Self {
        Self::over(server.connect(), headers)
    }

    /// One whose system takes hardly anything that is not read.
    pub(crate) fn open_small(server: &TestServer) -> Self {
        let socket = socket2::Socket::new(
            socket2::Domain::IPV4,
            socket2::Type::STREAM,
            Some(socket2::Protocol::TCP),
        )
        .unwrap();
        socket.set_recv_buffer_size(SMALL_BUFFER_BYTES).unwrap();
        socket.connect(&server.address.into()).unwrap();
        Self::over(socket.into(), &[])
    }

    /// One of somebody who has these credentials, and says so at once.
    pub(crate) fn of(server: &TestServer, credentials: &str) -> Self {
        let mut wire = Self::open(server);
        let heard = wire.ask(&json!({ "auth": credentials }));
        assert!(heard["authenticated"].is_object(), "{heard}");
        wire
    }

    fn over(stream: TcpStream, headers: &[(&str, &str)]) -> Self {
        stream.set_read_timeout(Some(HANG)).unwrap();
        stream.set_write_timeout(Some(HANG)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut wire = Self(BufReader::new(stream));
        let headers = [headers, &UPGRADE].concat();
        wire.raw(request("GET", "/v1/realtime", &headers, None).as_bytes());
        let head = wire.head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let accept = format!("\r\nsec-websocket-accept: {ACCEPT}\r\n");
        assert!(head.contains(&accept), "{head}");
        wire
    }

    /// The head of the answer to the request.
    fn head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(self.0.read_line(&mut head).unwrap(), 0, "{head}");
        }
        head
    }

    /// Writes bytes as they are.
    #[track_caller]
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    /// Writes bytes to a server that may have closed already.
    pub(crate) fn try_raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    /// Says nothing more, and still hears.
    pub(crate) fn end(&mut self) {
        // It may be closed already.
        let _ = self.0.get_mut().shutdown(Shutdown::Write);
    }

    /// Writes a frame of one message.
    #[track_caller]
    pub(crate) fn frame(&mut self, opcode: u8, payload: &[u8]) {
        self.raw(&masked(FIN | opcode, payload));
    }

    #[track_caller]
    pub(crate) fn say(&mut self, said: &Value) {
        self.frame(TEXT, said.to_string().as_bytes());
    }

    /// Says something and hears what comes next.
    #[track_caller]
    pub(crate) fn ask(&mut self, said: &Value) -> Value {
        self.say(said);
        self.hear()
    }

    /// Reads one frame, whatever it is; `None` once the connection is closed.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Option<Heard> {
        let [first, length] = self.exactly()?;
        assert_eq!(first & 0x70, 0, "reserved bits");
        assert_eq!(first & FIN, FIN, "nothing needs several frames");
        assert_eq!(length & MASKED, 0, "a server masks nothing");
        let length = match length {
            126 => usize::from(u16::from_be_bytes(self.exactly()?)),
            127 => usize::try_from(u64::from_be_bytes(self.exactly()?)).unwrap(),
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        self.fill(&mut payload).then_some(Heard { opcode: first & 0xf, payload })
    }

    /// Reads the next text, which must be JSON. Pings are answered and passed over.
    #[track_caller]
    pub(crate) fn hear(&mut self) -> Value {
        loop {
            let heard = self.next().expect("something to hear");
            match heard.opcode {
                TEXT => return serde_json::from_slice(&heard.payload).unwrap(),
                PING => self.frame(PONG, &heard.payload),
                PONG => {}
                _ => panic!("{heard:?} instead of text"),
            }
        }
    }

    /// Reads until the server says that it closes, answers that, and sees that it is closed: the texts
    /// that came before, and the code.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> (Vec<Value>, Option<u16>) {
        let mut texts = Vec::new();
        loop {
            let heard = self.next().expect("a connection is closed with a word about why");
            match heard.opcode {
                TEXT => texts.push(serde_json::from_slice(&heard.payload).unwrap()),
                CLOSE => {
                    // It may be gone already.
                    let _ = self.0.get_mut().write_all(&masked(FIN | CLOSE, &heard.payload));
                    assert_eq!(self.next(), None, "after its last word");
                    return (texts, code_of(&heard));
                }
                _ => {}
            }
        }
    }

    /// The code with which the server closes; nothing else may come before.
    #[track_caller]
    pub(crate) fn closed(&mut self) -> Option<u16> {
        let (texts, code) = self.rest();
        assert_eq!(texts, Vec::<Value>::new());
        code
    }

    /// Reads until the connection is closed, with or without a word; how many texts came.
    #[track_caller]
    pub(crate) fn count_of_what_is_left(&mut self) -> usize {
        let mut count = 0;
        while let Some(heard) = self.next() {
            count += usize::from(heard.opcode == TEXT);
        }
        count
    }

    /// Sees that it still gets answers, and that nothing else is on its way.
    #[track_caller]
    pub(crate) fn is_quiet(&mut self) {
        assert_eq!(self.ask(&json!({ "ping": "quiet" })), json!({ "pong": "quiet" }));
    }

    /// Follows a conversation; the position from which.
    #[track_caller]
    pub(crate) fn follow(&mut self, conversation: &str, since: Option<&str>) -> String {
        let topic = format!("conversation:{conversation}");
        let mut said = json!({ "subscribe": topic });
        if let Some(since) = since {
            said["since"] = since.into();
        }
        let heard = self.ask(&said);
        assert_eq!(heard["subscribed"], topic, "{heard}");
        heard["position"].as_str().unwrap().to_owned()
    }

    /// Reads that many events, in order and none of them twice.
    #[track_caller]
    pub(crate) fn events(&mut self, count: usize) -> Vec<Value> {
        let mut events: Vec<Value> = Vec::new();
        while events.len() < count {
            let event = self.hear();
            assert!(event["type"].is_string(), "{event} instead of an event");
            if let Some(last) = events.last() {
                assert_eq!(seq(&event), seq(last) + 1, "{event} after {last}");
            }
            events.push(event);
        }
        events
    }

    #[track_caller]
    fn exactly<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes).then_some(bytes)
    }

    /// Whether there was so much.
    #[track_caller]
    fn fill(&mut self, bytes: &mut [u8]) -> bool {
        match self.0.read_exact(bytes) {
            Ok(()) => true,
            Err(error) => {
                let hung = [ErrorKind::WouldBlock, ErrorKind::TimedOut];
                assert!(!hung.contains(&error.kind()), "nothing came, and it was not closed");
                false
            }
        }
    }
}

/// The bytes of a frame as clients must send it.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = head(first, MASKED, payload.len());
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// The bytes of a frame as they must not.
pub(crate) fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    [head(first, 0, payload.len()), payload.to_vec()].concat()
}

fn head(first: u8, mask: u8, length: usize) -> Vec<u8> {
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..126), _) => vec![first, mask | short],
        (_, Ok(middle)) => [vec![first, mask | 126], middle.to_be_bytes().to_vec()].concat(),
        _ => [vec![first, mask | 127], (length as u64).to_be_bytes().to_vec()].concat(),
    }
}

/// The code that a close frame says.
pub(crate) fn code_of(heard: &Heard) -> Option<u16> {
    let (code, reason) = heard.payload.split_first_chunk()?;
    assert!(std::str::from_utf8(reason).is_ok(), "{heard:?}");
    Some(u16::from_be_bytes(*code))
}

/// The number of an event in its conversation.
#[track_caller]
pub(crate) fn seq(event: &Value) -> u64 {
    let seq = event["data"]["seq"].as_u64().unwrap_or_else(|| panic!("no seq in {event}"));
    let position = event["position"].as_str().unwrap();
    assert!(position.ends_with(&format!(".{seq}")), "{event}");
    seq
}

/// A message of `sender`, as it is said on a connection.
#[allow(clippy::needless_pass_by_value, reason = "callers make the body for this call")]
pub(crate) fn message(conversation: &str, sender: &str, client_id: &str, body: Value) -> Value {
    json!({
        "conversation": conversation, "client_id": client_id, "sender": sender, "body": body,
    })
}

/// A server that asks for keys, with one that signs tokens of its users.
pub(crate) struct ChatServer {
    pub(crate) server: TestServer,
    pub(crate) admin: String,
    pub(crate) kid: String,
    secret: Vec<u8>,
}

impl ChatServer {
    pub(crate) fn start() -> Self {
        Self::start_with(ServerOptions::new(Auth::Keys))
    }

    pub(crate) fn start_with(options: ServerOptions) -> Self {
        let server = TestServer::start(options);
        let admin = server.admin_key();
        let mut chat = Self { server, admin, kid: String::new(), secret: Vec::new() };
        let body = json!({ "algorithm": "HS256" });
        let made = chat.admin("POST", "/v1/token-keys", Some(&body)).json();
        chat.kid = made["kid"].as_str().unwrap().to_owned();
        chat.secret = URL_SAFE_NO_PAD.decode(made["secret"].as_str().unwrap()).unwrap();
        chat
    }

    /// Asks as whoever has this key or token.
    #[track_caller]
    pub(crate) fn send(
        &self,
        bearer: &str,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Answer {
        let bearer = format!("Bearer {bearer}");
        let body = body.map(Value::to_string);
        self.server.send(method, path, &[("Authorization", &bearer)], body.as_deref())
    }

    #[track_caller]
    pub(crate) fn admin(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let answer = self.send(&self.admin, method, path, body);
        assert!((200..300).contains(&answer.status), "{method} {path}: {}", answer.body);
        answer
    }

    /// Has a conversation with these members.
    #[track_caller]
    pub(crate) fn conversation(&self, name: &str, members: &[&str]) {
        let body = json!({ "members": members });
        self.admin("PUT", &format!("/v1/conversations/{name}"), Some(&body));
    }

    /// Has `sender` say something; its number.
    #[track_caller]
    pub(crate) fn message(&self, conversation: &str, sender: &str, client_id: &str) -> u64 {
        let path = format!("/v1/conversations/{conversation}/messages/by-client-id/{client_id}");
        let body = json!({ "sender": sender, "body": client_id });
        self.admin("PUT", &path, Some(&body)).json()["seq"].as_u64().unwrap()
    }

    /// A key with these scopes, of a tenant: what its holder sends, and its id.
    pub(crate) fn key(&self, tenant: &str, scopes: &[&str]) -> (String, String) {
        let body = json!({ "tenant": tenant, "scopes": scopes });
        let made = self.admin("POST", "/v1/keys", Some(&body)).json();
        let text = |field: &str| made[field].as_str().unwrap().to_owned();
        (text("key"), text("id"))
    }

    /// A token of `user` that is good for some days.
    pub(crate) fn token(&self, user: &str) -> String {
        self.token_that_says(&json!({ "sub": user, "exp": now_s() + 7 * 24 * 3_600 }))
    }

    /// The same, with another claim.
    pub(crate) fn token_with(&self, user: &str, claim: &str, value: Value) -> String {
        let mut claims = json!({ "sub": user, "exp": now_s() + 7 * 24 * 3_600 });
        claims[claim] = value;
        self.token_that_says(&claims)
    }

    fn token_that_says(&self, claims: &Value) -> String {
        let header = json!({ "alg": "HS256", "kid": self.kid });
        let parts = [&header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = parts.join(".");
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.secret);
        let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

/// Now, as tokens say it.
pub(crate) fn now_s() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_second()).unwrap()
}
