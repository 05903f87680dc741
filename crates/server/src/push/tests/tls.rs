//! Webhooks over TLS: to a consumer whose certificate an authority of these tests has signed
//! (`tls/authority.pem`, whose key is gone; valid from 2020 to 2120), and to others.

use super::{Node, fake::Fake, soon};
use crate::push::tls::Tls;
use evenkeel_domains::jobs::State;
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

/// What trusts the authority of these tests and no other.
pub(super) fn trusting() -> Tls {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(include_bytes!("tls/authority.pem")).unwrap();
    roots.add(authority).unwrap();
    Tls::trusting(roots)
}

fn acceptor() -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("tls/localhost.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/localhost.key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

#[tokio::test]
async fn a_consumer_that_proves_who_it_is_gets_the_job() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor().accept(stream).await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"}") {
            stream.read_buf(&mut request).await.unwrap();
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        request
    });
    let jobs = Fake::new();
    jobs.enqueue("mails", [7]);
    jobs.put("mails", &format!("https://localhost:{port}/"), |_| {});
    let node = Node::start(&jobs);
    jobs.until_done().await;
    node.stop().await;
    let request = soon(serving).await.unwrap();
    assert!(request.starts_with(b"POST / HTTP/1.1\r\n"), "{request:?}");
}

#[tokio::test]
async fn one_that_does_not_gets_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let accepted = acceptor().accept(stream).await;
            assert!(accepted.is_err(), "its certificate is another's");
        }
    });
    let jobs = Fake::new();
    jobs.enqueue("mails", [7]);
    // The certificate is of `localhost`.
    jobs.put("mails", &format!("https://127.0.0.1:{port}/"), |_| {});
    let node = Node::start(&jobs);
    jobs.until(|all| all.jobs.values().all(|job| !job.errors.is_empty())).await;
    node.stop().await;
    let job = jobs.job_of("mails", 7);
    assert!(job.errors[0].starts_with("no TLS: "), "{:?}", job.errors);
    assert_ne!(job.state, State::Done);
    serving.abort();
}
