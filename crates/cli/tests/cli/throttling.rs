//! Rate limits over Redis's protocol, on the real binary.

use crate::process::Server;
use std::{
    io::{Read, Write},
    net::TcpStream,
};
use tempfile::TempDir;

const READY: &str = "Redis's protocol for rate limits at ";
const DAY_S: &str = "86400";

struct Client(TcpStream);

impl Client {
    fn connect(server: &Server) -> Self {
        let address = server.welcome.lines().find_map(|line| line.strip_prefix(READY));
        Self(TcpStream::connect(address.expect("it says where")).unwrap())
    }

    /// Sends `lines` in one write and reads until `bytes` bytes of replies have come.
    fn ask(&mut self, lines: &str, bytes: usize) -> String {
        self.0.write_all(lines.as_bytes()).unwrap();
        let mut replies = vec![0; bytes];
        self.0.read_exact(&mut replies).unwrap();
        String::from_utf8(replies).unwrap()
    }

    fn login(&mut self, key: &str) {
        assert_eq!(self.ask(&format!("AUTH {key}\r\n"), 5), "+OK\r\n");
    }

    /// One unit of a limit of three a day: whether it is refused, and what remains.
    fn throttle(&mut self) -> (i64, i64) {
        let line = format!("CL.THROTTLE user:1 2 3 {DAY_S} 1\r\n");
        self.0.write_all(line.as_bytes()).unwrap();
        let mut reply = Vec::new();
        let mut byte = [0];
        while reply.iter().filter(|byte| **byte == b'\n').count() < 6 {
            self.0.read_exact(&mut byte).unwrap();
            reply.extend_from_slice(&byte);
        }
        let reply = String::from_utf8(reply).unwrap();
        let numbers: Vec<i64> =
            reply.lines().skip(1).map(|line| line[1..].parse().unwrap()).collect();
        assert_eq!((numbers.len(), numbers[1]), (5, 3), "{reply}");
        (numbers[0], numbers[2])
    }
}

#[test]
fn what_was_admitted_stays_counted_through_a_kill() {
    let directory = TempDir::new().unwrap();
    let resp = ["--resp", "127.0.0.1:0"];
    let server = Server::serve(directory.path(), &["--init", resp[0], resp[1]]);
    let key = server.key.clone().expect("the first start makes a key");
    let mut client = Client::connect(&server);
    let refused = "-NOAUTH Authentication required.\r\n";
    let asked = format!("CL.THROTTLE user:1 2 3 {DAY_S}\r\n");
    assert_eq!(client.ask(&asked, refused.len()), refused);
    client.login(&key);
    assert_eq!((client.throttle(), client.throttle()), ((0, 2), (0, 1)));
    server.kill();

    let server = Server::serve(directory.path(), &resp);
    let mut client = Client::connect(&server);
    client.login(&key);
    // Eight hours give one back: at most the third is left.
    assert_eq!((client.throttle(), client.throttle()), ((0, 0), (1, 0)));
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_pipeline_of_all_kinds_is_answered_in_order() {
    let directory = TempDir::new().unwrap();
    let args = ["--init", "--insecure-no-auth", "--resp", "127.0.0.1:0"];
    let server = Server::serve(directory.path(), &args);
    let mut client = Client::connect(&server);
    let pipeline = "LIMIT.PUT api ALGORITHM sliding_window QUANTITY 2 PERIOD-MS 86400000\r\n\
                    PING\r\n\
                    CL.THROTTLE a 0 1 86400\r\n\
                    CL.THROTTLE b 0 1 86400\r\n\
                    CL.THROTTLE a 0 1 86400 0\r\n\
                    NOTHING\r\n\
                    LIMIT.GET none\r\n\
                    ECHO end\r\n";
    client.0.write_all(pipeline.as_bytes()).unwrap();
    let mut replies = String::new();
    let mut chunk = [0; 1024];
    while !replies.ends_with("$3\r\nend\r\n") {
        let read = client.0.read(&mut chunk).unwrap();
        assert!(read > 0, "it hung up after {replies}");
        replies.push_str(std::str::from_utf8(&chunk[..read]).unwrap());
    }
    let expected = "+OK\r\n+PONG\r\n\
                    *5\r\n:0\r\n:1\r\n:0\r\n:-1\r\n:86400\r\n\
                    *5\r\n:0\r\n:1\r\n:0\r\n:-1\r\n:86400\r\n\
                    *5\r\n:0\r\n:1\r\n:0\r\n:-1\r\n:86400\r\n\
                    -ERR unknown command 'NOTHING', with args beginning with: \r\n\
                    $-1\r\n$3\r\nend\r\n";
    assert_eq!(replies, expected);
    assert_eq!(server.stop(), Some(0));
}

/// What is asked over Redis's protocol is counted under the same contracts as over HTTP.
#[test]
fn limits_asked_over_redis_count_in_the_contracts() {
    let directory = TempDir::new().unwrap();
    let args = ["--init", "--insecure-no-auth", "--resp", "127.0.0.1:0"];
    let server = Server::serve(directory.path(), &args);
    let mut client = Client::connect(&server);
    let asked = "LIMIT.PUT api ALGORITHM gcra QUANTITY 1 PERIOD-MS 86400000\r\n\
                 CL.THROTTLE a 0 1 86400\r\n\
                 CL.THROTTLE a 0 1 86400\r\n\
                 CL.THROTTLE a 0 0 86400\r\n\
                 LIMIT.CHECK none k\r\n\
                 LIMIT.GET none\r\n\
                 ECHO end\r\n";
    client.0.write_all(asked.as_bytes()).unwrap();
    let mut replies = String::new();
    let mut chunk = [0; 1024];
    while !replies.ends_with("$3\r\nend\r\n") {
        let read = client.0.read(&mut chunk).unwrap();
        assert!(read > 0, "it hung up after {replies}");
        replies.push_str(std::str::from_utf8(&chunk[..read]).unwrap());
    }
    let outcomes = |path: &str| {
        let (status, contract) = server.ask("GET", &format!("/v1/contracts/{path}"), None);
        assert_eq!(status, 200);
        contract["delivered"]["outcomes"].clone()
    };
    assert_eq!(
        outcomes("limits.check"),
        serde_json::json!({ "ok": 1, "limited": 1, "invalid_request": 1, "not_found": 1 })
    );
    assert_eq!(outcomes("limits.put"), serde_json::json!({ "ok": 1 }));
    assert_eq!(outcomes("limits.get"), serde_json::json!({ "not_found": 1 }));
    assert_eq!(server.stop(), Some(0));
}
