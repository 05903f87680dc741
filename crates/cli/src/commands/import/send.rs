//! Sends lines over one connection, again while the server is busy or away.

use super::line::Entry;
use crate::client::{Answer, Api, ApiError};
use evenkeel_drill::load::Endpoint;
use std::time::Duration;
use tokio::time::Instant;

const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// A server that asks for more patience than this is asked again all the same.
const RETRY_AFTER_S_MAX: u64 = 30;

/// A line that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// The resource is new.
    Created,
    /// It was there, and is now as the line says.
    Existing,
}

/// A line that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stopped {
    /// Because of what it says; others may do better.
    Line(String),
    /// For a reason that the next one would meet too.
    Import(String),
}

/// One connection.
pub(super) struct Sender {
    api: Api,
    retry_for: Duration,
}

impl Sender {
    pub(super) fn new(endpoint: Endpoint, url: String, retry_for_ms: u64) -> Self {
        Self { api: Api::new(endpoint, url), retry_for: Duration::from_millis(retry_for_ms) }
    }

    /// Creates the resource of a line, with all its seats.
    pub(super) async fn send(&mut self, entry: &Entry) -> Result<Sent, Stopped> {
        let path = format!("/v1/resources/{}", entry.resource);
        let put = self.patiently("PUT", &path, &entry.put).await?;
        // A map that has more seats than one call takes can only be added to.
        let only_add =
            !entry.seats.is_empty() && put.status == 409 && put.problem().code == "too_many_seats";
        if !only_add {
            accepted(&put)?;
        }
        for seats in &entry.seats {
            let added = self.patiently("POST", &format!("{path}/seats"), seats).await?;
            accepted(&added)?;
        }
        Ok(if put.status == 201 { Sent::Created } else { Sent::Existing })
    }

    /// Asks again while the answer may become another one. All requests here may be repeated.
    async fn patiently(
        &mut self,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Result<Answer, Stopped> {
        let give_up_at = Instant::now() + self.retry_for;
        let mut pause = PAUSE_MIN;
        loop {
            let result = self.api.send(method, path, Some(body)).await;
            let (wait, why) = match result {
                Ok(answer) if matches!(answer.status, 429 | 503 | 504) => {
                    let asked =
                        answer.retry_after_s.map(|s| Duration::from_secs(s.min(RETRY_AFTER_S_MAX)));
                    (asked.unwrap_or(pause), answer.problem().to_string())
                }
                Ok(answer) => return Ok(answer),
                Err(error @ ApiError::Unreachable { .. }) => (pause, error.to_string()),
                Err(error) => return Err(Stopped::Import(error.to_string())),
            };
            if Instant::now() + wait > give_up_at {
                return Err(Stopped::Import(format!(
                    "given up after {} ms of trying: {why}",
                    self.retry_for.as_millis()
                )));
            }
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

fn accepted(answer: &Answer) -> Result<(), Stopped> {
    match answer.status {
        200..300 => Ok(()),
        400 | 409 | 413 | 422 => Err(Stopped::Line(answer.problem().to_string())),
        _ => Err(Stopped::Import(answer.problem().to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    const LINE: &[u8] = br#"{"resource":"a","kind":"quantity","capacity":1}"#;

    fn reply(status: &str, headers: &str, body: &str) -> String {
        let bytes = body.len();
        format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {bytes}\r\n\r\n{body}")
    }

    /// Sends a line to a server that gives these answers, an empty one by hanging up; says also
    /// how many requests came.
    async fn sent(answers: Vec<String>, retry_for_ms: u64) -> (Result<Sent, Stopped>, usize) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(async move {
            let mut requests = 0;
            let mut stream = listener.accept().await.unwrap().0;
            let mut buffer = [0; 4_096];
            for answer in answers {
                while stream.read(&mut buffer).await.unwrap() == 0 {
                    stream = listener.accept().await.unwrap().0;
                }
                requests += 1;
                if answer.is_empty() {
                    stream = listener.accept().await.unwrap().0;
                } else {
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            }
            requests
        });
        let endpoint = Endpoint::resolve(&address, None, Duration::from_millis(200)).await.unwrap();
        let mut sender = Sender::new(endpoint, address, retry_for_ms);
        let result = sender.send(&super::super::line::parse(LINE).unwrap()).await;
        drop(sender);
        (result, server.await.unwrap())
    }

    #[tokio::test]
    async fn a_busy_server_is_asked_again() {
        let busy = reply("429 Too Many Requests", "Retry-After: 0\r\n", "{}");
        let problem = r#"{"code":"unavailable","status":503,"retryable":true,
            "detail":"the state is not flushed as fast as it changes"}"#;
        let away = reply("503 Service Unavailable", "Retry-After: 0\r\n", problem);
        let answers = vec![busy, away, reply("201 Created", "", "{}")];
        assert_eq!(sent(answers, 60_000).await, (Ok(Sent::Created), 3));
    }

    #[tokio::test]
    async fn patience_ends() {
        let busy = reply("429 Too Many Requests", "Retry-After: 1\r\n", "{}");
        let (result, requests) = sent(vec![busy], 999).await;
        assert!(
            matches!(result, Err(Stopped::Import(why)) if why.contains("given up after 999 ms"))
        );
        assert_eq!(requests, 1);
    }

    #[tokio::test]
    async fn an_answer_that_is_lost_is_asked_for_again() {
        let answers = vec![String::new(), reply("200 OK", "", "{}")];
        assert_eq!(sent(answers, 60_000).await, (Ok(Sent::Existing), 2));
    }

    #[tokio::test]
    async fn what_a_line_is_to_blame_for_is_told_from_what_it_is_not() {
        let problem = r#"{"code":"wrong_kind","detail":"it is a lock","status":409}"#;
        let (result, _) = sent(vec![reply("409 Conflict", "", problem)], 60_000).await;
        assert!(matches!(result, Err(Stopped::Line(why)) if why.contains("it is a lock")));
        let (result, _) = sent(vec![reply("403 Forbidden", "", "no")], 60_000).await;
        assert!(matches!(result, Err(Stopped::Import(why)) if why.contains("403")));
    }
}
