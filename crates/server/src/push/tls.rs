//! TLS to destinations: the certificates that this system trusts, read once; TLS 1.2 and 1.3.

use std::{io, sync::Arc};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName},
};

/// What checks whom one has reached. Clones share sessions.
#[derive(Clone)]
pub(super) struct Tls(TlsConnector);

impl Tls {
    /// With the certificates that this system trusts (or those that `SSL_CERT_FILE` and `SSL_CERT_DIR`
    /// name). Without any, no destination is trusted.
    pub(super) fn of_system() -> Self {
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
        Self::trusting(roots)
    }

    pub(super) fn trusting(roots: RootCertStore) -> Self {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has the ciphers of both versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self(TlsConnector::from(Arc::new(config)))
    }

    /// Finds out whether it is `host` that `stream` leads to.
    pub(super) async fn connect(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        self.0.connect(name, stream).await
    }
}
