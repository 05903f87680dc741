//! Connections whose other end dawdles; those that do not are in the tests of the binary.

use super::{
    super::{options::GrpcOptions, service::tests::decider},
    *,
};
use crate::options::Auth;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PATH: &str = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;

/// A frame of HTTP/2 (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header, never compressed (RFC 7541, section 6.2.2).
fn header(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [vec![0], text(name), text(value)].concat()
}

#[tokio::test]
async fn a_request_that_does_not_come_is_ended() {
    let directory = TempDir::new().unwrap();
    let decider = decider(&directory).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let request_timeout = Duration::from_millis(20);
    let options = GrpcOptions { request_timeout, ..GrpcOptions::new(Auth::Open) };
    let serving = serve(
        listener,
        options,
        decider.node,
        decider.meters,
        decider.rules,
        std::future::pending(),
    );
    let serving = tokio::spawn(serving);
    let head: Vec<u8> = [
        header(":method", "POST"),
        header(":scheme", "http"),
        header(":path", PATH),
        header(":authority", "evenkeel"),
        header("content-type", "application/grpc"),
        header("te", "trailers"),
    ]
    .concat();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    // The head is complete, the request is not.
    stream.write_all(&frame(HEADERS, 4, 1, &head)).await.unwrap();
    let answered = async {
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.unwrap();
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            stream.read_exact(&mut payload).await.unwrap();
            if head[3] == HEADERS {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), answered).await.expect("it is answered");
    serving.abort();
}
