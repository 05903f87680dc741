//! The bytes of a record's body: a version, then effects until the end.
//!
//! ```text
//! body    nothing at all, or: version (1) · effect*
//! effect  1 put          key length · key · row length · row
//!         2 delete       key length · key
//!         3 drop-prefix  prefix length · prefix
//!         4 (reserved for the outbox)
//! ```
//!
//! Lengths are LEB128, as short as they can be. Dropped prefixes come first, none a prefix of
//! another; then puts and deletes; each group strictly ascends by key. So equal effects have equal
//! bytes, a row is written once, and reading needs no memory but the rows'.

use crate::error::EffectsError;

const VERSION: u8 = 1;
const PUT: u8 = 1;
const DELETE: u8 = 2;
const DROP_PREFIX: u8 = 3;

/// The size of the version.
pub(crate) const VERSION_BYTES: usize = 1;

/// One effect, as a record says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect<'a> {
    /// The row is this from now on.
    Put {
        /// The table's id and the key.
        key: &'a [u8],
        /// The row.
        row: &'a [u8],
    },
    /// There is no such row from now on.
    Delete {
        /// The table's id and the key.
        key: &'a [u8],
    },
    /// There are no such rows from now on, but those that this record puts.
    DropPrefix {
        /// The table's id and the first bytes of keys.
        prefix: &'a [u8],
    },
}

impl Effect<'_> {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Put { key, row } => {
                out.push(PUT);
                encode_bytes(key, out);
                encode_bytes(row, out);
            }
            Self::Delete { key } => {
                out.push(DELETE);
                encode_bytes(key, out);
            }
            Self::DropPrefix { prefix } => {
                out.push(DROP_PREFIX);
                encode_bytes(prefix, out);
            }
        }
    }

    pub(crate) fn encoded_bytes(&self) -> usize {
        match *self {
            Self::Put { key, row } => row_bytes(key.len(), Some(row)),
            Self::Delete { key } => row_bytes(key.len(), None),
            Self::DropPrefix { prefix } => drop_bytes(prefix.len()),
        }
    }
}

/// The encoded size of a put of `value`, or of a delete.
pub(crate) fn row_bytes(key_bytes: usize, value: Option<&[u8]>) -> usize {
    1 + sized_bytes(key_bytes) + value.map_or(0, |row| sized_bytes(row.len()))
}

/// The encoded size of a dropped prefix.
pub(crate) fn drop_bytes(prefix_bytes: usize) -> usize {
    1 + sized_bytes(prefix_bytes)
}

/// The size of a length and what it is the length of.
fn sized_bytes(length: usize) -> usize {
    let bits = (usize::BITS - length.leading_zeros()).max(1) as usize;
    bits.div_ceil(7) + length
}

pub(crate) fn encode_version(out: &mut Vec<u8>) {
    out.push(VERSION);
}

fn encode_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(bytes);
}

/// The effects in a record's body, read one by one without copying. After an error it ends.
#[derive(Debug, Clone)]
pub struct Effects<'a> {
    rest: &'a [u8],
    last_drop: Option<&'a [u8]>,
    last_key: Option<&'a [u8]>,
}

impl<'a> Effects<'a> {
    /// Reads the version.
    pub fn parse(body: &'a [u8]) -> Result<Self, EffectsError> {
        match body.split_first() {
            None | Some((&VERSION, _)) => {
                let rest = body.get(VERSION_BYTES..).unwrap_or_default();
                Ok(Self { rest, last_drop: None, last_key: None })
            }
            Some((&version, _)) => Err(EffectsError::Version(version)),
        }
    }

    fn take(&mut self) -> Result<Effect<'a>, EffectsError> {
        let kind = *self.rest.split_off_first().ok_or(EffectsError::Truncated)?;
        if !(PUT..=DROP_PREFIX).contains(&kind) {
            return Err(EffectsError::Kind(kind));
        }
        let key = self.take_bytes()?;
        if key.is_empty() {
            return Err(EffectsError::NoTable);
        }
        if kind == DROP_PREFIX {
            // A prefix sorts right before what it covers, so covered ones are out of order too.
            let ordered = self.last_drop.is_none_or(|last| last < key && !key.starts_with(last));
            if !ordered || self.last_key.is_some() {
                return Err(EffectsError::Order);
            }
            self.last_drop = Some(key);
            return Ok(Effect::DropPrefix { prefix: key });
        }
        if self.last_key.is_some_and(|last| last >= key) {
            return Err(EffectsError::Order);
        }
        self.last_key = Some(key);
        if kind == DELETE {
            return Ok(Effect::Delete { key });
        }
        Ok(Effect::Put { key, row: self.take_bytes()? })
    }

    fn take_bytes(&mut self) -> Result<&'a [u8], EffectsError> {
        let mut length = 0_usize;
        for shift in (0..u32::BITS).step_by(7) {
            let byte = *self.rest.split_off_first().ok_or(EffectsError::Truncated)?;
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    return Err(EffectsError::Length);
                }
                return self.rest.split_off(..length).ok_or(EffectsError::Truncated);
            }
        }
        Err(EffectsError::Length)
    }
}

impl<'a> Iterator for Effects<'a> {
    type Item = Result<Effect<'a>, EffectsError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let effect = self.take();
        if effect.is_err() {
            self.rest = &[];
        }
        Some(effect)
    }
}
