//! What tokens of end users are verified with: a secret that a tenant's back end shares with this server,
//! or the public half of a key of its own. Nothing here verifies anything: the edge does.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Bytes of a secret that tokens are signed with, at least: as many as its hash answers (RFC 7518,
/// section 3.2).
pub const TOKEN_SECRET_BYTES_MIN: usize = 32;
/// Bytes of a secret that tokens are signed with, at most: what one block of the hash takes.
pub const TOKEN_SECRET_BYTES_MAX: usize = 64;
/// Bytes of a public key of Ed25519.
pub const TOKEN_PUBLIC_KEY_BYTES: usize = 32;

/// The points of Ed25519 of small order, and what else stands for them, by their y alone (the bit of x
/// is the last byte's highest). Under such a key a signature can be made that fits without any secret; 32
/// zeroes, which somebody forgot to fill, are one.
const WEAK: [[u8; TOKEN_PUBLIC_KEY_BYTES]; 7] = [
    [0; 32],
    bytes_of(1, 0, 0),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
    bytes_of(0xec, 0xff, 0x7f),
    bytes_of(0xed, 0xff, 0x7f),
    bytes_of(0xee, 0xff, 0x7f),
];

const fn bytes_of(first: u8, middle: u8, last: u8) -> [u8; TOKEN_PUBLIC_KEY_BYTES] {
    let mut bytes = [middle; TOKEN_PUBLIC_KEY_BYTES];
    bytes[0] = first;
    bytes[TOKEN_PUBLIC_KEY_BYTES - 1] = last;
    bytes
}

/// How a token is signed, by its name in RFC 7518 and RFC 8037.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenAlgorithm {
    /// HMAC with SHA-256: whoever can verify can sign.
    Hs256,
    /// Ed25519: only its holder can sign.
    EdDsa,
}

impl TokenAlgorithm {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Hs256, Self::EdDsa];

    /// What the header of a token calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The one of this name, to the letter.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

/// A secret that tokens are signed and verified with. It is never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenSecret(Vec<u8>);

impl TokenSecret {
    /// A secret of these bytes; `None` if they are too few or too many.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        let fits = (TOKEN_SECRET_BYTES_MIN..=TOKEN_SECRET_BYTES_MAX).contains(&bytes.len());
        fits.then_some(Self(bytes))
    }

    /// Its bytes, to verify with.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret(…)")
    }
}

/// A public key of Ed25519, as RFC 8032 encodes it. Whether there is such a point is not known; if there
/// is none, no token fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenPublicKey([u8; TOKEN_PUBLIC_KEY_BYTES]);

impl TokenPublicKey {
    /// A key of these bytes; `None` if they are no key, or one that anybody could sign for.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; TOKEN_PUBLIC_KEY_BYTES] = bytes.try_into().ok()?;
        let mut y = bytes;
        y[TOKEN_PUBLIC_KEY_BYTES - 1] &= 0x7f;
        (!WEAK.contains(&y)).then_some(Self(bytes))
    }

    /// Its bytes, to verify with.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What tokens that name a key are verified with, and so how they must be signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenVerifier {
    /// A secret, which this server has to keep as it is.
    Hs256(TokenSecret),
    /// The public half of a key whose other half this server never sees.
    EdDsa(TokenPublicKey),
}

impl TokenVerifier {
    /// How tokens are signed.
    #[must_use]
    pub const fn algorithm(&self) -> TokenAlgorithm {
        match self {
            Self::Hs256(_) => TokenAlgorithm::Hs256,
            Self::EdDsa(_) => TokenAlgorithm::EdDsa,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_a_length_and_is_not_shown() {
        for bytes in [0, TOKEN_SECRET_BYTES_MIN - 1, TOKEN_SECRET_BYTES_MAX + 1] {
            assert_eq!(TokenSecret::new(vec![1; bytes]), None, "{bytes}");
        }
        for bytes in [TOKEN_SECRET_BYTES_MIN, TOKEN_SECRET_BYTES_MAX] {
            let secret = TokenSecret::new(vec![77; bytes]).unwrap();
            let verifier = TokenVerifier::Hs256(secret.clone());
            let shown = format!("{secret:?} {secret:#?} {verifier:?} {verifier:#?}");
            assert!(!shown.contains("77"), "{shown}");
        }
    }

    #[test]
    fn a_public_key_is_none_that_anybody_could_sign_for() {
        assert!(TokenPublicKey::new(&[9; TOKEN_PUBLIC_KEY_BYTES]).is_some());
        for bytes in [0, TOKEN_PUBLIC_KEY_BYTES - 1, TOKEN_PUBLIC_KEY_BYTES + 1] {
            assert_eq!(TokenPublicKey::new(&vec![9; bytes]), None, "{bytes}");
        }
        for mut weak in WEAK {
            assert_eq!(TokenPublicKey::new(&weak), None);
            weak[TOKEN_PUBLIC_KEY_BYTES - 1] |= 0x80;
            assert_eq!(TokenPublicKey::new(&weak), None, "whatever its x");
        }
    }

    #[test]
    fn algorithms_are_named_to_the_letter() {
        for algorithm in TokenAlgorithm::ALL {
            assert_eq!(TokenAlgorithm::from_name(algorithm.name()), Some(algorithm));
        }
        for other in ["", "none", "None", "hs256", "HS512", "eddsa", "Ed25519", "RS256"] {
            assert_eq!(TokenAlgorithm::from_name(other), None, "{other}");
        }
    }
}
