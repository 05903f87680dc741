//! TLS to destinations: with the certificates that this system trusts, read once; TLS 1.2 and 1.3.

use std::{io, sync::Arc};
use tokio::{net::TcpStream, sync::OnceCell, task::spawn_blocking};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName},
};

/// What checks whom one has reached; made when it is first needed. Clones share sessions.
#[derive(Clone)]
pub(super) struct Tls(Arc<OnceCell<TlsConnector>>);

impl Tls {
    /// With the certificates that this system trusts (or those that `SSL_CERT_FILE` and `SSL_CERT_DIR`
    /// name). Without any, no destination is trusted.
    pub(super) fn of_system() -> Self {
        Self(Arc::default())
    }

    /// With these certificates alone.
    #[cfg(test)]
    pub(super) fn trusting(roots: RootCertStore) -> Self {
        Self(Arc::new(OnceCell::new_with(Some(connector(roots)))))
    }

    /// Finds out whether it is `host` that `stream` leads to.
    pub(super) async fn connect(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let read = || async { spawn_blocking(system).await.map_err(io::Error::other) };
        self.0.get_or_try_init(read).await?.connect(name, stream).await
    }
}

fn system() -> TlsConnector {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, ignored) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let errors = found.errors.len();
        tracing::warn!(
            ignored,
            errors,
            "this system trusts no certificate, so no webhook over https will be delivered"
        );
    }
    connector(roots)
}

fn connector(roots: RootCertStore) -> TlsConnector {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has the ciphers of both versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}
