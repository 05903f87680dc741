//! Asking a server over its API: one connection, JSON both ways, problems as sentences.

use crate::failure::Failure;
use clap::Args;
use evenkeel_drill::load::{Client, ClientError, Endpoint, EndpointError, RequestWriter};
use serde::{Deserialize, de::DeserializeOwned};
use std::{path::PathBuf, time::Duration};

/// The variable that holds the caller's key. Never an argument: those are visible to everyone.
const KEY: &str = "EVENKEEL_KEY";

/// Which server to ask, and as whom.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServerArgs {
    /// The server to ask.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7480")]
    pub(crate) url: String,
    /// A file that holds the API key; else it is taken from EVENKEEL_KEY.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// How long to wait for a connection, and for each answer.
    #[arg(long, value_name = "MS", default_value_t = 10_000,
          value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    timeout_ms: u64,
}

/// Why the server did not answer what was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// The URL names no server.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// No usable reply.
    #[error("no answer from {url}: {source}")]
    Unreachable {
        /// Where it was sought.
        url: String,
        /// What happened.
        source: ClientError,
    },
    /// It said no.
    #[error("the server refused: {0}")]
    Refused(Problem),
    /// It said something else than what was expected.
    #[error("{url} does not answer as an Evenkeel server of this version: {why}")]
    NotUnderstood {
        /// Who answered.
        url: String,
        /// What is strange about it.
        why: String,
    },
}

/// A problem body, as far as it matters here.
#[derive(Debug, Clone, Default, Deserialize, thiserror::Error)]
#[error("{detail} ({code}, status {status}{})", hint(.code))]
#[serde(default)]
pub(crate) struct Problem {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) detail: String,
}

fn hint(code: &str) -> &'static str {
    match code {
        "unauthenticated" => "; set EVENKEEL_KEY or give --key-file",
        _ => "",
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after_s: Option<u64>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The problem that it is, if it is no success.
    pub(crate) fn problem(&self) -> Problem {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| Problem {
            status: self.status,
            code: "no_problem_body".to_owned(),
            detail: String::from_utf8_lossy(&self.body[..self.body.len().min(300)]).into_owned(),
        })
    }
}

impl ServerArgs {
    /// The key, if there is one.
    pub(crate) fn api_key(&self) -> Result<Option<String>, Failure> {
        let key = match &self.key_file {
            Some(path) => std::fs::read_to_string(path).map_err(|error| {
                Failure::because(format!("cannot read the key in {}", path.display()), error)
            })?,
            None => std::env::var(KEY).unwrap_or_default(),
        };
        let key = key.trim();
        Ok((!key.is_empty()).then(|| key.to_owned()))
    }

    /// How long to wait for a connection, and for each answer.
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// What is needed to open connections.
    pub(crate) async fn endpoint(&self) -> Result<Endpoint, Failure> {
        self.endpoint_for(Duration::ZERO).await
    }

    /// The same for questions that the server may take `longer` to answer, as it was asked to.
    pub(crate) async fn endpoint_for(&self, longer: Duration) -> Result<Endpoint, Failure> {
        let key = self.api_key()?;
        Ok(Endpoint::resolve(&self.url, key.as_deref(), self.timeout() + longer).await?)
    }

    /// A way to ask. Connects with the first question.
    pub(crate) async fn api(&self) -> Result<Api, Failure> {
        Ok(Api::new(self.endpoint().await?, self.url.clone()))
    }
}

/// One caller of one server.
pub(crate) struct Api {
    url: String,
    endpoint: Endpoint,
    writer: RequestWriter,
    client: Option<Client>,
}

impl Api {
    pub(crate) fn new(endpoint: Endpoint, url: String) -> Self {
        let writer = endpoint.writer();
        Self { url, endpoint, writer, client: None }
    }

    /// Sends one request. Not sent again if it fails: only the caller knows whether it may be.
    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&[u8]>,
    ) -> Result<Answer, ApiError> {
        let unreachable = |source| ApiError::Unreachable { url: self.url.clone(), source };
        let mut client = match self.client.take().filter(Client::is_usable) {
            Some(client) => client,
            None => self.endpoint.connect().await.map_err(unreachable)?,
        };
        let request = self.writer.write(method, path, &[], body);
        let reply = client.call(request).await.map_err(unreachable)?;
        let answer = Answer {
            status: reply.status,
            retry_after_s: reply.header("retry-after").and_then(|value| value.parse().ok()),
            body: reply.body.to_vec(),
        };
        self.client = Some(client);
        Ok(answer)
    }

    /// Asks for JSON.
    pub(crate) async fn call<T: DeserializeOwned>(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&[u8]>,
    ) -> Result<T, ApiError> {
        let answer = self.send(method, path, body).await?;
        if !answer.is_success() {
            return Err(ApiError::Refused(answer.problem()));
        }
        serde_json::from_slice(&answer.body).map_err(|error| ApiError::NotUnderstood {
            url: self.url.clone(),
            why: error.to_string(),
        })
    }

    /// Every item of a list, page by page.
    pub(crate) async fn list<T: DeserializeOwned>(
        &mut self,
        path: &str,
    ) -> Result<Vec<T>, ApiError> {
        let mut items = Vec::new();
        let mut cursor = None;
        loop {
            let page: Page<T> = self.page(path, cursor.as_deref()).await?;
            items.extend(page.items);
            match page.cursor {
                Some(next) => cursor = Some(next),
                None => return Ok(items),
            }
        }
    }

    /// One page of a list: the first, or the one behind `cursor`. `path` may have a query.
    pub(crate) async fn page<T: DeserializeOwned>(
        &mut self,
        path: &str,
        cursor: Option<&str>,
    ) -> Result<Page<T>, ApiError> {
        let Some(cursor) = cursor else { return self.call("GET", path, None).await };
        if !cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_=.~".contains(&byte)) {
            let why = "its cursor cannot stand in a URL".to_owned();
            return Err(ApiError::NotUnderstood { url: self.url.clone(), why });
        }
        let joint = if path.contains('?') { '&' } else { '?' };
        self.call("GET", &format!("{path}{joint}cursor={cursor}"), None).await
    }
}

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    /// Where the next begins; none at the end of the list.
    pub(crate) cursor: Option<String>,
}
