//! Rows as bytes: a version byte, then the row.

use postcard::ser_flavors::Flavor;
use serde::{Serialize, de::DeserializeOwned};

/// A type with a versioned encoding. [`row!`](crate::row) implements it for a serde type.
pub trait Row: Sized {
    /// Appends the encoding, its version first.
    fn encode(&self, out: &mut Vec<u8>);
    /// Reads it back; `None` if the version is unknown or the bytes are damaged.
    fn decode(bytes: &[u8]) -> Option<Self>;
}

/// A row that says all by being there: no bytes, no version.
impl Row for () {
    fn encode(&self, _: &mut Vec<u8>) {}
    fn decode(bytes: &[u8]) -> Option<Self> {
        bytes.is_empty().then_some(())
    }
}

/// Implements [`Row`](crate::Row) for a serde type: the version byte, then postcard.
///
/// A type whose old versions are still to be read implements `Row` by hand, with
/// [`encode_versioned`](crate::encode_versioned) and
/// [`decode_versioned`](crate::decode_versioned).
///
/// ```
/// use evenkeel_state::Row;
///
/// #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
/// struct Seat { owner: String }
/// evenkeel_state::row!(Seat, version = 1);
///
/// let mut bytes = Vec::new();
/// Seat { owner: "ada".into() }.encode(&mut bytes);
/// assert_eq!(bytes, b"\x01\x03ada");
/// assert_eq!(Seat::decode(&bytes), Some(Seat { owner: "ada".into() }));
/// assert_eq!(Seat::decode(b"\x02\x03ada"), None);
/// ```
#[macro_export]
macro_rules! row {
    ($row:ty, version = $version:literal) => {
        impl $crate::Row for $row {
            fn encode(&self, out: &mut Vec<u8>) {
                $crate::encode_versioned($version, self, out);
            }
            fn decode(bytes: &[u8]) -> Option<Self> {
                $crate::decode_versioned($version, bytes)
            }
        }
    };
}

/// Appends `version`, then `row` as postcard.
///
/// # Panics
/// If the row's `Serialize` fails, or is of a shape whose length it does not know beforehand: rows
/// are plain data.
pub fn encode_versioned<T: Serialize>(version: u8, row: &T, out: &mut Vec<u8>) {
    out.push(version);
    postcard::serialize_with_flavor(row, Append(out)).expect("a row is plain data");
}

/// Reads back what [`encode_versioned`] wrote; `None` if it is of another version, is damaged or has
/// bytes to spare.
#[must_use]
pub fn decode_versioned<T: DeserializeOwned>(version: u8, bytes: &[u8]) -> Option<T> {
    let (&found, body) = bytes.split_first()?;
    if found != version {
        return None;
    }
    let (row, rest) = postcard::take_from_bytes(body).ok()?;
    rest.is_empty().then_some(row)
}

/// Serialises at the end of a buffer that is used again and again.
struct Append<'a>(&'a mut Vec<u8>);

impl Flavor for Append<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
