//! A tiny TCP server for the tests of this module: it answers the n-th request on a
//! connection with the n-th canned reply.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One answer.
#[derive(Clone)]
pub(super) enum Canned {
    /// These bytes, written in pieces of that size.
    Bytes { bytes: Vec<u8>, piece: usize },
    /// Close the connection; needs no request.
    Close,
    /// Never answer.
    Silence,
}

impl Canned {
    pub(super) fn pieces(text: &str, piece: usize) -> Self {
        Self::Bytes { bytes: text.as_bytes().to_vec(), piece }
    }
}

/// Serves every connection with the same replies; ends with the test's runtime.
pub(super) async fn serve(replies: Vec<Canned>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, replies.clone()));
        }
    });
    address
}

async fn answer(mut stream: TcpStream, replies: Vec<Canned>) {
    for reply in replies {
        match reply {
            Canned::Close => return,
            Canned::Silence => std::future::pending().await,
            Canned::Bytes { bytes, piece } => {
                if read_request(&mut stream).await.is_none() {
                    return;
                }
                let closes = bytes.windows(5).any(|window| window == b"close");
                for part in bytes.chunks(piece) {
                    if stream.write_all(part).await.is_err() {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
                if closes {
                    return;
                }
            }
        }
    }
    std::future::pending::<()>().await;
}

/// Reads one request; answers its head and its body, or none at the end of the stream.
pub(super) async fn read_request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).await.ok()? == 0 {
            return None;
        }
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).ok()?;
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "))
        .map_or(0, |length| length.parse().unwrap_or(0));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some((head, body))
}
