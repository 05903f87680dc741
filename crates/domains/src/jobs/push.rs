//! Where a queue's jobs are sent, if they are sent and not asked for: what it says, the rules that
//! make it legal, and how one secret follows another. Nothing here calls anybody: the edge does.

use evenkeel_engine::Time;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Bytes of the address that jobs are sent to.
pub const PUSH_URL_BYTES_MAX: usize = 2_048;
/// Bytes of a secret, at least: 192 bits.
pub const PUSH_SECRET_BYTES_MIN: usize = 24;
/// Bytes of a secret, at most: what one block of the hash takes.
pub const PUSH_SECRET_BYTES_MAX: usize = 64;
/// The shortest time that an attempt may be given.
pub const PUSH_TIMEOUT_MS_MIN: u64 = 100;
/// The longest time that an attempt may be given: 5 minutes.
pub const PUSH_TIMEOUT_MS_MAX: u64 = 5 * 60_000;
/// How long an attempt may take unless the queue says otherwise.
pub const PUSH_TIMEOUT_MS: u64 = 10_000;
/// Attempts of one queue under way at once, at most.
pub const PUSH_CONCURRENCY_MAX: u32 = 256;
/// So many unless the queue says otherwise.
pub const PUSH_CONCURRENCY: u32 = 32;
/// How long requests are signed with the secret before as well: 24 hours.
pub const PUSH_ROTATION_MS: u64 = 24 * 3_600_000;
/// Bytes of the reason why nothing is sent any more.
pub const PUSH_REASON_BYTES_MAX: usize = 256;

/// The key that requests are signed with. It is never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushSecret(Vec<u8>);

/// A secret that another has taken the place of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetiredSecret {
    /// It.
    pub secret: PushSecret,
    /// When the other took its place.
    pub at: Time,
}

/// How the jobs of a queue are sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    /// Grows with every change.
    pub version: u64,
    /// Where to. Whether it may be reached is for the edge to find out.
    pub url: String,
    /// What requests are signed with.
    pub secret: PushSecret,
    /// What they were signed with before.
    pub previous: Option<RetiredSecret>,
    /// How long one attempt may take.
    pub timeout_ms: u64,
    /// Attempts under way at once, at most, on each node.
    pub concurrency_max: u32,
    /// Why nothing is sent any more, if nothing is.
    pub disabled: Option<String>,
}

/// How they are to be sent, as a caller says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushRequest {
    /// Where to.
    pub url: String,
    /// What to sign with; what was signed with before unless this says.
    pub secret: Option<PushSecret>,
    /// How long one attempt may take.
    pub timeout_ms: u64,
    /// Attempts under way at once, at most.
    pub concurrency_max: u32,
}

/// Why this cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// Empty or too long.
    #[error("push.url has 1 to {PUSH_URL_BYTES_MAX} bytes")]
    UrlLength,
    /// Another protocol, or none.
    #[error("push.url begins with http:// or https://")]
    Scheme,
    /// It has what belongs into no log.
    #[error("push.url names no user and no password: requests are signed instead")]
    UserInfo,
    /// There is nobody to call.
    #[error("push.url names a host")]
    Host,
    /// It could end a line, or be read in two ways.
    #[error(
        "push.url is of visible ASCII without spaces, quotes, backslashes and angle brackets; \
         others are percent-encoded"
    )]
    Characters,
    /// It is never sent.
    #[error("push.url has no fragment: it would not be sent")]
    Fragment,
    /// Too short to be one, or too long.
    #[error("push.secret has {PUSH_SECRET_BYTES_MIN} to {PUSH_SECRET_BYTES_MAX} bytes")]
    SecretLength,
    /// There is none, and was none before.
    #[error("push.secret is needed: requests are signed with it")]
    NoSecret,
    /// Too short or too long.
    #[error("push.timeout_ms is {PUSH_TIMEOUT_MS_MIN} to {PUSH_TIMEOUT_MS_MAX}")]
    Timeout,
    /// None, or too many.
    #[error("push.concurrency_max is 1 to {PUSH_CONCURRENCY_MAX}")]
    Concurrency,
}

impl PushSecret {
    /// A secret of these bytes.
    pub fn new(bytes: Vec<u8>) -> Result<Self, PushError> {
        if (PUSH_SECRET_BYTES_MIN..=PUSH_SECRET_BYTES_MAX).contains(&bytes.len()) {
            Ok(Self(bytes))
        } else {
            Err(PushError::SecretLength)
        }
    }

    /// Its bytes, to sign with.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for PushSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PushSecret(…)")
    }
}

impl Push {
    /// What is so once a caller has said this, where `before` was so. One that is disabled is not any
    /// more. A new secret takes the place of the one before, which is kept for a while; the one before
    /// that is forgotten.
    pub fn put(request: PushRequest, before: Option<&Self>, now: Time) -> Result<Self, PushError> {
        let PushRequest { url, secret, timeout_ms, concurrency_max } = request;
        let secret = secret
            .or_else(|| before.map(|before| before.secret.clone()))
            .ok_or(PushError::NoSecret)?;
        let previous = match before {
            Some(before) if before.secret != secret => {
                Some(RetiredSecret { secret: before.secret.clone(), at: now })
            }
            Some(before) => before.previous.clone().filter(|previous| previous.is_valid(now)),
            None => None,
        };
        let version = before.map_or(0, |before| before.version);
        let push =
            Self { version, url, secret, previous, timeout_ms, concurrency_max, disabled: None };
        push.check()?;
        if before == Some(&push) {
            return Ok(push);
        }
        Ok(Self { version: push.later(now), ..push })
    }

    /// The version of what it changes to. Versions are times, so that one that is put again after it was
    /// taken away has a later one.
    fn later(&self, now: Time) -> u64 {
        now.0.max(self.version + 1)
    }

    /// Whether a queue may have this. Of the address only what its text tells.
    pub fn check(&self) -> Result<(), PushError> {
        check_url(&self.url)?;
        let bytes = PUSH_SECRET_BYTES_MIN..=PUSH_SECRET_BYTES_MAX;
        let previous = self.previous.iter().map(|previous| &previous.secret);
        if !previous.chain([&self.secret]).all(|secret| bytes.contains(&secret.0.len())) {
            return Err(PushError::SecretLength);
        }
        if !(PUSH_TIMEOUT_MS_MIN..=PUSH_TIMEOUT_MS_MAX).contains(&self.timeout_ms) {
            return Err(PushError::Timeout);
        }
        if !(1..=PUSH_CONCURRENCY_MAX).contains(&self.concurrency_max) {
            return Err(PushError::Concurrency);
        }
        Ok(())
    }

    /// The secrets that requests are signed with at this time, the present one first.
    pub fn secrets(&self, now: Time) -> impl Iterator<Item = &PushSecret> {
        let previous = self.previous.as_ref().filter(move |previous| previous.is_valid(now));
        [&self.secret].into_iter().chain(previous.map(|previous| &previous.secret))
    }

    /// Until when requests are signed with the secret before as well, if they are.
    #[must_use]
    pub fn rotates_until(&self, now: Time) -> Option<Time> {
        let previous = self.previous.as_ref().filter(|previous| previous.is_valid(now))?;
        Some(previous.at.plus_ms(PUSH_ROTATION_MS))
    }

    /// Has nothing be sent until somebody puts it again.
    pub fn disable(&mut self, reason: &str, now: Time) {
        let end = reason.floor_char_boundary(PUSH_REASON_BYTES_MAX);
        self.disabled = Some(reason[..end].to_owned());
        self.version = self.later(now);
    }
}

impl RetiredSecret {
    fn is_valid(&self, now: Time) -> bool {
        now < self.at.plus_ms(PUSH_ROTATION_MS)
    }
}

fn check_url(url: &str) -> Result<(), PushError> {
    if !(1..=PUSH_URL_BYTES_MAX).contains(&url.len()) {
        return Err(PushError::UrlLength);
    }
    let odd = |byte: u8| !byte.is_ascii_graphic() || b"\"<>\\^`{|}".contains(&byte);
    if url.bytes().any(odd) {
        return Err(PushError::Characters);
    }
    let (scheme, rest) = url.split_once("://").ok_or(PushError::Scheme)?;
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(PushError::Scheme);
    }
    if rest.contains('#') {
        return Err(PushError::Fragment);
    }
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(PushError::UserInfo);
    }
    if authority.is_empty() || authority.starts_with(':') {
        return Err(PushError::Host);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_700_000_000_000);

    fn secret(byte: u8) -> PushSecret {
        PushSecret::new(vec![byte; 32]).unwrap()
    }

    fn request(secret: Option<PushSecret>) -> PushRequest {
        PushRequest {
            url: "https://example.com:8443/hook?a=b".to_owned(),
            secret,
            timeout_ms: PUSH_TIMEOUT_MS,
            concurrency_max: PUSH_CONCURRENCY,
        }
    }

    fn signs(push: &Push, now: Time) -> Vec<u8> {
        push.secrets(now).map(|secret| secret.bytes()[0]).collect()
    }

    #[test]
    fn a_secret_is_followed_by_another_for_a_day() {
        let first = Push::put(request(Some(secret(1))), None, NOW).unwrap();
        assert_eq!(signs(&first, NOW), [1]);
        let at = NOW.plus_ms(5);
        let second = Push::put(request(Some(secret(2))), Some(&first), at).unwrap();
        assert_eq!(signs(&second, at), [2, 1]);
        let last = at.plus_ms(PUSH_ROTATION_MS - 1);
        let again = Push::put(request(Some(secret(2))), Some(&second), last).unwrap();
        assert_eq!(again, second, "the same once more changes nothing, and prolongs nothing");
        assert_eq!(signs(&second, last), [2, 1]);
        assert_eq!(signs(&second, at.plus_ms(PUSH_ROTATION_MS)), [2]);
        let third = Push::put(request(Some(secret(3))), Some(&second), last).unwrap();
        assert_eq!(signs(&third, last), [3, 2]);
        let later = at.plus_ms(PUSH_ROTATION_MS);
        let kept = Push::put(request(None), Some(&second), later).unwrap();
        assert_eq!((signs(&kept, later), kept.previous), (vec![2], None));
        assert_eq!(Push::put(request(None), None, NOW), Err(PushError::NoSecret));
    }

    #[test]
    fn putting_it_again_enables_it() {
        let mut push = Push::put(request(Some(secret(1))), None, NOW).unwrap();
        push.disable(&"é".repeat(PUSH_REASON_BYTES_MAX), NOW);
        assert_eq!(push.disabled.as_ref().unwrap().len(), PUSH_REASON_BYTES_MAX);
        let again = Push::put(request(Some(secret(1))), Some(&push), NOW).unwrap();
        assert_eq!(again.disabled, None);
        assert_eq!([push.version, again.version], [NOW.0 + 1, NOW.0 + 2], "each is a change");
    }

    #[test]
    fn secrets_are_not_shown() {
        let push = Push::put(request(Some(secret(77))), None, NOW).unwrap();
        let push = Push::put(request(Some(secret(78))), Some(&push), NOW).unwrap();
        let shown = format!("{push:?} {push:#?} {:?}", request(Some(secret(77))));
        assert!(!shown.contains("77") && !shown.contains("78"), "{shown}");
    }

    #[test]
    fn what_is_not_legal_is_refused() {
        let good = Push::put(request(Some(secret(1))), None, NOW).unwrap();
        let with_url = |url: &str| Push { url: url.to_owned(), ..good.clone() }.check();
        for url in ["http://a", "HTTPS://a/", "http://[::1]:80/x", "http://a?b@c", "http://a/b@c"] {
            assert_eq!(with_url(url), Ok(()), "{url}");
        }
        let long = format!("http://a/{}", "x".repeat(PUSH_URL_BYTES_MAX));
        for (url, error) in [
            ("", PushError::UrlLength),
            (&long, PushError::UrlLength),
            ("example.com", PushError::Scheme),
            ("ftp://example.com", PushError::Scheme),
            ("unix:///run/x", PushError::Scheme),
            ("http://user@example.com", PushError::UserInfo),
            ("http://user:pw@example.com/", PushError::UserInfo),
            ("http:///x", PushError::Host),
            ("http://:80/x", PushError::Host),
            ("http://a/b c", PushError::Characters),
            ("http://a\\b", PushError::Characters),
            ("http://a/\r\nx: y", PushError::Characters),
            ("http://é", PushError::Characters),
            ("http://a/#b", PushError::Fragment),
        ] {
            assert_eq!(with_url(url), Err(error), "{url}");
        }
        for bytes in [0, PUSH_SECRET_BYTES_MIN - 1, PUSH_SECRET_BYTES_MAX + 1] {
            assert_eq!(PushSecret::new(vec![1; bytes]), Err(PushError::SecretLength));
            let push = Push { secret: PushSecret(vec![1; bytes]), ..good.clone() };
            assert_eq!(push.check(), Err(PushError::SecretLength), "though it came from a row");
        }
        for timeout_ms in [0, PUSH_TIMEOUT_MS_MIN - 1, PUSH_TIMEOUT_MS_MAX + 1] {
            assert_eq!(Push { timeout_ms, ..good.clone() }.check(), Err(PushError::Timeout));
        }
        for concurrency_max in [0, PUSH_CONCURRENCY_MAX + 1] {
            let push = Push { concurrency_max, ..good.clone() };
            assert_eq!(push.check(), Err(PushError::Concurrency));
        }
    }
}
