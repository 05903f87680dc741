//! One TCP connection with one inbound buffer and one timer, both reused by every request.
//!
//! The load generator shares its cores with the server that it measures, so the cost of a
//! request is what matters here: one write, one read, no allocation, and a timer that is only
//! pushed further out, which tokio does without touching its wheel.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::client::ClientError;

/// What a connection that carries requests begins with.
pub(super) const BUFFER_BYTES: usize = 8 * 1024;

pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
    deadline: Pin<Box<Sleep>>,
}

impl Connection {
    /// The buffer begins with so many bytes and grows when more arrives than it holds.
    pub(super) async fn open(
        address: SocketAddr,
        connect_timeout: Duration,
        buffer_bytes: usize,
    ) -> Result<Self, ClientError> {
        let stream = timeout(connect_timeout, TcpStream::connect(address))
            .await
            .map_err(|_| ClientError::ConnectTimedOut)?
            .map_err(ClientError::Connect)?;
        stream.set_nodelay(true).map_err(ClientError::Connect)?;
        Ok(Self {
            stream,
            buffer: vec![0; buffer_bytes.max(1)],
            filled: 0,
            deadline: Box::pin(sleep(connect_timeout)),
        })
    }

    /// Everything until the next call of this must be done within `limit`.
    pub(super) fn start_timer(&mut self, limit: Duration) {
        self.deadline.as_mut().reset(Instant::now() + limit);
    }

    /// What has been read and not yet consumed.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }

    pub(super) fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.filled);
        self.buffer.copy_within(count..self.filled, 0);
        self.filled -= count;
    }

    pub(super) fn clear(&mut self) {
        self.filled = 0;
    }

    pub(super) async fn send(&mut self, mut bytes: &[u8]) -> Result<(), ClientError> {
        while !bytes.is_empty() {
            let Self { stream, deadline, .. } = self;
            let written =
                poll_fn(|context| match Pin::new(&mut *stream).poll_write(context, bytes) {
                    Poll::Ready(result) => Poll::Ready(result.map_err(ClientError::Io)),
                    Poll::Pending => {
                        deadline.as_mut().poll(context).map(|()| Err(ClientError::TimedOut))
                    }
                })
                .await?;
            if written == 0 {
                return Err(ClientError::Closed);
            }
            bytes = &bytes[written..];
        }
        Ok(())
    }

    /// Reads once. Answers how many bytes came; 0 is the end of the stream.
    pub(super) async fn fill(&mut self, bytes_max: usize) -> Result<usize, ClientError> {
        if self.filled == self.buffer.len() {
            if self.filled >= bytes_max {
                return Err(ClientError::TooLarge { bytes_max });
            }
            let larger = (self.buffer.len() * 2).min(bytes_max.max(self.buffer.len() + 1));
            self.buffer.resize(larger, 0);
        }
        let Self { stream, buffer, filled, deadline } = self;
        let count = poll_fn(|context| {
            let mut unfilled = ReadBuf::new(&mut buffer[*filled..]);
            match Pin::new(&mut *stream).poll_read(context, &mut unfilled) {
                Poll::Ready(Ok(())) => Poll::Ready(Ok(unfilled.filled().len())),
                Poll::Ready(Err(error)) => Poll::Ready(Err(ClientError::Io(error))),
                Poll::Pending => {
                    deadline.as_mut().poll(context).map(|()| Err(ClientError::TimedOut))
                }
            }
        })
        .await?;
        self.filled += count;
        Ok(count)
    }
}
