//! Where a server listens and who calls it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::client::{Client, ClientError};
use super::request::RequestWriter;
use super::websocket::{WebSocket, WebSocketError};

/// A server's address, resolved once, with the caller's key.
#[derive(Debug, Clone)]
pub struct Endpoint {
    address: SocketAddr,
    authority: String,
    api_key: Option<String>,
    timeout: Duration,
}

/// Why a target names no server.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// Not `host:port` or `http://host:port`.
    #[error("`{0}` is not host:port or http://host:port")]
    NotATarget(String),
    /// The key cannot stand in a header.
    #[error("the API key holds characters that a header cannot carry")]
    BadKey,
    /// The name does not resolve.
    #[error("cannot resolve `{target}`: {source}")]
    Unresolved {
        /// What was asked for.
        target: String,
        /// The resolver's answer.
        source: io::Error,
    },
}

impl Endpoint {
    /// Takes `host:port` or `http://host:port`. `timeout` bounds a connect and each request.
    ///
    /// # Errors
    /// [`EndpointError`], each with what was given.
    pub async fn resolve(
        target: &str,
        api_key: Option<&str>,
        timeout: Duration,
    ) -> Result<Self, EndpointError> {
        let authority = target.strip_prefix("http://").unwrap_or(target).trim_end_matches('/');
        let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'/';
        if authority.is_empty() || !authority.bytes().all(is_plain) || !authority.contains(':') {
            return Err(EndpointError::NotATarget(target.to_owned()));
        }
        if api_key.is_some_and(|key| !key.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(EndpointError::BadKey);
        }
        let unresolved = |source| EndpointError::Unresolved { target: target.to_owned(), source };
        let address = tokio::net::lookup_host(authority)
            .await
            .map_err(unresolved)?
            .next()
            .ok_or_else(|| unresolved(io::ErrorKind::NotFound.into()))?;
        Ok(Self {
            address,
            authority: authority.to_owned(),
            api_key: api_key.map(str::to_owned),
            timeout,
        })
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn connect(&self) -> Result<Client, ClientError> {
        Client::connect(self.address, self.timeout).await
    }

    /// Opens a WebSocket, whose buffer begins with so many bytes.
    ///
    /// # Errors
    /// As [`WebSocket::open`].
    pub async fn connect_websocket(
        &self,
        path: &str,
        buffer_bytes: usize,
    ) -> Result<WebSocket, WebSocketError> {
        let mut writer = self.writer();
        WebSocket::open(self.address, self.timeout, &mut writer, path, buffer_bytes).await
    }

    /// A writer of requests to this server with this key.
    #[must_use]
    pub fn writer(&self) -> RequestWriter {
        RequestWriter::new(&self.authority, self.api_key.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn resolve(target: &str, key: Option<&str>) -> Result<Endpoint, EndpointError> {
        Endpoint::resolve(target, key, Duration::from_secs(1)).await
    }

    #[tokio::test]
    async fn takes_both_forms_and_refuses_others() {
        for target in ["127.0.0.1:7480", "http://127.0.0.1:7480/"] {
            let endpoint = resolve(target, None).await.unwrap();
            assert_eq!(endpoint.authority, "127.0.0.1:7480");
        }
        for target in ["", "7480", "https://127.0.0.1:7480", "a b:1", "http://h:1/path"] {
            assert!(resolve(target, None).await.is_err(), "{target}");
        }
        let error = resolve("127.0.0.1:1", Some("a\r\nb")).await.unwrap_err();
        assert!(matches!(error, EndpointError::BadKey));
    }
}
