//! How far a state has come in its log.

use evenkeel_log::{Epoch, Hash, Incarnation, Offset, Tail};

/// The last record whose effects a state includes. The default is "none".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Applied {
    /// That record.
    pub tail: Tail,
    /// Its epoch.
    pub epoch: Epoch,
    /// The life of the log.
    pub incarnation: Incarnation,
    /// Its time: milliseconds since 1970.
    pub time_ms: u64,
}

/// The size of the encoding.
pub(crate) const APPLIED_BYTES: usize = 45;
const VERSION: u8 = 1;

impl Applied {
    /// Version, then big-endian: offset, hash, epoch, incarnation, time.
    pub(crate) fn encode(&self) -> [u8; APPLIED_BYTES] {
        let mut bytes = [0; APPLIED_BYTES];
        bytes[0] = VERSION;
        bytes[1..9].copy_from_slice(&self.tail.offset.0.to_be_bytes());
        bytes[9..25].copy_from_slice(&self.tail.hash.0);
        bytes[25..33].copy_from_slice(&self.epoch.0.to_be_bytes());
        bytes[33..37].copy_from_slice(&self.incarnation.0.to_be_bytes());
        bytes[37..45].copy_from_slice(&self.time_ms.to_be_bytes());
        bytes
    }

    /// Reads it back; `None` if it is of another version or size.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; APPLIED_BYTES] = bytes.as_array()?;
        if bytes[0] != VERSION {
            return None;
        }
        Some(Self {
            tail: Tail {
                offset: Offset(u64::from_be_bytes(*bytes[1..9].as_array()?)),
                hash: Hash(*bytes[9..25].as_array()?),
            },
            epoch: Epoch(u64::from_be_bytes(*bytes[25..33].as_array()?)),
            incarnation: Incarnation(u32::from_be_bytes(*bytes[33..37].as_array()?)),
            time_ms: u64::from_be_bytes(*bytes[37..45].as_array()?),
        })
    }
}
