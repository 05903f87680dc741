//! Where a queue is pushed to, taken apart.

use super::address::Reach;
use hyper::Uri;
use std::net::IpAddr;

/// An address that may be called, as far as its text tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// Whether over TLS.
    pub(super) https: bool,
    /// The host, without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// Host and port as the request names them.
    pub(super) authority: String,
    /// Path and query.
    pub(super) path: String,
}

/// Why it may not be called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TargetError {
    /// It is no address.
    #[error("push.url is not a URL")]
    Url,
    /// There is no such port.
    #[error("push.url has a port of 1 to 65535, or none")]
    Port,
    /// This program was built so.
    #[error(
        "push.url is https, and this program was built without TLS: build it with the feature tls, \
         or push to a proxy on this machine"
    )]
    NoTls,
    /// It is in a network that webhooks are kept out of.
    #[error(
        "push.url names an address that is not of the public internet; an operator allows those \
         with push.allow_private = \"on\""
    )]
    Private,
}

/// Whether jobs may be sent there: what can be known before a name is looked up. The rules of the
/// domain are not looked at here.
pub(crate) fn check(url: &str, reach: Reach) -> Result<(), TargetError> {
    let target = Target::parse(url)?;
    let literal = target.host.parse::<IpAddr>().ok();
    let local = target.host.trim_end_matches('.').eq_ignore_ascii_case("localhost");
    let refused = literal.is_some_and(|address| !reach.allows(address));
    if refused || (local && reach == Reach::Public) {
        return Err(TargetError::Private);
    }
    Ok(())
}

impl Target {
    /// Takes `url` apart.
    pub(super) fn parse(url: &str) -> Result<Self, TargetError> {
        let uri: Uri = url.parse().map_err(|_| TargetError::Url)?;
        let https = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(TargetError::Url),
        };
        if https && !cfg!(feature = "tls") {
            return Err(TargetError::NoTls);
        }
        let authority = uri.authority().ok_or(TargetError::Url)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || authority.as_str().contains('@') {
            return Err(TargetError::Url);
        }
        // A colon without a number after it is legal, and means nothing.
        let written = authority.as_str().trim_end_matches(':');
        let has_port = written.len() > authority.host().len();
        let port = match authority.port_u16() {
            Some(0) => return Err(TargetError::Port),
            Some(port) => port,
            None if has_port => return Err(TargetError::Port),
            None if https => 443,
            None => 80,
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { https, host: host.to_owned(), port, authority: written.to_owned(), path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> (String, u16, String, String) {
        let target = Target::parse(url).unwrap();
        (target.host, target.port, target.authority, target.path)
    }

    fn parts(host: &str, port: u16, authority: &str, path: &str) -> (String, u16, String, String) {
        (host.to_owned(), port, authority.to_owned(), path.to_owned())
    }

    #[test]
    fn addresses_are_taken_apart() {
        for (url, host, port, authority, path) in [
            ("http://example.com", "example.com", 80, "example.com", "/"),
            (
                "http://example.com:8080/a/b?c=d",
                "example.com",
                8080,
                "example.com:8080",
                "/a/b?c=d",
            ),
            ("HTTP://Example.com?x", "Example.com", 80, "Example.com", "/?x"),
            ("http://[2001:db8::1]:81/", "2001:db8::1", 81, "[2001:db8::1]:81", "/"),
            ("http://[::1]", "::1", 80, "[::1]", "/"),
            ("http://a:/", "a", 80, "a", "/"),
            ("http://a//b/../c?d//e", "a", 80, "a", "//b/../c?d//e"),
            ("http://127.0.0.1:1/@", "127.0.0.1", 1, "127.0.0.1:1", "/@"),
        ] {
            assert_eq!(parsed(url), parts(host, port, authority, path), "{url}");
            assert!(path.parse::<Uri>().is_ok_and(|path| path.authority().is_none()), "{url}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for url in ["", "/x", "example.com", "ftp://a", "http://", "http://a@b", "http://[::1"] {
            assert_eq!(Target::parse(url), Err(TargetError::Url), "{url}");
        }
        for url in ["http://a:0/", "http://a:65536/", "http://a:99999999/"] {
            let error = Target::parse(url).unwrap_err();
            assert!(matches!(error, TargetError::Port | TargetError::Url), "{url}: {error}");
        }
    }

    #[test]
    fn tls_is_needed_for_https() {
        let parsed = Target::parse("https://example.com/").map(|target| target.port);
        assert_eq!(parsed, if cfg!(feature = "tls") { Ok(443) } else { Err(TargetError::NoTls) });
    }

    #[test]
    fn addresses_that_say_that_they_are_private_are_refused_at_once() {
        let own =
            ["http://127.0.0.1:8080/", "http://[::1]/", "http://localhost/", "http://LOCALHOST."];
        for url in own {
            assert_eq!(check(url, Reach::Public), Err(TargetError::Private), "{url}");
            assert_eq!(check(url, Reach::Loopback), Ok(()), "{url}");
        }
        for url in ["http://10.0.0.1", "http://[::ffff:10.0.0.1]/", "http://169.254.169.254/latest"]
        {
            assert_eq!(check(url, Reach::Public), Err(TargetError::Private), "{url}");
            assert_eq!(check(url, Reach::Loopback), Err(TargetError::Private), "{url}");
            assert_eq!(check(url, Reach::Any), Ok(()), "{url}");
        }
        assert_eq!(check("http://example.com", Reach::Public), Ok(()));
    }
}
