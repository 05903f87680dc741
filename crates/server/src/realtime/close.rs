//! Why a connection is closed, as its client is told. Codes from 3000 are of the range that applications
//! register; below 3500, coming back helps.

use std::borrow::Cow;
use tokio_tungstenite::tungstenite::{
    Error,
    error::{CapacityError, ProtocolError},
    protocol::frame::{CloseFrame, coding::CloseCode},
};

/// Why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// The server stops.
    Stopping,
    /// A frame breaks the protocol.
    Protocol,
    /// A frame is not text.
    NotText,
    /// Text is not UTF-8.
    NotUtf8,
    /// A frame is larger than frames may be.
    TooLarge,
    /// What it follows comes faster than it is taken.
    Slow,
    /// The history that it needs is gone.
    InsufficientState,
    /// Nobody knows who it is.
    Unauthenticated,
    /// Its token's time is over, or its key is revoked.
    Expired,
    /// Too much of what it says makes no sense.
    BadRequests,
}

impl Why {
    /// All of them, in the order of their numbers.
    pub(crate) const ALL: [Self; 10] = [
        Self::Stopping,
        Self::Protocol,
        Self::NotText,
        Self::NotUtf8,
        Self::TooLarge,
        Self::Slow,
        Self::InsufficientState,
        Self::Unauthenticated,
        Self::Expired,
        Self::BadRequests,
    ];

    /// As metrics have it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Stopping => "stopping",
            Self::Protocol => "protocol",
            Self::NotText => "not_text",
            Self::NotUtf8 => "not_utf8",
            Self::TooLarge => "too_large",
            Self::Slow => "slow",
            Self::InsufficientState => "insufficient_state",
            Self::Unauthenticated => "unauthenticated",
            Self::Expired => "expired",
            Self::BadRequests => "bad_requests",
        }
    }

    pub(super) fn frame(self) -> CloseFrame {
        let (code, reason) = match self {
            Self::Stopping => (1001, "going away"),
            Self::Protocol => (1002, "protocol error"),
            Self::NotText => (1003, "only text is spoken here"),
            Self::NotUtf8 => (1007, "text must be UTF-8"),
            Self::TooLarge => (1009, "frame too large"),
            Self::Slow => (3008, "slow: come back with the last position"),
            Self::InsufficientState => {
                (3010, "insufficient_state: read anew, then follow from its position")
            }
            Self::Unauthenticated => (3500, "unauthenticated"),
            Self::Expired => (3503, "expired: come back with another token or key"),
            Self::BadRequests => (3501, "bad requests"),
        };
        CloseFrame {
            code: CloseCode::from(code),
            reason: Cow::Borrowed(reason).into_owned().into(),
        }
    }

    /// What a client is told whose frame could not be read; nothing if it is gone.
    pub(super) fn of(error: &Error) -> Option<Self> {
        match error {
            Error::Utf8(_) => Some(Self::NotUtf8),
            Error::Capacity(CapacityError::MessageTooLong { .. }) => Some(Self::TooLarge),
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
            Error::Protocol(_) => Some(Self::Protocol),
            _ => None,
        }
    }
}
