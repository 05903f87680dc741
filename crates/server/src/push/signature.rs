//! Signatures of Standard Webhooks (standardwebhooks.com, version 1.0.0, symmetric): how a secret is
//! written, and what a request is signed with.
//!
//! The id that is signed is a job's, which has a full stop inside as the parts that are signed have
//! between them. No caller chooses it, and what a number of a job begins with is no time of this
//! age, so it cannot be read in two ways.

use base64::{Engine, engine::general_purpose::STANDARD};
use evenkeel_domains::jobs::{PushError, PushSecret};
use ring::hmac;

/// What a secret begins with.
const PREFIX: &str = "whsec_";

/// The secret that `text` is: `whsec_` and its bytes in base64.
pub(crate) fn secret(text: &str) -> Result<PushSecret, SecretError> {
    let encoded = text.strip_prefix(PREFIX).ok_or(SecretError::Prefix)?;
    let bytes = STANDARD.decode(encoded).map_err(|_| SecretError::Base64)?;
    PushSecret::new(bytes).map_err(SecretError::Secret)
}

/// Why a text is no secret. What it says never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SecretError {
    /// It is something else.
    #[error("push.secret begins with {PREFIX}")]
    Prefix,
    /// It cannot be read.
    #[error("push.secret is {PREFIX} and base64, with its padding")]
    Base64,
    /// It is too short or too long.
    #[error("{0}")]
    Secret(PushError),
}

/// The value of `webhook-signature`: `payload` signed with each of `secrets`.
pub(super) fn sign<'s>(
    secrets: impl Iterator<Item = &'s PushSecret>,
    id: &str,
    timestamp_s: u64,
    payload: &[u8],
) -> String {
    let head = format!("{id}.{timestamp_s}.");
    let signatures = secrets.map(|secret| {
        let mut context =
            hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret.bytes()));
        context.update(head.as_bytes());
        context.update(payload);
        format!("v1,{}", STANDARD.encode(context.sign()))
    });
    signatures.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example with which implementations of the standard check themselves.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const PAYLOAD: &[u8] = br#"{"test": 2432232314}"#;

    #[test]
    fn signs_as_the_standard_does() {
        let secret = secret(SECRET).unwrap();
        let signed = sign([&secret].into_iter(), ID, 1_614_265_330, PAYLOAD);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    /// The first signature was made by another implementation, Python's `hmac`.
    #[test]
    fn each_part_and_each_secret_tells() {
        let [one, other] = [1, 2].map(|byte| PushSecret::new(vec![byte; 64]).unwrap());
        let of = |secrets: &[&PushSecret], id, at, payload: &[u8]| {
            sign(secrets.iter().copied(), id, at, payload)
        };
        let signed = of(&[&one], "3.274877906945", 1_700_000_000, b"{}");
        assert_eq!(signed, "v1,SmlRRbF/8p96aOiY1icNxfSgbAhgI6q5ipf59uDw3FA=");
        for changed in [
            of(&[&other], "3.274877906945", 1_700_000_000, b"{}"),
            of(&[&one], "3.274877906946", 1_700_000_000, b"{}"),
            of(&[&one], "3.274877906945", 1_700_000_001, b"{}"),
            of(&[&one], "3.274877906945", 1_700_000_000, b"{} "),
        ] {
            assert_ne!(changed, signed);
        }
        let both = of(&[&one, &other], "3.274877906945", 1_700_000_000, b"{}");
        let second = of(&[&other], "3.274877906945", 1_700_000_000, b"{}");
        assert_eq!(both, format!("{signed} {second}"));
    }

    #[test]
    fn a_text_that_is_no_secret_is_refused_and_not_repeated() {
        let encoded = |bytes: usize| format!("{PREFIX}{}", STANDARD.encode(vec![7; bytes]));
        for bytes in [24, 32, 33, 64] {
            assert_eq!(secret(&encoded(bytes)).unwrap().bytes(), vec![7; bytes]);
        }
        for (text, error) in [
            ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", SecretError::Prefix),
            ("whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", SecretError::Prefix),
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS*", SecretError::Base64),
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa", SecretError::Base64),
            ("whsec_", SecretError::Secret(PushError::SecretLength)),
            (&encoded(23), SecretError::Secret(PushError::SecretLength)),
            (&encoded(65), SecretError::Secret(PushError::SecretLength)),
        ] {
            let refused = secret(text).unwrap_err();
            assert_eq!(refused, error, "{text}");
            assert!(!refused.to_string().contains("MfKQ"), "{refused}");
        }
    }
}
